//! A permit's time: told once for each attempt when it is over, held where the permit says so, and counted on by the attempts that
//! go on from one another, which need no permit of their own.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use spoolway_agent::config::BackendKey;
use spoolway_agent::identity::Identity;
use spoolway_agent::local::Counter;
use spoolway_agent::printer::{Order, RunEnd, RunPhase, Ticket};
use spoolway_agent::view::recovery::RecoverHow;
use spoolway_agent_core::recovery::Height;
use spoolway_agent_core::stream::Progress;
use spoolway_protocol::{Fault, JobId, JobState};

use crate::rig::Rig;
use crate::takeover::lose_database;
use crate::usage::{at_command, part};

const JOB: &str = "job-7731";

/// A backend's key.
struct Signer(Ed25519KeyPair);

impl Signer {
    fn new() -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap())
    }

    fn key(&self) -> BackendKey {
        STANDARD.encode(self.0.public_key().as_ref()).parse().unwrap()
    }

    fn sign(&self, permit: &Value) -> Value {
        let raw = permit.to_string();
        json!({"raw": STANDARD.encode(&raw), "sig": STANDARD.encode(self.0.sign(raw.as_bytes()))})
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Has a job of the backend started by a permit without any time to print.
async fn start(rig: &mut Rig, folder: &Path, signer: &Signer, text: &str, flags: &Value) -> Ticket {
    // The relay tells the time.
    rig.clock.learn_relay_time(now_ms());
    // A print at the machine needs no permit, and leaves the file behind.
    let local = rig.print_text(folder, text).await;
    let run = rig.started().await;
    let (sha256, size) = file_of(rig, &local).await;
    let file =
        json!({"file_id": "f-1", "size": size, "sha256": sha256, "chunk": 65_536, "name": "part.gcode"});
    let offer = json!({
        "job_id": JOB, "rev": 1, "owner": "farm", "start": "manual", "sources": [{"kind": "relay"}], "file": file,
    });
    assert_eq!(rig.result("job.offer", offer).await.0, "done");
    rig.until_job(JOB, JobState::Queued).await;
    rig.run_at(run, RunPhase::Ended(RunEnd::Completed), at_command(text, 1));
    rig.until_job(&local, JobState::Completed).await;

    let unsigned = json!({"job_id": JOB, "attempt": 1});
    let refused = ("rejected".to_owned(), Some("permit.required".to_owned()));
    assert_eq!(rig.result("job.start", unsigned).await, refused);
    let permit = json!({
        "v": 1, "kid": signer.key().kid(), "permit_id": "permit-1", "org": "lab",
        "agent": Identity::open(folder).unwrap().agent_id(), "printer": "p0", "job": JOB, "attempt": 1,
        "sha256": sha256, "size": size, "max_seconds": 0, "bed_epoch": 1, "nbf": now_ms() - 1_000,
        "start_by": now_ms() + 600_000, "fence": 1, "flags": flags,
    });
    let start = json!({"job_id": JOB, "attempt": 1, "permit": signer.sign(&permit)});
    assert_eq!(rig.result("job.start", start).await, ("done".to_owned(), None));
    let ticket = rig.ticket().await;
    rig.run_at(ticket.subject.run, RunPhase::Printing, at_command(text, 3));
    rig.until_job(JOB, JobState::Printing).await;
    ticket
}

/// Digest and size of a job's file.
async fn file_of(rig: &Rig, id: &str) -> (String, u64) {
    let rows = rig.store.jobs().await.unwrap();
    let row = rows.iter().find(|row| row.job_id == id).unwrap();
    let offer: Value = serde_json::from_str(&row.body_json).unwrap();
    (row.sha256.clone().unwrap(), offer["file"]["size"].as_u64().unwrap())
}

async fn until_told(rig: &Rig, times: usize) -> Vec<Value> {
    rig.until("the time to be over", async |rig| {
        Some(rig.told("job.over_time").await).filter(|told| told.len() >= times)
    })
    .await
}

#[tokio::test]
async fn a_print_over_its_time_is_held_once_and_goes_on_when_somebody_says_so() {
    let (folder, signer, text) = (tempfile::tempdir().unwrap(), Signer::new(), part());
    let mut rig = Rig::open_signed(folder.path(), signer.key(), None);
    let ticket = start(&mut rig, folder.path(), &signer, &text, &json!(["pause_over_time"])).await;
    let run = ticket.subject.run;
    let told = until_told(&rig, 1).await;
    assert_eq!((&told[0]["max_seconds"], &told[0]["held"]), (&json!(0), &json!(true)));
    assert_eq!(told[0]["permit_id"], "permit-1");
    while !matches!(rig.orders.recv().await.unwrap(), Order::Pause) {}
    rig.run_at(run, RunPhase::Paused, at_command(&text, 3));
    rig.until_job(JOB, JobState::Paused).await;
    let states = rig.told("job.state").await;
    assert_eq!(states.last().unwrap()["reason"], "permit.over_time");
    rig.kill().await;

    // Another process knows why it is held, and does not hold it again.
    let mut rig = Rig::open_signed(folder.path(), signer.key(), Some((ticket, RunPhase::Paused)));
    let held = rig.until_job(JOB, JobState::Paused).await;
    assert!(held.reason.unwrap().contains("permit"));
    rig.run_at(run, RunPhase::Printing, at_command(&text, 4));
    rig.until_job(JOB, JobState::Printing).await;
    // The desk looks at the time whenever it says how it is.
    for _ in 0..4 {
        rig.hello.changed().await.unwrap();
    }
    rig.run_at(run, RunPhase::Ended(RunEnd::Cancelled), at_command(&text, 5));
    rig.until_job(JOB, JobState::Cancelled).await;
    assert_eq!(rig.told("job.over_time").await.len(), 1);
    while let Ok(order) = rig.orders.try_recv() {
        assert!(!matches!(order, Order::Pause), "it is not held again");
    }
    let usage = rig.told("job.usage").await.pop().unwrap();
    assert_eq!((&usage["permit_id"], &usage["org"]), (&json!("permit-1"), &json!("lab")));
}

#[tokio::test]
async fn a_permit_is_known_although_the_database_was_lost() {
    let (folder, signer, text) = (tempfile::tempdir().unwrap(), Signer::new(), part());
    let mut rig = Rig::open_signed(folder.path(), signer.key(), None);
    let ticket = start(&mut rig, folder.path(), &signer, &text, &json!([])).await;
    let run = ticket.subject.run;
    rig.kill().await;
    lose_database(folder.path());

    let rig = Rig::open_signed(folder.path(), signer.key(), Some((ticket, RunPhase::Printing)));
    rig.run_at(run, RunPhase::Printing, at_command(&text, 20));
    assert_eq!(until_told(&rig, 1).await[0]["permit_id"], "permit-1");
    rig.run_at(run, RunPhase::Ended(RunEnd::Cancelled), at_command(&text, 20));
    rig.until_job(JOB, JobState::Cancelled).await;
    let told = rig.told("job.usage").await;
    assert_eq!(
        (told.len(), &told[0]["permit_id"], &told[0]["lines_acked"]),
        (1, &json!("permit-1"), &json!(20))
    );
}

/// Only a person at the machine can let an interrupted print go on, so it needs no permit where starts of a backend do; it goes on by
/// the permit of the attempt before, and by the time that this has used up.
#[tokio::test]
async fn an_interrupted_print_goes_on_by_the_permit_it_was_started_with() {
    let (folder, signer, text) = (tempfile::tempdir().unwrap(), Signer::new(), part());
    let mut rig = Rig::open_signed(folder.path(), signer.key(), None);
    let ticket = start(&mut rig, folder.path(), &signer, &text, &json!([])).await;
    assert_eq!(until_told(&rig, 1).await[0]["held"], false);
    let reset = RunPhase::Ended(RunEnd::Interrupted(Fault::FirmwareReset, "it says hello".to_owned()));
    rig.run_at(ticket.subject.run, reset, at_command(&text, 90));
    rig.until_job(JOB, JobState::Interrupted).await;
    rig.kill().await;

    let mut rig = Rig::open_signed(folder.path(), signer.key(), None);
    let how = RecoverHow { height: Some(Height::Touching), ..RecoverHow::default() };
    let job = JobId::new(JOB).unwrap();
    let plan = rig.desk.plan_recovery(job.clone(), how).await.unwrap();
    rig.desk.recover(job, how, plan.plan_id).await.unwrap();
    let ticket = rig.ticket().await;
    let commands = ticket.subject.preamble + 100 - ticket.subject.commands_before;
    let at = Progress { commands, ..at_command(&text, 100) };
    rig.run_at(ticket.subject.run, RunPhase::Printing, at);
    rig.until_job(JOB, JobState::Printing).await;
    let told = until_told(&rig, 2).await;
    assert_eq!(told[1]["permit_id"], "permit-1");
    let before = rig.told("job.usage").await.pop().unwrap();
    let printed_before = before["printing_ms"].as_u64().unwrap();
    assert!(told[1]["printing_ms"].as_u64().unwrap() > printed_before, "the time goes on being counted");
    rig.run_at(ticket.subject.run, RunPhase::Ended(RunEnd::Cancelled), at);
    rig.until_job(JOB, JobState::Cancelled).await;
    let usage = rig.told("job.usage").await.pop().unwrap();
    assert_eq!((&usage["usage_id"], &usage["permit_id"]), (&json!("job-7731/2"), &json!("permit-1")));
}
