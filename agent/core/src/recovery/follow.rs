//! Follows a file command by command to the place where it goes on: what the firmware would know there.

use std::collections::BTreeMap;

use crate::gcode::Modal;
use crate::gcode::modal::word;

const Z: usize = 2;
const E: usize = 3;
/// Most settings that are kept; a file that makes more is not followed.
const SETTINGS_MAX: usize = 128;

/// Settings that hold until they are made anew: sizes of filament, limits, acceleration, jerk, offsets, retraction, flow,
/// feed, heater control, soft end stops, pressure advance, input shaping, motor currents, the object that is printed.
const LASTING: [u32; 33] = [
    92, 106, 107, 200, 201, 202, 203, 204, 205, 206, 207, 208, 209, 211, 218, 220, 221, 301, 302, 304, 425,
    486, 493, 566, 569, 572, 592, 593, 851, 852, 900, 906, 907,
];
/// Measuring the bed: `G29` and its kin, Prusa's `G80`, RepRapFirmware's `G32`.
const MEASURING: [u32; 4] = [29, 32, 80, 81];
/// Coordinate systems other than the first, rotation and scale.
const OTHER_PLACES: [u32; 8] = [55, 56, 57, 58, 59, 51, 68, 52];

/// What compensates an uneven bed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Levelling {
    Untouched,
    /// The file had the bed measured in this line.
    Measured(u64),
    /// The file turned a stored compensation on or off so.
    Asked(String),
}

/// What the firmware knows once it has carried out everything that was followed.
#[derive(Debug, Clone)]
pub struct Followed {
    pub(super) modal: Modal,
    /// Lasting settings in the order in which they were made last, by what they set.
    settings: Vec<(String, String)>,
    /// Targets of hot ends in degrees Celsius.
    pub(super) hot_ends: BTreeMap<usize, f64>,
    pub(super) bed_c: Option<f64>,
    pub(super) chamber_c: Option<f64>,
    pub(super) levelling: Levelling,
    /// The greatest height at which something was extruded, in mm.
    pub(super) top: Option<f64>,
    /// The height at which something was extruded last, in mm.
    pub(super) layer_z: Option<f64>,
    /// Filament that is drawn back, in mm.
    pub(super) retracted: f64,
    /// Why this file cannot be followed, and the line where that is.
    pub(super) lost: Option<(u64, &'static str)>,
    /// The first line whose command is a word of its own, and that word.
    pub(super) macro_at: Option<(u64, String)>,
}

impl Default for Followed {
    fn default() -> Self {
        Self {
            modal: Modal::default(),
            settings: Vec::new(),
            hot_ends: BTreeMap::new(),
            bed_c: None,
            chamber_c: None,
            levelling: Levelling::Untouched,
            top: None,
            layer_z: None,
            retracted: 0.0,
            lost: None,
            macro_at: None,
        }
    }
}

impl Followed {
    /// Follows the command in this line of the file.
    pub fn follow(&mut self, command: &[u8], line: u64) {
        let text = String::from_utf8_lossy(command);
        if is_macro(command) {
            let name = text.split_whitespace().next().unwrap_or_default().to_owned();
            self.macro_at.get_or_insert((line, name));
            return;
        }
        let Some((letter, number, rest)) = word(command) else { return };
        let before = self.modal.axes();
        self.modal.follow(command);
        let number = number as u32;
        match (letter, number) {
            (b'G', 0..=3) => self.move_on(before[E], rest),
            // A firmware that was reset has forgotten its own retraction, and takes the end of it for nothing.
            (b'G', 10) if rest.trim_ascii().is_empty() => {}
            (b'G', 10 | 17..=19) => self.set(number, letter, rest, &text),
            (b'G', 92) => self.rename(line, before),
            (b'G', code) if MEASURING.contains(&code) => self.levelling = Levelling::Measured(line),
            (b'G', code) if OTHER_PLACES.contains(&code) => {
                self.lose(line, "another coordinate system is chosen");
            }
            (b'M', 104 | 109 | 140 | 190 | 141 | 191) => self.heat(number, rest),
            (b'M', 420) if has(rest, b'S') => self.levelling = Levelling::Asked(text.trim().to_owned()),
            (b'M', code) if LASTING.contains(&code) => self.set(number, letter, rest, &text),
            _ => {}
        }
    }

