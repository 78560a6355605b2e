//! How findings are told: all at once, bounded, and with the place of a mistake in the text.

use toml::Value;

use super::{MARLIN, changed, findings, origin};
use crate::error::ProfileError;
use crate::validate::parse;

#[test]
fn all_findings_are_told_at_once() {
    let changes = [("flow.rx_bytes", "8"), ("schema", "9"), ("colour", "1"), ("scripts.cancel", "[]")];
    let found = findings(&changes);
    let keys: Vec<&str> = found.iter().map(|finding| finding.key.as_str()).collect();
    assert_eq!(keys, ["colour", "schema", "framing.max_line_bytes", "flow.rx_bytes", "scripts.cancel"]);
    let message = changed(&changes).expect_err("it has five mistakes").to_string();
    assert!(
        message.starts_with("profiles.d/marlin.toml: 5 findings\n  colour = 1: unknown key"),
        "{message}"
    );
    assert!(message.contains("\n  flow.rx_bytes = 8: must be 16 to 65536"), "{message}");
}

#[test]
fn findings_are_bounded_in_number_and_length() {
    let many = Value::Array(vec![Value::from(""); 500]).to_string();
    assert_eq!(findings(&[("scripts.connect", &many)]).len(), 64);
    let long = format!("\"{}\"", "x".repeat(10_000));
    let found = findings(&[("flow.window", &long)]);
    assert!(found[0].value.as_ref().is_some_and(|value| value.len() < 100));
}

#[test]
fn a_syntax_error_names_line_and_column() {
    let text = MARLIN.replace("rx_bytes = 128", "rx_bytes = = 128");
    let expected_line =
        text.lines().position(|line| line.contains("= =")).expect("the mistake stands there") + 1;
    match parse(&origin(), &text).expect_err("it is no TOML") {
        error @ ProfileError::Syntax { line, column, .. } => {
            assert_eq!((line, column), (expected_line, 12));
            let begins = format!("profiles.d/marlin.toml, line {line}, column {column}: ");
            assert!(error.to_string().starts_with(&begins), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let twice = format!("{MARLIN}\nflavours = []\n");
    let last = twice.lines().count();
    assert!(matches!(parse(&origin(), &twice), Err(ProfileError::Syntax { line, .. }) if line == last));
    assert!(matches!(parse(&origin(), "\u{fc} = \"\u{fc}"), Err(ProfileError::Syntax { line: 1, .. })));
}
