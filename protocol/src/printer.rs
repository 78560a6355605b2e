//! What an agent says about a printer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{JobId, PrinterId};
use crate::job::JobState;
use crate::raw::Extra;

open_words!(
    /// What a printer is doing, as far as its agent can tell.
    PrinterState {
        /// The port is missing or not open.
        Offline = "offline",
        /// The port is open, the firmware has not answered yet.
        Connecting = "connecting",
        /// Ready for a job.
        Idle = "idle",
        /// A job is being printed.
        Printing = "printing",
        /// A job is paused.
        Paused = "paused",
        /// The firmware stopped itself or was stopped; it needs a reset.
        Halted = "halted",
        /// It answers, but something has to be mended first.
        Error = "error",
    }
);

/// A printer in hello and presence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PrinterSummary {
    /// The printer.
    pub printer_id: PrinterId,
    /// The firmware profile in use.
    pub profile: String,
    /// Firmware name and version as it reported them.
    pub fw: String,
    /// What identifies the board, such as USB ids and serial number.
    pub fingerprint: String,
    /// What it is doing.
    pub state: PrinterState,
    /// Rises with every change of `state`.
    pub state_rev: u64,
    /// Rises when a start is sent to the printer; owned by the agent.
    pub bed_epoch: u64,
    /// Whether the bed counts as clear; absent where the agent asks nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bed_clear: Option<bool>,
    /// The job that is not finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_job: Option<ActiveJob>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A job that is not finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActiveJob {
    /// The job.
    pub job_id: JobId,
    /// Counts the starts of the job, from 1; 0 before the first.
    pub attempt: u32,
    /// Its state.
    pub state: JobState,
    /// Lines that the printer acked.
    pub line: u64,
    /// Bytes of the file that the printer acked.
    pub bytes: u64,
    /// Percent of the file's bytes.
    pub pct: f64,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}
