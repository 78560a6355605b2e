//! The plan: heat, say or find the height, raise, home, prime, restore, go back, go on.

use spoolway_firmware_profiles::profile::PrintRecovery;
use spoolway_firmware_profiles::{Ack, Profile};

use super::follow::{Followed, Levelling};
use super::height::{Height, choose_height, held_z};
use super::loss::Since;
use super::point::Point;
use crate::gcode::modal::decimal;

/// So much below its target a hot end lets go of the part, in degrees Celsius, and does not drip.
const SOFT_BELOW_C: f64 = 40.0;
/// Colder than this no usual filament is soft, in degrees Celsius.
const SOFT_C: f64 = 160.0;
/// Drawn back before the nozzle travels, in mm.
const RETRACT_MM: f64 = 1.0;
/// Moves that a planner of unknown length is taken to hold.
const PLANNER_UNKNOWN: u32 = 64;

/// What a plan is made for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The printer's dialect.
    pub profile: &'a Profile,
    /// What the printer did since.
    pub since: Since,
    /// How its height is known; `None` for the way that the machine has of its own.
    pub height: Option<Height>,
    /// How many hot ends it has.
    pub hot_ends: usize,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub title: &'static str,
    /// Why.
    pub why: String,
    /// The lines that do it, in order.
    pub lines: Vec<String>,
}

/// What is sent ahead of the file's own lines, and what a person has to know about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// How the height is known.
    pub height: Height,
    /// In order.
    pub steps: Vec<Step>,
    /// What may go wrong, and what to do about it beforehand.
    pub risks: Vec<String>,
}

impl Plan {
    /// Every line of it, in order.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().flat_map(|step| &step.lines).map(String::as_str)
    }
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{why}")]
pub struct Refused {
    /// A sentence.
    pub why: String,
    /// What a person can do instead.
    pub by_hand: Option<String>,
}

/// How many of the moves that were acknowledged the printer may have lost.
#[must_use]
pub fn unsure_moves(profile: &Profile, since: Since) -> u32 {
    if since.knows_its_place() {
        return 0;
    }
    let planned = if profile.flow.planner_moves == 0 { PLANNER_UNKNOWN } else { profile.flow.planner_moves };
    // What is acknowledged on arrival may not have come to the planner either.
    planned + if profile.flow.ack == Ack::Executed { 0 } else { profile.flow.queue_lines }
}

/// Makes the plan.
///
/// # Errors
/// The profile or the file does not allow it; in words.
pub fn plan(request: &Request<'_>, point: &Point, followed: &Followed) -> Result<Plan, Refused> {
    let place = Place::of(request, point, followed)
        .map_err(|why| Refused { why, by_hand: request.profile.recovery.print.by_hand.clone() })?;
    let steps = [
        place.known_modes(),
        place.soften(),
        place.say_height(),
        place.raise(),
        place.home(),
        place.heat(),
        place.prime(),
        place.settings(),
        place.travel(),
        place.level(),
        place.lower(),
        place.job_modes(),
    ];
    let steps = steps.into_iter().filter(|step| !step.lines.is_empty()).collect();
    Ok(Plan { height: place.height, steps, risks: place.risks() })
}

/// Everything that has to be known, and is.
struct Place<'a> {
    request: &'a Request<'a>,
    print: &'a PrintRecovery,
    point: &'a Point,
    followed: &'a Followed,
    height: Height,
    /// Where the nozzle stands now, in mm; `None` where Z is homed.
    stands_z: Option<f64>,
    /// High enough above everything that was printed.
    clear_z: f64,
    at: [f64; 3],
    feed: f64,
    hot_end_c: f64,
    relative_e: bool,
}

