//! The key table, the serde types and the guide must say the same.

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::{Table, Value};

use super::{Key, Kind, PROFILE, join, walk};
use crate::profile::Profile;

/// A value of the kind, whatever it means.
fn sample(kind: &Kind) -> Value {
    match kind {
        Kind::Text => Value::from("text"),
        Kind::Texts => Value::from(vec!["text"]),
        Kind::Count => Value::from(1),
        Kind::Counts => Value::from(vec![1]),
        Kind::Integer => Value::from(-1),
        Kind::Number => Value::from(1.5),
        Kind::Switch => Value::from(true),
        Kind::Choice(names) => Value::from(names[0]),
        Kind::Table(keys) => Value::Table(full(keys)),
    }
}

/// A table with every key there is.
fn full(keys: &[Key]) -> Table {
    keys.iter().map(|key| (key.name.to_owned(), sample(&key.kind))).collect()
}

fn paths() -> Vec<(String, &'static Key)> {
    let mut paths = Vec::new();
    walk(PROFILE, "", &mut |path, key| paths.push((path.to_owned(), key)));
    paths
}

/// The section that holds `path`, and the key's name in it.
fn section<'a>(table: &'a mut Table, path: &str) -> (&'a mut Table, String) {
    let mut parts: Vec<&str> = path.split('.').collect();
    let name = parts.pop().unwrap().to_owned();
    let inner = parts.into_iter().fold(table, |table, part| table[part].as_table_mut().unwrap());
    (inner, name)
}

/// The words that serde puts in back quotes behind `expected`.
fn expected(message: &str) -> BTreeSet<&str> {
    let (_, list) = message.split_once("expected").unwrap();
    list.split('`').skip(1).step_by(2).collect()
}

fn names(keys: &[Key]) -> BTreeSet<&str> {
    keys.iter().map(|key| key.name).collect()
}

#[test]
fn every_key_of_the_table_is_one_of_the_types() {
    Profile::deserialize(full(PROFILE)).unwrap();
}

#[test]
fn every_key_of_the_types_is_in_the_table() {
    let mut sections: Vec<(String, &[Key])> = vec![(String::new(), PROFILE)];
    sections.extend(paths().into_iter().filter_map(|(path, key)| match key.kind {
        Kind::Table(keys) => Some((path, keys)),
        _ => None,
    }));
    assert_eq!(sections.len(), 17);
    for (path, keys) in sections {
        let mut table = full(PROFILE);
        let (inner, name) = section(&mut table, &join(&path, "zzz"));
        inner.insert(name, Value::from(1));
        let error = Profile::deserialize(table).unwrap_err();
        assert_eq!(expected(error.message()), names(keys), "in `{path}`");
    }
}

#[test]
fn required_keys_are_those_that_the_types_insist_on() {
    for (path, key) in paths() {
        let mut table = full(PROFILE);
        let (inner, name) = section(&mut table, &path);
        inner.remove(&name).unwrap();
        assert_eq!(Profile::deserialize(table).is_err(), key.required, "{path}");
    }
}

#[test]
fn choices_are_those_of_the_types() {
    for (path, key) in paths() {
        let Kind::Choice(choices) = key.kind else { continue };
        let mut table = full(PROFILE);
        let (inner, name) = section(&mut table, &path);
        inner.insert(name, Value::from("zzz"));
        let error = Profile::deserialize(table).unwrap_err();
        assert_eq!(expected(error.message()), choices.iter().copied().collect(), "{path}");
    }
}

const GUIDE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/profiles.md"));

#[test]
fn the_guide_explains_every_key() {
    for (path, key) in paths() {
        assert!(GUIDE.contains(&format!("| `{path}` |")) || matches!(key.kind, Kind::Table(_)), "{path}");
    }
}

#[test]
fn the_guide_explains_every_choice() {
    for (path, key) in paths() {
        let Kind::Choice(choices) = key.kind else { continue };
        for choice in choices {
            assert!(GUIDE.contains(&format!("`{choice}`")), "{path}: {choice}");
        }
    }
}

#[test]
fn the_guide_knows_no_key_that_is_gone() {
    let mut known: BTreeSet<String> = paths().into_iter().map(|(path, _)| path).collect();
    for (_, key) in paths() {
        // The windows have a table of their own.
        if let Kind::Choice(choices) = key.kind {
            known.extend(choices.iter().map(|&choice| choice.to_owned()));
        }
    }
    let rows = GUIDE.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let explained: Vec<&str> = rows.map(|(key, _)| key).collect();
    assert!(explained.len() > 50);
    for key in explained {
        assert!(known.contains(key), "{key}");
    }
}
