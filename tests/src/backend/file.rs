//! The file on its way to the agent: what the credit allows, and nothing twice on one stream.

use std::sync::Arc;

use spoolway_protocol::limits::CHUNK_PAYLOAD_BYTES;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::transfer::{Chunk, ChunkEnd, ChunkErr, ChunkErrCode, ChunkGet};
use spoolway_protocol::{AgentId, FileId, Message, Sha256Hex};

/// More chunks are never put together for one request, whatever credit it grants.
const MOST_CHUNKS: u32 = 16;

/// A frame for the agent.
#[derive(Debug, PartialEq)]
pub(super) enum Frame {
    /// A chunk.
    Binary(Vec<u8>),
    /// End or error, still without its envelope.
    Text(Message),
}

/// A file and the stream on which it is being sent.
pub(super) struct OutgoingFile {
    id: FileId,
    bytes: Arc<[u8]>,
    sha256: Sha256Hex,
    stream: Option<Stream>,
}

#[derive(Debug, Clone, Copy)]
struct Stream {
    id: u32,
    next: u64,
    is_ended: bool,
}

impl OutgoingFile {
    pub(super) fn new(id: FileId, bytes: Arc<[u8]>, sha256: Sha256Hex) -> Self {
        Self { id, bytes, sha256, stream: None }
    }

    /// A new session of the agent numbers its streams anew.
    pub(super) fn forget_stream(&mut self) {
        self.stream = None;
    }

    /// How far the stream has come.
    pub(super) fn sent_bytes(&self) -> u64 {
        self.stream.map_or(0, |stream| stream.next)
    }

    /// The frames that answer a request.
    pub(super) fn answer(&mut self, agent: AgentId, get: &ChunkGet) -> Vec<Frame> {
        let size = self.bytes.len() as u64;
        if get.file_id != self.id {
            return vec![refusal(get.stream, ChunkErrCode::NotFound)];
        }
        if get.offset > size {
            return vec![refusal(get.stream, ChunkErrCode::BadRange)];
        }
        let known = self.stream.filter(|stream| stream.id == get.stream);
        let mut stream = known.unwrap_or(Stream { id: get.stream, next: get.offset, is_ended: false });
        let payload_bytes = CHUNK_PAYLOAD_BYTES as u64;
        let end = get.offset.saturating_add(get.len).min(size);
        let border = get.offset.saturating_add(u64::from(get.credit.min(MOST_CHUNKS)) * payload_bytes);
        let mut frames = Vec::new();
        while stream.next < end.min(border) {
            let until = end.min(stream.next + payload_bytes);
            let payload = &self.bytes[stream.next as usize..until as usize];
            let chunk = Chunk { to: *agent.as_bytes(), stream: stream.id, offset: stream.next, payload };
            let frame = chunk.encode().expect("1 byte to 64 KiB within the file make a chunk");
            frames.push(Frame::Binary(frame));
            stream.next = until;
        }
        if stream.next >= end && !stream.is_ended {
            stream.is_ended = true;
            let sha256 = Some(self.sha256);
            frames.push(Frame::Text(
                ChunkEnd { stream: stream.id, size, sha256, extra: Extra::default() }.into(),
            ));
        }
        self.stream = Some(stream);
        frames
    }
}

fn refusal(stream: u32, code: ChunkErrCode) -> Frame {
    Frame::Text(ChunkErr { stream, code, detail: String::new(), extra: Extra::default() }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: AgentId = AgentId::from_bytes([7; 16]);
    const SIZE: u64 = 200_000;

    fn file() -> OutgoingFile {
        let bytes: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
        OutgoingFile::new("f".parse().unwrap(), bytes.into(), Sha256Hex([1; 32]))
    }

    fn get(stream: u32, offset: u64, credit: u32) -> ChunkGet {
        ChunkGet {
            file_id: "f".parse().unwrap(),
            stream,
            offset,
            len: SIZE - offset,
            credit,
            extra: Extra::default(),
        }
    }

    /// Offset and length of chunks; an end is its stream and the size.
    fn seen(frames: &[Frame]) -> Vec<(u64, u64)> {
        let of = |frame: &Frame| match frame {
            Frame::Binary(bytes) => {
                let chunk = Chunk::decode(bytes).unwrap();
                let at = chunk.offset as usize;
                assert!(chunk.payload.iter().zip(at..).all(|(&byte, at)| byte == (at % 251) as u8));
                (chunk.offset, chunk.payload.len() as u64)
            }
            Frame::Text(Message::ChunkEnd(end)) => (u64::from(end.stream), end.size),
            Frame::Text(other) => panic!("{other:?}"),
        };
        frames.iter().map(of).collect()
    }

    #[test]
    fn credit_moves_the_border_and_nothing_is_sent_twice() {
        let mut file = file();
        assert_eq!(seen(&file.answer(AGENT, &get(1, 0, 2))), [(0, 65_536), (65_536, 65_536)]);
        assert_eq!(seen(&file.answer(AGENT, &get(1, 0, 2))), []);
        assert_eq!(seen(&file.answer(AGENT, &get(1, 65_536, 2))), [(131_072, 65_536)]);
        assert_eq!(seen(&file.answer(AGENT, &get(1, 131_072, 2))), [(196_608, 3_392), (1, SIZE)]);
        assert_eq!(seen(&file.answer(AGENT, &get(1, SIZE, 2))), []);
        assert_eq!(file.sent_bytes(), SIZE);
    }

    #[test]
    fn a_new_stream_goes_back() {
        let mut file = file();
        file.answer(AGENT, &get(1, 0, 4));
        assert_eq!(seen(&file.answer(AGENT, &get(2, 150_000, 4))), [(150_000, 50_000), (2, SIZE)]);
        file.forget_stream();
        assert_eq!(seen(&file.answer(AGENT, &get(2, 150_000, 0))), []);
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        let mut file = file();
        let other = ChunkGet { file_id: "g".parse().unwrap(), ..get(1, 0, 4) };
        assert_eq!(file.answer(AGENT, &other), [refusal(1, ChunkErrCode::NotFound)]);
        let behind = ChunkGet { offset: SIZE + 1, ..get(1, 0, 4) };
        assert_eq!(file.answer(AGENT, &behind), [refusal(1, ChunkErrCode::BadRange)]);
    }
}
