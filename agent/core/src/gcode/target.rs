//! Which temperatures a command asks for, in whatever words the firmwares have for it.
//!
//! Marlin's `M104`, `M109`, `M140`, `M190`, `M141`, `M191` and `M303`; RepRapFirmware's `G10` and `M568`, and several commands
//! in one line; Klipper's `SET_HEATER_TEMPERATURE`.

use super::line::is_text_command;
use super::modal::word;

/// What is heated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heater {
    /// A hot end by its number; `None` is the one in use.
    HotEnd(Option<usize>),
    /// The bed.
    Bed,
    /// The chamber.
    Chamber,
}

/// A temperature that is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Of what.
    pub heater: Heater,
    /// In degrees Celsius; zero is off.
    pub celsius: f32,
}

const KLIPPER: &[u8] = b"SET_HEATER_TEMPERATURE";

/// Gives every temperature that a command asks for, in order.
pub fn targets(command: &[u8], mut each: impl FnMut(Target)) {
    if command.is_empty() || !may_heat(command) {
        return;
    }
    if command.len() > KLIPPER.len() && command[..KLIPPER.len()].eq_ignore_ascii_case(KLIPPER) {
        return each_of_klipper(&command[KLIPPER.len()..], &mut each);
    }
    if is_text_command(command) {
        return;
    }
    let mut rest = command;
    let mut asked = None;
    while let Some((letter, number, after)) = word(rest) {
        rest = after;
        if matches!(letter, b'M' | b'G') {
            finish(asked.take(), &mut each);
            asked = Asked::of(letter, number as u32);
        } else if let Some(asked) = &mut asked {
            asked.take(letter, number);
        }
    }
    finish(asked, &mut each);
}

/// Most lines are moves; they are told from the rest without being read, and without a branch for each byte.
fn may_heat(command: &[u8]) -> bool {
    match command {
        [b'G' | b'g', b'0' | b'1', next, rest @ ..] if !next.is_ascii_digit() => {
            let is_m = |byte: u8| byte | 0x20 == b'm';
            rest.iter().fold(is_m(*next), |found, &byte| found | is_m(byte))
        }
        _ => true,
    }
}

/// A command that may ask for a temperature, and its parameters so far.
struct Asked {
    heater: Heater,
    tool_letter: u8,
    /// Given only with a tool: without one Marlin's `G10` is a retraction, whose `S` is no temperature.
    needs_tool: bool,
    hottest: Option<f32>,
}

impl Asked {
    fn of(letter: u8, number: u32) -> Option<Self> {
        let (heater, tool_letter) = match (letter, number) {
            (b'M', 104 | 109) => (Heater::HotEnd(None), b'T'),
            (b'M', 303) => (Heater::HotEnd(None), b'E'),
            (b'M', 568) | (b'G', 10) => (Heater::HotEnd(None), b'P'),
            (b'M', 140 | 190) => (Heater::Bed, 0),
            (b'M', 141 | 191) => (Heater::Chamber, 0),
            _ => return None,
        };
        Some(Self { heater, tool_letter, needs_tool: letter == b'G', hottest: None })
    }

    fn take(&mut self, letter: u8, number: f64) {
        match letter {
            // The standby temperature is one that is held as well.
            b'S' | b'R' => {
                let celsius = number as f32;
                self.hottest = Some(self.hottest.map_or(celsius, |other| other.max(celsius)));
            }
            // `M303 E-1` tunes the bed.
            _ if letter == self.tool_letter && number < 0.0 => self.heater = Heater::Bed,
            _ if letter == self.tool_letter => {
                self.heater = Heater::HotEnd(Some(number as usize));
                self.needs_tool = false;
            }
            _ => {}
        }
    }
}

fn finish(asked: Option<Asked>, each: &mut impl FnMut(Target)) {
    let Some(asked) = asked.filter(|asked| !asked.needs_tool) else { return };
    if let Some(celsius) = asked.hottest {
        each(Target { heater: asked.heater, celsius });
    }
}

