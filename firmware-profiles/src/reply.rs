//! What the firmware says, and what it means.

use serde::Deserialize;

/// Beginnings of reply lines, compared without regard to case after leading spaces, and what they mean.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replies {
    /// Acknowledges a line.
    pub ok: Vec<String>,
    /// Asks for a line again; the first number behind it is the line's.
    #[serde(default)]
    pub resend: Vec<String>,
    /// Whether an `ok` of its own follows every request to send again.
    #[serde(default)]
    pub ok_after_resend: bool,
    /// Acknowledges and drops a line that was numbered too low or too high (Repetier `skip 12`).
    #[serde(default)]
    pub skip: Vec<String>,
    /// The firmware works and cannot answer yet.
    #[serde(default)]
    pub busy: Vec<String>,
    /// The firmware's command queue is empty.
    #[serde(default)]
    pub wait: Vec<String>,
    /// The firmware has just started: whole lines.
    #[serde(default)]
    pub start: Vec<String>,
    /// The firmware has stopped for good: anywhere in the line.
    #[serde(default)]
    pub fatal: Vec<String>,
    /// An error line.
    #[serde(default)]
    pub error: Vec<String>,
    /// Whether an error line is itself the answer to a line, in place of an `ok` (grbl `error:20`).
    #[serde(default)]
    pub error_acknowledges: bool,
    /// Error lines that leave the job alone: anywhere in an error line.
    #[serde(default)]
    pub harmless_errors: Vec<String>,
    /// Host actions (`//action:`).
    #[serde(default)]
    pub action: Vec<String>,
    /// The firmware says that it had no room for bytes that came: anywhere in the line.
    #[serde(default)]
    pub overrun: Vec<String>,
}
