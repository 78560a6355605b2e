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
        let Some(at) = self.sent_up_to.filter(|sent| sent.epoch == at.epoch).map(|sent| sent.min(at)) else { return };
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
            self.sent = 0;
            self.await_ack(now);
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
mod tests {
    use spoolway_protocol::raw::Extra;

    use super::*;

    const WINDOW: Window = Window { events: EVENT_WINDOW_ITEMS, bytes: EVENT_WINDOW_BYTES };

    const fn at(epoch: u64, seq: u64) -> Position {
        Position { epoch: Epoch(epoch), seq: Seq(seq) }
    }

    const fn ack(epoch: u64, seq: u64) -> EventAck {
        EventAck { epoch: Epoch(epoch), seq: Seq(seq), extra: Extra(std::collections::BTreeMap::new()) }
    }

    /// A store and the machine over it.
    struct Bench {
        outbox: Outbox,
        rows: Vec<StoredEvent>,
    }

    impl Bench {
        fn new(events: &[(u64, u64)], bytes: usize) -> Self {
            let text = || Raw::parse(format!("\"{}\"", "x".repeat(bytes.saturating_sub(2)))).unwrap();
            let rows = events.iter().map(|&(epoch, seq)| StoredEvent { at: at(epoch, seq), text: text() }).collect();
            let mut outbox = Outbox::new(OutboxOptions::default(), 1);
            outbox.handle_connected(WINDOW);
            Self { outbox, rows }
        }

        /// Carries out everything until the machine waits: the batches, and until when it waits.
        fn run(&mut self, now: Moment) -> (Vec<(Position, Position)>, Option<Moment>) {
            let mut sent = Vec::new();
            loop {
                match self.outbox.poll_output(now) {
                    OutboxOutput::Wait(until) => return (sent, until),
                    OutboxOutput::Send { first, last, body } => {
                        assert!(body.get().len() <= EVENT_BYTES + 20);
                        sent.push((first, last));
                    }
                    OutboxOutput::Forget(to) => self.rows.retain(|row| row.at.epoch != to.epoch || row.at > to),
                    OutboxOutput::Load { after, items, bytes } => {
                        let mut sum = 0;
                        let behind = self.rows.iter().filter(|row| after.is_none_or(|after| row.at > after));
                        let fits = |row: &&StoredEvent| {
                            sum += row.text.get().len();
                            sum <= bytes
                        };
                        let rows = behind.take_while(fits).take(items).cloned().collect();
                        self.outbox.handle_loaded(rows);
                    }
                }
            }
        }
    }

    fn seqs(range: std::ops::RangeInclusive<u64>) -> Vec<(u64, u64)> {
        range.map(|seq| (1, seq)).collect()
    }

    #[test]
    fn the_window_holds_256_items_and_an_ack_opens_it() {
        let mut bench = Bench::new(&seqs(1..=600), 100);
        let (sent, until) = bench.run(Moment::ZERO);
        assert_eq!((sent[0].0, sent.last().unwrap().1), (at(1, 1), at(1, 256)));
        assert!(until.is_some());
        bench.outbox.handle_ack(Moment::from_millis(50), &ack(1, 200));
        let (sent, _) = bench.run(Moment::from_millis(50));
        assert_eq!((sent[0].0, sent.last().unwrap().1), (at(1, 257), at(1, 456)));
        assert_eq!(bench.rows[0].at, at(1, 201));
    }

    #[test]
    fn the_window_holds_512_kib_and_a_message_60_kib() {
        let mut bench = Bench::new(&seqs(1..=50), 20_000);
        let (sent, _) = bench.run(Moment::ZERO);
        let bytes = bench.outbox.unacked() * 20_000;
        assert!(bytes <= 512 * 1024 && bytes > 440 * 1024, "{bytes}");
        assert!(sent.iter().all(|(first, last)| last.seq.0 - first.seq.0 < 3));
    }

