//! The firmware's main loop, one action at a time.

use super::execute::Blocked;
use super::judge::{Counter, command_of, verdict};
use super::line::{Taken, Verdict};
use super::{Acknowledged, Line, Power, Printer, Protection};

impl Printer {
    /// Whether the loop has work as soon as it is free.
    pub(super) fn is_ready(&self) -> bool {
        let due = self.due;
        let interrupted = due.kill || due.quick_stop || due.break_wait || due.status || due.soft_reset;
        if due.resend || interrupted || self.can_read() {
            return true;
        }
        self.current.is_none() && !self.queue.is_empty() && !self.is_held
    }

    /// Bytes leave the ring only while the command queue has room; the running command still holds its slot.
    fn can_read(&self) -> bool {
        let changing = matches!(self.current, Some((_, Blocked::Runout { .. })));
        self.ring.len() > 0 && self.queued() < self.options.queue_lines && !changing
    }

    /// Lines in the queue, the running one included.
    pub(super) fn queued(&self) -> usize {
        self.queue.len() + usize::from(self.current.is_some())
    }

    /// When the next timer runs out; `u64::MAX` when none runs.
    pub(super) fn next_timer_us(&self) -> u64 {
        let mut next = self.autoreport.map_or(u64::MAX, |report| report.next_us).min(self.given_up_at_us());
        match &self.current {
            Some((_, blocked)) => {
                next = next.min(self.blocked_until_us(blocked));
                if self.busy_interval_us > 0 {
                    next = next.min(self.next_busy_us);
                }
            }
            None if self.options.wait_interval_us > 0 => next = next.min(self.next_wait_us),
            None => {}
        }
        next
    }

    fn blocked_until_us(&self, blocked: &Blocked) -> u64 {
        match blocked {
            _ if self.is_held => u64::MAX,
            Blocked::Room => self.planner.room_at_us(),
            Blocked::Sync { .. } => self.planner.drained_at_us(),
            Blocked::Until { until_us, .. } => *until_us,
            Blocked::Heat { done_us, next_report_us, .. } => (*done_us).min(*next_report_us),
            Blocked::Runout { until_us, .. } => *until_us,
            Blocked::User => u64::MAX,
        }
    }

    /// Does one thing at `now_us`.
    pub(super) fn step(&mut self, now_us: u64) {
        self.clock_us = now_us;
        self.busy_until_us = self.busy_until_us.max(now_us);
        self.planner.retire(now_us);
        if let Power::Bootloader { .. } = self.power {
            return self.boot();
        }
        if self.due.resend {
            self.flush_and_ask();
        } else if self.due.kill {
            self.kill(true);
        } else if std::mem::take(&mut self.due.quick_stop) {
            self.quick_stop();
        } else if std::mem::take(&mut self.due.soft_reset) {
            self.reset_softly();
        } else if std::mem::take(&mut self.due.status) {
            self.report_status();
        } else if !self.run_timers(now_us) {
            if self.can_read() {
                self.read();
            } else if self.current.is_some() {
                self.proceed();
            } else if self.given_up_at_us() <= now_us {
                self.give_up_waiting();
            } else {
                self.begin_next();
            }
        }
    }

    /// Reports that are due whatever the loop is doing (`idle()`); true when something was printed.
    fn run_timers(&mut self, now_us: u64) -> bool {
        if let Some(report) = self.autoreport.as_mut().filter(|report| report.next_us <= now_us) {
            report.next_us = now_us + report.interval_us;
            let text = format!(" {}", self.temperatures());
            self.print(&text);
            return true;
        }
        if let Some((_, blocked)) = &self.current {
            if self.busy_interval_us == 0 || self.next_busy_us > now_us {
                return false;
            }
            let user = matches!(blocked, Blocked::User | Blocked::Runout { .. });
            self.next_busy_us = now_us + self.busy_interval_us;
            let what = if user { "paused for user" } else { "processing" };
            self.print(&format!("{}{what}", self.options.dialect.busy));
            return true;
        }
        let quiet = self.queue.is_empty() && self.ring.len() == 0;
        if !quiet || self.options.wait_interval_us == 0 || self.next_wait_us > now_us {
            return false;
        }
        self.next_wait_us = now_us + self.options.wait_interval_us;
        self.print("wait");
        true
    }

    /// Moves bytes from the ring into the line buffer up to the end of one line.
    fn read(&mut self) {
        if let Some(text) = self.options.dialect.overrun.filter(|_| self.ring.room() == 0) {
            self.print(text);
        }
        while let Some(byte) = self.ring.pop() {
            match self.line.take(byte) {
                Taken::More => {}
                Taken::Line => return self.finish_line(),
                Taken::Blank if self.options.dialect.acknowledges_blanks => return self.print_ok("ok"),
                Taken::Blank => {}
            }
        }
    }

