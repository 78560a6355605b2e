//! What waits for one peer: bounded queues by class, and the rules of which of them may lose something.
//!
//! | queue | holds | when full |
//! |---|---|---|
//! | reliable | commands, receipts, events, acks, the relay's own words | the sender waits or is told `busy` |
//! | bulk | chunk frames and the words about them | the sender waits |
//! | telemetry | the latest per (sender, key) | the oldest is lost |
//! | log | lines of logs | the oldest is lost |
//!
//! Each queue keeps its order, so frames of one sender and class never overtake each other. They leave in the order of this table.
//! A queue takes a letter as long as it is below both of its bounds, so it may end one letter above the bytes: a large letter then
//! never waits longer than a small one.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use bytestring::ByteString;
use spoolway_protocol::route::Passage;
use spoolway_protocol::{Address, Route};

use crate::router::ConnId;

/// Letters a writer takes at a time.
pub const BATCH_FRAMES: usize = 16;
/// Bytes after which a writer's batch is full.
pub const BATCH_BYTES: usize = 32 * 1024;
/// A body of this size is passed on in the buffer that it was read into.
const SHARED_BYTES: usize = 4 * 1024;
/// An emptied queue keeps memory for so many letters: one that holds fewer is idle and one that holds more was an exception.
const KEEP_CAPACITY: std::ops::RangeInclusive<usize> = 5..=32;

/// How a frame is queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Never dropped.
    Reliable,
    /// Never dropped, with a credit of its own.
    Bulk,
    /// Latest wins.
    Telemetry,
    /// The oldest is dropped.
    Log,
}

impl Class {
    /// Every class, in the order of its number, which is the order of writing.
    pub const ALL: [Self; 4] = [Self::Reliable, Self::Bulk, Self::Telemetry, Self::Log];

    /// The class of a text frame, from its head alone: a `key` marks what is ephemeral, whatever its kind.
    pub fn of(head: &Route<'_>) -> Self {
        match head.t {
            "telem" => Self::Telemetry,
            _ if head.key.is_some() => Self::Telemetry,
            t if t.starts_with("chunk.") => Self::Bulk,
            t if t.starts_with("log.") => Self::Log,
            _ => Self::Reliable,
        }
    }

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reliable => "reliable",
            Self::Bulk => "bulk",
            Self::Telemetry => "telemetry",
            Self::Log => "log",
        }
    }

    /// Whether it may be lost, and so never makes anybody wait.
    pub fn is_lossy(self) -> bool {
        matches!(self, Self::Telemetry | Self::Log)
    }
}

/// One frame on its way to a peer, made once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The frame.
    pub frame: Frame,
    /// Its class.
    pub class: Class,
    /// Of telemetry: what it replaces the latest of.
    pub slot: Option<u64>,
    /// When it came, ms on the relay's own clock.
    pub queued_ms: u64,
    /// Who sent it; `None` for the relay itself.
    pub sender: Option<ConnId>,
}

/// The kinds of frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// One JSON message of a peer, whose age is written when it leaves. Of a large one only the head was written anew: the
    /// rest, from the body on, are the very bytes that were read.
    Passed(Passage, Option<Box<Bytes>>),
    /// One JSON message of the relay.
    Own(String),
    /// One chunk.
    Chunk(Bytes),
}

impl Letter {
    /// A frame of a peer with its sender set; `head` was read from `text`.
    pub fn of(head: &Route<'_>, text: &ByteString, from: &Address, sender: ConnId, now_ms: u64) -> Self {
        let class = Class::of(head);
        let slot = (class == Class::Telemetry).then(|| {
            let mut hasher = DefaultHasher::new();
            (sender, head.key).hash(&mut hasher);
            hasher.finish()
        });
        let frame = match shared_rest(head, text) {
            Some(rest) => Frame::Passed(head.pass_head(from, 0), Some(rest.into())),
            None => Frame::Passed(head.pass(from), None),
        };
        Self { frame, class, slot, queued_ms: now_ms, sender: Some(sender) }
    }

    /// The relay's own word.
    pub fn own(text: impl Into<String>, now_ms: u64) -> Self {
        let frame = Frame::Own(text.into());
        Self { frame, class: Class::Reliable, slot: None, queued_ms: now_ms, sender: None }
    }

