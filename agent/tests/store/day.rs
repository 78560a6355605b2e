//! A backend is away for a day: the outbox stays within its bounds, drops the oldest of what may be dropped and says so; when it is
//! back everything else arrives in order and is acknowledged, and commands that came too late are told as expired.
//!
//! The store is the real one; the day passes in virtual time.

use std::time::Duration;

use serde_json::Value;
use spoolway_agent::store::StoredEvent;
use spoolway_agent_core::Moment;
use spoolway_agent_core::link::inbox::InboxOptions;
use spoolway_agent_core::link::{
    self, Arrival, Inbox, InboxOutput, Outbox, OutboxOptions, OutboxOutput, StoredAs,
};
use spoolway_protocol::command::{Command, CommandStatus};
use spoolway_protocol::event::EventAck;
use spoolway_protocol::hello::Window;
use spoolway_protocol::{CmdId, Epoch, Raw, Seq};

use super::*;

const MINUTES: u64 = 24 * 60;
/// A milestone each minute, and a change of state each quarter of an hour.
const CRITICAL_EVERY: u64 = 15;
const KILLED_AT: u64 = 700;
const INFO_CAP_BYTES: u64 = 100_000;

fn bounded() -> StoreOptions {
    StoreOptions { info_cap_bytes: INFO_CAP_BYTES, ..options() }
}

fn minute(n: u64) -> Moment {
    Moment::from_millis(n * 60_000)
}

