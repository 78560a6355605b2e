//! The last pieces of the conversation with the printer, kept for the moment something goes wrong.

use std::collections::VecDeque;

use spoolway_agent_core::Moment;

use super::tap::Tap;

/// Pieces that are kept; a piece is what one write or one read carried, mostly one or a few lines.
const PIECES: usize = 400;

/// Who said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The agent.
    Agent,
    /// The printer.
    Printer,
}

/// A bounded record of a conversation.
#[derive(Debug, Default)]
pub(super) struct WireLog {
    tap: Tap,
    pieces: VecDeque<(Moment, Speaker, Vec<u8>)>,
}

impl WireLog {
    /// A record of which watchers get a copy.
    pub(super) fn new(tap: Tap) -> Self {
        Self { tap, pieces: VecDeque::new() }
    }

    /// Writes a piece down; the oldest goes.
    pub(super) fn note(&mut self, at: Moment, speaker: Speaker, bytes: &[u8]) {
        self.tap.note(at, speaker, bytes);
        let mut buffer = if self.pieces.len() >= PIECES {
            self.pieces.pop_front().map(|(_, _, buffer)| buffer).unwrap_or_default()
        } else {
            Vec::new()
        };
        buffer.clear();
        buffer.extend_from_slice(bytes);
        self.pieces.push_back((at, speaker, buffer));
    }

    /// Everything that is kept, a line each: seconds, direction, text.
    #[must_use]
    pub(super) fn dump(&self) -> String {
        let mut text = String::new();
        for (at, speaker, bytes) in &self.pieces {
            let sign = if *speaker == Speaker::Agent { '>' } else { '<' };
            for line in bytes.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
                let seconds = at.as_micros() as f64 / 1e6;
                text.push_str(&format!(
                    "{seconds:10.3} {sign} {}\n",
                    String::from_utf8_lossy(line).escape_debug()
                ));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes() {
        let mut log = WireLog::default();
        for n in 0..PIECES + 5 {
            log.note(Moment::from_millis(n as u64), Speaker::Agent, format!("N{n} G28\n").as_bytes());
        }
        log.note(Moment::from_millis(9), Speaker::Printer, b"ok\nok\n");
        let dump = log.dump();
        assert!(!dump.contains("N5 G28\n") && dump.contains("> N6 G28\n"), "{dump}");
        assert_eq!(dump.matches("< ok\n").count(), 2);
    }
}
