//! Which cells there are: what is printed, on which board, by whom.

use std::time::Duration;

use clap::ValueEnum;

use super::board::{Model, USUAL_LATENCY_US};
use super::cell::{Plan, PlannedColumn, TURNS};
use super::part::Part;
use super::peers::Peer;
use super::raw::Window;
use super::sender::{Dialect, Sender};

/// The wires that printers mostly have.
pub(super) const WIRES: [u32; 2] = [115_200, 250_000];
/// Commands of a print on the board that is never the limit.
const INSTANT_COMMANDS: usize = 200_000;
/// A turn without a wire takes seconds, and what the machine does beside it shows.
const INSTANT_TURNS: usize = 9;
/// Lines in flight there.
const INSTANT_LINES: usize = 8;
/// Moves each second where the planner takes its time, and the wire on which that is.
const STARVING: (u32, u32) = (222, 115_200);
/// Wires and how late replies are on them, in microseconds: a serial adapter as it comes, and a slow hub.
pub(super) const SLOW: [(u32, u64); 2] = [(115_200, 16_000), (250_000, 4_000)];
/// Lines that the command queue of the board holds.
const QUEUE_LINES: usize = 4;
/// The wire with a board that stalls, how late its replies are, and how long it stands still, in microseconds.
const STALLING: (u32, u64, u64) = (115_200, 16_000, 50_000);

/// Names of columns.
pub(super) const RAW: &str = "raw";
pub(super) const AGENT: &str = "agent";
pub(super) const RAW_AT_ONCE: &str = "raw, at once";
pub(super) const RAW_QUEUE: &str = "raw, queue";
pub(super) const AGENT_QUEUE: &str = "queue known";
pub(super) const AGENT_ADVANCED: &str = "ADVANCED_OK";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Section {
    /// Lines a second on a board that is never the limit.
    Instant,
    /// Link use on wires.
    Wire,
    /// How long the planner is empty.
    Planner,
    /// Link use on wires with slow replies.
    Slow,
    /// A firmware that stalls and catches up.
    Stall,
    /// Memory of the agent between a relay and a printer.
    Memory,
    /// Time from the start of the process to the first line on the wire.
    Start,
}

/// What every plan is made from.
#[derive(Debug)]
pub(super) struct Makings<'a> {
    pub(super) part: &'a Part,
    /// How long each print on a wire takes.
    pub(super) seconds: f64,
    pub(super) peers: &'a [Peer],
}

