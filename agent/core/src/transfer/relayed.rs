//! A file as chunks through the relay, under credit.

use spoolway_protocol::fault::Fault;
use spoolway_protocol::limits::CHUNK_PAYLOAD_BYTES;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::transfer::{Chunk, ChunkEnd, ChunkErr, ChunkErrCode, ChunkGet};

use super::credit::Run;
use super::{State, Transfer};
use crate::moment::Moment;

impl Transfer {
    pub(super) fn begin_relayed(&mut self, source: usize) {
        self.state = State::Receiving(Run::new(source, false, self.pieces.next(), None));
    }

    pub(super) fn chunk_get(&self, run: Run) -> ChunkGet {
        let credit = (run.granted - run.at) / CHUNK_PAYLOAD_BYTES as u64;
        ChunkGet {
            file_id: self.file_id.clone(),
            stream: self.stream,
            offset: run.at,
            len: self.size - run.at,
            credit: u32::try_from(credit).unwrap_or(u32::MAX),
            extra: Extra::default(),
        }
    }

    /// A chunk arrived. Chunks of other streams are ignored: they were under way when the stream changed.
    pub fn handle_chunk(&mut self, now: Moment, chunk: &Chunk<'_>) {
        let Some(run) = self.relayed(chunk.stream).filter(|run| chunk.offset >= run.at) else { return };
        if chunk.offset > run.at {
            return self.fail_run(now, run, None, "a chunk was lost");
        }
        self.take(now, run, chunk.payload);
    }

    /// The sender has sent its last byte.
    pub fn handle_end(&mut self, now: Moment, end: &ChunkEnd) {
        let Some(run) = self.relayed(end.stream) else { return };
        let other = end.sha256.is_some_and(|sha256| sha256 != self.sha256);
        if end.size < self.size {
            self.bury_run(run, Fault::JobFileTruncated, format!("{} of {} bytes", end.size, self.size));
        } else if end.size > self.size || other {
            let why = "the sender has another file of this name".to_owned();
            self.bury_run(run, Fault::JobFileCorrupt, why);
        } else {
            self.fail_run(now, run, None, "the end came before the last bytes");
        }
    }

    /// The sender cannot go on.
    pub fn handle_err(&mut self, now: Moment, err: &ChunkErr) {
        let Some(run) = self.relayed(err.stream) else { return };
        let why = format!("{}: {}", err.code, err.detail);
        match err.code {
            ChunkErrCode::NotFound | ChunkErrCode::Unauthorised => {
                self.bury_run(run, Fault::JobFileUnavailable, why);
            }
            ChunkErrCode::BadRange => self.bury_run(run, Fault::JobFileTruncated, why),
            ChunkErrCode::Changed => self.bury_run(run, Fault::JobFileCorrupt, why),
            ChunkErrCode::Busy | ChunkErrCode::Io | ChunkErrCode::Unknown(_) => {
                self.fail_run(now, run, None, &why);
            }
        }
    }

    fn relayed(&self, stream: u32) -> Option<Run> {
        match self.state {
            State::Receiving(run) if !run.is_https && stream == self.stream => Some(run),
            _ => None,
        }
    }
}
