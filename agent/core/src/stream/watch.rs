//! The clocks of a conversation: when was the last sign of life, when the last progress, and when is it time to ask?

use std::time::Duration;

use crate::Moment;

use super::options::Waits;

/// Signs of life and of progress.
#[derive(Debug)]
pub(super) struct Watch {
    waits: Waits,
    /// Any line at all.
    life: Moment,
    /// An acknowledgement, a request, `busy`, or the first line sent after a rest.
    progress: Moment,
    busy_seen: bool,
    silent_probes: u32,
}

impl Watch {
    pub(super) fn new(waits: Waits, now: Moment) -> Self {
        Self { waits, life: now, progress: now, busy_seen: false, silent_probes: 0 }
    }

    pub(super) fn life(&mut self, now: Moment) {
        self.life = now;
        self.silent_probes = 0;
    }

    pub(super) fn progress(&mut self, now: Moment) {
        self.progress = now;
    }

    pub(super) fn busy(&mut self, now: Moment) {
        self.busy_seen = true;
        self.progress = now;
    }

    /// When a line that is on its way has been without an answer for too long. A firmware that prints temperatures and
    /// nothing else may have lost our line or have lost its reply, so those do not count, except while a command runs
    /// that is known to block.
    pub(super) fn deadline(&self, blocking: bool) -> Moment {
        if blocking {
            return self.life.max(self.progress) + self.waits.blocking;
        }
        self.progress + self.silence()
    }

    /// The same where asking is not possible: any sign of life counts.
    pub(super) fn last_deadline(&self, blocking: bool) -> Moment {
        let wait = if blocking { self.waits.blocking } else { self.silence() };
        self.life.max(self.progress) + wait
    }

    /// A probe goes out; gives how many in a row have stayed without any line.
    pub(super) fn probe(&mut self, now: Moment) -> u32 {
        self.progress = now;
        self.silent_probes += 1;
        self.silent_probes
    }

    fn silence(&self) -> Duration {
        if self.busy_seen { self.waits.silence_with_busy } else { self.waits.silence }
    }
}
