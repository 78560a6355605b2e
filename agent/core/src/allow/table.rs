//! The words of the allow-list, and why others are denied.

/// When a command may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// It only asks.
    Always,
    /// It changes what is reported.
    Idle,
    /// It sets a temperature, which has to be within the profile's limit.
    Heat(Heater),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heater {
    HotEnd,
    Bed,
    Chamber,
}

/// Command, when it may be sent, and the letters of its parameters.
pub(super) const ALLOWED: &[(&str, When, &str)] = &[
    ("M20", When::Idle, "L"),
    ("M27", When::Always, "C"),
    ("M31", When::Always, ""),
    ("M78", When::Always, ""),
    ("M104", When::Heat(Heater::HotEnd), "ST"),
    ("M105", When::Always, ""),
    ("M114", When::Always, "DER"),
    ("M115", When::Always, ""),
    ("M119", When::Always, ""),
    ("M140", When::Heat(Heater::Bed), "S"),
    ("M141", When::Heat(Heater::Chamber), "S"),
    ("M155", When::Idle, "S"),
    ("M503", When::Always, "S"),
];

/// Questions of grbl, which has no numbers; each is a whole line.
pub(super) const GRBL: &[&str] = &["$", "$$", "$#", "$G", "$I", "$N"];

/// Whole words of grbl that need a window, besides its settings (`$110=500`).
pub(super) const GRBL_MAINTENANCE: &[&str] = &["$H", "$X"];

/// Commands that are sent while a maintenance window is open and no job is under way, and why not otherwise.
pub(super) const MAINTENANCE: &[(&[&str], &str)] = &[
    (&["M500", "M501", "M502", "M504"], "it writes or replaces the printer's stored settings"),
    (&["M303", "M306"], "it heats by itself for a long time"),
    (&["M997", "M999"], "it restarts the printer or replaces its firmware"),
    (
        &["M206", "M218", "M290", "M420", "M421", "M428", "M665", "M666", "M851"],
        "it changes offsets of the machine",
    ),
    (
        &[
            "M92", "M200", "M201", "M203", "M204", "M205", "M211", "M301", "M304", "M569", "M593", "M900",
            "M906", "M913", "M914",
        ],
        "it tunes the machine",
    ),
    (
        &[
            "G0", "G1", "G27", "G28", "G29", "G30", "G90", "G91", "G92", "M48", "M82", "M83", "M120", "M121",
            "M302",
        ],
        "it moves the machine or changes how it moves",
    ),
    (&["M106", "M107", "M280"], "it switches outputs of the machine"),
    (&["M17", "M18", "M84"], "it switches the motors"),
];

/// Commands that somebody may well try, and why they are denied.
const DENIED: &[(&[&str], &str)] = &[
    (
        &["M112", "M108", "M410"],
        "stop, cancel and pause are commands of their own: `estop`, `cancel`, `pause`",
    ),
    (&["M109", "M190", "M191"], "it blocks the printer; set the temperature with M104, M140 or M141"),
    (&["M110"], "line numbers are the agent's own matter"),
    (&["M876"], "questions of the printer are answered with `answer`"),
    (
        &["M23", "M24", "M25", "M26", "M28", "M29", "M30", "M32"],
        "it prints from or changes the printer's own card",
    ),
    (&["M80", "M81"], "it switches the power"),
    (&["M42", "M226"], "it switches or waits for pins of the board"),
    (&["M0", "M1", "M600", "M701", "M702", "M125"], "it moves the machine and waits for a person"),
];

pub(super) fn why_denied(command: &str) -> &'static str {
    if let Some((_, reason)) = DENIED.iter().find(|(names, _)| names.contains(&command)) {
        return reason;
    }
    match command.as_bytes().first() {
        Some(b'G') => "it moves the machine or changes how it moves",
        Some(b'T') => "it changes the tool",
        Some(b'N') => "line numbers are the agent's own matter",
        _ => "it is not among the questions that are known to be harmless",
    }
}
