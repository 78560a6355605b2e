//! The backend guide has every command, and says of each what the code says: whether it overtakes, and what a kill does to it.

use std::collections::BTreeSet;

use spoolway_protocol::command::{Command, CommandArgs};
use spoolway_protocol::event::EventData;
use spoolway_protocol::{Envelope, Message};

use crate::tree::{quoted, read};

const GUIDE: &str = "docs/backend-guide.md";

/// The cells of the table whose head begins so, row by row.
fn rows(head: &str) -> Vec<Vec<String>> {
    let page = read(GUIDE);
    let (_, table) = page.split_once(head).unwrap_or_else(|| panic!("no table {head}"));
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The golden command of a kind.
fn golden(kind: &str) -> CommandArgs {
    let text = read(&format!("protocol/vectors/v1/cmd.{kind}.json"));
    match Envelope::parse(text.trim()).unwrap().message().unwrap() {
        Message::Cmd(command) => Command::decode(&command).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_guide_says_of_every_command_what_the_code_says() {
    let rows = rows("| kind | args | carried out when |");
    let told: BTreeSet<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(told, CommandArgs::KINDS.iter().copied().collect());
    for row in &rows {
        let args = golden(row[0].trim_matches('`'));
        // A stop ran before it was stored, so it is never repeated either.
        let again = args.is_idempotent() && !matches!(args, CommandArgs::PrinterEstop(_));
        assert_eq!(row[3], if again { "again" } else { "never" }, "{row:?}");
        assert_eq!(row[4], if args.is_urgent() { "urgent" } else { "" }, "{row:?}");
    }
}

/// What a golden command has among its arguments is in the guide's row.
#[test]
fn the_guide_names_the_arguments_of_each_golden_command() {
    for row in rows("| kind | args | carried out when |") {
        let kind = row[0].trim_matches('`');
        let value: serde_json::Value = serde_json::from_str(golden(kind).encode().get()).unwrap();
        let known = quoted(&row[1]);
        for name in value.as_object().unwrap().keys() {
            let is_told = known.iter().any(|word| word == name) || row[1].contains("](#");
            assert!(is_told, "{kind}: {name} is not in {:?}", row[1]);
        }
    }
}

#[test]
fn the_guide_has_every_event() {
    let rows = rows("| kind | says |");
    let told: BTreeSet<String> = rows.iter().flat_map(|row| quoted(&row[0])).collect();
    // A gap has a paragraph of its own.
    let known = EventData::KINDS.iter().filter(|kind| **kind != "gap").map(|kind| (*kind).to_owned());
    let missing: Vec<String> = known.filter(|kind| !told.contains(kind)).collect();
    assert_eq!(missing, [""; 0]);
}
