//! Commands in: stored once, told once, carried out at most once, in order but for what is urgent.

use std::collections::{BTreeMap, VecDeque};

use spoolway_protocol::command::{Command, CommandArgs, CommandReceipt, CommandStatus};
use spoolway_protocol::envelope::Envelope;
use spoolway_protocol::event::CmdResult;
use spoolway_protocol::fault::Fault;
use spoolway_protocol::ids::{CmdId, MsgId, PrinterId, Seq};
use spoolway_protocol::raw::Extra;
use spoolway_protocol::session::NackCode;

use super::floor::SeqFloor;
use super::judge::{self, Verdict};
use super::lanes::{Lanes, Stop, Waiting};
use crate::moment::Moment;

/// Emergency stops that are remembered, so that a repeat does not stop the printer again.
const RECENT_ESTOPS: usize = 64;

/// Bounds and names of an [`Inbox`].
#[derive(Debug, Clone)]
pub struct InboxOptions {
    /// The printer of commands that name none.
    pub default_printer: Option<PrinterId>,
    /// Commands that may wait; stops are taken up to twice as many.
    pub capacity: usize,
}

impl Default for InboxOptions {
    fn default() -> Self {
        Self { default_printer: None, capacity: 256 }
    }
}

/// A command as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// The command.
    pub command: Command,
    /// How long it is worth anything, in ms.
    pub ttl_ms: Option<u64>,
    /// How old it was on arrival, in ms.
    pub age_ms: u64,
    /// The message that brought it.
    pub id: Option<MsgId>,
    /// What is wrong with its signature, where it needs one.
    pub unsigned: Option<Fault>,
}

impl Arrival {
    /// The command of an envelope.
    #[must_use]
    pub fn new(envelope: &Envelope, command: Command) -> Self {
        Self {
            command,
            ttl_ms: envelope.ttl_ms,
            age_ms: envelope.age_ms.unwrap_or(0),
            id: envelope.id.clone(),
            unsigned: None,
        }
    }
}

/// A row of the store: unique by `cmd_id`, kept for as long as the backend might send the command again.
#[derive(Debug, Clone, PartialEq)]
pub struct InboxRow {
    /// The command.
    pub command: Command,
    /// How long it is worth anything, in ms.
    pub ttl_ms: Option<u64>,
    /// How old it was when it was stored, in ms.
    pub age_ms: u64,
    /// Where it stands.
    pub status: CommandStatus,
}

/// A row after a restart.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoredRow {
    /// The row.
    pub row: InboxRow,
    /// How old the command is now, in ms; `None` when that cannot be told, as after a reboot without a clock.
    pub age_ms: Option<u64>,
}

/// What the store made of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredAs {
    /// It is committed, with its result if there was one.
    New,
    /// There was a row of this `cmd_id`; nothing was written.
    Existing,
    /// It could not be written.
    Failed,
}

/// What the shell has to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum InboxOutput {
    /// Commit the row (FULL) unless there is one of its `cmd_id`; a result goes in the same transaction as an event `cmd.result`. Answer with
    /// [`Inbox::handle_stored`].
    Store {
        /// The row.
        row: Box<InboxRow>,
        /// The result of a command that is refused.
        result: Option<CmdResult>,
    },
    /// Send the first receipt.
    Receipt(CommandReceipt),
    /// Carry it out and answer with [`Inbox::handle_finished`].
    Execute {
        /// The command; its preconditions are checked by the shell now.
        command: Box<Command>,
        /// Its arguments.
        args: CommandArgs,
        /// Whether the status `executing` has to be committed (FULL) before the first effect.
        write_ahead: bool,
    },
    /// Commit the status and the event `cmd.result` in one transaction.
    Finish(CmdResult),
    /// Tell the backend that the command was not taken.
    Nack {
        /// The message that brought it.
        re: Option<MsgId>,
        /// Why.
        code: NackCode,
    },
    /// Nothing until then; `None` means until something is handled.
    Wait(Option<Moment>),
}

/// A command whose row is being written.
#[derive(Debug)]
struct Storing {
    seq: Seq,
    id: Option<MsgId>,
    accepted: Option<Waiting>,
}

/// An emergency stop that did not wait for the store.
#[derive(Debug)]
enum Estop {
    Runs { stored: bool },
    Ended { result: CmdResult },
}

/// The commands of one agent.
#[derive(Debug)]
pub struct Inbox {
    options: InboxOptions,
    lanes: Lanes,
    floor: SeqFloor,
    storing: BTreeMap<CmdId, Storing>,
    estops: BTreeMap<CmdId, Estop>,
    recent_estops: VecDeque<CmdId>,
    outputs: VecDeque<InboxOutput>,
}

