//! Pages that rest on tests: each test that they name is there.

use crate::tree::read;

const PAGE: &str = "docs/threat-model.md";
/// All pages that name tests, and how many they name at least.
const PAGES: [(&str, usize); 3] = [(PAGE, 90), ("docs/bounds.md", 60), ("docs/testing.md", 20)];
/// Tests are named as `path/to/file.rs::function`.
const BETWEEN: &str = ".rs::";

/// What stands between backquotes.
pub(crate) fn quoted(page: &str) -> impl Iterator<Item = &str> {
    page.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// Whether a test of this name stands in this file.
pub(crate) fn is_test(file: &str, function: &str) -> bool {
    let source = read(&format!("{file}.rs"));
    let head = format!("fn {function}(");
    source.match_indices(&head).any(|(at, _)| {
        let above = source[..at].rsplit('\n').skip(1).take_while(|line| !line.trim().is_empty());
        above.take(4).any(|line| line.contains("#[test]") || line.contains("::test"))
    })
}

#[test]
fn every_test_that_a_page_names_is_there() {
    for (name, least) in PAGES {
        let page = read(name);
        let named: Vec<_> = quoted(&page).filter_map(|word| word.split_once(BETWEEN)).collect();
        // Constants are named in the same way.
        let is_function = |name: &str| name.starts_with(|c: char| c.is_ascii_lowercase());
        let tests: Vec<_> = named.iter().filter(|(_, name)| is_function(name)).collect();
        let missing: Vec<_> = tests.iter().filter(|(file, test)| !is_test(file, test)).collect();
        assert!(missing.is_empty(), "{name}: no such tests: {missing:?}");
        assert!(tests.len() >= least, "{name}: {} tests are named", tests.len());
    }
}

#[test]
fn every_row_of_an_attack_names_a_test() {
    let page = read(PAGE);
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| can try"));
    let bare: Vec<_> = rows.filter(|row| !row.contains(BETWEEN)).collect();
    assert!(bare.is_empty(), "{bare:#?}");
}
