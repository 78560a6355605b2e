//! Watches over heat and standstill while the agent speaks to a printer: told what is asked for, what is reported, what the
//! job does and the time, it says what is wrong and what is to be done.
//!
//! It comes on top of the firmware's own protection and never takes its place. What it does it does by the usual ways: a
//! question (`M105`, `M27`), a pause, the profile's cancel script.
//!
//! * `course` follows one heater: too hot, running away, not getting warm.
//! * `alarm` is what can be wrong, in words.
//! * `reports` sees that temperatures are reported while something is heated.
//! * `idle` sees that nothing is left heated when no job is under way.
//! * `stall` sees that a job that is printed moves on.
//!
//! All times are such that a real print does not set them off: heat-ups, waits of the firmware, reports that come every few
//! seconds, and a person who heats by hand.

mod alarm;
mod course;
mod idle;
mod reports;
mod stall;

use std::time::Duration;

use spoolway_firmware_profiles::limits::TemperatureLimits;

use crate::Moment;
use crate::gcode::target::{Heater, Target, targets};
use crate::stream::Awaits;
use crate::temperature::{TOOLS_MAX, Temperatures};

pub use alarm::{Act, Alarm, Wrong, name_of};

use course::Course;
use idle::Idle;
use reports::Reports;
use stall::Stall;

/// While something is heated or printed it is looked at this often even if nothing is heard.
const LOOK: Duration = Duration::from_secs(2);
/// Hot ends, the bed, the chamber.
const HEATERS: usize = TOOLS_MAX + 2;
const BED: usize = TOOLS_MAX;
const CHAMBER: usize = TOOLS_MAX + 1;
/// Findings that wait; the shell takes them after every input.
const FINDINGS_MAX: usize = 32;

/// What the guard must know of a printer and of its operator's wishes.
#[derive(Debug, Clone)]
pub struct GuardOptions {
    /// Temperatures that may be asked for.
    pub limits: TemperatureLimits,
    /// Whether temperatures can be asked for at all.
    pub can_ask: bool,
    /// How long something may stay heated when no job is under way; `None` for ever.
    pub idle_heater_off_after: Option<Duration>,
    /// How long a job that is printed may stand still for no reason; `None` for ever.
    pub stall_after: Option<Duration>,
}

/// What the printer is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activity {
    /// No job is under way.
    #[default]
    Idle,
    /// A job's lines are sent.
    Printing,
    /// A job is held.
    Paused,
}

/// How things stand at a look.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// What the printer is busy with.
    pub activity: Activity,
    /// Commands of the job acknowledged.
    pub acked: u64,
    /// How often the firmware has said that it works at something, or asked for a line again.
    pub signs: u64,
    /// What the job waits for.
    pub awaits: Awaits,
    /// The port has not taken all bytes.
    pub unwritten: bool,
    /// A person at the machine has opened a maintenance window.
    pub maintenance: bool,
}

/// What the guard wants, one thing at a time.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// Ask the firmware; tell with [`Guard::handle_answer`] when the question was acknowledged.
    Ask(Question),
    /// Something is wrong.
    Alarm(Alarm),
    /// It is no longer so.
    Over(Wrong),
}

/// A harmless question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// How hot is it?
    Temperatures,
    /// Does it print from its own card?
    Card,
}

/// One printer watched over, from the moment it is known to the moment it is lost.
#[derive(Debug)]
pub struct Guard {
    options: GuardOptions,
    courses: [Course; HEATERS],
    /// The tool that was chosen last.
    tool: usize,
    reports: Reports,
    idle: Idle,
    stall: Stall,
    activity: Activity,
    maintenance: bool,
    findings: std::collections::VecDeque<Finding>,
}

impl Guard {
    /// A guard that begins now and knows nothing yet.
    #[must_use]
    pub fn new(options: GuardOptions, now: Moment) -> Self {
        Self {
            courses: std::array::from_fn(|index| Course::new(heater_of(index), now)),
            tool: 0,
            reports: Reports::new(now),
            idle: Idle::new(now),
            stall: Stall::new(now),
            activity: Activity::Idle,
            maintenance: false,
            findings: std::collections::VecDeque::new(),
            options,
        }
    }

    /// Takes what was written to the printer; lines that ask for temperatures count, whoever they come from.
    pub fn handle_written(&mut self, now: Moment, bytes: &[u8]) {
        for line in bytes.split(|&byte| byte == b'\n') {
            let command = bare(line);
            if let Some(digits @ [b'0'..=b'9', ..]) = command.strip_prefix(b"T") {
                let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
                self.tool =
                    digits.fold(0, |tool, digit| (tool * 10 + usize::from(digit - b'0')).min(TOOLS_MAX));
            }
            let tool = self.tool;
            targets(command, |Target { heater, celsius }| {
                if let Some(course) = index_of(heater, tool).and_then(|index| self.courses.get_mut(index)) {
                    course.ask(now, celsius);
                }
            });
        }
    }

