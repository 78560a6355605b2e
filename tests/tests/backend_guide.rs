//! The guide for backends quotes code that runs and messages that the protocol knows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use spoolway_protocol::{Envelope, Message};

const GUIDE: &str = include_str!("../../docs/backend-guide.md");
const SOURCES: [&str; 5] = [
    include_str!("../src/backend.rs"),
    include_str!("../src/backend/dial.rs"),
    include_str!("../src/backend/file.rs"),
    include_str!("../src/backend/ledger.rs"),
    include_str!("../src/backend/words.rs"),
];

/// The blocks of one language.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let pieces = GUIDE.split(&fence).skip(1);
    let blocks: Vec<_> = pieces.map(|piece| piece.split("```").next().unwrap().to_owned()).collect();
    assert!(blocks.len() > 5, "{language}");
    blocks
}

#[test]
fn every_quotation_stands_in_the_backend() {
    for block in blocks("rust") {
        assert!(
            SOURCES.iter().any(|source| source.contains(&block)),
            "not in the backend any longer:\n{block}"
        );
    }
}

#[test]
fn every_message_is_one_of_the_protocol() {
    for line in blocks("json").iter().flat_map(|block| block.lines()) {
        let envelope = Envelope::parse(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let message = envelope.message().unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(!matches!(message, Message::Unknown { .. }), "{line}");
        // Nothing in it is unknown to the types, and every member stands where the types put it.
        assert_eq!(Envelope { body: message.encode(), ..envelope }.encode(), line);
        match message {
            Message::Cmd(command) => {
                assert!(command.decode().is_ok() && command.extra.0.is_empty(), "{line}")
            }
            Message::Events(events) => {
                assert!(events.items.iter().all(|event| event.decode().is_ok() && event.extra.0.is_empty()));
            }
            _ => {}
        }
    }
}
