//! One seed to one whole print in virtual time: a streamer, a bad cable and a simulated printer.

mod judge;
mod link;
mod person;
mod process;
mod scenario;

use std::collections::VecDeque;

use spoolway_agent_core::Moment;
use spoolway_agent_core::gcode::{Batch, Position};
use spoolway_agent_core::stream::{Ending, Event, Output, StopReason, StreamOptions, Streamer};

use crate::check::{Fault, Fullness};
use crate::printer::{Executed, Link, Printer, Survivor};
use crate::rng::Rng;
use crate::wire::Wire;

use person::Person;
use process::Process;

pub use link::Kind;
pub use process::Kills;
pub use scenario::{Noise, Scenario, profiles};

/// Bytes that the agent writes beside the lines of grbl.
const REALTIME: [u8; 4] = [b'?', b'!', b'~', 0x18];
/// Virtual time after which a print counts as hung.
const HUNG_AFTER_US: u64 = 12 * 3_600_000_000;
/// Steps after which a world counts as hung, whatever its clock says.
const STEPS_MAX: u64 = 20_000_000;

/// How a print ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The job or its cancel script ended.
    Ended(Ending),
    /// The streamer gave up.
    Stopped(StopReason),
    /// The plug was pulled, which the agent's shell sees as a port that is gone.
    Unplugged,
    /// Nothing ended.
    Hung,
}

/// Everything that can be said about one seed.
#[derive(Debug)]
pub struct Outcome {
    /// What was tried.
    pub scenario: Scenario,
    /// How it ended.
    pub end: End,
    /// Whether the world pulled the reset line, or the supply sagged.
    pub was_reset: bool,
    /// Damage that got past the firmware's protection.
    pub survivors: Vec<Survivor>,
    /// What is wrong with the outcome.
    pub faults: Vec<Fault>,
    /// Virtual time.
    pub elapsed_us: u64,
    /// Lines that the firmware asked for again.
    pub resends: u64,
    /// How often the agent asked where the firmware stands.
    pub probes: u64,
    /// Bytes that found the receive ring full.
    pub rx_dropped: u64,
    /// How often a person had to say what became of lines in doubt.
    pub doubts: u64,
    /// Lines that the firmware took back after it had acknowledged them.
    pub taken_back: u64,
    /// Questions and settings of the host among the lines that were carried out.
    pub host_commands: u64,
    /// How often the agent's process was killed.
    pub kills: u64,
}

/// Runs one seed, with the profile that it draws.
#[must_use]
pub fn run(seed: u64) -> Outcome {
    run_scenario(Scenario::from_seed(seed))
}

/// Runs one scenario.
#[must_use]
pub fn run_scenario(scenario: Scenario) -> Outcome {
    play(World::new(scenario))
}

/// Runs one scenario and prints the conversation as it goes.
#[must_use]
pub fn run_aloud(scenario: Scenario) -> Outcome {
    let mut world = World::new(scenario);
    world.aloud = true;
    play(world)
}

/// What the printer of a scenario carries out.
#[must_use]
pub fn executed(scenario: &Scenario) -> Vec<Executed> {
    let mut world = World::new(scenario.clone());
    let _end = world.play();
    world.printer.advance(world.now_us + 3_600_000_000);
    world.printer.executed().to_vec()
}

fn play(mut world: World) -> Outcome {
    let end = world.play();
    world.judge(end)
}

struct World {
    scenario: Scenario,
    now_us: u64,
    rng: Rng,
    options: StreamOptions,
    streamer: Streamer,
    process: Process,
    printer: Printer,
    wire: Wire,
    /// Replies that have not yet left the printer.
    leaving: VecDeque<(u64, Vec<u8>)>,
    /// Every whole line that the host wrote.
    frames: Vec<Vec<u8>>,
    half_frame: Vec<u8>,
    fed: usize,
    begun: bool,
    person: Person,
    reset_at_us: Option<u64>,
    fullness: Fullness,
    /// No line was refused or in question, and the window is as it was.
    is_undisturbed: bool,
    aloud: bool,
    arrived: Vec<u8>,
}

