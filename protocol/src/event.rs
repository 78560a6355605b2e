//! Durable events of an agent, their batches and their ack.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::Audit;
use crate::bed::BedCleared;
use crate::command::CommandStatus;
use crate::config::ConfigApplied;
use crate::envelope::Stamp;
use crate::fault::FaultCode;
pub use crate::identity::IdentityChanged;
use crate::ids::{CmdId, Epoch, FileId, JobId, PrinterId, Seq, Sha256Hex};
pub use crate::job::{CommStats, Interruption};
use crate::job::{JobState, LineSpan, Outcome};
use crate::preflight::JobPreflight;
use crate::printer::PrinterState;
use crate::prompt::{PromptClosed, PromptOpened};
use crate::queue::JobUpdated;
use crate::raw::{DecodeError, Extra, Raw};
use crate::sensor::Sensor;
pub use crate::start::{AgentStarted, PrevExit};
use crate::telemetry::TelemMinutes;
pub use crate::update::{UpdateState, UpdateWord};
use crate::usage::{JobOverTime, JobUsage};

pub use crate::disk::{AgentHealth, FileEvicted};

kinds!(
    /// What happened, decoded from an event's `kind` and `data`.
    EventData {
        /// The agent began to run.
        AgentStarted(AgentStarted) = "agent.started",
        /// How the agent's machine does.
        AgentHealth(AgentHealth) = "agent.health",
        /// The agent is connected again.
        LinkSession(LinkSession) = "link.session",
        /// Telemetry of a time without connection.
        TelemMinutes(TelemMinutes) = "telem.minutes",
        /// A printer changed its state.
        PrinterState(PrinterStateChanged) = "printer.state",
        /// A printer or its connection has a fault.
        PrinterError(PrinterError) = "printer.error",
        /// Another printer answers at the configured port.
        PrinterFingerprintChanged(PrinterFingerprintChanged) = "printer.fingerprint_changed",
        /// A sensor of a printer has changed.
        Sensor(Sensor) = "sensor",
        /// Somebody has said that the bed is clear.
        BedCleared(BedCleared) = "bed.cleared",
        /// A job changed its state.
        JobState(JobStateChanged) = "job.state",
        /// A job's file was held against the printer.
        JobPreflight(Box<JobPreflight>) = "job.preflight",
        /// A job stands in the queue in another way.
        JobUpdated(JobUpdated) = "job.updated",
        /// A job passed a milestone.
        JobProgress(JobProgress) = "job.progress",
        /// An attempt ended.
        JobResult(Box<JobResult>) = "job.result",
        /// What an attempt has used.
        JobUsage(Box<JobUsage>) = "job.usage",
        /// A print takes longer than its permit allows.
        JobOverTime(JobOverTime) = "job.over_time",
        /// A file is complete and its digest fits.
        FileVerified(FileVerified) = "file.verified",
        /// A stored file made room for another.
        FileEvicted(FileEvicted) = "file.evicted",
        /// The firmware asks a person something.
        PromptOpened(PromptOpened) = "prompt.opened",
        /// The question is no longer open.
        PromptClosed(PromptClosed) = "prompt.closed",
        /// A command came to its end.
        CmdResult(CmdResult) = "cmd.result",
        /// Settings of the owner are in force, or are not.
        ConfigApplied(ConfigApplied) = "config.applied",
        /// How a wished update of the agent does.
        UpdateState(Box<UpdateState>) = "update.state",
        /// The agent signs with another key.
        IdentityChanged(Box<IdentityChanged>) = "identity.changed",
        /// Somebody did something that is kept for later.
        Audit(Audit) = "audit",
        /// Events were dropped.
        Gap(Gap) = "gap",
    }
);

impl EventData {
    /// The class of this kind. Unknown kinds count as critical, so that nothing is dropped by mistake.
    #[must_use]
    pub const fn class(&self) -> EventClass {
        match self {
            Self::AgentHealth(_)
            | Self::LinkSession(_)
            | Self::TelemMinutes(_)
            | Self::JobProgress(_)
            | Self::Sensor(_) => EventClass::Info,
            _ => EventClass::Critical,
        }
    }
}

/// How an event is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventClass {
    /// Committed to the disk before it is sent; never dropped below the hard cap.
    Critical,
    /// Committed in groups; the oldest are dropped first.
    Info,
}

