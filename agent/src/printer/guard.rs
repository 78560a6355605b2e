//! The guard at work: told what goes over the wire and how the job stands, and what it finds is done and told.

use std::time::Duration;

use spoolway_agent_core::Moment;
use spoolway_agent_core::allow::Role;
use spoolway_agent_core::guard::{
    Act, Activity, Alarm, Finding, Guard, GuardOptions, Question, Standing, Wrong, name_of,
};
use spoolway_agent_core::stream::Excess;
use spoolway_protocol::Fault;
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use super::aside::{Aside, Replies};
use super::conversation::Conversation;
use super::task::Bench;
use super::{Cause, Known, RunPhase, Snapshot};
use crate::config::Safety;

/// Looks come no closer together than this.
const LOOK: Duration = Duration::from_millis(250);
/// Alarms that are kept; the oldest is forgotten.
const ALARMS: usize = 8;
/// Asks whether the printer prints from its own card (Marlin `M27.cpp`, and alike RepRapFirmware, Klipper, Repetier, Smoothie).
const CARD: &str = "M27";

/// Something that is or was wrong, numbered through the life of the thread.
#[derive(Debug, Clone, PartialEq)]
pub struct RaisedAlarm {
    /// Rises by one with each.
    pub number: u64,
    /// What.
    pub wrong: Wrong,
    /// The same for a person.
    pub text: String,
    /// It is so no longer.
    pub is_over: bool,
}

/// The guard of one conversation, and its questions that are out.
#[derive(Debug)]
pub(super) struct OnGuard {
    pub(super) guard: Guard,
    asked: Vec<(Question, Replies)>,
    look_at: Moment,
}

impl OnGuard {
    pub(super) fn new(known: &Known, safety: &Safety, now: Moment) -> Self {
        let temperature = &known.profile.temperature;
        let options = GuardOptions {
            limits: temperature.limits,
            can_ask: !temperature.query.is_empty(),
            idle_heater_off_after: safety.idle_heater_off_after(),
            stall_after: safety.stall_after(),
        };
        Self { guard: Guard::new(options, now), asked: Vec::new(), look_at: now }
    }
}

impl Conversation<'_> {
    /// Looks at how things stand; gives the time to look again.
    pub(super) fn keep_guard(&mut self, now: Moment, unwritten: bool) -> Option<Moment> {
        if now < self.on_guard.look_at {
            return Some(self.on_guard.look_at);
        }
        self.hear_answers(now);
        let stats = self.streamer.stats();
        let standing = Standing {
            activity: self.activity(),
            acked: self.streamer.progress().commands,
            signs: stats.busy_heard + stats.job_refusals,
            awaits: self.streamer.awaits(),
            unwritten,
            maintenance: self.bench.is_maintained(now),
        };
        let wake = self.on_guard.guard.look(now, standing);
        while let Some(finding) = self.on_guard.guard.poll() {
            match finding {
                Finding::Ask(question) => self.put(now, question),
                Finding::Alarm(alarm) => self.take_alarm(alarm),
                Finding::Over(wrong) => self.bench.settle_alarm(wrong),
            }
        }
        self.on_guard.look_at = now + LOOK;
        wake
    }

    fn activity(&self) -> Activity {
        match self.run.as_ref().map(|run| &run.phase) {
            Some(RunPhase::Starting | RunPhase::Printing) => Activity::Printing,
            Some(RunPhase::Paused) => Activity::Paused,
            Some(RunPhase::Ended(_)) | None => Activity::Idle,
        }
    }

    /// A question of the guard goes out like that of a person.
    fn put(&mut self, now: Moment, question: Question) {
        let command = match question {
            Question::Temperatures => self.known.profile.temperature.query.clone(),
            Question::Card => CARD.to_owned(),
        };
        match self.streamer.send_aside(command.as_bytes()) {
            Ok(()) => {
                let (aside, replies) = Aside::new(Role::AtTheMachine, command);
                self.asides.push_back(aside);
                self.on_guard.asked.push((question, replies));
            }
            Err(error) => {
                debug!(%error, ?question, "the guard asks later");
                self.on_guard.guard.handle_unasked(now, question);
            }
        }
    }

    fn hear_answers(&mut self, now: Moment) {
        let mut asked = std::mem::take(&mut self.on_guard.asked);
        asked.retain_mut(|(question, replies)| match replies.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => true,
            Ok(Ok(lines)) => {
                let is_printing = lines.iter().any(|line| prints_from_card(line));
                self.on_guard.guard.handle_answer(now, *question, is_printing);
                false
            }
            Ok(Err(_)) | Err(oneshot::error::TryRecvError::Closed) => {
                self.on_guard.guard.handle_unasked(now, *question);
                false
            }
        });
        self.on_guard.asked = asked;
    }

    fn take_alarm(&mut self, alarm: Alarm) {
        let Alarm { wrong, act, text } = alarm;
        let fault = wrong.fault();
        warn!(code = fault.code(), text, ?act, help = fault.help(), "the guard raises an alarm");
        self.bench.raise_alarm(wrong, &text);
        match act {
            Act::Tell => {}
            Act::Pause => self.pause(Some(Cause::Guard(fault, text))),
            Act::MakeSafe if self.activity() == Activity::Idle => {
                self.bench.make_safe = true;
                self.settle_in();
            }
            Act::MakeSafe => {
                self.broken = Some((fault, text));
                self.cancel(None);
            }
        }
    }

    /// More heat was asked for than the profile allows: a job is held ahead of that line, a line of a script is left out.
    pub(super) fn hold_back(&mut self, line: Option<u64>, excess: Excess) {
        let fault = Fault::HeatAboveLimit;
        let Excess { heater, celsius, limit } = excess;
        let asks = format!("asks for {celsius} °C of {}, and the profile allows {limit} °C", name_of(heater));
        let Some(line) = line else {
            return warn!(code = fault.code(), "a line of a script {asks}; it was not sent");
        };
        let text = format!("line {line} of the file {asks}; it was not sent");
        warn!(code = fault.code(), text, help = fault.help(), "the job is held");
        self.person_holds = false;
        self.set_cause(Some(Cause::Guard(fault, text)));
    }
}

