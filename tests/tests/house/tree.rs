//! The project's own files, and what cargo knows of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests are a folder of the workspace").to_owned()
}

/// The text of one file, by its path from the root.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below a folder with this ending, by its path from the root, sorted; what cargo and git made is left out.
pub(crate) fn files(below: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(below)];
    while let Some(folder) = open.pop() {
        let entries = std::fs::read_dir(root().join(&folder));
        for entry in entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().unwrap().is_dir() {
                if name != "target" && name != ".git" {
                    open.push(path);
                }
            } else if name.ends_with(ending) {
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// What `cargo metadata` says, with these arguments besides.
pub(crate) fn metadata(arguments: &[&str]) -> Value {
    let cargo = std::env::var_os("CARGO").expect("cargo runs the tests");
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--locked", "--offline"]).args(arguments);
    let output = command.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The platform that cargo builds for here.
pub(crate) fn host() -> String {
    let cargo = std::env::var_os("CARGO").expect("cargo runs the tests");
    let output = Command::new(cargo).arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("cargo names its host").to_owned()
}

/// A member of an object that has to be text.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// The rows of the first table whose head begins with this cell; cells without their spaces, the head included.
pub(crate) fn table(document: &str, first_cell: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for line in document.lines() {
        let cells = cells(line);
        let is_head = cells.first().is_some_and(|cell| cell == first_cell);
        match (rows.is_empty(), cells.is_empty()) {
            (true, false) if is_head => rows.push(cells),
            (false, false) => rows.push(cells),
            (false, true) => break,
            _ => {}
        }
    }
    assert!(rows.len() > 2, "no table with the head {first_cell:?}");
    rows.retain(|row| !row[0].starts_with("---"));
    rows
}

fn cells(line: &str) -> Vec<String> {
    let Some(inner) = line.strip_prefix('|').and_then(|line| line.trim_end().strip_suffix('|')) else {
        return Vec::new();
    };
    inner.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// Text between single back quotes, of everything outside fenced blocks.
pub(crate) fn quoted(document: &str) -> Vec<String> {
    let mut quoted = Vec::new();
    for (number, outside) in document.split("```").enumerate() {
        if number % 2 == 0 {
            let lines = outside.lines();
            quoted.extend(lines.flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned));
        }
    }
    quoted
}
