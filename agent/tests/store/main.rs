//! The store keeps its promises: gapless numbers, whole lists, new epochs after crashes and damage.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod day;
mod epochs;
mod events;
mod faults;
mod gaps;
mod inbox;
mod jobs;

use std::path::Path;

use spoolway_agent::store::{
    AttemptEnd, Durability, EventClass, FileRow, JobRow, NewCommand, NewEvent, Opened, Position, Start,
    Store, StoreError, StoreOptions, Write,
};

use Durability::{Grouped, Promise};

fn options() -> StoreOptions {
    StoreOptions { group_ms: 2, ..StoreOptions::default() }
}

fn event(cls: EventClass, kind: &str) -> Write {
    Write::Event(NewEvent {
        cls,
        kind: kind.to_owned(),
        printer_id: Some("p0".to_owned()),
        job_id: None,
        attempt: None,
        ts_json: r#"{"m":1}"#.to_owned(),
        data_json: r#"{"from":"idle"}"#.to_owned(),
    })
}

fn critical() -> Write {
    event(EventClass::Critical, "job.state")
}

fn big(cls: EventClass) -> Write {
    let Write::Event(mut big) = event(cls, "sensor") else { unreachable!() };
    big.data_json = format!("\"{}\"", "x".repeat(1000));
    Write::Event(big)
}

fn command(cmd_id: &str, seq: u64) -> NewCommand {
    NewCommand {
        cmd_id: cmd_id.to_owned(),
        seq: Some(seq),
        printer_id: None,
        kind: "job.pause".to_owned(),
        body_json: "{}".to_owned(),
        received_ms: 5,
    }
}

fn job(job_id: &str) -> JobRow {
    JobRow {
        job_id: job_id.to_owned(),
        rev: 1,
        state: "offered".to_owned(),
        detail_json: None,
        printer_id: Some("p0".to_owned()),
        sha256: None,
        priority: 0,
        position: 0,
        body_json: "{}".to_owned(),
        created_ms: 1,
        updated_ms: 1,
    }
}

fn attempt(job_id: &str, attempt: u32) -> Write {
    Write::InsertAttempt { job_id: job_id.to_owned(), attempt, started_ms: 9, detail_json: None }
}

fn open(dir: &Path) -> (Store, Opened) {
    Store::open(dir, &options()).unwrap()
}

async fn kinds(store: &Store) -> Vec<String> {
    let events = store.events_after(Position::default(), usize::MAX, u64::MAX).await.unwrap();
    events.into_iter().map(|stored| stored.event.kind).collect()
}

/// A small generator, so that a failing seed can be named.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}
