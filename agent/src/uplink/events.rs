//! Durable events on their way out: the outbox machine between the store and the session.
//!
//! It outlives sessions. The store may take its time; nothing here waits for it but a future that the session polls.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;
use spoolway_agent_core::link::outbox::{Position, StoredEvent};
use spoolway_agent_core::link::{Outbox, OutboxOptions, OutboxOutput};
use spoolway_agent_core::moment::Moment;
use spoolway_protocol::event::{EventAck, EventData};
use spoolway_protocol::hello::Window;
use spoolway_protocol::{Epoch, MsgId, PrinterId, Raw, Seq};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::store::{self, Durability, EventClass, NewEvent, Store, StoreError, Write};

/// Batches whose names are remembered, so that a refusal of one is known.
const BATCHES: usize = 64;
/// How long to wait before a store that failed is asked again.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// What the session has to do.
pub(super) enum EventsOutput {
    /// Send an `events` message with this body.
    Send(Raw),
    /// Nothing until then, or until something happens.
    Wait(Option<Moment>),
}

enum Done {
    Loaded(Vec<StoredEvent>),
    Acked,
    Closed,
}

/// The events of this agent.
pub(super) struct Events {
    store: Store,
    committed: watch::Receiver<store::Position>,
    outbox: Outbox,
    batches: VecDeque<MsgId>,
    chores: FuturesUnordered<BoxFuture<'static, Done>>,
    notes: FuturesUnordered<BoxFuture<'static, ()>>,
    forget: Option<store::Position>,
    is_acking: bool,
}

impl Events {
    pub(super) fn new(store: Store, seed: u64) -> Self {
        Self {
            committed: store.subscribe(),
            store,
            outbox: Outbox::new(OutboxOptions::default(), seed),
            batches: VecDeque::new(),
            chores: FuturesUnordered::new(),
            notes: FuturesUnordered::new(),
            forget: None,
            is_acking: false,
        }
    }

    pub(super) fn handle_connected(&mut self, window: Window) {
        self.batches.clear();
        self.outbox.handle_connected(window);
    }

    pub(super) fn handle_disconnected(&mut self) {
        self.outbox.handle_disconnected();
    }

    pub(super) fn handle_ack(&mut self, now: Moment, ack: &EventAck) {
        self.outbox.handle_ack(now, ack);
    }

    /// A batch was sent under this name.
    pub(super) fn handle_sent(&mut self, id: Option<&MsgId>) {
        if let Some(id) = id {
            self.batches.push_front(id.clone());
            self.batches.truncate(BATCHES);
        }
    }

    /// Whether a refused message was one of ours; it is then sent again in time.
    pub(super) fn handle_nack(&mut self, now: Moment, re: Option<&MsgId>) -> bool {
        let is_ours = re.is_some_and(|re| self.batches.contains(re));
        if is_ours {
            self.outbox.handle_nack(now);
        }
        is_ours
    }

    /// The owner has spoken.
    pub(super) fn handle_owner_heard(&mut self) {
        self.outbox.handle_owner_heard();
    }

    /// What to do now.
    pub(super) fn poll_output(&mut self, now: Moment) -> EventsOutput {
        loop {
            match self.outbox.poll_output(now) {
                OutboxOutput::Load { after, items, bytes } => {
                    let after = after.map(in_store).unwrap_or_default();
                    let load = load(self.store.clone(), after, items, bytes as u64);
                    self.chores.push(Box::pin(load));
                }
                OutboxOutput::Forget(upto) => {
                    self.forget = Some(in_store(upto));
                    self.ack();
                }
                OutboxOutput::Send { body, .. } => return EventsOutput::Send(body),
                OutboxOutput::Wait(until) => return EventsOutput::Wait(until),
            }
        }
    }

