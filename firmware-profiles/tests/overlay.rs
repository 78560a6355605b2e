//! The built-in profiles, and a folder laid over them.

use std::fs;
use std::path::Path;

use spoolway_firmware_profiles::registry::{MAX_FILE_BYTES, MAX_FILES};
use spoolway_firmware_profiles::{Origin, ProfileError, Registry};

const MARLIN: &str = include_str!("../profiles/marlin.toml");

fn ids(registry: &Registry) -> Vec<&str> {
    registry.iter().map(|known| known.profile.id.as_str()).collect()
}

/// The ids of the profiles inside the program and these.
fn with_built_in(own: &[&str]) -> Vec<String> {
    let built_in = Registry::built_in();
    let mut all: Vec<String> = ids(&built_in).iter().chain(own).map(|id| (*id).to_owned()).collect();
    all.sort_unstable();
    all
}

fn copy(folder: &Path, id: &str) {
    let text = MARLIN.replace("id = \"marlin\"", &format!("id = \"{id}\""));
    fs::write(folder.join(format!("{id}.toml")), text).expect("the folder is the test's own");
}

#[test]
fn every_shipped_file_is_built_in_and_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
    let mut shipped: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    shipped.sort();
    let registry = Registry::built_in();
    assert_eq!(ids(&registry), shipped);
    for known in registry.iter() {
        assert!(matches!(known.origin, Origin::BuiltIn(_)));
        // The same text gives the same profile when an operator copies the file into a folder.
        let text = fs::read_to_string(folder.join(format!("{}.toml", known.profile.id))).unwrap();
        let origin = Origin::File(format!("{}.toml", known.profile.id).into());
        assert_eq!(spoolway_firmware_profiles::parse(&origin, &text).unwrap(), known.profile);
    }
}

#[test]
fn a_file_takes_the_place_of_the_built_in_profile_and_adds_others() {
    let folder = tempfile::tempdir().unwrap();
    let text = MARLIN.replace("hotend_max = 300", "hotend_max = 260");
    fs::write(folder.path().join("marlin.toml"), text).unwrap();
    copy(folder.path(), "attic");
    fs::write(folder.path().join(".attic.toml"), "half written").unwrap();
    fs::write(folder.path().join("notes.txt"), "not a profile").unwrap();

    let (registry, errors) = Registry::load(Some(folder.path()));
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(ids(&registry), with_built_in(&["attic"]));
    let marlin = registry.get("marlin").unwrap();
    assert_eq!(marlin.profile.temperature.limits.hotend_max, 260.0);
    assert_eq!(marlin.origin, Origin::File(folder.path().join("marlin.toml")));
    assert_eq!(registry.generic().origin, Origin::BuiltIn("generic.toml"));
}

#[test]
fn broken_files_are_reported_and_hide_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    copy(folder.path(), "good");
    fs::write(at("marlin.toml"), MARLIN.replace("rx_bytes = 128", "rx_bytes = 8")).unwrap();
    fs::write(at("syntax.toml"), "schema = \n").unwrap();
    fs::write(at("bytes.toml"), b"name = \"\xff\"").unwrap();
    fs::write(at("huge.toml"), vec![b'#'; MAX_FILE_BYTES as usize + 1]).unwrap();
    fs::create_dir(at("folder.toml")).unwrap();

    let (registry, errors) = Registry::load(Some(folder.path()));
    assert_eq!(ids(&registry), with_built_in(&["good"]));
    assert_eq!(registry.get("marlin").unwrap().origin, Origin::BuiltIn("marlin.toml"));
    assert!(
        matches!(
            &errors[..],
            [
                ProfileError::NotText { offset: 8, .. },
                ProfileError::NotAFile { .. },
                ProfileError::TooLarge { .. },
                ProfileError::Invalid { .. },
                ProfileError::Syntax { line: 1, .. },
            ]
        ),
        "{errors:?}"
    );
    for (error, name) in errors.iter().zip(["bytes", "folder", "huge", "marlin", "syntax"]) {
        let path = at(&format!("{name}.toml"));
        assert!(error.to_string().starts_with(path.to_str().unwrap()), "{error}");
    }
    assert!(errors[3].findings().iter().any(|finding| finding.key == "flow.rx_bytes"));
}

#[test]
fn the_largest_file_is_read_and_so_is_a_broken_link_reported() {
    let folder = tempfile::tempdir().unwrap();
    let padding = "#".repeat(MAX_FILE_BYTES as usize - MARLIN.len());
    fs::write(folder.path().join("marlin.toml"), format!("{MARLIN}{padding}")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("link.toml")).unwrap();
    let (registry, errors) = Registry::load(Some(folder.path()));
    assert!(matches!(registry.get("marlin").unwrap().origin, Origin::File(_)));
    assert!(matches!(&errors[..], [ProfileError::Read { .. }]), "{errors:?}");
}

#[test]
fn a_missing_folder_is_reported_and_the_built_in_profiles_remain() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, errors) = Registry::load(Some(&folder.path().join("none")));
    assert_eq!(ids(&registry), with_built_in(&[]));
    match &errors[..] {
        [ProfileError::Folder { source, .. }] => assert_eq!(source.kind(), std::io::ErrorKind::NotFound),
        other => panic!("{other:?}"),
    }
    let (registry, errors) = Registry::load(None);
    assert!(errors.is_empty());
    assert_eq!(ids(&registry), with_built_in(&[]));
}

#[test]
fn only_the_first_files_by_name_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..MAX_FILES + 3 {
        copy(folder.path(), &format!("p{number:04}"));
    }
    let (registry, errors) = Registry::load(Some(folder.path()));
    assert_eq!(registry.iter().count(), MAX_FILES + Registry::built_in().iter().count());
    assert!(registry.get("p0255").is_ok());
    assert!(registry.get("p0256").is_err());
    match &errors[..] {
        [ProfileError::TooMany { first_left_out, limit: MAX_FILES, .. }] => {
            assert_eq!(first_left_out, "p0256.toml");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unknown_profile_is_answered_with_the_known_ones() {
    let error = Registry::built_in().get("marlim").unwrap_err();
    let known = ids(&Registry::built_in()).join(", ");
    assert_eq!(error.to_string(), format!("no firmware profile `marlim`; known are {known}"));
}
