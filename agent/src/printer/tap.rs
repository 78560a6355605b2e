//! The live conversation for whoever wants to watch it: bounded, and nobody who reads slowly holds up the printer thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use spoolway_agent_core::Moment;
use tokio::sync::broadcast;

use super::wirelog::Speaker;

/// Pieces that a slow watcher may be behind: seconds of the densest print. Then it misses some, and is told how many.
const PIECES: usize = 512;
/// Longest line that is put together, in bytes; more of a line that never ends is cut off.
pub(super) const LINE_BYTES: usize = 512;

/// What one write or one read carried.
#[derive(Debug, Clone)]
struct Piece {
    at: Moment,
    speaker: Speaker,
    bytes: Arc<[u8]>,
}

/// Where the conversation can be watched; clones are the same place.
#[derive(Debug, Clone)]
pub struct Tap {
    watchers: Arc<AtomicUsize>,
    pieces: broadcast::Sender<Piece>,
}

impl Default for Tap {
    fn default() -> Self {
        Self { watchers: Arc::default(), pieces: broadcast::channel(PIECES).0 }
    }
}

impl Tap {
    /// Passes a piece on. Without a watcher this costs one look at a counter.
    pub(super) fn note(&self, at: Moment, speaker: Speaker, bytes: &[u8]) {
        if self.watchers.load(Ordering::Relaxed) > 0 {
            drop(self.pieces.send(Piece { at, speaker, bytes: bytes.into() }));
        }
    }

    /// Watches from now on.
    #[must_use]
    pub fn watch(&self) -> Watcher {
        self.watchers.fetch_add(1, Ordering::Relaxed);
        Watcher {
            watchers: Arc::clone(&self.watchers),
            pieces: self.pieces.subscribe(),
            halves: [Vec::new(), Vec::new()],
            rest: None,
        }
    }
}

/// A line of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireLine {
    /// When its end was written or read.
    pub at: Moment,
    /// Who said it.
    pub speaker: Speaker,
    /// What was said; what is not printable is escaped.
    pub text: String,
}

/// What a watcher gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// A line.
    Line(WireLine),
    /// So many pieces, each of one or a few lines, went by unseen.
    Missed(u64),
}

/// Puts lines together for one watcher.
#[derive(Debug)]
pub struct Watcher {
    watchers: Arc<AtomicUsize>,
    pieces: broadcast::Receiver<Piece>,
    /// The beginnings of lines, of the agent and of the printer.
    halves: [Vec<u8>; 2],
    /// What is left of the last piece, and from where.
    rest: Option<(Piece, usize)>,
}

impl Watcher {
    /// The next line; `None` when the printer thread has ended.
    pub async fn next(&mut self) -> Option<Watched> {
        loop {
            if let Some(line) = self.take_line() {
                return Some(Watched::Line(line));
            }
            match self.pieces.recv().await {
                Ok(piece) => self.rest = Some((piece, 0)),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    self.halves = [Vec::new(), Vec::new()];
                    return Some(Watched::Missed(missed));
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    fn take_line(&mut self) -> Option<WireLine> {
        while let Some((piece, from)) = self.rest.take() {
            let half = &mut self.halves[usize::from(piece.speaker == Speaker::Printer)];
            let bytes = &piece.bytes[from..];
            let end = bytes.iter().position(|&b| b == b'\n');
            let text = &bytes[..end.unwrap_or(bytes.len())];
            half.extend_from_slice(&text[..text.len().min(LINE_BYTES.saturating_sub(half.len()))]);
            let Some(end) = end else { break };
            let line = std::mem::take(half);
            let (at, speaker) = (piece.at, piece.speaker);
            self.rest = Some((piece, from + end + 1));
            let text = String::from_utf8_lossy(line.trim_ascii()).escape_debug().to_string();
            if !text.is_empty() {
                return Some(WireLine { at, speaker, text });
            }
        }
        None
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn line(watcher: &mut Watcher) -> String {
        match watcher.next().await.unwrap() {
            Watched::Line(line) => format!("{:?} {}", line.speaker, line.text),
            Watched::Missed(missed) => format!("missed {missed}"),
        }
    }

    #[tokio::test]
    async fn lines_are_put_together_for_each_speaker() {
        let tap = Tap::default();
        tap.note(Moment::ZERO, Speaker::Printer, b"before anybody watched\n");
        let mut watcher = tap.watch();
        tap.note(Moment::ZERO, Speaker::Agent, b"N1 G28*18\nN2 M1");
        tap.note(Moment::ZERO, Speaker::Printer, b"o");
        tap.note(Moment::ZERO, Speaker::Agent, b"05*37\n");
        tap.note(Moment::ZERO, Speaker::Printer, b"k\r\n\n T:\x1b20\nrest");
        assert_eq!(line(&mut watcher).await, "Agent N1 G28*18");
        assert_eq!(line(&mut watcher).await, "Agent N2 M105*37");
        assert_eq!(line(&mut watcher).await, "Printer ok");
        assert_eq!(line(&mut watcher).await, "Printer T:\\u{1b}20");
        drop(tap);
        assert_eq!(watcher.next().await, None);
    }

    #[tokio::test]
    async fn a_slow_watcher_misses_the_oldest_and_is_told_how_many() {
        let tap = Tap::default();
        let mut watcher = tap.watch();
        for n in 0..PIECES + 7 {
            tap.note(Moment::ZERO, Speaker::Agent, format!("N{n}\n").as_bytes());
        }
        assert_eq!(line(&mut watcher).await, "missed 7");
        assert_eq!(line(&mut watcher).await, "Agent N7");
        tap.note(Moment::ZERO, Speaker::Printer, &[b'x'; 100_000]);
        tap.note(Moment::ZERO, Speaker::Printer, b"\n");
        let mut last = String::new();
        for _ in 0..PIECES + 2 {
            last = line(&mut watcher).await;
            if last.starts_with("Printer") {
                break;
            }
        }
        assert_eq!(last.len(), "Printer ".len() + LINE_BYTES);
        drop(watcher);
        assert_eq!(tap.watchers.load(Ordering::Relaxed), 0);
    }
}
