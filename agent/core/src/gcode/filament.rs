//! How much filament the commands of a file push, by tool: exact for as many commands as were acknowledged.

use std::ops::Range;

use super::modal::word;
use super::reader::Reader;

/// Units in one millimetre: lengths are counted in nanometres, so that the sum does not depend on rounding.
const PER_MM: f64 = 1e6;
/// The same for an inch.
const PER_INCH: f64 = 25.4e6;
/// Tools that are counted.
const TOOLS: usize = 32;

/// Follows the extruder axis, command by command.
///
/// A tool has used as much as the furthest that its filament was ever pushed: what is retracted and pushed again counts once, and a
/// print that ends in the middle of a retraction does not count less. The rest is as the file says it: flow factors, volumetric
/// extrusion and filament changes at the printer are not in it.
#[derive(Debug, Clone, Default)]
pub struct FilamentMeter {
    /// `G91` is in force.
    relative: bool,
    /// What `M82` and `M83` have said since; see [`Self::is_relative`].
    extruder: Extruder,
    inches: bool,
    /// `None` while no tool is selected.
    tool: Option<usize>,
    /// Where the file believes the extruder to be; all tools share it, as in the firmwares.
    place: i64,
    tools: Vec<Pushed>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Extruder {
    /// As `G90` and `G91` say.
    #[default]
    AsAxes,
    /// `M82` since the last `G91`.
    Absolute,
    /// `M83`.
    Relative,
}

#[derive(Debug, Clone, Copy, Default)]
struct Pushed {
    now: i64,
    most: i64,
}

impl FilamentMeter {
    /// A file begins: absolute millimetres, the first tool, nothing pushed.
    #[must_use]
    pub fn new() -> Self {
        Self { tool: Some(0), ..Self::default() }
    }

    /// Follows one command.
    pub fn follow(&mut self, command: &[u8]) {
        let Some((letter, number, rest)) = word(command) else { return };
        let is_whole = number.fract() == 0.0;
        match (letter, number as i64) {
            (b'G', 0..=3 | 5) if is_whole => self.travel(rest),
            (b'G', 20) if is_whole => self.inches = true,
            (b'G', 21) if is_whole => self.inches = false,
            (b'G', 90) if is_whole => self.relative = false,
            (b'G', 91) if is_whole => {
                self.relative = true;
                if self.extruder == Extruder::Absolute {
                    self.extruder = Extruder::AsAxes;
                }
            }
            (b'G', 92) => self.set_place(rest, is_whole),
            (b'M', 82) => self.extruder = Extruder::Absolute,
            (b'M', 83) => self.extruder = Extruder::Relative,
            // `Tx` and `T?` of multi-material units load a filament and choose no tool; `T-1` puts all of them away.
            (b'T', tool) if names_a_tool(command) => {
                self.tool = usize::try_from(tool).ok().filter(|&tool| tool < TOOLS);
            }
            _ => {}
        }
    }

    /// Millimetres used, by tool from the first to the last one that pushed.
    #[must_use]
    pub fn used_mm(&self) -> Vec<f64> {
        self.used_since(&Self::default())
    }

    /// The same behind the commands that an earlier copy has followed.
    fn used_since(&self, earlier: &Self) -> Vec<f64> {
        let before = earlier.tools.iter().map(|pushed| pushed.most).chain(std::iter::repeat(0));
        self.tools.iter().zip(before).map(|(now, before)| (now.most - before) as f64 / PER_MM).collect()
    }

    /// Firmwares differ about `G90` and `G91`: Marlin and Smoothieware let them decide over the extruder as well, for Klipper and
    /// Repetier either word makes it relative, for RepRapFirmware and Prusa's own they have nothing to do with it. Files are written
    /// so that they print right on theirs, and there one reading fits all: `M83` holds until `M82`, and behind `G91` the extruder
    /// is relative unless `M82` comes after it.
    fn is_relative(&self) -> bool {
        match self.extruder {
            Extruder::Relative => true,
            Extruder::Absolute => false,
            Extruder::AsAxes => self.relative,
        }
    }

