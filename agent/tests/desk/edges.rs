//! The agent is killed behind every single move of stories that walk the table of moves: whatever the disk then holds is
//! lawful, nothing begins twice, and the story that is told has neither hole nor repetition.

mod chapters;
mod story;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use spoolway_agent::config::{BedConfirm, Preflight};
use spoolway_agent::local::Counter;
use spoolway_agent::printer::RunPhase;
use spoolway_agent::store::{Durability, Write};
use spoolway_agent_core::job::lawful;
use spoolway_protocol::JobState;

use self::chapters::Chapter;
use self::story::{LONG_AGO_MS, SMALL, Story, TODAY_MS};
use super::rig::Rig;

/// A database that takes so many moves of jobs and then no more, as that of a process that was killed before the next.
struct Fuse;

/// Whether this value can be written tells whether the fuse holds.
const PROBE: &str = "probe";
const DEAD: &str = "SELECT RAISE(ABORT, 'the process is dead') WHERE (SELECT rest FROM fuse) <= 0";

impl Fuse {
    fn lay(folder: &Path, moves: u64) {
        let laid = format!(
            "CREATE TABLE fuse(rest INTEGER NOT NULL);
             INSERT INTO fuse VALUES({moves});
             CREATE TRIGGER fuse_new BEFORE INSERT ON job
               WHEN NOT EXISTS(SELECT 1 FROM job WHERE job_id = NEW.job_id)
               BEGIN {DEAD}; UPDATE fuse SET rest = rest - 1; END;
             CREATE TRIGGER fuse_move BEFORE UPDATE ON job BEGIN {DEAD}; UPDATE fuse SET rest = rest - 1; END;
             CREATE TRIGGER fuse_probe BEFORE INSERT ON meta WHEN NEW.key = '{PROBE}' BEGIN {DEAD}; END;"
        );
        Self::database(folder).execute_batch(&laid).unwrap();
    }

    async fn is_blown(rig: &Rig) -> bool {
        let probe = Write::PutMeta { key: PROBE.to_owned(), value: "1".to_owned() };
        rig.store.commit(vec![probe], Durability::Grouped).await.is_err()
    }

    fn remove(folder: &Path) {
        let removed =
            "DROP TRIGGER fuse_new; DROP TRIGGER fuse_move; DROP TRIGGER fuse_probe; DROP TABLE fuse;";
        Self::database(folder).execute_batch(removed).unwrap();
    }

    /// The store's thread may take a moment to let go of it.
    fn database(folder: &Path) -> rusqlite::Connection {
        let database = rusqlite::Connection::open(folder.join("spoolway.db")).unwrap();
        database.busy_timeout(Duration::from_secs(60)).unwrap();
        database
    }
}

/// The moves that an outbox tells of, each job's revisions without hole or repetition.
async fn edges(rig: &Rig) -> BTreeSet<(JobState, JobState)> {
    rig.assert_told_once().await;
    let state = |value: &serde_json::Value| serde_json::from_value::<JobState>(value.clone()).ok();
    let told = rig.told("job.state").await;
    let moves: BTreeSet<_> =
        told.iter().filter_map(|data| Some((state(&data["from"])?, state(&data["to"])?))).collect();
    assert!(moves.iter().all(|(from, to)| lawful(*from, *to)), "{moves:?}");
    moves
}

async fn attempts(rig: &Rig) -> BTreeMap<String, usize> {
    let mut begun = BTreeMap::new();
    for job in rig.store.jobs().await.unwrap() {
        let rows = rig.store.attempts(&job.job_id).await.unwrap();
        let numbers: Vec<u32> = rows.iter().map(|row| row.attempt).collect();
        assert_eq!(
            numbers,
            (1..=rows.len() as u32).collect::<Vec<_>>(),
            "UNIQUE(job, attempt), without a hole"
        );
        begun.insert(job.job_id, rows.len());
    }
    begun
}

/// Tells the chapter again and again, each time with one move more, until it comes to its end; it has then made its moves.
async fn kill_behind_every_move(chapter: Chapter) {
    let mut covered = BTreeSet::new();
    for moves in 1.. {
        let dir = tempfile::tempdir().unwrap();
        Rig::open(dir.path(), chapter.bed()).kill().await;
        Fuse::lay(dir.path(), moves);
        let rules = Preflight { volume_mm: Some([220, 220, 250]), ..Preflight::default() };
        let mut rig = Rig::open_with(dir.path(), chapter.bed(), rules, None);
        let ended = Story { rig: &mut rig, folder: dir.path() }.tell(chapter).await;
        let sent = rig.starts_ordered();
        let blown = Fuse::is_blown(&rig).await;
        assert!(ended.is_ok() || blown, "{moves} moves: the story stopped for another reason");
        rig.kill().await;
        Fuse::remove(dir.path());
        covered.extend(assert_whole(dir.path(), sent).await);
        if ended.is_ok() {
            break;
        }
    }
    let missing: Vec<_> = chapter.edges().iter().filter(|edge| !covered.contains(edge)).collect();
    assert!(missing.is_empty(), "not walked: {missing:?}; walked: {covered:?}");
}

