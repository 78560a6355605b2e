//! Commands of the owning backend, their receipt and their status.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bed::BedClearArgs;
use crate::config::ConfigSetArgs;
use crate::hand::{
    ConnectArgs, DisconnectArgs, EvictArgs, HeatersOffArgs, HomeArgs, IdentifyArgs, JogArgs, LightArgs,
    RestartArgs, SetTempArgs,
};
use crate::identity::RotateArgs;
use crate::ids::{AgentId, CmdId, JobId, PrinterId, Seq};
use crate::job::{CancelArgs, JobState, OfferArgs, PauseArgs, ResumeArgs, StartArgs};
use crate::preflight::OverrideArgs;
use crate::prompt::PromptAnswerArgs;
use crate::queue::{JobUpdateArgs, SkipObjectArgs};
use crate::raw::{B64, DecodeError, Extra, Raw};
use crate::record::RecordArgs;
use crate::telemetry::TelemConfigArgs;
use crate::update::{UpdateArgs, UpdateWithdrawArgs};

kinds!(
    /// What a command asks for, decoded from its `kind` and `args`.
    CommandArgs {
        /// A job the agent may take.
        JobOffer(Box<OfferArgs>) = "job.offer",
        /// Print it earlier, later, more often, or not yet.
        JobUpdate(JobUpdateArgs) = "job.update",
        /// Print it now. Not idempotent.
        JobStart(StartArgs) = "job.start",
        /// Start it in spite of what was found in its file.
        JobOverride(OverrideArgs) = "job.override",
        /// Stop it for good.
        JobCancel(CancelArgs) = "job.cancel",
        /// Hold it.
        JobPause(PauseArgs) = "job.pause",
        /// Go on. Not idempotent.
        JobResume(ResumeArgs) = "job.resume",
        /// Leave one of several objects out.
        JobSkipObject(SkipObjectArgs) = "job.skip_object",
        /// What is known of an attempt that failed or was interrupted.
        JobRecord(RecordArgs) = "job.record",
        /// Somebody has looked: the bed is clear.
        BedClear(BedClearArgs) = "bed.clear",
        /// Stop the printer at once.
        PrinterEstop(EstopArgs) = "printer.estop",
        /// Send single commands. Not idempotent.
        PrinterGcode(GcodeArgs) = "printer.gcode",
        /// Home axes. Not idempotent.
        PrinterHome(HomeArgs) = "printer.home",
        /// Move by so much. Not idempotent.
        PrinterJog(JogArgs) = "printer.jog",
        /// Heat something. Not idempotent: nothing gets warm by itself after a restart.
        PrinterSetTemp(SetTempArgs) = "printer.set_temp",
        /// Switch all heaters off.
        PrinterHeatersOff(HeatersOffArgs) = "printer.heaters_off",
        /// Switch the light.
        PrinterLight(LightArgs) = "printer.light",
        /// Have the machine make itself known.
        PrinterIdentify(IdentifyArgs) = "printer.identify",
        /// Take up the port again.
        PrinterConnect(ConnectArgs) = "printer.connect",
        /// Let go of the port.
        PrinterDisconnect(DisconnectArgs) = "printer.disconnect",
        /// Delete a file that no job needs.
        FileEvict(EvictArgs) = "file.evict",
        /// Begin anew. Not idempotent.
        AgentRestart(RestartArgs) = "agent.restart",
        /// Install another version of the agent when nothing is printed.
        AgentUpdate(UpdateArgs) = "agent.update",
        /// Take such a wish back.
        AgentUpdateWithdraw(UpdateWithdrawArgs) = "agent.update_withdraw",
        /// Set what the owner may set.
        ConfigSet(ConfigSetArgs) = "config.set",
        /// How often telemetry is wanted.
        TelemConfig(TelemConfigArgs) = "telem.config",
        /// Answer a question of the firmware. Not idempotent.
        PromptAnswer(PromptAnswerArgs) = "prompt.answer",
        /// Make a new key. Not idempotent.
        IdentityRotate(RotateArgs) = "identity.rotate",
    }
);

impl CommandArgs {
    /// Whether carrying it out twice is the same as once. Others are never run again after a crash: whatever sets something in motion, a
    /// word on lines in doubt or an answer, which a second time might be taken for another question, and a change of the key.
    #[must_use]
    pub const fn is_idempotent(&self) -> bool {
        !matches!(
            self,
            Self::JobStart(_)
                | Self::JobResume(_)
                | Self::PrinterGcode(_)
                | Self::PrinterHome(_)
                | Self::PrinterJog(_)
                | Self::PrinterSetTemp(_)
                | Self::AgentRestart(_)
                | Self::PromptAnswer(_)
                | Self::IdentityRotate(_)
                | Self::Unknown { .. }
        )
    }