impl World {
    fn new(scenario: Scenario) -> Self {
        let board = &scenario.printer;
        let (capable, reports) = (board.emergency_parser, board.autoreport_temp && !scenario.queries);
        let options = StreamOptions::from_profile(&scenario.profile, |name| match name {
            "EMERGENCY_PARSER" => capable,
            "AUTOREPORT_TEMP" => reports,
            _ => false,
        });
        let mut rng = Rng::new(scenario.seed ^ 0x5eed);
        Self {
            streamer: Streamer::new(options.clone(), Moment::ZERO),
            options,
            process: Process::new(scenario.kills.clone(), scenario.seed ^ 0x6b69_6c6c),
            printer: Printer::new(scenario.printer.clone(), rng.next_u64()),
            wire: Wire::new(scenario.to_printer.clone(), scenario.to_host.clone(), rng.next_u64()),
            now_us: 0,
            rng,
            leaving: VecDeque::new(),
            frames: Vec::new(),
            half_frame: Vec::new(),
            fed: 0,
            begun: false,
            person: Person::new(&scenario),
            reset_at_us: scenario.reset_at_us,
            fullness: Fullness { may_drop: judge::may_drop(&scenario), ..Fullness::default() },
            is_undisturbed: true,
            aloud: false,
            arrived: Vec::new(),
            scenario,
        }
    }

    fn play(&mut self) -> End {
        for _ in 0..STEPS_MAX {
            self.live_and_die();
            self.act();
            let (wake, end) = self.serve_streamer();
            if let Some(end) = end {
                return end;
            }
            let Some(next_us) = self.next_us(wake) else { return End::Hung };
            self.now_us = next_us.max(self.now_us);
            if self.scenario.unplug_at_us.is_some_and(|at| self.now_us >= at) {
                return End::Unplugged;
            }
            if self.now_us > HUNG_AFTER_US {
                return End::Hung;
            }
            self.carry();
        }
        End::Hung
    }

    /// Lets the streamer say everything it has to say.
    fn serve_streamer(&mut self) -> (Option<Moment>, Option<End>) {
        let now = Moment::from_micros(self.now_us);
        let mut end = None;
        let mut is_noted = false;
        while !self.process.is_gone() {
            if self.begun && self.streamer.wants_lines() {
                self.feed();
            }
            match self.streamer.poll_output(now) {
                Output::Write(bytes) => {
                    if self.write_down_and_out(&bytes) {
                        self.look_at_window();
                    }
                    is_noted = true;
                }
                Output::Event(Event::Synchronised) if !self.begun => {
                    self.begun = true;
                    self.ask_for_reports();
                    self.streamer.begin_job().expect("a fresh streamer is free");
                }
                Output::Event(Event::Ended(ending)) => end = Some(End::Ended(ending)),
                Output::Event(Event::Stopped(reason)) => end = Some(End::Stopped(reason)),
                Output::Event(event) => {
                    is_noted = false;
                    self.say('!', format!("{event:?}").as_bytes());
                    self.is_undisturbed &= !matches!(
                        event,
                        Event::Refused { .. }
                            | Event::Probed { .. }
                            | Event::Reached(_)
                            | Event::InDoubt { .. }
                    );
                    self.person.hear(self.now_us, &mut self.rng, &event);
                }
                Output::Wait(wake) => {
                    self.note_at_rest(is_noted);
                    return (wake, end);
                }
            }
        }
        (None, end)
    }

    fn feed(&mut self) {
        let mut batch = Batch::default();
        let upto = (self.fed + 64).min(self.scenario.job.len());
        for (index, command) in self.scenario.job[self.fed..upto].iter().enumerate() {
            let line = (self.fed + index + 1) as u64;
            batch.push(command.as_bytes(), Position { line, byte: 0, layer: 0 });
        }
        self.fed = upto;
        self.streamer.feed(batch);
        if upto == self.scenario.job.len() {
            self.streamer.feed_end();
        }
    }

