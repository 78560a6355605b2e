//! Files through the relay: credit, chunks in binary frames, end and error.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::FaultCode;
use crate::ids::{FileId, JobId, Sha256Hex};
use crate::limits::{CHUNK_HEAD_BYTES, CHUNK_PAYLOAD_BYTES};
use crate::raw::Extra;
use crate::url::SecretUrl;

/// The first byte of a binary frame that is a chunk.
pub const CHUNK_TAG: u8 = 0x01;

/// `chunk.get`: the agent asks for bytes and grants credit.
///
/// The sender may send the chunks that begin before `offset + credit * 64 KiB` and within `offset + len`. On a stream it knows, a later
/// `chunk.get` only moves that border on; nothing is sent twice on one stream. A new stream begins at `offset`, which is
/// how the agent goes back after a loss; the sender then forgets the file's other streams to this agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChunkGet {
    /// The file.
    pub file_id: FileId,
    /// Chosen by the agent, unique within the session.
    pub stream: u32,
    /// The first byte that is wanted.
    pub offset: u64,
    /// How many bytes are wanted from there.
    pub len: u64,
    /// How many chunks may be under way from `offset` on.
    pub credit: u32,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `chunk.end`: the last byte that was asked for has been sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChunkEnd {
    /// The stream.
    pub stream: u32,
    /// The size of the file in bytes.
    pub size: u64,
    /// The digest of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256Hex>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

open_words!(
    /// Why a sender cannot go on.
    ChunkErrCode {
        /// There is no such file.
        NotFound = "not_found",
        /// The agent may not have it.
        Unauthorised = "unauthorised",
        /// The range lies outside the file.
        BadRange = "bad_range",
        /// The file is not what it was.
        Changed = "changed",
        /// Try again later.
        Busy = "busy",
        /// The sender could not read the file.
        Io = "io",
    }
);

/// `chunk.err`: the sender cannot go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChunkErr {
    /// The stream.
    pub stream: u32,
    /// Why.
    pub code: ChunkErrCode,
    /// For a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `chunk.done`: the agent wants no more bytes of a file for this job: it is here whole, or the job has come to an end without it.
///
/// It is said when that happens, and when the job is offered again afterwards. Whoever sends a file need not wait for an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChunkDone {
    /// The file.
    pub file_id: FileId,
    /// The job that it was wanted for.
    pub job_id: JobId,
    /// Why the job has no file; absent when it is here whole and the one that was announced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<FaultCode>,
    /// For a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `file.url_request`: the agent's URL of a file has expired, or is about to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileUrlRequest {
    /// The file.
    pub file_id: FileId,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `file.url`: where a file can be had from now on; it takes the place of the URL before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileUrl {
    /// The file.
    pub file_id: FileId,
    /// The URL.
    pub url: SecretUrl,
    /// When the URL stops working, unix ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A binary frame with bytes of a file: `[0x01][to 16 B][stream u32][offset u64][payload]`, numbers big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The agent it is for, or from which it comes, as in [`AgentId::as_bytes`](crate::ids::AgentId::as_bytes).
    pub to: [u8; 16],
    /// The stream of `chunk.get`.
    pub stream: u32,
    /// Where the payload stands in the file.
    pub offset: u64,
    /// 1 byte to 64 KiB of the file.
    pub payload: &'a [u8],
}

/// Why bytes are not a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The frame ends inside its head.
    #[error("chunk frame of {0} bytes is shorter than its head of {CHUNK_HEAD_BYTES}")]
    Short(usize),
    /// The frame is another kind of binary frame.
    #[error("binary frame begins with {0:#04x}, a chunk with 0x01")]
    Tag(u8),
    /// The chunk carries nothing.
    #[error("chunk has no payload")]
    Empty,
    /// The payload is larger than [`CHUNK_PAYLOAD_BYTES`].
    #[error("chunk payload of {0} bytes is larger than {CHUNK_PAYLOAD_BYTES}")]
    TooLarge(usize),
    /// The payload would end beyond the largest offset.
    #[error("chunk at offset {0} ends beyond the largest offset")]
    Offset(u64),
}

impl<'a> Chunk<'a> {
    /// The frame.
    ///
    /// # Errors
    /// The payload is empty, too large or ends beyond the largest offset.
    pub fn encode(&self) -> Result<Vec<u8>, ChunkError> {
        self.check()?;
        let mut frame = Vec::with_capacity(CHUNK_HEAD_BYTES + self.payload.len());
        frame.push(CHUNK_TAG);
        frame.extend_from_slice(&self.to);
        frame.extend_from_slice(&self.stream.to_be_bytes());
        frame.extend_from_slice(&self.offset.to_be_bytes());
        frame.extend_from_slice(self.payload);
        Ok(frame)
    }

    /// Reads a frame; the payload is borrowed from it.
    ///
    /// # Errors
    /// The bytes are not a chunk.
    pub fn decode(frame: &'a [u8]) -> Result<Self, ChunkError> {
        let (&tag, rest) = frame.split_first().ok_or(ChunkError::Short(0))?;
        if tag != CHUNK_TAG {
            return Err(ChunkError::Tag(tag));
        }
        let short = ChunkError::Short(frame.len());
        let (to, rest) = rest.split_first_chunk::<16>().ok_or(short)?;
        let (stream, rest) = rest.split_first_chunk::<4>().ok_or(short)?;
        let (offset, payload) = rest.split_first_chunk::<8>().ok_or(short)?;
        let chunk = Self {
            to: *to,
            stream: u32::from_be_bytes(*stream),
            offset: u64::from_be_bytes(*offset),
            payload,
        };
        chunk.check()?;
        Ok(chunk)
    }

    fn check(&self) -> Result<(), ChunkError> {
        match self.payload.len() {
            0 => Err(ChunkError::Empty),
            len if len > CHUNK_PAYLOAD_BYTES => Err(ChunkError::TooLarge(len)),
            len if self.offset.checked_add(len as u64).is_none() => Err(ChunkError::Offset(self.offset)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_survives_the_wire() {
        let chunk = Chunk { to: [7; 16], stream: 0x0102_0304, offset: 0x0a0b, payload: b"G28\n" };
        let frame = chunk.encode().unwrap();
        let head = [&[1][..], &[7; 16], &[1, 2, 3, 4], &[0, 0, 0, 0, 0, 0, 10, 11]].concat();
        assert_eq!(frame, [&head, &b"G28\n"[..]].concat());
        assert_eq!(Chunk::decode(&frame), Ok(chunk));
    }

    #[test]
    fn what_is_no_chunk_is_named() {
        assert_eq!(Chunk::decode(&[]), Err(ChunkError::Short(0)));
        assert_eq!(Chunk::decode(&[2; 40]), Err(ChunkError::Tag(2)));
        assert_eq!(Chunk::decode(&[1; 28]), Err(ChunkError::Short(28)));
        assert_eq!(Chunk::decode(&[1; 29]), Err(ChunkError::Empty));
        let large = vec![1; CHUNK_HEAD_BYTES + CHUNK_PAYLOAD_BYTES + 1];
        assert_eq!(Chunk::decode(&large), Err(ChunkError::TooLarge(CHUNK_PAYLOAD_BYTES + 1)));
        let far = Chunk { to: [0; 16], stream: 0, offset: u64::MAX, payload: b"x" };
        assert_eq!(far.encode(), Err(ChunkError::Offset(u64::MAX)));
    }
}
