//! The agent is killed behind every single move of stories that walk the table of moves: whatever the disk then holds is
//! lawful, nothing begins twice, and the story that is told has neither hole nor repetition.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use spoolway_agent::config::BedConfirm;
use spoolway_agent::local::{Counter, PrintWishes};
use spoolway_agent::printer::{RunEnd, RunPhase};
use spoolway_agent::store::{Durability, Write};
use spoolway_agent_core::job::lawful;
use spoolway_protocol::{Fault, JobId, JobState};

use super::rig::{Rig, gcode};

/// The process is dead.
struct Dead;

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

/// Part of the story: the shorter each is, the fewer moves are made again for each kill.
#[derive(Clone, Copy)]
enum Chapter {
    /// Two copies, a pause, a hold, and the bed in between.
    Copies,
    /// A start by command that brings the word about the bed, and a printer that goes away.
    Interruption,
    /// A cancel, and a file that is no G-code.
    Endings,
}

/// The story, as far as the fuse lets it come.
struct Story<'a> {
    rig: &'a mut Rig,
    folder: &'a Path,
}

impl Story<'_> {
    async fn until(&mut self, id: &str, state: JobState) -> Result<(), Dead> {
        let what = format!("{id} to be {state}");
        let alive = self.rig.until(&what, async |rig| {
            if Fuse::is_blown(rig).await {
                return Some(false);
            }
            let jobs = rig.desk.jobs().await.ok()?;
            jobs.iter().any(|job| job.job_id.as_str() == id && job.state == state).then_some(true)
        });
        if alive.await { Ok(()) } else { Err(Dead) }
    }

    async fn print(&mut self, copies: u32) -> Result<String, Dead> {
        let file = gcode(self.folder, "G28\nG1 X1\n");
        let wishes = PrintWishes { copies, ..PrintWishes::default() };
        self.rig.desk.print_file(file, wishes).await.map(|job| job.job_id.to_string()).map_err(|_| Dead)
    }

    async fn started(&mut self) -> Result<u64, Dead> {
        loop {
            if let Some(run) = self.rig.start_ordered() {
                return Ok(run);
            }
            if Fuse::is_blown(self.rig).await {
                return Err(Dead);
            }
        }
    }

    async fn clear(&mut self) -> Result<(), Dead> {
        let epoch = self.rig.desk.status().await.map_err(|_| Dead)?.bed.unwrap().epoch;
        self.rig.desk.clear_bed(epoch).await.map(drop).map_err(|_| Dead)
    }

    async fn tell(&mut self, chapter: Chapter) -> Result<(), Dead> {
        match chapter {
            Chapter::Copies => self.copies().await,
            Chapter::Interruption => self.interruption().await,
            Chapter::Endings => self.endings().await,
        }
    }

    async fn copies(&mut self) -> Result<(), Dead> {
        let first = self.print(2).await?;
        let run = self.started().await?;
        for (phase, state) in [
            (RunPhase::Printing, JobState::Printing),
            (RunPhase::Paused, JobState::Paused),
            (RunPhase::Printing, JobState::Printing),
        ] {
            self.rig.run(run, phase);
            self.until(&first, state).await?;
        }
        self.rig.run(run, RunPhase::Ended(RunEnd::Completed));
        self.until(&first, JobState::AwaitingBedClear).await?;
        let id: JobId = first.parse().unwrap();
        self.rig.desk.hold(id.clone()).await.map_err(|_| Dead)?;
        self.until(&first, JobState::Queued).await?;
        self.rig.desk.release(id).await.map_err(|_| Dead)?;
        self.until(&first, JobState::AwaitingBedClear).await?;
        self.clear().await?;
        let run = self.started().await?;
        self.rig.run(run, RunPhase::Printing);
        self.until(&first, JobState::Printing).await?;
        self.rig.run(run, RunPhase::Ended(RunEnd::Completed));
        self.until(&first, JobState::Completed).await
    }

    async fn interruption(&mut self) -> Result<(), Dead> {
        let first = self.print(1).await?;
        let run = self.started().await?;
        self.rig.run(run, RunPhase::Ended(RunEnd::Completed));
        self.until(&first, JobState::Completed).await?;
        let second = self.print(1).await?;
        self.until(&second, JobState::AwaitingBedClear).await?;
        self.rig.command("job.start", json!({"job_id": second, "attempt": 1, "bed_epoch": 1})).await;
        let run = self.started().await?;
        self.rig.run(run, RunPhase::Printing);
        self.until(&second, JobState::Printing).await?;
        self.rig.run(run, RunPhase::Ended(RunEnd::Interrupted(Fault::PortLost, "it is gone".to_owned())));
        self.until(&second, JobState::Interrupted).await?;
        self.clear().await?;
        self.until(&second, JobState::Cancelled).await
    }

    async fn endings(&mut self) -> Result<(), Dead> {
        let third = self.print(1).await?;
        let run = self.started().await?;
        self.rig.run(run, RunPhase::Printing);
        self.until(&third, JobState::Printing).await?;
        self.rig.run(run, RunPhase::Ended(RunEnd::Cancelled));
        self.until(&third, JobState::Cancelled).await?;

        let bad = gcode(self.folder, "%PDF-1.7 this is no G-code\n\u{7}\n");
        let bad = self.rig.desk.print_file(bad, PrintWishes::default()).await.map_err(|_| Dead)?;
        self.until(bad.job_id.as_str(), JobState::Failed).await
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

/// Tells the chapter again and again, each time with one move more; gives the moves that were told.
async fn kill_behind_every_move(chapter: Chapter) -> BTreeSet<(JobState, JobState)> {
    let mut covered = BTreeSet::new();
    let mut moves = 1;
    loop {
        let dir = tempfile::tempdir().unwrap();
        Rig::open(dir.path(), BedConfirm::Required).kill().await;
        Fuse::lay(dir.path(), moves);
        let mut rig = Rig::open(dir.path(), BedConfirm::Required);
        let ended = Story { rig: &mut rig, folder: dir.path() }.tell(chapter).await;
        let sent = rig.starts_ordered();
        let blown = Fuse::is_blown(&rig).await;
        assert!(ended.is_ok() || blown, "{moves} moves: the story stopped for another reason");
        rig.kill().await;
        Fuse::remove(dir.path());

        // The printer is off, so that what is found is what the kill left and what the restart made of it.
        let mut rig = Rig::open_without_printer(dir.path());
        let jobs = rig.desk.jobs().await.unwrap();
        let begun = attempts(&rig).await.values().sum::<usize>();
        assert!(sent <= begun, "{moves} moves: {sent} starts were sent, {begun} are on the disk");
        covered.extend(edges(&rig).await);
        for job in jobs {
            // What has begun is never begun again, whoever asks for it.
            let again = json!({"job_id": job.job_id, "attempt": job.attempt});
            let (status, _) = rig.result("job.start", again).await;
            assert_eq!(status, "rejected", "{moves} moves: {job:?}");
        }
        assert_eq!(rig.starts_ordered(), 0);
        rig.kill().await;
        if ended.is_ok() {
            return covered;
        }
        moves += 1;
    }
}

fn assert_walked(covered: &BTreeSet<(JobState, JobState)>, edges: &[(JobState, JobState)]) {
    let missing: Vec<_> = edges.iter().filter(|edge| !covered.contains(edge)).collect();
    assert!(missing.is_empty(), "not walked: {missing:?}; walked: {covered:?}");
}

#[tokio::test]
async fn a_kill_behind_any_move_of_two_copies_repeats_and_loses_nothing() {
    use JobState::*;
    let covered = kill_behind_every_move(Chapter::Copies).await;
    let edges = [
        (Offered, Verified),
        (Verified, Queued),
        (Queued, Preflight),
        (Preflight, Starting),
        (Starting, Printing),
        (Printing, Paused),
        (Paused, Printing),
        (Printing, Queued),
        (Preflight, AwaitingBedClear),
        (AwaitingBedClear, Queued),
        (AwaitingBedClear, Preflight),
        (Printing, Completed),
    ];
    assert_walked(&covered, &edges);
}

#[tokio::test]
async fn a_kill_behind_any_move_of_an_interrupted_print_repeats_and_loses_nothing() {
    use JobState::*;
    let covered = kill_behind_every_move(Chapter::Interruption).await;
    let edges = [(AwaitingBedClear, Preflight), (Printing, Interrupted), (Interrupted, Cancelled)];
    assert_walked(&covered, &edges);
}

#[tokio::test]
async fn a_kill_behind_any_move_of_a_cancel_or_a_bad_file_repeats_and_loses_nothing() {
    use JobState::*;
    let covered = kill_behind_every_move(Chapter::Endings).await;
    assert_walked(&covered, &[(Printing, Cancelled), (Preflight, Failed)]);
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
