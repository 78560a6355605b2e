//! What is asked of a machine by hand, turned into the words of its firmware, or refused: too far, too hot, or not known there.

use std::fmt::Write as _;

use spoolway_firmware_profiles::hand::Hand;
use spoolway_firmware_profiles::limits::TemperatureLimits;
use spoolway_protocol::Fault;
use spoolway_protocol::hand::{Axis, HomeArgs, JogArgs, SetTempArgs};
use spoolway_protocol::limits::{JOG_FEED_MM_MIN_MAX, JOG_MM_MAX};

/// How fast a move is for which nobody has said it, in mm a minute.
const FEED_MM_MIN: f64 = 1_000.0;
/// What is shown as two decimals may be so much beyond a border, in mm.
const SLACK_MM: f64 = 0.01;
/// Least coordinates and greatest ones, in mm.
type Borders = ([f64; 3], [f64; 3]);
const AXES: [(Axis, char); 3] = [(Axis::X, 'X'), (Axis::Y, 'Y'), (Axis::Z, 'Z')];

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// The profile has no words for it.
    #[error("the profile has no words for this: [hand] has no `{0}`")]
    NoWords(&'static str),
    /// The arguments make no sense.
    #[error("{0}")]
    Args(String),
    /// There is no such heater.
    #[error("this printer has no {0}")]
    NoHeater(String),
    /// Too hot.
    #[error("{celsius} °C is not from 0 to {most} °C, which is what the profile allows")]
    TooHot {
        /// What was asked for.
        celsius: f64,
        /// The limit.
        most: f32,
    },
    /// Out of the volume.
    #[error("{axis} would be at {at:.2}, and the volume reaches from {least} to {most}")]
    Outside {
        /// Along which axis.
        axis: char,
        /// Where to.
        at: f64,
        /// Least.
        least: f64,
        /// Greatest.
        most: f64,
    },
}

impl Unfit {
    /// The stable code.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::NoWords(_) | Self::NoHeater(_) => Fault::PrinterCannot,
            Self::Args(_) => Fault::CommandBadArgs,
            Self::TooHot { .. } => Fault::HeatAboveLimit,
            Self::Outside { .. } => Fault::MotionOutside,
        }
    }
}

/// The lines that home.
///
/// # Errors
/// The firmware cannot, or not these axes alone.
pub fn home(hand: &Hand, args: &HomeArgs) -> Result<Vec<String>, Unfit> {
    let named = AXES.iter().filter(|(axis, _)| args.axes.contains(axis));
    let mut axes: String = named.flat_map(|(_, letter)| [' ', *letter]).collect();
    if axes.len() == 2 * AXES.len() {
        axes.clear();
    }
    let can_choose = hand.home.iter().any(|line| line.contains(&braced(Hand::AXES)));
    if !axes.is_empty() && !hand.home.is_empty() && !can_choose {
        return Err(Unfit::Args("this firmware homes all axes at once: name none".to_owned()));
    }
    filled(&hand.home, "home", &[(Hand::AXES, &axes)])
}

/// Whether homing may move the head down.
#[must_use]
pub fn homes_height(args: &HomeArgs) -> bool {
    args.axes.is_empty() || args.axes.contains(&Axis::Z)
}

/// By how much a jog moves X, Y and Z, in mm.
///
/// # Errors
/// It moves nothing, too far, or not at a speed.
pub fn distances(args: &JogArgs) -> Result<[f64; 3], Unfit> {
    let by = [args.x, args.y, args.z].map(|by| by.unwrap_or(0.0));
    if let Some(far) = by.iter().find(|by| !by.is_finite() || by.abs() > JOG_MM_MAX) {
        return Err(Unfit::Args(format!("one move goes at most {JOG_MM_MAX} mm, not {far}")));
    }
    if by.iter().all(|by| by.abs() < 0.001) {
        return Err(Unfit::Args("name at least one of x, y and z, each in mm".to_owned()));
    }
    Ok(by)
}

/// The lines that move by so much. `volume` is checked where it is known where the head `is`.
///
/// # Errors
/// The firmware cannot, the move leaves the volume, or the arguments make no sense.
pub fn jog(
    hand: &Hand,
    args: &JogArgs,
    is: Option<[f64; 3]>,
    volume: Option<Borders>,
) -> Result<Vec<String>, Unfit> {
    let by = distances(args)?;
    let feed = args.feed_mm_min.unwrap_or(FEED_MM_MIN);
    if !(1.0..=JOG_FEED_MM_MIN_MAX).contains(&feed) {
        let text = format!("feed_mm_min must be from 1 to {JOG_FEED_MM_MIN_MAX}, not {feed}");
        return Err(Unfit::Args(text));
    }
    if let (Some(is), Some(volume)) = (is, volume) {
        check_inside(is, by, volume)?;
    }
    let mut moved = String::new();
    for ((_, letter), by) in AXES.iter().zip(by).filter(|(_, by)| by.abs() >= 0.001) {
        let number = format!("{by:.3}");
        let number = number.trim_end_matches('0').trim_end_matches('.');
        let _ = write!(moved, " {letter}{number}");
    }
    filled(&hand.jog, "jog", &[(Hand::MOVE, &moved), (Hand::FEED, &format!("{feed:.0}"))])
}

