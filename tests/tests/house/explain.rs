//! Every code has an explanation, the page of codes says the same, and what explanations name can be typed, set and read.

use std::collections::BTreeSet;

use spoolway_agent::config::keys;
use spoolway_agent::explain::{Explanation, Group, all, explain, of_group};
use spoolway_protocol::Fault;
use spoolway_protocol::command::CommandArgs;
use spoolway_protocol::event::EventData;
use spoolway_protocol::hello::{NackCode, RejectCode};
use spoolway_protocol::transfer::ChunkErrCode;

use crate::examples::typed;
use crate::refusals::close_codes;
use crate::tree::{quoted, read, root};

const PAGE: &str = "docs/faults.md";
const INTRODUCTION: &str = "\
# Codes

What each code means that an agent shows, what it has done about it by itself, and what to try. At the machine
`spoolway-agent explain CODE` says the same, without a network and without an agent that runs. Words in capitals (JOB, ID, PLAN,
FILE) stand for your own.

This page is written by `UPDATE_DOCS=1 cargo test -p spoolway-tests --test house` from the tables in `agent/src/explain`.
";

/// The page as it has to be.
fn page() -> String {
    let mut text = INTRODUCTION.to_owned();
    for group in Group::ALL {
        text.push_str(&format!("\n## {}\n\n{}\n", group.title(), group.about()));
        of_group(group).iter().for_each(|explanation| text.push_str(&entry(explanation)));
    }
    text
}

fn entry(explanation: &Explanation) -> String {
    let Explanation { code, severity, means, done, steps, see, .. } = explanation;
    let severity = severity.map_or_else(String::new, |severity| format!("{severity}: "));
    let mut text = format!("\n### `{code}`\n\n{severity}{means}\n\n*Done:* {done}\n\n");
    for (at, step) in steps.iter().enumerate() {
        text.push_str(&format!("{}. {step}\n", at + 1));
    }
    if let Some(see) = see.strip_prefix("docs/") {
        text.push_str(&format!("\nSee [{see}]({see}).\n"));
    }
    text
}

#[test]
fn the_page_of_codes_says_what_the_program_says() {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(root().join(PAGE), page()).unwrap();
    }
    let again = "UPDATE_DOCS=1 cargo test -p spoolway-tests --test house";
    assert!(read(PAGE) == page(), "{PAGE}: write it anew with `{again}`");
}

/// That enums are explained whole is held by the compiler; these are the lists that it cannot see through, and one that it can.
#[test]
fn every_code_has_an_explanation() {
    let closes = close_codes();
    let numbers: Vec<&str> = closes.iter().map(|(_, number)| number.as_str()).collect();
    let faults: Vec<&str> = Fault::ALL.iter().map(|fault| fault.code()).collect();
    for (group, codes) in [
        (Group::Fault, faults.as_slice()),
        (Group::Close, numbers.as_slice()),
        (Group::Reject, RejectCode::WORDS),
        (Group::Nack, NackCode::WORDS),
        (Group::ChunkError, ChunkErrCode::WORDS),
    ] {
        for code in codes {
            assert!(
                explain(code).iter().any(|it| it.group == group),
                "{code} has no explanation in {group:?}"
            );
        }
        assert_eq!(of_group(group).len(), codes.len(), "{group:?}");
    }
}

/// Everything that is said about codes, with the code that it is said of.
fn texts() -> Vec<(String, String)> {
    let explained = all().into_iter().flat_map(|it| {
        let steps = it.steps.iter().map(|step| (*step).to_owned());
        let said: Vec<_> = steps.chain([it.means.clone(), it.done.to_owned()]).collect();
        said.into_iter().map(move |text| (it.code.clone(), text))
    });
    let helped = Fault::ALL.iter().map(|fault| (fault.code().to_owned(), fault.help().to_owned()));
    explained.chain(helped).collect()
}

#[test]
fn every_command_that_an_explanation_names_can_be_typed() {
    let mut found = 0;
    for (code, text) in texts() {
        for command in quoted(&text).iter().filter(|quoted| quoted.contains("spoolway-")) {
            let Some(words) = typed(command).unwrap_or_else(|error| panic!("{code}: `{command}`: {error}"))
            else {
                continue;
            };
            found += 1;
            let asked = words.iter().skip_while(|word| *word != "explain").skip(1);
            for named in asked.filter(|word| *word != "CODE") {
                assert!(!explain(named).is_empty(), "{code}: `{command}` names no code");
            }
        }
    }
    assert!(found > 150, "only {found} commands");
}

/// Words with a dot that begin like a setting or a code have to be one, whether they stand in quotes or not.
#[test]
fn every_setting_and_code_that_an_explanation_names_exists() {
    let of_agent = keys().chain(Fault::ALL.iter().map(|fault| fault.code()));
    let of_agent = of_agent.chain(CommandArgs::KINDS.iter().chain(EventData::KINDS).copied());
    let of_relay = quoted(&read("docs/relay-admin.md"));
    let known: BTreeSet<String> = of_agent.map(str::to_owned).chain(of_relay).collect();
    let area = |word: &str| word.split_once('.').map(|(area, _)| area.to_owned());
    let areas: BTreeSet<String> =
        keys().filter_map(area).chain(known.iter().filter_map(|word| area(word))).collect();
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
    let mut found = 0;
    for (code, text) in texts() {
        let words = text.split(|c: char| !is_word(c) && !"/-".contains(c)).map(|word| word.trim_matches('.'));
        for word in words.filter(|word| word.chars().all(is_word) && !word.ends_with(".example.org")) {
            if area(word).is_some_and(|area| areas.contains(&area)) {
                assert!(known.contains(word), "{code}: there is no {word}: {text}");
                found += 1;
            }
        }
    }
    assert!(found > 60, "only {found} words");
}