fn numbered(write: Write, number: u64) -> Write {
    let Write::Event(mut event) = write else { unreachable!() };
    event.data_json = format!(r#"{{"number":{number},"padding":"{}"}}"#, "x".repeat(1_000));
    Write::Event(event)
}

/// What the wire carries of an event, as far as this is about.
fn on_the_wire(stored: StoredEvent) -> link::StoredEvent {
    let StoredEvent { position, event } = stored;
    let Position { epoch, seq } = position;
    let text =
        format!(r#"{{"epoch":{epoch},"seq":{seq},"kind":"{}","data":{}}}"#, event.kind, event.data_json);
    link::StoredEvent {
        at: link::Position { epoch: Epoch(epoch), seq: Seq(seq) },
        text: Raw::parse(text).unwrap(),
    }
}

/// The agent's end of the events, driven to its rest at one moment; gives what it has sent.
struct Sender {
    outbox: Outbox,
}

impl Sender {
    /// A process begins, and its relay lets it in.
    fn new(seed: u64) -> Self {
        let mut outbox = Outbox::new(OutboxOptions::default(), seed);
        outbox.handle_connected(Window { events: 256, bytes: 512 * 1024 });
        Self { outbox }
    }

    async fn send(&mut self, store: &Store, now: Moment) -> Vec<Value> {
        let mut sent = Vec::new();
        loop {
            match self.outbox.poll_output(now) {
                OutboxOutput::Load { after, items, bytes } => {
                    let after = after.map_or_else(Position::default, |after| Position {
                        epoch: after.epoch.0,
                        seq: after.seq.0,
                    });
                    let events = store.events_after(after, items, bytes as u64).await.unwrap();
                    self.outbox.handle_loaded(events.into_iter().map(on_the_wire).collect());
                }
                OutboxOutput::Send { body, .. } => {
                    let body: Value = serde_json::from_str(body.get()).unwrap();
                    sent.extend(body["items"].as_array().unwrap().clone());
                }
                OutboxOutput::Forget(to) => {
                    store.ack(Position { epoch: to.epoch.0, seq: to.seq.0 }).await.unwrap();
                }
                OutboxOutput::Wait(_) => return sent,
            }
        }
    }
}

/// Tells what is sent until everything was acknowledged; each event once, and no hole that no gap explains.
async fn heard(sender: &mut Sender, store: &Store) -> Vec<Value> {
    let (mut heard, mut at): (Vec<Value>, (u64, u64)) = (Vec::new(), (0, 0));
    let mut now = minute(MINUTES);
    while store.outbox_status().await.unwrap().oldest_unacked.is_some() {
        now = now + Duration::from_secs(60);
        for event in sender.send(store, now).await {
            let (epoch, seq) = (event["epoch"].as_u64().unwrap(), event["seq"].as_u64().unwrap());
            let spans = event["data"]["dropped"].as_u64().unwrap_or(1);
            let before = if epoch == at.0 { at.1 } else { 0 };
            assert_eq!(seq - spans, before, "{event}");
            at = (epoch, seq);
            heard.push(event);
        }
        let ack = EventAck { epoch: Epoch(at.0), seq: Seq(at.1), extra: Default::default() };
        sender.outbox.handle_ack(now, &ack);
        sender.send(store, now).await;
    }
    heard
}

#[tokio::test]
async fn events_of_a_day_arrive_when_the_backend_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(dir.path(), &bounded()).unwrap();
    let mut sender = Sender::new(1);
    let (mut tries, mut critical_told) = (0_u64, 0);
    for now in 0..MINUTES {
        store.commit(vec![numbered(event(EventClass::Info, "sensor"), now)], Grouped).await.unwrap();
        if now % CRITICAL_EVERY == 0 {
            store.commit(vec![numbered(critical(), now)], Promise).await.unwrap();
            critical_told += 1;
        }
        if now == KILLED_AT {
            drop(store);
            (store, _) = Store::open(dir.path(), &bounded()).unwrap();
            sender = Sender::new(2);
        }
        sender.outbox.handle_appended();
        // The relay answers for a backend that is not there.
        if !sender.send(&store, minute(now)).await.is_empty() {
            tries += 1;
            sender.outbox.handle_nack(minute(now));
        }
        let status = store.outbox_status().await.unwrap();
        assert!(status.info_bytes <= INFO_CAP_BYTES + 2_000, "{now}: {status:?}");
    }
    assert!(tries > 1, "it asks again");
    let dropped = store.outbox_status().await.unwrap().dropped;
    assert!(dropped.info > MINUTES / 2 && dropped.critical == 0, "{dropped:?}");

    let heard = heard(&mut sender, &store).await;
    let numbers = |kind: &str| -> Vec<u64> {
        let ours = heard.iter().filter(|event| event["kind"] == kind);
        ours.map(|event| event["data"]["number"].as_u64().unwrap()).collect()
    };
    let critical: Vec<u64> = (0..MINUTES).filter(|now| now % CRITICAL_EVERY == 0).collect();
    assert_eq!((numbers("job.state"), critical.len()), (critical, critical_told), "every one, in order");
    // What the process had read for a first try is told although the store has dropped it since; behind that come the newest.
    let kept = numbers("sensor");
    assert!(kept.is_sorted_by(|before, after| before < after), "{kept:?}");
    let newest: Vec<u64> = (MINUTES - 80..MINUTES).collect();
    assert!(kept.ends_with(&newest) && kept.len() < MINUTES as usize / 4, "{kept:?}");
    let gone: u64 = heard.iter().filter_map(|event| event["data"]["dropped"].as_u64()).sum();
    assert_eq!(gone + kept.len() as u64, MINUTES, "the gaps count what is not there");
}

#[test]
fn commands_that_waited_for_a_day_are_told_as_expired() {
    let command = |seq: u64| -> Command {
        let cmd_id = CmdId::from_parts(1_760_000_000_000 + seq, &[1; 10]);
        serde_json::from_value(serde_json::json!({
            "cmd_id": cmd_id, "seq": seq, "kind": "job.pause", "args": {"job_id": "j"},
            "actor": {"id": "anna", "role": "operator"},
        }))
        .unwrap()
    };
    let hour_ms = 3_600_000;
    let mut inbox = Inbox::restore(Moment::ZERO, InboxOptions::default(), Seq(0), Vec::new());
    // Given through the day, sent together when both are back; every third is worth something for ever.
    for seq in 1..=24 {
        let ttl_ms = (seq % 3 != 0).then_some(hour_ms);
        let age_ms = (24 - seq) * hour_ms;
        let arrival = Arrival { command: command(seq), ttl_ms, age_ms, id: None, unsigned: None };
        inbox.handle_command(minute(MINUTES), arrival);
    }
    let (mut expired, mut accepted, mut receipts) = (Vec::new(), Vec::new(), 0);
    loop {
        match inbox.poll_output(minute(MINUTES)) {
            InboxOutput::Store { row, result } => {
                let seq = row.command.seq.0;
                match result {
                    Some(result) if result.status == CommandStatus::Expired => expired.push(seq),
                    None => accepted.push(seq),
                    Some(other) => panic!("{other:?}"),
                }
                inbox.handle_stored(row.command.cmd_id, StoredAs::New);
            }
            InboxOutput::Receipt(_) => receipts += 1,
            InboxOutput::Execute { command, .. } => {
                inbox.handle_finished(spoolway_protocol::event::CmdResult {
                    cmd_id: command.cmd_id,
                    status: CommandStatus::Done,
                    code: None,
                    detail: None,
                    data: None,
                    extra: Default::default(),
                });
            }
            InboxOutput::Wait(_) => break,
            InboxOutput::Finish(_) | InboxOutput::Nack { .. } => {}
        }
    }
    assert_eq!(receipts, 24, "each is told to be here, so that none is sent again");
    assert_eq!(
        accepted,
        [3, 6, 9, 12, 15, 18, 21, 23, 24],
        "those without a limit, and those of the last hour"
    );
    assert_eq!(expired.len() + accepted.len(), 24);
}
