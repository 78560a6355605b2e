//! One line of the log, bounded in every part, and its three spellings.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::{from_utc, utc};

/// Longest text of a line, in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 4096;
/// Longest value of a field, in bytes.
pub(super) const MAX_FIELD_BYTES: usize = 1024;
/// Most fields of a line, those of its spans included.
pub(super) const MAX_FIELDS: usize = 24;

/// How much a line matters; the first matters most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warn,
    /// The course of things.
    Info,
    /// Details for whoever looks for a fault.
    Debug,
    /// Every line on the wire.
    Trace,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Unix milliseconds.
    pub at_ms: u64,
    /// How much it matters.
    pub level: Level,
    /// The module that speaks.
    pub target: String,
    /// What it says.
    pub text: String,
    /// Names and values, those of the outermost span first.
    pub fields: Vec<(String, String)>,
}

impl Level {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// Priority of syslog (RFC 5424, section 6.2.1).
    const fn priority(self) -> u8 {
        match self {
            Self::Error => 3,
            Self::Warn => 4,
            Self::Info => 6,
            Self::Debug | Self::Trace => 7,
        }
    }

    const fn colour(self) -> &'static str {
        match self {
            Self::Error => "\x1b[31m",
            Self::Warn => "\x1b[33m",
            Self::Info => "\x1b[32m",
            Self::Debug | Self::Trace => "\x1b[2m",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word is no level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of error, warn, info, debug and trace")]
pub struct NoLevel;

impl FromStr for Level {
    type Err = NoLevel;

    fn from_str(word: &str) -> Result<Self, NoLevel> {
        let known = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];
        known.into_iter().find(|level| level.as_str() == word).ok_or(NoLevel)
    }
}

impl From<tracing::Level> for Level {
    fn from(level: tracing::Level) -> Self {
        match level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::INFO => Self::Info,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::TRACE => Self::Trace,
        }
    }
}

impl LogLine {
    /// For people: time, level, text, fields. What a printer or peer has said cannot steer the terminal.
    #[must_use]
    pub fn human(&self, colour: bool) -> String {
        let (on, dim, off) = if colour { (self.level.colour(), "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        let time = utc(self.at_ms);
        let time = time.get(11..23).unwrap_or(&time);
        let mut line = format!("{dim}{time}{off} {on}{:<5}{off} ", self.level.as_str());
        push_plain(&mut line, &self.text);
        for (name, value) in &self.fields {
            line.push(' ');
            line.push_str(dim);
            push_plain(&mut line, name);
            line.push('=');
            line.push_str(off);
            push_plain(&mut line, value);
        }
        line
    }

    /// One JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        let fields: Map<String, Value> =
            self.fields.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
        let ts = utc(self.at_ms);
        let level = self.level.as_str();
        json!({"ts": ts, "level": level, "target": self.target, "message": self.text, "fields": fields})
            .to_string()
    }

    /// What [`json`](Self::json) has made of a line; `None` for anything else.
    #[must_use]
    pub fn of_json(text: &[u8]) -> Option<Self> {
        let line: Value = serde_json::from_slice(text).ok()?;
        let word = |name: &str| line.get(name)?.as_str();
        let fields = line.get("fields")?.as_object()?.iter();
        Some(Self {
            at_ms: from_utc(word("ts")?)?,
            level: word("level")?.parse().ok()?,
            target: word("target")?.to_owned(),
            text: word("message")?.to_owned(),
            fields: fields
                .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect::<Option<_>>()?,
        })
    }

    /// One datagram of the journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL).
    #[must_use]
    pub fn journal(&self) -> Vec<u8> {
        let mut datagram = Vec::with_capacity(256);
        let mut put = |name: &str, value: &str| {
            datagram.extend_from_slice(name.as_bytes());
            // The long form, length first, may hold anything, line feeds too.
            datagram.push(b'\n');
            datagram.extend_from_slice(&(value.len() as u64).to_le_bytes());
            datagram.extend_from_slice(value.as_bytes());
            datagram.push(b'\n');
        };
        put("PRIORITY", &self.level.priority().to_string());
        put("SYSLOG_IDENTIFIER", "spoolway-agent");
        put("TARGET", &self.target);
        put("MESSAGE", &self.message());
        for (name, value) in &self.fields {
            put(&journal_name(name), value);
        }
        datagram
    }

    /// Text and fields together, for a reader that shows nothing but the message.
    fn message(&self) -> String {
        self.fields.iter().fold(self.text.clone(), |mut text, (name, value)| {
            // Writing into a string cannot fail.
            let _ = write!(text, " {name}={value}");
            text
        })
    }
}

/// A field of the journal is of capitals, digits and underscores, at most 64; the prefix keeps it from the reserved ones.
fn journal_name(name: &str) -> String {
    let capital = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    "F_".chars().chain(name.chars().map(capital)).take(64).collect()
}

fn push_plain(line: &mut String, text: &str) {
    for char in text.chars() {
        if char.is_control() { line.extend(char.escape_default()) } else { line.push(char) }
    }
}

/// At most so many bytes of a text, with a mark when something was cut away.
pub(crate) fn cut(mut text: String, most_bytes: usize) -> String {
    if text.len() > most_bytes {
        let end = (0..=most_bytes).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> LogLine {
        LogLine {
            at_ms: 1_760_000_000_123,
            level: Level::Warn,
            target: "spoolway_agent::printer".into(),
            text: "it said \x1b[2J\n".into(),
            fields: vec![("job.id".into(), "j1".into())],
        }
    }

    #[test]
    fn people_see_no_control_characters() {
        assert_eq!(line().human(false), "08:53:20.123 warn  it said \\u{1b}[2J\\n job.id=j1");
        assert!(line().human(true).starts_with("\x1b[2m08:53:20.123\x1b[0m \x1b[33mwarn"));
    }

    #[test]
    fn json_is_one_line_with_everything() {
        let text = line().json();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(!text.contains('\n'));
        assert_eq!(value["ts"], "2025-10-09T08:53:20.123Z");
        assert_eq!(value["fields"]["job.id"], "j1");
        assert_eq!(LogLine::of_json(text.as_bytes()), Some(line()));
        for other in ["", "{}", "no line", &text[..text.len() / 2], &text.replace("warn", "loud")] {
            assert_eq!(LogLine::of_json(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn the_journal_gets_lengths_and_lawful_names() {
        let datagram = line().journal();
        let text = b"it said \x1b[2J\n job.id=j1";
        let mut field = b"MESSAGE\n".to_vec();
        field.extend_from_slice(&(text.len() as u64).to_le_bytes());
        field.extend_from_slice(text);
        assert!(datagram.windows(field.len()).any(|part| part == field));
        assert!(datagram.windows(9).any(|part| part == b"F_JOB_ID\n"));
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("aé".repeat(3), 5), "aéa...");
        assert_eq!(cut("short".into(), 5), "short");
    }

    #[test]
    fn levels_are_ordered_by_weight() {
        assert!(Level::Error < Level::Trace);
        assert_eq!("warn".parse(), Ok(Level::Warn));
        assert_eq!("WARN".parse::<Level>(), Err(NoLevel));
    }
}
