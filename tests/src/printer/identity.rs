//! Who each firmware says it is: the banner after a reset and the answer to `M115` or `$I`.

/// What a firmware says of itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    /// After a reset.
    pub banner: &'static [&'static str],
    /// The answer to `M115`, ahead of the capabilities.
    pub answer: &'static [&'static str],
    /// How capabilities are listed.
    pub capabilities: Capabilities,
    /// Whether `$I` is what it answers, and not `M115`.
    pub by_dollar: bool,
}

/// How capabilities are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capabilities {
    /// Not at all.
    None,
    /// All that Marlin 2 lists, `Cap:NAME:0` for those that are off.
    Marlin,
    /// These, and the regular temperature report when it is on; in front of each stands this word.
    Some(&'static str, &'static [&'static str]),
}

pub(super) const MARLIN: Identity = Identity {
    banner: &["start", "echo:Marlin bugfix-2.0.x"],
    answer: &[concat!(
        "FIRMWARE_NAME:Marlin bugfix-2.0.x (simulated) SOURCE_CODE_URL:github.com/MarlinFirmware/Marlin ",
        "PROTOCOL_VERSION:1.0 MACHINE_TYPE:3D Printer EXTRUDER_COUNT:1 ",
        "UUID:cede2a2f-41a2-4748-9b12-c55c62f367ff"
    )],
    capabilities: Capabilities::Marlin,
    by_dollar: false,
};

/// A board that nobody has described; it speaks as Marlin does.
pub(super) const UNHEARD_OF: Identity = Identity {
    banner: &["start"],
    answer: &["FIRMWARE_NAME:Zappelfix 7 PROTOCOL_VERSION:1.0 MACHINE_TYPE:Eigenbau EXTRUDER_COUNT:1"],
    capabilities: Capabilities::None,
    ..MARLIN
};

pub(super) const MARLIN_CDC: Identity = Identity {
    banner: &["start", "echo: Marlin 2.1.2.1"],
    answer: &[concat!(
        "FIRMWARE_NAME:Marlin 2.1.2.1 (Mar 11 2024 09:00:00) SOURCE_CODE_URL:github.com/MarlinFirmware/Marlin ",
        "PROTOCOL_VERSION:1.0 MACHINE_TYPE:3D Printer EXTRUDER_COUNT:1 ",
        "UUID:cede2a2f-41a2-4748-9b12-c55c62f367ff"
    )],
    ..MARLIN
};

pub(super) const CREALITY: Identity = Identity {
    banner: &["start", "echo:Marlin 2.0.8.26F4"],
    answer: &[concat!(
        "FIRMWARE_NAME:Marlin 2.0.8.26F4 (Nov 24 2022 17:17:05) SOURCE_CODE_URL:www.creality.com ",
        "PROTOCOL_VERSION:1.0 MACHINE_TYPE:Ender-3 V2 EXTRUDER_COUNT:1 ",
        "UUID:cede2a2f-41a2-4748-9b12-c55c62f367ff"
    )],
    ..MARLIN
};

pub(super) const ANYCUBIC: Identity = Identity {
    banner: &["start", "echo:Marlin 1.1.0-RC8"],
    answer: &[concat!(
        "FIRMWARE_NAME:Marlin 1.1.0-RC8 (Github) SOURCE_CODE_URL:https://github.com/MarlinFirmware/Marlin ",
        "PROTOCOL_VERSION:1.0 MACHINE_TYPE:Anycubic i3 Mega EXTRUDER_COUNT:1 ",
        "UUID:cede2a2f-41a2-4748-9b12-c55c62f367ff"
    )],
    capabilities: Capabilities::None,
    ..MARLIN
};

pub(super) const MALYAN: Identity = Identity {
    banner: &["start"],
    answer: &["NAME: Malyan\tVER: 2.9\tMODEL: M200\tHW: HA02"],
    capabilities: Capabilities::None,
    ..MARLIN
};

pub(super) const ULTIMAKER2: Identity = Identity {
    banner: &["start", "echo:Marlin 1.0.0"],
    answer: &[concat!(
        "FIRMWARE_NAME:Marlin Ultimaker2; Sprinter/grbl mashup for gen6 ",
        "FIRMWARE_URL:http://github.com/Ultimaker PROTOCOL_VERSION:1.0 MACHINE_TYPE:Ultimaker EXTRUDER_COUNT:1"
    )],
    capabilities: Capabilities::None,
    ..MARLIN
};

pub(super) const PRUSA_MK: Identity = Identity {
    banner: &["start", "echo:Prusa i3 MK3S OK", "echo: 3.13.2-7080"],
    answer: &[concat!(
        "FIRMWARE_NAME:Prusa-Firmware 3.13.2 based on Marlin ",
        "FIRMWARE_URL:https://github.com/prusa3d/Prusa-Firmware PROTOCOL_VERSION:1.0 ",
        "MACHINE_TYPE:Prusa i3 MK3S EXTRUDER_COUNT:1 UUID:00000000-0000-0000-0000-000000000000"
    )],
    capabilities: Capabilities::Some("Cap", &["AUTOREPORT_FANS", "AUTOREPORT_POSITION", "EXTENDED_M20"]),
    by_dollar: false,
};

pub(super) const PRUSA_BUDDY: Identity = Identity {
    banner: &["start"],
    answer: &[concat!(
        "FIRMWARE_NAME:Prusa-Firmware-Buddy 5.1.2+13478 (Github) ",
        "SOURCE_CODE_URL:https://github.com/prusa3d/Prusa-Firmware-Buddy PROTOCOL_VERSION:1.0 ",
        "MACHINE_TYPE:Prusa-MK4 EXTRUDER_COUNT:1 UUID:cede2a2f-41a2-4748-9b12-c55c62f367ff"
    )],
    ..MARLIN
};

pub(super) const REPETIER: Identity = Identity {
    banner: &["start", "Info:External Reset"],
    answer: &[concat!(
        "FIRMWARE_NAME:Repetier_1.0.4 COMPILED:Nov 24 2022 ",
        "FIRMWARE_URL:https://github.com/repetier/Repetier-Firmware/ PROTOCOL_VERSION:1.0 ",
        "MACHINE_TYPE:Mendel EXTRUDER_COUNT:1 REPETIER_PROTOCOL:3"
    )],
    capabilities: Capabilities::Some("Cap", &["PROGRESS", "EEPROM"]),
    by_dollar: false,
};

pub(super) const SMOOTHIEWARE: Identity = Identity {
    banner: &["Smoothie", "ok"],
    answer: &[concat!(
        "FIRMWARE_NAME:Smoothieware, FIRMWARE_URL:http%3A//smoothieware.org, ",
        "X-SOURCE_CODE_URL:https://github.com/Smoothieware/Smoothieware, FIRMWARE_VERSION:edge-3332442, ",
        "X-FIRMWARE_BUILD_DATE:Nov 24 2022 17:17:05, X-SYSTEM_CLOCK:120MHz, X-AXES:3, X-GRBL_MODE:0"
    )],
    capabilities: Capabilities::None,
    by_dollar: false,
};

pub(super) const REPRAPFIRMWARE: Identity = Identity {
    banner: &["RepRapFirmware for Duet 2 WiFi/Ethernet is up and running."],
    answer: &[concat!(
        "FIRMWARE_NAME: RepRapFirmware for Duet 2 WiFi/Ethernet FIRMWARE_VERSION: 3.4.6 ",
        "ELECTRONICS: Duet WiFi 1.02 or later + DueX5 FIRMWARE_DATE: 2023-07-21 14:08:28"
    )],
    capabilities: Capabilities::None,
    by_dollar: false,
};

pub(super) const KLIPPER: Identity = Identity {
    banner: &["// Klipper state: Ready"],
    answer: &["FIRMWARE_NAME:Klipper FIRMWARE_VERSION:v0.12.0-85-gd785b396"],
    capabilities: Capabilities::None,
    by_dollar: false,
};

pub(super) const TEACUP: Identity = Identity {
    banner: &["start"],
    answer: &[concat!(
        "FIRMWARE_NAME:Teacup FIRMWARE_URL:http://github.com/traumflug/Teacup_Firmware/ PROTOCOL_VERSION:1.0 ",
        "MACHINE_TYPE:Mendel EXTRUDER_COUNT:1 TEMP_SENSOR_COUNT:2 HEATER_COUNT:2"
    )],
    capabilities: Capabilities::Some("cap", &[]),
    by_dollar: false,
};

pub(super) const GRBL: Identity = Identity {
    banner: &["", "Grbl 1.1h ['$' for help]"],
    answer: &["[VER:1.1h.20190830:]", "[OPT:V,15,128]"],
    capabilities: Capabilities::None,
    by_dollar: true,
};

pub(super) const GRBLHAL: Identity = Identity {
    banner: &["", "GrblHAL 1.1f ['$' or '$HELP' for help]"],
    answer: &[
        "[VER:1.1f.20260817:]",
        "[OPT:VNML+,100,1024,3,0]",
        "[AXS:3:XYZ]",
        "[NEWOPT:ENUMS,RT+,TC,SED]",
        "[FIRMWARE:grblHAL]",
        "[DRIVER:Simulator]",
    ],
    capabilities: Capabilities::None,
    by_dollar: true,
};

pub(super) const FLASHFORGE: Identity = Identity {
    banner: &[],
    answer: &[
        "Machine Type: FlashForge Finder",
        "Machine Name: My 3D Printer",
        "Firmware: v1.5.20170419",
        "SN: SNFF00000001",
        "X: 140 Y: 140 Z: 140",
        "Tool Count: 1",
    ],
    capabilities: Capabilities::None,
    by_dollar: false,
};
