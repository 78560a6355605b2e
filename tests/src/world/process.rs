//! The agent's process: it writes down what it does as it goes, it is killed at any instruction, and another one goes on.

use std::ops::RangeInclusive;

use spoolway_agent_core::Moment;
use spoolway_agent_core::stream::journal::{JOURNAL_BYTES, Journal};
use spoolway_agent_core::stream::{StreamOptions, Streamer};

use super::World;
use crate::rng::Rng;

/// How often the process is killed, and how long it is gone.
#[derive(Debug, Clone)]
pub struct Kills {
    /// Time between two, in microseconds.
    pub apart_us: RangeInclusive<u64>,
    /// Time until the next process runs, in microseconds.
    pub gone_us: RangeInclusive<u64>,
    /// How many at most.
    pub most: u64,
}

impl Kills {
    /// As a seed draws them.
    #[must_use]
    pub fn draw(rng: &mut Rng) -> Self {
        let apart_us = match rng.below(3) {
            0 => 1_000..=60_000,
            1 => 100_000..=300_000,
            _ => 50_000..=5_000_000,
        };
        Self { apart_us, gone_us: 500..=20_000, most: 400 }
    }
}

/// At which instruction a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instruction {
    /// While it waits.
    Wait,
    /// What is to be written is written down, and only so much of it, in thousandths, has gone out.
    Write(u64),
    /// All of it has gone out, and that is not written down.
    Written,
    /// Replies were read and not handled.
    Read,
    /// They were handled, and that was not written down.
    Handled,
}

/// The memory that outlives the process, and when it dies.
#[derive(Debug)]
pub(super) struct Process {
    area: Vec<u8>,
    journal: Journal,
    kills: Option<Kills>,
    rng: Rng,
    kill_at_us: u64,
    at: Instruction,
    /// It is gone until then.
    gone_until_us: Option<u64>,
    pub(super) killed: u64,
}

impl Process {
    pub(super) fn new(kills: Option<Kills>, seed: u64) -> Self {
        let mut area = vec![0; JOURNAL_BYTES];
        let journal = Journal::begin(&mut area, b"");
        let mut process = Self {
            area,
            journal,
            kills,
            rng: Rng::new(seed),
            kill_at_us: u64::MAX,
            at: Instruction::Wait,
            gone_until_us: None,
            killed: 0,
        };
        process.draw(0);
        process
    }

    /// When and where it dies next.
    fn draw(&mut self, now_us: u64) {
        let Some(kills) = self.kills.as_ref().filter(|kills| self.killed < kills.most) else {
            self.kill_at_us = u64::MAX;
            return;
        };
        self.kill_at_us = now_us + self.rng.range(kills.apart_us.clone());
        self.at = match self.rng.below(5) {
            0 => Instruction::Wait,
            1 => Instruction::Write(self.rng.below(1000)),
            2 => Instruction::Written,
            3 => Instruction::Read,
            _ => Instruction::Handled,
        };
    }

    /// Whether it has come to the instruction at which it dies.
    fn is_due(&self, now_us: u64, at: impl FnOnce(Instruction) -> bool) -> bool {
        now_us >= self.kill_at_us && at(self.at)
    }

    fn die(&mut self, now_us: u64) {
        let gone_us = self.kills.as_ref().map_or(0..=0, |kills| kills.gone_us.clone());
        self.killed += 1;
        self.gone_until_us = Some(now_us + self.rng.range(gone_us));
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone_until_us.is_some()
    }

    pub(super) fn next_us(&self) -> Option<u64> {
        let waits = self.at == Instruction::Wait && self.kill_at_us != u64::MAX;
        self.gone_until_us.or(waits.then_some(self.kill_at_us))
    }
}