    /// Takes a report.
    pub fn handle_temperatures(&mut self, now: Moment, found: &Temperatures) {
        if self.reports.hear(now) {
            self.find(Finding::Over(Wrong::NoReports));
        }
        for index in 0..HEATERS {
            let (reading, limit) = match index {
                BED => (found.bed, Some(self.options.limits.bed_max)),
                CHAMBER => (found.chamber, self.options.limits.chamber_max),
                tool => (found.tools[tool], Some(self.options.limits.hotend_max)),
            };
            let Some(reading) = reading else { continue };
            let limit = limit.filter(|_| !self.maintenance);
            if self.courses[index].hear(now, reading) {
                self.idle.touch(now);
            }
            let mut news = Vec::new();
            self.courses[index].judge(now, limit, self.maintenance, &mut news);
            news.into_iter().for_each(|finding| self.find(finding));
        }
    }

    /// The firmware has begun anew: nothing is heated, and what was asked for is forgotten.
    pub fn handle_restart(&mut self, now: Moment) {
        self.courses = std::array::from_fn(|index| Course::new(heater_of(index), now));
        self.reports = Reports::new(now);
    }

    /// A person has set a temperature by hand.
    pub fn handle_by_hand(&mut self, now: Moment) {
        self.idle.touch(now);
    }

    /// A question was acknowledged; `printing` says whether the card is printed from, where that was asked.
    pub fn handle_answer(&mut self, now: Moment, question: Question, printing: bool) {
        match question {
            Question::Temperatures => self.reports.answered(now),
            Question::Card if printing => self.idle.touch(now),
            Question::Card => {
                if let Some(left) = self.hottest() {
                    self.alarm(Wrong::LeftOn(left.0), Act::MakeSafe, self.idle.words(now, left));
                }
                self.idle.begin_anew(now);
            }
        }
    }

    /// A question could not be put; it is put again later.
    pub fn handle_unasked(&mut self, now: Moment, question: Question) {
        match question {
            Question::Temperatures => self.reports.unasked(now),
            Question::Card => self.idle.unasked(now),
        }
    }

    /// Looks at how things stand; [`Guard::poll`] then gives what was found. Gives the time to look again.
    pub fn look(&mut self, now: Moment, standing: Standing) -> Option<Moment> {
        self.maintenance = standing.maintenance;
        if std::mem::replace(&mut self.activity, standing.activity) != standing.activity {
            self.stall.move_on(now);
            self.idle.begin_anew(now);
        }
        let is_hot = self.courses.iter().any(|course| course.target() > 0.0);
        self.look_at_reports(now, is_hot);
        self.look_at_idle(now);
        let after = self.options.stall_after;
        if let Some(finding) = self.stall.look(now, &standing, after) {
            self.find(finding);
        }
        let quiet = self.activity == Activity::Idle && !is_hot;
        (!quiet).then(|| now + LOOK)
    }

    /// The next finding.
    pub fn poll(&mut self) -> Option<Finding> {
        self.findings.pop_front()
    }

    /// The heater of the highest target, in degrees Celsius, among those that the firmware reports: a hot end that a file
    /// names need not be there.
    fn hottest(&self) -> Option<(Heater, f32)> {
        let wanted = self.courses.iter().filter(|course| course.is_reported() && course.target() > 0.0);
        let hottest = wanted.max_by(|a, b| a.target().total_cmp(&b.target()))?;
        Some((hottest.heater(), hottest.target()))
    }

    fn look_at_reports(&mut self, now: Moment, is_hot: bool) {
        let wanted = is_hot && self.options.can_ask;
        let is_printing = self.activity == Activity::Printing;
        if let Some(finding) = self.reports.look(now, wanted, is_printing) {
            self.find(finding);
        }
    }

    fn look_at_idle(&mut self, now: Moment) {
        let Some(left) = self.hottest() else {
            if let Some(heater) = self.idle.cold(now) {
                self.find(Finding::Over(Wrong::LeftOn(heater)));
            }
            return;
        };
        let after = self.options.idle_heater_off_after.filter(|_| self.activity == Activity::Idle);
        if after.is_some_and(|after| self.idle.is_due(now, after, left.0)) {
            self.find(Finding::Ask(Question::Card));
        }
    }

    fn alarm(&mut self, wrong: Wrong, act: Act, text: String) {
        self.find(Finding::Alarm(Alarm { wrong, act, text }));
    }

    fn find(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push_back(finding);
        }
    }
}

/// `N123 M104 S200*45` without number and checksum, as far as that matters to a reader of words.
fn bare(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii();
    let Some(rest) = line.strip_prefix(b"N") else { return line };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = rest[digits..].trim_ascii_start();
    let end = rest.iter().rposition(|&byte| byte == b'*').unwrap_or(rest.len());
    &rest[..end]
}

fn index_of(heater: Heater, tool: usize) -> Option<usize> {
    match heater {
        Heater::HotEnd(number) => Some(number.unwrap_or(tool)).filter(|&number| number < TOOLS_MAX),
        Heater::Bed => Some(BED),
        Heater::Chamber => Some(CHAMBER),
    }
}

fn heater_of(index: usize) -> Heater {
    match index {
        BED => Heater::Bed,
        CHAMBER => Heater::Chamber,
        tool => Heater::HotEnd(Some(tool)),
    }
}

#[cfg(test)]
mod tests;
