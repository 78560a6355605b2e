//! Answers that were given beforehand: by flags, by a file, or by `--yes`, which takes each question's default.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::facts::Answering;
use super::question::{Answer, Question};
use super::test_print::Test;
use crate::config::RelayUrl;
use crate::config::nearest::nearest;

/// Where a file of answers may lie on a card that was written for a machine, on a Raspberry Pi of today and of before.
pub const ANSWER_FILES: [&str; 2] = ["/boot/firmware/spoolway-setup.toml", "/boot/spoolway-setup.toml"];
/// Keys of a file of answers; flags are called the same.
const KEYS: [&str; 9] = ["open", "printer", "token", "relay", "ca", "words", "apply", "again", "test"];

/// Which printer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrinterAnswer {
    /// The one at this port, and no other is asked.
    At(PathBuf),
    /// None is set up where none answers.
    Without,
}

/// Which relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayAnswer {
    /// This one.
    At(RelayUrl),
    /// None: the agent is used at its own machine.
    Alone,
}

/// Who compares the four words at this end of a pairing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// Nobody: the other end alone does.
    Unseen,
}

/// What has been answered beforehand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// Nothing is asked: what has no answer here takes its default, and where there is none the run ends before anything is written.
    pub yes: bool,
    /// May ports be opened, and the agent stopped for it?
    pub open: Option<bool>,
    /// Which printer?
    pub printer: Option<PrinterAnswer>,
    /// Is a token taken that waits?
    pub token: Option<bool>,
    /// Which relay?
    pub relay: Option<RelayAnswer>,
    /// The relay's authority, as a PEM file.
    pub ca: Option<PathBuf>,
    /// Who compares the words?
    pub words: Option<Words>,
    /// Is it written, and the agent started?
    pub apply: Option<bool>,
    /// Is a pairing tried again that failed?
    pub again: Option<bool>,
    /// Which test?
    pub test: Option<Test>,
}

/// Why a file of answers cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswersError {
    /// It is not TOML, or a key is unknown.
    #[error("line {line}: {detail}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// A value does not fit its key.
    #[error("{key}: {detail}")]
    Value {
        /// The key.
        key: &'static str,
        /// What it must be.
        detail: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    open: Option<bool>,
    printer: Option<String>,
    token: Option<bool>,
    relay: Option<String>,
    ca: Option<String>,
    words: Option<String>,
    apply: Option<bool>,
    again: Option<bool>,
    test: Option<String>,
}

impl Answers {
    /// Reads a file of answers.
    ///
    /// # Errors
    /// [`AnswersError`] names the line or the key.
    pub fn parse(text: &str) -> Result<Self, AnswersError> {
        let read: Text = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
            AnswersError::Syntax { line, detail: told(&error, text) }
        })?;
        Ok(Self {
            yes: false,
            open: read.open,
            printer: value("printer", read.printer, read_printer)?,
            token: read.token,
            relay: value("relay", read.relay, read_relay)?,
            ca: value("ca", read.ca, absolute)?,
            words: value("words", read.words, read_words)?,
            apply: read.apply,
            again: read.again,
            test: value("test", read.test, read_test)?,
        })
    }

    /// What is said here goes first, and what is not is taken from the other.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self {
            yes: self.yes || other.yes,
            open: self.open.or(other.open),
            printer: self.printer.or(other.printer),
            token: self.token.or(other.token),
            relay: self.relay.or(other.relay),
            ca: self.ca.or(other.ca),
            words: self.words.or(other.words),
            apply: self.apply.or(other.apply),
            again: self.again.or(other.again),
            test: self.test.or(other.test),
        }
    }

    /// The answer to a question, if there is one.
    #[must_use]
    pub fn to(&self, question: &Question) -> Option<Answer> {
        let switch = |said: Option<bool>| said.map(|yes| if yes { Answer::Yes } else { Answer::No });
        let said = match question {
            Question::Open { .. } => switch(self.open),
            Question::Token(_) => switch(self.token),
            Question::Apply { .. } => switch(self.apply),
            // Trying again is a person's word each time: a file would say it for ever.
            Question::PairAgain(_) => self.again.filter(|again| !again).map(|_| Answer::No),
            Question::Nobody => match self.printer {
                Some(PrinterAnswer::Without) => Some(Answer::Without),
                _ => None,
            },
            Question::Which(list) => self.which(list),
            Question::Relay(_) => self.relay.as_ref().map(|relay| match relay {
                RelayAnswer::At(url) => Answer::Relay(url.clone()),
                RelayAnswer::Alone => Answer::Alone,
            }),
            Question::Test => self.test.map(Answer::Test),
        };
        said.or_else(|| if self.yes { question.unattended() } else { None })
    }

    fn which(&self, list: &[Answering]) -> Option<Answer> {
        let Some(PrinterAnswer::At(port)) = &self.printer else { return None };
        list.iter().position(|printer| printer.port == *port).map(Answer::Take)
    }
}

fn value<T>(
    key: &'static str,
    text: Option<String>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, AnswersError> {
    text.map(|text| read(&text)).transpose().map_err(|detail| AnswersError::Value { key, detail })
}

/// Without the line itself: somebody may have pasted a token into it.
fn told(error: &toml::de::Error, text: &str) -> String {
    let word = error.span().and_then(|span| text.get(span)).unwrap_or_default().trim();
    if error.message().contains("unknown field") {
        let known = nearest(word, KEYS).map(|near| format!("; did you mean `{near}`?"));
        return format!(
            "there is no such answer; there are {}{}",
            KEYS.join(", "),
            known.unwrap_or_default()
        );
    }
    match error.message().split_once(", expected ") {
        Some((_, expected)) => format!("must be {expected}"),
        None => error.message().lines().next().unwrap_or_default().to_owned(),
    }
}

/// Reads `none` or the path of a port.
///
/// # Errors
/// What it must be.
pub fn read_printer(text: &str) -> Result<PrinterAnswer, String> {
    match text {
        "none" => Ok(PrinterAnswer::Without),
        _ => absolute(text).map(PrinterAnswer::At).map_err(|why| format!("{why}, or \"none\"")),
    }
}

/// Reads `none` or the address of a relay.
///
/// # Errors
/// What it must be.
pub fn read_relay(text: &str) -> Result<RelayAnswer, String> {
    match text {
        "none" => Ok(RelayAnswer::Alone),
        _ => text.parse().map(RelayAnswer::At).map_err(|error| format!("{error}; or \"none\"")),
    }
}

/// Reads `unseen`.
///
/// # Errors
/// What it must be.
pub fn read_words(text: &str) -> Result<Words, String> {
    match text {
        "unseen" => Ok(Words::Unseen),
        _ => Err("must be \"unseen\": nobody compares the words at this end".to_owned()),
    }
}

/// Reads the word of a test.
///
/// # Errors
/// What it must be.
pub fn read_test(text: &str) -> Result<Test, String> {
    Test::from_word(text).ok_or_else(|| "must be no, line, move or print".to_owned())
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if path.is_absolute() { Ok(path.to_owned()) } else { Err("must be an absolute path".to_owned()) }
}

#[cfg(test)]
mod tests;
