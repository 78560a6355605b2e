//! The memory that a conversation is kept in so that it outlives its process: what is where, and when it counts.
//!
//! A process can be killed between any two instructions, but what it has stored in shared memory stays. So:
//!
//! * A state is written into the older of two slots, its checksum last; the newest slot whose checksum is right counts.
//! * A line is written into its place before a state counts it, and a state counts before the bytes it speaks of go out.
//! * Replies are read straight into this memory, behind them nothing but zeros: what stands between the place up to which a
//!   state has handled them and the first zero was read and not yet handled.
//! * How the last run has ended lies apart: it stays while the journal of the next conversation takes the place of this one.
//!
//! It is no protection against a power cut, and is meant to lie where a power cut takes it (tmpfs): it costs no write to a disk.

use std::ops::Range;

use super::{Carried, Streamer};
use crate::pack::{Pack, Unpack};

/// The first bytes; the number rises when the layout does.
const MAGIC: &[u8; 8] = b"SPOOLJ02";
/// Longest text about the conversation as a whole.
pub const TEXT_BYTES_MAX: usize = 8 * 1024;
const SLOT_BYTES: usize = 8 * 1024;
/// Newest lines that are kept; a window is never wider.
const LINES: usize = 256;
const LINE_BYTES: usize = 256;
/// Longest piece that is read at once.
pub const READ_BYTES: usize = 2048;
const HEARD_BYTES: usize = 32 * 1024;
/// Length and checksum ahead of what they speak of.
const HEAD_BYTES: usize = 16;

const TEXT_AT: usize = MAGIC.len();
/// The state up to which everything that was decided has gone out.
const WRITTEN_AT: usize = TEXT_AT + HEAD_BYTES + TEXT_BYTES_MAX;
const SLOTS_AT: usize = WRITTEN_AT + 8;
const LINES_AT: usize = SLOTS_AT + 2 * SLOT_BYTES;
const HEARD_AT: usize = LINES_AT + LINES * LINE_BYTES;
const END_AT: usize = HEARD_AT + HEARD_BYTES;
const END_BYTES_MAX: usize = 8 * 1024;
/// Bytes of the whole.
pub const JOURNAL_BYTES: usize = END_AT + HEAD_BYTES + END_BYTES_MAX;

/// Writes a conversation down as it goes.
#[derive(Debug)]
pub struct Journal {
    /// Rises with every state.
    sequence: u64,
    /// The numbering and the first number that have not been written down yet.
    noted: (u32, u32),
    /// Where the next reply goes.
    read_at: usize,
    /// Up to here there are zeros behind it.
    clear_to: usize,
    /// Everything has found its place so far.
    fits: bool,
}

/// What a process that has died has left.
#[derive(Debug)]
pub struct Found {
    /// What was said of the conversation as a whole.
    pub text: Vec<u8>,
    /// The conversation.
    pub carried: Carried,
    /// What the shell wrote down beside it.
    pub beside: Vec<u8>,
    /// Replies that were read and not handled.
    pub unread: Vec<u8>,
    /// Goes on writing where the other process stopped.
    pub journal: Journal,
}

impl Journal {
    /// Begins an empty journal; what was there is gone, but for how the last run has ended.
    ///
    /// # Panics
    /// The area is not [`JOURNAL_BYTES`] long.
    #[must_use]
    pub fn begin(area: &mut [u8], text: &[u8]) -> Self {
        assert_eq!(area.len(), JOURNAL_BYTES, "the area has the size that the layout says");
        // Nothing counts while the rest is written.
        area[..MAGIC.len()].fill(0);
        area[SLOTS_AT..LINES_AT].fill(0);
        area[HEARD_AT..END_AT].fill(0);
        let fits = write_text(text_of(area), text);
        area[..MAGIC.len()].copy_from_slice(MAGIC);
        Self { sequence: 0, noted: (0, 0), read_at: 0, clear_to: HEARD_BYTES, fits }
    }

    /// What was decided up to the last state has all gone out, if anything had to.
    pub fn wrote(&self, area: &mut [u8]) {
        area[WRITTEN_AT..SLOTS_AT].copy_from_slice(&self.sequence.to_le_bytes());
    }

