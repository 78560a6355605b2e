//! A run that the printer thread has taken over from the process before: its job is followed on, and ends once.

use std::path::Path;

use spoolway_agent::config::BedConfirm;
use spoolway_agent::printer::{RunEnd, RunPhase};
use spoolway_protocol::JobState;

use crate::rig::Rig;

const ANY: BedConfirm = BedConfirm::NotRequired;

#[tokio::test]
async fn a_print_that_outlives_its_process_is_printing_all_the_while() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), ANY);
    let id = rig.print(folder.path()).await;
    let ticket = rig.ticket().await;
    rig.run(ticket.subject.run, RunPhase::Printing);
    rig.until_job(&id, JobState::Printing).await;
    let before = rig.told("job.state").await;
    rig.kill().await;

    let rig = Rig::open_after(folder.path(), ANY, Some((ticket.clone(), RunPhase::Printing)));
    rig.until_job(&id, JobState::Printing).await;
    assert_eq!(rig.told("job.state").await, before, "nothing has moved");
    rig.run(ticket.subject.run, RunPhase::Ended(RunEnd::Completed));
    rig.until_job(&id, JobState::Completed).await;
    assert_eq!(rig.told("job.result").await.len(), 1);
    assert_eq!(rig.told("job.usage").await.len(), 1);
}

#[tokio::test]
async fn a_run_that_ended_between_two_processes_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), ANY);
    let id = rig.print(folder.path()).await;
    let ticket = rig.ticket().await;
    rig.run(ticket.subject.run, RunPhase::Printing);
    rig.until_job(&id, JobState::Printing).await;
    rig.kill().await;
    let ended = || Some((ticket.clone(), RunPhase::Ended(RunEnd::Completed)));

    for _ in 0..3 {
        let rig = Rig::open_after(folder.path(), ANY, ended());
        rig.until_job(&id, JobState::Completed).await;
        assert_eq!((rig.told("job.result").await.len(), rig.told("job.usage").await.len()), (1, 1));
        rig.kill().await;
    }
}

#[tokio::test]
async fn a_print_goes_on_although_the_database_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), ANY);
    let id = rig.print(folder.path()).await;
    let ticket = rig.ticket().await;
    rig.run(ticket.subject.run, RunPhase::Printing);
    rig.until_job(&id, JobState::Printing).await;
    rig.kill().await;
    lose_database(folder.path());

    let rig = Rig::open_after(folder.path(), ANY, Some((ticket.clone(), RunPhase::Printing)));
    let job = rig.until_job(&id, JobState::Printing).await;
    assert_eq!((job.name.as_str(), job.attempt), ("part.gcode", 1));
    assert_eq!(rig.told("gap").await.len(), 1);
    assert_eq!(rig.told("job.state").await[0]["reason"], "store.corrupt");
    rig.run(ticket.subject.run, RunPhase::Ended(RunEnd::Completed));
    rig.until_job(&id, JobState::Completed).await;
    assert_eq!(rig.told("job.result").await.len(), 1);
    assert_eq!(rig.told("job.usage").await.len(), 1);
}

/// The first page is no page of a database any more.
pub(crate) fn lose_database(folder: &Path) {
    for name in ["spoolway.db", "spoolway.db-wal"] {
        let file = folder.join(name);
        if file.exists() {
            std::fs::write(&file, vec![0x5a; 8192]).unwrap();
        }
    }
}
