//! Manners that no lint knows: what pure crates may not look at, where `unsafe` may stand, and how files begin.

use crate::tree::{files, read};
use crate::walls::walls;

/// Words that only somebody who looks at the world needs.
const WORLD: [&str; 10] = [
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
    "Instant",
    "SystemTime",
    "println",
    "eprintln",
    "dbg",
];
/// The one file that may use `unsafe`, and its greatest length.
const UNSAFE: (&str, usize) = ("agent/src/printer/sys.rs", 150);
/// Beyond this a file has a second idea in it.
const LONGEST_FILE: usize = 400;
/// What forwards is read in an hour by whoever answers for it: lines of code, without tests, comments and blank lines.
const RELAY_LINES: usize = 4_400;

/// The lines of a source file that are neither comments nor tests, with their numbers.
pub(crate) fn code(source: &str) -> Vec<(usize, &str)> {
    let mut code = Vec::new();
    let mut lines = source.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if line.trim() == "#[cfg(test)]" {
            let end = format!("{indent}}}");
            let item = lines.by_ref().find(|(_, line)| !line.trim_start().starts_with("#["));
            if item.is_some_and(|(_, line)| !line.ends_with(';') && !line.ends_with("{}")) {
                lines.by_ref().find(|(_, line)| *line == end);
            }
        } else if !line.trim_start().starts_with("//") {
            code.push((number + 1, line));
        }
    }
    code
}

/// Sources of what ships, as opposed to tests.
fn sources(folder: &str) -> Vec<String> {
    let mut found = files(&format!("{folder}/src"), ".rs");
    let is_test = |path: &str| path.ends_with("/tests.rs") || path[folder.len()..].contains("/tests/");
    found.retain(|path| !is_test(path));
    found
}

fn crates() -> Vec<String> {
    walls().into_iter().map(|wall| wall.folder).collect()
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part))
}

#[test]
fn pure_crates_do_not_look_at_the_world() {
    let pure: Vec<_> = walls().into_iter().filter(|wall| !wall.looks).collect();
    assert!(pure.iter().any(|wall| wall.folder == "agent/core"));
    for path in pure.iter().flat_map(|wall| sources(&wall.folder)) {
        for (number, line) in code(&read(&path)) {
            let found = WORLD.iter().find(|word| has_word(line, word));
            assert!(found.is_none(), "{path}:{number}: {line}");
        }
    }
}

#[test]
fn unsafe_stands_in_one_short_file() {
    let (only, longest) = UNSAFE;
    for path in crates().iter().flat_map(|folder| sources(folder)) {
        let text = read(&path);
        let found = code(&text).into_iter().find(|(_, line)| has_word(line, "unsafe"));
        assert_eq!(found.is_some(), path == only, "{path}: {found:?}");
    }
    assert!(read(only).lines().count() < longest, "{only}");
}

#[test]
fn nothing_that_ships_unwraps() {
    for path in crates().iter().flat_map(|folder| sources(folder)) {
        for (number, line) in code(&read(&path)) {
            assert!(!line.contains(".unwrap()") && !line.contains("#[allow("), "{path}:{number}: {line}");
        }
    }
}

#[test]
fn every_file_says_its_one_idea_first_and_keeps_to_it() {
    for path in crates().iter().flat_map(|folder| sources(folder)) {
        let text = read(&path);
        assert!(text.starts_with("//! "), "{path} does not begin with what it is");
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{path} has {lines} lines: where is its second idea?");
    }
}

#[test]
fn the_relay_stays_small_enough_to_be_read() {
    let lines = |path: &String| code(&read(path)).iter().filter(|(_, line)| !line.trim().is_empty()).count();
    let counted: Vec<_> = sources("relay").iter().map(|path| (lines(path), path.clone())).collect();
    let all: usize = counted.iter().map(|(lines, _)| lines).sum();
    assert!(counted.len() > 25 && all > RELAY_LINES / 2, "{all} lines in {counted:?}");
    assert!(all < RELAY_LINES, "relay/src has {all} lines of code: what in it does not forward? {counted:?}");
    let said = format!("under {},{:03} lines", RELAY_LINES / 1_000, RELAY_LINES % 1_000);
    assert!(read("ARCHITECTURE.md").contains(&said), "the map says another bound than {said:?}");
}

#[test]
fn tests_are_told_from_what_ships() {
    let source =
        "use a;\n#[cfg(test)]\nmod tests;\nfn b() {}\n// c\n#[cfg(test)]\nmod t {\n    d();\n}\nfn e() {}\n";
    let lines: Vec<_> = code(source).into_iter().map(|(number, _)| number).collect();
    assert_eq!(lines, [1, 4, 10]);
    assert!(has_word("unsafe {", "unsafe") && !has_word("unsafe_yet", "unsafe"));
}
