//! Commands between the wire and the desk: each is stored once, carried out at most once and ended once, whatever dies in between.
//!
//! Every turn holds at most one commit, so that a crash finds a command either before or behind it. What is not idempotent is
//! written `executing` before its first effect; what stands so after a crash is `indeterminate` and never tried again.

mod of_jobs;

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use spoolway_agent_core::Moment;
use spoolway_agent_core::link::inbox::InboxOptions;
use spoolway_agent_core::link::{Arrival, Inbox, InboxOutput, InboxRow, RestoredRow, StoredAs};
use spoolway_protocol::command::{Command, CommandArgs, CommandReceipt, CommandStatus};
use spoolway_protocol::event::{CmdResult, EventData};
use spoolway_protocol::session::NackCode;
use spoolway_protocol::{BootId, CmdId, Fault, PrinterId, Seq};
use tracing::info;

use self::of_jobs::CommandJobs;
use super::book::json;
use super::events::event;
use super::restore::meta;
use crate::clock::Clock;
use crate::store::{CommandRow, Durability, NewCommand, Store, StoreError, Write};

/// Name of the highest number with none missing below it, in the store.
pub(super) const CMD_SEQ: &str = "cmd_seq";
/// A result that could not be written is tried again after so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// A command as the store keeps it.
#[derive(Debug, Serialize, Deserialize)]
struct StoredCommand {
    command: Command,
    ttl_ms: Option<u64>,
    /// How old it was when it was stored.
    age_ms: u64,
    /// The boot in which it was stored, and when, on that boot's clock.
    boot: BootId,
    at_ms: u64,
}

/// What the desk has to do next.
#[derive(Debug)]
pub(super) enum Turn {
    /// Something was written, or could not be.
    Wrote(Result<(), StoreError>),
    /// Tell the backend that a command is stored.
    Receipt(CommandReceipt),
    /// Tell the backend that one was not taken.
    Nack(NackCode),
    /// Carry a command out: [`Intake::begin`] before its first effect if it says so, then [`Intake::end`].
    Execute { command: Box<Command>, args: CommandArgs, write_ahead: bool },
    /// Nothing until then, or until something is taken or ended.
    Wait(Option<Moment>),
}

/// The commands of the owning backend, in memory and in the store.
#[derive(Debug)]
pub(super) struct Intake {
    machine: Inbox,
    store: Store,
    clock: Clock,
    /// Results that the store refused, and when to try again; there are never more than open commands.
    untold: VecDeque<CmdResult>,
    again: Moment,
    patience: Duration,
    /// For the log.
    jobs: CommandJobs,
}

impl Intake {
    /// Begins with what the store holds.
    pub(super) async fn open(store: &Store, clock: &Clock) -> Result<Self, StoreError> {
        let floor = store.meta(CMD_SEQ).await?.and_then(|text| text.parse().ok()).unwrap_or(0);
        let rows = store.open_commands().await?.iter().filter_map(|row| restored(row, clock)).collect();
        let options = InboxOptions {
            default_printer: PrinterId::new(super::show::PRINTER_ID).ok(),
            ..InboxOptions::default()
        };
        let machine = Inbox::restore(clock.now(), options, Seq(floor), rows);
        info!(cmd_seq = machine.cmd_seq().0, "commands restored");
        Ok(Self {
            machine,
            store: store.clone(),
            clock: clock.clone(),
            untold: VecDeque::new(),
            again: Moment::ZERO,
            patience: PATIENCE,
            jobs: CommandJobs::default(),
        })
    }

    /// Everything up to this number is stored.
    pub(super) fn cmd_seq(&self) -> Seq {
        self.machine.cmd_seq()
    }

    /// A command arrived.
    pub(super) fn take(
        &mut self,
        command: Command,
        (ttl_ms, age_ms): (Option<u64>, u64),
        unsigned: Option<Fault>,
    ) {
        let arrival = Arrival { command, ttl_ms, age_ms, id: None, unsigned };
        self.machine.handle_command(self.clock.now(), arrival);
    }

    /// The next thing to do.
    pub(super) async fn turn(&mut self) -> Turn {
        let now = self.clock.now();
        if now >= self.again
            && let Some(result) = self.untold.pop_front()
        {
            return self.finish(result).await;
        }
        match self.machine.poll_output(now) {
            InboxOutput::Store { row, result } => self.keep(*row, result).await,
            InboxOutput::Receipt(receipt) => Turn::Receipt(receipt),
            InboxOutput::Execute { command, args, write_ahead } => {
                Turn::Execute { command, args, write_ahead }
            }
            InboxOutput::Finish(result) => self.finish(result).await,
            InboxOutput::Nack { code, .. } => Turn::Nack(code),
            InboxOutput::Wait(wake) => {
                let again = (!self.untold.is_empty()).then_some(self.again);
                Turn::Wait(wake.into_iter().chain(again).min())
            }
        }
    }

