//! What a job that does not move waits for.

use super::Streamer;
use super::history::Pace;
use super::state::{Mend, Phase, Turn};

/// What is awaited at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaits {
    /// No job is under way, or it stands still because somebody wants it so.
    Nothing,
    /// The next lines of the file.
    Lines,
    /// A reply to a line that takes no time by itself.
    Reply,
    /// A command that takes its time, a temperature, or a person.
    Command,
}

impl Streamer {
    /// What the job waits for.
    #[must_use]
    pub fn awaits(&self) -> Awaits {
        if self.turn != Turn::Running || matches!(self.phase, Phase::Stopped(_)) {
            return Awaits::Nothing;
        }
        // Numbering has clocks of its own.
        let is_syncing = matches!(self.phase, Phase::Syncing(_));
        if is_syncing || self.heat.is_some() || self.pace() != Pace::Quick {
            return Awaits::Command;
        }
        let flows = matches!(self.phase, Phase::Streaming(Mend::Flowing));
        if flows && self.window.is_idle() && self.lookahead.lines() == 0 && !self.lookahead.complete {
            return Awaits::Lines;
        }
        Awaits::Reply
    }
}
