//! What a killed agent has told: every event once, none missing, each job begun once, ended once and accounted once.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use spoolway_agent::store::{Position, Store, StoreOptions, StoredEvent};
use spoolway_agent_core::gcode::FilamentCount;
use spoolway_protocol::JobId;
use spoolway_protocol::usage::JobUsage;

/// Events read at once.
const AT_ONCE: usize = 512;
/// Bytes read at once.
const BYTES_AT_ONCE: u64 = 4 << 20;

/// A job that was printed, and what it takes by its file.
#[derive(Debug)]
pub(super) struct Printed {
    pub(super) id: JobId,
    commands: u64,
    filament_mm: Vec<f64>,
}

impl Printed {
    pub(super) fn new(id: JobId, commands: u64, file: &[u8]) -> Self {
        let mut count = FilamentCount::new(0..commands);
        count.push(file);
        Self { id, commands, filament_mm: count.finish() }
    }
}

/// What stands in an outbox that nobody has emptied.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) events: u64,
    /// Usage records among them.
    pub(super) usage: u64,
    pub(super) faults: Vec<String>,
}

/// Reads the state folder of an agent that has ended.
pub(super) fn read(folder: &Path, jobs: &[Printed]) -> anyhow::Result<Told> {
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
            let attempts = store.attempts(job.id.as_str()).await?;
            if attempts.len() != 1 {
                faults.push(format!("job {} was begun {} times", job.id, attempts.len()));
            }
        }
        store.close().await?;
        let usage = events.iter().filter(|stored| stored.event.kind == "job.usage").count() as u64;
        Ok(Told { events: events.len() as u64, usage, faults })
    })
}

fn told_once(events: &[StoredEvent], jobs: &[Printed]) -> Vec<String> {
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
        let story = by_job.remove(job.id.as_str()).unwrap_or_default();
        let found = story_faults(&story).into_iter().chain(usage_faults(&story, job));
        faults.extend(found.map(|fault| format!("job {}: {fault}", job.id)));
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

/// One record for the one attempt, of the whole file and of nothing twice, whichever processes have printed it.
fn usage_faults(story: &[(&str, Value)], job: &Printed) -> Option<String> {
    let records: Vec<_> =
        story.iter().filter(|(kind, _)| *kind == "job.usage").map(|(_, data)| data).collect();
    let is_right = |data: &Value| {
        data["usage_id"] == JobUsage::id_of(&job.id, 1).as_str()
            && data["outcome"] == "completed"
            && data["lines_acked"] == job.commands
            && data["lines_before"].is_null()
            && serde_json::from_value::<Vec<f64>>(data["filament_mm"].clone())
                .is_ok_and(|mm| mm == job.filament_mm)
            && data["printing_ms"].as_u64().is_some_and(|ms| ms > 0)
    };
    match records.as_slice() {
        [record] if is_right(record) => None,
        _ => Some(format!("usage {records:?} of {} lines and {:?} mm", job.commands, job.filament_mm)),
    }
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
            event(5, 2, "job.usage", &usage()),
            event(5, 3, "job.result", &json!({"outcome": "completed"})),
        ]
    }

    fn usage() -> Value {
        json!({
            "usage_id": "one/1", "outcome": "completed", "printing_ms": 5, "filament_mm": [1.5], "lines_acked": 2,
        })
    }

    fn faults(events: &[StoredEvent]) -> String {
        told_once(events, &[Printed::new(JobId::new("one").unwrap(), 2, b"M83\nG1 E1.5\n")]).join("; ")
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
        assert!(without(4).contains("usage []"), "{}", without(4));
        assert!(without(5).contains("results []"));
        let with = |kind: &str, data: Value| {
            let mut events = whole();
            events.push(event(5, 4, kind, &data));
            faults(&events)
        };
        assert!(with("job.result", json!({"outcome": "completed"})).contains("results"));
        assert!(with("job.usage", usage()).contains("usage [Object"), "a record that is told twice");
        assert!(with("job.state", json!({"rev": 2, "to": "printing"})).contains("revisions"));
        assert!(with("job.progress", json!({"pct": 20})).contains("milestones"));
        assert!(with("gap", json!({"dropped": 1})).contains("lost"));
        for (name, wrong) in [
            ("usage_id", json!("one/2")),
            ("lines_acked", json!(1)),
            ("filament_mm", json!([1.25])),
            ("outcome", json!("interrupted")),
            ("printing_ms", json!(0)),
        ] {
            let mut events = whole();
            let mut data = usage();
            data[name] = wrong;
            events[4] = event(5, 2, "job.usage", &data);
            assert!(faults(&events).contains("usage ["), "{name}");
        }
        let mut foreign = whole();
        foreign[1].event.job_id = Some("two".to_owned());
        assert!(faults(&foreign).contains("nobody has begun job two"));
    }
}
