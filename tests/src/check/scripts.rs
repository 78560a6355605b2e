//! What a host may say beside the job: its own questions, and the scripts of the profile.

use spoolway_firmware_profiles::{HostWaits, Profile};

use crate::printer::Executed;

/// Questions and settings of the host; none of them moves or heats anything.
const HOST_COMMANDS: [&[u8]; 10] =
    [b"M105", b"M110", b"M113", b"M115", b"M118", b"M155", b"M555", b"M601", b"M876", b"$I"];

/// What may stand between the lines of a job.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Whether lines carry numbers, so that one without is noise.
    pub numbered: bool,
    /// Whether the host waits for temperatures.
    pub host_waits: bool,
    /// Whether a wait for a temperature may have been cut short by a pause: it is then done anew.
    pub waits_anew: bool,
    /// Sent when a job is given up.
    pub cancel: Vec<String>,
    /// Sent when a job is paused or goes on, placeholders and all. Empty when nobody paused.
    pub pause: Vec<String>,
}

impl Rules {
    /// The rules of a profile; `paused` says whether the job was paused at all.
    #[must_use]
    pub fn of(profile: &Profile, paused: bool) -> Self {
        let scripts = &profile.scripts;
        let around = [&scripts.pause, &scripts.park, &scripts.unpark, &scripts.resume];
        let pause = around.into_iter().flatten().filter(|_| paused);
        Self {
            numbered: profile.framing.numbered,
            host_waits: profile.temperature.host_waits != HostWaits::Never,
            waits_anew: paused && profile.emergency.break_wait.is_some(),
            cancel: scripts.cancel.clone(),
            pause: pause.cloned().collect(),
        }
    }

    /// Whether a line that was carried out can be of the host at all.
    #[must_use]
    pub fn is_of_host(&self, line: &Executed) -> bool {
        !self.numbered || line.number.is_some()
    }

    /// Whether this is a question or a setting of the host.
    #[must_use]
    pub fn is_host_command(text: &[u8]) -> bool {
        HOST_COMMANDS.iter().any(|word| {
            text.strip_prefix(*word).is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_digit))
        })
    }

    /// Whether this belongs to the cancel script: from its first line on nothing else may come.
    #[must_use]
    pub fn is_cancel_script(&self, text: &[u8]) -> bool {
        std::str::from_utf8(text).is_ok_and(|text| self.cancel.iter().any(|line| fits(line, text)))
    }

    /// Whether this belongs to a script around a pause.
    #[must_use]
    pub fn is_pause_script(&self, text: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(text) else { return false };
        self.pause.iter().any(|line| fits(line, text))
    }
}

/// Whether a text is this line with its placeholders filled: numbers, or modes where the line is nothing but one.
fn fits(line: &str, text: &str) -> bool {
    if line.starts_with('{') {
        return ["G90", "G91", "M82", "M83"].contains(&text);
    }
    let Some((head, rest)) = line.split_once('{') else { return line == text };
    let (Some(text), Some((_, line))) = (text.strip_prefix(head), rest.split_once('}')) else { return false };
    let number = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '-')).unwrap_or(text.len());
    number > 0 && fits(line, &text[number..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_by_all_of_its_lines_and_not_by_their_beginnings() {
        let pause = ["G1 X{x} Y{y} F6000", "{extruder}", "G92 E{e}", "M400"].map(str::to_owned).to_vec();
        let rules = Rules { pause, ..Rules::default() };
        for line in ["G1 X-1.5 Y20 F6000", "M83", "G92 E0", "M400"] {
            assert!(rules.is_pause_script(line.as_bytes()), "{line}");
        }
        for line in ["G1 X1 Y2 E3 F6000", "G1 X Y2 F6000", "G92 E", "M4001", "M84", "G1 X1 Y2 F60001"] {
            assert!(!rules.is_pause_script(line.as_bytes()), "{line}");
        }
    }
}
