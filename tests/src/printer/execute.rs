//! What each command does once it comes to the head of the queue, and what it waits for.

use super::command::Command;
use super::heater::Heater;
use super::line::command_range;
use super::{Acknowledged, Autoreport, Executed, Line, Printer, Protection, Temperatures};

/// What the running command waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Blocked {
    /// A move, for a free planner block.
    Room,
    /// All planned moves, and then so long again.
    Sync { then_us: u64, homes: bool },
    /// A moment.
    Until { until_us: u64, homes: bool },
    /// A heater; with a report each second.
    Heat { reached_us: u64, done_us: u64, next_report_us: u64 },
    /// Somebody who presses the button.
    User,
    /// Somebody who brings new filament; then this line and all behind it are asked for.
    Runout { until_us: u64, number: i64 },
}

/// One of the two heaters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Hotend,
    Bed,
}

/// How a command ends that does not wait.
enum Begun {
    /// With the usual `ok`.
    Done,
    /// With `ok T:...`.
    DoneWithTemperatures,
    /// Not yet.
    Blocked(Blocked),
    /// Never: the printer was killed.
    Dead,
}

impl Printer {
    /// Takes the head of the queue and begins it.
    pub(super) fn begin_next(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        if self.rng.chance(self.options.faults.brown_out) {
            return self.restart(self.busy_until_us);
        }
        let Some(line) = self.queue.pop_front() else { return };
        self.next_busy_us = self.clock_us + self.busy_interval_us;
        match self.begin(&line) {
            Begun::Done => self.finish(&line),
            Begun::DoneWithTemperatures => {
                let text = format!("ok {}", self.temperatures());
                self.end(Some(&text));
            }
            Begun::Blocked(blocked) => self.current = Some((line, blocked)),
            Begun::Dead => {}
        }
    }

    /// Looks whether the running command can go on.
    pub(super) fn proceed(&mut self) {
        let now_us = self.clock_us;
        let Some((line, blocked)) = self.current.take() else { return };
        let broken = std::mem::take(&mut self.due.break_wait);
        let next = match blocked {
            _ if self.is_held => Some(blocked),
            Blocked::Room if self.planner.room_at_us() <= now_us => {
                self.take_move(&line);
                None
            }
            Blocked::Sync { then_us: 0, homes: false } if self.planner.drained_at_us() <= now_us => None,
            Blocked::Sync { then_us, homes } if self.planner.drained_at_us() <= now_us => {
                Some(Blocked::Until { until_us: now_us + then_us, homes })
            }
            Blocked::Until { until_us, homes } if until_us <= now_us => {
                if homes && self.options.dialect.temperatures != Temperatures::Unknown {
                    self.print(&self.position.report());
                }
                None
            }
            Blocked::Heat { reached_us, done_us, next_report_us } if !broken && done_us > now_us => {
                if next_report_us > now_us {
                    Some(blocked)
                } else {
                    if self.options.dialect.temperatures != Temperatures::Unknown {
                        self.print(&self.heat_report(reached_us, done_us));
                    }
                    Some(Blocked::Heat { reached_us, done_us, next_report_us: now_us + 1_000_000 })
                }
            }
            Blocked::Heat { .. } => None,
            Blocked::Runout { until_us, number } if until_us <= now_us => {
                return self.end_runout(number);
            }
            Blocked::User if broken => None,
            waiting => Some(waiting),
        };
        match next {
            Some(blocked) => self.current = Some((line, blocked)),
            None => self.finish(&line),
        }
    }

    /// The usual `ok`, still counting the finished line as queued, as Marlin does.
    fn finish(&mut self, line: &Line) {
        match (self.options.dialect.acknowledged, self.options.advanced_ok) {
            (Acknowledged::Received, _) => self.end(None),
            (Acknowledged::Executed, true) => self.end(Some(&self.advanced_ok(line))),
            (Acknowledged::Executed, false) => self.end(Some("ok")),
        }
    }

    fn end(&mut self, ok: Option<&str>) {
        self.statistics.lines_executed += 1;
        if let Some(ok) = ok {
            self.print_ok(ok);
        }
        self.next_wait_us = self.busy_until_us + self.options.wait_interval_us;
    }

    fn note(&mut self, line: &Line) {
        let (number, raw, command) = (line.number, line.raw.clone(), line.command.clone());
        let centi_c = |heater: &Heater| (heater.temperature_c(self.clock_us) * 100.0) as i32;
        let (hotend_centi_c, bed_centi_c) = (centi_c(&self.hotend), centi_c(&self.bed));
        let at_us = self.clock_us;
        self.record.add(Executed { number, raw, at_us, hotend_centi_c, bed_centi_c, command });
    }

