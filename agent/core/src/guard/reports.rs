//! While something is heated, temperatures have to be reported: else they are asked for, and if the firmware answers
//! without any, the job is held, and in the end the heaters are switched off.

use std::time::Duration;

use crate::Moment;

use super::alarm::{Act, Alarm, Wrong};
use super::{Finding, Question};

/// Reports come every few seconds; after so long without one it is asked.
const LATE: Duration = Duration::from_secs(30);
/// Time between two questions.
const AGAIN: Duration = Duration::from_secs(10);
/// So many questions that were acknowledged and brought no temperature are no accident.
const UNANSWERED: u32 = 3;
/// A job that is held for this is given up after so long.
const GIVE_UP: Duration = Duration::from_secs(600);

/// What is known of the reports.
#[derive(Debug)]
pub(super) struct Reports {
    heard: Moment,
    ask_at: Moment,
    /// The question is out.
    asked: bool,
    unanswered: u32,
    told: Option<Told>,
}

/// How far the alarm has come.
#[derive(Debug, Clone, Copy)]
enum Told {
    Held { since: Moment },
    GivenUp,
}

impl Reports {
    pub(super) fn new(now: Moment) -> Self {
        Self { heard: now, ask_at: now, asked: false, unanswered: 0, told: None }
    }

    /// A report has come; gives whether there was an alarm.
    pub(super) fn hear(&mut self, now: Moment) -> bool {
        let told = self.told.take().is_some();
        *self = Self::new(now);
        told
    }

    /// The firmware has acknowledged the question. A report that came with the answer has been heard already.
    pub(super) fn answered(&mut self, now: Moment) {
        if std::mem::take(&mut self.asked) {
            self.unanswered += 1;
            self.ask_at = now + AGAIN;
        }
    }

    pub(super) fn unasked(&mut self, now: Moment) {
        self.asked = false;
        self.ask_at = now + AGAIN;
    }

    /// `wanted`: something is heated. A question that nobody acknowledges is another matter, which the streamer sees to.
    pub(super) fn look(&mut self, now: Moment, wanted: bool, is_printing: bool) -> Option<Finding> {
        if !wanted {
            let told = self.told.take().is_some();
            *self = Self { asked: self.asked, ..Self::new(now) };
            return told.then_some(Finding::Over(Wrong::NoReports));
        }
        if self.unanswered >= UNANSWERED {
            let act = match self.told {
                None if is_printing => Some(Act::Pause),
                None => Some(Act::MakeSafe),
                Some(Told::Held { since }) if now - since >= GIVE_UP => Some(Act::MakeSafe),
                Some(_) => None,
            };
            if let Some(act) = act {
                self.told = Some(if act == Act::Pause { Told::Held { since: now } } else { Told::GivenUp });
                let seconds = (now - self.heard).as_secs();
                let text = format!(
                    "something is heated, and the printer has reported no temperature for {seconds} s though it answers"
                );
                return Some(Finding::Alarm(Alarm { wrong: Wrong::NoReports, act, text }));
            }
        }
        if self.asked || now < self.heard + LATE || now < self.ask_at {
            return None;
        }
        self.asked = true;
        Some(Finding::Ask(Question::Temperatures))
    }
}
