//! The guide for backends quotes code that runs and messages that the protocol knows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use spoolway_protocol::{Envelope, Message};
use spoolway_tests::permit::Signer;

const GUIDE: &str = include_str!("../../../docs/backend-guide.md");
const BACKEND: &str = include_str!("../../src/backend.rs");
const DIAL: &str = include_str!("../../src/dial.rs");
const PYTHON: &str = include_str!("../../../docs/examples/backend.py");
const PERMIT: &str = include_str!("../../src/permit.rs");

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
            [BACKEND, DIAL, PERMIT].iter().any(|source| source.contains(&block)),
            "not in the backend any longer:\n{block}"
        );
    }
}

/// Lines that are neither blank nor comments, without the unit tests.
fn lines_of_code(source: &str) -> usize {
    let source = source.split("#[cfg(test)]").next().unwrap();
    source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

#[test]
fn the_backend_is_as_short_as_the_guide_says() {
    for (source, most) in [(BACKEND, 241), (DIAL, 92)] {
        assert!(GUIDE.contains(&format!("{most} lines")), "the guide does not say {most}");
        assert!(lines_of_code(source) <= most, "{} lines, {most} promised", lines_of_code(source));
    }
}

#[test]
fn the_example_in_python_is_one_file_that_needs_nothing_and_is_as_short_as_the_guide_says() {
    let code =
        PYTHON.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).count();
    assert!(code <= 150 && GUIDE.contains(&format!("{code} lines of code without a library")), "{code}");
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

#[test]
fn the_permit_of_the_guide_says_and_proves_what_stands_beside_it() {
    let messages = blocks("json");
    let start =
        messages.iter().flat_map(|block| block.lines()).find(|line| line.contains("\"permit\":{")).unwrap();
    let start: Value = serde_json::from_str(start).unwrap();
    let permit = &start["body"]["args"]["permit"];
    let raw = STANDARD.decode(permit["raw"].as_str().unwrap()).unwrap();
    let said = std::str::from_utf8(&raw).unwrap();
    assert!(GUIDE.contains(&format!("\n```\n{said}\n```\n")), "{said}");
    let seed: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let signer = Signer::from_seed(&seed);
    assert!(GUIDE.contains(&format!("public key `{}`", signer.public_key())));
    assert!(said.contains(&format!("\"kid\":\"{}\"", signer.kid())));
    assert_eq!(serde_json::to_value(signer.sign(&raw)).unwrap(), *permit);
}
