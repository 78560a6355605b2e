//! A head never meets a part: each start uses the bed, and only a person who has looked makes it clear.

use serde_json::json;
use spoolway_agent::config::BedConfirm;
use spoolway_agent::local::Counter;
use spoolway_agent::printer::{Order, RunEnd, RunPhase};
use spoolway_agent::view::Refusal;
use spoolway_protocol::{Fault, JobState};

use super::rig::Rig;

fn code<T: std::fmt::Debug>(answer: Result<T, Refusal>) -> &'static str {
    answer.unwrap_err().fault.code()
}

#[tokio::test]
async fn the_second_job_waits_for_the_bed_and_starts_by_itself_once_it_is_clear() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::Required);
    let first = rig.print(dir.path()).await;
    rig.print_through(&first).await;
    let second = rig.print(dir.path()).await;
    let waits = rig.until_job(&second, JobState::AwaitingBedClear).await;
    let after = format!("after job {first} (completed)");
    assert!(waits.reason.as_deref().unwrap().contains(&after) && waits.attempt == 0, "{waits:?}");
    assert!(rig.orders.try_recv().is_err(), "nothing is sent before somebody has looked");
    let hello = rig.hello.borrow_and_update().printers[0].clone();
    assert_eq!((hello.bed_epoch, hello.bed_clear), (1, Some(false)));

    for stale in [0, 2] {
        assert_eq!(code(rig.desk.clear_bed(stale).await), "bed.stale");
    }
    let bed = rig.desk.clear_bed(1).await.unwrap();
    assert!(bed.clear && bed.epoch == 1);
    rig.print_through(&second).await;
    assert_eq!(code(rig.desk.clear_bed(1).await), "bed.stale", "the bed was used again");
    let states: Vec<_> = rig.told("job.state").await;
    let second: Vec<_> = states.iter().filter(|data| data["reason"] == "bed.not_clear").collect();
    assert_eq!(second.len(), 1);
    assert_eq!(rig.told("bed.cleared").await, [json!({"bed_epoch": 1, "via": "local"})]);
}

#[tokio::test]
async fn nobody_clears_a_bed_that_is_being_printed_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::Required);
    let first = rig.print(dir.path()).await;
    let run = rig.started().await;
    for phase in [RunPhase::Starting, RunPhase::Printing, RunPhase::Paused] {
        rig.run(run, phase);
        assert_eq!(code(rig.desk.clear_bed(1).await), "printer.busy");
    }
    rig.run(run, RunPhase::Ended(RunEnd::Cancelled));
    rig.until_job(&first, JobState::Cancelled).await;
    assert!(!rig.desk.status().await.unwrap().bed.unwrap().clear, "however a print ends, its part is there");
}

#[tokio::test]
async fn the_word_outlives_the_agent_and_so_does_a_bed_that_is_not_clear() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::Required);
    let first = rig.print(dir.path()).await;
    rig.print_through(&first).await;
    let second = rig.print(dir.path()).await;
    rig.until_job(&second, JobState::AwaitingBedClear).await;
    rig.kill().await;

    let mut rig = Rig::open(dir.path(), BedConfirm::Required);
    let waits = rig.until_job(&second, JobState::AwaitingBedClear).await;
    assert!(waits.reason.unwrap().contains(&first), "the part is still known");
    rig.command("bed.clear", json!({"bed_epoch": 1})).await;
    let run = rig.started().await;
    rig.run(run, RunPhase::Printing);
    rig.until_job(&second, JobState::Printing).await;
    let told = rig.told("bed.cleared").await;
    assert_eq!(told, [json!({"bed_epoch": 1, "via": "backend", "actor": "anna"})]);
    rig.kill().await;

    let rig = Rig::open(dir.path(), BedConfirm::Required);
    let bed = rig.desk.status().await.unwrap().bed.unwrap();
    assert_eq!((bed.epoch, bed.clear), (2, false), "an interrupted part is on the bed");
}

