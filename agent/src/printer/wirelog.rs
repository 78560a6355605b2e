//! The last pieces of the conversation with the printer, kept for the moment something goes wrong.

use std::collections::VecDeque;

use spoolway_agent_core::Moment;
use tracing::{Level, enabled, trace};

use super::hush::Hush;
use super::tap::{LINE_BYTES, Tap, WireLine};

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

type Piece = (Moment, Speaker, Vec<u8>);

/// A bounded record of a conversation.
#[derive(Debug, Default)]
pub(super) struct WireLog {
    tap: Tap,
    pieces: VecDeque<Piece>,
    /// What the log shows of it, while it shows every line.
    traced: Assembly,
}

impl WireLog {
    /// A record of which watchers get a copy.
    pub(super) fn new(tap: Tap) -> Self {
        Self { tap, ..Self::default() }
    }

    /// Writes a piece down; the oldest goes.
    pub(super) fn note(&mut self, at: Moment, speaker: Speaker, bytes: &[u8]) {
        self.tap.note(at, speaker, bytes);
        if enabled!(target: "wire", Level::TRACE) {
            self.traced.take(at, speaker, bytes, |line| {
                let sign = line.sign();
                trace!(target: "wire", text = line.text, "{sign}");
            });
        }
        let mut buffer = if self.pieces.len() >= PIECES {
            self.pieces.pop_front().map(|(_, _, buffer)| buffer).unwrap_or_default()
        } else {
            Vec::new()
        };
        buffer.clear();
        buffer.extend_from_slice(bytes);
        self.pieces.push_back((at, speaker, buffer));
    }

    /// Everything that is kept, as lines, in the order of their ends; without what people have written into the print.
    #[must_use]
    pub(super) fn lines(&self) -> Vec<WireLine> {
        let (mut lines, mut assembly) = (Vec::new(), Assembly::default());
        for (at, speaker, bytes) in &self.pieces {
            assembly.take(*at, *speaker, bytes, |line| lines.push(line));
        }
        lines.extend(assembly.rest());
        lines
    }

    /// The same as text, a line each: seconds, direction, words.
    #[must_use]
    pub(super) fn dump(&self) -> String {
        let mut text = String::new();
        for line in self.lines() {
            let (sign, seconds) = (line.sign(), line.at.as_micros() as f64 / 1e6);
            text.push_str(&format!("{seconds:10.3} {sign} {}\n", line.text));
        }
        text
    }
}

impl WireLine {
    const fn sign(&self) -> char {
        match self.speaker {
            Speaker::Agent => '>',
            Speaker::Printer => '<',
        }
    }
}

/// Puts pieces together to lines, without what people have written into the print.
#[derive(Debug, Default)]
struct Assembly {
    halves: [Half; 2],
    hush: Hush,
}

impl Assembly {
    /// A piece; gives each line that ends in it.
    fn take(&mut self, at: Moment, speaker: Speaker, bytes: &[u8], mut give: impl FnMut(WireLine)) {
        let half = &mut self.halves[usize::from(speaker == Speaker::Printer)];
        half.at = at;
        for part in bytes.split_inclusive(|&b| b == b'\n') {
            let room = LINE_BYTES.saturating_sub(half.bytes.len());
            let (text, ends) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            half.bytes.extend(text.iter().take(room));
            if ends && let Some(line) = half.take(speaker, &mut self.hush) {
                give(line);
            }
        }
    }

    /// What was under way.
    fn rest(mut self) -> Vec<WireLine> {
        let halves = self.halves.iter_mut().zip([Speaker::Agent, Speaker::Printer]);
        halves.filter_map(|(half, speaker)| half.take(speaker, &mut self.hush)).collect()
    }
}

/// The beginning of a line whose end has not come yet.
#[derive(Debug, Default)]
struct Half {
    at: Moment,
    bytes: Vec<u8>,
}

impl Half {
    fn take(&mut self, speaker: Speaker, hush: &mut Hush) -> Option<WireLine> {
        let bytes = std::mem::take(&mut self.bytes);
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches('\r');
        let text = match speaker {
            Speaker::Agent => hush.sent(text),
            Speaker::Printer => hush.said(text),
        };
        (!text.is_empty()).then(|| WireLine { at: self.at, speaker, text: text.escape_debug().to_string() })
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

    #[test]
    fn lines_are_put_together_and_say_nothing_of_people() {
        let mut log = WireLog::default();
        for (at, speaker, piece) in [
            (1, Speaker::Agent, "N1 M117 Anna's vase*5\nN2 G2"),
            (2, Speaker::Printer, "echo:Anna"),
            (3, Speaker::Agent, "8*9\n"),
            (4, Speaker::Printer, "'s vase\r\nok\nT:2"),
        ] {
            log.note(Moment::from_millis(at), speaker, piece.as_bytes());
        }
        let lines: Vec<_> =
            log.lines().into_iter().map(|line| (line.at.as_millis(), line.speaker, line.text)).collect();
        let agent = |at, text: &str| (at, Speaker::Agent, text.to_owned());
        let printer = |at, text: &str| (at, Speaker::Printer, text.to_owned());
        assert_eq!(
            lines,
            [
                agent(1, "N1 M117 [text]*5"),
                agent(3, "N2 G28*9"),
                printer(4, "echo:[text]"),
                printer(4, "ok"),
                printer(4, "T:2"),
            ]
        );
    }
}
