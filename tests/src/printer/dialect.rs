//! What one firmware says and checks that another does not: data that the one machine reads.
//!
//! Each entry stands for the board that belongs to the firmware profile of the same name. The words come from the
//! firmwares' own sources (`queue.cpp` of Marlin, `cmdqueue.cpp` of Prusa-Firmware, `gcode.cpp` of Repetier,
//! `GcodeDispatch.cpp` of Smoothieware, `StringParser.cpp` of RepRapFirmware, `gcode_parse.c` of Teacup, `gcode.py` of
//! Klipper, `protocol.c` and `report.c` of grbl) and from conversations with running firmware. Nothing here is read from a
//! profile: what a profile says of a firmware has to fit what the firmware does.

use super::identity::{self, Identity};

/// What the firmware makes of numbers and checksums, and how it asks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Number, then checksum; `Error:`, flush, `Resend: n`, `ok`.
    Marlin,
    /// Checksum, then 16 bits of the number; `Resend:n` and `ok`, then `skip`s; nothing is flushed.
    Repetier,
    /// Both together; `rs N<n>` without `ok`.
    Smoothieware,
    /// The checksum only; a bad or missing one drops the line without a word.
    RepRapFirmware,
    /// The checksum only; `rs N<n> Expected checksum <c>` and `ok`.
    Teacup,
    /// Number and checksum are cut off and not looked at.
    Klipper,
    /// There are none.
    Plain,
}

/// When a line is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledged {
    /// Once it is carried out; a move: once the planner has it.
    Executed,
    /// Once it enters the queue, as `ok <number>`.
    Received,
}

/// Where temperatures stand that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temperatures {
    /// `ok T:...`.
    OnOk,
    /// On a line of their own.
    OwnLine,
    /// The firmware knows none.
    Unknown,
}

/// The words of one firmware.
#[derive(Debug, PartialEq, Eq)]
pub struct Dialect {
    /// The profile that this board belongs to.
    pub profile: &'static str,
    /// What it checks.
    pub protection: Protection,
    /// When it acknowledges.
    pub acknowledged: Acknowledged,
    /// Where temperatures stand.
    pub temperatures: Temperatures,
    /// Whether a blank line is acknowledged too.
    pub acknowledges_blanks: bool,
    /// What every command has to begin with; lines without are not heard.
    pub lead: Option<u8>,
    /// Whether `?`, `!`, `~` and Ctrl-X act from the receive interrupt.
    pub realtime: bool,
    /// What stands before `processing` while a command blocks.
    pub busy: &'static str,
    /// Printed when the ring is found full.
    pub overrun: Option<&'static str>,
    /// What an unknown command is answered with, ahead of its `ok`; `{}` stands for the command.
    pub unknown: Option<&'static str>,
    /// A line that is no command at all is answered with this instead of `ok`.
    pub no_command: Option<&'static str>,
    /// Printed when the firmware stops for good.
    pub halted: &'static [&'static str],
    /// Who it says it is.
    pub identity: &'static Identity,
    /// What a move is answered with, ahead of its `ok`, once a reset has made the board forget where it is, until it is homed;
    /// the move is not made.
    pub unhomed: Option<&'static str>,
    /// Whether `M110` counts when the line is read, instead of when its turn has come.
    pub counts_at_once: bool,
}

/// Marlin 2 (`queue.cpp`, `language.h`).
pub const MARLIN: Dialect = Dialect {
    profile: "marlin",
    protection: Protection::Marlin,
    acknowledged: Acknowledged::Executed,
    temperatures: Temperatures::OnOk,
    acknowledges_blanks: false,
    lead: None,
    realtime: false,
    busy: "echo:busy: ",
    overrun: None,
    unknown: Some("echo:Unknown command: \"{}\""),
    no_command: None,
    halted: &["Error:Printer halted. kill() called!"],
    identity: &identity::MARLIN,
    unhomed: None,
    counts_at_once: false,
};

/// A firmware that checks nothing and says little.
const SIMPLE: Dialect = Dialect {
    protection: Protection::Plain,
    temperatures: Temperatures::Unknown,
    busy: "",
    unknown: None,
    halted: &[],
    counts_at_once: true,
    ..MARLIN
};

