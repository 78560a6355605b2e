//! Which single commands a person may send to a printer by hand, by role: reports and harmless questions at any time, target
//! temperatures while no job runs, and what tunes, moves or restarts the machine only while a person who stands at it has
//! opened a maintenance window.
//!
//! What is not in the table is denied. Parameters are in the table as well: some firmwares take several commands from one
//! line (RepRapFirmware), so that a word that is not a parameter is never let through.

mod table;

use std::fmt;

use spoolway_firmware_profiles::limits::TemperatureLimits;
use spoolway_protocol::Fault;

use table::{ALLOWED, GRBL, GRBL_MAINTENANCE, Heater, MAINTENANCE, When, why_denied};

/// Longest command; the shortest line buffer of a supported firmware takes 96 bytes with number and checksum.
const COMMAND_BYTES: usize = 64;

/// Who sends a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A person at the machine: whoever may use the local socket.
    AtTheMachine,
    /// `admin` in the words of the backend.
    Admin,
    /// `operator` in the words of the backend.
    Operator,
    /// `viewer` in the words of the backend.
    Viewer,
}

impl Role {
    /// The role that a backend's command names; others may send nothing.
    #[must_use]
    pub fn of_backend(word: &str) -> Option<Self> {
        match word {
            "admin" => Some(Self::Admin),
            "operator" => Some(Self::Operator),
            "viewer" => Some(Self::Viewer),
            _ => None,
        }
    }

    /// Whether it may change anything, and not only ask.
    fn may_set(self) -> bool {
        self != Self::Viewer
    }

    /// Whether an open maintenance window is for it.
    fn may_maintain(self) -> bool {
        matches!(self, Self::AtTheMachine | Self::Admin)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtTheMachine => "a person at the machine",
            Self::Admin => "an admin",
            Self::Operator => "an operator",
            Self::Viewer => "a viewer",
        })
    }
}

/// All that a command is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// Who sends it.
    pub role: Role,
    /// Whether a job is under way.
    pub is_printing: bool,
    /// Whether the firmware is a grbl, which has questions of its own.
    pub is_grbl: bool,
    /// Whether a maintenance window is open.
    pub maintenance: bool,
    /// What the profile allows.
    pub limits: &'a TemperatureLimits,
}

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
    /// Only while a maintenance window is open.
    #[error("{command} is only sent while a maintenance window is open: {reason}")]
    NeedsMaintenance {
        /// The command.
        command: String,
        /// Why.
        reason: &'static str,
    },
    /// Not by this person.
    #[error("{command} is not sent for {role}")]
    Role {
        /// The command.
        command: String,
        /// Who.
        role: Role,
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

impl Denied {
    /// The stable code.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Printing { .. } => Fault::Busy,
            Self::NeedsMaintenance { .. } => Fault::CommandNeedsMaintenance,
            Self::TooHot { .. } => Fault::HeatAboveLimit,
            Self::NotACommand(_) | Self::NotAllowed { .. } | Self::Parameter { .. } | Self::Role { .. } => {
                Fault::CommandNotAllowed
            }
        }
    }
}

/// Judges one command of a person; gives it as it may be sent.
///
/// # Errors
/// It is denied, and why.
pub fn judge(text: &str, at: &Circumstances<'_>) -> Result<String, Denied> {
    let line = text.trim();
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, ';' | '(' | ')' | '*' | '\\') || c == ' ';
    if line.is_empty() || line.len() > COMMAND_BYTES || !line.chars().all(is_plain) {
        return Err(Denied::NotACommand(line.chars().take(COMMAND_BYTES).collect()));
    }
    let line = line.to_ascii_uppercase();
    if at.is_grbl && GRBL.contains(&line.as_str()) {
        return Ok(line);
    }
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let command = words.next().unwrap_or_default();
    let words: Vec<&str> = words.collect();
    if let Some(reason) = maintenance_of(command, at.is_grbl) {
        check_maintenance(command, reason, at)?;
        check_any(command, &words)?;
    } else {
        check_usual(command, &words, at)?;
    }
    Ok([&[command], words.as_slice()].concat().join(" "))
}