#[tokio::test]
async fn a_start_by_command_needs_the_word_or_brings_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::Required);
    let first = rig.print(dir.path()).await;
    rig.print_through(&first).await;
    let second = rig.print(dir.path()).await;
    rig.until_job(&second, JobState::AwaitingBedClear).await;
    for (bed_epoch, refused) in [(None, "bed.not_clear"), (Some(0), "bed.stale")] {
        let mut args = json!({"job_id": second, "attempt": 1});
        if let Some(epoch) = bed_epoch {
            args["bed_epoch"] = json!(epoch);
        }
        let (status, code) = rig.result("job.start", args).await;
        assert_eq!((status.as_str(), code.as_deref()), ("rejected", Some(refused)));
    }
    assert_eq!(rig.job(&second).await.attempt, 0, "a refused start moves nothing");
    rig.command("job.start", json!({"job_id": second, "attempt": 1, "bed_epoch": 1})).await;
    rig.print_through(&second).await;
    let (status, code) =
        rig.result("job.start", json!({"job_id": second, "attempt": 1, "bed_epoch": 2})).await;
    assert_eq!((status.as_str(), code.as_deref()), ("rejected", Some("job.already_started")));
}

#[tokio::test]
async fn to_clear_the_bed_gives_up_what_was_interrupted_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::Required);
    let first = rig.print(dir.path()).await;
    let run = rig.started().await;
    rig.run(run, RunPhase::Printing);
    rig.until_job(&first, JobState::Printing).await;
    rig.run(run, RunPhase::Ended(RunEnd::Interrupted(Fault::FirmwareReset, "it restarted".to_owned())));
    rig.until_job(&first, JobState::Interrupted).await;
    let second = rig.print(dir.path()).await;
    let waits = rig.until_job(&second, JobState::Queued).await;
    assert!(waits.reason.unwrap().contains("interrupted"));

    rig.press_ready(run);
    let bed = rig.desk.status().await.unwrap().bed.unwrap();
    assert!(!bed.clear && bed.interrupted.len() == 1, "a button gives nothing up");
    assert!(rig.desk.clear_bed(1).await.unwrap().interrupted.is_empty());
    assert_eq!(rig.job(&first).await.state, JobState::Cancelled);
    rig.print_through(&second).await;
    assert_eq!(rig.told("job.result").await.len(), 2, "the interrupted attempt has told its result before");
}

#[tokio::test]
async fn a_button_counts_for_the_print_that_was_over_when_it_was_pressed() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::Required);
    let first = rig.print(dir.path()).await;
    let run = rig.started().await;
    rig.run(run, RunPhase::Printing);
    rig.press_ready(run - 1);
    rig.until_job(&first, JobState::Printing).await;
    rig.run(run, RunPhase::Ended(RunEnd::Completed));
    rig.until_job(&first, JobState::Completed).await;
    let second = rig.print(dir.path()).await;
    rig.until_job(&second, JobState::AwaitingBedClear).await;
    rig.press_ready(run);
    rig.print_through(&second).await;
    assert_eq!(rig.told("bed.cleared").await, [json!({"bed_epoch": 1, "via": "button"})]);
}

#[tokio::test]
async fn a_printer_that_empties_its_bed_itself_is_asked_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::NotRequired);
    for _ in 0..2 {
        let id = rig.print(dir.path()).await;
        rig.print_through(&id).await;
    }
    assert_eq!(rig.hello.borrow().printers[0].bed_clear, None);
    assert!(matches!(rig.orders.try_recv(), Err(_) | Ok(Order::MakeSafe)));
}

#[tokio::test]
async fn after_a_lost_database_somebody_has_to_look() {
    let dir = tempfile::tempdir().unwrap();
    Rig::open(dir.path(), BedConfirm::Required).kill().await;
    for name in ["spoolway.db", "spoolway.db-wal", "spoolway.db-shm"] {
        drop(std::fs::remove_file(dir.path().join(name)));
    }
    let rig = Rig::open(dir.path(), BedConfirm::Required);
    let bed = rig.desk.status().await.unwrap().bed.unwrap();
    assert!(!bed.clear && bed.epoch > 1_000_000, "{bed:?}");
    assert!(rig.desk.clear_bed(bed.epoch).await.unwrap().clear);
}
