//! What pages say to type can be typed, and every block of the pages that people follow is done by a test, or says why not.

use clap::error::ErrorKind;

use crate::examples::{is_ours, taken};
use crate::threats::is_test;
use crate::tree::{files, quoted, read};

/// Pages that are followed step by step.
const FOLLOWED: [&str; 10] = [
    "README.md",
    "docs/install.md",
    "docs/operate.md",
    "docs/relay-admin.md",
    "docs/profiles.md",
    "docs/backend-guide.md",
    "docs/networks.md",
    "docs/recovery.md",
    "docs/repository.md",
    "docs/release.md",
];
/// Who follows them.
const SCRIPT: &str = "tests/systemd/docs.sh";
/// Blocks of a language that a test takes whole, wherever they stand on a page.
const TAKEN_WHOLE: [(&str, &str, &str); 3] = [
    (
        "docs/backend-guide.md",
        "rust",
        "tests/tests/e2e/backend_guide.rs::every_quotation_stands_in_the_backend",
    ),
    (
        "docs/backend-guide.md",
        "json",
        "tests/tests/e2e/backend_guide.rs::every_message_is_one_of_the_protocol",
    ),
    (
        "docs/profiles.md",
        "toml",
        "firmware-profiles/tests/guide.rs::the_example_is_valid_and_needs_no_advice",
    ),
];

/// A fenced block: the line of its fence, its language, the anchor of its headline, the comments above it.
struct Block {
    line: usize,
    language: String,
    section: String,
    comments: Vec<String>,
}

/// What a headline is called in a link, as far as ours go.
fn anchor(headline: &str) -> String {
    let kept = headline.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn blocks(page: &str) -> Vec<Block> {
    let (mut found, mut comments, mut section, mut is_inside) =
        (Vec::new(), Vec::new(), String::new(), false);
    // What belongs to an item of a list is indented.
    for (at, line) in page.lines().map(str::trim_start).enumerate() {
        if let Some(language) = line.strip_prefix("```") {
            if !is_inside {
                let (language, section) = (language.to_owned(), section.clone());
                let comments = std::mem::take(&mut comments);
                found.push(Block { line: at + 1, language, section, comments });
            }
            is_inside = !is_inside;
        } else if is_inside {
        } else if line.starts_with('#') {
            section = anchor(line.trim_start_matches('#').trim());
        } else if let Some(comment) = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) {
            comments.push(comment.to_owned());
        } else if !line.is_empty() {
            comments.clear();
        }
    }
    found
}

#[test]
fn every_block_of_the_pages_is_done_or_says_why_not() {
    let script = read(SCRIPT);
    let is_walked = |page: &str, section: &str| {
        script.lines().any(|line| line.trim() == format!("walk {page} {section}"))
    };
    let (mut done, mut bare, mut missing) = (0, Vec::new(), Vec::new());
    for page in FOLLOWED {
        for Block { line, language, section, comments } in blocks(&read(page)) {
            let reason = comments.iter().find_map(|comment| comment.strip_prefix("not run: "));
            let whole = TAKEN_WHOLE.iter().find(|(of, what, _)| *of == page && *what == language);
            match (reason, whole) {
                (None, None) if is_walked(page, &section) => done += 1,
                (None, None) => bare.push(format!("{page}:{line} below #{section}")),
                (reason, whole) => {
                    let said = reason.unwrap_or_default().split(' ').chain(whole.map(|(_, _, test)| *test));
                    let named = said.filter_map(|word| word.trim_end_matches(',').split_once(".rs::"));
                    missing.extend(
                        named
                            .filter(|(file, test)| !is_test(file, test))
                            .map(|it| (page, line, it.1.to_owned())),
                    );
                }
            }
        }
    }
    let how = format!("name the section in {SCRIPT}, or put `<!-- not run: WHY -->` above the block");
    assert!(bare.is_empty(), "blocks that nobody tries: {how}: {bare:#?}");
    assert!(missing.is_empty(), "no such tests: {missing:?}");
    assert!(done > 4, "only {done} blocks are done");
}