    /// Replaces the text, while no job is under way; the states of before speak of the same conversation.
    pub fn set_text(&mut self, area: &mut [u8], text: &[u8]) {
        self.fits = write_text(text_of(area), text);
    }

    /// Whether all of the conversation could be written down so far; what could not is not taken over.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.fits
    }

    /// Where the next reply is to be read to.
    #[must_use]
    pub fn room(&self) -> Range<usize> {
        let at = HEARD_AT + self.read_at;
        at..at + READ_BYTES
    }

    /// So many bytes were read there.
    pub fn heard(&mut self, count: usize) {
        self.read_at += count.min(READ_BYTES);
    }

    /// Writes down where the conversation stands, after everything that was heard was handled and before anything that was
    /// decided goes out. `beside` is what the shell has to know.
    pub fn note(&mut self, area: &mut [u8], streamer: &Streamer, beside: impl FnOnce(&mut Pack<'_>)) {
        self.note_lines(area, streamer);
        let unfinished = streamer.unfinished_bytes().min(self.read_at);
        self.turn_over(area, unfinished);
        self.clear_ahead(area);
        self.sequence += 1;
        let at = slot_at(self.sequence);
        let (head, payload) = area[at..at + SLOT_BYTES].split_at_mut(HEAD_BYTES + 8);
        let mut pack = Pack::new(payload);
        pack.u32((self.read_at - unfinished) as u32);
        streamer.pack(&mut pack);
        beside(&mut pack);
        let length = pack.len();
        self.fits &= length.is_some();
        // A state that does not fit must not be mistaken for the one before it.
        let length = length.filter(|_| self.fits).unwrap_or(0);
        let sum = sum(self.sequence, &payload[..length]);
        head[HEAD_BYTES..].copy_from_slice(&self.sequence.to_le_bytes());
        head[..8].copy_from_slice(&(length as u64).to_le_bytes());
        head[8..HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
    }

    fn note_lines(&mut self, area: &mut [u8], streamer: &Streamer) {
        let (numbering, next) = streamer.numbering();
        let from = if self.noted.0 == numbering { self.noted.1 } else { 0 };
        let from = from.max(next.saturating_sub(LINES as u32));
        for number in from..next {
            let at = line_at(number);
            let mut pack = Pack::new(&mut area[at..at + LINE_BYTES]);
            pack.u32(numbering);
            pack.u32(number);
            // A line that was forgotten already is not asked for any more.
            let known = streamer.pack_line(number, &mut pack);
            self.fits &= !known || pack.len().is_some();
        }
        self.noted = (numbering, next);
    }

    /// Begins again at the front when there is no room for another piece.
    fn turn_over(&mut self, area: &mut [u8], unfinished: usize) {
        if self.read_at + READ_BYTES < HEARD_BYTES {
            return;
        }
        let heard = &mut area[HEARD_AT..END_AT];
        heard.copy_within(self.read_at - unfinished..self.read_at, 0);
        self.read_at = unfinished;
        self.clear_to = unfinished;
    }

    /// Behind what was read there are zeros, one more than a piece.
    fn clear_ahead(&mut self, area: &mut [u8]) {
        let wanted = (self.read_at + READ_BYTES + 1).min(HEARD_BYTES);
        if self.clear_to < wanted {
            area[HEARD_AT + self.clear_to..HEARD_AT + wanted].fill(0);
            self.clear_to = wanted;
        }
    }

    /// Looks what a process that has died has left; `None` when it has left nothing that counts.
    #[must_use]
    pub fn find(area: &[u8]) -> Option<Found> {
        if area.len() != JOURNAL_BYTES || area[..MAGIC.len()] != MAGIC[..] {
            return None;
        }
        let text = read_text(&area[TEXT_AT..WRITTEN_AT])?;
        let (sequence, payload) = [slot_at(0), slot_at(1)]
            .into_iter()
            .filter_map(|at| read_slot(&area[at..at + SLOT_BYTES]))
            .max_by_key(|(sequence, _)| *sequence)?;
        let mut from = Unpack::new(payload);
        let handled = from.u32()? as usize;
        let line = |numbering, number| read_line(area, numbering, number);
        let has_written = Unpack::new(&area[WRITTEN_AT..SLOTS_AT]).u64()? == sequence;
        let carried = Carried::unpack(&mut from, line, LINES as u32, has_written)?;
        let heard = area[HEARD_AT..END_AT].get(handled..)?;
        let unread = &heard[..heard.iter().position(|&byte| byte == 0).unwrap_or(heard.len())];
        let journal = Self {
            sequence,
            noted: (0, 0),
            // It may be near the end: the next state turns over before anything is read.
            read_at: handled + unread.len(),
            clear_to: 0,
            fits: true,
        };
        let beside = from.rest().to_vec();
        Some(Found { text: text.to_vec(), carried, beside, unread: unread.to_vec(), journal })
    }
}

/// Keeps how a run has ended, until the next one begins. What is kept already is not touched: it could be torn.
pub fn keep_end(area: &mut [u8], end: &[u8]) {
    if kept_end(area) != Some(end) {
        write_text(&mut area[END_AT..], end);
    }
}

/// How the last run has ended.
#[must_use]
pub fn kept_end(area: &[u8]) -> Option<&[u8]> {
    read_text(area.get(END_AT..)?)
}

/// The next run begins.
pub fn forget_end(area: &mut [u8]) {
    area[END_AT..END_AT + HEAD_BYTES].fill(0);
}

fn slot_at(sequence: u64) -> usize {
    SLOTS_AT + (sequence % 2) as usize * SLOT_BYTES
}

fn line_at(number: u32) -> usize {
    LINES_AT + number as usize % LINES * LINE_BYTES
}

fn read_line(area: &[u8], numbering: u32, number: u32) -> Option<&[u8]> {
    let at = line_at(number);
    let mut head = Unpack::new(&area[at..at + LINE_BYTES]);
    (head.u32()? == numbering && head.u32()? == number).then(|| head.rest())
}

fn read_slot(slot: &[u8]) -> Option<(u64, &[u8])> {
    let mut head = Unpack::new(slot);
    let (length, written, sequence) = (head.u64()?, head.u64()?, head.u64()?);
    let payload = head.rest().get(..usize::try_from(length).ok()?)?;
    (!payload.is_empty() && sum(sequence, payload) == written).then_some((sequence, payload))
}

fn text_of(area: &mut [u8]) -> &mut [u8] {
    &mut area[TEXT_AT..WRITTEN_AT]
}

/// Writes a text that counts once it is whole; gives whether there is room for it.
fn write_text(room: &mut [u8], text: &[u8]) -> bool {
    let (head, body) = room.split_at_mut(HEAD_BYTES);
    head.fill(0);
    let fits = text.len() <= body.len();
    if fits {
        body[..text.len()].copy_from_slice(text);
        head[..8].copy_from_slice(&(text.len() as u64).to_le_bytes());
        head[8..].copy_from_slice(&sum(0, text).to_le_bytes());
    }
    fits
}

fn read_text(room: &[u8]) -> Option<&[u8]> {
    let mut head = Unpack::new(room);
    let (length, written) = (head.u64()?, head.u64()?);
    let text = head.rest().get(..usize::try_from(length).ok()?)?;
    (sum(0, text) == written).then_some(text)
}

/// Tells a whole state from a torn one; it need not withstand more than that.
fn sum(sequence: u64, bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(PRIME).rotate_left(29);
    let chunks = bytes.chunks_exact(8);
    let mut last = [0; 8];
    last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    let begun = mix(PRIME ^ bytes.len() as u64, sequence);
    let sum = chunks
        .map(|chunk| u64::from_le_bytes(chunk.try_into().expect("chunks of eight bytes")))
        .fold(begun, mix);
    mix(sum, u64::from_le_bytes(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_outlives_the_conversation_and_not_the_next_run() {
        let mut area = vec![0; JOURNAL_BYTES];
        let _ = Journal::begin(&mut area, b"one");
        assert_eq!(kept_end(&area), None);
        keep_end(&mut area, b"completed");
        let _ = Journal::begin(&mut area, b"another");
        assert_eq!(kept_end(&area), Some(&b"completed"[..]));
        let whole = area.clone();
        keep_end(&mut area, b"completed");
        assert_eq!(area, whole);
        area[END_AT + HEAD_BYTES + 3] ^= 1;
        assert_eq!(kept_end(&area), None, "a torn one does not count");
        keep_end(&mut area, b"cancelled");
        forget_end(&mut area);
        assert_eq!(kept_end(&area), None);
    }
}
