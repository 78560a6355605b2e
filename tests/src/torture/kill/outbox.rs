//! What a killed agent has told: every event once, none missing, each job begun once and ended once.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use spoolway_agent::store::{Position, Store, StoreOptions, StoredEvent};
use spoolway_protocol::JobId;

/// Events read at once.
const AT_ONCE: usize = 512;
/// Bytes read at once.
const BYTES_AT_ONCE: u64 = 4 << 20;

/// What stands in an outbox that nobody has emptied.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) events: u64,
    pub(super) faults: Vec<String>,
}

/// Reads the state folder of an agent that has ended.
pub(super) fn read(folder: &Path, jobs: &[JobId]) -> anyhow::Result<Told> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (store, _) = Store::open(folder, &StoreOptions::default())?;
        let (mut events, mut from) = (Vec::new(), Position::default());
        loop {
            let some = store.events_after(from, AT_ONCE, BYTES_AT_ONCE).await?;
            let Some(last) = some.last() else { break };
            from = last.position;
            events.extend(some);
        }
        let mut faults = told_once(&events, jobs);
        for job in jobs {
            let attempts = store.attempts(job.as_str()).await?;
            if attempts.len() != 1 {
                faults.push(format!("job {job} was begun {} times", attempts.len()));
            }
        }
        store.close().await?;
        Ok(Told { events: events.len() as u64, faults })
    })
}

fn told_once(events: &[StoredEvent], jobs: &[JobId]) -> Vec<String> {
    let mut faults = holes(events);
    let mut by_job: BTreeMap<&str, Vec<(&str, Value)>> = BTreeMap::new();
    for event in events.iter().map(|stored| &stored.event) {
        if event.kind == "gap" {
            faults.push(format!("events were lost: {}", event.data_json));
        }
        if let Some(job) = &event.job_id {
            let data = serde_json::from_str(&event.data_json).unwrap_or_default();
            by_job.entry(job).or_default().push((&event.kind, data));
        }
    }
    for job in jobs {
        let story = by_job.remove(job.as_str()).unwrap_or_default();
        faults.extend(story_faults(&story).into_iter().map(|fault| format!("job {job}: {fault}")));
    }
    faults.extend(by_job.keys().map(|job| format!("nobody has begun job {job}")));
    faults
}

/// Numbers follow one another within an epoch, and epochs rise.
fn holes(events: &[StoredEvent]) -> Vec<String> {
    let mut last = Position::default();
    let mut faults = Vec::new();
    for position in events.iter().map(|event| event.position) {
        let is_next = position.epoch == last.epoch && position.seq == last.seq + 1;
        let is_first = position.epoch > last.epoch && position.seq == 1;
        if !is_next && !is_first {
            faults.push(format!("event {position:?} follows {last:?}"));
        }
        last = position;
    }
    faults
}

/// The story of one job: revisions without a hole, printing once, one result, milestones in order.
fn story_faults(story: &[(&str, Value)]) -> Vec<String> {
    let of = |kind: &'static str| story.iter().filter(move |(is, _)| *is == kind).map(|(_, data)| data);
    let mut faults = Vec::new();
    let revisions: Vec<_> = of("job.state").map(|data| data["rev"].as_u64().unwrap_or_default()).collect();
    if revisions != (1..=revisions.len() as u64).collect::<Vec<_>>() {
        faults.push(format!("revisions {revisions:?}"));
    }
    let states: Vec<_> = of("job.state").filter_map(|data| data["to"].as_str()).collect();
    let printing = states.iter().filter(|state| **state == "printing").count();
    if printing != 1 || states.last() != Some(&"completed") {
        faults.push(format!("states {states:?}"));
    }
    let results: Vec<_> = of("job.result").map(|data| data["outcome"].as_str().unwrap_or_default()).collect();
    if results != ["completed"] {
        faults.push(format!("results {results:?}"));
    }
    let milestones: Vec<_> =
        of("job.progress").map(|data| data["pct"].as_f64().unwrap_or_default()).collect();
    if !milestones.windows(2).all(|pair| pair[0] < pair[1]) {
        faults.push(format!("milestones {milestones:?}"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use spoolway_agent::store::{EventClass, NewEvent};

    use super::*;

    fn event(epoch: u64, seq: u64, kind: &str, data: &Value) -> StoredEvent {
        let event = NewEvent {
            cls: EventClass::Critical,
            kind: kind.to_owned(),
            printer_id: None,
            job_id: Some("one".to_owned()),
            attempt: Some(1),
            ts_json: "{}".to_owned(),
            data_json: data.to_string(),
        };
        StoredEvent { position: Position { epoch, seq }, event }
    }

    fn whole() -> Vec<StoredEvent> {
        vec![
            event(1, 1, "job.state", &json!({"rev": 1, "to": "printing"})),
            event(2, 1, "job.progress", &json!({"pct": 10})),
            event(2, 2, "job.progress", &json!({"pct": 20})),
            event(5, 1, "job.state", &json!({"rev": 2, "to": "completed"})),
            event(5, 2, "job.result", &json!({"outcome": "completed"})),
        ]
    }

    fn faults(events: &[StoredEvent]) -> String {
        told_once(events, &[JobId::new("one").unwrap()]).join("; ")
    }

    #[test]
    fn a_story_that_is_told_once_has_no_fault() {
        assert_eq!(faults(&whole()), "");
    }

    #[test]
    fn what_is_missing_doubled_or_told_of_somebody_else_is_named() {
        let without = |at: usize| {
            let mut events = whole();
            events.remove(at);
            faults(&events)
        };
        assert!(without(0).contains("revisions [2]") && without(0).contains("states"), "{}", without(0));
        assert!(without(1).contains("seq: 2"), "{}", without(1));
        assert!(without(4).contains("results []"));
        let with = |kind: &str, data: Value| {
            let mut events = whole();
            events.push(event(5, 3, kind, &data));
            faults(&events)
        };
        assert!(with("job.result", json!({"outcome": "completed"})).contains("results"));
        assert!(with("job.state", json!({"rev": 2, "to": "printing"})).contains("revisions"));
        assert!(with("job.progress", json!({"pct": 20})).contains("milestones"));
        assert!(with("gap", json!({"dropped": 1})).contains("lost"));
        let mut foreign = whole();
        foreign[1].event.job_id = Some("two".to_owned());
        assert!(faults(&foreign).contains("nobody has begun job two"));
    }
}