    /// Says what arrives at the printer, damage included, a line at a time.
    fn overhear(&mut self, byte: u8) {
        if self.aloud {
            self.arrived.push(byte);
            if byte == b'\n' {
                let line = std::mem::take(&mut self.arrived);
                self.say('=', &line);
            }
        }
    }

    fn say(&self, sign: char, bytes: &[u8]) {
        if self.aloud && !bytes.is_empty() {
            println!("{:12.6} {sign} {:?}", self.now_us as f64 / 1e6, String::from_utf8_lossy(bytes));
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.say('>', bytes);
        let realtime = self.scenario.printer.dialect.realtime;
        for &byte in bytes {
            if realtime && REALTIME.contains(&byte) {
                // It never reaches the line.
            } else if byte == b'\n' {
                self.frames.push(std::mem::take(&mut self.half_frame));
            } else {
                self.half_frame.push(byte);
            }
        }
        let taken = self.wire.to_printer.send(self.now_us, bytes);
        assert_eq!(taken, bytes.len(), "the window keeps the line's buffer from filling");
    }

    /// As the agent would have asked for when it came to know the firmware, behind the back of the streamer.
    fn ask_for_reports(&mut self) {
        let auto = self.scenario.profile.temperature.auto_report.as_ref();
        if let Some(auto) = auto.filter(|_| !self.scenario.queries && self.scenario.printer.autoreport_temp) {
            let line = format!("{}{}\n", self.scenario.profile.framing.prefix, auto.command);
            self.printer.receive(self.now_us, line.as_bytes());
        }
    }

    /// What a person does, and what the supply does.
    fn act(&mut self) {
        if !self.process.is_gone() {
            self.act_as_person();
            // What a person wants is kept by whoever passed it on, until it is done.
            self.note();
        }
        if self.reset_at_us.is_some_and(|at| self.now_us >= at) {
            self.reset_at_us = None;
            if link::vanishes_in_a_reset(&self.scenario.printer) {
                self.scenario.unplug_at_us = Some(self.now_us);
            } else {
                self.printer.reset(self.now_us);
            }
        }
    }

    fn next_us(&self, wake: Option<Moment>) -> Option<u64> {
        [
            wake.map(Moment::as_micros),
            self.wire.to_host.next_delivery_us().filter(|_| !self.process.is_gone()),
            self.process.next_us(),
            self.wire.to_printer.next_delivery_us().filter(|_| self.printer.takes() > 0),
            self.printer.next_wake_us(),
            self.leaving.front().map(|(at_us, _)| *at_us),
            self.person.next_us().filter(|_| !self.process.is_gone()),
            self.reset_at_us,
            self.scenario.unplug_at_us,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Moves time on to `now_us` at the printer and on the wire.
    fn carry(&mut self) {
        loop {
            while self.printer.takes() > 0
                && let Some((at_us, byte)) = self.wire.to_printer.pop(self.now_us)
            {
                // A byte that waited for room arrives when there is some.
                let at_us = if self.scenario.printer.link == Link::Uart { at_us } else { self.now_us };
                self.printer.receive(at_us, &[byte]);
                self.overhear(byte);
            }
            self.printer.advance(self.now_us);
            let waits = self.wire.to_printer.next_delivery_us().is_some_and(|at_us| at_us <= self.now_us);
            if !waits || self.printer.takes() == 0 {
                break;
            }
        }
        self.leaving.extend(self.printer.take_output());
        while let Some((at_us, bytes)) = self.leaving.pop_front_if(|(at_us, _)| *at_us <= self.now_us) {
            self.wire.to_host.send(at_us, &bytes);
        }
        if self.process.is_gone() {
            // The kernel keeps it.
            return;
        }
        let bytes = self.wire.to_host.deliver(self.now_us);
        self.say('<', &bytes);
        self.hear(&bytes);
    }
}
