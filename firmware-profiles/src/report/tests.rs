//! Real answers to M115, and lines that are none.

use super::FirmwareReport;

const MARLIN: &[&str] = &[
    "FIRMWARE_NAME:Marlin 2.0.9 (Nov 22 2022 04:27:47) SOURCE_CODE_URL:github.com/MarlinFirmware/Marlin \
     PROTOCOL_VERSION:1.0 MACHINE_TYPE:3D Printer EXTRUDER_COUNT:1 UUID:cede2a2f-41a2-4748-9b12-c55c62f367ff",
    "Cap:SERIAL_XON_XOFF:0",
    "Cap:EEPROM:1",
    "Cap:AUTOREPORT_TEMP:1",
    "Cap:EMERGENCY_PARSER:0",
    "area:{full:{min:{x:0.0000,y:0.0000,z:0.0000},max:{x:200.0000,y:200.0000,z:200.0000}}}",
    "ok",
];

fn report(lines: &[&str]) -> FirmwareReport {
    let mut report = FirmwareReport::default();
    for line in lines {
        report.feed(line);
    }
    report
}

#[test]
fn marlin() {
    let report = report(MARLIN);
    assert_eq!(report.name.as_deref(), Some("Marlin 2.0.9 (Nov 22 2022 04:27:47)"));
    assert_eq!(report.version.as_deref(), Some("2.0.9"));
    assert_eq!(report.machine_type.as_deref(), Some("3D Printer"));
    assert_eq!(report.extruders, Some(1));
    assert_eq!(report.uuid.as_deref(), Some("cede2a2f-41a2-4748-9b12-c55c62f367ff"));
    assert_eq!(report.source_url.as_deref(), Some("github.com/MarlinFirmware/Marlin"));
    assert_eq!(report.capabilities.len(), 4);
    assert!(report.has("EEPROM") && report.has("AUTOREPORT_TEMP"));
    assert!(!report.has("EMERGENCY_PARSER") && !report.has("NEVER_TOLD"));
}

#[test]
fn an_update_of_the_firmware_keeps_the_fingerprint_and_another_machine_changes_it() {
    let told = report(MARLIN).fingerprint();
    assert_eq!(told, "firmware=marlin\nmachine=3d printer\nuuid=cede2a2f-41a2-4748-9b12-c55c62f367ff");
    let updated = MARLIN[0].replace("2.0.9 (Nov 22 2022 04:27:47)", "bugfix-2.1.x (Jan 1 2025 00:00:00)");
    assert_eq!(report(&[&updated]).fingerprint(), told);
    let other = MARLIN[0].replace("3D Printer", "Ender-3 V2");
    assert_ne!(report(&[&other]).fingerprint(), told);
    assert_eq!(report(&["ok"]).fingerprint(), "");
}

#[test]
fn klipper_answers_behind_the_ok_or_as_a_remark() {
    for line in ["ok FIRMWARE_NAME:Klipper FIRMWARE_VERSION:v0.12.0-85-gd785b396", "// FIRMWARE_NAME:Klipper"]
    {
        let report = report(&[line]);
        assert_eq!(report.name.as_deref(), Some("Klipper"), "{line}");
    }
    let behind = report(&["ok FIRMWARE_NAME:Klipper FIRMWARE_VERSION:v0.12.0-85-gd785b396"]);
    assert_eq!(behind.version.as_deref(), Some("v0.12.0-85-gd785b396"));
}

#[test]
fn malyan_in_both_spellings() {
    let colon = report(&["NAME: Malyan VER: 2.9 MODEL: M200 HW: HA02 BUILD: Jan 1 2017"]);
    assert_eq!(colon.name.as_deref(), Some("Malyan"));
    assert_eq!(colon.version.as_deref(), Some("2.9"));
    assert_eq!(colon.machine_type.as_deref(), Some("M200"));
    let dot = report(&["NAME. Malyan\tVER: 2.9"]);
    assert_eq!(dot.name.as_deref(), Some("Malyan"));
    assert_eq!(dot.version.as_deref(), Some("2.9"));
}

#[test]
fn flashforge_gives_each_of_its_own_names_a_line() {
    let report = report(&[
        "CMD M115 Received.",
        "Machine Type: Flashforge Finder",
        "Machine Name: My Finder",
        "Firmware: v1.5 20170419",
        "SN: SNMOMC9900728",
        "X: 140 Y: 140 Z: 140",
        "Tool Count: 1",
        "ok",
    ]);
    assert_eq!(report.machine_type.as_deref(), Some("Flashforge Finder"));
    assert_eq!(report.version.as_deref(), Some("v1.5 20170419"));
    assert_eq!(report.name, None);
}

