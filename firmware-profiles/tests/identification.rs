//! What real printers print and answer, and the profile that each gets.

use spoolway_firmware_profiles::{FirmwareReport, Registry, identify};

/// The profile, the USB id of the port, the lines after a reset, the answer to M115.
type Printer = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

/// One row a printer.
const PRINTERS: &[Printer] = &[
    // Recorded conversations.
    (
        "marlin",
        "1a86:7523",
        &["start", "echo:Marlin bugfix-2.0.x"],
        &[
            "FIRMWARE_NAME:Marlin bugfix-2.0.x (Nov 22 2026 04:27:47) SOURCE_CODE_URL:github.com/MarlinFirmware/Marlin \
         PROTOCOL_VERSION:1.0 MACHINE_TYPE:3D Printer EXTRUDER_COUNT:1 UUID:cede2a2f-41a2-4748-9b12-c55c62f367ff",
            "Cap:EMERGENCY_PARSER:1",
        ],
    ),
    (
        "teacup",
        "2341:0042",
        &["start"],
        &[
            "FIRMWARE_NAME:Teacup FIRMWARE_URL:http://github.com/traumflug/Teacup_Firmware/ PROTOCOL_VERSION:1.0 \
         MACHINE_TYPE:Mendel EXTRUDER_COUNT:1 TEMP_SENSOR_COUNT:2 HEATER_COUNT:2",
            "cap:AUTOREPORT_TEMP:1",
        ],
    ),
    ("grbl", "1a86:7523", &["Grbl 1.1h ['$' for help]", "[MSG:'$H'|'$X' to unlock]"], &["error:20"]),
    ("grblhal", "0483:5740", &["GrblHAL 1.1f ['$' or '$HELP' for help]"], &["error:20"]),
    ("grbl", "", &["[VER:1.1h.20190830:]", "[OPT:V,15,128]"], &[]),
    (
        "grblhal",
        "0483:5740",
        &["[VER:1.1f.20260817:]", "[OPT:VNML+,100,1024,3,0]", "[FIRMWARE:grblHAL]"],
        &[],
    ),
    // A virtual printer that is no firmware at all.
    (
        "generic",
        "",
        &["wait"],
        &["FIRMWARE_NAME:Virtual Marlin 1.0 PROTOCOL_VERSION:1.0", "Cap:AUTOREPORT_TEMP:1"],
    ),
    // Marlin and what calls itself so.
    ("marlin", "", &["start", "Marlin 1.0.0"], &["ok"]),
    (
        "marlin",
        "0403:6001",
        &[],
        &["FIRMWARE_NAME:Marlin", "FIRMWARE_VERSION:2.2.0", "MACHINE_TYPE:Hephestos_2"],
    ),
    ("marlin-cdc", "1d50:6029", &["start"], &["FIRMWARE_NAME:Marlin 2.1.2 (x) MACHINE_TYPE:My Voron"]),
    ("marlin-cdc", "0483:5740", &[], &["FIRMWARE_NAME:Marlin 2.1.2.4 MACHINE_TYPE:BIQU BX"]),
    (
        "creality",
        "1a86:7523",
        &["start"],
        &[
            "FIRMWARE_NAME:Marlin 2.0.8.3 (Mar  3 2021 10:00:00) SOURCE_CODE_URL:github.com/MarlinFirmware/Marlin \
         PROTOCOL_VERSION:1.0 MACHINE_TYPE:Ender-3 V2 EXTRUDER_COUNT:1 UUID:cede2a2f-41a2-4748-9b12-c55c62f367ff",
        ],
    ),
    ("creality", "0403:6001", &[], &["FIRMWARE_NAME:Marlin 1.1.6.2 MACHINE_TYPE:CR-10S EXTRUDER_COUNT:1"]),
    (
        "anycubic",
        "10c4:ea60",
        &["start"],
        &[
            "FIRMWARE_NAME:Marlin 2.0.5.4 (knutwurst, Github) KNUTWURST_AI3M_VERSION:1.1.9 DISTRIBUTION_DATE:2021-01-13 \
         SOURCE_CODE_URL:https://github.com/knutwurst/Marlin-2-0-x-Anycubic-i3-MEGA-S PROTOCOL_VERSION:1.0 \
         MACHINE_TYPE:Knutwurst's Anycubic i3 MEGA EXTRUDER_COUNT:1 UUID:b6153152-86fb-4cd8-bda7-91c6a04c467d",
        ],
    ),
    ("anycubic", "1a86:7523", &[], &["FIRMWARE_NAME:Marlin 2.0.x (Nov 1 2021) MACHINE_TYPE:Anycubic Viper"]),
    (
        "ultimaker2",
        "2341:0010",
        &["start"],
        &[
            "FIRMWARE_NAME:Marlin Ultimaker2; Sprinter/grbl mashup for gen6 FIRMWARE_URL:http://github.com/Ultimaker \
         PROTOCOL_VERSION:1.0 MACHINE_TYPE:Ultimaker EXTRUDER_COUNT:1",
        ],
    ),
    // Prusa, old and new.
    (
        "prusa-mk",
        "2c99:0002",
        &["start", "echo: 3.14.1-8237"],
        &[
            "FIRMWARE_NAME:Prusa-Firmware 3.14.1 based on Marlin FIRMWARE_URL:https://github.com/prusa3d/Prusa-Firmware \
         PROTOCOL_VERSION:1.0 MACHINE_TYPE:Prusa i3 MK3S EXTRUDER_COUNT:1 UUID:00000000-0000-0000-0000-000000000000",
            "Cap:AUTOREPORT_TEMP:1",
            "Cap:PRUSA_MMU2:1",
        ],
    ),
    (
        "prusa-mk",
        "2c99:0001",
        &[],
        &["FIRMWARE_NAME: Prusa-Firmware 3.1.0 based on Marlin MACHINE_TYPE: Prusa i3 MK2"],
    ),
    (
        "prusa-buddy",
        "2c99:000c",
        &[],
        &["FIRMWARE_NAME:Prusa-Firmware-Buddy 4.3.4 (Github) SOURCE_CODE_URL:https://github.com/prusa3d/\
         Prusa-Firmware-Buddy PROTOCOL_VERSION:1.0 MACHINE_TYPE:Prusa-mini EXTRUDER_COUNT:1 \
         UUID:cede2a2f-41a2-4748-9b12-c55c62f367ff"],
    ),
    ("prusa-buddy", "", &[], &["FIRMWARE_NAME:Prusa-Firmware-Buddy 6.5.3+12780 MACHINE_TYPE:Prusa-Core-One"]),
    // Others by name.
    (
        "reprapfirmware",
        "1d50:60ec",
        &[],
        &[
            "FIRMWARE_NAME: RepRapFirmware for Duet 2 WiFi/Ethernet FIRMWARE_VERSION: 3.4.5 ELECTRONICS: Duet WiFi 1.02 \
         or later FIRMWARE_DATE: 2022-11-30",
        ],
    ),
    (
        "repetier",
        "2341:0042",
        &["start"],
        &["FIRMWARE_NAME:Repetier_0.92.9 FIRMWARE_URL:https://github.com/repetier/Repetier-Firmware/ \
         PROTOCOL_VERSION:1.0 MACHINE_TYPE:Mendel EXTRUDER_COUNT:1 REPETIER_PROTOCOL:3"],
    ),
    (
        "repetier",
        "1a86:7523",
        &["start"],
        &[
            "FIRMWARE_NAME:anet_a8 FIRMWARE_URL:https://github.com/repetier/Repetier-Firmware/ PROTOCOL_VERSION:1.0 \
         MACHINE_TYPE:Prusa EXTRUDER_COUNT:1",
        ],
    ),
    (
        "smoothieware",
        "1d50:6015",
        &["Smoothie", "ok"],
        &["FIRMWARE_NAME:Smoothieware, FIRMWARE_URL:http%3A//smoothieware.org, \
         X-SOURCE_CODE_URL:https://github.com/Smoothieware/Smoothieware, FIRMWARE_VERSION:edge-94de12c"],
    ),
    ("klipper", "", &[], &["ok FIRMWARE_NAME:Klipper FIRMWARE_VERSION:v0.12.0-85-gd785b396"]),
    ("klipper", "", &["// Klipper state: Ready"], &["// FIRMWARE_NAME:Klipper FIRMWARE_VERSION:v0.12.0"]),
    ("malyan", "0483:5740", &[], &["NAME: Malyan VER: 2.9 MODEL: M200 HW: HA02"]),
    (
        "malyan",
        "0483:5740",
        &[],
        &["NAME. Malyan\tVER: 4.0\tMODEL: M200\tHW: HH02", "CLK:EXT BUILD: Aug 10 2017"],
    ),
    (
        "flashforge",
        "2b71:0001",
        &[],
        &["CMD M115 Received.", "Machine Type: Flashforge Finder", "Firmware: v1.5 20170419"],
    ),
    // Names that only sound like one.
    ("generic", "", &["start"], &["FIRMWARE_NAME:Sprinter/grbl mashup for gen6 MACHINE_TYPE:Mendel"]),
    ("generic", "1d50:6029", &[], &["ok"]),
];

#[test]
fn real_printers_get_their_profile() {
    let registry = Registry::built_in();
    for (expected, usb, banners, answer) in PRINTERS {
        let usb = Some((*usb).to_owned()).filter(|id| !id.is_empty());
        let mut report = FirmwareReport { usb, ..FirmwareReport::default() };
        for line in *answer {
            report.feed(line);
        }
        let banners: Vec<String> = banners.iter().map(|&line| line.to_owned()).collect();
        let chosen = &identify(&registry, &banners, &report).profile.id;
        assert_eq!(chosen, expected, "{banners:?} {answer:?}");
    }
}

#[test]
fn every_profile_is_the_choice_for_some_printer() {
    for known in Registry::built_in().iter() {
        let id = known.profile.id.as_str();
        assert!(PRINTERS.iter().any(|(chosen, ..)| *chosen == id), "{id}");
    }
}
