//! How much may be on its way to the firmware before a reply comes.

use serde::Deserialize;

/// The window: which rule bounds it, and the numbers that the rule needs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// Which rule bounds the window.
    pub window: Window,
    /// When the firmware acknowledges a line.
    pub ack: Ack,
    /// Size of the firmware's receive ring in bytes; at most one less is ever on its way.
    pub rx_bytes: u32,
    /// Most lines on their way at once, whatever their length.
    pub max_lines: u32,
    /// Command queue behind the ring, in lines.
    #[serde(default)]
    pub queue_lines: u32,
    /// Moves that the planner holds.
    #[serde(default)]
    pub planner_moves: u32,
    /// Whether XON/XOFF may be turned on when the firmware reports `Cap:SERIAL_XON_XOFF:1`.
    #[serde(default)]
    pub xon_xoff: bool,
}

/// Which rule bounds the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// One line at a time.
    OneLine,
    /// Un-acknowledged bytes, number, checksum and line feed counted, stay below the ring's size.
    Bytes,
    /// As `Bytes`, and the lines that fill a known command queue are not counted.
    BytesAndQueue,
    /// As `Bytes`, widened by the free queue slots that `ok N P B` reports.
    AdvancedOk,
    /// Character counting (grbl): acknowledgement on parse, un-acknowledged bytes below the ring's size.
    CharacterCount,
    /// Lines only: USB itself holds the sender back (CDC).
    UsbBackPressure,
}

impl Window {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::OneLine,
        Self::Bytes,
        Self::BytesAndQueue,
        Self::AdvancedOk,
        Self::CharacterCount,
        Self::UsbBackPressure,
    ];

    /// Its name, as in a profile.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneLine => "one-line",
            Self::Bytes => "bytes",
            Self::BytesAndQueue => "bytes-and-queue",
            Self::AdvancedOk => "advanced-ok",
            Self::CharacterCount => "character-count",
            Self::UsbBackPressure => "usb-back-pressure",
        }
    }
}

/// When the firmware acknowledges a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ack {
    /// When it was executed; for a move, when it entered the planner.
    Executed,
    /// When it entered the command queue.
    Received,
    /// When it was parsed.
    Parsed,
}