    /// Resolves when the store has answered or holds something new. It may be dropped at any time.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            Some(done) = self.chores.next(), if !self.chores.is_empty() => self.settle(done),
            Some(()) = self.notes.next(), if !self.notes.is_empty() => {}
            Ok(()) = self.committed.changed() => self.outbox.handle_appended(),
            else => std::future::pending().await,
        }
    }

    /// Writes something down of the link's own; it goes out with the others.
    pub(super) fn note(&mut self, clock: &Clock, printer: Option<&PrinterId>, data: EventData) {
        let event = NewEvent {
            cls: EventClass::Info,
            kind: data.kind().to_owned(),
            printer_id: printer.map(ToString::to_string),
            job_id: None,
            attempt: None,
            ts_json: Raw::of(&clock.stamp()).get().to_owned(),
            data_json: data.encode().get().to_owned(),
        };
        let (store, kind) = (self.store.clone(), event.kind.clone());
        self.notes.push(Box::pin(async move {
            if let Err(error) = store.commit(vec![Write::Event(event)], Durability::Grouped).await {
                tracing::warn!(%error, kind, "an event of the link could not be written down");
            }
        }));
    }

    /// Resolves when one more note is written, and never while there is none. It may be dropped at any time.
    pub(super) async fn written(&mut self) {
        if self.notes.next().await.is_none() {
            std::future::pending().await
        }
    }

    /// Resolves when all notes are written.
    pub(super) async fn all_written(&mut self) {
        while self.notes.next().await.is_some() {}
    }

    fn settle(&mut self, done: Done) {
        match done {
            Done::Loaded(events) => self.outbox.handle_loaded(events),
            Done::Acked => {
                self.is_acking = false;
                self.ack();
            }
            Done::Closed => {}
        }
    }

    /// One ack at a time: they are cumulative, so the last one says everything.
    fn ack(&mut self) {
        if self.is_acking {
            return;
        }
        let Some(upto) = self.forget.take() else { return };
        self.is_acking = true;
        let store = self.store.clone();
        self.chores.push(Box::pin(async move {
            if let Err(error) = store.ack(upto).await {
                tracing::warn!(%error, "acknowledged events could not be removed; the next ack tries again");
            }
            Done::Acked
        }));
    }
}

/// Reads until the store can be read: whoever gave up would never be told of the events again.
async fn load(store: Store, after: store::Position, items: usize, bytes: u64) -> Done {
    loop {
        match store.events_after(after, items, bytes).await {
            Ok(events) => return Done::Loaded(events.into_iter().map(encoded).collect()),
            Err(StoreError::Closed) => return Done::Closed,
            Err(error) => {
                tracing::warn!(%error, "events could not be read");
                tokio::time::sleep(STORE_RETRY).await;
            }
        }
    }
}

/// An event in the protocol's words and order; time stamp and data were checked to be JSON when they were stored.
fn encoded(stored: store::StoredEvent) -> StoredEvent {
    #[derive(Serialize)]
    struct Wire<'a> {
        epoch: u64,
        seq: u64,
        cls: &'a str,
        kind: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        printer_id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        job_id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        attempt: Option<u32>,
        ts: Raw,
        data: Raw,
    }
    let store::StoredEvent { position, event } = stored;
    let text = Raw::of(&Wire {
        epoch: position.epoch,
        seq: position.seq,
        cls: event.cls.as_str(),
        kind: &event.kind,
        printer_id: event.printer_id.as_deref(),
        job_id: event.job_id.as_deref(),
        attempt: event.attempt,
        ts: Raw::parse(event.ts_json).unwrap_or_default(),
        data: Raw::parse(event.data_json).unwrap_or_default(),
    });
    StoredEvent { at: Position { epoch: Epoch(position.epoch), seq: Seq(position.seq) }, text }
}

const fn in_store(position: Position) -> store::Position {
    store::Position { epoch: position.epoch.0, seq: position.seq.0 }
}

#[cfg(test)]
mod tests {
    use spoolway_protocol::event::Event;

    use super::*;
    use crate::store::StoreOptions;

    fn stored(clock: &Clock) -> store::StoredEvent {
        store::StoredEvent {
            position: store::Position { epoch: 3, seq: 9 },
            event: NewEvent {
                cls: EventClass::Critical,
                kind: "job.state".to_owned(),
                printer_id: Some("p0".to_owned()),
                job_id: Some("j1".to_owned()),
                attempt: Some(2),
                ts_json: serde_json::to_string(&clock.stamp()).unwrap(),
                data_json: r#"{"to":"printing","rev":4}"#.to_owned(),
            },
        }
    }

    #[test]
    fn a_stored_event_is_an_event_of_the_protocol() {
        let encoded = encoded(stored(&Clock::start().unwrap()));
        let event: Event = encoded.text.decode("event").unwrap();
        assert_eq!((event.epoch, event.seq, event.attempt), (Epoch(3), Seq(9), Some(2)));
        assert_eq!(Raw::of(&event), encoded.text, "the protocol's own order and spelling");
        assert!(matches!(event.decode().unwrap(), EventData::JobState(_)));
    }

    #[tokio::test]
    async fn only_a_refusal_of_our_own_batch_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), &StoreOptions::default()).unwrap();
        let mut events = Events::new(store, 1);
        let id = |n: usize| -> MsgId { format!("m{n}").parse().unwrap() };
        for n in 0..BATCHES + 1 {
            events.handle_sent(Some(&id(n)));
        }
        assert_eq!(events.batches.len(), BATCHES);
        assert!(events.handle_nack(Moment::ZERO, Some(&id(BATCHES))));
        assert!(!events.handle_nack(Moment::ZERO, Some(&id(0))), "forgotten");
        assert!(!events.handle_nack(Moment::ZERO, None));
    }
}
