//! Waits for temperatures in the firmware's place, where a firmware that waits by itself would hear nothing meanwhile.
//!
//! `M109` becomes `M104` and `M190` becomes `M140`, parameters as they are but for `R`, which becomes `S`; what follows is
//! held back until the reports say that the temperature has been reached. Waiting is as Marlin's (`temperature.cpp`,
//! `wait_for_hotend`): `S` waits for heating only, `R` for cooling as well, and the temperature must have stayed near its target
//! for a while.

use std::time::Duration;

use crate::Moment;
use crate::gcode::line::is_command;
use crate::gcode::modal::word;
use crate::pack::{Pack, Unpack};
use crate::temperature::{TOOLS_MAX, Temperatures};

use super::Streamer;
use super::event::Event;
use super::state::Turn;

/// How near to the target counts, in degrees Celsius (Marlin `TEMP_WINDOW` is 1, its hysteresis 3).
const NEAR_C: f32 = 2.0;
/// How long it has to stay there (Marlin `TEMP_RESIDENCY_TIME` is 10 s, most printers are built with less).
const REST: Duration = Duration::from_secs(3);
/// Time between two questions during a wait.
const ASK: Duration = Duration::from_secs(1);
/// Where reports come by themselves: how long none may come before it is asked.
const ASK_ANYWAY: Duration = Duration::from_secs(4);
/// One report may be damaged: so many in a row have to say that it is near.
const NEAR_REPORTS_MIN: u32 = 2;
/// A heater that no report names is not waited for after so many.
const UNNAMED_MAX: u32 = 5;
/// After this the job is paused: no bed takes so long.
const WAIT_MAX: Duration = Duration::from_secs(2 * 3600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heater {
    Tool(usize),
    Bed,
}

/// A wait that the agent does.
#[derive(Debug)]
pub(super) struct HeatWait {
    heater: Heater,
    target: f32,
    cooling_too: bool,
    began: Moment,
    /// Number of the line that asked for the temperature.
    line: u32,
    /// Reports count only once that line was acknowledged.
    armed: bool,
    near_since: Option<Moment>,
    near_reports: u32,
    unnamed: u32,
    ask_at: Moment,
}

/// What becomes of a command that waits: the command that only asks for the temperature, and the wait.
pub(super) fn rewrite(command: &[u8], tool: usize) -> Option<(Vec<u8>, Wanted)> {
    let (word_now, heater) = if is_command(command, b"M109") {
        (b"M104", Heater::Tool(tool))
    } else if is_command(command, b"M190") {
        (b"M140", Heater::Bed)
    } else {
        return None;
    };
    let mut wanted = Wanted { heater, target: f32::NAN, cooling_too: false };
    let mut rest = &command[4..];
    while let Some((letter, number, after)) = word(rest) {
        match letter {
            b'S' | b'R' if wanted.target.is_nan() => {
                (wanted.target, wanted.cooling_too) = (number as f32, letter == b'R');
            }
            b'T' if heater != Heater::Bed => wanted.heater = Heater::Tool(number as usize),
            // Something that this does not understand: the firmware shall wait itself.
            _ => return None,
        }
        rest = after;
    }
    let tells =
        matches!(wanted.heater, Heater::Bed) || matches!(wanted.heater, Heater::Tool(n) if n < TOOLS_MAX);
    if wanted.target.is_nan() || !tells {
        return None;
    }
    let mut asked = word_now.to_vec();
    asked.extend(command[4..].iter().map(|&byte| if matches!(byte, b'R' | b'r') { b'S' } else { byte }));
    Some((asked, wanted))
}

/// Which temperature is to be waited for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Wanted {
    heater: Heater,
    target: f32,
    cooling_too: bool,
}

impl HeatWait {
    pub(super) fn pack(&self, to: &mut Pack<'_>) {
        to.u8(match self.heater {
            Heater::Bed => u8::MAX,
            Heater::Tool(tool) => u8::try_from(tool).unwrap_or(u8::MAX - 1),
        });
        to.f64(f64::from(self.target));
        to.bool(self.cooling_too);
        to.u64(self.began.as_micros());
        to.u32(self.line);
        to.bool(self.armed);
        to.maybe_moment(self.near_since);
        to.u32(self.near_reports);
        to.u32(self.unnamed);
        to.u64(self.ask_at.as_micros());
    }

    pub(super) fn unpack(from: &mut Unpack<'_>) -> Option<Self> {
        let heater = match from.u8()? {
            u8::MAX => Heater::Bed,
            tool if usize::from(tool) < TOOLS_MAX => Heater::Tool(usize::from(tool)),
            _ => return None,
        };
        Some(Self {
            heater,
            target: from.f64()? as f32,
            cooling_too: from.bool()?,
            began: Moment::from_micros(from.u64()?),
            line: from.u32()?,
            armed: from.bool()?,
            near_since: from.maybe_moment()?,
            near_reports: from.u32()?,
            unnamed: from.u32()?,
            ask_at: Moment::from_micros(from.u64()?),
        })
    }