/// Why a command needs a maintenance window, if one is enough for it.
fn maintenance_of(command: &str, is_grbl: bool) -> Option<&'static str> {
    if is_grbl && command.starts_with('$') {
        let is_setting = command[1..].split_once('=').is_some_and(|(name, value)| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) && is_number(value)
        });
        let is_word = GRBL_MAINTENANCE.contains(&command);
        return (is_setting || is_word).then_some("it moves the machine or writes its settings");
    }
    let listed = MAINTENANCE.iter().find(|(names, _)| names.contains(&command));
    listed.map(|(_, reason)| *reason)
}

fn check_maintenance(command: &str, reason: &'static str, at: &Circumstances<'_>) -> Result<(), Denied> {
    let command = command.to_owned();
    if !at.role.may_maintain() {
        Err(Denied::Role { command, role: at.role })
    } else if !at.maintenance {
        Err(Denied::NeedsMaintenance { command, reason })
    } else if at.is_printing {
        Err(Denied::Printing { command })
    } else {
        Ok(())
    }
}

/// Parameters of a command that only a window lets through: any letter once, but none that begins another command.
fn check_any(command: &str, words: &[&str]) -> Result<(), Denied> {
    check_words(command, words, "ABCDEFHIJKLOPQRSTUVWXYZ", |number| is_number(number.trim_start_matches('-')))
}

fn check_words(
    command: &str,
    words: &[&str],
    letters: &'static str,
    is_fit: impl Fn(&str) -> bool,
) -> Result<(), Denied> {
    for (at, word) in words.iter().enumerate() {
        let letter = word.as_bytes()[0];
        let is_seen = words[..at].iter().any(|other| other.as_bytes()[0] == letter);
        if !letters.as_bytes().contains(&letter) || is_seen || !is_fit(&word[1..]) {
            let (command, word) = (command.to_owned(), (*word).to_owned());
            return Err(Denied::Parameter { command, word, allowed: letters });
        }
    }
    Ok(())
}

fn check_usual(command: &str, words: &[&str], at: &Circumstances<'_>) -> Result<(), Denied> {
    let Some((name, when, letters)) = ALLOWED.iter().find(|(name, ..)| *name == command) else {
        return Err(Denied::NotAllowed { command: command.to_owned(), reason: why_denied(command) });
    };
    check_words(name, words, letters, is_number)?;
    if *when == When::Always {
        return Ok(());
    }
    let command = (*name).to_owned();
    if !at.role.may_set() {
        return Err(Denied::Role { command, role: at.role });
    }
    if at.is_printing {
        return Err(Denied::Printing { command });
    }
    match when {
        When::Heat(heater) => check_heat(name, *heater, words, at),
        _ => Ok(()),
    }
}

/// Digits with at most one point, or nothing: flags have no number.
fn is_number(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let points = text.bytes().filter(|&b| b == b'.').count();
    text.is_empty() || digits > 0 && points <= 1 && digits + points == text.len()
}

fn check_heat(name: &str, heater: Heater, words: &[&str], at: &Circumstances<'_>) -> Result<(), Denied> {
    let limits = at.limits;
    let most = match heater {
        Heater::HotEnd => limits.hotend_max,
        Heater::Bed => limits.bed_max,
        Heater::Chamber => limits.chamber_max.unwrap_or(0.0),
    };
    let target = words.iter().find_map(|word| word.strip_prefix('S')).unwrap_or_default();
    match target.parse::<f32>() {
        Ok(celsius) if (0.0..=most).contains(&celsius) => Ok(()),
        // Beyond that the firmware's own limit is the last.
        Ok(celsius) if at.maintenance && at.role.may_maintain() && celsius.is_finite() => Ok(()),
        Ok(_) => Err(Denied::TooHot { celsius: target.to_owned(), most }),
        Err(_) => {
            let (command, word) = (name.to_owned(), "no S with a temperature".to_owned());
            Err(Denied::Parameter { command, word, allowed: "S" })
        }
    }
}

#[cfg(test)]
mod tests;
