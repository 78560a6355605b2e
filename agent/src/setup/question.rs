//! What a person is asked: each question with its key, its default, and how a typed line is read.

use std::path::PathBuf;

use super::facts::{Answering, Complaint};
use super::test_print::Test;
use crate::config::{Change, RelayUrl};

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// May these ports be opened? A board that prints from its card is reset by it.
    Open {
        /// Their names.
        ports: Vec<PathBuf>,
        /// Whether the agent is stopped for it and started again.
        stops_agent: bool,
    },
    /// Nobody answers: look again, go on without a printer, or leave it?
    Nobody,
    /// Which of several?
    Which(Vec<Answering>),
    /// Enrol by the token on the boot partition?
    Token(PathBuf),
    /// Which relay, if any?
    Relay(Option<RelayUrl>),
    /// Write this and start the agent?
    Apply {
        /// What is written.
        changes: Vec<Change>,
        /// Whether the agent is started, or started anew.
        starts_agent: bool,
    },
    /// Pairing failed, and why: once more?
    PairAgain(Complaint),
    /// A small test?
    Test,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Look once more.
    Again,
    /// Go on without a printer.
    Without,
    /// The printer with this place in the list, from 0.
    Take(usize),
    /// This relay.
    Relay(RelayUrl),
    /// No relay.
    Alone,
    /// This test.
    Test(Test),
}

/// What a typed line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// An answer.
    Answer(Answer),
    /// None; what would be one.
    Unclear(String),
}

impl Question {
    /// The key in a file of answers; the flag is called the same.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::Nobody | Self::Which(_) => "printer",
            Self::Token(_) => "token",
            Self::Relay(_) => "relay",
            Self::Apply { .. } => "apply",
            Self::PairAgain(_) => "again",
            Self::Test => "test",
        }
    }

    /// What an empty line means; none where nobody may choose for a person.
    #[must_use]
    pub fn default(&self) -> Option<Answer> {
        match self {
            Self::Open { .. } | Self::Token(_) | Self::Apply { .. } => Some(Answer::Yes),
            Self::Which(_) => None,
            Self::Nobody => Some(Answer::No),
            Self::PairAgain(_) => Some(Answer::No),
            Self::Relay(Some(url)) => Some(Answer::Relay(url.clone())),
            Self::Relay(None) => Some(Answer::Alone),
            Self::Test => Some(Answer::Test(Test::No)),
        }
    }

    /// What `--yes` means. A relay that is configured may know this agent without any pairing, so that none is begun for its sake.
    #[must_use]
    pub fn unattended(&self) -> Option<Answer> {
        match self {
            Self::Relay(_) => Some(Answer::Alone),
            other => other.default(),
        }
    }

    /// Whether this can be an answer to it.
    #[must_use]
    pub fn takes(&self, answer: &Answer) -> bool {
        match self {
            Self::Open { .. } | Self::Token(_) | Self::Apply { .. } | Self::PairAgain(_) => {
                matches!(answer, Answer::Yes | Answer::No)
            }
            Self::Nobody => matches!(answer, Answer::Again | Answer::Without | Answer::No),
            Self::Which(list) => match answer {
                Answer::Take(place) => *place < list.len(),
                answer => matches!(answer, Answer::No),
            },
            Self::Relay(_) => matches!(answer, Answer::Relay(_) | Answer::Alone),
            Self::Test => matches!(answer, Answer::Test(_)),
        }
    }

    /// Reads a typed line.
    #[must_use]
    pub fn read(&self, line: &str) -> Typed {
        let word = line.trim().to_ascii_lowercase();
        if word.is_empty() {
            let unclear = || Typed::Unclear("Type the number of a printer, or q to leave.".to_owned());
            return self.default().map_or_else(unclear, Typed::Answer);
        }
        let answer = match self {
            Self::Open { .. } | Self::Token(_) | Self::Apply { .. } | Self::PairAgain(_) => yes_or_no(&word),
            Self::Nobody => nobody(&word),
            Self::Which(list) => which(&word, list.len()),
            Self::Relay(_) => return relay(line.trim()),
            Self::Test => Test::from_word(&word).map(Answer::Test).ok_or("Type no, line, move or print."),
        };
        match answer {
            Ok(answer) => Typed::Answer(answer),
            Err(unclear) => Typed::Unclear(unclear.to_owned()),
        }
    }
}

fn yes_or_no(word: &str) -> Result<Answer, &'static str> {
    match word {
        "y" | "yes" => Ok(Answer::Yes),
        "n" | "no" | "q" | "quit" => Ok(Answer::No),
        _ => Err("Type y or n."),
    }
}

fn nobody(word: &str) -> Result<Answer, &'static str> {
    match word {
        "r" | "retry" | "again" | "y" | "yes" => Ok(Answer::Again),
        "c" | "continue" | "without" => Ok(Answer::Without),
        "q" | "quit" | "n" | "no" => Ok(Answer::No),
        _ => Err("Type r, c or q."),
    }
}

fn which(word: &str, count: usize) -> Result<Answer, &'static str> {
    if matches!(word, "q" | "quit" | "n" | "no") {
        return Ok(Answer::No);
    }
    let place = word.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    place.filter(|&place| place < count).map(Answer::Take).ok_or("Type one of the numbers, or q to leave.")
}

fn relay(line: &str) -> Typed {
    if matches!(line, "none" | "no" | "n" | "-") {
        return Typed::Answer(Answer::Alone);
    }
    match line.parse() {
        Ok(url) => Typed::Answer(Answer::Relay(url)),
        Err(error) => Typed::Unclear(format!("The address {error}. Or type none.")),
    }
}

#[cfg(test)]
mod tests {
    use spoolway_protocol::Fault;

    use super::*;

    fn all() -> Vec<Question> {
        let printer = Answering {
            port: "/dev/ttyUSB0".into(),
            baud: 115_200,
            firmware: "Marlin".into(),
            machine: None,
            profile: "marlin".into(),
            is_verified: true,
        };
        vec![
            Question::Open { ports: vec!["/dev/ttyUSB0".into()], stops_agent: true },
            Question::Nobody,
            Question::Which(vec![printer.clone(), printer]),
            Question::Token("/boot/spoolway-enrol.toml".into()),
            Question::Relay(None),
            Question::Relay(Some("wss://relay.example".parse().unwrap())),
            Question::Apply { changes: Vec::new(), starts_agent: true },
            Question::PairAgain(Complaint::of(Fault::PairExpired, "nobody came")),
            Question::Test,
        ]
    }

    #[test]
    fn whatever_is_typed_is_an_answer_that_fits_or_is_told_what_would_be() {
        for question in all() {
            for line in [
                "", "y", "N", "yes ", "1", "2", "3", "0", "r", "c", "q", "none", "wss://a", "http://a",
                "print", "?",
            ] {
                match question.read(line) {
                    Typed::Answer(answer) => {
                        assert!(question.takes(&answer), "{question:?} {line:?} {answer:?}")
                    }
                    Typed::Unclear(hint) => assert!(hint.ends_with('.'), "{hint}"),
                }
            }
        }
    }

    #[test]
    fn an_empty_line_never_chooses_a_printer_and_never_heats() {
        for question in all() {
            match question.default() {
                None => assert!(matches!(question, Question::Which(_))),
                Some(answer) => {
                    assert!(question.takes(&answer), "{question:?}");
                    assert!(!matches!(answer, Answer::Test(test) if test.moves() || test.heats()));
                }
            }
        }
    }
}
