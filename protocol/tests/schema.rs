//! The checked-in JSON Schema is the one that the types produce.

use std::path::Path;
use std::{env, fs};

use spoolway_protocol::schema::document;

#[test]
fn the_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/v1/spoolway.v1.schema.json");
    let mut current = serde_json::to_string_pretty(&document()).unwrap();
    current.push('\n');
    if env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &current).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == current,
        "{} is not current; write it anew with: UPDATE_SCHEMA=1 cargo test -p spoolway-protocol --test schema",
        path.display()
    );
}

#[test]
fn every_reference_resolves() {
    let document = document();
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    assert!(text.matches("\"$ref\"").count() > 50);
}
