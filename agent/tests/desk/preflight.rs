//! A file that does not fit the printer waits for a person, whose word is recorded; one that cannot be printed fails.

use serde_json::json;
use spoolway_agent::config::{BedConfirm, Preflight};
use spoolway_agent::local::Counter;
use spoolway_protocol::JobState;

use super::rig::Rig;

/// Reaches out of a bed of 220 mm, and homes too late for everybody's taste.
const WIDE: &str = "G28\nM104 S200\n;LAYER_CHANGE\nG1 X9 Y9 Z0.2 F6000\nG1 X300 E1\nM104 S0\n";
/// The same, and one more error.
const WIDE_AND_HOT: &str = "G28\nM104 S900\n;LAYER_CHANGE\nG1 X9 Y9 Z0.2 F6000\nG1 X300 E1\nM104 S0\n";

fn rules() -> Preflight {
    Preflight { volume_mm: Some([220, 220, 250]), ..Preflight::default() }
}

#[tokio::test]
async fn an_error_waits_for_a_person_and_the_word_of_that_person_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open_with(dir.path(), BedConfirm::NotRequired, rules(), None);
    let id = rig.print_text(dir.path(), WIDE).await;
    let waits = rig.until_job(&id, JobState::AwaitingOperator).await;
    assert_eq!(waits.findings.len(), 1);
    assert_eq!((waits.findings[0].code.as_str(), waits.findings[0].line), ("outside-volume", Some(5)));
    assert!(waits.reason.as_deref().unwrap().starts_with("line 5: filament is fed at X300"), "{waits:?}");
    assert!(rig.orders.try_recv().is_err(), "nothing is sent before somebody has looked");
    let told = rig.told("job.preflight").await;
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["verdict"], &told[0]["summary"]["layers"]), (&json!("needs_override"), &json!(1)));
    assert_eq!(rig.told("audit").await, [] as [serde_json::Value; 0]);

    let (status, code) = rig.result("job.override", json!({"job_id": id, "codes": ["nozzle-too-hot"]})).await;
    assert_eq!((status.as_str(), code.as_deref()), ("rejected", Some("job.needs_override")));
    let seen = json!({"job_id": id, "codes": ["outside-volume"], "reason": "a larger bed"});
    assert_eq!(rig.result("job.override", seen.clone()).await.0, "done");
    rig.print_through(&id).await;
    let audit = json!({
        "actor": "anna", "via": "cloud", "action": "job.override", "ok": true,
        "detail": format!("job {id}: outside-volume: a larger bed"),
    });
    assert_eq!(rig.told("audit").await, [audit]);
    let verdicts: Vec<_> =
        rig.told("job.preflight").await.iter().map(|told| told["verdict"].clone()).collect();
    assert_eq!(verdicts, ["needs_override", "overridden"]);
    assert_eq!(rig.result("job.override", seen).await.0, "done", "said twice, it is said once");
    assert_eq!(rig.told("audit").await.len(), 1);
}

#[tokio::test]
async fn the_word_at_the_machine_covers_what_was_seen_and_outlives_the_agent() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::open_with(dir.path(), BedConfirm::NotRequired, rules(), None);
    let id = rig.print_text(dir.path(), WIDE_AND_HOT).await;
    let waits = rig.until_job(&id, JobState::AwaitingOperator).await;
    let codes: Vec<_> = waits.findings.iter().map(|finding| finding.code.clone()).collect();
    assert_eq!(codes, ["outside-volume", "nozzle-too-hot"]);
    rig.kill().await;

    let mut rig = Rig::open_with(dir.path(), BedConfirm::NotRequired, rules(), None);
    let waits = rig.until_job(&id, JobState::AwaitingOperator).await;
    assert_eq!(waits.findings.len(), 2, "what was found is still known");
    let job = waits.job_id;
    let some = Some(vec!["outside-volume".to_owned()]);
    let refused = rig.desk.override_findings(job.clone(), some, String::new()).await.unwrap_err();
    assert_eq!(refused.fault.code(), "job.needs_override");
    rig.desk.override_findings(job, None, "uid 1000".to_owned()).await.unwrap();
    rig.print_through(&id).await;
    let audit = &rig.told("audit").await[0];
    assert_eq!((&audit["actor"], &audit["via"]), (&json!("uid 1000"), &json!("cli")));
    assert!(audit["detail"].as_str().unwrap().ends_with(": outside-volume, nozzle-too-hot"), "{audit}");
}

#[tokio::test]
async fn a_file_that_cannot_be_printed_fails_and_warnings_hold_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open_with(dir.path(), BedConfirm::NotRequired, rules(), None);
    let id = rig.print_text(dir.path(), "G28\n\u{1}\u{2}\n").await;
    let failed = rig.until_job(&id, JobState::Failed).await;
    assert!(failed.reason.unwrap().starts_with("line 2: "));
    assert!(failed.code.as_deref().is_some_and(|code| code.starts_with("job.")), "{:?}", failed.code);
    assert_eq!(rig.told("job.preflight").await[0]["verdict"], "refused");
    let id = rig.print_text(dir.path(), "G28\nM4711\nG1 X300 Y1\n").await;
    rig.print_through(&id).await;
    let findings = rig.job(&id).await.findings;
    let codes: Vec<_> = findings.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(codes, ["travel-outside", "unknown-command"]);
}

#[tokio::test]
async fn a_start_by_command_is_told_and_cancelling_ends_the_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open_with(dir.path(), BedConfirm::NotRequired, rules(), None);
    let id = rig.print_text(dir.path(), WIDE).await;
    rig.until_job(&id, JobState::AwaitingOperator).await;
    let (status, code) = rig.result("job.start", json!({"job_id": id, "attempt": 1})).await;
    assert_eq!((status.as_str(), code.as_deref()), ("rejected", Some("job.needs_override")));
    rig.until_job(&id, JobState::AwaitingOperator).await;
    assert_eq!(rig.told("job.preflight").await.len(), 1, "the same is not told again");
    assert_eq!(rig.result("job.cancel", json!({"job_id": id})).await.0, "done");
    rig.until_job(&id, JobState::Cancelled).await;
    let (status, code) = rig.result("job.override", json!({"job_id": id, "codes": ["outside-volume"]})).await;
    assert_eq!((status.as_str(), code.as_deref()), ("rejected", Some("job.not_ready")));
}

#[tokio::test]
async fn where_nothing_blocks_errors_are_only_told() {
    let dir = tempfile::tempdir().unwrap();
    let lax = Preflight { block: false, ..rules() };
    let mut rig = Rig::open_with(dir.path(), BedConfirm::NotRequired, lax, None);
    let id = rig.print_text(dir.path(), WIDE).await;
    rig.print_through(&id).await;
    let told = rig.told("job.preflight").await;
    assert_eq!(
        (&told[0]["verdict"], &told[0]["findings"][0]["code"]),
        (&json!("passed"), &json!("outside-volume"))
    );
}
