//! The queue of one printer: order, holds, times and copies, each change one row and one event.

use serde_json::{Value, json};
use spoolway_agent::clock::Clock;
use spoolway_agent::config::BedConfirm;
use spoolway_agent::local::{Counter, PrintWishes};
use spoolway_agent::printer::{RunEnd, RunPhase};
use spoolway_agent_core::job::Place;
use spoolway_protocol::{JobId, JobState};

use super::rig::{Rig, gcode};

fn id(name: &str) -> JobId {
    JobId::new(name).unwrap()
}

async fn order(rig: &Rig) -> Vec<String> {
    let jobs = rig.desk.jobs().await.unwrap();
    let waiting = jobs.into_iter().filter(|job| !job.state.is_terminal() && !job.state.holds_printer());
    waiting.map(|job| job.job_id.to_string()).collect()
}

/// Three jobs behind one that is being printed; gives their names in order.
async fn three(rig: &mut Rig, folder: &std::path::Path) -> (String, Vec<String>) {
    let first = rig.print(folder).await;
    let run = rig.started().await;
    rig.run(run, RunPhase::Printing);
    rig.until_job(&first, JobState::Printing).await;
    let mut names = Vec::new();
    for _ in 0..3 {
        let name = rig.print(folder).await;
        rig.until_job(&name, JobState::Queued).await;
        names.push(name);
    }
    (first, names)
}

#[tokio::test]
async fn jobs_stand_where_they_are_put_and_stay_there_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::NotRequired);
    let (_, names) = three(&mut rig, dir.path()).await;
    let [a, b, c] = [&names[0], &names[1], &names[2]];
    assert_eq!(order(&rig).await, names);
    rig.desk.place(id(c), Place::First).await.unwrap();
    assert_eq!(order(&rig).await, [c, a, b].map(String::clone));
    rig.desk.place(id(b), Place::Before(id(a))).await.unwrap();
    assert_eq!(order(&rig).await, [c, b, a].map(String::clone));
    let before = rig.events().await.len();
    rig.desk.place(id(a), Place::Last).await.unwrap();
    let (status, _) = rig.result("job.update", json!({"job_id": a, "priority": 7})).await;
    assert_eq!(status, "done");
    assert_eq!(order(&rig).await, [a, c, b].map(String::clone));
    let told: Vec<_> =
        rig.events().await.split_off(before).into_iter().map(|event| event.event.kind).collect();
    assert!(told.iter().filter(|kind| *kind == "job.updated").count() <= 2, "{told:?}");
    rig.kill().await;

    let rig = Rig::open(dir.path(), BedConfirm::NotRequired);
    let waiting: Vec<_> = order(&rig).await.into_iter().filter(|name| names.contains(name)).collect();
    assert_eq!(waiting, [a, c, b].map(String::clone));
    assert!(rig.desk.place(id("nobody"), Place::First).await.is_err());
    assert_eq!(rig.desk.place(id(a), Place::Before(id(a))).await.unwrap_err().fault.code(), "job.not_ready");
    rig.assert_told_once().await;
}

#[tokio::test]
async fn a_job_that_is_held_makes_way_and_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::NotRequired);
    let file = gcode(dir.path(), "G28\n");
    let wishes = PrintWishes { hold: true, ..PrintWishes::default() };
    let held = rig.desk.print_file(file, wishes).await.unwrap().job_id;
    let held = held.to_string();
    let waits = rig.until_job(&held, JobState::Queued).await;
    assert!(waits.held && waits.reason.unwrap().contains("jobs release"));
    assert_eq!(waits.code, None, "nothing is wrong with it");
    let other = rig.print(dir.path()).await;
    rig.print_through(&other).await;
    let (status, code) = rig.result("job.start", json!({"job_id": held, "attempt": 1})).await;
    assert_eq!((status.as_str(), code.as_deref()), ("rejected", Some("job.held")));
    rig.kill().await;

    let mut rig = Rig::open(dir.path(), BedConfirm::NotRequired);
    assert!(rig.until_job(&held, JobState::Queued).await.held, "it is still held");
    rig.desk.release(id(&held)).await.unwrap();
    rig.print_through(&held).await;
    assert_eq!(rig.desk.hold(id(&held)).await.unwrap_err().fault.code(), "job.not_ready");
}

