//! Records of prints that could not go on: which ends leave one, what is in it, and with whom it goes.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use spoolway_agent::bus::Inbound;
use spoolway_agent::config::BedConfirm;
use spoolway_agent::local::Counter;
use spoolway_agent::post_mortem::{Record, Shelf};
use spoolway_agent::printer::{RunEnd, RunPhase, Speaker, Tail, WireLine};
use spoolway_agent_core::Moment;
use spoolway_agent_core::stream::{Stats, WireFigures};
use spoolway_agent_core::temperature::{Reading, Temperatures};
use spoolway_protocol::{Fault, JobId, JobState};
use tokio::sync::oneshot;

use crate::rig::Rig;

const ANY: BedConfirm = BedConfirm::NotRequired;

fn lost() -> RunPhase {
    RunPhase::Ended(RunEnd::Interrupted(Fault::PortLost, "the port went away".to_owned()))
}

impl Rig {
    /// A job that is printed: its id, and its run.
    async fn printing(&mut self, folder: &Path) -> (String, u64) {
        let id = self.print(folder).await;
        let run = self.started().await;
        self.run(run, RunPhase::Printing);
        self.until_job(&id, JobState::Printing).await;
        (id, run)
    }

    /// The last words on the wire, as the printer thread keeps them.
    fn keep_tail(&self, run: u64, text: &str) {
        let line = WireLine { at: Moment::from_millis(5), speaker: Speaker::Agent, text: text.to_owned() };
        self.snapshot.send_modify(|snapshot| {
            let known = snapshot.known.clone();
            let (stats, wire) = (Stats { job_probes: 3, ..Stats::default() }, WireFigures::default());
            snapshot.tail = Some(Arc::new(Tail { run, lines: vec![line], stats, wire, window: None, known }));
        });
    }

    /// The nozzle is that warm.
    async fn warm(&self, celsius: f32) {
        let mut temperatures = Temperatures::default();
        temperatures.tools[0] = Some(Reading { actual: celsius, target: Some(210.0) });
        self.snapshot.send_modify(|snapshot| snapshot.temperatures = Some(temperatures));
        // The desk has looked once it has answered twice.
        for _ in 0..2 {
            drop(self.desk.status().await.unwrap());
        }
    }

    async fn record(&self, folder: &Path, job: &str) -> Record {
        let (shelf, job) = (Shelf::of(folder), JobId::new(job).unwrap());
        self.until("a record", async |_| shelf.find(&job, None).unwrap()).await
    }
}

fn kept(folder: &Path) -> Vec<String> {
    Shelf::of(folder).list().unwrap().iter().map(|kept| format!("{} {}", kept.job_id, kept.attempt)).collect()
}

#[tokio::test]
async fn an_interruption_is_recorded_with_its_wire_and_its_heat() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), ANY);
    let (id, run) = rig.printing(folder.path()).await;
    rig.warm(150.0).await;
    rig.warm(209.5).await;
    rig.keep_tail(run, "N7 G28*1");
    rig.run(run, lost());
    rig.until_job(&id, JobState::Interrupted).await;
    let record = rig.record(folder.path(), &id).await;
    assert_eq!((record.code.as_deref(), record.outcome.as_str()), (Some("port.lost"), "interrupted"));
    assert_eq!(record.wire.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["N7 G28*1"]);
    assert_eq!(record.link.unwrap().probes, 3);
    assert_eq!(record.heat.last["tool0"], [209.5, 210.0]);
    assert_eq!(record.heat.extremes["tool0"], (150.0, 209.5));
    assert_eq!(record.versions.firmware.as_deref(), Some("Marlin 2.1"));
    let history = rig.desk.history(JobId::new(id).unwrap()).await.unwrap();
    let used = history.attempts[0].used.as_ref().unwrap();
    assert_eq!(used.printing_ms, record.usage.printing_ms);
    let last = history.steps.last().unwrap();
    assert_eq!((last.to, last.code.as_deref()), (JobState::Interrupted, Some("port.lost")));
}

#[tokio::test]
async fn words_of_another_run_are_not_taken_for_those_of_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), ANY);
    let (id, run) = rig.printing(folder.path()).await;
    rig.keep_tail(run + 1, "N7 G28*1");
    rig.run(run, lost());
    let record = rig.record(folder.path(), &id).await;
    assert!(record.wire.lines.is_empty() && record.wire.missing.is_some() && record.link.is_none());
}

#[tokio::test]
async fn what_is_done_or_cancelled_leaves_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), ANY);
    let id = rig.print(folder.path()).await;
    rig.print_through(&id).await;
    let other = rig.print(folder.path()).await;
    let run = rig.started().await;
    rig.run(run, RunPhase::Printing);
    rig.until_job(&other, JobState::Printing).await;
    rig.run(run, RunPhase::Ended(RunEnd::Cancelled));
    rig.until_job(&other, JobState::Cancelled).await;
    // One that does is written behind both.
    let last = rig.print(folder.path()).await;
    let run = rig.started().await;
    rig.run_behind(run, lost(), 0, Default::default());
    rig.until_job(&last, JobState::Failed).await;
    rig.record(folder.path(), &last).await;
    assert_eq!(kept(folder.path()), [format!("{last} 1")]);
}

#[tokio::test]
async fn a_record_that_is_owed_is_written_by_the_next_process_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), ANY);
    let (id, run) = rig.printing(folder.path()).await;
    rig.keep_tail(run, "N7 G28*1");
    rig.run(run, lost());
    let first = rig.record(folder.path(), &id).await;
    rig.kill().await;
    let rig = Rig::open(folder.path(), ANY);
    rig.desk_is_there().await;
    assert_eq!(rig.record(folder.path(), &id).await, first, "what is there stays");
    rig.kill().await;
    std::fs::remove_dir_all(folder.path().join(spoolway_agent::post_mortem::FOLDER)).unwrap();
    let rig = Rig::open(folder.path(), ANY);
    let owed = rig.record(folder.path(), &id).await;
    assert_eq!((&owed.code, owed.attempt, &owed.usage), (&first.code, 1, &first.usage));
    assert!(owed.wire.missing.is_some() && owed.started == first.started);
}

#[tokio::test]
async fn records_go_with_the_jobs_of_the_owner_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), ANY);
    let (id, run) = rig.printing(folder.path()).await;
    rig.run(run, lost());
    let mine = rig.record(folder.path(), &id).await;
    rig.offer("theirs", b"G28\n", json!([{"kind": "relay"}])).await;
    let theirs = Record { job_id: JobId::new("theirs").unwrap(), ..mine };
    Shelf::of(folder.path()).put(&theirs, None).unwrap();
    assert_eq!(kept(folder.path()), [format!("{id} 1"), "theirs 1".to_owned()]);
    let (done, is_done) = oneshot::channel();
    rig.inbound.send(Inbound::Owner { owner: "b:next".parse().unwrap(), done }).await.unwrap();
    is_done.await.unwrap();
    assert_eq!(kept(folder.path()), [format!("{id} 1")]);
}
