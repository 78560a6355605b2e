//! Sets single keys in the text of a configuration file, and leaves every other byte of it as it stands.
//!
//! The reader says where each value begins and ends, so that a value is exchanged in its place, and comments, order and white space are
//! never written anew. What came out is read again and held against what went in before anybody is given it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use super::Config;
use super::load::{LoadConfigError, Origin, flatten, unknown};
use super::settings::{Given, SETTINGS, keys, quoted};
use crate::paths::Paths;

/// A value to be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Text.
    Text(String),
    /// A whole number.
    Number(u32),
    /// Anything, as TOML has it.
    Notation(String),
}

impl fmt::Display for Wanted {
    /// As the file has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::Number(number) => number.fmt(f),
            Self::Notation(toml) => f.write_str(toml),
        }
    }
}

impl Wanted {
    /// As it may be repeated on a screen.
    #[must_use]
    pub fn shown(&self) -> String {
        Given::Bare(self.to_string()).shown()
    }
}

/// One key and what it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its dotted name.
    pub key: &'static str,
    /// The value.
    pub value: Wanted,
}

impl Change {
    /// A key with what somebody has typed for it: as TOML where the key takes it so, else as text.
    ///
    /// # Errors
    /// There is no such key, or it takes neither.
    pub fn typed(key: &str, typed: &str) -> Result<Self, LoadConfigError> {
        let text = Given::Text(typed.to_owned());
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            return Err(unknown(key, &text, Origin::Flag));
        };
        let nowhere = Paths { config: PathBuf::new(), state: PathBuf::new(), runtime: PathBuf::new() };
        let mut scratch = Config::new(&nowhere);
        let notation = Wanted::Notation(typed.trim().to_owned());
        let said = given(&notation).unwrap_or_default();
        let as_toml = match &said[..] {
            [said] => Some((setting.take)(&mut scratch, said)),
            _ => None,
        };
        if let Some(Ok(())) = as_toml {
            return Ok(Self { key: setting.key, value: notation });
        }
        match ((setting.take)(&mut scratch, &text), as_toml) {
            (Ok(()), _) => Ok(Self { key: setting.key, value: Wanted::Text(typed.to_owned()) }),
            // What is said of a number that is out of its bounds is better than that text is none.
            (Err(why), as_toml) => Err(LoadConfigError::Value {
                origin: Origin::Flag,
                key: setting.key,
                value: text.shown(),
                why: as_toml.and_then(Result::err).unwrap_or(why),
            }),
        }
    }
}

/// Why a file is not rewritten. It stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// It is not TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// There is no such setting.
    #[error("there is no setting `{0}`")]
    UnknownKey(String),
    /// The file is written in a way that cannot be changed in one place.
    #[error("`{0}` cannot be set where it stands; write it by hand")]
    Place(&'static str),
}

/// The text with these keys set.
///
/// # Errors
/// [`RewriteError`]; nothing has been changed then.
pub fn rewrite(text: &str, changes: &[Change]) -> Result<String, RewriteError> {
    let mut now = text.to_owned();
    for change in changes {
        if !keys().any(|key| key == change.key) {
            return Err(RewriteError::UnknownKey(change.key.to_owned()));
        }
        now = set(&now, change)?;
    }
    prove(text, &now, changes)?;
    Ok(now)
}

fn parse(text: &str) -> Result<DeTable<'_>, RewriteError> {
    let table = DeTable::parse(text).map_err(|error| RewriteError::Syntax(error.message().to_owned()))?;
    Ok(table.into_inner())
}

/// How a section is written.
enum Section {
    /// `[printer]`, or a table that stands for the whole file.
    Headed,
    /// `printer = { ... }`.
    Inline { is_empty: bool },
    /// `printer.port = ...`.
    Dotted,
}

fn set(text: &str, change: &Change) -> Result<String, RewriteError> {
    let table = parse(text)?;
    let (section, name) = change.key.split_once('.').unwrap_or(("", change.key));
    if section.is_empty() {
        return Ok(match value_of(&table, name) {
            Some(span) => splice(text, span, &change.value.to_string()),
            None => insert_line(text, text.len() - text.trim_start_matches('\u{feff}').len(), name, change),
        });
    }
    let Some((_, found)) = table.iter().find(|(key, _)| key.get_ref().as_ref() == section) else {
        return Ok(append_section(text, section, name, change));
    };
    let DeValue::Table(inner) = found.get_ref() else { return Err(RewriteError::Place(change.key)) };
    if let Some(span) = value_of(inner, name) {
        return Ok(splice(text, span, &change.value.to_string()));
    }
    let start = found.span().start;
    let how = match text.as_bytes().get(start) {
        Some(b'[') => Section::Headed,
        Some(b'{') => Section::Inline { is_empty: inner.is_empty() },
        _ => Section::Dotted,
    };
    // Behind the last value of the section, which may go over several lines; else behind its head.
    let last = inner.iter().map(|(_, value)| value.span().end).max().unwrap_or(found.span().end);
    Ok(match how {
        Section::Headed => insert_line(text, line_end(text, last), name, change),
        Section::Dotted => insert_line(text, line_end(text, last), change.key, change),
        Section::Inline { is_empty } => {
            let comma = if is_empty { " " } else { "," };
            splice(text, start + 1..start + 1, &format!(" {name} = {}{comma}", change.value))
        }
    })
}

fn value_of(table: &DeTable<'_>, name: &str) -> Option<Range<usize>> {
    table.iter().find(|(key, _)| key.get_ref().as_ref() == name).map(|(_, value)| value.span())
}

fn splice(text: &str, at: Range<usize>, piece: &str) -> String {
    [&text[..at.start], piece, &text[at.end..]].concat()
}

/// Where the next line begins.
fn line_end(text: &str, from: usize) -> usize {
    text[from..].find('\n').map_or(text.len(), |end| from + end + 1)
}

/// As the file ends its lines.
fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

fn insert_line(text: &str, at: usize, name: &str, change: &Change) -> String {
    let newline = newline(text);
    let is_inside = at > 0 && !text[..at].ends_with(['\n', '\u{feff}']);
    let before = if is_inside { newline } else { "" };
    splice(text, at..at, &format!("{before}{name} = {}{newline}", change.value))
}

fn append_section(text: &str, section: &str, name: &str, change: &Change) -> String {
    let newline = newline(text);
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { newline };
    let gap = if text.trim().is_empty() { "" } else { newline };
    format!("{text}{end}{gap}[{section}]{newline}{name} = {}{newline}", change.value)
}

/// What came out says what was wanted, and of everything else what it said before.
fn prove(before: &str, after: &str, changes: &[Change]) -> Result<(), RewriteError> {
    let mut expected = said(before)?;
    for change in changes {
        let [given] = &given(&change.value)?[..] else { return Err(RewriteError::Place(change.key)) };
        expected.insert(change.key.to_owned(), given.clone());
    }
    let broken = changes.first().map_or("", |change| change.key);
    match said(after) {
        Ok(now) if now == expected => Ok(()),
        _ => Err(RewriteError::Place(broken)),
    }
}

/// What a reader of the file hears.
fn given(value: &Wanted) -> Result<Vec<Given>, RewriteError> {
    Ok(said(&format!("value = {value}"))?.into_values().collect())
}

fn said(text: &str) -> Result<BTreeMap<String, Given>, RewriteError> {
    let mut entries = Vec::new();
    flatten("", &parse(text)?, &mut entries);
    Ok(entries.into_iter().map(|(_, key, given)| (key, given)).collect())
}

#[cfg(test)]
mod tests;