/// One event. (agent, epoch, seq) names it for ever.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// The life of the outbox.
    pub epoch: Epoch,
    /// Its place in the epoch, without gaps from 1.
    pub seq: Seq,
    /// How it is kept.
    pub cls: EventClass,
    /// What happened.
    pub kind: String,
    /// The printer it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub printer_id: Option<PrinterId>,
    /// The job it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// The attempt it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// When it happened.
    pub ts: Stamp,
    /// The details, by `kind`; see [`Event::decode`].
    pub data: Raw,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Event {
    /// An event about nothing in particular; printer, job and attempt are set by the caller.
    #[must_use]
    pub fn new(epoch: Epoch, seq: Seq, ts: Stamp, data: &EventData) -> Self {
        Self {
            epoch,
            seq,
            cls: data.class(),
            kind: data.kind().to_owned(),
            printer_id: None,
            job_id: None,
            attempt: None,
            ts,
            data: data.encode(),
            extra: Extra::default(),
        }
    }

    /// The details.
    ///
    /// # Errors
    /// The kind is known and the data does not fit it.
    pub fn decode(&self) -> Result<EventData, DecodeError> {
        EventData::decode(&self.kind, &self.data)
    }
}

/// `events`: a batch in order, of one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Events {
    /// The events.
    pub items: Vec<Event>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `ack`: the owner has stored every event of this epoch up to this one. Other epochs need acks of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventAck {
    /// The epoch.
    pub epoch: Epoch,
    /// The last event stored.
    pub seq: Seq,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `link.session`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkSession {
    /// How long there was no connection, in ms.
    pub down_ms: u64,
    /// Why it was lost or could not be had.
    pub reason: String,
    /// Attempts it took.
    pub attempts: u32,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `printer.state`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PrinterStateChanged {
    /// The state before.
    pub from: PrinterState,
    /// The state now.
    pub to: PrinterState,
    /// Rises with every change.
    pub rev: u64,
    /// The bed epoch.
    pub bed_epoch: u64,
    /// Whether the bed counts as clear; absent where the agent asks nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bed_clear: Option<bool>,
    /// Why.
    pub cause: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `printer.error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PrinterError {
    /// The fault.
    pub code: FaultCode,
    /// What the printer said, or the error of the port.
    pub text: String,
    /// Refused lines per line sent, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resend_ratio: Option<f64>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `printer.fingerprint_changed`: nothing is printed until a person at the machine has accepted the printer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PrinterFingerprintChanged {
    /// What was known of the printer before: firmware, machine, UUID, USB ids and serial number, as far as told.
    pub from: String,
    /// What is known of the one that answers now.
    pub to: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `job.state`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobStateChanged {
    /// The state before; absent for a job that is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<JobState>,
    /// The state now.
    pub to: JobState,
    /// Rises by one with every change of this job.
    pub rev: u64,
    /// Why: a fault code or a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Lines of the file of which nobody knows whether the printer has carried them out; `job.resume` has to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<LineSpan>,
    /// What interrupted it: `agent`, `agent_stopped`, `host_power`, `printer_reset`, `both_power`, `cable`,
    /// `printer_halted`, `conversation`, `emergency_stop`, `file`, or a word of a later version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `job.progress`: sent at milestones only, telemetry has the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobProgress {
    /// Percent of the file's bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pct: Option<f64>,
    /// The layer that began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<u32>,
    /// Lines that the printer acked.
    pub line: u64,
    /// Bytes of the file that the printer acked.
    pub bytes: u64,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `job.result`: everything about an attempt that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobResult {
    /// How it ended.
    pub outcome: Outcome,
    /// The fault, when it did not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<FaultCode>,
    /// When its first line went out; absent when none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Stamp>,
    /// When it ended.
    pub ended: Stamp,
    /// From start to end, in ms.
    pub elapsed_ms: u64,
    /// Of which paused, in ms.
    pub paused_ms: u64,
    /// Filament by tool, in mm.
    #[serde(default)]
    pub filament_mm: Vec<f64>,
    /// Lines that the printer acked.
    pub line_acked: u64,
    /// Lines of the file that are sent to the printer.
    pub lines_total: u64,
    /// Bytes of the file that the printer acked.
    pub bytes: u64,
    /// Which copy of the job it was, from 1; absent for a job that is printed once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<u32>,
    /// How often the job is printed in all; the job goes back into the queue until that many are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copies: Option<u32>,
    /// How the serial line behaved.
    pub comm: CommStats,
    /// Where the agent itself was away during the attempt.
    #[serde(default)]
    pub interrupted: Vec<Interruption>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `file.verified`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileVerified {
    /// The file.
    pub file_id: FileId,
    /// Its digest, as the agent computed it.
    pub sha256: Sha256Hex,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `cmd.result`: the second and last receipt of a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CmdResult {
    /// The command.
    pub cmd_id: CmdId,
    /// How it ended.
    pub status: CommandStatus,
    /// The fault, unless it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<FaultCode>,
    /// For a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What the command returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Raw>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `gap`: events were dropped; this one stands in the place (`seq`) of the last of them, so that the sequence can be followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// How many.
    pub dropped: u64,
    /// Of which class.
    pub cls: EventClass,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}