    fn begin(&mut self, line: &Line) -> Begun {
        let text = &line.raw[line.command.clone()];
        if self.options.dialect.lead.is_some() {
            let word = text.split(|&byte| byte == b' ').next().unwrap_or_default();
            self.print(&format!("CMD {} Received.", String::from_utf8_lossy(word)));
        }
        let Some(command) = Command::parse(text) else {
            self.note(line);
            return self.no_command(text);
        };
        if command.letter == b'G' && command.code <= 3 {
            if let Some(complaint) = self.options.dialect.unhomed.filter(|_| self.is_unhomed) {
                self.print(complaint);
                return Begun::Done;
            }
            if self.planner.room_at_us() > self.clock_us {
                return Begun::Blocked(Blocked::Room);
            }
            self.take_move(line);
            return Begun::Done;
        }
        self.note(line);
        match command.letter {
            b'G' => self.begin_g(&command, text),
            b'M' => self.begin_m(&command, text),
            _ if command.code == 0 => Begun::Done,
            _ => {
                if self.options.dialect.temperatures != Temperatures::Unknown {
                    self.print(&format!("echo:T{} Invalid extruder", command.code));
                }
                Begun::Done
            }
        }
    }

    /// What begins with no G, M or T: a grbl system command, or nothing that this firmware knows.
    fn no_command(&mut self, text: &[u8]) -> Begun {
        if text == b"$I" && self.options.dialect.identity.by_dollar {
            self.identify();
            return Begun::Done;
        }
        if text.starts_with(b"$") {
            return Begun::Done;
        }
        self.unknown(text)
    }

    /// The planner takes a move.
    fn take_move(&mut self, line: &Line) {
        self.note(line);
        let Some(command) = Command::parse(&line.raw[line.command.clone()]) else { return };
        let duration_us = self.position.go(&command);
        let duration_us = self.scaled(duration_us);
        if let Some(since_us) = self.planner.push(self.clock_us, duration_us)
            && self.printing
        {
            self.statistics.underruns += 1;
            self.statistics.starved_us += self.clock_us - since_us;
        }
        self.printing = true;
        self.statistics.moved(self.clock_us);
    }

    fn begin_g(&mut self, command: &Command<'_>, text: &[u8]) -> Begun {
        match command.code {
            4 => {
                let seconds = command.value(b'S').unwrap_or(0.0) + command.value(b'P').unwrap_or(0.0) / 1e3;
                if self.options.host_actions {
                    self.print("//action:notification Sleep...");
                }
                let then_us = self.scaled((seconds.max(0.0) * 1e6) as u64);
                return self.synchronise(then_us, false);
            }
            28 => {
                self.is_unhomed = false;
                self.position.home(command);
                return self.synchronise(self.scaled(self.options.home_us), true);
            }
            90 => self.position.set_relative(Some(false), false),
            91 => self.position.set_relative(Some(true), true),
            92 => {
                self.position.rename(command);
                if self.options.dialect.protection == Protection::Marlin {
                    self.print(&self.position.report());
                }
            }
            _ => return self.unknown(text),
        }
        Begun::Done
    }

    fn begin_m(&mut self, command: &Command<'_>, text: &[u8]) -> Begun {
        match command.code {
            0 | 1 => return self.wait_for_user(command),
            18 | 84 | 400 => return self.synchronise(0, false),
            81 => {
                self.set_target(Which::Hotend, 0.0);
                self.set_target(Which::Bed, 0.0);
            }
            82 => self.position.set_relative(None, false),
            83 => self.position.set_relative(None, true),
            104 => self.set_target_from(Which::Hotend, command),
            140 => self.set_target_from(Which::Bed, command),
            105 => return self.query_temperatures(),
            109 => return self.heat(Which::Hotend, command),
            190 => return self.heat(Which::Bed, command),
            110 if self.options.dialect.counts_at_once => {}
            110 => self.counter.last = command.value(b'N').map_or(self.counter.last, |number| number as i64),
            112 if !self.options.emergency_parser => {
                self.kill(true);
                return Begun::Dead;
            }
            410 if !self.options.emergency_parser => self.quick_stop(),
            113 => self.keep_alive(command),
            114 => self.print(&self.position.report()),
            115 if !self.options.dialect.identity.by_dollar => self.identify(),
            118 => self.echo(command),
            155 if self.options.autoreport_temp => self.report_regularly(command),
            // Settings without an answer, and what the emergency parser has already done.
            17
            | 75..=80
            | 106..=108
            | 112
            | 117
            | 201..=205
            | 220
            | 221
            | 302
            | 410
            | 486
            | 876
            | 900
            | 999 => {}
            _ => return self.unknown(text),
        }
        Begun::Done
    }