impl Inbox {
    /// A process begins with what the store holds: every row of a command that has not ended, and those of ended commands with a seq above
    /// `floor`, up to which everything was stored before.
    #[must_use]
    pub fn restore(now: Moment, options: InboxOptions, floor: Seq, mut rows: Vec<RestoredRow>) -> Self {
        let mut inbox = Self {
            options,
            lanes: Lanes::default(),
            floor: SeqFloor::new(floor),
            storing: BTreeMap::new(),
            estops: BTreeMap::new(),
            recent_estops: VecDeque::new(),
            outputs: VecDeque::new(),
        };
        rows.sort_by_key(|row| row.row.command.seq);
        rows.iter().for_each(|row| inbox.restore_stop(&row.row));
        rows.into_iter().for_each(|row| inbox.restore_row(now, row));
        inbox
    }

    /// The seq for hello: everything up to it is stored.
    #[must_use]
    pub const fn cmd_seq(&self) -> Seq {
        self.floor.seq()
    }

    /// A command arrived.
    pub fn handle_command(&mut self, now: Moment, arrival: Arrival) {
        let Arrival { command, ttl_ms, age_ms, id, unsigned } = arrival;
        let cmd_id = command.cmd_id;
        if self.storing.contains_key(&cmd_id) {
            return;
        }
        let estop = self.estops.get(&cmd_id);
        if self.lanes.contains(cmd_id) || matches!(estop, Some(Estop::Runs { stored: true })) {
            return self.receipt(cmd_id, command.seq, true);
        }
        // What has run cannot expire any more.
        let ttl_ms = ttl_ms.filter(|_| estop.is_none());
        let verdict = match unsigned {
            Some(fault) => judge::unsigned(&command, fault),
            None => judge::judge(&command, ttl_ms, age_ms),
        };
        let stop = match &verdict {
            Verdict::Accept(args) => Stop::of(&command, args, self.printer_of(&command).as_ref()),
            Verdict::Refuse(_) => None,
        };
        let capacity = self.options.capacity * if stop.is_some() { 2 } else { 1 };
        if self.storing.len() + self.lanes.waiting() >= capacity {
            return self.outputs.push_back(InboxOutput::Nack { re: id, code: NackCode::Busy });
        }
        stop.into_iter().for_each(|stop| self.take_back(stop));
        self.store(now, command, (ttl_ms, age_ms), id, verdict);
    }

    /// The answer to `Store`.
    pub fn handle_stored(&mut self, cmd_id: CmdId, stored: StoredAs) {
        let Some(storing) = self.storing.remove(&cmd_id) else { return };
        if stored == StoredAs::Failed {
            // An emergency stop that ran is kept: the repeat is stored and told, and does not stop again.
            return self.outputs.push_back(InboxOutput::Nack { re: storing.id, code: NackCode::Busy });
        }
        self.floor.insert(storing.seq);
        self.receipt(cmd_id, storing.seq, stored == StoredAs::Existing);
        match (self.estops.remove(&cmd_id), storing.accepted) {
            (Some(_), _) | (None, Some(_)) if stored == StoredAs::Existing => {}
            (Some(Estop::Ended { result }), _) => self.outputs.push_back(InboxOutput::Finish(result)),
            (Some(Estop::Runs { .. }), _) => {
                self.estops.insert(cmd_id, Estop::Runs { stored: true });
            }
            (None, Some(waiting)) => self.enqueue(waiting),
            (None, None) => {}
        }
    }

    /// A command has ended. `result` has a terminal status; another one counts as failed.
    pub fn handle_finished(&mut self, mut result: CmdResult) {
        if !result.status.is_terminal() {
            result.status = CommandStatus::Failed;
        }
        match self.estops.remove(&result.cmd_id) {
            Some(Estop::Runs { stored: false }) => {
                self.estops.insert(result.cmd_id, Estop::Ended { result });
            }
            Some(Estop::Runs { stored: true }) => self.outputs.push_back(InboxOutput::Finish(result)),
            Some(ended @ Estop::Ended { .. }) => {
                self.estops.insert(result.cmd_id, ended);
            }
            None if self.lanes.finish(result.cmd_id) => self.outputs.push_back(InboxOutput::Finish(result)),
            None => {}
        }
    }

    /// What to do now.
    pub fn poll_output(&mut self, now: Moment) -> InboxOutput {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        for waiting in self.lanes.expire(now) {
            let result = judge::expired(waiting.command.cmd_id, waiting.ttl_ms, waiting.age_ms(now));
            self.outputs.push_back(InboxOutput::Finish(result));
        }
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        match self.lanes.next_turn() {
            Some(Waiting { command, args, .. }) => execute(command, args),
            None => InboxOutput::Wait(self.lanes.next_deadline()),
        }
    }

