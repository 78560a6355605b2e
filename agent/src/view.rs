//! What people and programs are shown of the agent: plain values, put together by the desk.

pub mod history;
pub mod recovery;

use serde::{Deserialize, Serialize};
use spoolway_agent_core::update::Stage;
use spoolway_protocol::event::UpdateState;
use spoolway_protocol::preflight::PreflightFinding;
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::{CmdId, Fault, JobId, JobState, PromptId};

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
    /// The first job that goes on only once a person has seen to it, while none holds the printer: its print was interrupted, or errors
    /// were found in its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_a_person: Option<JobView>,
    /// The connection to the relay.
    pub link: LinkView,
    /// The bed.
    #[serde(default)]
    pub bed: Option<BedView>,
    /// Whose permits are taken.
    #[serde(default)]
    pub permits: PermitsView,
    /// What the agent takes on the disk, and what it writes.
    #[serde(default)]
    pub storage: Option<StorageView>,
    /// Jobs that wait.
    pub jobs_waiting: u64,
    /// Events that the backend has not yet acknowledged.
    pub events_unacked: u64,
    /// The maintenance window, while it is open.
    #[serde(default)]
    pub maintenance: Option<MaintenanceView>,
    /// A wished update of the agent, and how the last one ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdateView>,
}

/// A wished update of the agent, and how the last one ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdateView {
    /// The command that wished it; nothing while none is wished.
    #[serde(default)]
    pub id: Option<CmdId>,
    /// The version; nothing for the newest.
    #[serde(default)]
    pub version: Option<String>,
    /// How far it is.
    #[serde(default)]
    pub stage: Option<Stage>,
    /// Not before, in unix milliseconds.
    #[serde(default)]
    pub not_before: Option<u64>,
    /// Not begun after, in unix milliseconds.
    #[serde(default)]
    pub not_after: Option<u64>,
    /// What it waits for.
    #[serde(default)]
    pub why: Option<String>,
    /// What was told last, of this or an earlier one.
    #[serde(default)]
    pub last: Option<UpdateState>,
}

/// A maintenance window that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceView {
    /// How long it stays open, in seconds.
    pub left_s: u64,
    /// Who opened it.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

/// The bed, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BedView {
    /// How many starts were sent; a word about the bed names it.
    pub epoch: u64,
    /// Whether it counts as clear.
    pub clear: bool,
    /// Whether a job waits until somebody has said so.
    pub confirm_required: bool,
    /// The part that was begun on it last, in words.
    pub part: Option<String>,
    /// Jobs that were interrupted; to clear the bed gives them up.
    #[serde(default)]
    pub interrupted: Vec<JobId>,
}

/// Whose permits are taken, and whether a start of the backend needs one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitsView {
    /// Whether one is needed.
    pub required: bool,
    /// Names of the backend's keys.
    pub keys: Vec<String>,
}

/// What the agent takes on the disk, and what it writes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StorageView {
    /// Free on the device, in bytes.
    pub free_bytes: u64,
    /// What job files leave free, in bytes.
    pub reserve_bytes: u64,
    /// Job files.
    pub files: AreaView,
    /// The database and its log.
    pub database: AreaView,
    /// What is kept for a later look: damaged databases that were set aside, the last words on the wire.
    pub kept: AreaView,
    /// What was written; none where the kernel does not tell.
    pub written: Option<WrittenView>,
    /// Why nothing can be written, while that is so; a print that is under way goes on.
    #[serde(default)]
    pub fault: Option<FaultView>,
}

/// One area of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AreaView {
    /// Taken, in bytes.
    pub used_bytes: u64,
    /// The most that it may take, in bytes; none if only the disk bounds it.
    pub max_bytes: Option<u64>,
}

/// What this process has sent towards the device.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WrittenView {
    /// Since it was started, in bytes.
    pub bytes: u64,
    /// Job files among it, in bytes.
    pub files_bytes: u64,
    /// In a day beyond job files, in units of 10^6 bytes; none before ten minutes have been watched.
    pub mb_a_day: Option<f64>,
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
    /// How the wire does in the present or last job.
    #[serde(default)]
    pub wire: Option<WireView>,
    /// The question that the firmware asks.
    #[serde(default)]
    pub prompt: Option<PromptView>,
    /// What the firmware has said last for a person.
    #[serde(default)]
    pub note: Option<String>,
    /// Whether somebody has said at the printer that it is ready, where it has a button for that.
    #[serde(default)]
    pub ready: Option<bool>,
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
    /// What the agent's guard has found and is not over.
    #[serde(default)]
    pub alarms: Vec<FaultView>,
}

/// How the wire does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WireView {
    /// Rule of the window, in the profile's words.
    pub rule: String,
    /// Un-acknowledged bytes at most.
    pub window_bytes: u64,
    /// Un-acknowledged lines at most.
    pub window_lines: u64,
    /// Lines that are taken to lie in the firmware's own queue.
    pub queue_lines: u64,
    /// How often the window was narrowed because the firmware dropped bytes.
    pub narrowed: u32,
    /// Time from a line to its acknowledgement, in ms: half are not above.
    pub rtt_ms_p50: f64,
    /// The same: 99 of 100 are not above.
    pub rtt_ms_p99: f64,
    /// Time between two acknowledged lines, in ms: 999 of 1000 are not above.
    pub gap_ms_p999: f64,
    /// How long the planner has stood empty, by estimate, in ms.
    pub starved_ms: f64,
    /// How often that was so.
    pub starvations: u64,
    /// Lines sent again per line sent, 0 to 1.
    pub resend_ratio: f32,
}

/// A question of the firmware.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptView {
    /// Its name.
    pub prompt_id: PromptId,
    /// What is asked.
    pub text: String,
    /// What can be answered, by place from 0.
    pub choices: Vec<String>,
}

/// A line of the conversation with the printer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireLineView {
    /// When, in ms since the agent's machine was started.
    pub at_ms: u64,
    /// `agent` or `printer`.
    pub from: String,
    /// What was said.
    pub text: String,
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
    /// The stable code of that, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What interrupted it, while it is interrupted.
    #[serde(default)]
    pub loss: Option<recovery::LossView>,
    /// What was found in its file, the worst first, without what is merely worth knowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<PreflightFinding>,
    /// When it was accepted, unix milliseconds.
    pub created_ms: u64,
    /// Rises with every change.
    #[serde(default)]
    pub rev: u64,
    /// Higher goes first.
    #[serde(default)]
    pub priority: i32,
    /// How often it is printed in all.
    #[serde(default)]
    pub copies: u32,
    /// How many of these are done.
    #[serde(default)]
    pub copies_done: u32,
    /// Whether somebody holds it.
    #[serde(default)]
    pub held: bool,
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
    /// The same on the clock since the machine's boot, which nobody sets.
    #[serde(default)]
    pub since_boot_ms: u64,
    /// How long the state has held, in milliseconds.
    #[serde(default)]
    pub for_ms: u64,
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

/// What was forgotten, and whether the relay knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgottenView {
    /// Who this agent was; nothing when it had no key, or one that could not be read.
    #[serde(default)]
    pub agent_id: Option<String>,
    /// Its relay, if it had one.
    #[serde(default)]
    pub relay: Option<String>,
    /// Why the relay has not revoked the key; nothing when it has, or has never known it.
    #[serde(default)]
    pub untold: Option<String>,
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