#[tokio::test]
async fn each_copy_is_an_attempt_and_waits_for_the_bed() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::Required);
    let file = gcode(dir.path(), "G28\n");
    let wishes = PrintWishes { copies: 3, ..PrintWishes::default() };
    let name = rig.desk.print_file(file, wishes).await.unwrap().job_id.to_string();
    for copy in 1..=3_u32 {
        rig.print_through(&name).await;
        let job = rig.job(&name).await;
        assert_eq!((job.attempt, job.copies_done), (copy, copy));
        if copy < 3 {
            rig.until_job(&name, JobState::AwaitingBedClear).await;
            rig.desk.clear_bed(u64::from(copy)).await.unwrap();
        }
    }
    assert_eq!(rig.job(&name).await.state, JobState::Completed);
    let results = rig.told("job.result").await;
    let copies: Vec<_> = results.iter().map(|data| (data["copy"].clone(), data["copies"].clone())).collect();
    assert_eq!(copies, [1, 2, 3].map(|copy| (json!(copy), json!(3))));
    assert!(results.iter().all(|data| data["outcome"] == "completed"));
    let usage = rig.told("job.usage").await;
    let accounted: Vec<_> =
        usage.iter().map(|data| (data["usage_id"].clone(), data["lines_before"].clone())).collect();
    assert_eq!(accounted, [1, 2, 3].map(|attempt| (json!(format!("{name}/{attempt}")), Value::Null)));
    rig.assert_told_once().await;
}

#[tokio::test]
async fn a_change_names_what_was_seen_and_what_is_possible() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::NotRequired);
    let (printing, names) = three(&mut rig, dir.path()).await;
    let job = &names[0];
    let rev = rig.job(job).await.rev;
    let told = rig.told("job.updated").await.len();
    for (args, code) in [
        (json!({"job_id": job, "rev": rev - 1, "hold": true}), "command.precondition_failed"),
        (json!({"job_id": job, "copies": 0}), "command.bad_args"),
        (json!({"job_id": job, "copies": 1_001}), "command.bad_args"),
        (json!({"job_id": "nobody", "hold": true}), "job.unknown"),
    ] {
        let (status, said) = rig.result("job.update", args).await;
        assert_eq!((status.as_str(), said.as_deref()), ("rejected", Some(code)));
    }
    assert_eq!(rig.job(job).await.rev, rev, "a refused change changes nothing");
    assert_eq!(rig.told("job.updated").await.len(), told);
    let args = json!({"job_id": job, "rev": rev, "position": 2, "copies": 2, "hold": true});
    assert_eq!(rig.result("job.update", args.clone()).await.0, "done");
    assert_eq!(order(&rig).await.last(), Some(job));
    assert!(rig.job(job).await.held);
    // The same once more, by somebody who has seen the change, is no change.
    let rev = rig.job(job).await.rev;
    let again = json!({"job_id": job, "rev": rev, "copies": 2, "hold": true});
    assert_eq!(rig.result("job.update", again).await.0, "done");
    assert_eq!(rig.job(job).await.rev, rev);
    assert_eq!(rig.result("job.update", json!({"job_id": printing, "copies": 4})).await.0, "done");
    rig.assert_told_once().await;
}

/// An offer of the backend whose file is here already.
async fn offer(rig: &mut Rig, name: &str, more: Value) {
    let known = rig.job_file().await;
    let mut args = json!({
        "job_id": name, "rev": 1, "owner": "farm", "start": "at", "sources": [{"kind": "relay"}],
        "file": {"file_id": "file-1", "size": known.1, "sha256": known.0, "chunk": 65_536, "name": "part.gcode"},
    });
    args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    assert_eq!(rig.result("job.offer", args).await.0, "done");
}

