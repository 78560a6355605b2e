//! The states of a conversation: is the counter ours, is the link mended, and where is the job?

use std::collections::VecDeque;

use crate::Moment;
use crate::gcode::{Batch, Position};

use super::event::{Ending, StopReason};

/// Whether lines can flow at all.
#[derive(Debug)]
pub(super) enum Phase {
    /// The firmware's line counter is being set.
    Syncing(Sync),
    /// It is ours; lines flow, or a fault is being mended.
    Streaming(Mend),
    /// Nothing is sent any more.
    Stopped(StopReason),
}

/// Setting the counter: `M110` acts as a barrier, so nothing else is on its way, and a firmware that verifies numbers
/// then has to refuse one that it must already have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sync {
    pub(super) step: SyncStep,
    pub(super) tries: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum SyncStep {
    /// `M110` is to be sent once replies have been quiet.
    Quiet { until: Moment },
    /// `M110` is on its way.
    Barrier,
    /// Its `ok` has come; the proof is to be asked for once replies have been quiet.
    Settling { until: Moment },
    /// A line is on its way that must be refused.
    Proof { sent_at: Moment },
    /// It was refused as it should be; what is still coming in is let pass.
    Proven { until: Moment },
}

/// How a fault of the line is mended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mend {
    /// No fault.
    Flowing,
    /// Replies settle; nothing is sent.
    Settling { until: Moment, then: Then },
    /// This line was sent alone; nothing follows before it is acknowledged.
    Alone { number: u32 },
    /// The firmware was asked where it stands; the verdict is awaited. `counted` says that every acknowledgement so far was
    /// counted, so that those which are still to come can be told from it.
    Probing { acknowledged_at: Option<Moment>, counted: bool },
    /// A process that has died left lines on their way; the firmware is asked where it stands as soon as the question has
    /// room in its ring.
    Resuming(Resuming),
    /// A firmware that cannot be asked owes replies; a person has to say what became of the lines.
    InDoubt,
}

/// When the firmware is asked, after a process has died.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resuming {
    /// Not before.
    pub(super) from: Moment,
    /// Then at the latest, whether there is room or not.
    pub(super) until: Moment,
    /// The process that has died had asked, or was asked: what answers that is to pass first.
    pub(super) quiet: bool,
    /// As of [`Mend::Probing`].
    pub(super) counted: bool,
}

/// What follows when replies have settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Send the next line alone.
    SendAlone,
    /// Ask where the firmware stands.
    Probe,
    /// Open the window.
    Open,
}

/// Where the job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// No job.
    Idle,
    /// Its lines are sent.
    Running,
    /// No new line is sent; lines on their way are awaited.
    Pausing,
    /// The pause script is under way.
    Parking,
    /// Everything stands still.
    Paused,
    /// The last lines are awaited and then proven.
    Ending(Ending),
}

impl Turn {
    /// Whether a job is under way that can still go on.
    pub(super) fn holds_job(self) -> bool {
        matches!(self, Self::Running | Self::Pausing | Self::Parking | Self::Paused)
    }
}

/// The part of the job that has been read ahead.
#[derive(Debug, Default)]
pub(super) struct Lookahead {
    batches: VecDeque<Batch>,
    at: usize,
    lines: usize,
    pub(super) complete: bool,
}

impl Lookahead {
    pub(super) fn push(&mut self, batch: Batch) {
        if !batch.is_empty() {
            self.lines += batch.len();
            self.batches.push_back(batch);
        }
    }

    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    pub(super) fn is_done(&self) -> bool {
        self.complete && self.lines == 0
    }

    pub(super) fn peek(&self) -> Option<(&[u8], Position)> {
        self.batches.front()?.get(self.at)
    }

    pub(super) fn advance(&mut self) {
        self.at += 1;
        self.lines -= 1;
        if self.batches.front().is_some_and(|batch| batch.len() == self.at) {
            self.batches.pop_front();
            self.at = 0;
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The same wrong request must come this often before it is believed: a single one is a damaged reply.
const SUSPICIONS_MAX: u32 = 3;

/// A request that the firmware cannot honestly have made.
#[derive(Debug, Default)]
pub(super) struct Suspicion {
    asked: u32,
    times: u32,
}

impl Suspicion {
    /// Whether it has now been heard often enough.
    pub(super) fn raise(&mut self, asked: u32) -> bool {
        if self.asked == asked {
            self.times += 1;
        } else {
            *self = Self { asked, times: 1 };
        }
        self.times >= SUSPICIONS_MAX
    }

    pub(super) fn clear(&mut self) {
        self.times = 0;
    }
}

/// How far a request can be believed. Replies carry no checksum, but Marlin says the number twice: `Last Line: 14` in
/// the error and `Resend: 15` behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Said twice, in one breath or in two requests.
    Sure,
    /// Said once.
    Likely,
    /// Said twice, and not the same.
    Contradiction,
}

/// Remembers what was said, to hold a request against it.
#[derive(Debug, Default)]
pub(super) struct Witness {
    last_line: Option<u32>,
    unconfirmed: Option<u32>,
}

impl Witness {
    /// An error line; it may name the last line that was accepted.
    pub(super) fn hear_error(&mut self, text: &str) {
        let number = text.rsplit_once("Last Line:").and_then(|(_, rest)| rest.trim().parse().ok());
        self.last_line = number;
    }

    /// Anything else: an error and its request come in one breath.
    pub(super) fn forget_error(&mut self) {
        self.last_line = None;
    }

    /// How far a request for this line can be believed.
    pub(super) fn judge(&mut self, asked: u32) -> Trust {
        match self.last_line.take() {
            Some(last) if last.checked_add(1) == Some(asked) => {
                self.unconfirmed = None;
                Trust::Sure
            }
            Some(_) => Trust::Contradiction,
            None if self.unconfirmed.replace(asked) == Some(asked) => Trust::Sure,
            None => Trust::Likely,
        }
    }
}
