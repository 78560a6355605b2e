//! The lines that were framed, by number, kept so that each can be sent again exactly as it was.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Moment;
use crate::gcode::Position;

/// Who a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The job's file.
    Job(Position),
    /// A script.
    Script,
    /// The temperature query.
    Query,
    /// A command of a person, outside of any job.
    Aside,
}

/// How long a line may stay without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Not for long.
    Quick,
    /// Until something is done: the machine homed, the planner empty.
    Blocking,
    /// Until a temperature is reached.
    Heating,
    /// Until a person has done something.
    Person,
}

impl Pace {
    /// Whether nothing is to be sent behind it.
    pub(super) fn blocks(self) -> bool {
        self != Self::Quick
    }
}

/// One line as it goes over the wire.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) frame: Vec<u8>,
    pub(super) source: Source,
    pub(super) pace: Pace,
    /// How long the move takes at its feed rate; zero for everything else.
    pub(super) lasts: Duration,
    pub(super) sent_at: Moment,
}

/// Lines by number, without a gap.
#[derive(Debug)]
pub(super) struct History {
    first: u32,
    lines: VecDeque<Sent>,
    capacity: usize,
    spare: Vec<u8>,
}

impl History {
    pub(super) fn new(first: u32, capacity: usize) -> Self {
        Self { first, lines: VecDeque::with_capacity(64), capacity, spare: Vec::new() }
    }

    /// Forgets everything; the next line gets this number.
    pub(super) fn restart(&mut self, first: u32) {
        self.first = first;
        self.lines.clear();
    }

    /// Oldest number that is still known; equals [`History::next`] when none is.
    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// The number that the next line gets.
    pub(super) fn next(&self) -> u32 {
        self.first + self.lines.len() as u32
    }

    /// An emptied buffer for the next frame: the oldest line's own, once the history is full.
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        if self.lines.len() >= self.capacity
            && let Some(oldest) = self.lines.pop_front()
        {
            self.first += 1;
            self.spare = oldest.frame;
            self.spare.clear();
        }
        std::mem::take(&mut self.spare)
    }

    pub(super) fn push(&mut self, line: Sent) {
        self.lines.push_back(line);
    }

    pub(super) fn get(&self, number: u32) -> Option<&Sent> {
        self.lines.get(number.checked_sub(self.first)? as usize)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Sent> {
        self.lines.get_mut(number.checked_sub(self.first)? as usize)
    }
}