impl Makings<'_> {
    /// The cells of a section; none for those that are no prints side by side.
    pub(super) fn plans(&self, section: Section) -> Vec<Plan> {
        match section {
            Section::Instant => vec![self.instant()],
            Section::Wire => WIRES.map(|baud| self.wire(baud)).into(),
            Section::Planner => vec![self.planner()],
            Section::Slow => SLOW.map(|(baud, latency_us)| self.slow(baud, latency_us)).into(),
            Section::Stall => vec![self.stall(false), self.stall(true)],
            Section::Memory | Section::Start => Vec::new(),
        }
    }

    fn instant(&self) -> Plan {
        let part = self.part.cut(usize::MAX, usize::MAX, INSTANT_COMMANDS);
        let (window, dialect) = (Window::lines(INSTANT_LINES), Dialect::Lines(INSTANT_LINES));
        let commands = |peer| match peer {
            Peer::Octoprint => INSTANT_COMMANDS / 10,
            Peer::Printrun => INSTANT_COMMANDS / 50,
        };
        let mut columns = self.columns(&part, window, dialect, commands);
        let sender = Sender::Raw(window.at_once());
        columns.insert(1, PlannedColumn { name: RAW_AT_ONCE, sender, part });
        Plan {
            title: format!("no wire, {INSTANT_LINES} lines in flight"),
            model: Model { latency_us: USUAL_LATENCY_US, ..Model::default() },
            should_take: Duration::ZERO,
            columns,
            fills_the_wire: None,
            turns: INSTANT_TURNS,
        }
    }

    fn wire(&self, baud: u32) -> Plan {
        let part = self.part.cut(self.wire_bytes(baud, 1.0), usize::MAX, usize::MAX);
        let half = (part.commands / 2) as usize;
        Plan {
            title: format!("{baud} baud"),
            model: Model { wire: Some(baud), latency_us: USUAL_LATENCY_US, ..Model::default() },
            should_take: self.time(1.0),
            columns: self.columns(&part, Window::ring(), Dialect::Plain, |_| half),
            fills_the_wire: Some(RAW),
            turns: TURNS,
        }
    }

    fn planner(&self) -> Plan {
        let (moves_per_s, baud) = STARVING;
        let part = Part::paced(moves_per_s, (f64::from(moves_per_s) * self.seconds) as usize);
        let half = (part.commands / 2) as usize;
        Plan {
            title: format!("{moves_per_s} moves/s at {baud} baud"),
            model: Model {
                wire: Some(baud),
                latency_us: USUAL_LATENCY_US,
                planner: true,
                ..Model::default()
            },
            should_take: self.time(1.0),
            columns: self.columns(&part, Window::ring(), Dialect::Plain, |_| half),
            fills_the_wire: None,
            turns: TURNS,
        }
    }

    /// Half as long, since the plain rule takes twice as long there.
    fn slow(&self, baud: u32, latency_us: u64) -> Plan {
        let part = self.part.cut(self.wire_bytes(baud, 0.5), usize::MAX, usize::MAX);
        let column = |name, sender| PlannedColumn { name, sender, part: part.clone() };
        Plan {
            title: format!("{baud} baud, replies {} ms late", latency_us / 1_000),
            model: Model { wire: Some(baud), latency_us, advanced_ok: true, ..Model::default() },
            should_take: self.time(0.5),
            columns: vec![
                column(RAW, Sender::Raw(Window::ring())),
                column(RAW_QUEUE, Sender::Raw(Window::ring_and_queue(QUEUE_LINES))),
                column(AGENT, Sender::Agent(Dialect::Plain)),
                column(AGENT_QUEUE, Sender::Agent(Dialect::KnownQueue)),
                column(AGENT_ADVANCED, Sender::Agent(Dialect::AdvancedOk)),
            ],
            fills_the_wire: Some(RAW_QUEUE),
            turns: TURNS,
        }
    }

    /// With the usual latency the plain rule fills the wire; with late replies a wide window has the most to lose.
    fn stall(&self, late: bool) -> Plan {
        let (baud, late_us, stall_us) = STALLING;
        let latency_us = if late { late_us } else { USUAL_LATENCY_US };
        let part = self.part.cut(self.wire_bytes(baud, 0.5), usize::MAX, usize::MAX);
        let column = |name, sender| PlannedColumn { name, sender, part: part.clone() };
        let model = Model { wire: Some(baud), latency_us, advanced_ok: true, stall_us, ..Model::default() };
        Plan {
            title: format!("{baud} baud, {} ms late, stalls of {} ms", latency_us / 1_000, stall_us / 1_000),
            model,
            should_take: self.time(0.5),
            columns: vec![
                column(RAW, Sender::Raw(Window::ring())),
                column(AGENT, Sender::Agent(Dialect::Plain)),
                column(AGENT_QUEUE, Sender::Agent(Dialect::KnownQueue)),
                column(AGENT_ADVANCED, Sender::Agent(Dialect::AdvancedOk)),
            ],
            fills_the_wire: None,
            turns: TURNS,
        }
    }

    /// Raw sender, agent and the other hosts, which print only so many commands each.
    fn columns(
        &self,
        part: &Part,
        window: Window,
        dialect: Dialect,
        commands: impl Fn(Peer) -> usize,
    ) -> Vec<PlannedColumn> {
        let mut columns = vec![
            PlannedColumn { name: RAW, sender: Sender::Raw(window), part: part.clone() },
            PlannedColumn { name: AGENT, sender: Sender::Agent(dialect), part: part.clone() },
        ];
        columns.extend(self.peers.iter().map(|&peer| PlannedColumn {
            name: peer.name(),
            sender: Sender::Peer(peer),
            part: part.cut(usize::MAX, usize::MAX, commands(peer)),
        }));
        columns
    }

    /// Ten bits a byte.
    fn wire_bytes(&self, baud: u32, share: f64) -> usize {
        (f64::from(baud) / 10.0 * self.seconds * share) as usize
    }

    fn time(&self, share: f64) -> Duration {
        Duration::from_secs_f64(self.seconds * share)
    }
}
