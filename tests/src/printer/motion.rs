//! Where the head is and how long the planner is busy: moves at constant speed, one after the other.

use std::collections::VecDeque;
use std::f64::consts::TAU;

use super::command::Command;

/// Axes in the order X, Y, Z, E.
const AXES: [u8; 4] = *b"XYZE";

/// Steps for each millimetre, as Marlin's default configuration has them.
const STEPS_PER_MM: [f64; 3] = [80.0, 80.0, 400.0];

/// The planned position and the modes that words are read in.
#[derive(Debug)]
pub(crate) struct Position {
    axes: [f64; 4],
    relative: bool,
    relative_e: bool,
    feed_mm_min: f64,
}

impl Position {
    pub(crate) fn new() -> Self {
        Self { axes: [0.0; 4], relative: false, relative_e: false, feed_mm_min: 1_500.0 }
    }

    /// G90 and G91 set all axes, M82 and M83 the extruder alone.
    pub(crate) fn set_relative(&mut self, all: Option<bool>, extruder: bool) {
        self.relative = all.unwrap_or(self.relative);
        self.relative_e = extruder;
    }

    /// Goes where a G0, G1, G2 or G3 says; the time that takes at speed 1.
    pub(crate) fn go(&mut self, command: &Command<'_>) -> u64 {
        if let Some(feed) = command.value(b'F').filter(|feed| *feed > 0.0) {
            self.feed_mm_min = feed;
        }
        let from = self.axes;
        for (axis, letter) in AXES.iter().enumerate() {
            let relative = if axis == 3 { self.relative_e } else { self.relative };
            if let Some(value) = command.value(*letter) {
                self.axes[axis] = if relative { self.axes[axis] + value } else { value };
            }
        }
        let step = |axis: usize| self.axes[axis] - from[axis];
        let flat = if command.code >= 2 { arc_mm(command, step(0), step(1)) } else { step(0).hypot(step(1)) };
        let length = flat.hypot(step(2));
        let length_mm = if length > 0.0 { length } else { step(3).abs() };
        (length_mm / self.feed_mm_min * 60e6) as u64
    }

    /// G92: the present place gets other names; without words everything becomes zero.
    pub(crate) fn rename(&mut self, command: &Command<'_>) {
        let any = AXES.iter().any(|letter| command.has(*letter));
        for (axis, letter) in AXES.iter().enumerate() {
            if !any || command.has(*letter) {
                self.axes[axis] = command.value(*letter).unwrap_or(0.0);
            }
        }
    }

    /// G28: the named axes, or all of X, Y and Z, go to zero.
    pub(crate) fn home(&mut self, command: &Command<'_>) {
        let any = AXES[..3].iter().any(|letter| command.has(*letter));
        for (axis, letter) in AXES[..3].iter().enumerate() {
            if !any || command.has(*letter) {
                self.axes[axis] = 0.0;
            }
        }
    }

    /// The planned place of the head.
    pub(crate) fn xyz(&self) -> [f64; 3] {
        [self.axes[0], self.axes[1], self.axes[2]]
    }

    /// The answer to M114.
    pub(crate) fn report(&self) -> String {
        let [x, y, z, e] = self.axes;
        let steps = |axis: usize| (self.axes[axis] * STEPS_PER_MM[axis]).round() as i64;
        format!("X:{x:.2} Y:{y:.2} Z:{z:.2} E:{e:.2} Count X:{} Y:{} Z:{}", steps(0), steps(1), steps(2))
    }
}

/// Length of an arc given by I and J; a straight line when it has no centre.
fn arc_mm(command: &Command<'_>, dx: f64, dy: f64) -> f64 {
    let i = command.value(b'I').unwrap_or(0.0);
    let j = command.value(b'J').unwrap_or(0.0);
    let radius = i.hypot(j);
    if radius == 0.0 {
        return dx.hypot(dy);
    }
    let turn = (dy - j).atan2(dx - i) - (-j).atan2(-i);
    let turn = if command.code == 2 { -turn } else { turn }.rem_euclid(TAU);
    radius * if turn == 0.0 { TAU } else { turn }
}