#[test]
fn hephestos_gives_each_pair_a_line_and_prusa_a_space_behind_the_colon() {
    let bq = report(&["FIRMWARE_NAME:Marlin", "FIRMWARE_VERSION:2.2.0", "MACHINE_TYPE:Hephestos_2"]);
    assert_eq!(bq.name.as_deref(), Some("Marlin"));
    assert_eq!(bq.version.as_deref(), Some("2.2.0"));
    assert_eq!(bq.machine_type.as_deref(), Some("Hephestos_2"));
    let prusa = report(&["FIRMWARE_NAME: Prusa-Firmware 3.13.3 based on Marlin FIRMWARE_URL: \
                          https://github.com/prusa3d/Prusa-Firmware MACHINE_TYPE: Prusa i3 MK3S EXTRUDER_COUNT: 1"]);
    assert_eq!(prusa.name.as_deref(), Some("Prusa-Firmware 3.13.3 based on Marlin"));
    assert_eq!(prusa.version.as_deref(), Some("3.13.3"));
    assert_eq!(prusa.machine_type.as_deref(), Some("Prusa i3 MK3S"));
}

#[test]
fn others() {
    let duet = report(&["FIRMWARE_NAME: RepRapFirmware for Duet 2 WiFi/Ethernet FIRMWARE_VERSION: 3.4.5 \
                         ELECTRONICS: Duet WiFi 1.02 or later FIRMWARE_DATE: 2022-11-30"]);
    assert_eq!(duet.name.as_deref(), Some("RepRapFirmware for Duet 2 WiFi/Ethernet"));
    assert_eq!(duet.version.as_deref(), Some("3.4.5"));
    let smoothie = report(&["FIRMWARE_NAME:Smoothieware, FIRMWARE_URL:http%3A//smoothieware.org, \
                             X-SOURCE_CODE_URL:https://github.com/Smoothieware/Smoothieware, \
                             FIRMWARE_VERSION:edge-94de12c, X-FIRMWARE_BUILD_DATE:Oct 28 2014 13:24:47"]);
    assert_eq!(smoothie.name.as_deref(), Some("Smoothieware"));
    assert_eq!(smoothie.version.as_deref(), Some("edge-94de12c"));
    let teacup = report(&[
        "FIRMWARE_NAME:Teacup FIRMWARE_URL:http://github.com/traumflug/Teacup_Firmware/ PROTOCOL_VERSION:1.0 \
         MACHINE_TYPE:Mendel EXTRUDER_COUNT:1 TEMP_SENSOR_COUNT:2 HEATER_COUNT:2",
        "cap:autoreport_temp:1",
    ]);
    assert_eq!(teacup.source_url.as_deref(), Some("http://github.com/traumflug/Teacup_Firmware/"));
    assert_eq!(teacup.machine_type.as_deref(), Some("Mendel"));
    assert!(teacup.has("AUTOREPORT_TEMP"));
    let repetier = report(&["FIRMWARE_NAME:Repetier_0.92.9 FIRMWARE_URL:https://github.com/repetier/ \
                             PROTOCOL_VERSION:1.0 MACHINE_TYPE:Mendel EXTRUDER_COUNT:2 REPETIER_PROTOCOL:3"]);
    assert_eq!(repetier.name.as_deref(), Some("Repetier_0.92.9"));
    assert_eq!(repetier.extruders, Some(2));
}

#[test]
fn nothing_is_learnt_from_other_lines() {
    let mut report = FirmwareReport::default();
    for line in [
        "",
        "ok",
        "ok T:19.4 /0.0 B:19.4 /0.0 @:0 B@:0",
        "echo:busy: processing",
        "Cap:",
        "Cap:EEPROM",
        "Cap:EEPROM:2",
        "Cap::1",
        "Cap:A B:1",
        "FIRMWARE_NAME:",
        "EXTRUDER_COUNT:many",
        "::::",
        "\u{fffd}\u{0}\u{fffd}\u{fc}\u{fc}:",
    ] {
        assert!(!report.feed(line), "{line:?}");
    }
    assert_eq!(report, FirmwareReport::default());
}

#[test]
fn what_was_told_first_stays() {
    let report = report(&["FIRMWARE_NAME:Marlin 1.1.9", "FIRMWARE_NAME:Other 3.0.0 MACHINE_TYPE:A"]);
    assert_eq!(report.name.as_deref(), Some("Marlin 1.1.9"));
    assert_eq!(report.version.as_deref(), Some("1.1.9"));
    assert_eq!(report.machine_type.as_deref(), Some("A"));
}

#[test]
fn what_is_kept_is_bounded() {
    let mut report = FirmwareReport::default();
    report.feed(&format!("FIRMWARE_NAME:{}", "\u{fc}".repeat(100_000)));
    assert_eq!(report.name.as_ref().unwrap().chars().count(), 256);
    for number in 0..1000 {
        report.feed(&format!("Cap:C{number}:1"));
    }
    assert_eq!(report.capabilities.len(), 128);
    assert!(!report.feed(&format!("Cap:{}:1", "C".repeat(65))));
}
