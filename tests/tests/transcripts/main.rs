//! Conversations that were recorded with real firmwares, held against the parser, the greeting, the streamer and the
//! simulated printer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod greetings;
mod meanings;
mod replay;
mod simulated;

use std::path::{Path, PathBuf};

use spoolway_tests::transcript::Transcript;

/// Every conversation, and the profile under which its lines are read.
const ALL: [(&str, &str); 8] = [
    ("grbl", "generic"),
    ("grblhal", "generic"),
    ("marlin-2.0.9-advanced_ok", "marlin"),
    ("marlin-2.0.9-basic", "marlin"),
    ("marlin-2.0.9-checksum", "marlin"),
    ("marlin-2.0.9-rx-overflow", "marlin"),
    ("octoprint-virtual", "generic"),
    ("teacup", "generic"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts")
}

fn load(name: &str) -> Transcript {
    let path = folder().join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Transcript::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_conversation_of_the_folder_is_listed() {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter(|path| path.extension().is_some_and(|ending| ending == "txt"));
    let mut found: Vec<_> =
        texts.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    found.sort();
    assert_eq!(found, ALL.map(|(name, _)| name));
}