    fn hear(&mut self, now: Moment, found: &Temperatures) {
        let reading = match self.heater {
            Heater::Bed => found.bed,
            // Some report only the tool in use, as if it were the first.
            Heater::Tool(tool) => found.tools[tool].or(found.tools[0]),
        };
        let Some(reading) = reading else {
            self.unnamed += 1;
            return;
        };
        let warm = reading.actual >= self.target - NEAR_C;
        let cool = reading.actual <= self.target + NEAR_C;
        if warm && (cool || !self.cooling_too) {
            self.near_since.get_or_insert(now);
            self.near_reports = self.near_reports.saturating_add(1);
        } else {
            self.near_since = None;
            self.near_reports = 0;
        }
    }

    fn over_at(&self) -> Option<Moment> {
        self.near_since.filter(|_| self.near_reports >= NEAR_REPORTS_MIN).map(|since| since + REST)
    }

    fn is_over(&self, now: Moment) -> bool {
        self.armed && (self.over_at().is_some_and(|at| now >= at) || self.unnamed >= UNNAMED_MAX)
    }
}

impl Streamer {
    pub(super) fn hear_temperatures(&mut self, now: Moment, found: Temperatures) {
        if let Some(heat) = self.heat.as_mut().filter(|heat| heat.armed) {
            heat.hear(now, &found);
            let pause = if self.options.query.is_some() { ASK } else { ASK_ANYWAY };
            heat.ask_at = now + pause;
        }
        let named = found.tools.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.hot_ends = self.hot_ends.max(named);
        self.emit(Event::Temperatures(found));
    }

    /// A line that asks for a temperature was framed; what follows is held back.
    pub(super) fn begin_heat(&mut self, now: Moment, wanted: Wanted, line: u32) {
        self.heat = Some(HeatWait {
            heater: wanted.heater,
            target: wanted.target,
            cooling_too: wanted.cooling_too,
            began: now,
            line,
            armed: false,
            near_since: None,
            near_reports: 0,
            unnamed: 0,
            ask_at: now,
        });
        self.emit(Event::Heating { waiting: true });
    }

    pub(super) fn arm_heat(&mut self, acked: u32) {
        if let Some(heat) = self.heat.as_mut().filter(|heat| acked >= heat.line) {
            heat.armed = true;
        }
    }

    /// Looks whether the wait is over; gives the time to look again.
    pub(super) fn plan_heat(&mut self, now: Moment) -> Option<Moment> {
        let heat = self.heat.as_ref()?;
        if heat.is_over(now) {
            if heat.unnamed >= UNNAMED_MAX {
                self.emit(Event::Complaint("a temperature to wait for is in no report".to_owned()));
            }
            self.end_heat();
            self.watch.progress(now);
            return None;
        }
        if now >= heat.began + WAIT_MAX && self.turn == Turn::Running {
            self.emit(Event::Complaint(
                "a temperature was not reached in two hours; the job is paused".to_owned(),
            ));
            // The same wait begins anew when the job goes on.
            self.turn = Turn::Pausing;
            if let Some(heat) = self.heat.as_mut() {
                heat.began = now;
            }
            return None;
        }
        let ask = (heat.armed && !self.query_out).then_some(heat.ask_at).filter(|&at| at > now);
        [heat.over_at(), ask, Some(heat.began + WAIT_MAX)].into_iter().flatten().filter(|&at| at > now).min()
    }

    /// The question of a wait, if it is due.
    pub(super) fn heat_query(&self, now: Moment) -> Option<Vec<u8>> {
        self.heat.as_ref().filter(|heat| heat.armed && now >= heat.ask_at)?;
        self.options.host_waits.clone()
    }

    pub(super) fn note_heat_query(&mut self, now: Moment) {
        if let Some(heat) = &mut self.heat {
            heat.ask_at = now + ASK;
        }
    }

    pub(super) fn end_heat(&mut self) {
        if self.heat.take().is_some() {
            self.emit(Event::Heating { waiting: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(command: &str) -> Option<String> {
        rewrite(command.as_bytes(), 0).map(|(asked, _)| String::from_utf8(asked).unwrap())
    }

    #[test]
    fn commands_that_wait_become_commands_that_ask() {
        assert_eq!(rewritten("M109 S210").unwrap(), "M104 S210");
        assert_eq!(rewritten("M109 R180 T1").unwrap(), "M104 S180 T1");
        assert_eq!(rewritten("M190 S60.5").unwrap(), "M140 S60.5");
        for other in ["M104 S210", "M1090 S1", "M109", "M109 S200 F", "M190 S60 T1", "M109 S1 T9", "G1 X1"] {
            assert_eq!(rewritten(other), None, "{other}");
        }
        let (_, wanted) = rewrite(b"M109 S200", 3).unwrap();
        assert_eq!(wanted, Wanted { heater: Heater::Tool(3), target: 200.0, cooling_too: false });
    }
}