/// What a kill has left is lawful, and nothing of it begins again; gives the moves that were told. The printer is off, so that
/// what is found is what the kill left and what the restart made of it.
async fn assert_whole(folder: &Path, sent: usize) -> BTreeSet<(JobState, JobState)> {
    let mut rig = Rig::open_without_printer(folder);
    let jobs = rig.desk.jobs().await.unwrap();
    let begun = attempts(&rig).await.values().sum::<usize>();
    assert!(sent <= begun, "{sent} starts were sent, {begun} are on the disk: {jobs:?}");
    let walked = edges(&rig).await;
    for job in jobs {
        // What has begun is never begun again, whoever asks for it.
        let again = json!({"job_id": job.job_id, "attempt": job.attempt});
        let (status, _) = rig.result("job.start", again).await;
        assert_eq!(status, "rejected", "{job:?}");
    }
    assert_eq!(rig.starts_ordered(), 0);
    rig.kill().await;
    walked
}

/// One thread for work that takes its time, so that a chapter can keep it busy.
fn walk(chapter: Chapter) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
    runtime.unwrap().block_on(kill_behind_every_move(chapter));
}

#[test]
fn the_chapters_walk_the_whole_table() {
    let told = Chapter::ALL.into_iter().flat_map(|chapter| chapter.edges().iter().copied());
    let told: BTreeSet<_> = told.chain(UNQUEUED).collect();
    let table = JobState::ALL.into_iter().flat_map(|from| JobState::ALL.map(|to| (from, to)));
    let table: BTreeSet<_> = table.filter(|(from, to)| lawful(*from, *to)).collect();
    assert_eq!(told, table);
}

#[test]
fn a_kill_behind_any_move_of_two_copies_repeats_and_loses_nothing() {
    walk(Chapter::Copies);
}

#[test]
fn a_kill_behind_any_move_of_an_interrupted_print_repeats_and_loses_nothing() {
    walk(Chapter::Interruption);
}

#[test]
fn a_kill_behind_any_move_of_a_print_that_goes_on_repeats_and_loses_nothing() {
    walk(Chapter::Recovery);
}

#[test]
fn a_kill_behind_any_move_of_a_cancel_or_a_bad_file_repeats_and_loses_nothing() {
    walk(Chapter::Endings);
}

#[test]
fn a_kill_behind_any_move_of_a_transfer_repeats_and_loses_nothing() {
    walk(Chapter::Transfer);
}

#[test]
fn a_kill_behind_any_move_of_a_file_that_waits_for_a_person_repeats_and_loses_nothing() {
    walk(Chapter::Operator);
}

#[test]
fn a_kill_behind_any_move_of_a_job_that_waits_for_the_bed_repeats_and_loses_nothing() {
    walk(Chapter::Bed);
}

#[test]
fn a_kill_behind_any_move_of_a_job_that_waits_for_its_time_repeats_and_loses_nothing() {
    walk(Chapter::Waiting);
}

#[test]
fn a_kill_behind_any_move_of_a_print_that_ends_as_it_begins_repeats_and_loses_nothing() {
    walk(Chapter::Starts);
}

#[test]
fn a_kill_behind_any_move_of_a_print_that_ends_while_it_is_held_repeats_and_loses_nothing() {
    walk(Chapter::Pauses);
}

#[test]
fn a_kill_behind_any_move_of_a_job_that_is_tried_once_more_repeats_and_loses_nothing() {
    walk(Chapter::Anew);
}

/// How a job ends whose file is here and that cannot come into the queue, as on a disk that is full for a while.
const UNQUEUED: [(JobState, JobState); 2] =
    [(JobState::Verified, JobState::Cancelled), (JobState::Verified, JobState::Failed)];

/// A life in which no job comes into the queue any more, and a job of which the file is here.
async fn unqueued(folder: &Path) -> Rig {
    let mut rig = Rig::open(folder, BedConfirm::NotRequired);
    Story { rig: &mut rig, folder }.print_held().await.unwrap();
    rig.kill().await;
    let full = "CREATE TRIGGER full BEFORE UPDATE ON job WHEN NEW.state = 'queued'
        BEGIN SELECT RAISE(ABORT, 'the disk is full'); END;";
    Fuse::database(folder).execute_batch(full).unwrap();
    let mut rig = Rig::open(folder, BedConfirm::NotRequired);
    let mut story = Story { rig: &mut rig, folder };
    story.offer("a", SMALL.as_bytes(), json!({})).await.unwrap();
    story.until("a", JobState::Verified).await.unwrap();
    rig
}

#[tokio::test]
async fn a_job_that_does_not_come_into_the_queue_ends_as_well() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut rig = unqueued(one.path()).await;
    Story { rig: &mut rig, folder: one.path() }.cancel("a").await.unwrap();
    let mut walked = edges(&rig).await;

    let mut rig = unqueued(other.path()).await;
    assert_eq!(rig.result("job.update", json!({"job_id": "a", "not_after": LONG_AGO_MS})).await.0, "done");
    rig.kill().await;
    let rig = Rig::open_with_clock(other.path(), TODAY_MS);
    rig.until_job("a", JobState::Failed).await;
    walked.extend(edges(&rig).await);
    assert!(UNQUEUED.iter().all(|edge| walked.contains(edge)), "{walked:?}");
}

#[tokio::test]
async fn a_print_that_stands_still_moves_once_however_often_the_printer_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::NotRequired);
    let id = rig.print(dir.path()).await;
    let run = rig.started().await;
    rig.run(run, RunPhase::Paused);
    rig.until_job(&id, JobState::Paused).await;
    let before = rig.told("job.state").await;
    for _ in 0..20 {
        rig.run(run, RunPhase::Paused);
        rig.hello.changed().await.unwrap();
    }
    assert_eq!(rig.told("job.state").await, before);
}
