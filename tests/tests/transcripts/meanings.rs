//! What the parser makes of every line that a printer of a conversation said. The list stands beside the conversation,
//! so that a change of the parser or of a profile shows; `UPDATE_TRANSCRIPTS=1` writes it anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use spoolway_agent_core::reply::{Acknowledged, Reply, ReplyParser};
use spoolway_agent_core::temperature::{Reading, Temperatures};
use spoolway_firmware_profiles::Registry;

use crate::{ALL, folder, load};

/// The one reply that a line is; a line of white space is none.
fn meaning(profile: &str, line: &str) -> String {
    let registry = Registry::built_in();
    let mut parser = ReplyParser::new(registry.get(profile).unwrap().profile.replies.clone());
    let bytes = format!("{line}\n").into_bytes();
    let mut rest = bytes.as_slice();
    let reply = parser.next(&mut rest);
    assert!(rest.is_empty(), "{line:?} is one line");
    reply.map_or_else(|| "nothing".to_owned(), |reply| told(&reply))
}

/// A reply in words; a text that is only passed on is not said again.
fn told(reply: &Reply) -> String {
    match reply {
        Reply::Ok(acknowledged) => told_ok(acknowledged),
        Reply::Resend(number) => format!("resend {number}"),
        Reply::Error { harmless, acknowledges, .. } => {
            let kind = if *harmless { "harmless error" } else { "error" };
            format!("{kind}{}", if *acknowledges { ", acknowledges" } else { "" })
        }
        Reply::Temperatures(found) => format!("temperatures{}", told_temperatures(found)),
        Reply::Action(text) => format!("action {text}"),
        Reply::Fatal(_) => "fatal".to_owned(),
        Reply::Other(_) => "other".to_owned(),
        plain => format!("{plain:?}").to_lowercase(),
    }
}

fn told_ok(acknowledged: &Acknowledged) -> String {
    let mut text = "ok".to_owned();
    let numbers = [
        ("line", acknowledged.line),
        ("planner", acknowledged.planner_free),
        ("queue", acknowledged.queue_free),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            write!(text, " {name} {number}").unwrap();
        }
    }
    if let Some(found) = &acknowledged.temperatures {
        text.push_str(&told_temperatures(found));
    }
    text
}

fn told_temperatures(found: &Temperatures) -> String {
    let mut text = String::new();
    let tools = found.tools.iter().enumerate().filter_map(|(n, tool)| Some((format!("tool {n}"), (*tool)?)));
    let named = [("bed", found.bed), ("chamber", found.chamber)];
    let named = named.into_iter().filter_map(|(name, reading)| Some((name.to_owned(), reading?)));
    for (name, Reading { actual, target }) in tools.chain(named) {
        write!(text, " {name} {actual}").unwrap();
        if let Some(target) = target {
            write!(text, "/{target}").unwrap();
        }
    }
    text
}

/// Every distinct line of a printer in the order in which it first came, with its meaning.
fn meanings(name: &str, profile: &str) -> String {
    let conversation = load(name);
    let mut seen = BTreeSet::new();
    let mut list = String::new();
    for line in conversation.printer_lines().filter(|line| seen.insert(line.to_string())) {
        writeln!(list, "{line}\n    = {}", meaning(profile, line)).unwrap();
    }
    list
}

#[test]
fn every_line_means_what_the_list_beside_it_says() {
    for (name, profile) in ALL {
        let path = folder().join(format!("{name}.meanings"));
        let found = meanings(name, profile);
        if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
            std::fs::write(&path, &found).unwrap();
        }
        let listed = std::fs::read_to_string(&path).unwrap_or_default();
        let difference = found.lines().zip(listed.lines()).find(|(found, listed)| found != listed);
        assert!(found == listed, "{name}: {difference:?}; UPDATE_TRANSCRIPTS=1 writes the list anew");
    }
}
