//! Where a profile came from, and everything that can be wrong with it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::lines::Lines;

/// Most findings kept for one file; more than that is not a profile with mistakes but another kind of file.
const MAX_FINDINGS: usize = 64;

/// Longest piece of an offending value that is repeated in a finding, in characters.
const MAX_VALUE_CHARS: usize = 60;

/// Where a profile came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Shipped inside the program, under this file name.
    BuiltIn(&'static str),
    /// Read from this file.
    File(PathBuf),
}

impl Origin {
    /// The file name without folder and `.toml`; the profile's `id` must equal it.
    #[must_use]
    pub fn stem(&self) -> Option<&str> {
        let path = match self {
            Self::BuiltIn(name) => Path::new(*name),
            Self::File(path) => path,
        };
        path.file_stem()?.to_str()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(name) => write!(f, "{name} (built in)"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// One thing wrong with a profile: which key, what it holds, what it may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Path of the key from the top of the file (`flow.rx_bytes`, `scripts.cancel[1]`).
    pub key: String,
    /// What the file says there, as TOML and cut to a readable length; `None` when the key is missing.
    pub value: Option<String>,
    /// What is wrong and what is allowed.
    pub problem: String,
    /// Line of the file, from 1: of the key, or of the section that lacks it.
    pub line: Option<usize>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value}: {}", self.key, self.problem)?,
            None => write!(f, "{}: {}", self.key, self.problem)?,
        }
        self.line.map_or(Ok(()), |line| write!(f, " (line {line})"))
    }
}

/// Findings of one file while it is being checked; bounded.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// Notes that `key` holds `value`, which it may not.
    pub(crate) fn add(
        &mut self,
        key: impl Into<String>,
        value: impl Into<toml::Value>,
        problem: impl Into<String>,
    ) {
        self.push(key.into(), Some(shorten(&value.into().to_string())), problem.into());
    }

    /// Notes that `key` is not there.
    pub(crate) fn missing(&mut self, key: impl Into<String>, problem: impl Into<String>) {
        self.push(key.into(), None, problem.into());
    }

    fn push(&mut self, key: String, value: Option<String>, problem: String) {
        if self.0.len() < MAX_FINDINGS {
            self.0.push(Finding { key, value, problem, line: None });
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, each with its line in `text`.
    pub(crate) fn into_vec(mut self, text: &str) -> Vec<Finding> {
        let lines = Lines::of(text);
        for finding in &mut self.0 {
            finding.line = lines.find(&finding.key);
        }
        self.0
    }
}

/// The beginning of `text`, with a mark when something was cut away.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Why a profile cannot be used. Every message names the file.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// The text is not TOML.
    #[error("{origin}, line {line}, column {column}: {message}\n{excerpt}")]
    Syntax {
        /// The file.
        origin: Origin,
        /// Line of the mistake, from 1.
        line: usize,
        /// Column of the mistake in characters, from 1.
        column: usize,
        /// What the TOML reader expected.
        message: String,
        /// The line itself, and a mark below the column.
        excerpt: String,
    },
    /// The text is TOML and not a valid profile.
    #[error("{origin}: {}", list(.findings))]
    Invalid {
        /// The file.
        origin: Origin,
        /// Everything found, in the order of the schema; never empty, at most 64.
        findings: Vec<Finding>,
    },
    /// The file is not text.
    #[error("{origin}: not UTF-8 text (first bad byte at offset {offset})")]
    NotText {
        /// The file.
        origin: Origin,
        /// Offset of the first byte that is not UTF-8.
        offset: usize,
    },
    /// The file is larger than any profile can be.
    #[error("{}: larger than {limit_bytes} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is allowed, in bytes.
        limit_bytes: u64,
    },
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The name ends in `.toml` and is no regular file.
    #[error("{}: not a regular file", path.display())]
    NotAFile {
        /// What was found.
        path: PathBuf,
    },
    /// The folder of profiles cannot be listed.
    #[error("{}: the folder of firmware profiles cannot be listed: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says; `NotFound` when there is no such folder.
        source: io::Error,
    },
    /// The folder holds more profiles than are read.
    #[error("{}: more than {limit} profiles; `{first_left_out}` and all names after it are left out", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// How many are read, in order of name.
        limit: usize,
        /// Name of the first file that was left out.
        first_left_out: String,
    },
}

impl ProfileError {
    /// The name of the file without folder and `.toml`, when the error is about one file.
    #[must_use]
    pub fn file_stem(&self) -> Option<&str> {
        match self {
            Self::Syntax { origin, .. } | Self::Invalid { origin, .. } | Self::NotText { origin, .. } => {
                origin.stem()
            }
            Self::TooLarge { path, .. } | Self::Read { path, .. } | Self::NotAFile { path } => {
                path.file_stem()?.to_str()
            }
            Self::Folder { .. } | Self::TooMany { .. } => None,
        }
    }

    /// The findings, when the file could be read and was not a valid profile; else empty.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Invalid { findings, .. } => findings,
            _ => &[],
        }
    }
}

/// One finding on the same line, several below one another.
fn list(findings: &[Finding]) -> String {
    match findings {
        [only] => only.to_string(),
        several => several
            .iter()
            .fold(format!("{} findings", several.len()), |text, finding| format!("{text}\n  {finding}")),
    }
}

/// A profile was asked for by a name that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no firmware profile `{id}`; known are {}", known.join(", "))]
pub struct UnknownProfile {
    /// What was asked for.
    pub id: String,
    /// Every known id, in order.
    pub known: Vec<String>,
}
