//! Where a job stands: position, feed rate and modes, followed command by command.

use std::time::Duration;

use crate::pack::{Pack, Unpack};

use super::dials::Dials;

/// X, Y and Z come before it.
const E: usize = 3;

/// Longest nominal duration of one move; a slower one is a mistake in the file or in what is known.
const MOVE_MAX: Duration = Duration::from_secs(600);

/// The modal state that a firmware is in once it has carried out what was followed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Modal {
    /// In millimetres; `None` where it is not known (before a first move, after homing).
    axes: [Option<f64>; 4],
    /// In millimetres a minute.
    feed: Option<f64>,
    relative: bool,
    /// `None` when firmwares differ about it: some let `G90` and `G91` decide over the extruder as well.
    relative_e: Option<bool>,
    inches: bool,
    tool: usize,
    dials: Dials,
}

impl Default for Modal {
    fn default() -> Self {
        Self {
            axes: [None; 4],
            feed: None,
            relative: false,
            relative_e: Some(false),
            inches: false,
            tool: 0,
            dials: Dials::default(),
        }
    }
}

impl Modal {
    /// Follows one command; gives how long a move takes at its feed rate, and zero for everything else.
    pub fn follow(&mut self, command: &[u8]) -> Duration {
        let Some((letter, number, rest)) = word(command) else { return Duration::ZERO };
        match (letter, number as u32) {
            (b'G', 0..=3) => return self.travel(rest),
            (b'G', 20) => self.inches = true,
            (b'G', 21) => self.inches = false,
            (b'G', 28) => self.axes[..E].fill(None),
            (b'G', 90 | 91) => self.set_positioning(number as u32 == 91),
            (b'G', 92) => self.set_axes(rest),
            (b'M', 82 | 83) => self.relative_e = Some(number as u32 == 83),
            (b'M', number) => self.dials.follow(number, rest),
            (b'T', tool) => self.tool = tool as usize,
            _ => {}
        }
        Duration::ZERO
    }

    /// Writes it down.
    pub fn pack(&self, to: &mut Pack<'_>) {
        self.axes.iter().for_each(|&axis| to.maybe_f64(axis));
        to.maybe_f64(self.feed);
        to.bool(self.relative);
        to.maybe_bool(self.relative_e);
        to.bool(self.inches);
        to.u32(u32::try_from(self.tool).unwrap_or(u32::MAX));
        self.dials.pack(to);
    }

    /// Reads what [`Modal::pack`] wrote.
    #[must_use]
    pub fn unpack(from: &mut Unpack<'_>) -> Option<Self> {
        let mut axes = [None; 4];
        for axis in &mut axes {
            *axis = from.maybe_f64()?;
        }
        let (feed, relative, relative_e) = (from.maybe_f64()?, from.bool()?, from.maybe_bool()?);
        let (inches, tool) = (from.bool()?, from.u32()? as usize);
        Some(Self { axes, feed, relative, relative_e, inches, tool, dials: Dials::unpack(from)? })
    }

    /// The tool in use.
    #[must_use]
    pub fn tool(&self) -> usize {
        self.tool
    }

    /// Part fan, speed and flow.
    #[must_use]
    pub fn dials(&self) -> Dials {
        self.dials
    }

    /// X, Y, Z and E in millimetres, where they are known.
    #[must_use]
    pub fn axes(&self) -> [Option<f64>; 4] {
        self.axes
    }

    /// Z in millimetres, where it is known.
    #[must_use]
    pub fn height(&self) -> Option<f64> {
        self.axes[2].filter(|_| !self.inches)
    }

    /// The feed rate in millimetres a minute, once one was given.
    #[must_use]
    pub fn feed(&self) -> Option<f64> {
        self.feed
    }

    /// Whether X, Y and Z are given by how far to go.
    #[must_use]
    pub fn is_relative(&self) -> bool {
        self.relative
    }

    /// The same of the extruder; `None` when firmwares differ about it.
    #[must_use]
    pub fn is_extruder_relative(&self) -> Option<bool> {
        self.relative_e
    }

    /// Whether lengths are inches.
    #[must_use]
    pub fn is_in_inches(&self) -> bool {
        self.inches
    }

    /// Puts values in the place of placeholders; `None` when one of them is not known.
    #[must_use]
    pub fn fill(&self, line: &str) -> Option<String> {
        let mut filled = String::with_capacity(line.len() + 16);
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}')?;
            filled.push_str(before);
            filled.push_str(&self.value(name)?);
            rest = after;
        }
        filled.push_str(rest);
        Some(filled)
    }

    fn value(&self, name: &str) -> Option<String> {
        let known = |value: Option<f64>| value.filter(|_| !self.inches).map(decimal);
        match name {
            "x" => known(self.axes[0]),
            "y" => known(self.axes[1]),
            "z" => known(self.axes[2]),
            "e" => known(self.axes[E]),
            "f" => known(self.feed),
            "positioning" => Some(if self.relative { "G91" } else { "G90" }.to_owned()),
            "extruder" => self.relative_e.map(|relative| if relative { "M83" } else { "M82" }.to_owned()),
            _ => None,
        }
    }

    fn set_positioning(&mut self, relative: bool) {
        self.relative = relative;
        if self.relative_e != Some(relative) {
            self.relative_e = None;
        }
    }

    fn set_axes(&mut self, mut rest: &[u8]) {
        let mut named = false;
        while let Some((letter, number, after)) = word(rest) {
            rest = after;
            if let Some(axis) = axis_of(letter) {
                self.axes[axis] = Some(number);
                named = true;
            }
        }
        if !named {
            self.axes = [Some(0.0); 4];
        }
    }

    fn travel(&mut self, mut rest: &[u8]) -> Duration {
        let mut way = [0.0_f64; 4];
        while let Some((letter, number, after)) = word(rest) {
            rest = after;
            if letter == b'F' {
                self.feed = Some(number);
                continue;
            }
            let Some(axis) = axis_of(letter) else { continue };
            let relative = if axis == E { self.relative_e } else { Some(self.relative) };
            let from = self.axes[axis];
            self.axes[axis] = match relative {
                Some(true) => from.map(|from| from + number),
                Some(false) => Some(number),
                None => None,
            };
            way[axis] = match (relative, from) {
                (Some(true), _) => number,
                (_, Some(from)) => number - from,
                _ => 0.0,
            };
        }
        let distance = way[..E].iter().map(|way| way * way).sum::<f64>().sqrt();
        let distance = if distance > 0.0 { distance } else { way[E].abs() };
        let seconds = self.feed.filter(|&feed| feed > 0.0).map_or(0.0, |feed| distance * 60.0 / feed);
        Duration::try_from_secs_f64(seconds).unwrap_or(MOVE_MAX).min(MOVE_MAX)
    }
}

