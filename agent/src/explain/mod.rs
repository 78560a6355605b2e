//! What every code means that an agent shows: what it has done about it, what to try, and where there is more.

#[macro_use]
mod words;

mod ends;
mod faults;
mod findings;
mod link;
pub(crate) mod program;

use serde::Serialize;
use spoolway_agent_core::preflight::Code;

use crate::config::nearest;
use words::Words;

/// Codes that are named where one is not known.
const NEAR: usize = 4;

/// Where a code comes from; the same word may come from several places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// A fault, in brackets behind a message and as `code` in the log.
    Fault,
    /// Something that was found in a job's file.
    Finding,
    /// The state of a job.
    JobState,
    /// What interrupted a print.
    Loss,
    /// How far the agent came on its way to the relay.
    LinkStage,
    /// Why a relay does not let an agent in.
    Reject,
    /// Why a frame was not taken.
    Nack,
    /// Why the sender of a file cannot go on.
    ChunkError,
    /// The number with which a relay closes a connection.
    Close,
    /// What only this program says to whoever types.
    Program,
}

impl Group {
    /// Every group, in the order in which they are listed.
    pub const ALL: [Self; 10] = [
        Self::Fault,
        Self::Finding,
        Self::JobState,
        Self::Loss,
        Self::LinkStage,
        Self::Reject,
        Self::Nack,
        Self::ChunkError,
        Self::Close,
        Self::Program,
    ];

    /// A headline.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Fault => "Faults",
            Self::Finding => "Findings in a file",
            Self::JobState => "States of a job",
            Self::Loss => "What interrupted a print",
            Self::LinkStage => "Stages of the link",
            Self::Reject => "Refused logins",
            Self::Nack => "Refused frames",
            Self::ChunkError => "Senders of files",
            Self::Close => "Close codes",
            Self::Program => "This program",
        }
    }

    /// Where its codes are met, in one sentence.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Fault => "In brackets behind a message, `code` in the log, in events and in `--json`.",
            Self::Finding => "What `check`, `jobs` and `job.preflight` say of a file.",
            Self::JobState => {
                "What `jobs`, `status` and `job.state` say; completed, cancelled, failed and interrupted are its ends."
            }
            Self::Loss => "The `loss` of an interrupted job, and the causes in its result.",
            Self::LinkStage => "`stage` in the log: how far the agent came on its way to the relay.",
            Self::Reject => "Why a relay does not let an agent in.",
            Self::Nack => "Why the relay, the owner or the agent did not take a frame.",
            Self::ChunkError => "Why whoever sends a job's file through the relay cannot go on.",
            Self::Close => "The number in `the relay closed the connection (...)`.",
            Self::Program => "What a command says that did not get as far as an agent.",
        }
    }

    /// What one of them is called.
    #[must_use]
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Finding => "finding in a file",
            Self::JobState => "state of a job",
            Self::Loss => "what interrupted a print",
            Self::LinkStage => "stage of the link",
            Self::Reject => "refused login",
            Self::Nack => "refused frame",
            Self::ChunkError => "sender of a file",
            Self::Close => "close code",
            Self::Program => "this program",
        }
    }
}

/// One code, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The code as it is shown.
    pub code: String,
    /// Where it comes from.
    pub group: Group,
    /// How bad it is, where a code has a severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<&'static str>,
    /// What it means.
    pub means: String,
    /// What the agent has done about it.
    pub done: &'static str,
    /// What to try, one thing after the other.
    #[serde(rename = "try")]
    pub steps: &'static [&'static str],
    /// A page and its headline, by its path from the root of the project.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub see: &'static str,
}

impl Explanation {
    fn of(group: Group, code: impl Into<String>, sentence: &str, words: Words) -> Self {
        let means = [sentence, words.means].join(" ").trim().to_owned();
        let Words { done, steps, see, .. } = words;
        Self { code: code.into(), group, severity: None, means, done, steps, see }
    }

    fn of_finding(code: Code, words: Words) -> Self {
        let severity = code.severity();
        let words = Words { done: findings::done(severity), ..words };
        Self {
            severity: Some(severity.as_str()),
            ..Self::of(Group::Finding, code.as_str(), code.summary(), words)
        }
    }

    /// What it is called: its group, and its severity.
    #[must_use]
    pub fn kind(&self) -> String {
        let severity = self.severity.map_or_else(String::new, |severity| format!(", {severity}"));
        format!("{}{severity}", self.group.singular())
    }

    /// The first sentence of what it means.
    #[must_use]
    pub fn gist(&self) -> &str {
        self.means.split_once(". ").map_or(self.means.as_str(), |(first, _)| first).trim_end_matches('.')
    }
}

