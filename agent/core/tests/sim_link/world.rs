//! One agent, one backend and the bad link between them, all from a seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::Value;
use spoolway_agent_core::Moment;
use spoolway_agent_core::backoff::Jitter;
use spoolway_agent_core::link::inbox::InboxOptions;
use spoolway_agent_core::link::{
    Arrival, Inbox, InboxOutput, InboxRow, Outbox, OutboxOptions, OutboxOutput, Position, RestoredRow,
    StoredAs, StoredEvent,
};
use spoolway_protocol::command::{Command, CommandArgs, CommandReceipt, CommandStatus};
use spoolway_protocol::event::{CmdResult, EventAck};
use spoolway_protocol::hello::Window;
use spoolway_protocol::ids::{CmdId, Epoch, Seq};
use spoolway_protocol::raw::{Extra, Raw};

const COMMANDS: u64 = 14;

#[derive(Clone)]
pub(crate) enum Frame {
    Events(Raw),
    Ack(EventAck),
    NackEvents,
    Command(Box<Arrival>),
    Receipt(CommandReceipt),
}

/// What survives a crash.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) rows: BTreeMap<CmdId, (InboxRow, Moment)>,
    pub(crate) events: Vec<StoredEvent>,
    epoch: u64,
    next_seq: u64,
}

pub(crate) struct Backend {
    pub(crate) commands: Vec<Arrival>,
    pub(crate) receipts: BTreeSet<CmdId>,
    pub(crate) stored: BTreeMap<u64, Vec<Value>>,
    pub(crate) away: bool,
}

/// Something that happened to the printer.
pub(crate) struct Effect {
    pub(crate) cmd_id: CmdId,
    pub(crate) seq: u64,
    pub(crate) args: CommandArgs,
    /// How often the process had died by then.
    pub(crate) life: u32,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) dice: Jitter,
    now: Moment,
    quiet: bool,
    outbox: Outbox,
    pub(crate) inbox: Inbox,
    /// What the store has read and the outbox has not been given yet.
    loading: Option<Vec<StoredEvent>>,
    running: VecDeque<(Command, CommandArgs, bool)>,
    pub(crate) store: Store,
    pub(crate) backend: Backend,
    pub(crate) up: bool,
    pub(crate) to_agent: Vec<Frame>,
    to_backend: Vec<Frame>,
    /// Every effect in order, and every event that was ever committed.
    pub(crate) effects: Vec<Effect>,
    pub(crate) committed: BTreeMap<u64, Vec<Value>>,
    pub(crate) crashes: u32,
    /// How often the relay died with such a frame on its way.
    pub(crate) cut: Cut,
}

/// In which phases of a delivery the relay died.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cut {
    /// A command was sent.
    pub(crate) offers: u32,
    /// Its receipt was on the way.
    pub(crate) receipts: u32,
    /// Events were sent.
    pub(crate) events: u32,
    /// Their ack was on the way.
    pub(crate) acks: u32,
}

impl Cut {
    pub(crate) fn add(&mut self, other: Self) {
        self.offers += other.offers;
        self.receipts += other.receipts;
        self.events += other.events;
        self.acks += other.acks;
    }

