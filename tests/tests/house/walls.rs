//! Which crate may know which: the table in `ARCHITECTURE.md`, the manifests and the resolved tree agree.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::tree::{host, metadata, read, root, table, text};

/// The import table: per crate (by its folder) what it may know, and the rest of its row.
pub(crate) struct Wall {
    /// Folder of the crate.
    pub(crate) folder: String,
    /// Folders of the crates that it may depend on.
    pub(crate) knows: BTreeSet<String>,
    /// Whether it may use tokio.
    tokio: bool,
    /// Whether it may look at clock, disk, network or environment by itself.
    pub(crate) looks: bool,
}

pub(crate) fn walls() -> Vec<Wall> {
    let rows = table(&read("ARCHITECTURE.md"), "may use");
    let (head, rows) = rows.split_first().unwrap();
    rows.iter().map(|row| wall(head, row)).collect()
}

fn wall(head: &[String], row: &[String]) -> Wall {
    assert_eq!(head.len(), row.len(), "{row:?}");
    let mut wall = Wall { folder: row[0].clone(), knows: BTreeSet::new(), tokio: false, looks: false };
    for (column, cell) in head.iter().zip(row).skip(1) {
        let yes = match cell.trim_matches('*') {
            "yes" => true,
            "no" | "–" => false,
            other => panic!("{}: {other:?} is neither yes nor no", row[0]),
        };
        match column.as_str() {
            "tokio" => wall.tokio = yes,
            "clock, disk, network" => wall.looks = yes,
            known if yes => drop(wall.knows.insert(known.to_owned())),
            _ => {}
        }
    }
    wall
}

/// Package name and normal, development and build dependencies by folder of the crate.
struct Manifest {
    folder: String,
    normal: BTreeSet<String>,
    other: BTreeSet<String>,
}

fn manifests() -> BTreeMap<String, Manifest> {
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(|package| (text(package, "name").to_owned(), manifest(package))).collect()
}

fn manifest(package: &Value) -> Manifest {
    let file = std::path::Path::new(text(package, "manifest_path"));
    let folder = file.parent().unwrap().strip_prefix(root().canonicalize().unwrap()).unwrap();
    let mut manifest = Manifest {
        folder: folder.to_string_lossy().into_owned(),
        normal: BTreeSet::new(),
        other: BTreeSet::new(),
    };
    for dependency in package["dependencies"].as_array().unwrap() {
        let kinds = if dependency["kind"].is_null() { &mut manifest.normal } else { &mut manifest.other };
        kinds.insert(text(dependency, "name").to_owned());
    }
    manifest
}

#[test]
fn every_crate_knows_what_the_table_says_and_nothing_else() {
    let manifests = manifests();
    let walls = walls();
    let folders: BTreeSet<_> = manifests.values().map(|manifest| manifest.folder.clone()).collect();
    let listed: BTreeSet<_> = walls.iter().map(|wall| wall.folder.clone()).collect();
    assert_eq!(folders, listed, "the table has a row for every crate");
    for manifest in manifests.values() {
        let wall = walls.iter().find(|wall| wall.folder == manifest.folder).unwrap();
        let known = manifest.normal.iter().filter_map(|name| manifests.get(name));
        let known: BTreeSet<_> = known.map(|known| known.folder.clone()).collect();
        assert_eq!(known, wall.knows, "{} does not know what the table says", wall.folder);
        // Who may use it may also do so through another crate only.
        assert!(wall.tokio || !manifest.normal.contains("tokio"), "tokio in {}", wall.folder);
    }
}

#[test]
fn nobody_depends_on_the_tests() {
    for (name, manifest) in manifests() {
        assert!(!manifest.normal.contains("spoolway-tests"), "{name}");
        assert!(!manifest.other.contains("spoolway-tests"), "{name}");
    }
}

#[test]
fn tokio_cannot_even_be_reached_where_the_table_says_no() {
    let metadata = metadata(&["--filter-platform", &host()]);
    let nodes: BTreeMap<_, _> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (text(node, "id"), normal_dependencies(node)))
        .collect();
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeMap<_, _> = packages.iter().map(|p| (text(p, "id"), text(p, "name"))).collect();
    let manifests = manifests();
    for wall in walls().into_iter().filter(|wall| !wall.tokio) {
        let ours = names
            .iter()
            .find(|(_, name)| manifests.get(**name).is_some_and(|manifest| manifest.folder == wall.folder));
        let mut seen = BTreeSet::new();
        let mut open = vec![*ours.unwrap().0];
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(&nodes[id]);
            }
        }
        assert!(seen.len() > 3, "{} has dependencies", wall.folder);
        assert!(!seen.iter().any(|id| names[id] == "tokio"), "{} reaches tokio", wall.folder);
    }
}

/// What a package needs to be built and run, as opposed to being tested.
fn normal_dependencies(node: &Value) -> Vec<&str> {
    let dependencies = node["deps"].as_array().unwrap().iter();
    let needed = dependencies.filter(|dependency| {
        let kinds = dependency["dep_kinds"].as_array().unwrap();
        kinds.iter().any(|kind| kind["kind"].as_str() != Some("dev"))
    });
    needed.map(|dependency| text(dependency, "pkg")).collect()
}
