//! A simulated printer that speaks the dialect of any profile: it is told the bytes and the time (virtual microseconds) and answers as the firmware would.
//!
//! The model is a board with its receive ring, a main loop that moves bytes into a line buffer only while the command
//! queue has room, a transmitter that blocks that loop, a planner and two heaters. Its own rules come from Marlin
//! 2.0.9 (`queue.cpp`, `e_parser.h`, `gcode.cpp`, `MarlinSerial.cpp`) and from conversations with that firmware; what other
//! firmwares do otherwise is data in `dialect`, with `judge` and `refuse` for their checks.
//!
//! A board of every dialect carries out the words of printing, grbl's too, which in life know no heaters: so one file
//! exercises every protocol. It shares no code with the agent: it is the independent check of what the agent sends.
//!
//! Events happen in exact time order whatever the caller's step: one long [`Printer::advance`] equals many short ones.

mod answers;
mod boards;
mod command;
mod dialect;
mod emergency;
mod execute;
mod heater;
mod identity;
mod judge;
mod line;
mod main_loop;
mod motion;
mod options;
mod realtime;
mod record;
mod refuse;
mod ring;
mod runout;
mod statistics;
mod survivors;
mod transmit;

use std::collections::VecDeque;
use std::ops::Range;

use self::emergency::{Emergency, EmergencyParser};
use self::execute::Blocked;
use self::heater::Heater;
use self::judge::Counter;
use self::line::LineBuffer;
use self::motion::{Planner, Position};
use self::record::Record;
use self::ring::RxRing;
use self::transmit::Transmitter;
use crate::rng::Rng;

pub use self::dialect::{Acknowledged, Dialect, MARLIN, Protection, Temperatures};
pub use self::heater::{AMBIENT_C, HeaterOptions};
pub use self::identity::{Capabilities, Identity};
pub use self::options::{Duplicates, Link, PrinterFaults, PrinterOptions, StarWithoutNumber};
pub use self::record::{Executed, ExecutedSink, LineDigest};
pub use self::statistics::{Histogram, Percentiles, Statistics};
pub use self::survivors::{Survivor, SurvivorKind, survivors};

/// A line in the command queue.
#[derive(Debug)]
struct Line {
    number: Option<i64>,
    raw: Vec<u8>,
    command: Range<usize>,
}

/// Whether the board can hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Power {
    /// Bytes are eaten until the firmware starts.
    Bootloader { until_us: u64 },
    /// The firmware runs.
    On,
    /// After a kill: deaf until reset.
    Killed,
}

/// What the main loop has to see to next, apart from lines.
#[derive(Debug, Clone, Copy, Default)]
struct Due {
    /// The error text has been printed; flush and ask.
    resend: bool,
    kill: bool,
    quick_stop: bool,
    break_wait: bool,
    /// `?`
    status: bool,
    /// Ctrl-X
    soft_reset: bool,
}

/// M155.
#[derive(Debug, Clone, Copy)]
struct Autoreport {
    interval_us: u64,
    next_us: u64,
}

/// The simulated printer. It begins powered, booted and silent at time zero.
#[derive(Debug)]
pub struct Printer {
    options: PrinterOptions,
    rng: Rng,
    clock_us: u64,
    busy_until_us: u64,
    power: Power,
    due: Due,
    ring: RxRing,
    line: LineBuffer,
    emergency: EmergencyParser,
    queue: VecDeque<Line>,
    current: Option<(Line, Blocked)>,
    counter: Counter,
    /// `!` until `~`
    is_held: bool,
    /// A reset made it forget where it is.
    is_unhomed: bool,
    last_byte_us: u64,
    /// Not before this does Repetier ask once more.
    asked_again_us: u64,
    position: Position,
    planner: Planner,
    printing: bool,
    hotend: Heater,
    bed: Heater,
    autoreport: Option<Autoreport>,
    busy_interval_us: u64,
    next_busy_us: u64,
    next_wait_us: u64,
    last_line_us: Option<u64>,
    transmitter: Transmitter,
    record: Record,
    statistics: Statistics,
    gaps: Histogram,
}

impl Printer {
    /// A printer whose whole behaviour follows from its options, the seed and what it receives when.
    #[must_use]
    pub fn new(options: PrinterOptions, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let transmitter = Transmitter::new(&options, rng.fork(1));
        Self {
            rng,
            clock_us: 0,
            busy_until_us: 0,
            power: Power::On,
            due: Due::default(),
            ring: RxRing::new(options.rx_bytes),
            line: LineBuffer::new(options.max_line_bytes),
            emergency: EmergencyParser::new(),
            queue: VecDeque::with_capacity(options.queue_lines),
            current: None,
            counter: Counter::default(),
            is_held: false,
            is_unhomed: false,
            last_byte_us: 0,
            asked_again_us: 0,
            position: Position::new(),
            planner: Planner::new(options.planner_moves),
            printing: false,
            hotend: Heater::new(options.hotend.clone(), options.speed),
            bed: Heater::new(options.bed.clone(), options.speed),
            autoreport: None,
            busy_interval_us: options.busy_interval_us,
            next_busy_us: 0,
            next_wait_us: options.wait_interval_us,
            last_line_us: None,
            transmitter,
            record: Record::new(options.keep_executed),
            statistics: Statistics::default(),
            gaps: Histogram::new(),
            options,
        }
    }

