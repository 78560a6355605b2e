//! What is hotter than the profile allows is never sent, whoever asks for it: the last look at a line before it gets its
//! number.

use spoolway_firmware_profiles::limits::TemperatureLimits;

use crate::Moment;
use crate::gcode::target::{Heater, Target, targets};

use super::Streamer;
use super::event::Event;
use super::state::Turn;

/// A temperature that is not asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Excess {
    /// Of what.
    pub heater: Heater,
    /// Asked for, in degrees Celsius.
    pub celsius: f32,
    /// Allowed, in degrees Celsius.
    pub limit: f32,
}

/// The limits of a profile, and until when a person at the machine has lifted them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ceiling {
    limits: TemperatureLimits,
    lifted_until: Moment,
}

impl Ceiling {
    pub(super) fn new(limits: TemperatureLimits) -> Self {
        Self { limits, lifted_until: Moment::ZERO }
    }

    /// The first temperature in a command that is too high.
    fn excess(&self, now: Moment, command: &[u8]) -> Option<Excess> {
        let mut found = None;
        targets(command, |Target { heater, celsius }| {
            let limit = self.limit(heater).filter(|&limit| celsius > limit);
            found = found.or(limit.map(|limit| Excess { heater, celsius, limit }));
        });
        found.filter(|_| now >= self.lifted_until)
    }

    /// A profile that says nothing of a chamber, or 0 of another heater, is of a machine that has none, whose firmware does not
    /// know the command.
    fn limit(&self, heater: Heater) -> Option<f32> {
        let limit = match heater {
            Heater::HotEnd(_) => Some(self.limits.hotend_max),
            Heater::Bed => Some(self.limits.bed_max),
            Heater::Chamber => self.limits.chamber_max,
        };
        limit.filter(|&limit| limit > 0.0)
    }
}

impl Streamer {
    /// The limits of temperature do not hold until then; a moment that is past puts them back.
    pub fn lift_limits(&mut self, until: Moment) {
        self.ceiling.lifted_until = until;
    }

    /// Holds the job ahead of its next line if that is too hot; it is looked at again when the job goes on.
    pub(super) fn holds_back(&mut self, now: Moment) -> bool {
        let Some((command, position)) = self.lookahead.peek() else { return false };
        let Some(excess) = self.ceiling.excess(now, command) else { return false };
        self.turn = Turn::Pausing;
        self.emit(Event::TooHot { line: Some(position.line), excess });
        true
    }

    /// Whether a line of the agent's own is not to be sent; the scripts of a profile may be wrong as well.
    pub(super) fn drops(&mut self, now: Moment, command: &[u8]) -> bool {
        let Some(excess) = self.ceiling.excess(now, command) else { return false };
        self.emit(Event::TooHot { line: None, excess });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_a_limit_is_found_unless_it_is_lifted() {
        let limits = TemperatureLimits { hotend_max: 260.0, bed_max: 100.0, chamber_max: None };
        let mut ceiling = Ceiling::new(limits);
        let at = |ceiling: &Ceiling, command: &str| {
            ceiling.excess(Moment::from_millis(5), command.as_bytes()).map(|excess| excess.limit)
        };
        for (command, limit) in [
            ("M104 S260", None),
            ("M104 S260.5", Some(260.0)),
            ("M109 T1 R300", Some(260.0)),
            ("M190 S101", Some(100.0)),
            ("G1 X1 M140 S150", Some(100.0)),
            ("M141 S70", None),
            ("G1 X999", None),
        ] {
            assert_eq!(at(&ceiling, command), limit, "{command}");
        }
        ceiling.lifted_until = Moment::from_millis(5);
        assert_eq!(at(&ceiling, "M104 S300"), Some(260.0), "the time is over");
        ceiling.lifted_until = Moment::from_millis(6);
        assert_eq!(at(&ceiling, "M104 S300"), None);
    }
}