    fn travel(&mut self, rest: &[u8]) {
        let Some(to) = self.extruder_word(rest) else { return };
        let way = if self.is_relative() { to } else { to.saturating_sub(self.place) };
        self.place = self.place.saturating_add(way);
        let Some(tool) = self.tool else { return };
        if self.tools.len() <= tool {
            self.tools.resize(tool + 1, Pushed::default());
        }
        let pushed = &mut self.tools[tool];
        pushed.now = pushed.now.saturating_add(way);
        pushed.most = pushed.most.max(pushed.now);
    }

    /// `G92` without an axis sets all of them to zero; `G92.1` and its like are about offsets.
    fn set_place(&mut self, rest: &[u8], is_whole: bool) {
        match self.extruder_word(rest) {
            _ if !is_whole => {}
            Some(place) => self.place = place,
            None if word(rest).is_none() => self.place = 0,
            None => {}
        }
    }

    fn extruder_word(&self, mut rest: &[u8]) -> Option<i64> {
        let unit = if self.inches { PER_INCH } else { PER_MM };
        while let Some((letter, number, after)) = word(rest) {
            if letter == b'E' {
                return Some((number * unit).round() as i64);
            }
            rest = after;
        }
        None
    }
}

/// The filament of some commands of a file, which comes in pieces of any size from its beginning.
#[derive(Debug)]
pub struct FilamentCount {
    reader: Reader,
    passed: Passed,
}

/// The commands that were read.
#[derive(Debug)]
struct Passed {
    meter: FilamentMeter,
    /// As it was ahead of the first command that counts.
    before: FilamentMeter,
    commands: u64,
    counted: Range<u64>,
}

impl FilamentCount {
    /// Counts these commands of a file; the first is 0.
    #[must_use]
    pub fn new(counted: Range<u64>) -> Self {
        let (meter, before) = (FilamentMeter::new(), FilamentMeter::new());
        Self { reader: Reader::new(), passed: Passed { meter, before, commands: 0, counted } }
    }

    /// Whether commands are missing.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        self.passed.wants_more()
    }

    /// Takes the next piece. A line that is no G-code ends the count: no printer has taken it.
    pub fn push(&mut self, bytes: &[u8]) {
        let Self { reader, passed } = self;
        if reader.push(bytes, |command, _| passed.follow(command)).is_err() {
            passed.counted.end = passed.commands;
        }
    }

    /// Millimetres by tool; a last line without an end counts as well.
    #[must_use]
    pub fn finish(mut self) -> Vec<f64> {
        let Self { reader, passed } = &mut self;
        // A last line that is no G-code adds nothing.
        drop(reader.finish(|command, _| passed.follow(command)));
        self.passed.meter.used_since(&self.passed.before)
    }
}

impl Passed {
    fn wants_more(&self) -> bool {
        !self.counted.is_empty() && self.commands < self.counted.end
    }

    fn follow(&mut self, command: &[u8]) {
        if !self.wants_more() {
            return;
        }
        self.meter.follow(command);
        self.commands += 1;
        if self.commands == self.counted.start {
            self.before.clone_from(&self.meter);
        }
    }
}