#[tokio::test]
async fn a_job_with_a_time_waits_for_it_and_ends_when_it_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::NotRequired);
    let (_, names) = three(&mut rig, dir.path()).await;
    for name in &names {
        rig.desk.hold(id(name)).await.unwrap();
    }
    let now_ms = Clock::start().unwrap().unix_ms();
    let hour = 3_600_000;
    offer(&mut rig, "late", json!({"not_before": now_ms - 2 * hour, "not_after": now_ms - hour})).await;
    offer(&mut rig, "later", json!({"not_before": now_ms + hour})).await;
    offer(&mut rig, "due", json!({"not_before": now_ms - hour, "not_after": now_ms + hour})).await;
    let untold = rig.clock.trusted_unix_ms().is_none();
    if untold {
        let waits = rig.until_job("due", JobState::Queued).await.reason.unwrap();
        assert!(waits.contains("what time it is"), "{waits}");
        assert_eq!(rig.job("late").await.state, JobState::Queued, "nothing is over without a clock");
    }
    rig.clock.learn_relay_time(now_ms);
    let over = rig.until_job("late", JobState::Failed).await;
    assert!(over.reason.unwrap().contains("time was over") && over.attempt == 0);
    assert_eq!(over.code.as_deref(), Some("job.expired"));
    let results = rig.told("job.result").await;
    assert_eq!((&results[0]["outcome"], &results[0]["code"]), (&json!("failed"), &json!("job.expired")));
    rig.end_run().await;
    rig.print_through("due").await;
    let waits = rig.until_job("later", JobState::Queued).await.reason.unwrap();
    assert!(waits.starts_with("waits until 2"), "{waits}");
    assert_eq!(rig.result("job.update", json!({"job_id": "later", "not_before": 1})).await.0, "done");
    rig.print_through("later").await;
}

#[tokio::test]
async fn a_job_that_is_over_is_tried_once_more_by_a_start_and_never_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::NotRequired);
    let (_, names) = three(&mut rig, dir.path()).await;
    for name in &names {
        rig.desk.hold(id(name)).await.unwrap();
    }
    offer(&mut rig, "a", json!({"start": "when_ready", "retain": "keep:1"})).await;
    rig.end_run().await;
    let run = rig.started().await;
    rig.run(run, RunPhase::Ended(RunEnd::Cancelled));
    rig.until_job("a", JobState::Cancelled).await;
    let (status, code) = rig.result("job.start", json!({"job_id": "a", "attempt": 1})).await;
    assert_eq!((status.as_str(), code.as_deref()), ("rejected", Some("job.already_started")));
    assert_eq!(rig.result("job.start", json!({"job_id": "a", "attempt": 2})).await.0, "done");
    let run = rig.started().await;
    rig.run(run, RunPhase::Printing);
    rig.until_job("a", JobState::Printing).await;
    rig.run(run, RunPhase::Ended(RunEnd::Completed));
    let done = rig.until_job("a", JobState::Completed).await;
    assert_eq!((done.attempt, done.copies_done), (2, 1));
    rig.kill().await;

    let mut rig = Rig::open(dir.path(), BedConfirm::NotRequired);
    assert_eq!(rig.result("job.start", json!({"job_id": "a", "attempt": 5})).await.0, "done");
    rig.print_through("a").await;
    assert_eq!(rig.job("a").await.attempt, 5, "attempts rise, and may leave numbers out");
    rig.assert_told_once().await;
}

#[tokio::test]
async fn a_job_whose_file_is_gone_is_not_tried_once_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::NotRequired);
    let job = rig.print(dir.path()).await;
    rig.print_through(&job).await;
    rig.until_job(&job, JobState::Completed).await;
    let spool = dir.path().join("spool");
    rig.until("the file to be deleted", async |_| {
        let bodies = std::fs::read_dir(&spool).unwrap().flatten().filter(|entry| entry.path().is_file());
        (bodies.count() == 0).then_some(())
    })
    .await;
    let rev = rig.job(&job).await.rev;
    let (status, code) = rig.result("job.start", json!({"job_id": job, "attempt": 2})).await;
    assert_eq!((status.as_str(), code.as_deref()), ("rejected", Some("job.not_ready")));
    assert_eq!(rig.job(&job).await.rev, rev, "a refused start moves nothing");
}