/// Sections that the script names are there.
#[test]
fn every_section_that_is_followed_is_on_its_page() {
    for line in read(SCRIPT).lines().filter_map(|line| line.trim().strip_prefix("walk ")) {
        if let Some((page, section)) = line.split_once(' ').filter(|(page, _)| page.ends_with(".md")) {
            assert!(blocks(&read(page)).iter().any(|block| block.section == section), "{page} #{section}");
        }
    }
}

/// Whether a command of ours can be typed; or, without further words, is the name of one.
fn is_lawful(line: &str) -> Result<(), String> {
    let Some(Err(error)) = taken(line) else { return Ok(()) };
    let is_name = matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if is_name && !line.contains(" -") { Ok(()) } else { Err(error.to_string()) }
}

/// Whether the rest of a command that was shortened (`... --yes PLAN`) goes behind some beginning of the one before it.
fn goes_on(before: &str, rest: &str) -> bool {
    let words: Vec<&str> = before.split(' ').collect();
    (1..=words.len()).any(|kept| matches!(taken(&format!("{} {rest}", words[..kept].join(" "))), Some(Ok(_))))
}

/// In a row of a table of commands, what is left out of the second and third is what the first one begins with.
#[test]
fn every_command_that_a_page_names_can_be_typed() {
    let mut found = 0;
    for page in files("docs", ".md").into_iter().chain(["README.md".to_owned()]) {
        if page.starts_with("docs/adr/") {
            continue;
        }
        let mut is_inside = false;
        for line in read(&page).lines() {
            is_inside ^= line.starts_with("```");
            if is_inside {
                continue;
            }
            let mut before = String::new();
            for word in quoted(line).iter().filter(|word| !word.contains("COMMAND")) {
                if is_ours(word) && word.contains(' ') {
                    is_lawful(word).unwrap_or_else(|error| panic!("{page}: `{word}`: {error}"));
                    before.clone_from(word);
                } else if let Some(rest) = word.strip_prefix("... ") {
                    assert!(goes_on(&before, rest), "{page}: `{word}` does not go behind `{before}`");
                } else if line.starts_with("| ") && word.starts_with("--") && !before.is_empty() {
                    assert!(goes_on(&before, word), "{page}: `{word}` does not go behind `{before}`");
                } else {
                    continue;
                }
                found += 1;
            }
        }
    }
    assert!(found > 150, "only {found} commands");
}

/// Commands in blocks, also in those that nobody does.
#[test]
fn every_command_in_a_block_can_be_typed() {
    let mut found = 0;
    for page in files("docs", ".md").into_iter().chain(["README.md".to_owned()]) {
        let text = read(&page);
        for line in text.split("```").skip(1).step_by(2).flat_map(str::lines) {
            let line = line.strip_prefix("$ ").unwrap_or(line);
            if is_ours(line) && !line.contains('\\') {
                is_lawful(line).unwrap_or_else(|error| panic!("{page}: `{line}`: {error}"));
                found += 1;
            }
        }
    }
    assert!(found > 40, "only {found} commands");
}

#[test]
fn a_block_is_told_by_its_headline_and_the_comments_above_it() {
    let page = "# A b\n\n<!-- here: x = y -->\n```\nls\n# no headline\n```\ntext\n## C, d's e\n<!-- not run: far -->\ntext\n```sh\n```\n";
    let found: Vec<_> = blocks(page)
        .iter()
        .map(|it| format!("{} {} {} {:?}", it.line, it.language, it.section, it.comments))
        .collect();
    assert_eq!(found, ["4  a-b [\"here: x = y\"]", "12 sh c-ds-e []"]);
    assert!(goes_on("spoolway-agent recover JOB --plan", "--yes PLAN"));
    assert!(goes_on("spoolway-agent maintenance open --minutes 15", "close"));
    assert!(!goes_on("spoolway-agent jobs move JOB --first", "--sideways"));
    assert!(is_lawful("sudo -u spoolway-relay spoolway-relay backend add farm --sideways").is_err());
}