    fn store(
        &mut self,
        now: Moment,
        command: Command,
        (ttl_ms, age_ms): (Option<u64>, u64),
        id: Option<MsgId>,
        verdict: Verdict,
    ) {
        let (cmd_id, seq) = (command.cmd_id, command.seq);
        let (status, result, accepted) = match verdict {
            Verdict::Refuse(result) => (result.status, Some(result), None),
            Verdict::Accept(args) => {
                let printer = self.printer_of(&command);
                let waiting = Waiting { command: command.clone(), args, printer, ttl_ms, age_ms, since: now };
                (CommandStatus::Accepted, None, Some(waiting))
            }
        };
        if let Some(Waiting { args: args @ CommandArgs::PrinterEstop(_), .. }) = &accepted
            && self.remember_estop(cmd_id)
        {
            if self.estops.len() >= RECENT_ESTOPS {
                self.estops.pop_first();
            }
            self.estops.insert(cmd_id, Estop::Runs { stored: false });
            self.outputs.push_front(execute(command.clone(), args.clone()));
        }
        let row = Box::new(InboxRow { command, ttl_ms, age_ms, status });
        self.storing.insert(cmd_id, Storing { seq, id, accepted });
        self.outputs.push_back(InboxOutput::Store { row, result });
    }

    fn enqueue(&mut self, waiting: Waiting) {
        match self.lanes.stopped_by(&waiting) {
            Some(by) => self.outputs.push_back(InboxOutput::Finish(taken_back(&waiting, by))),
            None => self.lanes.push(waiting),
        }
    }

    fn take_back(&mut self, stop: Stop) {
        let by = stop.cmd_id;
        for waiting in self.lanes.stop(stop) {
            self.outputs.push_back(InboxOutput::Finish(taken_back(&waiting, by)));
        }
    }

    /// False when it ran before: a repeat goes the slow way through the store, which knows it.
    fn remember_estop(&mut self, cmd_id: CmdId) -> bool {
        if self.recent_estops.contains(&cmd_id) {
            return false;
        }
        if self.recent_estops.len() == RECENT_ESTOPS {
            self.recent_estops.pop_front();
        }
        self.recent_estops.push_back(cmd_id);
        true
    }

    fn restore_stop(&mut self, row: &InboxRow) {
        self.floor.insert(row.command.seq);
        let tried = !matches!(row.status, CommandStatus::Rejected | CommandStatus::Expired);
        if let Some(args) = row.command.decode().ok().filter(|_| tried) {
            let printer = self.printer_of(&row.command);
            if matches!(args, CommandArgs::PrinterEstop(_)) {
                self.remember_estop(row.command.cmd_id);
            }
            Stop::of(&row.command, &args, printer.as_ref()).into_iter().for_each(|stop| {
                self.lanes.stop(stop);
            });
        }
    }

    fn restore_row(&mut self, now: Moment, restored: RestoredRow) {
        let RestoredRow { row: InboxRow { command, ttl_ms, status, .. }, age_ms } = restored;
        if status.is_terminal() {
            return;
        }
        // An emergency stop ran before it was stored, the others may have begun: never again.
        let began = status == CommandStatus::Executing
            || matches!(command.decode(), Ok(CommandArgs::PrinterEstop(_)));
        if began {
            return self.indeterminate(command.cmd_id);
        }
        let age_ms = age_ms.or(ttl_ms.is_none().then_some(0)).unwrap_or(u64::MAX);
        match judge::judge(&command, ttl_ms, age_ms) {
            Verdict::Refuse(result) => self.outputs.push_back(InboxOutput::Finish(result)),
            Verdict::Accept(args) => {
                let printer = self.printer_of(&command);
                self.enqueue(Waiting { command, args, printer, ttl_ms, age_ms, since: now });
            }
        }
    }

    fn indeterminate(&mut self, cmd_id: CmdId) {
        let fault = Fault::AgentRestarted;
        let detail = Some(fault.summary().to_owned());
        let result = judge::result(cmd_id, CommandStatus::Indeterminate, Some(fault), detail);
        self.outputs.push_back(InboxOutput::Finish(result));
    }

    fn receipt(&mut self, cmd_id: CmdId, seq: Seq, dup: bool) {
        let receipt = CommandReceipt { cmd_id, seq, dup, extra: Extra::default() };
        self.outputs.push_back(InboxOutput::Receipt(receipt));
    }

    fn printer_of(&self, command: &Command) -> Option<PrinterId> {
        command.printer_id.clone().or_else(|| self.options.default_printer.clone())
    }
}

fn execute(command: Command, args: CommandArgs) -> InboxOutput {
    let write_ahead = !args.is_idempotent();
    InboxOutput::Execute { command: Box::new(command), args, write_ahead }
}

fn taken_back(waiting: &Waiting, by: CmdId) -> CmdResult {
    let detail = Some(format!("taken back by {by}"));
    judge::result(waiting.command.cmd_id, CommandStatus::Cancelled, Some(Fault::Cancelled), detail)
}

#[cfg(test)]
mod tests;
