//! What waits for one peer: three bounded queues and the rules of which of them may lose something.
//!
//! | queue | holds | when full |
//! |---|---|---|
//! | reliable | commands, receipts, events, acks, the relay's own words | the sender waits or is told `busy` |
//! | bulk | chunk frames and the words about them | the sender waits |
//! | telemetry | the latest per (sender, key) | the oldest slot is lost |
//!
//! Each queue keeps its order, so frames of one sender and class never overtake each other. Reliable leaves first, telemetry last.

use std::collections::{HashMap, VecDeque};

use spoolway_protocol::{Address, Route};

/// Frames a writer takes at a time.
pub const BATCH_FRAMES: usize = 16;
/// Bytes after which a writer's batch is full.
pub const BATCH_BYTES: usize = 32 * 1024;
/// An emptied queue that has grown beyond this gives its memory back.
const KEEP_CAPACITY: usize = 32;

/// How a frame is queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Never dropped.
    Reliable,
    /// Never dropped, with a credit of its own.
    Bulk,
    /// Latest wins.
    Telemetry,
}

impl Class {
    /// Every class, in the order of its number.
    pub const ALL: [Self; 3] = [Self::Reliable, Self::Bulk, Self::Telemetry];

    /// The class of a text frame, from its head alone: a `key` marks what is ephemeral, whatever its kind.
    pub fn of(head: &Route<'_>) -> Self {
        match head.t {
            "telem" => Self::Telemetry,
            _ if head.key.is_some() => Self::Telemetry,
            t if t.starts_with("chunk.") => Self::Bulk,
            _ => Self::Reliable,
        }
    }

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reliable => "reliable",
            Self::Bulk => "bulk",
            Self::Telemetry => "telemetry",
        }
    }
}

/// A telemetry slot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slot {
    /// The sender.
    pub from: Address,
    /// The sender's key; empty when it gave none.
    pub key: Box<str>,
}

/// One frame that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The frame.
    pub frame: Frame,
    /// Its class.
    pub class: Class,
    /// When it was queued, ms on the relay's own clock.
    pub queued_ms: u64,
}

/// The two kinds of frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// One JSON message with `from` in place.
    Text(String),
    /// One chunk.
    Binary(Vec<u8>),
}

impl Frame {
    /// Bytes of the frame.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Bounds of one mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Reliable frames.
    pub frames: usize,
    /// Bytes of reliable frames.
    pub bytes: usize,
    /// Bulk frames.
    pub bulk_frames: usize,
    /// Telemetry slots.
    pub slots: usize,
    /// Bytes of telemetry.
    pub slot_bytes: usize,
}

/// Why a frame was not taken; it is handed back.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// No room at the moment.
    Full(Frame),
    /// The peer is being closed.
    Closed(Frame),
}

/// What became of older telemetry when a frame was taken.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Displaced {
    /// A frame of the same slot was replaced.
    pub coalesced: bool,
    /// Slots that were lost for want of room.
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
    mail: VecDeque<Mail>,
    bytes: usize,
}

impl Queue {
    fn push(&mut self, mail: Mail) {
        self.bytes += mail.frame.len();
        self.mail.push_back(mail);
    }

    fn pop(&mut self) -> Option<Mail> {
        let mail = self.mail.pop_front()?;
        self.bytes -= mail.frame.len();
        if self.mail.is_empty() && self.mail.capacity() > KEEP_CAPACITY {
            self.mail = VecDeque::new();
        }
        Some(mail)
    }
}

/// See the table at the top of this file.
#[derive(Debug)]
pub struct Mailbox {
    bounds: Bounds,
    reliable: Queue,
    bulk: Queue,
    slots: HashMap<Slot, Mail>,
    slot_order: VecDeque<Slot>,
    slot_bytes: usize,
    farewell: Option<Farewell>,
}

