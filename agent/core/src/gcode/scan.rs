//! What a file holds, and how long its lines become on the wire.

use super::frame::Framing;
use crate::stream::FIRST_NUMBER;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Commands to be sent.
    pub commands: u64,
    /// Lines, comments and blank ones included.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
    /// Layers marked by the slicer.
    pub layers: u32,
}

/// Longest that the `nth` command of a file can be on the wire, in bytes without its line feed. The agent's own lines
/// (reports, scripts) take numbers too, so twice the count is assumed.
#[inline]
pub(crate) fn longest_frame(framing: &Framing, nth: u64, command_bytes: usize) -> usize {
    let number = u32::try_from(u64::from(FIRST_NUMBER) * 2 + nth * 2).unwrap_or(u32::MAX);
    framing.framed_len(number, command_bytes)
}