fn names_a_tool(command: &[u8]) -> bool {
    let digits = command.trim_ascii_start().get(1..).unwrap_or_default().trim_ascii_start();
    let digits = digits.strip_prefix(b"-").unwrap_or(digits);
    digits.first().is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(commands: &[&str]) -> Vec<f64> {
        let mut meter = FilamentMeter::new();
        commands.iter().for_each(|command| meter.follow(command.as_bytes()));
        meter.used_mm()
    }

    #[test]
    fn absolute_and_relative_files_count_alike() {
        assert_eq!(used(&["M82", "G92 E0", "G1 X1 E1.5", "G1 X2 E4", "G92 E0", "G1 E0.25"]), [4.25]);
        assert_eq!(used(&["M83", "G1 X1 E1.5", "G1 X2E2.5", "G1 E.25"]), [4.25]);
        assert_eq!(used(&["G1 E2", "G92", "G1 E2", "G92 X0", "G1 E3"]), [5.0]);
    }

    #[test]
    fn what_is_pulled_back_and_pushed_again_counts_once() {
        assert_eq!(used(&["M83", "G1 E10", "G1 E-2", "G0 X5", "G1 E2", "G1 E1"]), [11.0]);
        assert_eq!(used(&["M83", "G1 E10", "G1 E-2"]), [10.0], "it ends in the middle of a retraction");
        assert_eq!(used(&["M83", "G1 E-5", "G1 E5"]), [0.0]);
        assert_eq!(used(&["M83", "G1 E10", "G1 E-2", "G1 E4"]), [12.0], "a little more than was pulled back");
    }

    #[test]
    fn every_tool_counts_by_itself() {
        let commands =
            ["M83", "T0", "G1 E1", "T2", "G1 E5", "G1 E-1", "T0", "G1 E1", "T-1", "G1 E9", "T2", "G1 E1"];
        assert_eq!(used(&commands), [2.0, 0.0, 5.0]);
        assert_eq!(used(&["M82", "G1 E5", "T1", "G1 E7"]), [5.0, 2.0], "all tools share one extruder axis");
        assert_eq!(used(&["M83", "T1", "Tx", "T?", "G1 E1"]), [0.0, 1.0]);
        assert_eq!(used(&["T99", "G1 E1", "G1 X1"]), [0.0; 0]);
    }

    #[test]
    fn modes_are_read_as_files_mean_them() {
        // Cura and PrusaSlicer at the end of a file: relative, then absolute again.
        assert_eq!(used(&["M82", "G1 E10", "G91", "G1 E-2", "G1 E3", "G90", "G1 E12"]), [12.0]);
        assert_eq!(used(&["M83", "G1 E1", "G91", "G1 Z1", "G90", "G1 E1"]), [2.0]);
        assert_eq!(used(&["G91", "M82", "G1 E1", "G1 E2"]), [2.0], "M82 behind G91");
        assert_eq!(used(&["G20", "M83", "G1 E1", "G21", "G1 E1"]), [26.4]);
    }

    #[test]
    fn arcs_and_splines_push_and_other_commands_do_not() {
        assert_eq!(used(&["M83", "G2 X1 I1 E1", "G3 X0 I-1 E1", "G5 X1 P1 Q1 E1"]), [3.0]);
        assert_eq!(
            used(&["M83", "G10 E5", "M117 E5", "G92.1 E5", "M104 S200", "G4 P5", "", "G1.5 E1"]),
            [0.0; 0]
        );
    }

    #[test]
    fn many_small_pushes_add_up_exactly() {
        let mut meter = FilamentMeter::new();
        meter.follow(b"M83");
        for _ in 0..100_000 {
            meter.follow(b"G1 X1 E0.00001");
        }
        assert_eq!(meter.used_mm(), [1.0]);
    }

    #[test]
    fn a_file_in_pieces_is_counted_up_to_a_command() {
        let text = b"M83\n; a comment\nG1 E1\n\nG1 E2 ; more\nG1 E4";
        for piece in 1..=text.len() {
            let used = [0, 1, 2, 3, 4, 9].map(|commands| {
                let mut count = FilamentCount::new(0..commands);
                for part in text.chunks(piece) {
                    count.push(part);
                }
                count.finish().first().copied().unwrap_or(0.0)
            });
            assert_eq!(used, [0.0, 0.0, 1.0, 3.0, 7.0, 7.0], "in pieces of {piece}");
        }
        let mut broken = FilamentCount::new(0..9);
        broken.push(b"M83\nG1 E1\n\x7fELF\x02\nG1 E1\n");
        assert!(!broken.wants_more());
        assert_eq!(broken.finish(), [1.0]);
    }

    #[test]
    fn any_bytes_can_be_followed() {
        for text in
            ["T", "T-", "G1 E", "G1 E99999999999999999999", "G92 E-99999999999999999999", "G1 E1e9", "\u{7f}"]
        {
            used(&["M83", text, "G1 E99999999999999999999", "G1 E99999999999999999999"]);
        }
    }
}
