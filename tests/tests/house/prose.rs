//! What the documents say can be followed: links lead somewhere, and the commands they show exist.

use std::collections::BTreeSet;
use std::path::Path;

use crate::tree::{files, metadata, read, root, text};

/// Where every link in a document leads, fenced blocks left out.
fn links(document: &str) -> Vec<String> {
    let outside = document.split("```").step_by(2);
    let pieces = outside.flat_map(|text| text.split("](").skip(1));
    pieces.filter_map(|piece| Some(piece.split_once(')')?.0.to_owned())).collect()
}

/// The anchor of a headline, as code hosts make it.
fn anchor(headline: &str) -> String {
    let kept = headline.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn check_link(document: &str, link: &str) -> Result<(), String> {
    if link.starts_with("http://") || link.starts_with("https://") {
        return Ok(());
    }
    let (file, wanted) = link.split_once('#').map_or((link, None), |(file, part)| (file, Some(part)));
    let folder = Path::new(document).parent().unwrap_or(Path::new(""));
    let target = if file.is_empty() { document.into() } else { folder.join(file) };
    if !root().join(&target).exists() {
        return Err(format!("{document} leads to {link}, which does not exist"));
    }
    let Some(wanted) = wanted else { return Ok(()) };
    let target = read(&target.to_string_lossy());
    let headlines = target.lines().filter(|line| line.starts_with('#'));
    let found = headlines.map(|line| anchor(line.trim_start_matches('#'))).any(|found| found == wanted);
    if found { Ok(()) } else { Err(format!("{document} leads to {link}, which has no such headline")) }
}

#[test]
fn every_link_leads_somewhere() {
    let documents = files("", ".md");
    assert!(documents.len() > 10, "{documents:?}");
    let mut found = 0;
    for document in &documents {
        for link in links(&read(document)) {
            check_link(document, &link).unwrap_or_else(|error| panic!("{error}"));
            found += 1;
        }
    }
    assert!(found > 20, "only {found} links");
    assert!(check_link("README.md", "docs/no-such-page.md").is_err());
    assert!(check_link("README.md", "ARCHITECTURE.md#no-such-headline").is_err());
}

#[test]
fn every_program_that_the_documents_run_is_built_here() {
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().unwrap().iter();
    let targets = packages.flat_map(|package| package["targets"].as_array().unwrap());
    let programs: BTreeSet<_> = targets
        .filter(|target| target["kind"][0] == "bin")
        .map(|target| text(target, "name").to_owned())
        .collect();
    for document in files("", ".md").into_iter().chain([".ci/run".to_owned()]) {
        let text = read(&document);
        for piece in text.split("--bin ").skip(1) {
            let name: String = piece.chars().take_while(|c| c.is_alphanumeric() || *c == '-').collect();
            assert!(programs.contains(&name), "{document} runs {name}, which is not built");
        }
    }
}

#[test]
fn every_command_of_the_agent_that_an_operator_is_told_exists() {
    let arguments = read("agent/src/cli/args.rs");
    let (_, commands) = arguments.split_once("enum Command {").unwrap();
    let (commands, _) = commands.split_once("\n}").unwrap();
    let variants = commands.lines().filter_map(|line| line.strip_prefix("    "));
    let variants = variants.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    let known: BTreeSet<String> = variants.map(|line| word(&line.to_lowercase())).collect();
    assert!(known.contains("run") && known.contains("estop"), "{known:?}");
    for (document, begin) in [("README.md", "\nagent "), ("docs/operate.md", "`spoolway-agent ")] {
        let told: BTreeSet<String> = read(document).split(begin).skip(1).map(word).collect();
        let told: BTreeSet<_> = told.into_iter().filter(|word| word != "COMMAND").collect();
        assert!(told.len() > 3 && told.is_subset(&known), "{document}: {told:?}");
    }
}

/// The letters at the beginning.
fn word(text: &str) -> String {
    text.chars().take_while(char::is_ascii_alphabetic).collect()
}

#[test]
fn the_readme_is_short_and_says_how_to_begin() {
    let readme = read("README.md");
    assert!(readme.lines().count() < 150, "{} lines", readme.lines().count());
    for command in ["cargo run --release --bin spoolway-demo", "cargo test --release --workspace"] {
        assert_eq!(readme.lines().filter(|line| *line == command).count(), 1, "{command}");
    }
}

#[test]
fn decisions_are_dated_numbered_and_complete() {
    // A number is given once; several decisions may be under way, and the earlier number be the later to come.
    let mut given = BTreeSet::new();
    for path in &files("docs/adr", ".md") {
        let number: String =
            path.trim_start_matches("docs/adr/").chars().take_while(char::is_ascii_digit).collect();
        assert!(number.len() == 4 && given.insert(number.clone()), "{path} has no number of its own");
        let text = read(path);
        assert!(text.starts_with(&format!("# {number}: ")), "{path}");
        for part in ["- Date: 20", "- Status: ", "## Context", "## Choice", "## Price"] {
            assert!(text.contains(part), "{path} has no {part:?}");
        }
    }
}
