//! How far a source may send ahead: what is under way, what waits for the disk, and what the cap on bandwidth leaves.

use spoolway_protocol::limits::{CHUNK_PAYLOAD_BYTES, PIECE_BYTES};

use super::{Transfer, TransferOutput, ms};
use crate::moment::Moment;

const CHUNK: u64 = CHUNK_PAYLOAD_BYTES as u64;

/// A stream of chunks or a body, from its request to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) source: usize,
    pub(super) is_https: bool,
    /// Of a body: its first byte in the file, once its head has come.
    pub(super) body_from: Option<u64>,
    /// The next byte that comes.
    pub(super) at: u64,
    /// It may send up to here.
    pub(super) granted: u64,
    /// When something has to have come.
    pub(super) due: Option<Moment>,
    /// Bytes since `due` was put off.
    counted: u64,
    /// Bytes that it has given and that were not here before.
    pub(super) given: u64,
}

impl Run {
    pub(super) const fn new(source: usize, is_https: bool, at: u64, due: Option<Moment>) -> Self {
        Self { source, is_https, body_from: None, at, granted: at, due, counted: 0, given: 0 }
    }

    /// Bytes have come, of which so many are new. When it is as much as a chunk, there is time for another one.
    pub(super) fn count(&mut self, now: Moment, (bytes, new): (usize, usize), timeout_ms: u64) {
        self.at += bytes as u64;
        self.given += new as u64;
        self.counted += bytes as u64;
        if self.counted >= CHUNK || !self.is_https {
            self.counted = 0;
            self.due = Some(now + ms(timeout_ms));
        }
    }
}

/// What a cap lets a transfer save up: everything that may be under way, and one chunk for rounding.
pub(super) const fn saved_bytes(credit: u32) -> u64 {
    (credit as u64 + 1) * CHUNK
}

impl Transfer {
    /// Renews the credit when half of it is used, so that the sender need not stop. Gives when to look again.
    pub(super) fn extend(&mut self, now: Moment, mut run: Run) -> Option<Moment> {
        if run.is_https && run.body_from.is_none() {
            return run.due;
        }
        let step = self.step(run);
        if step > 0 {
            let border = self.border(run);
            let affordable = run.granted.saturating_add(self.pace.affordable(now)).saturating_sub(run.at);
            let paid = run.at + (affordable / CHUNK).min((border - run.at) / CHUNK) * CHUNK;
            if paid >= run.granted + step {
                self.pace.pay(paid - run.granted);
                run.granted = paid;
                run.due = run.due.or(Some(now + ms(self.options.timeout_ms)));
                self.grant(run);
            }
        }
        // Whoever may send nothing is not late.
        run.due = run.due.filter(|_| run.granted > run.at);
        self.state = super::State::Receiving(run);
        let afford = (self.step(run) > 0).then(|| self.pace.at(now, step + CHUNK));
        [run.due, afford].into_iter().flatten().min()
    }

    /// By how much the border moves at least, when it may move; 0 when it may not.
    fn step(&self, run: Run) -> u64 {
        // A file's last chunk may be granted whole, so its border may lie behind the end.
        let left = self.size.saturating_sub(run.granted);
        let step = (u64::from(self.options.credit) * CHUNK / 2).min(left);
        if self.border(run) < run.granted + step { 0 } else { step }
    }

    /// What is under way is bounded, and so is what waits for the disk; whole chunks from the next byte on.
    fn border(&self, run: Run) -> u64 {
        let window = u64::from(self.options.credit) * CHUNK;
        // A piece that is not whole yet waits for the rest of itself.
        let waiting = 2 * window.max(u64::from(*PIECE_BYTES.end()));
        let room = (self.written + waiting).saturating_sub(run.at).min(window);
        run.at + room / CHUNK * CHUNK
    }

    fn grant(&mut self, run: Run) {
        let output = match run.body_from {
            Some(from) => TransferOutput::Grant { attempt: self.stream, bytes: run.granted - from },
            None => TransferOutput::Request(self.chunk_get(run)),
        };
        self.outputs.push_back(output);
    }
}
