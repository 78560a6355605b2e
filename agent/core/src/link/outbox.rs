//! The cursor over durable events: what may be sent now, what was acked, when to send again.

use std::collections::VecDeque;

use spoolway_protocol::event::EventAck;
use spoolway_protocol::hello::Window;
use spoolway_protocol::ids::{Epoch, Seq};
use spoolway_protocol::limits::{EVENT_BYTES, EVENT_WINDOW_BYTES, EVENT_WINDOW_ITEMS};
use spoolway_protocol::raw::Raw;

use crate::backoff::{Backoff, BackoffOptions};
use crate::moment::Moment;

/// Bounds of an [`Outbox`].
#[derive(Debug, Clone, Copy)]
pub struct OutboxOptions {
    /// Largest sum of events in one message, in bytes.
    pub batch_bytes: usize,
    /// How long to wait for an ack before sending again.
    pub resend: BackoffOptions,
}

impl Default for OutboxOptions {
    fn default() -> Self {
        Self { batch_bytes: EVENT_BYTES, resend: BackoffOptions::RESEND }
    }
}

/// The name of an event at this agent; positions are ordered like the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The life of the outbox.
    pub epoch: Epoch,
    /// The place in it.
    pub seq: Seq,
}

/// An event as it lies in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Its name.
    pub at: Position,
    /// The whole event as JSON, at most [`EVENT_BYTES`].
    pub text: Raw,
}

/// What the shell has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum OutboxOutput {
    /// Read events behind a position in order, up to these bounds but at least one if there is one; answer with [`Outbox::handle_loaded`].
    Load {
        /// `None` means from the oldest.
        after: Option<Position>,
        /// At most so many.
        items: usize,
        /// Stop when the sum would be larger, in bytes.
        bytes: usize,
    },
    /// Send an `events` message with this body to the owner.
    Send {
        /// The body: `{"items":[...]}`.
        body: Raw,
        /// The first event in it.
        first: Position,
        /// The last event in it.
        last: Position,
    },
    /// The owner has stored everything of this epoch up to here: delete it.
    Forget(Position),
    /// Nothing until then; `None` means until something is handled.
    Wait(Option<Moment>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// There is no session.
    Down,
    /// Everything the window allows may go out.
    Open,
    /// The owner does not answer: one batch as a probe, when `retry_at` has come.
    Stalled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// The store may hold more behind the last entry.
    MoreToCome,
    /// A `Load` is under way.
    UnderWay,
    /// A `Load` is under way whose answer no longer fits.
    Stale,
    /// The store holds nothing more until something is appended.
    Exhausted,
}

/// The machine over the events of one agent. Events of one epoch are in flight at a time, so that an ack is never ambiguous.
#[derive(Debug)]
pub struct Outbox {
    options: OutboxOptions,
    window: Window,
    flow: Flow,
    reading: Reading,
    /// Loaded events that were not acked, in order and within the window; the first `sent` of them went out.
    entries: VecDeque<StoredEvent>,
    sent: usize,
    /// The last event that was acked, as far as this process knows.
    acked: Option<Position>,
    /// The last event that this process has sent; an ack of more than that is not believed.
    sent_up_to: Option<Position>,
    appended_meanwhile: bool,
    retry_at: Option<Moment>,
    backoff: Backoff,
    forget: Option<Position>,
}

impl Outbox {
    /// A process begins; nothing is known about what was sent before, so the oldest stored event comes first.
    #[must_use]
    pub const fn new(options: OutboxOptions, seed: u64) -> Self {
        Self {
            options,
            window: Window { events: EVENT_WINDOW_ITEMS, bytes: EVENT_WINDOW_BYTES },
            flow: Flow::Down,
            reading: Reading::MoreToCome,
            entries: VecDeque::new(),
            sent: 0,
            acked: None,
            sent_up_to: None,
            appended_meanwhile: false,
            retry_at: None,
            backoff: Backoff::new(options.resend, seed),
            forget: None,
        }
    }

    /// A session stands: everything behind the last ack is sent again.
    pub fn handle_connected(&mut self, window: Window) {
        self.window = window;
        self.flow = Flow::Open;
        self.backoff.reset();
        self.retry_at = None;
        self.reload();
    }

    /// The session is over.
    pub fn handle_disconnected(&mut self) {
        self.flow = Flow::Down;
        self.retry_at = None;
        self.reload();
    }

    /// The store has a new event.
    pub fn handle_appended(&mut self) {
        match self.reading {
            Reading::Exhausted => self.reading = Reading::MoreToCome,
            Reading::UnderWay | Reading::Stale => self.appended_meanwhile = true,
            Reading::MoreToCome => {}
        }
    }

    /// The store has dropped or replaced events that were not acked.
    pub fn handle_store_changed(&mut self) {
        self.reload();
    }

    /// The answer to `Load`, in order; empty when there is nothing behind the position.
    pub fn handle_loaded(&mut self, events: Vec<StoredEvent>) {
        let appended = std::mem::take(&mut self.appended_meanwhile);
        if std::mem::replace(&mut self.reading, Reading::MoreToCome) == Reading::Stale {
            return;
        }
        let last = self.entries.back().map(|entry| entry.at).max(self.acked);
        let fresh = events.into_iter().filter(|event| last.is_none_or(|last| event.at > last));
        let before = self.entries.len();
        self.entries.extend(fresh);
        if self.entries.len() == before && !appended {
            self.reading = Reading::Exhausted;
        }
    }