    /// The lasting settings, in the order in which they were made.
    pub(super) fn settings(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().map(|(_, line)| line.as_str())
    }

    /// What was wanted of a hot end where the file says nothing.
    pub(super) fn hot_end(&self, tool: usize) -> Option<f64> {
        self.hot_ends.get(&tool).copied().filter(|celsius| *celsius > 0.0)
    }

    /// Takes these targets where the file itself has set none.
    pub fn warm_as(&mut self, hot_end_c: Option<f64>, bed_c: Option<f64>) {
        if self.hot_ends.is_empty()
            && let Some(celsius) = hot_end_c
        {
            self.hot_ends.insert(self.modal.tool(), celsius);
        }
        self.bed_c = self.bed_c.or(bed_c);
    }

    fn move_on(&mut self, e_before: Option<f64>, rest: &[u8]) {
        let axes = self.modal.axes();
        let pushed = match (e_before, axes[E]) {
            (Some(before), Some(now)) => now - before,
            // An extruder that is only ever told how far to go needs no place.
            _ if self.modal.is_extruder_relative() == Some(true) => value(rest, b'E').unwrap_or(0.0),
            _ => 0.0,
        };
        let was_retracted = self.retracted;
        self.retracted = (self.retracted - pushed).max(0.0);
        // Only what goes beyond what had been drawn back is in the part.
        if pushed > was_retracted {
            self.layer_z = axes[Z].or(self.layer_z);
            self.top = match (self.top, axes[Z]) {
                (Some(top), Some(z)) => Some(top.max(z)),
                (top, z) => top.or(z),
            };
        }
    }

    /// `G92` may name the extruder anew as it likes; an axis that is named otherwise than it stands is another place.
    fn rename(&mut self, line: u64, before: [Option<f64>; 4]) {
        let after = self.modal.axes();
        let same = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (Some(one), Some(other)) => (one - other).abs() < 1e-6,
            (one, other) => one == other,
        };
        if !(0..E).all(|axis| same(before[axis], after[axis])) {
            self.lose(line, "G92 moves the coordinate system");
        }
    }

    fn heat(&mut self, number: u32, rest: &[u8]) {
        let Some(celsius) = value(rest, b'S').or_else(|| value(rest, b'R')) else { return };
        match number {
            104 | 109 => {
                let tool = value(rest, b'T').map_or(self.modal.tool(), |tool| tool as usize);
                self.hot_ends.insert(tool, celsius);
            }
            140 | 190 => self.bed_c = Some(celsius),
            _ => self.chamber_c = Some(celsius),
        }
    }

    /// Keeps a setting in the place of one that set the same.
    fn set(&mut self, number: u32, letter: u8, rest: &[u8], text: &str) {
        // A fan that is off is the same fan.
        let number = if number == 107 { 106 } else { number };
        let mut what = format!("{}{number}", char::from(letter));
        let mut rest = rest;
        let mut letters = Vec::new();
        while let Some((letter, value, after)) = word(rest) {
            rest = after;
            match letter {
                // Which one is set.
                b'T' | b'P' | b'D' if number != 204 || letter == b'D' => {
                    letters.push(format!("{}{value}", char::from(letter)))
                }
                _ if number == 106 => {}
                _ => letters.push(char::from(letter).to_string()),
            }
        }
        letters.sort_unstable();
        what.extend(letters);
        self.settings.retain(|(other, _)| *other != what);
        if self.settings.len() < SETTINGS_MAX {
            self.settings.push((what, text.trim().to_owned()));
        } else {
            self.lose(0, "it makes too many settings to follow");
        }
    }

    fn lose(&mut self, line: u64, why: &'static str) {
        self.lost.get_or_insert((line, why));
    }
}

/// A word of several letters, as Klipper's macros are.
fn is_macro(command: &[u8]) -> bool {
    let letters = command.iter().take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'_').count();
    letters > 1
}

