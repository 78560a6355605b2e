//! The threat model rests on tests: each that it names is there.

use crate::tree::read;

const PAGE: &str = "docs/threat-model.md";
/// Tests are named as `path/to/file.rs::function`.
const BETWEEN: &str = ".rs::";

/// What stands between backquotes.
fn quoted(page: &str) -> impl Iterator<Item = &str> {
    page.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let page = read(PAGE);
    let named: Vec<_> = quoted(&page).filter_map(|word| word.split_once(BETWEEN)).collect();
    assert!(named.len() > 40, "{} tests are named", named.len());
    let is_test = |(file, function): &(&str, &str)| {
        let source = read(&format!("{file}.rs"));
        let head = format!("fn {function}(");
        source.match_indices(&head).any(|(at, _)| {
            let above = source[..at].rsplit('\n').skip(1).take_while(|line| !line.trim().is_empty());
            above.take(4).any(|line| line.contains("#[test]") || line.contains("::test"))
        })
    };
    let missing: Vec<_> = named.iter().filter(|test| !is_test(test)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

#[test]
fn every_row_of_an_attack_names_a_test() {
    let page = read(PAGE);
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| can try"));
    let bare: Vec<_> = rows.filter(|row| !row.contains(BETWEEN)).collect();
    assert!(bare.is_empty(), "{bare:#?}");
}
