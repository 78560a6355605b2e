//! Why something is refused or over is told with its stable code: to whoever asked, and with a job's end.

use serde_json::{Value, json};
use spoolway_agent::config::BedConfirm;
use spoolway_agent::local::Counter;
use spoolway_agent::printer::{Cause, Run, RunEnd, RunPhase};
use spoolway_agent::spool::SpoolOptions;
use spoolway_agent::view::recovery::RecoverHow;
use spoolway_agent_core::stream::Stats;
use spoolway_protocol::{Fault, JobId, JobState};

use crate::rig::Rig;
use crate::usage::{at_command, part};

const ANY: BedConfirm = BedConfirm::NotRequired;
/// Of the part: behind its first layer.
const COMMANDS: u64 = 80;

/// How the last run was told.
async fn last_result(rig: &Rig) -> (Value, Value) {
    let result = rig.told("job.result").await.pop().unwrap();
    (result["outcome"].clone(), result["code"].clone())
}

/// A print that ends like this, and why; its state and what is told.
async fn ended(end: RunEnd, cause: Option<Cause>) -> (JobState, Value) {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), ANY);
    let id = rig.print_text(folder.path(), &part()).await;
    let run = rig.started().await;
    let over = Some(rig.clock.now());
    rig.say(Run {
        id: run,
        phase: RunPhase::Ended(end),
        progress: at_command(&part(), COMMANDS),
        stats: Stats { job_lines_sent: COMMANDS, ..Stats::default() },
        paused: std::time::Duration::ZERO,
        ended: over,
        cause,
    });
    rig.until("its end", async |rig| (rig.told("job.result").await.len() == 1).then_some(())).await;
    (rig.job(&id).await.state, last_result(&rig).await.1)
}

#[tokio::test]
async fn each_end_of_a_print_is_told_with_its_code() {
    let reset = RunEnd::Interrupted(Fault::FirmwareReset, "it said hello".to_owned());
    let asked = Cause::Printer("somebody pressed stop".to_owned());
    for (end, cause, state, code) in [
        (RunEnd::Completed, None, JobState::Completed, Value::Null),
        (RunEnd::Cancelled, None, JobState::Cancelled, json!("job.cancelled")),
        (RunEnd::Cancelled, Some(asked), JobState::Cancelled, json!("printer.asked")),
        (reset, None, JobState::Interrupted, json!("firmware.reset")),
    ] {
        assert_eq!(ended(end, cause).await, (state, code));
    }
}

#[tokio::test]
async fn a_print_that_died_with_its_agent_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), ANY);
    let id = rig.print_text(folder.path(), &part()).await;
    let run = rig.started().await;
    rig.run_at(run, RunPhase::Printing, at_command(&part(), COMMANDS));
    rig.until_job(&id, JobState::Printing).await;
    rig.kill().await;

    let rig = Rig::open(folder.path(), ANY);
    rig.until_job(&id, JobState::Interrupted).await;
    assert_eq!(last_result(&rig).await, (json!("interrupted"), json!("agent.restarted")));
}

#[tokio::test]
async fn a_print_that_cannot_go_on_safely_is_refused_before_there_is_a_plan() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), ANY);
    let id = rig.print_text(folder.path(), &part()).await;
    let run = rig.started().await;
    let reset = RunEnd::Interrupted(Fault::FirmwareReset, "it said hello".to_owned());
    rig.run_behind(run, RunPhase::Ended(reset), COMMANDS, at_command(&part(), COMMANDS));
    rig.until_job(&id, JobState::Interrupted).await;
    let job = JobId::new(&id).unwrap();
    // Nobody has said how high the nozzle stands.
    let refused = rig.desk.plan_recovery(job, RecoverHow::default()).await.unwrap_err();
    assert_eq!(refused.fault, Fault::RecoveryRefused);
    assert!(refused.text.contains("--z touching"), "{refused:?}");
    assert_eq!(rig.start_ordered(), None, "nothing moves");
    assert_eq!(rig.job(&id).await.state, JobState::Interrupted);
}

#[tokio::test]
async fn a_question_that_nobody_asks_is_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), ANY);
    let refused = rig.desk.answer(None, 0).await.unwrap_err();
    assert_eq!(refused.fault, Fault::PromptClosed);
    let args = json!({"prompt_id": "p-1", "choice": 0});
    let (status, code) = rig.result("prompt.answer", args).await;
    assert_eq!((status.as_str(), code.as_deref()), ("rejected", Some("prompt.closed")));
}

#[tokio::test]
async fn a_file_beyond_the_limit_is_refused_before_a_byte_of_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), ANY);
    rig.connect().await;
    let size = SpoolOptions::default().max_body_bytes + 1;
    let args = json!({
        "job_id": "large", "rev": 1, "owner": "farm", "start": "manual", "sources": [{"kind": "relay"}],
        "file": {"file_id": "file-1", "size": size, "sha256": "0".repeat(64), "chunk": 65_536, "name": "l.gcode"},
    });
    let (status, code) = rig.result("job.offer", args).await;
    assert_eq!((status.as_str(), code.as_deref()), ("failed", Some("job.file_too_large")));
    assert!(rig.asked().is_none() && rig.desk.jobs().await.unwrap().is_empty());
}