/// Every code of a group, in the order of the code.
#[must_use]
pub fn of_group(group: Group) -> Vec<Explanation> {
    let of = |code: &str, sentence: &str, words| Explanation::of(group, code, sentence, words);
    match group {
        Group::Fault => faults::all().map(|(it, words)| of(it.code(), it.summary(), words)).collect(),
        Group::Finding => findings::all().map(|(it, words)| Explanation::of_finding(*it, words)).collect(),
        Group::JobState => ends::states().map(|(it, words)| of(it.as_str(), "", words)).collect(),
        Group::Loss => {
            ends::losses().map(|(it, words)| of(it.as_str(), &sentence_of(it.sentence()), words)).collect()
        }
        Group::LinkStage => link::stages().map(|(it, words)| of(&it.to_string(), "", words)).collect(),
        Group::Reject => link::rejects().map(|(it, words)| of(it.as_str(), "", words)).collect(),
        Group::Nack => link::nacks().map(|(it, words)| of(it.as_str(), "", words)).collect(),
        Group::ChunkError => link::chunk_errors().map(|(it, words)| of(it.as_str(), "", words)).collect(),
        Group::Close => {
            link::CLOSES.iter().map(|(number, words)| of(&number.to_string(), "", *words)).collect()
        }
        Group::Program => program::ALL.iter().map(|(code, words)| of(code, "", *words)).collect(),
    }
}

/// Every code.
#[must_use]
pub fn all() -> Vec<Explanation> {
    Group::ALL.into_iter().flat_map(of_group).collect()
}

/// What a code means, once for each place that it may come from; as it stands in a message, brackets and all.
#[must_use]
pub fn explain(code: &str) -> Vec<Explanation> {
    let code = plain(code);
    all().into_iter().filter(|it| it.code == code).collect()
}

/// Codes that were probably meant: those in which the word stands, and the nearest by spelling.
#[must_use]
pub fn near(code: &str) -> Vec<String> {
    let (code, all) = (plain(code), all());
    let within = all.iter().filter(|it| code.len() >= 3 && it.code.contains(&code));
    let mut near: Vec<String> = within.map(|it| it.code.clone()).collect();
    let spelled = nearest::near(&code, all.iter().map(|it| it.code.as_str()), NEAR);
    near.extend(spelled.into_iter().map(str::to_owned));
    let mut seen = std::collections::BTreeSet::new();
    near.retain(|code| seen.insert(code.clone()));
    near.truncate(NEAR);
    near
}

/// Whether there is such a code.
pub(crate) fn is_known(code: &str) -> bool {
    !explain(code).is_empty()
}

/// A code as it was copied from a message or the log.
fn plain(code: &str) -> String {
    code.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_ascii_lowercase()
}

fn sentence_of(words: &str) -> String {
    let (first, rest) = words.split_at(words.chars().next().map_or(0, char::len_utf8));
    format!("{}{rest}.", first.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_explanation_is_whole_and_none_stands_twice_in_its_group() {
        let all = all();
        assert!(all.len() > 200, "{}", all.len());
        let mut seen = std::collections::BTreeSet::new();
        for it in &all {
            assert!(seen.insert((it.group.title(), it.code.as_str())), "{} twice", it.code);
            assert!(it.means.len() > 15 && it.means.ends_with('.'), "{}: {}", it.code, it.means);
            assert!(it.done.ends_with('.'), "{}: {}", it.code, it.done);
            assert!(!it.steps.is_empty() && it.steps.len() <= 4, "{}: {:?}", it.code, it.steps);
            for step in it.steps {
                assert!(step.starts_with(|c: char| c.is_ascii_uppercase()), "{}: {step}", it.code);
                assert!(step.ends_with(['.', '?']), "{}: {step}", it.code);
            }
        }
    }

    #[test]
    fn a_code_is_found_as_it_stands_in_a_message() {
        for text in ["port.missing", "[port.missing]", "`PORT.Missing`,"] {
            let found = explain(text);
            assert_eq!(found.len(), 1, "{text}");
            assert!(found[0].means.starts_with("The printer's port is not there."), "{found:?}");
            assert_eq!(found[0].gist(), "The printer's port is not there");
        }
        let groups: Vec<_> = explain("busy").iter().map(|it| it.group).collect();
        assert_eq!(groups, [Group::Nack, Group::ChunkError], "one word, two places");
        assert_eq!(explain("4001")[0].group, Group::Close);
        assert_eq!(explain("cable")[0].gist(), "The printer's cable was pulled, or its port went away");
        assert_eq!(explain("no.such"), []);
    }

    #[test]
    fn near_ones_are_those_with_the_word_and_those_that_are_spelled_alike() {
        assert_eq!(near("port.mising"), ["port.missing"]);
        assert_eq!(near("too_hot"), ["heat.too_hot"]);
        assert!(near("permit.").contains(&"permit.required".to_owned()));
        assert_eq!(near("permit.").len(), NEAR);
        assert_eq!(near("xyzzyxyzzy"), [""; 0]);
    }

    #[test]
    fn what_a_severity_does_to_a_job_is_said_of_each_finding() {
        let of = |code| explain(code)[0].done;
        assert!(of("line-too-long").starts_with("The job failed"));
        assert!(of("outside-volume").contains("awaiting_operator"));
        assert!(of("inches").starts_with("The job starts"));
        assert_eq!(explain("outside-volume")[0].kind(), "finding in a file, error");
    }
}
