//! What people and programs are shown of the agent: plain values, put together by the desk.

use serde::{Deserialize, Serialize};
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::{Fault, JobId, JobState};

/// The whole agent at a glance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// This agent's id.
    pub agent_id: String,
    /// Version of the program.
    pub version: String,
    /// How long it has been running, in milliseconds.
    pub uptime_ms: u64,
    /// The printer.
    pub printer: PrinterView,
    /// The job that holds the printer.
    pub job: Option<JobView>,
    /// The connection to the relay.
    pub link: LinkView,
    /// Jobs that wait.
    pub jobs_waiting: u64,
    /// Events that the backend has not yet acknowledged.
    pub events_unacked: u64,
}

/// The printer and its port.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PrinterView {
    /// State in the protocol's words.
    pub state: PrinterState,
    /// Path of the port.
    pub port: String,
    /// Bits per second.
    pub baud: u32,
    /// Profile in force.
    pub profile: Option<String>,
    /// Whether a source or a recorded conversation backs the profile.
    pub profile_verified: bool,
    /// What the firmware calls itself.
    pub firmware: Option<String>,
    /// Window in force, in words (`127 bytes, 32 lines`).
    pub window: Option<String>,
    /// Hot ends: actual and target in degrees Celsius.
    pub tools: Vec<(f32, Option<f32>)>,
    /// Bed: actual and target.
    pub bed: Option<(f32, Option<f32>)>,
    /// Share of the wire in use over the last second, from 0 to 1.
    pub link_use: f32,
    /// Lines acknowledged over the last second.
    pub lines_per_s: f32,
    /// Lines refused since the port was opened.
    pub refusals: u64,
    /// What is wrong, if anything is.
    pub fault: Option<FaultView>,
}

/// A job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobView {
    /// Id.
    pub job_id: JobId,
    /// Name of its file.
    pub name: String,
    /// Where it stands.
    pub state: JobState,
    /// Number of the present or last attempt; 0 before the first.
    pub attempt: u32,
    /// Commands acknowledged.
    pub commands_acked: u64,
    /// Commands in the file; 0 while unknown.
    pub commands_total: u64,
    /// Line of the file that was acknowledged last.
    pub line: u64,
    /// Layer by the slicer's marks.
    pub layer: u32,
    /// Layers in the file.
    pub layers_total: u32,
    /// Bytes of the file acknowledged.
    pub bytes: u64,
    /// Bytes of the file.
    pub size: u64,
    /// Why it stands where it stands.
    pub reason: Option<String>,
    /// When it was accepted, unix milliseconds.
    pub created_ms: u64,
}

/// The connection to the relay.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LinkView {
    /// Relay, if one is configured.
    pub relay: Option<String>,
    /// Whether a session stands.
    pub up: bool,
    /// Session id.
    pub session: Option<String>,
    /// Since when the state holds, unix milliseconds.
    pub since_ms: u64,
    /// Why the last attempt failed.
    pub fault: Option<FaultView>,
}

/// A fault with its stable code and what to try.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FaultView {
    /// Stable code.
    pub code: String,
    /// What happened, with the names of the things concerned.
    pub text: String,
    /// What to try.
    pub help: String,
}

impl FaultView {
    /// A fault, and what it happened to.
    #[must_use]
    pub fn new(fault: Fault, text: impl Into<String>) -> Self {
        Self { code: fault.code().to_owned(), text: text.into(), help: fault.help().to_owned() }
    }
}

/// Something that was asked for and is not done.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// Stable code.
    pub fault: Fault,
    /// What was wrong, with the names of the things concerned.
    pub text: String,
}

impl Refusal {
    /// A refusal.
    #[must_use]
    pub fn new(fault: Fault, text: impl Into<String>) -> Self {
        Self { fault, text: text.into() }
    }
}

impl From<Refusal> for FaultView {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.fault, refusal.text)
    }
}