/// `SD printing byte 5/100`, and not `Not SD printing`.
fn prints_from_card(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    line.contains("sd print") && !line.contains("not sd print")
}

impl Bench {
    /// Until then a person at the machine lets be sent what else is not.
    pub(super) fn maintain(&mut self, until: Moment) {
        let open = until > self.clock.now();
        info!(open, "maintenance window");
        self.maintenance_until = until;
    }

    pub(super) fn is_maintained(&self, now: Moment) -> bool {
        now < self.maintenance_until
    }

    fn raise_alarm(&mut self, wrong: Wrong, text: &str) {
        self.alarms += 1;
        let alarm = RaisedAlarm { number: self.alarms, wrong, text: text.to_owned(), is_over: false };
        self.publish.send_modify(|snapshot| snapshot.raise(alarm));
    }

    fn settle_alarm(&self, wrong: Wrong) {
        self.publish.send_modify(|snapshot| snapshot.settle(|alarm| alarm.wrong == wrong));
    }

    /// Another conversation begins, which has to see for itself.
    pub(super) fn settle_alarms(&self) {
        self.publish.send_modify(|snapshot| snapshot.settle(|_| true));
    }
}

impl Snapshot {
    fn raise(&mut self, alarm: RaisedAlarm) {
        self.settle(|older| older.wrong == alarm.wrong);
        if self.alarms.len() == ALARMS {
            self.alarms.remove(0);
        }
        self.alarms.push(alarm);
    }

    fn settle(&mut self, which: impl Fn(&RaisedAlarm) -> bool) {
        self.alarms.iter_mut().filter(|alarm| which(alarm)).for_each(|alarm| alarm.is_over = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_print_from_the_card_is_told_from_none() {
        for (line, is_printing) in [
            ("SD printing byte 123/12345", true),
            ("Not SD printing", false),
            ("Not SD printing.", false),
            ("sd printing byte 1/2", true),
            ("echo:Unknown command: \"M27\"", false),
            ("ok", false),
        ] {
            assert_eq!(prints_from_card(line), is_printing, "{line}");
        }
    }

    #[test]
    fn alarms_stay_until_they_are_over_and_are_bounded() {
        let mut snapshot = Snapshot::default();
        let alarm = |number, wrong| RaisedAlarm { number, wrong, text: String::new(), is_over: false };
        snapshot.raise(alarm(1, Wrong::Stalled));
        snapshot.raise(alarm(2, Wrong::NoReports));
        snapshot.settle(|alarm| alarm.wrong == Wrong::Stalled);
        let over: Vec<bool> = snapshot.alarms.iter().map(|alarm| alarm.is_over).collect();
        assert_eq!(over, [true, false]);
        (3..50).for_each(|number| snapshot.raise(alarm(number, Wrong::Stalled)));
        assert_eq!(snapshot.alarms.len(), ALARMS);
        assert_eq!(snapshot.alarms.iter().filter(|alarm| !alarm.is_over).count(), 1);
    }
}