const ALL: [Dialect; 17] = [
    MARLIN,
    Dialect { profile: "generic", identity: &identity::UNHEARD_OF, ..MARLIN },
    Dialect { profile: "marlin-cdc", identity: &identity::MARLIN_CDC, ..MARLIN },
    Dialect { profile: "creality", identity: &identity::CREALITY, ..MARLIN },
    Dialect { profile: "anycubic", identity: &identity::ANYCUBIC, ..MARLIN },
    Dialect { profile: "malyan", identity: &identity::MALYAN, ..MARLIN },
    Dialect { profile: "ultimaker2", identity: &identity::ULTIMAKER2, ..MARLIN },
    Dialect {
        profile: "prusa-mk",
        identity: &identity::PRUSA_MK,
        overrun: Some("Full RX Buffer"),
        unknown: Some("echo:Unknown command: {}"),
        ..MARLIN
    },
    Dialect { profile: "prusa-buddy", identity: &identity::PRUSA_BUDDY, ..MARLIN },
    Dialect {
        profile: "repetier",
        protection: Protection::Repetier,
        acknowledged: Acknowledged::Received,
        temperatures: Temperatures::OwnLine,
        busy: "busy:",
        unknown: Some("Unknown command:{}"),
        halted: &["fatal:Emergency stop"],
        identity: &identity::REPETIER,
        counts_at_once: true,
        ..MARLIN
    },
    Dialect {
        profile: "smoothieware",
        protection: Protection::Smoothieware,
        temperatures: Temperatures::OnOk,
        acknowledges_blanks: true,
        no_command: Some("ok - ignored"),
        halted: &["ok Emergency Stop Requested - reset or M999 required to exit HALT state", "!!"],
        identity: &identity::SMOOTHIEWARE,
        ..SIMPLE
    },
    Dialect {
        profile: "reprapfirmware",
        protection: Protection::RepRapFirmware,
        temperatures: Temperatures::OnOk,
        unknown: Some("Warning: {}: Command is not supported"),
        halted: &["Emergency Stop! Reset the controller to continue."],
        unhomed: Some("Error: G0/G1: insufficient axes homed"),
        identity: &identity::REPRAPFIRMWARE,
        ..SIMPLE
    },
    Dialect {
        profile: "klipper",
        protection: Protection::Klipper,
        temperatures: Temperatures::OnOk,
        acknowledges_blanks: true,
        unknown: Some("// Unknown command:\"{}\""),
        halted: &["!! Shutdown due to M112 command"],
        identity: &identity::KLIPPER,
        ..SIMPLE
    },
    Dialect {
        profile: "teacup",
        protection: Protection::Teacup,
        temperatures: Temperatures::OwnLine,
        identity: &identity::TEACUP,
        ..SIMPLE
    },
    Dialect {
        profile: "grbl",
        acknowledges_blanks: true,
        realtime: true,
        no_command: Some("error:1"),
        identity: &identity::GRBL,
        ..SIMPLE
    },
    Dialect {
        profile: "grblhal",
        acknowledges_blanks: true,
        realtime: true,
        no_command: Some("error:1"),
        identity: &identity::GRBLHAL,
        ..SIMPLE
    },
    Dialect {
        profile: "flashforge",
        temperatures: Temperatures::OwnLine,
        lead: Some(b'~'),
        identity: &identity::FLASHFORGE,
        ..SIMPLE
    },
];

/// One place in memory for each, so that an option can point at it.
static DIALECTS: [Dialect; 17] = ALL;

impl Dialect {
    /// The dialect of the board that belongs to a profile.
    #[must_use]
    pub fn of_profile(id: &str) -> Option<&'static Self> {
        DIALECTS.iter().find(|dialect| dialect.profile == id)
    }

    /// All of them.
    #[must_use]
    pub fn all() -> &'static [Self] {
        &DIALECTS
    }

    /// Whether a lost line shows by itself, because the next one is refused.
    #[must_use]
    pub fn verifies_sequence(&self) -> bool {
        matches!(self.protection, Protection::Marlin | Protection::Repetier | Protection::Smoothieware)
    }

    /// Whether a line whose `*` was hit is refused too, instead of being taken for one without a checksum.
    #[must_use]
    pub fn needs_checksum(&self) -> bool {
        matches!(self.protection, Protection::Marlin | Protection::RepRapFirmware)
    }

    /// Whether a damaged line is seen to be damaged.
    #[must_use]
    pub fn verifies_checksum(&self) -> bool {
        !matches!(self.protection, Protection::Klipper | Protection::Plain)
    }
}