impl Mailbox {
    /// An empty mailbox; it holds no heap memory.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            reliable: Queue::default(),
            bulk: Queue::default(),
            slots: HashMap::new(),
            slot_order: VecDeque::new(),
            slot_bytes: 0,
            farewell: None,
        }
    }

    /// Whether a frame of this class and size would be taken. An empty queue takes any frame.
    pub fn has_room(&self, class: Class, len: usize) -> bool {
        let Bounds { frames, bytes, bulk_frames, .. } = self.bounds;
        match class {
            Class::Reliable => {
                let queue = &self.reliable;
                queue.mail.is_empty() || (queue.mail.len() < frames && queue.bytes + len <= bytes)
            }
            Class::Bulk => self.bulk.mail.len() < bulk_frames,
            Class::Telemetry => true,
        }
    }

    /// Queues a reliable or bulk frame.
    ///
    /// # Errors
    /// Hands the frame back when it is full or closed.
    pub fn push(&mut self, class: Class, frame: Frame, now_ms: u64) -> Result<(), Refused> {
        if self.farewell.is_some() {
            return Err(Refused::Closed(frame));
        }
        if !self.has_room(class, frame.len()) {
            return Err(Refused::Full(frame));
        }
        let queue = if class == Class::Bulk { &mut self.bulk } else { &mut self.reliable };
        queue.push(Mail { frame, class, queued_ms: now_ms });
        Ok(())
    }

    /// Queues telemetry in its slot, at the place of the frame it replaces.
    ///
    /// # Errors
    /// Hands the frame back when it is closed.
    pub fn push_latest(&mut self, slot: Slot, frame: Frame, now_ms: u64) -> Result<Displaced, Refused> {
        if self.farewell.is_some() {
            return Err(Refused::Closed(frame));
        }
        let mut displaced = Displaced::default();
        self.slot_bytes += frame.len();
        let mail = Mail { frame, class: Class::Telemetry, queued_ms: now_ms };
        if let Some(old) = self.slots.get_mut(&slot) {
            self.slot_bytes -= old.frame.len();
            *old = mail;
            displaced.coalesced = true;
        } else {
            self.slot_order.push_back(slot.clone());
            self.slots.insert(slot, mail);
        }
        while self.slots.len() > 1
            && (self.slots.len() > self.bounds.slots || self.slot_bytes > self.bounds.slot_bytes)
        {
            displaced.dropped += usize::from(self.pop_latest().is_some());
        }
        Ok(displaced)
    }

    /// The next frame to write.
    pub fn pop(&mut self) -> Option<Mail> {
        self.reliable.pop().or_else(|| self.bulk.pop()).or_else(|| self.pop_latest())
    }

    fn pop_latest(&mut self) -> Option<Mail> {
        let slot = self.slot_order.pop_front()?;
        let mail = self.slots.remove(&slot)?;
        self.slot_bytes -= mail.frame.len();
        if self.slots.is_empty() && self.slots.capacity() > KEEP_CAPACITY {
            (self.slots, self.slot_order) = (HashMap::new(), VecDeque::new());
        }
        Some(mail)
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

    /// Frames that wait, by the number of [`Class::ALL`].
    pub fn depth(&self) -> [usize; 3] {
        [self.reliable.mail.len(), self.bulk.mail.len(), self.slots.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { frames: 3, bytes: 100, bulk_frames: 2, slots: 2, slot_bytes: 50 };

    fn text(text: &str) -> Frame {
        Frame::Text(text.into())
    }

    fn slot(byte: u8, key: &str) -> Slot {
        Slot { from: Address::Agent(spoolway_protocol::AgentId::from_bytes([byte; 16])), key: key.into() }
    }

    fn drain(mailbox: &mut Mailbox) -> Vec<String> {
        let text = |mail: Mail| match mail.frame {
            Frame::Text(text) => text,
            Frame::Binary(bytes) => format!("{bytes:?}"),
        };
        std::iter::from_fn(|| mailbox.pop()).map(text).collect()
    }

    #[test]
    fn reliable_is_bounded_by_count_and_bytes_and_loses_nothing() {
        let mut mailbox = Mailbox::new(BOUNDS);
        let big = text(&"x".repeat(500));
        mailbox.push(Class::Reliable, big.clone(), 0).unwrap();
        assert_eq!(mailbox.push(Class::Reliable, text("y"), 0), Err(Refused::Full(text("y"))), "bytes");
        assert_eq!(drain(&mut mailbox).len(), 1);
        for word in ["a", "b", "c"] {
            mailbox.push(Class::Reliable, text(word), 0).unwrap();
        }
        assert_eq!(mailbox.push(Class::Reliable, text("d"), 0), Err(Refused::Full(text("d"))), "count");
        assert_eq!(drain(&mut mailbox), ["a", "b", "c"]);
    }

    #[test]
    fn telemetry_keeps_the_latest_per_slot_and_drops_the_oldest() {
        let mut mailbox = Mailbox::new(BOUNDS);
        mailbox.push_latest(slot(1, "p0"), text("1a"), 0).unwrap();
        mailbox.push_latest(slot(2, "p0"), text("2a"), 0).unwrap();
        let again = mailbox.push_latest(slot(1, "p0"), text("1b"), 0).unwrap();
        assert_eq!(again, Displaced { coalesced: true, dropped: 0 });
        let third = mailbox.push_latest(slot(1, "p1"), text("1c"), 0).unwrap();
        assert_eq!(third, Displaced { coalesced: false, dropped: 1 });
        assert_eq!(drain(&mut mailbox), ["2a", "1c"]);
        let fat = text(&"x".repeat(60));
        mailbox.push_latest(slot(1, "p0"), text("small"), 0).unwrap();
        assert_eq!(mailbox.push_latest(slot(2, "p0"), fat, 0).unwrap().dropped, 1);
        assert_eq!(drain(&mut mailbox).len(), 1);
        assert_eq!(mailbox.slot_bytes, 0);
    }

    #[test]
    fn reliable_leaves_first_and_telemetry_last() {
        let mut mailbox = Mailbox::new(BOUNDS);
        mailbox.push_latest(slot(1, ""), text("telemetry"), 0).unwrap();
        mailbox.push(Class::Bulk, text("bulk"), 0).unwrap();
        mailbox.push(Class::Reliable, text("reliable"), 0).unwrap();
        assert_eq!(mailbox.depth(), [1, 1, 1]);
        assert_eq!(drain(&mut mailbox), ["reliable", "bulk", "telemetry"]);
    }

    #[test]
    fn a_farewell_ends_the_taking() {
        let farewell = Farewell { code: 4010, reason: "drain" };
        let mut mailbox = Mailbox::new(BOUNDS);
        mailbox.push(Class::Reliable, text("last words"), 0).unwrap();
        mailbox.close(farewell, true);
        mailbox.close(Farewell { code: 4000, reason: "other" }, false);
        assert_eq!(mailbox.farewell(), Some(farewell));
        assert_eq!(mailbox.push(Class::Reliable, text("x"), 0), Err(Refused::Closed(text("x"))));
        assert_eq!(drain(&mut mailbox), ["last words"]);
        let mut mailbox = Mailbox::new(BOUNDS);
        mailbox.push(Class::Reliable, text("gone"), 0).unwrap();
        mailbox.close(farewell, false);
        assert!(drain(&mut mailbox).is_empty());
    }

    #[test]
    fn a_busy_mailbox_gives_its_memory_back() {
        let bounds = Bounds { frames: 1000, bytes: 1_000_000, ..BOUNDS };
        let mut mailbox = Mailbox::new(bounds);
        for _ in 0..1000 {
            mailbox.push(Class::Reliable, text("x"), 0).unwrap();
        }
        drain(&mut mailbox);
        assert_eq!(mailbox.reliable.mail.capacity(), 0);
    }

    #[test]
    fn classes_come_from_the_head() {
        let class = |text: &str| Class::of(&Route::parse(text).unwrap());
        assert_eq!(class(r#"{"v":1,"t":"telem","body":1}"#), Class::Telemetry);
        assert_eq!(class(r#"{"v":1,"t":"new.kind","key":"k","body":1}"#), Class::Telemetry);
        assert_eq!(class(r#"{"v":1,"t":"chunk.end","body":1}"#), Class::Bulk);
        assert_eq!(class(r#"{"v":1,"t":"new.kind","body":1}"#), Class::Reliable);
    }
}