/// Whoever stands outside already may come back.
fn check_inside(is: [f64; 3], by: [f64; 3], (least, most): Borders) -> Result<(), Unfit> {
    for (n, (_, axis)) in AXES.iter().enumerate() {
        let at = is[n] + by[n];
        let is_out = by[n] > 0.0 && at > most[n] + SLACK_MM || by[n] < 0.0 && at < least[n] - SLACK_MM;
        if is_out {
            return Err(Unfit::Outside { axis: *axis, at, least: least[n], most: most[n] });
        }
    }
    Ok(())
}

/// Where the head is, by the answer to the profile's `position`.
#[must_use]
pub fn position(replies: &[String]) -> Option<[f64; 3]> {
    replies.iter().find_map(|line| {
        // What stands behind `Count` are steps.
        let said = line.split("Count").next()?;
        let value = |letter: char| {
            let rest = &said[said.find(&format!("{letter}:"))? + 2..];
            let end = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-' | ' '));
            rest[..end.unwrap_or(rest.len())].trim().split(' ').next()?.parse::<f64>().ok()
        };
        Some([value('X')?, value('Y')?, value('Z')?])
    })
}

/// The lines that heat something. `hot_ends` is how many the firmware reports, at least one.
///
/// # Errors
/// There is no such heater, or it is too hot.
pub fn heat(
    hand: &Hand,
    limits: &TemperatureLimits,
    hot_ends: usize,
    args: &SetTempArgs,
) -> Result<Vec<String>, Unfit> {
    let heater = args.heater.as_str();
    let no_heater = || Unfit::NoHeater(heater.chars().take(20).collect());
    let tool = heater.strip_prefix("tool").and_then(|number| number.parse::<usize>().ok());
    let (line, key, most) = match (heater, tool) {
        ("bed", _) => (&hand.bed, "bed", limits.bed_max),
        ("chamber", _) => (&hand.chamber, "chamber", limits.chamber_max.unwrap_or(0.0)),
        (_, Some(tool)) if tool < hot_ends.max(1) => (&hand.hotend, "hotend", limits.hotend_max),
        _ => return Err(no_heater()),
    };
    if most <= 0.0 {
        return Err(no_heater());
    }
    if !(0.0..=f64::from(most)).contains(&args.celsius) {
        return Err(Unfit::TooHot { celsius: args.celsius, most });
    }
    let (tool, celsius) = (tool.unwrap_or(0).to_string(), format!("{:.1}", args.celsius));
    let celsius = celsius.trim_end_matches(".0");
    filled(line.as_slice(), key, &[(Hand::TOOL, &tool), (Hand::CELSIUS, celsius)])
}

/// The lines that switch all heaters off.
///
/// # Errors
/// There are none.
pub fn heaters_off(hand: &Hand, hot_ends: usize) -> Result<Vec<String>, Unfit> {
    let tool = braced(Hand::TOOL);
    let each = |line: &String| match line.contains(&tool) {
        false => vec![line.clone()],
        true if hot_ends > 1 => (0..hot_ends).map(|n| line.replace(&tool, &n.to_string())).collect(),
        true => Vec::new(),
    };
    let lines: Vec<String> = hand.heaters_off.iter().flat_map(each).collect();
    if lines.is_empty() { Err(Unfit::NoHeater("heaters".to_owned())) } else { Ok(lines) }
}

/// The lines that switch the light; `has` says whether the firmware has reported a capability.
///
/// # Errors
/// There is no light.
pub fn light(hand: &Hand, has: impl Fn(&str) -> bool, on: bool) -> Result<Vec<String>, Unfit> {
    let light = hand.light.as_ref().ok_or(Unfit::NoWords("light"))?;
    match &light.capability {
        Some(name) if !has(name) => Err(Unfit::NoHeater(format!("light that it tells of (`Cap:{name}:1`)"))),
        _ => Ok(if on { light.on.clone() } else { light.off.clone() }),
    }
}

/// The lines by which the machine makes itself known.
///
/// # Errors
/// The profile has none.
pub fn identify(hand: &Hand) -> Result<Vec<String>, Unfit> {
    filled(&hand.identify, "identify", &[])
}

/// The line that leaves an object out.
///
/// # Errors
/// The profile has none.
pub fn skip_object(hand: &Hand, object: &str) -> Result<Vec<String>, Unfit> {
    filled(hand.skip_object.as_slice(), "skip_object", &[(Hand::OBJECT, object)])
}

fn braced(name: &str) -> String {
    format!("{{{name}}}")
}

fn filled(lines: &[String], key: &'static str, fillings: &[(&str, &str)]) -> Result<Vec<String>, Unfit> {
    if lines.is_empty() {
        return Err(Unfit::NoWords(key));
    }
    let fill = |line: &String| {
        fillings.iter().fold(line.clone(), |line, (name, text)| line.replace(&braced(name), text))
    };
    Ok(lines.iter().map(fill).collect())
}

#[cfg(test)]
mod tests;
