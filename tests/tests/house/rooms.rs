//! The code map names every module, and everything that `ARCHITECTURE.md` names is there.

use std::collections::BTreeSet;

use crate::tree::{quoted, read, root, table};
use crate::walls::walls;

const DOCUMENT: &str = "ARCHITECTURE.md";

/// The part of the code map about one folder: from its headline to the next.
fn section(document: &str, folder: &str) -> String {
    let headline = format!("### `{folder}`");
    let (_, rest) =
        document.split_once(&headline).unwrap_or_else(|| panic!("{DOCUMENT} has no headline {headline}"));
    rest.split("\n#").next().unwrap_or_default().to_owned()
}

/// Files and folders of a source folder, without those that are no module of their own.
fn modules(folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let names = names.filter(|name| !name.ends_with(".toml"));
    let stems = names.map(|name| name.trim_end_matches(".rs").to_owned());
    stems.filter(|stem| !["lib", "main", "bin"].contains(&stem.as_str())).collect()
}

#[test]
fn the_code_map_is_complete() {
    let document = read(DOCUMENT);
    for folder in walls().into_iter().map(|wall| format!("{}/src", wall.folder)) {
        let rows = table(&section(&document, &folder), "module");
        let listed = rows.iter().skip(1).flat_map(|row| quoted(&row[0]));
        let (listed, found) = (listed.collect::<BTreeSet<_>>(), modules(&folder));
        assert_eq!(listed, found, "the code map of {folder}");
    }
}

#[test]
fn every_path_that_is_named_exists() {
    let is_path = |text: &String| {
        text.contains('/')
            && !text.starts_with('/')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b))
    };
    for document in [DOCUMENT, "docs/glossary.md", "docs/operate.md"] {
        let named: Vec<_> = quoted(&read(document)).into_iter().filter(is_path).collect();
        for path in &named {
            assert!(root().join(path).exists(), "{document} names {path}, which does not exist");
        }
        assert!(document != DOCUMENT || named.len() > 30, "{document} names {} paths", named.len());
    }
}