    fn unknown(&mut self, text: &[u8]) -> Begun {
        if let Some(words) = self.options.dialect.unknown {
            self.print(&words.replace("{}", &String::from_utf8_lossy(text)));
        }
        Begun::Done
    }

    fn query_temperatures(&mut self) -> Begun {
        match self.options.dialect.temperatures {
            Temperatures::OnOk => Begun::DoneWithTemperatures,
            Temperatures::OwnLine => {
                let text = self.temperatures();
                self.print(&text);
                Begun::Done
            }
            Temperatures::Unknown => Begun::Done,
        }
    }

    /// Waits for the planner, after which an empty planner is nobody's fault.
    fn synchronise(&mut self, then_us: u64, homes: bool) -> Begun {
        self.printing = false;
        Begun::Blocked(Blocked::Sync { then_us, homes })
    }

    fn wait_for_user(&mut self, command: &Command<'_>) -> Begun {
        self.printing = false;
        if !command.rest.is_empty() {
            self.print(&format!("echo:{}", String::from_utf8_lossy(command.rest)));
        }
        if self.options.host_actions {
            let code = command.code;
            self.print("//action:prompt_end");
            self.print(&format!("//action:prompt_begin M{code} Stop"));
            self.print("//action:prompt_button Continue");
            self.print("//action:prompt_show");
        }
        Begun::Blocked(Blocked::User)
    }

    fn set_target(&mut self, heater: Which, target_c: f64) {
        let now_us = self.clock_us;
        match heater {
            Which::Hotend => self.hotend.set_target(now_us, target_c),
            Which::Bed => self.bed.set_target(now_us, target_c),
        }
    }

    fn set_target_from(&mut self, heater: Which, command: &Command<'_>) {
        if let Some(target_c) = command.value(b'S') {
            self.set_target(heater, target_c);
        }
    }

    /// M109 and M190: `S` waits for warming only, `R` for cooling as well.
    fn heat(&mut self, which: Which, command: &Command<'_>) -> Begun {
        let (now_us, cools) = (self.clock_us, command.value(b'R').is_some());
        let Some(target_c) = command.value(b'S').or(command.value(b'R')) else { return Begun::Done };
        self.printing = false;
        self.set_target(which, target_c);
        let heater = match which {
            Which::Hotend => &self.hotend,
            Which::Bed => &self.bed,
        };
        if !cools && heater.temperature_c(now_us) > heater.target_c() {
            return Begun::Done;
        }
        let reached_us = match heater.reached_at_us() {
            // Marlin gives a cooling up that no longer falls within a minute.
            u64::MAX => now_us + self.scaled(60_000_000),
            reached_us => reached_us,
        };
        let done_us = reached_us.saturating_add(self.scaled(self.options.residency_us));
        Begun::Blocked(Blocked::Heat { reached_us, done_us, next_report_us: now_us })
    }

    fn keep_alive(&mut self, command: &Command<'_>) {
        match command.value(b'S') {
            Some(seconds) => self.busy_interval_us = (seconds.clamp(0.0, 60.0) * 1e6) as u64,
            None => self.print(&format!("echo:M113 S{}", self.busy_interval_us / 1_000_000)),
        }
    }

    fn report_regularly(&mut self, command: &Command<'_>) {
        let interval_us = (command.value(b'S').unwrap_or(0.0).clamp(0.0, 60.0) * 1e6) as u64;
        let next_us = self.clock_us + interval_us;
        self.autoreport = (interval_us > 0).then_some(Autoreport { interval_us, next_us });
    }

    /// A mechanical duration at this printer's speed.
    fn scaled(&self, duration_us: u64) -> u64 {
        (duration_us as f64 / self.options.speed) as u64
    }
}

impl Line {
    /// The digits behind a leading `N`, as ADVANCED_OK repeats them.
    pub(super) fn leading_number(&self) -> Option<&[u8]> {
        let head = &self.raw[..command_range(&self.raw).start];
        let digits = head.trim_ascii().strip_prefix(b"N")?;
        (!digits.is_empty()).then_some(digits)
    }
}
