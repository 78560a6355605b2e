//! What was found in a job's file when it was held against the printer, and the word of a person who starts it all the same.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::JobId;
use crate::raw::Extra;

open_words!(
    /// What becomes of a job after its file was looked through.
    PreflightVerdict {
        /// It goes on.
        Passed = "passed",
        /// It goes on, because a person has accepted what was found.
        Overridden = "overridden",
        /// It waits in `awaiting_operator` for `job.override` or `job.cancel`.
        NeedsOverride = "needs_override",
        /// The printer cannot take the file at all; the job fails.
        Refused = "refused",
    }
);

open_words!(
    /// How bad a finding is.
    FindingSeverity {
        /// Worth knowing.
        Info = "info",
        /// The print may turn out badly.
        Warning = "warning",
        /// The job waits until a person overrides it.
        Error = "error",
        /// The printer cannot take the file at all.
        Fatal = "fatal",
    }
);

/// `job.preflight`: a job's file was held against the printer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobPreflight {
    /// What becomes of the job.
    pub verdict: PreflightVerdict,
    /// What was found, the worst first.
    pub findings: Vec<PreflightFinding>,
    /// What the file holds.
    pub summary: FileSummary,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Something that was found in a file, once or many times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PreflightFinding {
    /// Its stable code, such as `outside-volume`; the agent's documentation lists all.
    pub code: String,
    /// How bad it is.
    pub severity: FindingSeverity,
    /// What it is about, where one code may be about several things (`M500`, `T3`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Line of the file at which it was found first, from 1; absent when it is about the file as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The next few lines at which it was found again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_lines: Vec<u64>,
    /// How often it was found.
    pub count: u64,
    /// What was found first, for a person.
    pub text: String,
    /// What the file has, with its unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What the printer takes, with its unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// What to do about it.
    pub help: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What a file holds, by its commands and by the comments of its slicer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct FileSummary {
    /// Commands that are sent to the printer.
    pub commands: u64,
    /// Lines of the file.
    pub lines: u64,
    /// Layers that the slicer has marked.
    pub layers: u32,
    /// Moves.
    pub moves: u64,
    /// Time of all moves at their feed rates, in seconds; acceleration and heating make a print longer.
    pub move_s: f64,
    /// Time that the serial line will add, because it cannot carry the moves fast enough, in seconds.
    pub link_waits_s: f64,
    /// Filament by the moves, in millimetres, over all tools.
    pub filament_mm: f64,
    /// The box around what is fed: least X, Y and Z, then greatest, in millimetres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounds_mm: Option<[[f64; 3]; 2]>,
    /// Greatest temperature of a hot end, in degrees Celsius.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hotend_c: Option<f64>,
    /// The same of the bed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bed_c: Option<f64>,
    /// Name and version of the slicer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slicer: Option<String>,
    /// Model of printer that the slicer names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Flavour of firmware that the slicer names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flavour: Option<String>,
    /// Nozzles that the slicer names, in millimetres, by tool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nozzles_mm: Vec<f64>,
    /// Filaments that the slicer names, by tool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filaments: Vec<String>,
    /// How long the slicer thinks that the print takes, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate_s: Option<u64>,
    /// Filament that the slicer names, in millimetres, by tool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub estimate_filament_mm: Vec<f64>,
    /// The same in grams, over all tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate_filament_g: Option<f64>,
    /// Objects that have labels; `job.skip_object` leaves one out. At most 64 are named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `job.override`: a person has seen what was found, and the job is to start all the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OverrideArgs {
    /// The job.
    pub job_id: JobId,
    /// Codes of the findings that were seen and are accepted. Each error has to be among them.
    pub codes: Vec<String>,
    /// Why, for the audit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}