    fn finish_line(&mut self) {
        let raw = self.line.bytes().to_vec();
        self.line.clear();
        let options = &self.options;
        let verdict = verdict(&raw, self.counter, options);
        self.busy_until_us += options.parse_us;
        if self.rng.chance(options.faults.stall) {
            self.busy_until_us += self.rng.range(options.faults.stall_min_us..=options.faults.stall_max_us);
        }
        match verdict {
            Verdict::Silent => self.statistics.lines_ignored += 1,
            Verdict::Refused(refusal) => self.refuse(refusal, &raw),
            Verdict::Accepted(number) => self.accept(number, raw),
            Verdict::Skipped(number) => self.skip(number),
            Verdict::Counted(number) => {
                self.counter = Counter { last: number, to_skip: None };
                self.print_ok("ok");
            }
            Verdict::NoCommand => self.print_ok(self.options.dialect.no_command.unwrap_or("ok")),
        }
    }

    fn accept(&mut self, number: Option<i64>, raw: Vec<u8>) {
        if let Some(number) = number {
            self.counter.last = number;
        }
        self.counter.to_skip = None;
        if !self.options.emergency_parser && self.acts_early(&raw) {
            return;
        }
        self.statistics.lines_accepted += 1;
        if let Some(last_us) = self.last_line_us.replace(self.clock_us) {
            self.gaps.add(self.clock_us - last_us);
        }
        let command = command_of(&raw, self.options.dialect);
        self.queue.push_back(Line { number, raw, command });
        if self.options.dialect.acknowledged == Acknowledged::Received {
            let text = format!("ok {}", self.counter.last);
            self.print_ok(&text);
        }
        if self.rng.chance(self.options.faults.spurious_resend) {
            self.ask_without_reason();
        }
        if self.rng.chance(self.options.faults.runout) {
            self.run_out();
        }
    }

    /// Without an emergency parser an unnumbered critical command still acts before it is queued; true after a kill.
    fn acts_early(&mut self, raw: &[u8]) -> bool {
        match raw.get(..4) {
            Some(b"M108") => self.break_wait(),
            Some(b"M410") => self.quick_stop(),
            Some(b"M112") => {
                self.kill(true);
                return true;
            }
            _ => {}
        }
        false
    }

    pub(super) fn quick_stop(&mut self) {
        self.planner.clear(self.clock_us);
        self.printing = false;
    }

    pub(super) fn kill(&mut self, by_command: bool) {
        self.statistics.kills += 1;
        let dialect = self.options.dialect;
        if by_command && dialect.protection == Protection::Marlin {
            self.print("echo:M112 Shutdown");
        }
        for text in dialect.halted {
            self.print(text);
        }
        if self.options.host_actions {
            self.print("//action:poweroff");
        }
        self.forget(self.busy_until_us);
        self.power = Power::Killed;
    }

    /// Everything volatile goes and the bootloader takes over.
    pub(super) fn restart(&mut self, now_us: u64) {
        self.statistics.resets += 1;
        self.statistics.last_reset_us = Some(now_us);
        self.is_unhomed = true;
        self.forget(now_us);
        self.busy_until_us = now_us;
        self.power = Power::Bootloader { until_us: now_us + self.options.bootloader_us };
    }

    /// The bootloader hands over; after `start` the receiver works but the loop does not read yet.
    fn boot(&mut self) {
        self.power = Power::On;
        for text in self.options.dialect.identity.banner {
            self.print(text);
        }
        self.busy_until_us += self.options.boot_us;
        self.next_wait_us = self.busy_until_us + self.options.wait_interval_us;
    }

    pub(super) fn forget(&mut self, now_us: u64) {
        self.due = super::Due::default();
        self.ring.flush();
        self.line.clear();
        self.emergency = super::EmergencyParser::new();
        self.queue.clear();
        self.current = None;
        self.counter = Counter::default();
        self.is_held = false;
        self.position = super::Position::new();
        self.planner.clear(now_us);
        self.printing = false;
        self.hotend.set_target(now_us, 0.0);
        self.bed.set_target(now_us, 0.0);
        self.autoreport = None;
        self.busy_interval_us = self.options.busy_interval_us;
    }

    /// One reply line; the loop stands still until it has left.
    pub(super) fn print(&mut self, text: &str) {
        self.busy_until_us = self.transmitter.line(self.busy_until_us, text);
    }

    /// An `ok` line, which the faults may swallow or double.
    pub(super) fn print_ok(&mut self, text: &str) {
        self.statistics.oks += 1;
        let copies = self.transmitter.copies_of_ok();
        self.statistics.oks_lost += u64::from(copies == 0);
        for _ in 0..copies {
            self.print(text);
        }
    }
}
