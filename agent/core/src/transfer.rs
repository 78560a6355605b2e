//! Pulling one job file through the relay: credit, order, going back after a loss, and the digest of the whole.

use std::collections::VecDeque;
use std::time::Duration;

use sha2::{Digest, Sha256};
use spoolway_protocol::fault::Fault;
use spoolway_protocol::ids::{FileId, Sha256Hex};
use spoolway_protocol::limits::{CHUNK_CREDIT, CHUNK_PAYLOAD_BYTES, DURABLE_EVERY_BYTES};
use spoolway_protocol::offer::FileSpec;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::transfer::{Chunk, ChunkEnd, ChunkErr, ChunkErrCode, ChunkGet};

use crate::backoff::{Backoff, BackoffOptions};
use crate::moment::Moment;

/// Bounds of a [`Transfer`].
#[derive(Debug, Clone, Copy)]
pub struct TransferOptions {
    /// Chunks that may be under way.
    pub credit: u32,
    /// How long the next chunk may take, in ms.
    pub timeout_ms: u64,
    /// Attempts without a single new byte before the file counts as unavailable.
    pub attempts: u32,
    /// Bytes between two durable points.
    pub durable_every_bytes: u64,
    /// Waits between attempts.
    pub backoff: BackoffOptions,
}

impl Default for TransferOptions {
    fn default() -> Self {
        let backoff = BackoffOptions { floor_ms: 250, first_ms: 1_000, ..BackoffOptions::RECONNECT };
        Self {
            credit: CHUNK_CREDIT,
            timeout_ms: 15_000,
            attempts: 20,
            durable_every_bytes: DURABLE_EVERY_BYTES,
            backoff,
        }
    }
}

