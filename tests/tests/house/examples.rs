//! Every command of both programs has `--help` with an example, and each example can be typed.

use clap::error::ErrorKind;
use clap::{Command, Error};

/// Words in capitals that stand for something, and one of it.
const PLACEHOLDERS: [(&str, &str); 8] = [
    ("JOB", "job-7731"),
    ("ID", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"),
    ("PLAN", "3f9a1c07b2e4"),
    ("FILE", "part.gcode"),
    ("N", "1"),
    ("OTHER", "job-7732"),
    ("CODE", "K7QX-M4TD"),
    ("3M0C...", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"),
];

fn agent() -> Command {
    spoolway_agent::cli::tree()
}

fn relay() -> Command {
    spoolway_relay_tools::cli::tree()
}

/// The words of a command line as a shell has them, up to where it leads its output elsewhere.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '>' | '|' | '#') if word.is_none() => break,
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// What stands ahead of a command of ours that others carry out.
fn without_sudo(line: &str) -> &str {
    ["sudo -u spoolway-relay ", "sudo "].iter().find_map(|sudo| line.strip_prefix(sudo)).unwrap_or(line)
}

/// Whether a command line is one of ours.
pub(crate) fn is_ours(line: &str) -> bool {
    ["spoolway-agent", "spoolway-relay"].contains(&without_sudo(line).split(' ').next().unwrap_or_default())
}

/// The words of a command line of ours as its program takes them; nothing for somebody else's.
pub(crate) fn taken(line: &str) -> Option<Result<Vec<String>, Error>> {
    let words = split(without_sudo(line));
    let tree = match words.first()?.as_str() {
        "spoolway-agent" => agent(),
        "spoolway-relay" => relay(),
        _ => return None,
    };
    let stand_in = |word: &String| {
        let found = PLACEHOLDERS.iter().find(|(placeholder, _)| placeholder == word);
        found.map_or_else(|| word.clone(), |(_, one)| (*one).to_owned())
    };
    match tree.try_get_matches_from(words.iter().map(stand_in)) {
        Err(error) if !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Some(Err(error))
        }
        _ => Some(Ok(words)),
    }
}

/// The words of a command line of ours, which have to be lawful; nothing for somebody else's.
pub(crate) fn typed(line: &str) -> Result<Option<Vec<String>>, String> {
    taken(line).transpose().map_err(|error| error.to_string())
}

/// The lines of a help text below the word "Example:".
fn examples(help: &str) -> Vec<&str> {
    let below = help.lines().skip_while(|line| *line != "Example:").skip(1);
    below.take_while(|line| line.starts_with("  ")).map(str::trim).collect()
}

/// Looks at a command, whose name with that of its parents is `path`, and at all below it.
fn walk(command: &Command, path: &str, found: &mut Vec<String>) {
    let help = command.get_after_help().or(command.get_after_long_help()).map(ToString::to_string);
    let help = help.unwrap_or_default();
    let examples = examples(&help);
    assert!(!examples.is_empty(), "`{path} --help` has no example: {help:?}");
    for example in examples {
        let words = typed(example).unwrap_or_else(|error| panic!("`{path} --help`: `{example}`: {error}"));
        let words = words.unwrap_or_else(|| panic!("`{path} --help`: `{example}` is no command of ours"));
        found.push(words.join(" "));
    }
    // An example of a command shows that command; those of a group may show any of it.
    let shows = |line: &String| line.starts_with(path);
    assert!(found.iter().any(shows), "`{path} --help` shows other commands only");
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        walk(below, &format!("{path} {}", below.get_name()), found);
    }
}

#[test]
fn every_command_of_the_agent_has_an_example_that_can_be_typed() {
    let mut found = Vec::new();
    walk(&agent(), "spoolway-agent", &mut found);
    assert!(found.len() > 40, "{found:?}");
}

#[test]
fn every_command_of_the_relay_has_an_example_that_can_be_typed() {
    let mut found = Vec::new();
    walk(&relay(), "spoolway-relay", &mut found);
    assert!(found.len() > 20, "{found:?}");
}

#[test]
fn a_line_is_split_as_a_shell_does() {
    assert_eq!(split("a 'b c' --d=\"e f\" > g"), ["a", "b c", "--d=e f"]);
    assert_eq!(split("a b # c"), ["a", "b"]);
    assert!(typed("spoolway-agent no-such-command").is_err());
    assert_eq!(typed("systemctl stop x"), Ok(None));
    assert!(typed("sudo spoolway-agent recover JOB --yes PLAN").is_ok_and(|words| words.is_some()));
}