    /// A chunk. Its bytes are the very ones that were read: a frame of this size has a buffer of its own.
    pub fn chunk(bytes: Bytes, sender: ConnId, now_ms: u64) -> Self {
        let frame = Frame::Chunk(bytes);
        Self { frame, class: Class::Bulk, slot: None, queued_ms: now_ms, sender: Some(sender) }
    }

    /// The frame of a peer as a whole, without what its age may add.
    pub fn passed(&self) -> Option<Cow<'_, str>> {
        match &self.frame {
            Frame::Passed(passage, None) => Some(passage.as_str().into()),
            Frame::Passed(passage, Some(rest)) => {
                Some((passage.as_str().to_owned() + std::str::from_utf8(rest).ok()?).into())
            }
            Frame::Own(_) | Frame::Chunk(_) => None,
        }
    }

    /// Bytes of the frame.
    #[expect(clippy::len_without_is_empty, reason = "a frame has a head")]
    pub fn len(&self) -> usize {
        match &self.frame {
            Frame::Passed(passage, rest) => passage.len() + rest.as_ref().map_or(0, |rest| rest.len()),
            Frame::Own(text) => text.len(),
            Frame::Chunk(bytes) => bytes.len(),
        }
    }
}

/// What stands in a frame from its body on, where it is large and nothing but the end of the frame follows. A small one is
/// copied: it would keep the whole buffer that it was read into.
fn shared_rest(head: &Route<'_>, text: &ByteString) -> Option<Bytes> {
    if head.body.len() < SHARED_BYTES {
        return None;
    }
    let at = head.body.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let end = text.get(at..)?.get(head.body.len()..)?;
    (end.trim_ascii() == "}").then(|| text.as_bytes().slice(at..))
}

/// Bounds of one queue.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Letters.
    pub frames: usize,
    /// Bytes, which one letter may overstep.
    pub bytes: usize,
}

/// Bounds of one mailbox, by the number of [`Class::ALL`].
pub type Bounds = [Bound; Class::ALL.len()];

/// Why a letter was not taken; it is handed back.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// No room at the moment.
    Full(Letter),
    /// The peer is being closed.
    Closed,
}

/// What became of older letters when one was taken.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Displaced {
    /// One of the same slot was replaced.
    pub coalesced: bool,
    /// So many were lost for want of room.
    pub dropped: usize,
}

/// The end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Farewell {
    /// Websocket close code.
    pub code: u16,
    /// Text of the close frame.
    pub reason: &'static str,
}

#[derive(Debug, Default)]
struct Queue {
    letters: VecDeque<Letter>,
    bytes: usize,
}

impl Queue {
    fn is_below(&self, bound: Bound) -> bool {
        self.letters.len() < bound.frames && self.bytes < bound.bytes
    }

    fn push(&mut self, letter: Letter) {
        self.bytes += letter.len();
        self.letters.push_back(letter);
    }

    fn replace(&mut self, at: usize, letter: Letter) {
        self.bytes += letter.len();
        let old = std::mem::replace(&mut self.letters[at], letter);
        self.bytes -= old.len();
    }

    fn pop(&mut self) -> Option<Letter> {
        let letter = self.letters.pop_front()?;
        self.bytes -= letter.len();
        if self.letters.is_empty() && !KEEP_CAPACITY.contains(&self.letters.capacity()) {
            self.letters = VecDeque::new();
        }
        Some(letter)
    }
}

/// A slot is a hash already, and is not hashed again.
#[derive(Debug, Default, Clone, Copy)]
struct Slot(u64);

impl Hasher for Slot {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// See the table at the top of this file.
#[derive(Debug)]
pub struct Mailbox {
    bounds: Bounds,
    queues: [Queue; Class::ALL.len()],
    /// Where the latest of a slot stands, counted from the first letter of telemetry that ever was.
    slots: HashMap<u64, usize, BuildHasherDefault<Slot>>,
    /// Letters of telemetry that have left.
    left: usize,
    farewell: Option<Farewell>,
}

impl Mailbox {
    /// An empty mailbox; it holds no heap memory.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, queues: Default::default(), slots: HashMap::default(), left: 0, farewell: None }
    }

