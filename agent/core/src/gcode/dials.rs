//! What a job has dialled in on the machine: part fan, speed and flow, for those who look on.

use crate::pack::{Pack, Unpack};

use super::modal::word;

/// Full speed of a fan, as Marlin and its relatives count.
const FAN_FULL: f64 = 255.0;

/// Percentages as the job's commands have set them; `None` where it has said nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Dials {
    /// Part fan (`M106`, `M107`).
    pub fan: Option<f64>,
    /// Speed factor (`M220`).
    pub speed: Option<f64>,
    /// Flow factor (`M221`).
    pub flow: Option<f64>,
}

impl Dials {
    /// Follows the parameters of an `M` command of this number.
    pub(super) fn follow(&mut self, number: u32, parameters: &[u8]) {
        match number {
            106 => self.turn_fan(parameters),
            107 if value(parameters, b'P').unwrap_or(0.0) == 0.0 => self.fan = Some(0.0),
            // Without a value it is asked for, saved or brought back.
            220 => self.speed = value(parameters, b'S').or(self.speed),
            221 => self.flow = value(parameters, b'S').or(self.flow),
            _ => {}
        }
    }

    /// Other fans cool the machine and not the part.
    fn turn_fan(&mut self, parameters: &[u8]) {
        if value(parameters, b'P').unwrap_or(0.0) != 0.0 {
            return;
        }
        let speed = value(parameters, b'S').unwrap_or(FAN_FULL).clamp(0.0, FAN_FULL);
        // RepRapFirmware takes a share of 1 as well (`Fan.cpp`); a part of a 255th would be no speed for anybody else.
        let share = if speed.fract() > 0.0 && speed < 1.0 { speed } else { speed / FAN_FULL };
        self.fan = Some(100.0 * share);
    }

    /// Writes it down.
    pub(super) fn pack(&self, to: &mut Pack<'_>) {
        [self.fan, self.speed, self.flow].into_iter().for_each(|dial| to.maybe_f64(dial));
    }

    /// Reads what [`Dials::pack`] wrote.
    pub(super) fn unpack(from: &mut Unpack<'_>) -> Option<Self> {
        Some(Self { fan: from.maybe_f64()?, speed: from.maybe_f64()?, flow: from.maybe_f64()? })
    }
}

fn value(mut parameters: &[u8], wanted: u8) -> Option<f64> {
    while let Some((letter, number, rest)) = word(parameters) {
        if letter == wanted {
            return Some(number);
        }
        parameters = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::gcode::Modal;
    use crate::pack::{Pack, Unpack};

    fn after(commands: &[&str]) -> [Option<f64>; 3] {
        let mut modal = Modal::default();
        for command in commands {
            modal.follow(command.as_bytes());
        }
        let dials = modal.dials();
        [dials.fan, dials.speed, dials.flow].map(|dial| dial.map(f64::round))
    }

    #[test]
    fn the_part_fan_is_followed_in_percent() {
        for (commands, fan) in [
            (&[][..], None),
            (&["M106"], Some(100.0)),
            (&["M106 S127"], Some(50.0)),
            (&["m106 p0 s255"], Some(100.0)),
            (&["M106 S0.4"], Some(40.0)),
            (&["M106 S999"], Some(100.0)),
            (&["M106 S255", "M107"], Some(0.0)),
            (&["M106 S255", "M107 P1"], Some(100.0)),
            (&["M106 P2 S255"], None),
            (&["M1060 S255"], None),
        ] {
            assert_eq!(after(commands)[0], fan, "{commands:?}");
        }
    }

    #[test]
    fn another_process_knows_them() {
        let mut modal = Modal::default();
        modal.follow(b"M106 S51");
        modal.follow(b"M221 S95");
        let mut bytes = [0; 128];
        let mut pack = Pack::new(&mut bytes);
        modal.pack(&mut pack);
        assert_eq!(Modal::unpack(&mut Unpack::new(&bytes)), Some(modal));
    }

    #[test]
    fn speed_and_flow_hold_until_they_are_set_anew() {
        assert_eq!(after(&["M220 S80", "M221 S95 T0", "M220", "M220 B"]), [None, Some(80.0), Some(95.0)]);
    }
}