/// `HEATER=extruder TARGET=200`; heaters of other names are the machine's own business.
fn each_of_klipper(parameters: &[u8], each: &mut impl FnMut(Target)) {
    let (mut heater, mut celsius) = (None, 0.0);
    for parameter in parameters.split(u8::is_ascii_whitespace) {
        let mut halves = parameter.splitn(2, |&byte| byte == b'=');
        let (Some(name), Some(value)) = (halves.next(), halves.next()) else { continue };
        if name.eq_ignore_ascii_case(b"HEATER") {
            heater = klipper_heater(&value.to_ascii_lowercase());
        } else if name.eq_ignore_ascii_case(b"TARGET") {
            celsius = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or(0.0);
        }
    }
    if let Some(heater) = heater {
        each(Target { heater, celsius });
    }
}

/// `extruder`, `extruder1`, `heater_bed`, or a `heater_generic` that says chamber.
fn klipper_heater(name: &[u8]) -> Option<Heater> {
    if let Some(number) = name.strip_prefix(b"extruder") {
        let number = if number.is_empty() { Some(0) } else { std::str::from_utf8(number).ok()?.parse().ok() };
        return Some(Heater::HotEnd(number));
    }
    if name == b"heater_bed" {
        return Some(Heater::Bed);
    }
    name.windows(7).any(|part| part == b"chamber").then_some(Heater::Chamber)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(command: &str) -> Vec<(Heater, f32)> {
        let mut found = Vec::new();
        targets(command.as_bytes(), |target| found.push((target.heater, target.celsius)));
        found
    }

    const IN_USE: Heater = Heater::HotEnd(None);

    #[test]
    fn the_words_of_the_firmwares() {
        for (command, heater, celsius) in [
            ("M104 S200", IN_USE, 200.0),
            ("m109 r180.5 t1", Heater::HotEnd(Some(1)), 180.5),
            ("M104 T2 S0", Heater::HotEnd(Some(2)), 0.0),
            ("M140S60", Heater::Bed, 60.0),
            ("M190 R45", Heater::Bed, 45.0),
            ("M141 S70", Heater::Chamber, 70.0),
            ("M191 S50", Heater::Chamber, 50.0),
            ("M303 E0 S240 C8", Heater::HotEnd(Some(0)), 240.0),
            ("M303 E-1 S110", Heater::Bed, 110.0),
            ("G10 P1 S250 R160", Heater::HotEnd(Some(1)), 250.0),
            ("M568 P0 R120 S210", Heater::HotEnd(Some(0)), 210.0),
            ("SET_HEATER_TEMPERATURE HEATER=extruder TARGET=255", Heater::HotEnd(Some(0)), 255.0),
            ("set_heater_temperature heater=extruder1 target=9.5", Heater::HotEnd(Some(1)), 9.5),
            ("SET_HEATER_TEMPERATURE TARGET=90 HEATER=heater_bed", Heater::Bed, 90.0),
            ("SET_HEATER_TEMPERATURE HEATER=chamber_heater TARGET=60", Heater::Chamber, 60.0),
        ] {
            assert_eq!(all(command), [(heater, celsius)], "{command}");
        }
    }

    #[test]
    fn several_commands_in_one_line_are_each_heard() {
        assert_eq!(all("G1 X5 M104 S300"), [(IN_USE, 300.0)]);
        assert_eq!(all("M140 S60 M104 T1 S200"), [(Heater::Bed, 60.0), (Heater::HotEnd(Some(1)), 200.0)]);
    }

    #[test]
    fn other_commands_ask_for_none() {
        for command in [
            "G1 X10 S200",
            "G0 F600",
            "G10 S1",
            "G10",
            "M106 S255",
            "M204 S1000",
            "M117 M104 S999",
            "M104",
            "M104 T1",
            "M105",
            "T1",
            "START_PRINT BED=60",
            "SET_HEATER_TEMPERATURE HEATER=box TARGET=900",
            "",
            "G28 S2",
            "M1040 S300",
        ] {
            assert_eq!(all(command), [], "{command}");
        }
    }
}