    /// Whether it moves or heats the machine outside of a job, sends what may, or changes the program. Where starts need a permit these need
    /// a signature, so that a relay that was taken over can do none of it.
    #[must_use]
    pub const fn needs_signature(&self) -> bool {
        matches!(
            self,
            Self::PrinterGcode(_)
                | Self::PrinterHome(_)
                | Self::PrinterJog(_)
                | Self::PrinterSetTemp(_)
                | Self::AgentUpdate(_)
        )
    }

    /// Whether it overtakes the commands that wait for the same printer.
    #[must_use]
    pub const fn is_urgent(&self) -> bool {
        matches!(
            self,
            Self::PrinterEstop(_) | Self::JobCancel(_) | Self::JobPause(_) | Self::PrinterHeatersOff(_)
        )
    }
}

/// What a command's signature begins with.
const SIGNATURE_DOMAIN: &[u8] = b"spoolway-v1-cmd\0";

/// `cmd`: a command. Its lane, TTL and age stand in the envelope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Command {
    /// Unique for ever.
    pub cmd_id: CmdId,
    /// Its place among the owner's commands to this agent.
    pub seq: Seq,
    /// The printer it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub printer_id: Option<PrinterId>,
    /// What it asks for.
    pub kind: String,
    /// The arguments, by `kind`; see [`Command::decode`].
    pub args: Raw,
    /// On whose behalf.
    pub actor: Actor,
    /// Fields of this command that the agent must understand to carry it out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must: Vec<String>,
    /// What has to hold, or the command is rejected.
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    pub precondition: Option<Precondition>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
    /// The backend's Ed25519 over [`Command::signed_bytes`]: the body without this member, which is the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sig: Option<B64>,
}

impl Command {
    /// The fields that `must` may name.
    pub const FIELDS: &'static [&'static str] = &["printer_id", "if", "sig"];

    /// The arguments.
    ///
    /// # Errors
    /// The kind is known and the arguments do not fit it.
    pub fn decode(&self) -> Result<CommandArgs, DecodeError> {
        CommandArgs::decode(&self.kind, &self.args)
    }

    /// The bytes a backend signs: domain, the agent that is meant, and the body as it travels, without `sig`. A relay can so neither make
    /// up a command nor send one to another agent of the same backend.
    #[must_use]
    pub fn signed_bytes(agent: &AgentId, unsigned_body: &str) -> Vec<u8> {
        let agent = agent.to_string();
        [SIGNATURE_DOMAIN, agent.as_bytes(), b"\0", unsigned_body.as_bytes()].concat()
    }

    /// The first name in `must` that this version does not understand.
    #[must_use]
    pub fn not_understood(&self) -> Option<&str> {
        self.must.iter().map(String::as_str).find(|name| !Self::FIELDS.contains(name))
    }
}

/// On whose behalf a command was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Actor {
    /// Who, in the backend's words.
    pub id: String,
    /// In which role.
    pub role: String,
    /// By which decision, for audits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What has to hold when a command is carried out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Precondition {
    /// This job is the active one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// In this attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// In one of these states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_in: Option<Vec<JobState>>,
    /// The printer's `state_rev` is this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_rev: Option<u64>,
    /// The bed epoch is this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bed_epoch: Option<u64>,
    /// Conditions this version does not know; a command that has one is rejected.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `printer.estop`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct EstopArgs {
    /// For a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `printer.gcode`: single commands, each of them one that the role of the command's actor may send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GcodeArgs {
    /// The commands, in order: 1 to 8.
    pub lines: Vec<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What a `printer.gcode` returns, in `data` of its `cmd.result`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct GcodeReplies {
    /// What the printer said to each command that was carried out, without mere acknowledgements.
    pub replies: Vec<Vec<String>>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `cmd.recv`: the command is stored at the agent; the backend need not send it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommandReceipt {
    /// The command.
    pub cmd_id: CmdId,
    /// Its seq.
    pub seq: Seq,
    /// Whether it had been stored before.
    pub dup: bool,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Where a command stands. Closed: a new status is a new protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandStatus {
    /// Stored.
    Received,
    /// Checked, waiting for its turn.
    Accepted,
    /// Its effect may have begun.
    Executing,
    /// It had its effect.
    Done,
    /// It was tried and had no or only part of its effect.
    Failed,
    /// It was not tried.
    Rejected,
    /// Its TTL ran out before its turn; it was not tried.
    Expired,
    /// Another command took it back before its turn.
    Cancelled,
    /// The agent died while it was executing; it is never run again.
    Indeterminate,
}

impl CommandStatus {
    /// Whether nothing follows.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Received | Self::Accepted | Self::Executing)
    }
}