    fn count(&mut self, frames: &[Frame]) {
        let some = |is_it: fn(&Frame) -> bool| u32::from(frames.iter().any(is_it));
        self.offers += some(|frame| matches!(frame, Frame::Command(_)));
        self.receipts += some(|frame| matches!(frame, Frame::Receipt(_)));
        self.events += some(|frame| matches!(frame, Frame::Events(_)));
        self.acks += some(|frame| matches!(frame, Frame::Ack(_)));
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            dice: Jitter::new(seed),
            now: Moment::ZERO,
            quiet: false,
            outbox: Outbox::new(OutboxOptions { batch_bytes: 400, ..OutboxOptions::default() }, seed),
            inbox: Inbox::restore(Moment::ZERO, InboxOptions::default(), Seq(0), Vec::new()),
            loading: None,
            running: VecDeque::new(),
            store: Store { epoch: 1, next_seq: 1, ..Store::default() },
            backend: Backend {
                commands: Vec::new(),
                receipts: BTreeSet::new(),
                stored: BTreeMap::new(),
                away: false,
            },
            up: false,
            to_agent: Vec::new(),
            to_backend: Vec::new(),
            effects: Vec::new(),
            committed: BTreeMap::new(),
            crashes: 0,
            cut: Cut::default(),
        }
    }

    fn chance(&mut self, percent: u64) -> bool {
        !self.quiet && self.dice.between(0, 99) < percent
    }

    /// Kills the process: true when the caller has to drop what it was doing.
    fn may_crash(&mut self) -> bool {
        let crash = self.chance(3);
        if crash {
            self.crash();
        }
        crash
    }

    fn crash(&mut self) {
        self.crashes += 1;
        self.disconnect();
        self.running.clear();
        self.loading = None;
        self.store.epoch += 1;
        self.store.next_seq = 1;
        let rows = self.store.rows.values().map(|(row, since)| {
            let here = u64::try_from(self.now.since(*since).as_millis()).unwrap_or(u64::MAX);
            RestoredRow { row: row.clone(), age_ms: Some(row.age_ms + here) }
        });
        self.inbox = Inbox::restore(self.now, InboxOptions::default(), Seq(0), rows.collect());
        let seed = self.dice.draw();
        self.outbox = Outbox::new(OutboxOptions { batch_bytes: 400, ..OutboxOptions::default() }, seed);
    }

    fn connect(&mut self) {
        self.up = true;
        self.outbox.handle_connected(Window { events: 16, bytes: 512 * 1024 });
        self.resend_commands();
    }

    /// What was on its way goes with it, in both directions.
    fn kill_relay(&mut self) {
        self.cut.count(&self.to_agent);
        self.cut.count(&self.to_backend);
        self.disconnect();
    }

    fn disconnect(&mut self) {
        self.up = false;
        self.to_agent.clear();
        self.to_backend.clear();
        self.outbox.handle_disconnected();
    }

    /// Commits an event, in the same transaction as whatever the caller writes.
    fn append(&mut self, what: &str) {
        let (epoch, seq) = (self.store.epoch, self.store.next_seq);
        self.store.next_seq += 1;
        let text = format!(r#"{{"epoch":{epoch},"seq":{seq},"data":{what}}}"#);
        self.committed.entry(epoch).or_default().push(serde_json::from_str(&text).expect("it is JSON"));
        let at = Position { epoch: Epoch(epoch), seq: Seq(seq) };
        self.store.events.push(StoredEvent { at, text: Raw::parse(text).expect("it is JSON") });
        self.outbox.handle_appended();
    }

    fn set_status(&mut self, cmd_id: CmdId, status: CommandStatus) {
        let (row, _) = self.store.rows.get_mut(&cmd_id).expect("only stored commands have a status");
        assert!(!row.status.is_terminal(), "seed {}: {cmd_id} ended twice", self.seed);
        row.status = status;
    }

    fn finish(&mut self, result: &CmdResult) {
        self.set_status(result.cmd_id, result.status);
        self.append(Raw::of(result).get());
    }

    /// One step of the inbox; false when it waits.
    fn step_inbox(&mut self) -> bool {
        match self.inbox.poll_output(self.now) {
            InboxOutput::Wait(_) => return false,
            InboxOutput::Nack { .. } => {}
            InboxOutput::Receipt(receipt) if self.up => self.to_backend.push(Frame::Receipt(receipt)),
            InboxOutput::Receipt(_) => {}
            InboxOutput::Execute { command, args, write_ahead } => {
                self.running.push_back((*command, args, write_ahead));
            }
            InboxOutput::Finish(result) => {
                if !self.may_crash() {
                    self.finish(&result);
                }
            }
            InboxOutput::Store { row, result } => {
                // The store fails now and then, as on a full disk.
                if self.chance(3) {
                    self.inbox.handle_stored(row.command.cmd_id, StoredAs::Failed);
                } else if !self.may_crash() {
                    self.commit_row(*row, result.as_ref());
                }
            }
        }
        true
    }

    fn commit_row(&mut self, row: InboxRow, result: Option<&CmdResult>) {
        let cmd_id = row.command.cmd_id;
        let existing = self.store.rows.contains_key(&cmd_id);
        if !existing {
            self.store.rows.insert(cmd_id, (row, self.now));
            if let Some(result) = result {
                self.append(Raw::of(result).get());
            }
        }
        if !self.may_crash() {
            self.inbox.handle_stored(cmd_id, if existing { StoredAs::Existing } else { StoredAs::New });
        }
    }

    /// Carries one running command to its end, unless the process dies on the way.
    fn step_running(&mut self) {
        let Some((command, args, write_ahead)) = self.running.pop_front() else { return };
        if write_ahead {
            self.set_status(command.cmd_id, CommandStatus::Executing);
        }
        if self.may_crash() {
            return;
        }
        self.effects.push(Effect { cmd_id: command.cmd_id, seq: command.seq.0, args, life: self.crashes });
        if self.may_crash() {
            return;
        }
        self.inbox.handle_finished(CmdResult {
            cmd_id: command.cmd_id,
            status: CommandStatus::Done,
            code: None,
            detail: None,
            data: None,
            extra: Extra::default(),
        });
    }

    /// One step of the outbox; false when it waits.
    fn step_outbox(&mut self) -> bool {
        if let Some(events) = self.loading.take() {
            self.outbox.handle_loaded(events);
            return true;
        }
        match self.outbox.poll_output(self.now) {
            OutboxOutput::Wait(_) => return false,
            OutboxOutput::Send { body, .. } => self.to_backend.push(Frame::Events(body)),
            OutboxOutput::Load { after, items, .. } => {
                let behind =
                    self.store.events.iter().filter(|event| after.is_none_or(|after| event.at > after));
                let events = behind.take(items).cloned().collect();
                self.loading = Some(events);
            }
            OutboxOutput::Forget(to) => {
                if !self.may_crash() {
                    self.store.events.retain(|event| event.at.epoch != to.epoch || event.at.seq > to.seq);
                }
            }
        }
        true
    }

    /// Takes a frame off the wire: sometimes a later one first, sometimes twice, sometimes never.
    fn take(&mut self, to_agent: bool) -> Option<Frame> {
        let waiting = if to_agent { self.to_agent.len() } else { self.to_backend.len() };
        let last = waiting.checked_sub(1)?;
        let at = if self.chance(20) { self.dice.between(0, last.min(3) as u64) as usize } else { 0 };
        let (lost, doubled) = (self.chance(10), self.chance(10));
        let queue = if to_agent { &mut self.to_agent } else { &mut self.to_backend };
        let frame = if doubled { queue[at].clone() } else { queue.remove(at) };
        Some(frame).filter(|_| !lost)
    }

    fn deliver_to_agent(&mut self) {
        match self.take(true) {
            Some(Frame::Ack(ack)) => self.outbox.handle_ack(self.now, &ack),
            Some(Frame::NackEvents) => self.outbox.handle_nack(self.now),
            Some(Frame::Command(arrival)) => self.inbox.handle_command(self.now, *arrival),
            Some(Frame::Events(_) | Frame::Receipt(_)) | None => {}
        }
    }

    fn deliver_to_backend(&mut self) {
        match self.take(false) {
            Some(Frame::Events(_)) if self.backend.away => self.to_agent.push(Frame::NackEvents),
            Some(Frame::Events(body)) => self.backend_stores(&body),
            Some(Frame::Receipt(receipt)) if !self.backend.away => {
                self.backend.receipts.insert(receipt.cmd_id);
            }
            _ => {}
        }
    }

    pub(crate) fn bad_step(&mut self) {
        match self.dice.between(0, 99) {
            0..=3 if (self.backend.commands.len() as u64) < COMMANDS && !self.backend.away => {
                self.issue_command()
            }
            4..=6 => self.append("\"local\""),
            7..=26 => self.deliver_to_agent(),
            27..=46 => self.deliver_to_backend(),
            47..=64 => drop(self.step_inbox()),
            65..=80 => drop(self.step_outbox()),
            81..=90 => self.step_running(),
            91 if self.up => self.kill_relay(),
            92..=93 if !self.up => self.connect(),
            94 => self.toggle_backend(),
            95..=98 => self.now = self.now + Duration::from_millis(self.dice.between(0, 900)),
            99 => drop(self.may_crash()),
            _ => {}
        }
    }

    /// No more faults: everything has to come to its end.
    pub(crate) fn settle(&mut self) {
        self.quiet = true;
        self.backend.away = false;
        self.disconnect();
        self.connect();
        for _ in 0..2_000 {
            while self.step_inbox() || self.step_outbox() {}
            if self.to_agent.is_empty() && self.to_backend.is_empty() && self.running.is_empty() {
                let OutboxOutput::Wait(until) = self.outbox.poll_output(self.now) else { continue };
                match until {
                    Some(until) => self.now = until,
                    None if self.backend.commands.len() == self.store.rows.len() => return,
                    None => self.resend_commands(),
                }
            }
            self.deliver_to_agent();
            self.deliver_to_backend();
            self.step_running();
        }
        panic!("seed {}: it does not come to rest", self.seed);
    }
}