/// Where a write may be cut: a numbered line anywhere, a word of a few bytes that goes ahead of everything not at all, since no
/// driver divides so little.
fn whole_words(bytes: &[u8], at: usize) -> usize {
    let begin = bytes[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    if bytes[begin..].starts_with(b"N") || bytes[begin..].starts_with(b"\n") { at } else { begin }
}

impl World {
    /// Lets the process die where it waits, and the next one begin.
    pub(super) fn live_and_die(&mut self) {
        if self.process.gone_until_us.is_some_and(|at| self.now_us >= at) {
            self.begin_again();
        }
        if !self.process.is_gone() && self.process.is_due(self.now_us, |at| at == Instruction::Wait) {
            self.process.die(self.now_us);
        }
    }

    pub(super) fn note(&mut self) {
        let process = &mut self.process;
        if process.kills.is_none() {
            return;
        }
        process.journal.note(&mut process.area, &self.streamer, |_| ());
    }

    /// The same, while nothing is to go out, and unless that was done before the last bytes that went out.
    pub(super) fn note_at_rest(&mut self, is_noted: bool) {
        if !is_noted {
            self.note();
        }
        self.process.journal.wrote(&mut self.process.area);
    }

    /// What the streamer wants to write, as the shell does it; false when the process has died over it.
    pub(super) fn write_down_and_out(&mut self, bytes: &[u8]) -> bool {
        self.note();
        if let Instruction::Write(share) = self.process.at
            && self.process.is_due(self.now_us, |_| true)
        {
            let part = whole_words(bytes, bytes.len() * share as usize / 1000);
            self.write(&bytes[..part]);
            // What it began counts as written: damage may make a line of its own out of the half.
            let rest = bytes[part..].split(|&byte| byte == b'\n').next().unwrap_or_default();
            self.half_frame.extend_from_slice(rest);
            self.frames.push(std::mem::take(&mut self.half_frame));
            self.process.die(self.now_us);
            return false;
        }
        self.write(bytes);
        if self.process.is_due(self.now_us, |at| at == Instruction::Written) {
            self.process.die(self.now_us);
            return false;
        }
        self.process.journal.wrote(&mut self.process.area);
        true
    }

    /// What the printer said, as the shell takes it.
    pub(super) fn hear(&mut self, mut bytes: &[u8]) {
        if self.process.kills.is_none() {
            return self.streamer.handle_bytes(Moment::from_micros(self.now_us), bytes);
        }
        while !bytes.is_empty() && !self.process.is_gone() {
            let room = self.process.journal.room();
            let count = bytes.len().min(room.len());
            self.process.area[room.start..room.start + count].copy_from_slice(&bytes[..count]);
            if self.process.is_due(self.now_us, |at| at == Instruction::Read) {
                self.process.die(self.now_us);
                return;
            }
            self.process.journal.heard(count);
            self.streamer.handle_bytes(Moment::from_micros(self.now_us), &bytes[..count]);
            if self.process.is_due(self.now_us, |at| at == Instruction::Handled) {
                self.process.die(self.now_us);
                return;
            }
            bytes = &bytes[count..];
            if !bytes.is_empty() {
                self.note();
            }
        }
    }

    /// Another process finds what the one before has left.
    fn begin_again(&mut self) {
        self.process.gone_until_us = None;
        self.process.draw(self.now_us);
        let (now, options) = (Moment::from_micros(self.now_us), self.options.clone());
        self.is_undisturbed = false;
        self.say('!', format!("process {}", self.process.killed + 1).as_bytes());
        let found = Journal::find(&self.process.area).filter(|found| found.carried.is_live());
        let Some(found) = found else { return self.begin_afresh(now, options) };
        self.fed = found.carried.read_to().line as usize;
        self.process.journal = found.journal;
        self.streamer = Streamer::take_over(options, now, found.carried, true)
            .expect("a job on a firmware that counts lines can be taken over");
        self.streamer.handle_bytes(now, &found.unread);
    }

    /// No job had begun.
    fn begin_afresh(&mut self, now: Moment, options: StreamOptions) {
        self.process.journal = Journal::begin(&mut self.process.area, b"");
        self.streamer = Streamer::new(options, now);
        self.begun = false;
    }
}
