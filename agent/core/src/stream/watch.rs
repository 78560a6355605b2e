//! The clocks of a conversation: when was the last sign of life, when the last progress, and when is it time to ask?

use std::time::Duration;

use crate::Moment;

use super::history::Pace;
use super::options::Waits;

/// A firmware that cannot be asked, and says something but never acknowledges, is given up after so many times the wait for
/// a blocking command.
const PATIENCE: u32 = 6;

/// How long a person may be awaited without any sign of life.
const PERSON: Duration = Duration::from_secs(24 * 3600);

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

    /// Whether the firmware says that it works while it does.
    pub(super) fn busy_seen(&self) -> bool {
        self.busy_seen
    }

    /// What another process knew.
    pub(super) fn restore(&mut self, busy_seen: bool) {
        self.busy_seen = busy_seen;
    }

    /// When a line that is on its way has been without an answer for too long. A firmware that prints temperatures and
    /// nothing else may have lost our line, or its reply may have been lost, so those do not count. One that prints `busy`
    /// while it works prints it during a blocking command as well.
    pub(super) fn deadline(&self, pace: Pace) -> Moment {
        let wait = if pace.blocks() && !self.busy_seen { self.waits.blocking } else { self.silence() };
        self.progress + wait
    }

    /// When a verdict that was asked for has been out for too long. A firmware that waits for a person answers when the
    /// person comes, and asking again would only fill its ring.
    pub(super) fn verdict_deadline(&self, pace: Pace) -> Moment {
        if pace == Pace::Person { self.progress + PERSON } else { self.deadline(pace) }
    }

    /// The same where asking is not possible: any sign of life counts, for a long time.
    pub(super) fn last_deadline(&self, pace: Pace) -> Moment {
        if pace == Pace::Person {
            return self.life.max(self.progress) + PERSON;
        }
        let wait = if pace.blocks() { self.waits.blocking } else { self.silence() };
        (self.life.max(self.progress) + wait).min(self.progress + self.waits.blocking * PATIENCE)
    }

    /// Whether there has been no progress for so long.
    pub(super) fn has_rested(&self, now: Moment, rest: Duration) -> bool {
        now >= self.progress + rest
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
