//! One attempt at a job, as the printer thread sees it.

use std::time::Duration;

use spoolway_agent_core::Moment;
use spoolway_agent_core::stream::{Progress, Stats};
use spoolway_protocol::Fault;

/// One attempt at a job, as the printer thread sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its name.
    pub id: u64,
    /// Where it stands.
    pub phase: RunPhase,
    /// Commands acknowledged, and where the last stands.
    pub progress: Progress,
    /// Counters; the `job_*` ones are this run's.
    pub stats: Stats,
    /// How long it has been paused in all.
    pub paused: Duration,
    /// When it ended; absent before, and where no process saw it.
    pub ended: Option<Moment>,
    /// Why it is held or was given up, when no person asked for it through the agent.
    pub cause: Option<Cause>,
}

impl Run {
    pub(super) fn new(id: u64) -> Self {
        Self {
            id,
            phase: RunPhase::Starting,
            progress: Default::default(),
            stats: Default::default(),
            paused: Duration::ZERO,
            ended: None,
            cause: None,
        }
    }

    /// One that nothing came of.
    pub(super) fn refused(id: u64, now: Moment, fault: Fault, text: String) -> Self {
        let mut run = Self::new(id);
        run.end(now, RunEnd::Interrupted(fault, text));
        run
    }

    /// It is over now.
    pub(super) fn end(&mut self, now: Moment, end: RunEnd) {
        (self.phase, self.ended) = (RunPhase::Ended(end), Some(now));
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, RunPhase::Ended(_))
    }
}

/// Why a run is held or was given up, when no person asked for it through the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The printer asked for it; in words.
    Printer(String),
    /// No reply came for some lines, and this firmware cannot be asked whether it has carried them out.
    Doubt {
        /// First such line of the file.
        first: u64,
        /// The last.
        last: u64,
    },
    /// The guard holds it.
    Guard(Fault, String),
}

impl Cause {
    /// Its stable code.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Printer(_) => Fault::PrinterAsked,
            Self::Doubt { .. } => Fault::CommUncertain,
            Self::Guard(fault, _) => *fault,
        }
    }

    /// The same for a person.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Printer(text) | Self::Guard(_, text) => text.clone(),
            Self::Doubt { first, last } => format!(
                "no reply came for lines {first} to {last} of the file: look at the print, then resume with --doubt executed or --doubt lost"
            ),
        }
    }
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq)]
pub enum RunPhase {
    /// The line counter is being set; nothing of the job has been sent.
    Starting,
    /// Lines go out.
    Printing,
    /// It stands still.
    Paused,
    /// It is over.
    Ended(RunEnd),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEnd {
    /// Every line was acknowledged.
    Completed,
    /// It was given up, and the cancel script has run.
    Cancelled,
    /// It could not go on.
    Interrupted(Fault, String),
}