    /// Bytes arrive at the receiver, all at `now_us`; events up to then happen first.
    pub fn receive(&mut self, now_us: u64, bytes: &[u8]) {
        self.advance(now_us);
        self.statistics.bytes_received += bytes.len() as u64;
        if self.power != Power::On {
            self.statistics.rx_unheard += bytes.len() as u64;
            return;
        }
        self.last_byte_us = now_us;
        for &byte in bytes {
            if self.options.dialect.realtime && self.take_realtime(byte) {
                continue;
            }
            if self.options.emergency_parser
                && let Some(emergency) = self.emergency.take(byte)
            {
                self.on_emergency(emergency);
            }
            if !self.ring.push(byte) {
                self.statistics.rx_dropped += 1;
            }
        }
    }

    /// Lets everything happen that is due up to and including `now_us`.
    pub fn advance(&mut self, now_us: u64) {
        while let Some(wake_us) = self.next_wake_us().filter(|wake_us| *wake_us <= now_us) {
            self.step(wake_us);
        }
        self.clock_us = self.clock_us.max(now_us);
    }

    /// When the printer does something next if no byte comes.
    #[must_use]
    pub fn next_wake_us(&self) -> Option<u64> {
        let wake_us = match self.power {
            Power::Killed => return None,
            Power::Bootloader { until_us } => until_us,
            Power::On if self.is_ready() => self.busy_until_us,
            Power::On => match self.next_timer_us() {
                u64::MAX => return None,
                timer_us => timer_us.max(self.busy_until_us),
            },
        };
        Some(wake_us.max(self.clock_us))
    }

    /// Replies since the last call: when the last bit is with the host (perhaps later than now), and the bytes.
    pub fn take_output(&mut self) -> Vec<(u64, Vec<u8>)> {
        self.transmitter.take()
    }

    /// Whether [`Printer::take_output`] has something to give.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.transmitter.has_output()
    }

    /// The reset line is pulled: everything is lost, the bootloader runs, then `start` is printed.
    pub fn reset(&mut self, now_us: u64) {
        self.advance(now_us);
        self.restart(self.clock_us);
    }

    /// Gives every executed line to `sink` as it happens.
    pub fn set_sink(&mut self, sink: Box<dyn ExecutedSink>) {
        self.record.set_sink(sink);
    }

    /// The lines carried out, oldest first; at most `keep_executed` of them.
    #[must_use]
    pub fn executed(&self) -> &[Executed] {
        self.record.kept()
    }

    /// How many lines were carried out, kept or not.
    #[must_use]
    pub fn executed_total(&self) -> u64 {
        self.record.total()
    }

    /// Digest over the commands of all numbered lines except M110: the job as the printer carried it out.
    #[must_use]
    pub fn job_digest(&self) -> LineDigest {
        self.record.job()
    }

    /// The counters.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Times between accepted lines.
    #[must_use]
    pub fn line_gaps(&self) -> &Histogram {
        &self.gaps
    }

    /// Free bytes of the receive ring.
    #[must_use]
    pub fn rx_room(&self) -> usize {
        self.ring.room()
    }

    /// The number of the last accepted line.
    #[must_use]
    pub fn last_number(&self) -> i64 {
        self.counter.last
    }

    /// How many bytes the board takes right now: with back pressure no more than fit, otherwise any, to keep or to drop.
    #[must_use]
    pub fn takes(&self) -> usize {
        match self.options.link {
            Link::BackPressure if self.power == Power::On => self.ring.room(),
            Link::BackPressure | Link::Uart => usize::MAX,
        }
    }

    /// The board's shape.
    #[must_use]
    pub fn options(&self) -> &PrinterOptions {
        &self.options
    }

    /// Whether the printer is deaf after a kill.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.power == Power::Killed
    }

    /// From now on other things go wrong.
    pub fn set_faults(&mut self, faults: PrinterFaults) {
        self.options.faults = faults;
    }

    /// Nothing is received, queued, being carried out or planned at `now_us`.
    #[must_use]
    pub fn is_idle(&self, now_us: u64) -> bool {
        let planned = self.planner.drained_at_us() > now_us;
        self.ring.len() == 0 && self.queue.is_empty() && self.current.is_none() && !planned
    }

    /// When everything planned so far is over.
    #[must_use]
    pub fn moves_end_us(&self) -> u64 {
        self.planner.drained_at_us()
    }

    /// Nozzle and bed temperature.
    #[must_use]
    pub fn temperatures_c(&self, now_us: u64) -> (f64, f64) {
        (self.hotend.temperature_c(now_us), self.bed.temperature_c(now_us))
    }

    fn on_emergency(&mut self, emergency: Emergency) {
        match emergency {
            Emergency::Kill => self.due.kill = true,
            Emergency::QuickStop => self.due.quick_stop = true,
            Emergency::BreakWait => self.break_wait(),
        }
    }

    /// Marlin clears a flag that only a running wait looks at.
    fn break_wait(&mut self) {
        if let Some((_, Blocked::Heat { .. } | Blocked::User)) = self.current {
            self.due.break_wait = true;
        }
    }
}
