//! Whether the serial line can carry the moves as fast as the printer makes them.

use super::code::Code;
use super::tally::{Detail, Tally};

/// What a planner and the buffers in front of it hold when they are full, as time: short bursts are made up for by it.
const AHEAD_S: f64 = 0.5;
/// A run is over once so many moves in a row have come in time.
const CALM_MOVES: u32 = 16;
/// What holds the printer up for less is not worth a word, in one run and in the whole file.
const RUN_WORTH_S: f64 = 1.0;
const FILE_WORTH_S: f64 = 5.0;

/// Moves in a row that come faster than the line can carry them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct SlowRun {
    /// Line of its first move.
    first_line: u64,
    /// Line of its last move.
    last_line: u64,
    /// Moves.
    moves: u64,
    /// Time that its moves take at their feed rates, in seconds.
    move_s: f64,
    /// Time that the printer stands still for want of lines, in seconds.
    waits_s: f64,
}

/// Follows how far ahead the printer's buffers are.
#[derive(Debug)]
pub(super) struct Rate {
    seconds_per_byte: Option<f64>,
    ahead_s: f64,
    run: SlowRun,
    /// Moves in a row that came in time; they belong to the run once another does not.
    calm_moves: u32,
    calm_s: f64,
    longest: SlowRun,
    waits_s: f64,
}

impl Rate {
    pub(super) fn new(bytes_per_s: Option<f64>) -> Self {
        let (run, longest) = (SlowRun::default(), SlowRun::default());
        let seconds_per_byte = bytes_per_s.filter(|rate| *rate > 0.0).map(f64::recip);
        Self { seconds_per_byte, ahead_s: 0.0, run, calm_moves: 0, calm_s: 0.0, longest, waits_s: 0.0 }
    }

    /// A line of so many bytes on the wire, and the time of its move; a line that does not move takes none.
    #[inline]
    pub(super) fn take(&mut self, line: u64, wire_bytes: usize, move_s: f64) {
        let Some(seconds_per_byte) = self.seconds_per_byte else { return };
        self.ahead_s -= wire_bytes as f64 * seconds_per_byte;
        if self.ahead_s < 0.0 {
            self.wait(line);
        } else if self.calm_moves >= CALM_MOVES {
            self.end_run();
        }
        self.calm_moves += 1;
        self.calm_s += move_s;
        self.ahead_s = (self.ahead_s + move_s).min(AHEAD_S);
    }

    /// The printer has nothing left to do until this line is there.
    fn wait(&mut self, line: u64) {
        if self.run.waits_s == 0.0 {
            self.run.first_line = line;
            (self.calm_moves, self.calm_s) = (0, 0.0);
        }
        self.run.last_line = line;
        self.run.waits_s -= self.ahead_s;
        self.run.moves += u64::from(self.calm_moves);
        self.run.move_s += self.calm_s;
        self.waits_s -= self.ahead_s;
        (self.ahead_s, self.calm_moves, self.calm_s) = (0.0, 0, 0.0);
    }

    /// Nothing was to be done meanwhile: the printer was heating, homing or waiting for a person.
    pub(super) fn rest(&mut self) {
        self.end_run();
        self.ahead_s = AHEAD_S;
    }

    fn end_run(&mut self) {
        if self.run.waits_s > self.longest.waits_s {
            self.longest = self.run;
        }
        self.run = SlowRun::default();
        (self.calm_moves, self.calm_s) = (0, 0.0);
    }

    /// Time that the printer stands still for want of lines, in seconds, over the whole file.
    pub(super) fn waits_s(&self) -> f64 {
        self.waits_s
    }

    /// The file has ended.
    pub(super) fn finish(&mut self, tally: &mut Tally) {
        self.end_run();
        let Some(rate) = self.seconds_per_byte.map(f64::recip) else { return };
        let run = self.longest;
        if run.waits_s < RUN_WORTH_S && self.waits_s < FILE_WORTH_S {
            return;
        }
        let wanted = run.moves as f64 / run.move_s.max(1e-6);
        let carried = run.moves as f64 / (run.move_s + run.waits_s);
        tally.add(Code::LinkTooSlow, "", run.first_line, || {
            Detail::text(format!(
                "lines {} to {} want {wanted:.0} moves a second and {rate:.0} bytes a second carry {carried:.0}: this \
                 costs {:.0} s there and {:.0} s in all",
                run.first_line, run.last_line, run.waits_s, self.waits_s
            ))
            .value(format!("{wanted:.0} moves/s"))
            .limit(format!("{carried:.0} moves/s"))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rate: Rate) -> Vec<super::super::tally::Finding> {
        let (mut rate, mut tally) = (rate, Tally::default());
        rate.finish(&mut tally);
        tally.into_sorted()
    }

    #[test]
    fn a_run_that_the_wire_cannot_carry_is_named_with_what_it_costs() {
        let mut rate = Rate::new(Some(1_000.0));
        // 20 bytes take 20 ms: a slow part, a fast one of 5 ms a move, and a slow part.
        for line in 1..=1_100 {
            let is_fast = (101..=1_000).contains(&line);
            rate.take(line, 20, if is_fast { 0.005 } else { 0.1 });
        }
        // 900 moves lack 15 ms each, half a second of which was ahead.
        assert!((rate.waits_s() - (900.0 * 0.015 - AHEAD_S)).abs() < 0.1, "{}", rate.waits_s());
        let found = found(rate);
        assert_eq!(found.len(), 1);
        assert!((101..150).contains(&found[0].line), "{found:?}");
        assert_eq!(found[0].value.as_deref(), Some("200 moves/s"));
        assert_eq!(found[0].limit.as_deref(), Some("50 moves/s"));
    }

    #[test]
    fn short_bursts_and_links_without_a_rate_are_fine() {
        let mut rate = Rate::new(Some(1_000.0));
        for line in 1..=10_000 {
            rate.take(line, 20, if line % 100 < 20 { 0.001 } else { 0.1 });
        }
        assert!(found(rate).is_empty());
        let mut usb = Rate::new(None);
        (1..=10_000).for_each(|line| usb.take(line, 20, 0.0001));
        assert!(found(usb).is_empty());
    }
}