    /// The owner has stored events. An ack that says nothing new changes nothing.
    pub fn handle_ack(&mut self, now: Moment, ack: &EventAck) {
        let at = Position { epoch: ack.epoch, seq: ack.seq };
        let Some(at) = self.sent_up_to.filter(|sent| sent.epoch == at.epoch).map(|sent| sent.min(at)) else {
            return;
        };
        let covered = self.entries.iter().take_while(|entry| entry.at <= at).count();
        if covered == 0 {
            return;
        }
        self.acked = self.entries.drain(..covered).next_back().map(|entry| entry.at);
        self.forget = self.acked;
        self.sent = self.sent.saturating_sub(covered);
        self.backoff.reset();
        self.retry_at = None;
        if self.flow == Flow::Stalled {
            self.flow = Flow::Open;
            self.sent = 0;
        } else if self.sent > 0 {
            self.await_ack(now);
        }
    }

    /// Events that were sent did not arrive (`offline`, `busy`, ...).
    pub fn handle_nack(&mut self, now: Moment) {
        if self.flow == Flow::Open {
            self.flow = Flow::Stalled;
            self.await_ack(now);
        }
        self.sent = 0;
    }

    /// The owner has spoken: if it was away, it is there again, and the next probe waits no longer.
    pub fn handle_owner_heard(&mut self) {
        if self.flow == Flow::Stalled && self.sent == 0 {
            self.retry_at = None;
        }
    }

    /// What to do now.
    pub fn poll_output(&mut self, now: Moment) -> OutboxOutput {
        if let Some(position) = self.forget.take() {
            return OutboxOutput::Forget(position);
        }
        if self.flow == Flow::Down {
            return OutboxOutput::Wait(None);
        }
        if self.retry_at.is_some_and(|at| now >= at) {
            self.flow = Flow::Stalled;
            self.sent = 0;
            self.retry_at = None;
        }
        if let Some(send) = self.next_batch(now) {
            return send;
        }
        self.next_load().unwrap_or(OutboxOutput::Wait(self.retry_at))
    }

    /// How many events are loaded and not acked.
    #[must_use]
    pub fn unacked(&self) -> usize {
        self.entries.len()
    }

    fn reload(&mut self) {
        self.entries.clear();
        self.sent = 0;
        self.reading = match self.reading {
            Reading::UnderWay | Reading::Stale => Reading::Stale,
            Reading::MoreToCome | Reading::Exhausted => Reading::MoreToCome,
        };
    }

    fn await_ack(&mut self, now: Moment) {
        self.retry_at = Some(now + self.backoff.fail(now, None));
    }

    fn next_batch(&mut self, now: Moment) -> Option<OutboxOutput> {
        let may_send = match self.flow {
            Flow::Down => false,
            Flow::Open => true,
            Flow::Stalled => self.retry_at.is_none(),
        };
        let first = self.entries.get(self.sent).filter(|_| may_send)?.at;
        // Another epoch waits until this one is acked to its end.
        if self.entries.front().is_some_and(|oldest| oldest.at.epoch != first.epoch) {
            return None;
        }
        let count = self.batch_len(first.epoch);
        let batch = self.entries.range(self.sent..self.sent + count);
        let texts: Vec<&str> = batch.map(|entry| entry.text.get()).collect();
        let body = Raw::parse(format!(r#"{{"items":[{}]}}"#, texts.join(",")));
        let body = body.expect("a list of JSON values in an object is a JSON value");
        self.sent += count;
        let last = self.entries[self.sent - 1].at;
        self.sent_up_to = self.sent_up_to.max(Some(last));
        if self.retry_at.is_none() {
            self.await_ack(now);
        }
        Some(OutboxOutput::Send { body, first, last })
    }

    fn batch_len(&self, epoch: Epoch) -> usize {
        let mut bytes = 0;
        let fits = |entry: &&StoredEvent| {
            bytes += entry.text.get().len() + 1;
            entry.at.epoch == epoch && bytes <= self.options.batch_bytes
        };
        self.entries.range(self.sent..).take_while(fits).count().max(1)
    }

    fn next_load(&mut self) -> Option<OutboxOutput> {
        if self.reading != Reading::MoreToCome || self.flow != Flow::Open {
            return None;
        }
        let items = (self.window.events as usize).saturating_sub(self.entries.len());
        let used: usize = self.entries.iter().map(|entry| entry.text.get().len()).sum();
        let bytes = usize::try_from(self.window.bytes).unwrap_or(usize::MAX).saturating_sub(used);
        // Less than one full event of room: the next one might not fit, and a load takes at least one.
        let full = items == 0 || (bytes < EVENT_BYTES && !self.entries.is_empty());
        if full {
            return None;
        }
        self.reading = Reading::UnderWay;
        let after = self.entries.back().map(|entry| entry.at).or(self.acked);
        Some(OutboxOutput::Load { after, items, bytes })
    }
}

#[cfg(test)]
mod tests;