    /// Whether a letter of this class would be taken besides some that have not come yet.
    pub fn has_room(&self, class: Class, besides: Bound) -> bool {
        let Bound { frames, bytes } = self.bounds[class as usize];
        let left = Bound {
            frames: frames.saturating_sub(besides.frames),
            bytes: bytes.saturating_sub(besides.bytes),
        };
        class.is_lossy() || self.queues[class as usize].is_below(left)
    }

    /// The relay's own words have as much room again, so that answers to a peer do not wait behind what others send it.
    fn has_room_for(&self, letter: &Letter) -> bool {
        let Bound { frames, bytes } = self.bounds[letter.class as usize];
        let own = Bound { frames: frames.saturating_mul(2), bytes: bytes.saturating_mul(2) };
        let is_own = letter.sender.is_none() && self.queues[letter.class as usize].is_below(own);
        is_own || self.has_room(letter.class, Bound::default())
    }

    /// Queues a letter; telemetry at the place of the one that it replaces.
    ///
    /// # Errors
    /// Hands it back when there is no room.
    pub fn push(&mut self, letter: Letter) -> Result<Displaced, Refused> {
        if self.farewell.is_some() {
            return Err(Refused::Closed);
        }
        if !self.has_room_for(&letter) {
            return Err(Refused::Full(letter));
        }
        let class = letter.class;
        let queue = &mut self.queues[class as usize];
        let place = letter.slot.and_then(|slot| self.slots.get(&slot));
        let coalesced = place.is_some();
        if let Some(place) = place {
            queue.replace(place - self.left, letter);
        } else {
            letter.slot.map(|slot| self.slots.insert(slot, self.left + queue.letters.len()));
            queue.push(letter);
        }
        Ok(Displaced { coalesced, dropped: if class.is_lossy() { self.trim(class) } else { 0 } })
    }

    /// Drops the oldest of what is too much; returns how many.
    fn trim(&mut self, class: Class) -> usize {
        let mut dropped = 0;
        let Bound { frames, bytes } = self.bounds[class as usize];
        let is_over =
            |queue: &Queue| queue.letters.len() > 1 && (queue.letters.len() > frames || queue.bytes > bytes);
        while is_over(&self.queues[class as usize]) {
            dropped += usize::from(self.pop_of(class).is_some());
        }
        dropped
    }

    /// Letters that wait.
    pub fn waiting(&self) -> usize {
        self.queues.iter().map(|queue| queue.letters.len()).sum()
    }

    /// The next letter to write.
    pub fn pop(&mut self) -> Option<Letter> {
        Class::ALL.into_iter().find_map(|class| self.pop_of(class))
    }

    fn pop_of(&mut self, class: Class) -> Option<Letter> {
        let letter = self.queues[class as usize].pop()?;
        if let Some(slot) = letter.slot {
            self.left += 1;
            self.slots.remove(&slot);
            if self.slots.is_empty() && !KEEP_CAPACITY.contains(&self.slots.capacity()) {
                self.slots = HashMap::default();
            }
        }
        Some(letter)
    }

    /// Takes nothing more. What waits is still written when `finish` is set, else it is gone.
    /// The first farewell stands.
    pub fn close(&mut self, farewell: Farewell, finish: bool) {
        if self.farewell.is_some() {
            return;
        }
        self.farewell = Some(farewell);
        if !finish {
            *self = Self { farewell: self.farewell, ..Self::new(self.bounds) };
        }
    }

    /// The farewell, once it was said.
    pub fn farewell(&self) -> Option<Farewell> {
        self.farewell
    }

    /// Bytes of all that waits, and when the oldest was queued that may not be lost, ms.
    pub fn backlog(&self) -> (usize, Option<u64>) {
        let fronts = self.queues.iter().filter_map(|queue| queue.letters.front());
        let oldest_ms = fronts.filter(|letter| letter.slot.is_none()).map(|letter| letter.queued_ms).min();
        (self.queues.iter().map(|queue| queue.bytes).sum(), oldest_ms)
    }

    /// Letters that wait, by the number of [`Class::ALL`].
    pub fn depth(&self) -> [usize; Class::ALL.len()] {
        std::array::from_fn(|class| self.queues[class].letters.len())
    }
}

#[cfg(test)]
mod tests;
