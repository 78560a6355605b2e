//! What became of a job, with times: as it is stored beside the job, and as it is shown.

use serde::{Deserialize, Serialize};
use spoolway_protocol::job::JobState;

use super::JobView;

/// A job has come into a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The state.
    pub to: JobState,
    /// When, by the wall clock in unix ms.
    pub at_ms: u64,
    /// Nobody had set that clock.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsure: bool,
    /// The attempt; 0 before the first.
    #[serde(default)]
    pub attempt: u32,
    /// The stable code of why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What an attempt has used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Used {
    /// The attempt.
    pub attempt: u32,
    /// Without pauses.
    pub printing_ms: u64,
    /// Pauses.
    pub paused_ms: u64,
    /// By tool; nothing when the file could not be read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filament_mm: Option<Vec<f64>>,
    /// Lines that the firmware refused.
    #[serde(default)]
    pub resends: u64,
    /// How often a reply was missing.
    #[serde(default)]
    pub timeouts: u64,
    /// Longest time between two acknowledged lines.
    #[serde(default)]
    pub max_gap_ms: u64,
}

/// An attempt at a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptView {
    /// From 1.
    pub attempt: u32,
    /// Unix ms.
    pub started_ms: u64,
    /// Unix ms; nothing while it is under way.
    pub ended_ms: Option<u64>,
    /// In a word.
    pub outcome: Option<String>,
    /// Line of the file that was acknowledged last.
    pub line: Option<u64>,
    /// Why it ended so.
    pub reason: Option<String>,
    /// What it has used.
    pub used: Option<Used>,
    /// Whether there is a post-mortem record of it.
    #[serde(default)]
    pub record: bool,
}

/// What became of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HistoryView {
    /// How it stands.
    pub job: JobView,
    /// Who gave it: `local`, or the user as the backend names them.
    pub owner: String,
    /// Its states, in order.
    pub steps: Vec<Step>,
    /// Steps in the middle that are not kept.
    #[serde(default)]
    pub steps_left_out: u64,
    /// Its attempts, the first of a job of many left out.
    pub attempts: Vec<AttemptView>,
}