fn value(mut rest: &[u8], wanted: u8) -> Option<f64> {
    while let Some((letter, number, after)) = word(rest) {
        if letter == wanted {
            return Some(number);
        }
        rest = after;
    }
    None
}

fn has(rest: &[u8], wanted: u8) -> bool {
    value(rest, wanted).is_some()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::recovery) fn after(commands: &[&str]) -> Followed {
        let mut followed = Followed::default();
        for (line, command) in commands.iter().enumerate() {
            followed.follow(command.as_bytes(), line as u64 + 1);
        }
        followed
    }

    fn settings(commands: &[&str]) -> Vec<String> {
        after(commands).settings().map(str::to_owned).collect()
    }

    #[test]
    fn the_last_word_on_each_setting_is_kept_in_order() {
        let made = [
            "M204 P800 T1000",
            "M106 S255",
            "M220 S100",
            "M106 P1 S80",
            "M204 P500 T1000",
            "M106 S128",
            "M900 K0.05",
        ];
        assert_eq!(
            settings(&made),
            ["M220 S100", "M106 P1 S80", "M204 P500 T1000", "M106 S128", "M900 K0.05"]
        );
        assert_eq!(settings(&["M106 S255", "M107"]), ["M107"]);
        assert_eq!(
            settings(&["M204 S800", "M204 P500"]),
            ["M204 S800", "M204 P500"],
            "the later of two that overlap comes later"
        );
        assert_eq!(settings(&["M221 S95", "M221 T1 S90", "M221 S100"]), ["M221 T1 S90", "M221 S100"]);
        assert_eq!(settings(&["M117 hello", "M73 P3", "M105", "G4 P1"]), Vec::<String>::new());
    }

    #[test]
    fn heaters_are_followed_by_tool() {
        let followed =
            after(&["M140 S60", "M104 S150", "M190 R65", "T1", "M109 S220", "M104 T0 S0", "M141 S40"]);
        assert_eq!((followed.bed_c, followed.chamber_c), (Some(65.0), Some(40.0)));
        assert_eq!((followed.hot_end(0), followed.hot_end(1)), (None, Some(220.0)));
    }

    #[test]
    fn retraction_and_height_are_those_of_the_part() {
        let start = ["G90", "M82", "G92 E0", "G1 Z0.3 F600", "G1 X10 Y10 E2", "G1 E1.2", "G1 Z0.9"];
        let followed = after(&start);
        assert!((followed.retracted - 0.8).abs() < 1e-9);
        assert_eq!((followed.layer_z, followed.top), (Some(0.3), Some(0.3)), "a hop is not in the part");
        let more = ["G1 X50 Y50", "G1 Z0.6", "G1 E2", "G1 X60 E3", "G1 Z0.3", "G1 X10 Y10 E4"];
        let followed = after(&[&start[..], &more[..]].concat());
        assert!(followed.retracted.abs() < 1e-9);
        assert_eq!((followed.layer_z, followed.top), (Some(0.3), Some(0.6)), "one part after the other");
        assert_eq!(after(&["M83", "G1 Z0.3", "G1 X1 E2"]).layer_z, Some(0.3));
        assert!((after(&["M83", "G92 E0", "G1 E-1.5", "G92 E0", "G1 E0.5"]).retracted - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_followed_is_said_with_its_line() {
        assert_eq!(after(&["G28", "G1 X5 Y5", "G92 X0"]).lost, Some((3, "G92 moves the coordinate system")));
        assert_eq!(after(&["G1 X5 Y5", "G92 X5 E0"]).lost, None);
        assert_eq!(after(&["G28", "G55"]).lost, Some((2, "another coordinate system is chosen")));
        assert_eq!(after(&["G28", "START_PRINT BED=60"]).macro_at, Some((2, "START_PRINT".to_owned())));
        assert_eq!(after(&["G29", "M420 S1 Z10"]).levelling, Levelling::Asked("M420 S1 Z10".to_owned()));
        assert_eq!(after(&["M420 V", "G29"]).levelling, Levelling::Measured(2));
    }
}
