//! The words of the longer answers: temperatures, identity, echo, `ok N P B`.

use super::command::Command;
use super::{Capabilities, Line, Printer};

/// Capabilities of the modelled build and whether it has them; the configurable ones come from the options.
const CAPABILITIES: [(&str, bool); 23] = [
    ("SERIAL_XON_XOFF", false),
    ("BINARY_FILE_TRANSFER", false),
    ("EEPROM", true),
    ("VOLUMETRIC", true),
    ("AUTOREPORT_POS", false),
    ("PROGRESS", false),
    ("PRINT_JOB", true),
    ("AUTOLEVEL", false),
    ("RUNOUT", false),
    ("Z_PROBE", false),
    ("LEVELING_DATA", false),
    ("BUILD_PERCENT", false),
    ("SOFTWARE_POWER", false),
    ("TOGGLE_LIGHTS", false),
    ("CASE_LIGHT_BRIGHTNESS", false),
    ("SDCARD", false),
    ("REPEAT", false),
    ("SD_WRITE", false),
    ("LONG_FILENAME", false),
    ("THERMAL_PROTECTION", true),
    ("ARCS", true),
    ("BABYSTEPPING", false),
    ("MEATPACK", false),
];

impl Printer {
    /// `T:19.37 /0.00 B:19.37 /0.00 @:0 B@:0`.
    pub(super) fn temperatures(&self) -> String {
        let now_us = self.clock_us;
        format!(
            "T:{:.2} /{:.2} B:{:.2} /{:.2} @:{} B@:{}",
            self.hotend.temperature_c(now_us),
            self.hotend.target_c(),
            self.bed.temperature_c(now_us),
            self.bed.target_c(),
            self.hotend.duty(now_us),
            self.bed.duty(now_us),
        )
    }

    /// The line that M109 and M190 print each second: `W:?` until the target, then the seconds left.
    pub(super) fn heat_report(&self, reached_us: u64, done_us: u64) -> String {
        let left = match reached_us {
            reached_us if reached_us > self.clock_us => "?".to_owned(),
            _ => (done_us.saturating_sub(self.clock_us) / 1_000_000).to_string(),
        };
        format!(" {} W:{left}", self.temperatures())
    }

    /// `ok N12 P15 B3`: the number of this very line, free planner blocks, free queue slots while it still holds one.
    pub(super) fn advanced_ok(&self, line: &Line) -> String {
        let number = line.leading_number().map(|digits| format!(" N{}", String::from_utf8_lossy(digits)));
        let free = self.options.queue_lines.saturating_sub(self.queue.len() + 1);
        format!("ok{} P{} B{free}", number.unwrap_or_default(), self.planner.free())
    }

    /// M115, or `$I`.
    pub(super) fn identify(&mut self) {
        let identity = self.options.dialect.identity;
        for text in identity.answer {
            self.print(text);
        }
        let autoreport = ("AUTOREPORT_TEMP", self.options.autoreport_temp);
        match identity.capabilities {
            Capabilities::None => {}
            Capabilities::Marlin => {
                let options = &self.options;
                let configured = [
                    autoreport,
                    ("EMERGENCY_PARSER", options.emergency_parser),
                    ("HOST_ACTION_COMMANDS", options.host_actions),
                    ("PROMPT_SUPPORT", options.host_actions),
                ];
                for (name, has) in CAPABILITIES.into_iter().chain(configured) {
                    self.print(&format!("Cap:{name}:{}", u8::from(has)));
                }
            }
            Capabilities::Some(word, names) => {
                for name in names {
                    self.print(&format!("{word}:{name}:1"));
                }
                self.print(&format!("{word}:{}:{}", autoreport.0, u8::from(autoreport.1)));
            }
        }
    }

    /// M118: `E1` puts `echo:` before the text and `A1` puts `//`.
    pub(super) fn echo(&mut self, command: &Command<'_>) {
        let (mut text, mut prefix) = (command.rest, "");
        loop {
            prefix = match text {
                [b'E', b'1', ..] => "echo:",
                [b'A', b'1', ..] => "//",
                [b'E' | b'A' | b'P', b'0'..=b'9', ..] => prefix,
                _ => break,
            };
            text = text[2..].trim_ascii_start();
        }
        self.print(&format!("{prefix}{}", String::from_utf8_lossy(text)));
    }
}