/// What the shell has to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum TransferOutput {
    /// Read bytes that an earlier process made durable; answer with [`Transfer::handle_read_back`].
    ReadBack {
        /// From here.
        offset: u64,
        /// At most so many bytes, at least one.
        len: usize,
    },
    /// Send this to the owner.
    Request(ChunkGet),
    /// Append these bytes.
    Write {
        /// Where they stand in the file.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Make everything up to here durable, record it, and answer with [`Transfer::handle_durable`].
    Sync {
        /// The end of what was written.
        offset: u64,
    },
    /// The file is complete, durable and the one that was announced.
    Complete,
    /// It cannot be had, or it is another one; what was written is worthless.
    Failed {
        /// The stable fault.
        fault: Fault,
        /// For a person.
        detail: String,
    },
    /// Nothing until then; `None` means until something is handled.
    Wait(Option<Moment>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Bytes of an earlier process are hashed again.
    ReadingBack { asked: bool },
    /// There is no session.
    Offline,
    /// The next attempt begins then.
    Resting { until: Moment },
    /// Chunks arrive; the next one is due then.
    Receiving { due: Moment },
    /// All bytes are here, the last ones are being made durable.
    Finishing,
    /// It is over.
    Over,
}

/// The pull of one file.
#[derive(Debug)]
pub struct Transfer {
    options: TransferOptions,
    file_id: FileId,
    size: u64,
    sha256: Sha256Hex,
    state: State,
    connected: bool,
    digest: Sha256,
    /// The next byte that is wanted; everything before it is hashed.
    next: u64,
    /// What an earlier process made durable.
    read_back_to: u64,
    sync_asked: u64,
    stream: u32,
    /// Up to where credit was granted on this stream.
    granted: u64,
    backoff: Backoff,
    outputs: VecDeque<TransferOutput>,
}

impl Transfer {
    /// A transfer that goes on behind `durable` bytes which lie on the disk already; 0 for a new one.
    #[must_use]
    pub fn new(file: &FileSpec, durable: u64, options: TransferOptions, seed: u64) -> Self {
        let durable = durable.min(file.size);
        let state = if durable > 0 { State::ReadingBack { asked: false } } else { State::Offline };
        let mut transfer = Self {
            options,
            file_id: file.file_id.clone(),
            size: file.size,
            sha256: file.sha256,
            state,
            connected: false,
            digest: Sha256::new(),
            next: 0,
            read_back_to: durable,
            sync_asked: durable,
            // Streams of an earlier process must not be taken for those of this one.
            stream: crate::backoff::Jitter::new(seed).draw() as u32,
            granted: 0,
            backoff: Backoff::new(options.backoff, seed),
            outputs: VecDeque::new(),
        };
        if durable == 0 && file.size == 0 {
            transfer.finish();
        }
        transfer
    }

    /// A session stands.
    pub fn handle_connected(&mut self, now: Moment) {
        self.connected = true;
        if self.state == State::Offline {
            self.request(now);
        }
    }

    /// The session is over.
    pub fn handle_disconnected(&mut self) {
        self.connected = false;
        if matches!(self.state, State::Resting { .. } | State::Receiving { .. }) {
            self.state = State::Offline;
        }
    }

    /// The answer to `ReadBack`; fewer bytes than asked for are fine, none means that the file on the disk is too short.
    pub fn handle_read_back(&mut self, now: Moment, bytes: &[u8]) {
        if !matches!(self.state, State::ReadingBack { .. }) {
            return;
        }
        let left = self.read_back_to - self.next;
        let bytes = &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        self.digest.update(bytes);
        self.next += bytes.len() as u64;
        if self.next < self.read_back_to && !bytes.is_empty() {
            self.state = State::ReadingBack { asked: false };
            return;
        }
        // A file that is shorter than what was recorded goes on from where it ends.
        self.sync_asked = self.next;
        self.state = State::Offline;
        if self.next == self.size {
            self.finish();
        } else if self.connected {
            self.request(now);
        }
    }

    /// A chunk arrived. Chunks of other streams are ignored: they were under way when the stream changed.
    pub fn handle_chunk(&mut self, now: Moment, chunk: &Chunk<'_>) {
        if !self.is_receiving(chunk.stream) || chunk.offset < self.next {
            return;
        }
        if chunk.offset > self.next {
            return self.retry(now, "a chunk was lost");
        }
        let end = chunk.offset + chunk.payload.len() as u64;
        if end > self.size {
            return self.fail(Fault::JobFileCorrupt, format!("the file is longer than {} bytes", self.size));
        }
        self.digest.update(chunk.payload);
        self.outputs.push_back(TransferOutput::Write { offset: chunk.offset, bytes: chunk.payload.to_vec() });
        self.next = end;
        self.backoff.reset();
        self.state = State::Receiving { due: now + Duration::from_millis(self.options.timeout_ms) };
        if self.next == self.size {
            return self.finish();
        }
        if self.next - self.sync_asked >= self.options.durable_every_bytes {
            self.sync();
        }
        self.extend_credit();
    }

    /// The sender has sent its last byte.
    pub fn handle_end(&mut self, now: Moment, end: &ChunkEnd) {
        if !self.is_receiving(end.stream) {
            return;
        }
        let other = end.sha256.is_some_and(|sha256| sha256 != self.sha256);
        if end.size < self.size {
            self.fail(Fault::JobFileTruncated, format!("{} of {} bytes", end.size, self.size));
        } else if end.size > self.size || other {
            self.fail(Fault::JobFileCorrupt, "the sender has another file of this name".to_owned());
        } else {
            self.retry(now, "the end came before the last bytes");
        }
    }

    /// The sender cannot go on.
    pub fn handle_err(&mut self, now: Moment, err: &ChunkErr) {
        if !self.is_receiving(err.stream) {
            return;
        }
        let detail = format!("{}: {}", err.code, err.detail);
        match err.code {
            ChunkErrCode::NotFound | ChunkErrCode::Unauthorised => {
                self.fail(Fault::JobFileUnavailable, detail)
            }
            ChunkErrCode::BadRange => self.fail(Fault::JobFileTruncated, detail),
            ChunkErrCode::Changed => self.fail(Fault::JobFileCorrupt, detail),
            ChunkErrCode::Busy | ChunkErrCode::Io | ChunkErrCode::Unknown(_) => self.retry(now, &detail),
        }
    }

    /// The request did not reach the owner.
    pub fn handle_nack(&mut self, now: Moment) {
        if matches!(self.state, State::Receiving { .. }) {
            self.retry(now, "the owner cannot be reached");
        }
    }

    /// The owner offers the job again: whoever has the file now need not wait until the next attempt is due.
    pub fn handle_offered_again(&mut self, now: Moment) {
        if matches!(self.state, State::Resting { .. } | State::Receiving { .. }) {
            self.request(now);
        }
    }

    /// Everything up to here is durable.
    pub fn handle_durable(&mut self, offset: u64) {
        if self.state == State::Finishing && offset == self.size {
            self.state = State::Over;
            self.outputs.push_back(TransferOutput::Complete);
        }
    }

    /// How many bytes are here.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.next
    }

    /// What to do now.
    pub fn poll_output(&mut self, now: Moment) -> TransferOutput {
        match self.state {
            State::Receiving { due } if now >= due => self.retry(now, "no chunk came in time"),
            State::Resting { until } if now >= until => self.request(now),
            State::ReadingBack { asked: false } => self.read_back(),
            _ => {}
        }
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        TransferOutput::Wait(match self.state {
            State::Receiving { due: at } | State::Resting { until: at } => Some(at),
            State::ReadingBack { .. } | State::Offline | State::Finishing | State::Over => None,
        })
    }

    fn is_receiving(&self, stream: u32) -> bool {
        matches!(self.state, State::Receiving { .. }) && stream == self.stream
    }

    fn read_back(&mut self) {
        self.state = State::ReadingBack { asked: true };
        let left = usize::try_from(self.read_back_to - self.next).unwrap_or(usize::MAX);
        let len = left.min(4 * CHUNK_PAYLOAD_BYTES);
        self.outputs.push_back(TransferOutput::ReadBack { offset: self.next, len });
    }

    /// Begins a new stream at the next byte.
    fn request(&mut self, now: Moment) {
        self.stream = self.stream.wrapping_add(1);
        self.state = State::Receiving { due: now + Duration::from_millis(self.options.timeout_ms) };
        self.grant();
    }

    /// Renews the credit when half of it is used, so that the sender need not stop.
    fn extend_credit(&mut self) {
        let half = self.credit_bytes() / 2;
        if self.granted < self.size && self.next + half >= self.granted {
            self.grant();
        }
    }

    fn grant(&mut self) {
        self.granted = self.next.saturating_add(self.credit_bytes());
        self.outputs.push_back(TransferOutput::Request(ChunkGet {
            file_id: self.file_id.clone(),
            stream: self.stream,
            offset: self.next,
            len: self.size - self.next,
            credit: self.options.credit,
            extra: Extra::default(),
        }));
    }

    fn credit_bytes(&self) -> u64 {
        u64::from(self.options.credit) * CHUNK_PAYLOAD_BYTES as u64
    }

    fn retry(&mut self, now: Moment, why: &str) {
        let wait = self.backoff.fail(now, None);
        if self.backoff.attempts() > self.options.attempts {
            let detail = format!("{why}; {} attempts without a new byte", self.options.attempts);
            return self.fail(Fault::JobFileUnavailable, detail);
        }
        self.state = State::Resting { until: now + wait };
    }

    fn sync(&mut self) {
        self.sync_asked = self.next;
        self.outputs.push_back(TransferOutput::Sync { offset: self.next });
    }

    fn finish(&mut self) {
        let digest: [u8; 32] = std::mem::take(&mut self.digest).finalize().into();
        if Sha256Hex(digest) == self.sha256 {
            self.state = State::Finishing;
            self.sync();
        } else {
            let detail = format!("sha256 is {}, announced was {}", Sha256Hex(digest), self.sha256);
            self.fail(Fault::JobFileCorrupt, detail);
        }
    }

    fn fail(&mut self, fault: Fault, detail: String) {
        self.state = State::Over;
        self.outputs.push_back(TransferOutput::Failed { fault, detail });
    }
}

#[cfg(test)]
mod tests;