    /// From now on the command may have had an effect; nothing of it may happen before this has answered.
    pub(super) async fn begin(&self, cmd_id: CmdId) -> Result<(), StoreError> {
        self.commit(vec![set_command(cmd_id, CommandStatus::Executing, None)]).await
    }

    /// A command has come to its end.
    pub(super) fn end(&mut self, result: CmdResult) {
        self.machine.handle_finished(result);
    }

    async fn keep(&mut self, row: InboxRow, result: Option<CmdResult>) -> Turn {
        let (cmd_id, seq) = (row.command.cmd_id, row.command.seq);
        match self.store.knows_command(&cmd_id.to_string(), seq.0).await {
            Ok(false) => {}
            Ok(true) => {
                self.machine.handle_stored(cmd_id, StoredAs::Existing);
                return Turn::Wrote(Ok(()));
            }
            Err(error) => {
                self.machine.handle_stored(cmd_id, StoredAs::Failed);
                return Turn::Wrote(Err(error));
            }
        }
        let command = &row.command;
        let job = self.jobs.learn(command);
        info!(command = %cmd_id, kind = command.kind, job, role = command.actor.role, "command received");
        let status = row.status;
        let mut writes =
            vec![Write::InsertCommand(self.new_command(row)), meta(CMD_SEQ, self.machine.cmd_seq().0)];
        match result {
            Some(result) => writes.extend(self.write_result(&result)),
            None => writes.push(set_command(cmd_id, status, None)),
        }
        let committed = self.commit(writes).await;
        let stored = if committed.is_ok() { StoredAs::New } else { StoredAs::Failed };
        self.machine.handle_stored(cmd_id, stored);
        Turn::Wrote(committed)
    }

    fn new_command(&self, row: InboxRow) -> NewCommand {
        let stored = StoredCommand {
            ttl_ms: row.ttl_ms,
            age_ms: row.age_ms,
            boot: self.clock.boot_id().clone(),
            at_ms: self.clock.now().as_millis(),
            command: row.command,
        };
        NewCommand {
            cmd_id: stored.command.cmd_id.to_string(),
            seq: Some(stored.command.seq.0),
            printer_id: stored.command.printer_id.as_ref().map(ToString::to_string),
            kind: stored.command.kind.clone(),
            body_json: json(&stored),
            received_ms: self.clock.unix_ms(),
        }
    }

    /// Status and event in one transaction. One that the store refuses is kept and tried again: until then, and after a crash, the
    /// command has not ended.
    async fn finish(&mut self, result: CmdResult) -> Turn {
        let job = self.jobs.forget(result.cmd_id);
        info!(command = %result.cmd_id, job, status = ?result.status, detail = result.detail, "command ended");
        let committed = match self.commit(self.write_result(&result)).await {
            // An earlier try was committed although its answer was lost.
            Err(StoreError::CommandEnded(_)) => Ok(()),
            committed => committed,
        };
        // Only a device comes to its senses again.
        if committed.as_ref().is_err_and(StoreError::is_storage) {
            self.untold.push_back(result);
            self.again = self.clock.now() + self.patience;
        }
        Turn::Wrote(committed)
    }

    fn write_result(&self, result: &CmdResult) -> Vec<Write> {
        let told = EventData::CmdResult(result.clone());
        vec![
            set_command(result.cmd_id, result.status, Some(json(result))),
            event(&told, None, &self.clock.stamp()),
        ]
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.store.commit(writes, Durability::Promise).await.map(drop)
    }
}

fn set_command(cmd_id: CmdId, status: CommandStatus, result_json: Option<String>) -> Write {
    let word = serde_json::to_value(status).expect("a status is a word");
    let status = word.as_str().unwrap_or_default().to_owned();
    Write::SetCommand { cmd_id: cmd_id.to_string(), status, result_json }
}

fn restored(row: &CommandRow, clock: &Clock) -> Option<RestoredRow> {
    let stored: StoredCommand = serde_json::from_str(&row.command.body_json).ok()?;
    let status = serde_json::from_value(serde_json::Value::String(row.status.clone())).ok()?;
    let same_boot = stored.boot == *clock.boot_id();
    let age_ms =
        same_boot.then(|| stored.age_ms.saturating_add(clock.now().as_millis().saturating_sub(stored.at_ms)));
    let row = InboxRow { command: stored.command, ttl_ms: stored.ttl_ms, age_ms: stored.age_ms, status };
    Some(RestoredRow { row, age_ms })
}

#[cfg(test)]
mod tests;