impl<'a> Place<'a> {
    fn of(request: &'a Request<'a>, point: &'a Point, followed: &'a Followed) -> Result<Self, String> {
        let print = &request.profile.recovery.print;
        let height = choose_height(request)?;
        let line = point.behind.line;
        if let Some((lost_at, why)) = followed.lost {
            return Err(format!("{why} in line {lost_at} of the file, and cannot be restored"));
        }
        let modal = &followed.modal;
        if modal.is_in_inches() {
            return Err("the file is in inches".to_owned());
        }
        let unknown =
            |what: &str| format!("{what} is not known behind line {line}; choose another line with --from");
        let [x, y, z, _] = modal.axes();
        let (Some(x), Some(y), Some(z)) = (x, y, z) else { return Err(unknown("the position")) };
        let relative_e = modal
            .is_extruder_relative()
            .ok_or_else(|| unknown("whether the extruder goes by place or by length"))?;
        if !relative_e && modal.axes()[3].is_none() {
            return Err(unknown("the place of the extruder"));
        }
        let feed = modal.feed().ok_or_else(|| unknown("the feed rate"))?;
        let hot_end_c =
            followed.hot_end(modal.tool()).ok_or_else(|| unknown("the temperature of the hot end"))?;
        let limit = f64::from(request.profile.temperature.limits.hotend_max);
        if hot_end_c > limit {
            return Err(format!(
                "the file wants {} degrees of a hot end that may have {limit}",
                decimal(hot_end_c)
            ));
        }
        if modal.tool() > 0 && !print.tools {
            return Err(format!(
                "tool {} is in use, and whether it can be taken over a part is not known",
                modal.tool()
            ));
        }
        let (layer_z, top) = (followed.layer_z, followed.top);
        let stands_z = match height {
            Height::Homed => None,
            Height::Touching => Some(layer_z.ok_or_else(|| unknown("the height of the part"))?),
            Height::Held => Some(held_z(request, point)?),
        };
        let clear_z = top.unwrap_or(z).max(z).max(stands_z.unwrap_or(z)) + print.lift_mm;
        Ok(Self {
            request,
            print,
            point,
            followed,
            height,
            stands_z,
            clear_z,
            at: [x, y, z],
            feed,
            hot_end_c,
            relative_e,
        })
    }

    fn step(title: &'static str, why: impl Into<String>, lines: Vec<String>) -> Step {
        Step { title, why: why.into(), lines }
    }

    fn known_modes(&self) -> Step {
        let lines = ["G21", "G90", "M83"].map(str::to_owned).to_vec();
        Self::step(
            "Begin from known modes",
            "millimetres, places, and lengths of filament, whatever held before",
            lines,
        )
    }

    fn soften(&self) -> Step {
        let soft = (self.hot_end_c - SOFT_BELOW_C).max(SOFT_C).min(self.hot_end_c);
        let mut lines = Vec::new();
        let bed = self.followed.bed_c.filter(|celsius| *celsius > 0.0);
        lines.extend(bed.map(|celsius| format!("M140 S{}", decimal(celsius))));
        lines.extend(self.followed.chamber_c.map(|celsius| format!("M141 S{}", decimal(celsius))));
        lines.push(format!("M104 S{}", decimal(soft)));
        lines.extend(bed.map(|celsius| format!("M190 S{}", decimal(celsius))));
        lines.push(format!("M109 S{}", decimal(soft)));
        let why = "the bed first, so that the part holds; the hot end only until it lets go of the part";
        Self::step("Heat the bed, soften the nozzle", why, lines)
    }

    fn say_height(&self) -> Step {
        let knows = self.request.since.knows_its_place();
        let (why, lines) = match self.height {
            Height::Homed => ("away from the part", self.print.home_z.clone()),
            Height::Held if knows => ("it knows it", Vec::new()),
            Height::Held => ("the nozzle is where it stopped, as you said", self.stands_z_lines()),
            Height::Touching => {
                ("the nozzle touches the top of the part, as you said", self.stands_z_lines())
            }
        };
        let title =
            if self.height == Height::Homed { "Find the height" } else { "Tell the printer its height" };
        Self::step(title, why, lines)
    }

    fn stands_z_lines(&self) -> Vec<String> {
        self.stands_z.and_then(|z| self.set_z(z)).into_iter().collect()
    }

    fn raise(&self) -> Step {
        let lines = vec![format!("G1 Z{} F600", decimal(self.clear_z))];
        let why = format!("{} mm above everything that was printed", decimal(self.print.lift_mm));
        Self::step("Raise the nozzle", why, lines)
    }

    fn home(&self) -> Step {
        let mut lines = self.print.home.clone();
        let tool = self.followed.modal.tool();
        if tool > 0 {
            lines.push(format!("T{tool}"));
        }
        // Some firmwares raise the nozzle for homing, or leave other modes behind.
        lines.extend(["G90".to_owned(), "M83".to_owned(), format!("G1 Z{} F600", decimal(self.clear_z))]);
        Self::step("Home to the side", "where the head is to the side is not certain; Z is left alone", lines)
    }

    fn heat(&self) -> Step {
        let tool = self.followed.modal.tool();
        let others =
            self.followed.hot_ends.iter().filter(|(other, celsius)| **other != tool && **celsius > 0.0);
        let mut lines: Vec<String> = others
            .filter(|(other, _)| **other < self.request.hot_ends)
            .map(|(other, celsius)| format!("M104 T{other} S{}", decimal(*celsius)))
            .collect();
        lines.push(format!("M109 S{}", decimal(self.hot_end_c)));
        Self::step("Heat the nozzle", "away from the part, so that what drips does not drip on it", lines)
    }