/// The block buffer: when each taken move ends.
#[derive(Debug)]
pub(crate) struct Planner {
    ends_us: VecDeque<u64>,
    moves: usize,
    last_end_us: u64,
}

impl Planner {
    /// A planner of `moves` blocks, of which one stays free; zero takes every move and is always empty.
    pub(crate) fn new(moves: usize) -> Self {
        Self { ends_us: VecDeque::with_capacity(moves), moves, last_end_us: 0 }
    }

    /// Forgets the moves that are over.
    pub(crate) fn retire(&mut self, now_us: u64) {
        while self.ends_us.front().is_some_and(|end| *end <= now_us) {
            self.ends_us.pop_front();
        }
    }

    /// Free blocks.
    pub(crate) fn free(&self) -> usize {
        if self.moves == 0 { 15 } else { (self.moves - 1).saturating_sub(self.ends_us.len()) }
    }

    /// When a block becomes free if none is.
    pub(crate) fn room_at_us(&self) -> u64 {
        if self.free() > 0 { 0 } else { self.ends_us.front().copied().unwrap_or(0) }
    }

    /// When everything taken so far is over.
    pub(crate) fn drained_at_us(&self) -> u64 {
        self.last_end_us
    }

    /// Takes a move and says since when the planner had been empty, if it was.
    pub(crate) fn push(&mut self, now_us: u64, duration_us: u64) -> Option<u64> {
        if self.moves == 0 || duration_us == 0 {
            return None;
        }
        let starved_since = (self.last_end_us < now_us).then_some(self.last_end_us);
        self.last_end_us = self.last_end_us.max(now_us) + duration_us;
        self.ends_us.push_back(self.last_end_us);
        starved_since
    }

    /// Moves that have not begun.
    pub(crate) fn waiting(&self) -> usize {
        self.ends_us.len().saturating_sub(1)
    }

    /// Forgets the newest moves.
    pub(crate) fn take_back(&mut self, moves: usize) {
        self.ends_us.truncate(self.ends_us.len().saturating_sub(moves));
        self.last_end_us = self.ends_us.back().copied().unwrap_or(self.last_end_us);
    }

    /// Throws every move away.
    pub(crate) fn clear(&mut self, now_us: u64) {
        self.ends_us.clear();
        self.last_end_us = self.last_end_us.min(now_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(position: &mut Position, text: &str) -> u64 {
        position.go(&Command::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn durations_follow_length_and_feed() {
        let mut at = Position::new();
        assert_eq!(go(&mut at, "G1 X30 Y40 F3000"), 1_000_000);
        assert_eq!(go(&mut at, "G1 X30 Y40"), 0);
        assert_eq!(go(&mut at, "G1 E5 F300"), 1_000_000);
        at.set_relative(Some(true), true);
        assert_eq!(go(&mut at, "G1 X10 F600"), 1_000_000);
        assert_eq!(at.report(), "X:40.00 Y:40.00 Z:0.00 E:5.00 Count X:3200 Y:3200 Z:0");
    }

    #[test]
    fn a_half_circle_is_pi_times_its_radius() {
        let mut at = Position::new();
        let us = go(&mut at, "G3 X20 Y0 I10 J0 F600");
        assert!(us.abs_diff(3_141_593) < 10, "{us}");
    }

    #[test]
    fn the_planner_keeps_one_block_free_and_reports_hunger() {
        let mut planner = Planner::new(4);
        assert_eq!(planner.push(100, 50), Some(0));
        assert_eq!(planner.push(110, 50), None);
        assert_eq!(planner.push(110, 50), None);
        assert_eq!((planner.free(), planner.room_at_us()), (0, 150));
        planner.retire(150);
        assert_eq!(planner.free(), 1);
        planner.retire(1_000);
        assert_eq!(planner.push(1_000, 1), Some(250));
    }
}
