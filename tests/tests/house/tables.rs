//! The operator's page lists every finding, setting and exit code, in the words of the program.

use std::collections::BTreeMap;

use spoolway_agent::cli::Exit;
use spoolway_agent::config::{DEFAULT_TOML, keys};
use spoolway_agent_core::preflight::Code;
use spoolway_agent_core::recovery::{Loss, Since};

use crate::tree::{quoted, read, root, table};

const PAGE: &str = "docs/operate.md";

/// The table of findings as it has to stand in the operator's page; `UPDATE_DOCS=1` puts it there.
fn findings() -> String {
    let mut text = "| finding | severity | what was found | what to do |\n|---|---|---|---|\n".to_owned();
    for code in Code::ALL {
        text.push_str(&format!(
            "| `{code}` | {} | {} | {} |\n",
            code.severity(),
            code.summary(),
            code.help()
        ));
    }
    text
}

#[test]
fn the_operators_page_has_every_finding() {
    hold("| finding | severity |", &findings());
}

/// The table that begins so says what it has to.
fn hold(head: &str, table: &str) {
    let page = read(PAGE);
    let begin = page.find(head).unwrap_or_else(|| panic!("no table {head}"));
    let length = page[begin..].find("\n\n").map_or(page.len() - begin, |end| end + 1);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let updated = [&page[..begin], table, &page[begin + length..]].concat();
        std::fs::write(root().join(PAGE), updated).unwrap();
    } else {
        let again = "UPDATE_DOCS=1 cargo test -p spoolway-tests --test house";
        assert_eq!(&page[begin..begin + length], table, "write it anew with `{again}`");
    }
}

/// What stands between two marks of a page has to be this; `UPDATE_DOCS=1` puts it there.
fn between(page: &str, mark: &str, expected: &str) {
    let text = read(page);
    let (begin, end) = (format!("<!-- {mark}: begin -->\n"), format!("<!-- {mark}: end -->"));
    let (head, rest) = text.split_once(&begin).unwrap();
    let (said, tail) = rest.split_once(&end).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(root().join(page), [head, &begin, expected, &end, tail].concat()).unwrap();
    } else {
        let again = "UPDATE_DOCS=1 cargo test -p spoolway-tests --test house";
        assert_eq!(said, expected, "write it anew with `{again}`");
    }
}

#[test]
fn the_page_on_recovery_names_what_happened_in_the_programs_words() {
    let mut losses = "| name | what `jobs` and the plan say |\n|---|---|\n".to_owned();
    for loss in Loss::ALL {
        losses.push_str(&format!("| `{}` | {} |\n", loss.as_str(), loss.sentence()));
    }
    between("docs/recovery.md", "losses", &losses);
    let since = Since::ALL.map(|since| format!("* {}\n", since.sentence())).concat();
    between("docs/recovery.md", "since", &since);
}

#[test]
fn the_operators_page_has_every_answer_of_a_first_run() {
    let tree = spoolway_agent::cli::tree();
    let setup = tree.find_subcommand("setup").unwrap();
    // What says how it is answered, and not what.
    let about = ["yes", "answers", "boot", "config", "socket", "help"];
    let flags: Vec<_> = setup.get_arguments().filter_map(|flag| flag.get_long()).collect();
    let flags: Vec<_> = flags.into_iter().filter(|flag| !about.contains(flag)).collect();
    let rows = table(&read(PAGE), "answer");
    let listed: Vec<_> = rows.iter().skip(1).map(|row| quoted(&row[0]).remove(0)).collect();
    assert_eq!(listed, ["open", "printer", "token", "relay", "ca", "words", "apply", "again", "test"]);
    let sorted = |mut words: Vec<String>| {
        words.sort();
        words
    };
    assert_eq!(sorted(listed), sorted(flags.into_iter().map(str::to_owned).collect()));
}

#[test]
fn the_operators_page_has_every_setting_with_its_default() {
    let defaults: toml::Table = DEFAULT_TOML.parse().unwrap();
    let rows = table(&read(PAGE), "key");
    let listed: Vec<_> = rows.iter().skip(1).map(|row| quoted(&row[0]).remove(0)).collect();
    assert_eq!(listed, keys().collect::<Vec<_>>());
    for row in rows.iter().skip(1) {
        let key = quoted(&row[0]).remove(0);
        let mut parts = key.split('.');
        let first = &defaults[parts.next().unwrap()];
        let value = parts.next().map_or(first, |name| &first[name]);
        let told = quoted(&row[1]).into_iter().next();
        let expected = Some(value.to_string()).filter(|value| value != "\"\"");
        assert_eq!(told, expected, "{key}: a default is quoted as it is, none is not quoted");
    }
}

#[test]
fn exit_codes_are_those_of_the_program() {
    let codes = [Exit::Runtime, Exit::Usage, Exit::Unavailable, Exit::Configuration];
    let codes: Vec<_> = std::iter::once(0).chain(codes.map(|exit| exit as u8)).collect();
    for document in ["README.md", PAGE] {
        let rows = table(&read(document), "exit code");
        let told: BTreeMap<u8, _> =
            rows.iter().skip(1).map(|row| (row[0].parse().unwrap(), row[1].clone())).collect();
        assert_eq!(told.keys().copied().collect::<Vec<_>>(), codes, "{document}");
        assert!(told.values().all(|meaning| !meaning.is_empty()), "{document}");
    }
}
