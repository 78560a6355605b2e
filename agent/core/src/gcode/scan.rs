//! Reads a whole file ahead of its print: is every line one that this firmware can take, and what does the file hold?

use super::frame::Framing;
use super::line::{LineError, Problem};
use super::reader::{Position, Reader};
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

/// The scan of one file.
#[derive(Debug)]
pub struct Scan {
    framing: Framing,
    reader: Reader,
    commands: u64,
    refused: Option<LineError>,
}

impl Scan {
    /// A scan for a firmware that frames its lines so.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self { framing, reader: Reader::new(), commands: 0, refused: None }
    }

    /// Takes the next piece of the file.
    ///
    /// # Errors
    /// The first line that cannot be printed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), LineError> {
        let Self { framing, reader, commands, refused } = self;
        reader.push(bytes, |command, at| check(framing, commands, refused, command, at))?;
        refused.take().map_or(Ok(()), Err)
    }

    /// The file has ended.
    ///
    /// # Errors
    /// The last line cannot be printed, or the file holds no command.
    pub fn finish(mut self) -> Result<Summary, LineError> {
        let Self { framing, reader, commands, refused } = &mut self;
        reader.finish(|command, at| check(framing, commands, refused, command, at))?;
        if let Some(error) = refused.take() {
            return Err(error);
        }
        let Position { line, byte, layer } = self.reader.position();
        if self.commands == 0 {
            return Err(LineError { line, problem: Problem::Empty });
        }
        Ok(Summary { commands: self.commands, lines: line - 1, bytes: byte, layers: layer })
    }
}

fn check(
    framing: &Framing,
    commands: &mut u64,
    refused: &mut Option<LineError>,
    command: &[u8],
    at: Position,
) {
    *commands += 1;
    let length = longest_frame(framing, *commands, command.len());
    if length > framing.max_line_bytes && refused.is_none() {
        let problem = Problem::TooLong { length, limit: framing.max_line_bytes };
        *refused = Some(LineError { line: at.line, problem });
    }
}

/// Longest that the `nth` command of a file can be on the wire, in bytes without its line feed. The agent's own lines
/// (reports, scripts) take numbers too, so twice the count is assumed.
#[inline]
pub(crate) fn longest_frame(framing: &Framing, nth: u64, command_bytes: usize) -> usize {
    let number = u32::try_from(u64::from(FIRST_NUMBER) * 2 + nth * 2).unwrap_or(u32::MAX);
    framing.framed_len(number, command_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use spoolway_firmware_profiles::profile::Checksum;

    fn scan(text: &[u8]) -> Result<Summary, LineError> {
        let framing =
            Framing { prefix: Vec::new(), numbered: true, checksum: Checksum::Xor8, max_line_bytes: 95 };
        let mut scan = Scan::new(framing);
        scan.push(text)?;
        scan.finish()
    }

    #[test]
    fn counts_what_a_file_holds() {
        let summary = scan(b";LAYER_CHANGE\nG28\nG1 X1\n;LAYER_CHANGE\nG1 X2").unwrap();
        assert_eq!(summary, Summary { commands: 3, lines: 5, bytes: 43, layers: 2 });
    }

    #[test]
    fn finds_the_line_that_is_too_long_before_anything_is_sent() {
        let long = format!("G28\nM117 {}\n", "x".repeat(90));
        let error = scan(long.as_bytes()).unwrap_err();
        assert_eq!(error.line, 2);
        assert!(matches!(error.problem, Problem::TooLong { limit: 95, .. }));
    }

    #[test]
    fn an_empty_file_is_an_error() {
        assert_eq!(scan(b"; nothing\n").unwrap_err().problem, Problem::Empty);
    }
}
