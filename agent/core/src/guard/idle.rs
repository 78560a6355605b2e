//! Something that stays heated when no job is under way is switched off after a while, unless somebody has just set it, or
//! the printer prints from its own card.

use std::time::Duration;

use crate::Moment;
use crate::gcode::target::Heater;

use super::alarm::name_of;

/// A question that could not be put is put again after this.
const AGAIN: Duration = Duration::from_secs(10);

/// Since when nothing has been done about it.
#[derive(Debug)]
pub(super) struct Idle {
    since: Moment,
    /// Whether the card is printed from is being asked.
    asked: bool,
    ask_at: Moment,
    told: Option<Heater>,
}

impl Idle {
    pub(super) fn new(now: Moment) -> Self {
        Self { since: now, asked: false, ask_at: now, told: None }
    }

    /// Somebody is at it.
    pub(super) fn touch(&mut self, now: Moment) {
        self.begin_anew(now);
    }

    /// From now on it counts.
    pub(super) fn begin_anew(&mut self, now: Moment) {
        (self.since, self.asked) = (now, false);
    }

    /// Nothing is heated; gives what had been told.
    pub(super) fn cold(&mut self, now: Moment) -> Option<Heater> {
        self.begin_anew(now);
        self.told.take()
    }

    pub(super) fn unasked(&mut self, now: Moment) {
        self.asked = false;
        self.ask_at = now + AGAIN;
    }

    /// Whether it has lasted; the card is then to be asked for, once.
    pub(super) fn is_due(&mut self, now: Moment, after: Duration, heater: Heater) -> bool {
        if self.asked || now - self.since < after || now < self.ask_at {
            return false;
        }
        (self.asked, self.told) = (true, Some(heater));
        true
    }

    pub(super) fn words(&self, now: Moment, (heater, celsius): (Heater, f32)) -> String {
        let (name, minutes) = (name_of(heater), (now - self.since).as_secs().div_ceil(60));
        format!("{name} was left on at {celsius:.0} °C for {minutes} min with no job under way")
    }
}
