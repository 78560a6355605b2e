//! The end of the filament, as Prusa's firmware takes it: lines that were accepted are asked for once more.
//!
//! `stop_and_save_print_to_ram` of `Marlin_main.cpp` throws the queue away, with the moves of the planner that have not
//! begun, and sets the line counter back by as many; lines that it had acknowledged are among them. When a person has
//! brought new filament, `FlushSerialRequestResend` asks for the first of them. Nothing is read in between.

use super::execute::Blocked;
use super::{Line, Printer};

/// Most moves that are taken back out of the planner.
const MOVES_MAX: usize = 12;

impl Printer {
    /// Takes everything back that has not been carried out; only numbered lines can be asked for again.
    pub(super) fn run_out(&mut self) {
        let is_numbered = |line: &Line| line.number.is_some();
        let held = match &self.current {
            None => 0,
            Some((line, Blocked::Room)) if is_numbered(line) => 1,
            Some(_) => return,
        };
        if !self.queue.iter().all(is_numbered) {
            return;
        }
        let queued = self.queue.len() + held;
        self.queue.clear();
        let moves = self.planner.waiting().min(MOVES_MAX);
        let moves = self.record.take_back(moves);
        self.planner.take_back(moves);
        self.statistics.lines_taken_back += moves as u64;
        let change_us = self.rng.range(0..=self.options.faults.runout_max_us);
        let number = self.counter.last - (queued + moves) as i64;
        let until_us = self.clock_us + change_us;
        self.print("echo:busy: paused for user");
        let line = Line { number: None, raw: b"M600".to_vec(), command: 0..4 };
        self.current = Some((line, Blocked::Runout { until_us, number }));
        self.next_busy_us = self.clock_us + self.busy_interval_us;
    }

    /// The filament is there again.
    pub(super) fn end_runout(&mut self, number: i64) {
        self.counter.last = number;
        self.due.resend = true;
    }
}