    #[test]
    fn a_reconnect_goes_back_to_the_last_ack() {
        let mut bench = Bench::new(&seqs(1..=10), 100);
        bench.run(Moment::ZERO);
        bench.outbox.handle_ack(Moment::ZERO, &ack(1, 4));
        bench.run(Moment::ZERO);
        bench.outbox.handle_disconnected();
        assert_eq!(bench.run(Moment::ZERO), (vec![], None));
        bench.outbox.handle_connected(WINDOW);
        assert_eq!(bench.run(Moment::ZERO).0, [(at(1, 5), at(1, 10))]);
    }

    #[test]
    fn while_the_owner_is_away_one_batch_is_tried_ever_more_rarely() {
        let mut bench = Bench::new(&seqs(1..=256), 2_000);
        let (mut now, mut waits) = (Moment::ZERO, Vec::new());
        assert!(bench.run(now).0.len() > 5);
        for _ in 0..30 {
            bench.outbox.handle_nack(now);
            let (sent, until) = bench.run(now);
            assert_eq!(sent, []);
            waits.push(until.unwrap().since(now).as_millis());
            now = until.unwrap();
            assert_eq!(bench.run(now).0.len(), 1);
        }
        assert!(waits.iter().all(|wait| (5_000..=60_000).contains(wait)), "{waits:?}");
        assert!(waits.iter().any(|wait| *wait > 30_000), "{waits:?}");
        bench.outbox.handle_ack(now, &ack(1, 10));
        assert!(bench.run(now).0.len() > 5, "an ack opens the flow at once");
    }

    #[test]
    fn an_epoch_waits_for_the_one_before() {
        let mut bench = Bench::new(&[(1, 8), (1, 9), (2, 1), (2, 2)], 100);
        assert_eq!(bench.run(Moment::ZERO).0, [(at(1, 8), at(1, 9))]);
        bench.outbox.handle_ack(Moment::ZERO, &ack(2, 2));
        assert_eq!(bench.run(Moment::ZERO).0, []);
        bench.outbox.handle_ack(Moment::ZERO, &ack(1, 9));
        assert_eq!(bench.run(Moment::ZERO).0, [(at(2, 1), at(2, 2))]);
    }

    #[test]
    fn an_ack_of_what_was_never_sent_is_not_believed() {
        let mut bench = Bench::new(&seqs(1..=2), 100);
        bench.run(Moment::ZERO);
        bench.rows.push(StoredEvent { at: at(1, 3), text: Raw::default() });
        bench.outbox.handle_ack(Moment::ZERO, &ack(1, 99));
        bench.outbox.handle_appended();
        assert_eq!(bench.run(Moment::ZERO).0, [(at(1, 3), at(1, 3))]);
    }

    #[test]
    fn a_new_event_is_sent_at_once_and_an_idle_outbox_sleeps() {
        let mut bench = Bench::new(&[], 100);
        assert_eq!(bench.run(Moment::ZERO), (vec![], None));
        bench.rows.push(StoredEvent { at: at(1, 1), text: Raw::default() });
        bench.outbox.handle_appended();
        assert_eq!(bench.run(Moment::ZERO).0, [(at(1, 1), at(1, 1))]);
    }

    #[test]
    fn an_answer_from_before_a_reconnect_is_dropped() {
        let mut outbox = Outbox::new(OutboxOptions::default(), 1);
        outbox.handle_connected(WINDOW);
        assert!(matches!(outbox.poll_output(Moment::ZERO), OutboxOutput::Load { .. }));
        outbox.handle_disconnected();
        outbox.handle_connected(WINDOW);
        assert_eq!(outbox.poll_output(Moment::ZERO), OutboxOutput::Wait(None));
        outbox.handle_loaded(vec![StoredEvent { at: at(1, 5), text: Raw::default() }]);
        assert!(matches!(outbox.poll_output(Moment::ZERO), OutboxOutput::Load { after: None, .. }));
    }
}
