//! A job: its states and outcomes, and the arguments of the commands that move it; the offer has a file of its own.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::JobId;
pub use crate::offer::{Estimate, FileSpec, OfferArgs, Requires, Retain, Source, StartRule};
use crate::permit::SignedPermit;
use crate::raw::Extra;

/// The state of a job. Closed: a new state is a new protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// The offer is stored.
    Offered,
    /// The file is on its way.
    Fetching,
    /// The file is complete and its digest fits.
    Verified,
    /// The job waits for its turn.
    Queued,
    /// The file and the printer are being checked.
    Preflight,
    /// Somebody has to clear the bed.
    AwaitingBedClear,
    /// Somebody has to answer or to start.
    AwaitingOperator,
    /// The first line is about to go out.
    Starting,
    /// Lines go out.
    Printing,
    /// Lines are held back.
    Paused,
    /// Every line was accepted.
    Completed,
    /// A person or the owner stopped it.
    Cancelled,
    /// It cannot go on.
    Failed,
    /// It stopped without anybody's will and may be taken up again.
    Interrupted,
    /// It is being taken up again.
    Recovering,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 15] = [
        Self::Offered,
        Self::Fetching,
        Self::Verified,
        Self::Queued,
        Self::Preflight,
        Self::AwaitingBedClear,
        Self::AwaitingOperator,
        Self::Starting,
        Self::Printing,
        Self::Paused,
        Self::Completed,
        Self::Cancelled,
        Self::Failed,
        Self::Interrupted,
        Self::Recovering,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Fetching => "fetching",
            Self::Verified => "verified",
            Self::Queued => "queued",
            Self::Preflight => "preflight",
            Self::AwaitingBedClear => "awaiting_bed_clear",
            Self::AwaitingOperator => "awaiting_operator",
            Self::Starting => "starting",
            Self::Printing => "printing",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Recovering => "recovering",
        }
    }

    /// Whether the attempt is over; only a new attempt can follow.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Failed)
    }

    /// Whether the job holds the printer: from its first line until it is over or interrupted.
    #[must_use]
    pub const fn holds_printer(self) -> bool {
        matches!(self, Self::Starting | Self::Printing | Self::Paused | Self::Recovering)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an attempt ended. Closed: a new outcome is a new protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every line was accepted.
    Completed,
    /// A person or the owner stopped it.
    Cancelled,
    /// It could not go on.
    Failed,
    /// It stopped without anybody's will.
    Interrupted,
}

impl Outcome {
    /// The state a job takes with this outcome.
    #[must_use]
    pub const fn state(self) -> JobState {
        match self {
            Self::Completed => JobState::Completed,
            Self::Cancelled => JobState::Cancelled,
            Self::Failed => JobState::Failed,
            Self::Interrupted => JobState::Interrupted,
        }
    }
}

/// What a person says of lines in doubt, after a look at the print. Closed: nobody may guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// The printer has carried them out; the job goes on behind them.
    Executed,
    /// It has not; they are sent again.
    Lost,
}

/// Lines of a file, both ends included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LineSpan {
    /// The first, counted from 1.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// How the serial line behaved.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct CommStats {
    /// Lines the printer asked for again.
    pub resends: u64,
    /// Replies that did not come in time.
    pub timeouts: u64,
    /// The longest time in which the printer had no line to work on, in ms.
    pub max_gap_ms: u64,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A time in which the agent was away during an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interruption {
    /// Lines that the printer had acked.
    pub line: u64,
    /// How long, in ms.
    pub gap_ms: u64,
    /// Why.
    pub cause: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `job.start`: print it now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StartArgs {
    /// The job.
    pub job_id: JobId,
    /// Counts the starts of the job, from 1. An attempt that has begun is never begun again.
    pub attempt: u32,
    /// Says that somebody has looked at the bed in this bed epoch and that it is clear, as `bed.clear` would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bed_epoch: Option<u64>,
    /// What the backend has signed for this attempt; whether it is needed is the agent's setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permit: Option<SignedPermit>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `job.cancel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CancelArgs {
    /// The job.
    pub job_id: JobId,
    /// For a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `job.pause`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PauseArgs {
    /// The job.
    pub job_id: JobId,
    /// For a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `job.resume`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResumeArgs {
    /// The job.
    pub job_id: JobId,
    /// What became of the lines in doubt; needed when the job's state named some, and refused when it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}
