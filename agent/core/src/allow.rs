//! Which single commands a person may send to a printer by hand: reports and harmless questions at any time, target
//! temperatures while no job runs, and nothing else.
//!
//! What is not in the table is denied. Parameters are in the table as well: some firmwares take several commands from one
//! line (RepRapFirmware), so that a word that is not a parameter is never let through.

use spoolway_firmware_profiles::limits::TemperatureLimits;

/// Longest command; the shortest line buffer of a supported firmware takes 96 bytes with number and checksum.
const COMMAND_BYTES: usize = 64;

/// When a command may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// It only asks.
    Always,
    /// It changes what is reported.
    Idle,
    /// It sets a temperature, which has to be within the profile's limit.
    Heat(Heater),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heater {
    HotEnd,
    Bed,
    Chamber,
}

/// Command, when it may be sent, and the letters of its parameters.
const ALLOWED: &[(&str, When, &str)] = &[
    ("M20", When::Idle, "L"),
    ("M27", When::Always, "C"),
    ("M31", When::Always, ""),
    ("M78", When::Always, ""),
    ("M104", When::Heat(Heater::HotEnd), "ST"),
    ("M105", When::Always, ""),
    ("M114", When::Always, "DER"),
    ("M115", When::Always, ""),
    ("M119", When::Always, ""),
    ("M140", When::Heat(Heater::Bed), "S"),
    ("M141", When::Heat(Heater::Chamber), "S"),
    ("M155", When::Idle, "S"),
    ("M503", When::Always, "S"),
];

/// Questions of grbl, which has no numbers; each is a whole line.
const GRBL: &[&str] = &["$", "$$", "$#", "$G", "$I", "$N"];

/// Commands that somebody may well try, and why they are denied.
const DENIED: &[(&[&str], &str)] = &[
    (
        &["M112", "M108", "M410"],
        "stop, cancel and pause are commands of their own: `estop`, `cancel`, `pause`",
    ),
    (&["M500", "M501", "M502", "M504"], "it writes or replaces the printer's stored settings"),
    (&["M303", "M306"], "it heats by itself for a long time"),
    (&["M997", "M999"], "it restarts the printer or replaces its firmware"),
    (&["M109", "M190", "M191"], "it blocks the printer; set the temperature with M104, M140 or M141"),
    (&["M110"], "line numbers are the agent's own matter"),
    (&["M876"], "questions of the printer are answered with `answer`"),
    (
        &["M23", "M24", "M25", "M26", "M28", "M29", "M30", "M32"],
        "it prints from or changes the printer's own card",
    ),
    (&["M80", "M81"], "it switches the power"),
    (&["M42", "M106", "M107", "M226", "M280"], "it switches outputs of the machine"),
    (&["M600", "M701", "M702", "M125"], "it moves the machine and waits for a person"),
    (&["M17", "M18", "M84"], "it switches the motors"),
];

/// Why a command is not sent.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Denied {
    /// It is no single command.
    #[error("{0:?} is not a single command of at most {COMMAND_BYTES} plain characters")]
    NotACommand(String),
    /// It is not on the list.
    #[error("{command} is not sent by hand: {reason}")]
    NotAllowed {
        /// The command.
        command: String,
        /// Why.
        reason: &'static str,
    },
    /// One of its parameters is not known to be harmless.
    #[error("{command} is sent by hand only with the parameters {allowed:?}, and not with {word:?}")]
    Parameter {
        /// The command.
        command: String,
        /// The word.
        word: String,
        /// Letters that may be given.
        allowed: &'static str,
    },
    /// Only while nothing is printed.
    #[error("{command} is only sent while no job is under way")]
    Printing {
        /// The command.
        command: String,
    },
    /// Too hot.
    #[error("{celsius} °C is not from 0 to {most} °C, which is what the profile allows")]
    TooHot {
        /// What was asked for, as written.
        celsius: String,
        /// The limit in degrees Celsius.
        most: f32,
    },
}

/// Judges one command of a person; gives it as it may be sent.
///
/// # Errors
/// It is denied, and why.
pub fn judge(
    text: &str,
    is_printing: bool,
    is_grbl: bool,
    limits: &TemperatureLimits,
) -> Result<String, Denied> {
    let line = text.trim();
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, ';' | '(' | ')' | '*' | '\\') || c == ' ';
    if line.is_empty() || line.len() > COMMAND_BYTES || !line.chars().all(is_plain) {
        return Err(Denied::NotACommand(line.chars().take(COMMAND_BYTES).collect()));
    }
    let line = line.to_ascii_uppercase();
    if is_grbl && GRBL.contains(&line.as_str()) {
        return Ok(line);
    }
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let command = words.next().unwrap_or_default();
    let Some((name, when, letters)) = ALLOWED.iter().find(|(name, ..)| *name == command) else {
        return Err(Denied::NotAllowed { command: command.to_owned(), reason: why_denied(command) });
    };
    let words: Vec<&str> = words.collect();
    let seen = |at: usize, letter: u8| words[..at].iter().any(|word| word.as_bytes()[0] == letter);
    for (at, word) in words.iter().enumerate() {
        let letter = word.as_bytes()[0];
        if !letters.as_bytes().contains(&letter) || !is_number(&word[1..]) || seen(at, letter) {
            let (command, word) = ((*name).to_owned(), (*word).to_owned());
            return Err(Denied::Parameter { command, word, allowed: letters });
        }
    }
    if is_printing && *when != When::Always {
        return Err(Denied::Printing { command: (*name).to_owned() });
    }
    if let When::Heat(heater) = when {
        check_heat(name, *heater, &words, limits)?;
    }
    Ok([&[command], words.as_slice()].concat().join(" "))
}

/// Digits with at most one point, or nothing: flags have no number.
fn is_number(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let points = text.bytes().filter(|&b| b == b'.').count();
    text.is_empty() || digits > 0 && points <= 1 && digits + points == text.len()
}

fn check_heat(name: &str, heater: Heater, words: &[&str], limits: &TemperatureLimits) -> Result<(), Denied> {
    let most = match heater {
        Heater::HotEnd => limits.hotend_max,
        Heater::Bed => limits.bed_max,
        Heater::Chamber => limits.chamber_max.unwrap_or(0.0),
    };
    let target = words.iter().find_map(|word| word.strip_prefix('S')).unwrap_or_default();
    match target.parse::<f32>() {
        Ok(celsius) if (0.0..=most).contains(&celsius) => Ok(()),
        Ok(_) => Err(Denied::TooHot { celsius: target.to_owned(), most }),
        Err(_) => {
            let (command, word) = (name.to_owned(), "no S with a temperature".to_owned());
            Err(Denied::Parameter { command, word, allowed: "S" })
        }
    }
}

fn why_denied(command: &str) -> &'static str {
    if let Some((_, reason)) = DENIED.iter().find(|(names, _)| names.contains(&command)) {
        return reason;
    }
    match command.as_bytes().first() {
        Some(b'G') => "it moves the machine or changes how it moves",
        Some(b'T') => "it changes the tool",
        Some(b'N') => "line numbers are the agent's own matter",
        _ => "it is not among the questions that are known to be harmless",
    }
}

#[cfg(test)]
mod tests;
