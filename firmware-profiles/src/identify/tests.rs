//! Which profile is chosen among several.

use std::fs;

use super::identify;
use crate::registry::Registry;
use crate::report::FirmwareReport;

const MARLIN: &str = include_str!("../../profiles/marlin.toml");

/// The built-in set with Marlin copied under other names, each with its own `[identify]`.
fn registry(copies: &[(&str, &str)]) -> Registry {
    let folder = tempfile::tempdir().unwrap();
    for (id, identify) in copies {
        let mut table: toml::Table = MARLIN.parse().unwrap();
        table.insert("id".into(), (*id).into());
        table.insert("identify".into(), identify.parse::<toml::Table>().unwrap().into());
        fs::write(folder.path().join(format!("{id}.toml")), table.to_string()).unwrap();
    }
    let (registry, errors) = Registry::load(Some(folder.path()));
    assert!(errors.is_empty(), "{errors:?}");
    registry
}

fn chosen(registry: &Registry, banners: &[&str], lines: &[&str]) -> String {
    let mut report = FirmwareReport::default();
    for line in lines {
        report.feed(line);
    }
    let banners: Vec<String> = banners.iter().map(|&line| line.into()).collect();
    identify(registry, &banners, &report).profile.id.clone()
}

#[test]
fn the_greatest_priority_wins_then_the_longest_text_then_the_first_id() {
    let registry = registry(&[
        ("a-fork", "firmware_names = ['Marlin 2.0.9-fork']"),
        ("b-fork", "firmware_names = ['Marlin 2.0.9-fork']"),
        ("loud", "firmware_names = ['Marlin']\nmachine_types = ['Loud']\npriority = 5"),
        ("z-shy", "firmware_names = ['Marlin 2.0.9-fork with a long name']\npriority = -1"),
    ]);
    assert_eq!(chosen(&registry, &[], &["FIRMWARE_NAME:Marlin 2.1"]), "marlin");
    assert_eq!(chosen(&registry, &[], &["FIRMWARE_NAME:Marlin 2.0.9-fork with a long name"]), "a-fork");
    assert_eq!(chosen(&registry, &[], &["FIRMWARE_NAME:Marlin 2.0.9-fork MACHINE_TYPE:Loud 3"]), "loud");
}

#[test]
fn machine_type_and_capabilities_must_match_as_well() {
    let registry = registry(&[
        ("ender", "firmware_names = ['Marlin']\nmachine_types = ['Ender-3']\npriority = 10"),
        ("quick", "banners = ['Quick']\ncapabilities = ['EMERGENCY_PARSER']\npriority = 11"),
        ("machine", "machine_types = ['Delta X']"),
    ]);
    let ender = "FIRMWARE_NAME:Marlin 2.0 MACHINE_TYPE:ender-3 v2";
    assert_eq!(chosen(&registry, &[], &[ender]), "ender");
    assert_eq!(chosen(&registry, &[], &["FIRMWARE_NAME:Marlin 2.0 MACHINE_TYPE:Mendel"]), "marlin");
    assert_eq!(chosen(&registry, &[], &["FIRMWARE_NAME:Marlin 2.0"]), "marlin");
    assert_eq!(chosen(&registry, &["Quick 1"], &[ender]), "ender");
    assert_eq!(chosen(&registry, &["Quick 1"], &[ender, "Cap:EMERGENCY_PARSER:0"]), "ender");
    assert_eq!(chosen(&registry, &["Quick 1"], &[ender, "Cap:EMERGENCY_PARSER:1"]), "quick");
    assert_eq!(chosen(&registry, &[], &["FIRMWARE_NAME:Own MACHINE_TYPE:Delta X2"]), "machine");
}

#[test]
fn the_usb_id_must_match_as_well_and_an_unknown_one_does_not() {
    let registry =
        registry(&[("cable", "firmware_names = ['Marlin']\nusb = ['1d50:6029', '0483:5740']\npriority = 9")]);
    let chosen_on = |usb: Option<&str>| {
        let mut report = FirmwareReport { usb: usb.map(str::to_owned), ..FirmwareReport::default() };
        report.feed("FIRMWARE_NAME:Marlin 2.1.2");
        identify(&registry, &[], &report).profile.id.clone()
    };
    assert_eq!(chosen_on(Some("0483:5740")), "cable");
    assert_eq!(chosen_on(Some("1a86:7523")), "marlin");
    assert_eq!(chosen_on(None), "marlin");
}
