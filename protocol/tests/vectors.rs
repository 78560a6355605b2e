//! The golden vectors: every kind has one, every one decodes and encodes again byte for byte.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its vectors has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use spoolway_protocol::command::{Command, CommandArgs};
use spoolway_protocol::event::{Event, EventData, Events};
use spoolway_protocol::route::Route;
use spoolway_protocol::{Address, Envelope, Message, Raw};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/v1")
}

/// Name without `.json`, and the one line of the file.
fn vectors() -> Vec<(String, String)> {
    let mut vectors: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().strip_suffix(".json").unwrap().to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let line = text.strip_suffix('\n').unwrap().to_owned();
            assert!(!line.contains('\n'), "{name} is more than one line");
            (name, line)
        })
        .collect();
    vectors.sort();
    vectors
}

/// Decodes everything down to the last kind and builds the frame again from what was decoded.
fn through(frame: &str) -> String {
    let mut envelope = Envelope::parse(frame).unwrap();
    let message = match envelope.message().unwrap() {
        Message::Events(events) => {
            let items = events.items.iter().map(event_through).collect();
            Message::Events(Events { items, extra: events.extra })
        }
        Message::Cmd(command) => {
            let args = command.decode().unwrap().encode();
            Message::Cmd(Box::new(Command { args, ..*command }))
        }
        other => other,
    };
    envelope.body = message.encode();
    envelope.t = message.kind().to_owned();
    envelope.encode()
}

fn event_through(event: &Event) -> Event {
    let data = event.decode().unwrap();
    assert_eq!(data.class(), event.cls, "{}", event.kind);
    Event { kind: data.kind().to_owned(), data: data.encode(), ..event.clone() }
}

#[test]
fn every_vector_decodes_and_encodes_byte_for_byte() {
    for (name, frame) in vectors() {
        assert_eq!(through(&frame), frame, "{name}");
    }
}

#[test]
fn every_kind_has_a_vector_and_every_vector_a_kind() {
    let names: BTreeSet<String> = vectors().into_iter().map(|(name, _)| name).collect();
    let of =
        |area: &str, kinds: &[&str]| kinds.iter().map(|kind| format!("{area}.{kind}")).collect::<Vec<_>>();
    let lists =
        [of("msg", Message::KINDS), of("event", EventData::KINDS), of("cmd", CommandArgs::KINDS)].concat();
    assert_eq!(names, lists.into_iter().collect());
}

#[test]
fn a_vector_holds_the_kind_its_name_says() {
    for (name, frame) in vectors() {
        let message = Envelope::parse(&frame).unwrap().message().unwrap();
        let (area, kind) = name.split_once('.').unwrap();
        let found = match (area, &message) {
            ("msg", message) => message.kind().to_owned(),
            ("cmd", Message::Cmd(command)) => command.kind.clone(),
            ("event", Message::Events(events)) => events.items[0].kind.clone(),
            _ => panic!("{name} is in no area"),
        };
        assert_eq!(found, kind);
    }
}

/// A field no version knows, put into every object that takes one.
fn with_unknown_fields(frame: &str) -> String {
    let mut value: Value = serde_json::from_str(frame).unwrap();
    let unknown = json!({"deep": [1, 2.5, null]});
    value["x_head"] = unknown.clone();
    value["body"]["x_body"] = unknown.clone();
    for (list, inner) in [("items", "data"), ("printers", "active_job")] {
        for item in value["body"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            item["x_item"] = unknown.clone();
            if let Some(inner) = item.get_mut(inner) {
                inner["x_inner"] = unknown.clone();
            }
        }
    }
    for inner in ["args", "actor", "if", "agent", "info", "telem", "d"] {
        if let Some(object) = value["body"].get_mut(inner).filter(|inner| inner.is_object()) {
            object["x_inner"] = unknown.clone();
        }
    }
    serde_json::to_string(&value).unwrap()
}

#[test]
fn unknown_fields_survive() {
    for (name, frame) in vectors() {
        let grown = with_unknown_fields(&frame);
        let back: Value = serde_json::from_str(&through(&grown)).unwrap();
        assert_eq!(back, serde_json::from_str::<Value>(&grown).unwrap(), "{name}");
    }
}

#[test]
fn unknown_kinds_are_kept_as_they_came() {
    let body = r#"{"z":1.50,"a":[ 1 ],"e":"\u00e9"}"#;
    let frame = format!(r#"{{"v":1,"t":"camera.dream","body":{body}}}"#);
    assert_eq!(through(&frame), frame);
    assert!(matches!(Envelope::parse(&frame).unwrap().message(), Ok(Message::Unknown { .. })));

    let raw = Raw::parse(body.to_owned()).unwrap();
    for kind in ["sensor.new", ""] {
        let event = EventData::decode(kind, &raw).unwrap();
        assert_eq!((event.kind(), event.encode().get()), (kind, body));
        let args = CommandArgs::decode(kind, &raw).unwrap();
        assert_eq!((args.kind(), args.encode().get()), (kind, body));
        assert!(!args.is_idempotent());
    }
}

#[test]
fn unknown_words_are_kept_as_they_came() {
    let frame = r#"{"v":1,"t":"nack","lane":"slow","body":{"code":"tired","detail":"later"}}"#;
    assert_eq!(through(frame), frame);
}

#[test]
fn a_known_kind_with_a_bad_body_is_an_error_that_names_it() {
    let raw = Raw::parse(r#"{"job_id":7}"#.to_owned()).unwrap();
    let error = CommandArgs::decode("job.cancel", &raw).unwrap_err();
    assert!(error.to_string().contains("job.cancel"), "{error}");
    assert!(Message::decode("ack", &raw).is_err());
}

#[test]
fn a_relay_routes_every_vector_and_changes_no_body() {
    let from: Address = "a:0G3T7QX2M9KDWZ5R8Y1V4BNCHE".parse().unwrap();
    for (name, frame) in vectors() {
        let route = Route::parse(&frame).unwrap();
        assert!(frame.ends_with(&format!("\"body\":{}}}", route.body)), "{name}");
        let forwarded = route.rewrite(&from, 0);
        let (before, after) = (Envelope::parse(&frame).unwrap(), Envelope::parse(&forwarded).unwrap());
        assert_eq!(after, Envelope { from: Some(from.clone()), ..before }, "{name}");
        assert_eq!(after.encode(), forwarded, "{name}");
    }
}
