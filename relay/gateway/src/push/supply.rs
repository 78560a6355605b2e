//! The bytes of a body on their way to an agent: what is read, what is sent next, what can be sent once more. Pure: it is told what the agent asks
//! for and what has come of the body.
//!
//! Nothing is read before the agent's credit has room for it, and what was sent is kept until the agent has it, so the credit bounds
//! both. An agent whose connection has broken begins a new stream at the first byte that it lacks, which is among what is kept. What is behind
//! that has passed: a body cannot be rewound. What the agent has already is passed over.

use std::collections::VecDeque;

use spoolway_protocol::limits::CHUNK_PAYLOAD_BYTES;
use spoolway_protocol::transfer::{Chunk, ChunkGet};
use spoolway_protocol::{AgentId, FileId};

/// Most chunks of one request that are kept, whatever the agent grants. No setting: agents grant four, and how many files there are at a time is
/// `limits.pushes`.
const MOST_CREDIT: u32 = 16;
const CHUNK: u64 = CHUNK_PAYLOAD_BYTES as u64;

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Want {
    /// Send this binary frame.
    Send(Vec<u8>),
    /// Say that the last byte was sent on this stream.
    End(u32),
    /// Read on in the body.
    Body,
    /// Wait for the agent.
    Agent,
}

/// Why a request of the agent cannot be met, now or ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The agent knows a file of this size.
    Size(u64),
    /// The agent lacks the bytes from here on, and they have passed.
    Passed(u64),
}

#[derive(Debug, Clone, Copy)]
struct Stream {
    number: u32,
    /// The next byte of it.
    at: u64,
    /// Chunks that begin before it may be sent.
    border: u64,
    ended: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Supply {
    to: AgentId,
    file_id: FileId,
    size: u64,
    /// The next byte that the body brings.
    read: u64,
    /// What has come and is no chunk yet; it ends at `read`.
    partial: Vec<u8>,
    /// Chunks that the agent may not have yet, one behind the other; the last ends where `partial` begins.
    kept: VecDeque<(u64, Vec<u8>)>,
    stream: Option<Stream>,
    /// Bytes that were sent, each counted once.
    sent: u64,
    sent_to: u64,
}

impl Supply {
    /// A body that brings a file of this size from `begin` on.
    pub(super) fn new(to: AgentId, file_id: FileId, size: u64, begin: u64) -> Self {
        let (partial, kept) = (Vec::new(), VecDeque::new());
        Self { to, file_id, size, read: begin, partial, kept, stream: None, sent: 0, sent_to: begin }
    }

    /// Bytes that were sent so far, each counted once.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// The stream that the agent waits on.
    pub(super) fn stream(&self) -> Option<u32> {
        self.stream.map(|stream| stream.number)
    }

    /// The agent is not there: it begins a stream anew when it is back.
    pub(super) fn handle_lost(&mut self) {
        self.stream = None;
    }

    /// The agent asks, or grants more.
    ///
    /// # Errors
    /// It asks for what this body does not have.
    pub(super) fn handle_get(&mut self, get: &ChunkGet) -> Result<(), Unfit> {
        if get.file_id != self.file_id {
            return Ok(());
        }
        let size = get.offset.saturating_add(get.len);
        if size != self.size {
            return Err(Unfit::Size(size));
        }
        // It has all that is before.
        while self.kept.front().is_some_and(|(begin, chunk)| begin + chunk.len() as u64 <= get.offset) {
            self.kept.pop_front();
        }
        if get.offset < self.first() {
            return Err(Unfit::Passed(get.offset));
        }
        let credit = u64::from(get.credit.min(MOST_CREDIT));
        let border = get.offset.saturating_add(credit * CHUNK);
        match &mut self.stream {
            Some(stream) if stream.number == get.stream => stream.border = stream.border.max(border),
            _ => {
                let stream = Stream { number: get.stream, at: get.offset, border, ended: false };
                self.stream = Some(stream);
            }
        }
        Ok(())
    }

    /// More of the body has come.
    pub(super) fn handle_body(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let over = self.stream.map_or(0, |stream| stream.at.saturating_sub(self.packed()));
            if over > 0 && self.partial.is_empty() {
                let over = usize::try_from(over).unwrap_or(usize::MAX).min(bytes.len());
                self.read += over as u64;
                bytes = &bytes[over..];
                continue;
            }
            let room = (CHUNK_PAYLOAD_BYTES - self.partial.len()).min(bytes.len());
            self.partial.extend_from_slice(&bytes[..room]);
            self.read += room as u64;
            bytes = &bytes[room..];
            if self.partial.len() == CHUNK_PAYLOAD_BYTES || self.read == self.size {
                let begin = self.packed();
                self.kept.push_back((begin, std::mem::take(&mut self.partial)));
            }
        }
    }

    /// What to do now.
    pub(super) fn poll(&mut self) -> Want {
        let packed = self.packed();
        let Some(stream) = &mut self.stream else { return Want::Agent };
        if stream.at >= self.size {
            return if std::mem::replace(&mut stream.ended, true) {
                Want::Agent
            } else {
                Want::End(stream.number)
            };
        }
        if stream.at >= stream.border {
            return Want::Agent;
        }
        if stream.at >= packed {
            return Want::Body;
        }
        let (at, number) = (stream.at, stream.number);
        let holds = |(begin, chunk): &&(u64, Vec<u8>)| *begin <= at && at < begin + chunk.len() as u64;
        let Some((begin, chunk)) = self.kept.iter().find(holds) else { return Want::Agent };
        let payload = &chunk[usize::try_from(at - begin).unwrap_or(0)..];
        let end = at + payload.len() as u64;
        let frame = Chunk { to: *self.to.as_bytes(), stream: number, offset: at, payload }.encode();
        stream.at = end;
        self.sent += end.saturating_sub(self.sent_to.max(at));
        self.sent_to = self.sent_to.max(end);
        frame.map_or(Want::Agent, Want::Send)
    }

    /// The first byte that can still be sent.
    fn first(&self) -> u64 {
        self.kept.front().map_or(self.packed(), |(begin, _)| *begin)
    }

    /// Where the chunks end.
    fn packed(&self) -> u64 {
        self.read - self.partial.len() as u64
    }
}

#[cfg(test)]
mod tests;