/// X, Y, Z and E, by these indices.
fn axis_of(letter: u8) -> Option<usize> {
    match letter {
        b'X' => Some(0),
        b'Y' => Some(1),
        b'Z' => Some(2),
        b'E' => Some(E),
        _ => None,
    }
}

/// A number as G-code has it: no exponent, at most five decimals, none that say nothing.
pub(crate) fn decimal(value: f64) -> String {
    let text = format!("{value:.5}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0" } else { text }.to_owned()
}

/// The next letter with its number, and what follows; a letter without a number counts as 0.
pub(crate) fn word(text: &[u8]) -> Option<(u8, f64, &[u8])> {
    let start = text.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let letter = text[start].to_ascii_uppercase();
    let digits = text[start + 1..].trim_ascii_start();
    let (number, length) = number(digits);
    Some((letter, number, &digits[length..]))
}

/// By how many digits stand behind a point; all of these are exact.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Sign, digits, a point and digits; gives the value and how many bytes it took.
fn number(text: &[u8]) -> (f64, usize) {
    let signed = text.first().is_some_and(|byte| matches!(byte, b'-' | b'+'));
    let (mut at, mut value, mut decimals) = (usize::from(signed), 0_i64, 0);
    let mut behind_point = false;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'0'..=b'9' if value < 1 << 50 => {
                value = value * 10 + i64::from(byte - b'0');
                // No file has more of them than a number can hold.
                decimals = (decimals + usize::from(behind_point)).min(POWERS_OF_TEN.len() - 1);
            }
            b'0'..=b'9' => {}
            b'.' if !behind_point => behind_point = true,
            _ => break,
        }
        at += 1;
    }
    let value = if decimals == 0 { value as f64 } else { value as f64 / POWERS_OF_TEN[decimals] };
    (if text.first() == Some(&b'-') { -value } else { value }, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(commands: &[&str]) -> Modal {
        let mut modal = Modal::default();
        for command in commands {
            modal.follow(command.as_bytes());
        }
        modal
    }

    #[test]
    fn placeholders_are_filled_with_where_the_job_stands() {
        let modal = after(&["G90", "M83", "G92 E0", "G1 X10.5 Y-3 Z0.2 F3000", "G1 E1.25", "G1X11"]);
        let line = "G1 X{x} Y{y} Z{z} F{f}";
        assert_eq!(modal.fill(line).unwrap(), "G1 X11 Y-3 Z0.2 F3000");
        assert_eq!(modal.fill("G92 E{e}").unwrap(), "G92 E1.25");
        assert_eq!(modal.fill("{positioning}").unwrap(), "G90");
        assert_eq!(modal.fill("{extruder}").unwrap(), "M83");
        assert_eq!(modal.fill("{speed}"), None);
        assert_eq!(modal.fill("M400").unwrap(), "M400");
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        assert_eq!(after(&["G1 Y1 F600"]).fill("X{x}"), None);
        assert_eq!(after(&["G1 X1", "G28"]).fill("X{x}"), None);
        assert_eq!(after(&["G20", "G1 X1"]).fill("X{x}"), None);
        assert_eq!(after(&["M83", "G90"]).fill("{extruder}"), None, "firmwares differ");
        assert_eq!(after(&["M83", "G90", "M83"]).fill("{extruder}").unwrap(), "M83");
    }

    #[test]
    fn a_move_takes_its_way_at_its_feed_rate() {
        let mut modal = after(&["G92 X0 Y0 E0", "M83"]);
        assert_eq!(modal.follow(b"G1 X3 Y4 F300"), Duration::from_secs(1));
        assert_eq!(modal.follow(b"G1 E5"), Duration::from_secs(1));
        assert_eq!(modal.follow(b"M104 S200"), Duration::ZERO);
        modal.follow(b"G91");
        assert_eq!(modal.follow(b"G0 X5"), Duration::from_secs(1));
        assert_eq!(modal.fill("{x}").unwrap(), "8");
        modal.follow(b"T2");
        assert_eq!(modal.tool(), 2);
    }

    #[test]
    fn any_bytes_can_be_followed() {
        for text in
            ["", " ", "G", "G1 X", "G1 X..1.2.3 Y--5", "N", "G999999999999999999999 X1e9", "\u{7f}\u{1}"]
        {
            after(&[text]);
        }
    }
}