    fn prime(&self) -> Step {
        let mut lines = vec!["G92 E0".to_owned()];
        if self.print.prime_mm > 0.0 {
            lines.push(format!("G1 E{} F150", decimal(self.print.prime_mm)));
        }
        lines.push(format!("G1 E-{} F2100", decimal(RETRACT_MM)));
        Self::step(
            "Fill the nozzle",
            "it has dripped empty; take away what comes out before the head moves on",
            lines,
        )
    }

    fn settings(&self) -> Step {
        let lines = self.followed.settings().map(str::to_owned).collect();
        Self::step(
            "Restore the settings of the file",
            "fans, feed, flow, limits and what else the file had set",
            lines,
        )
    }

    fn travel(&self) -> Step {
        let [x, y, _] = self.at;
        Self::step(
            "Go back over the part",
            "high above it",
            vec![format!("G1 X{} Y{} F6000", decimal(x), decimal(y))],
        )
    }

    fn level(&self) -> Step {
        let mut lines = match &self.followed.levelling {
            Levelling::Untouched => Vec::new(),
            Levelling::Asked(line) => vec![line.clone()],
            Levelling::Measured(_) => self.print.level.clone(),
        };
        if !lines.is_empty() && self.height != Height::Homed {
            // Turning it on names the height anew; the nozzle has not moved.
            lines.extend(self.set_z(self.clear_z));
        }
        Self::step(
            "Turn the bed's compensation on",
            "here, where the height was said to be right with it",
            lines,
        )
    }

    fn lower(&self) -> Step {
        let mut lines = vec![format!("G1 Z{} F600", decimal(self.at[2]))];
        let push = RETRACT_MM - self.followed.retracted;
        if push.abs() > 1e-6 {
            lines.push(format!("G1 E{} F2100", decimal(push)));
        }
        Self::step("Go down to the part", "and have as much filament drawn back as the file has", lines)
    }

    fn job_modes(&self) -> Step {
        let e = self.followed.modal.axes()[3].unwrap_or(0.0);
        let place = if self.followed.modal.is_relative() { "G91" } else { "G90" };
        let extruder = if self.relative_e { "M83" } else { "M82" };
        let lines = vec![
            format!("G92 E{}", decimal(e)),
            format!("G1 F{}", decimal(self.feed)),
            place.to_owned(),
            extruder.to_owned(),
        ];
        Self::step("Restore the modes of the file", "the next line of the file finds what it expects", lines)
    }

    fn set_z(&self, z: f64) -> Option<String> {
        let place = format!("{{{}}}", PrintRecovery::HEIGHT);
        self.print.set_z.as_ref().map(|line| line.replace(&place, &decimal(z)))
    }

    fn risks(&self) -> Vec<String> {
        let Point { again, left_out, acknowledged, .. } = *self.point;
        let mut risks = vec![seam(again, left_out, acknowledged.line > 0)];
        if self.height == Height::Held {
            risks.push("If Z was moved, or has sunk since, the nozzle runs into the part or prints into the air: then use --z touching.".to_owned());
        }
        if self.height == Height::Touching {
            risks.push("Lower the nozzle until a sheet of paper just catches under it; it must not press on the part.".to_owned());
        }
        risks.push(
            "A part that has come off the bed while it was cold cannot be saved: see that it holds."
                .to_owned(),
        );
        risks.push(
            "Clear the way to the corner where X and Y are homed, and take away what the nozzle loses there."
                .to_owned(),
        );
        if let Levelling::Measured(line) = &self.followed.levelling
            && !self.request.since.knows_its_place()
        {
            let instead = if self.print.level.is_empty() {
                "no compensation is in force"
            } else {
                "the one stored in the printer is used"
            };
            risks.push(format!(
                "The bed was measured in line {line} and the printer has forgotten it: {instead}."
            ));
        }
        if let Some((line, name)) = &self.followed.macro_at {
            risks.push(format!(
                "Line {line} calls {name}: what that did to the printer is not known and not restored."
            ));
        }
        risks
    }
}

fn seam(again: u64, left_out: u64, is_written: bool) -> String {
    match (again, left_out) {
        _ if !is_written => {
            "Where the part ends was not written down: be sure that you have said it right.".to_owned()
        }
        (0, 0) => "A small seam will show where the print goes on.".to_owned(),
        (_, 0) => format!(
            "A seam will show: the last {again} commands may be in the part already and are sent again."
        ),
        _ => format!("A gap will show: {left_out} commands of the file are left out."),
    }
}

#[cfg(test)]
mod tests;
