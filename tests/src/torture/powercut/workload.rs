//! A busy agent's writes: commands, jobs, starts, events, acks, files and restarts, each told to the outside when it is safe.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use sha2::{Digest as _, Sha256};
use spoolway_agent::spool::{Spool, SpoolOptions};
use spoolway_agent::store::{
    Durability, EventClass, JobRow, NewCommand, NewEvent, Position, Store, StoreOptions, Write,
};

use super::device::{Recorder, SLACK_BYTES};
use super::facts::{Facts, Told};
use crate::rng::Rng;

/// Files that stay in the spool.
const BODIES: usize = 4;
/// Pieces of this size come one after the other.
const PIECE_BYTES: usize = 64 * 1024;

/// An agent's storage under load.
pub(super) struct Workload<'a> {
    recorder: &'a Recorder,
    facts: &'a mut Facts,
    rng: Rng,
    /// None only while it is opened again.
    store: Option<Store>,
    spool: Spool,
    /// Jobs with their revisions and attempts.
    jobs: Vec<(String, u64, u32)>,
    bodies: Vec<String>,
    commands: Vec<String>,
    highest: Position,
}

impl<'a> Workload<'a> {
    /// Runs for a while.
    pub(super) async fn run(
        recorder: &'a Recorder,
        facts: &'a mut Facts,
        rng: Rng,
        span: Duration,
    ) -> anyhow::Result<()> {
        let (store, spool, highest) = open(recorder.dir())?;
        let bodies = spool.bodies()?.into_iter().map(|body| body.name).collect();
        let mut load = Self {
            recorder,
            facts,
            rng,
            store: Some(store),
            spool,
            jobs: Vec::new(),
            bodies,
            commands: Vec::new(),
            highest,
        };
        let began = Instant::now();
        while began.elapsed() < span {
            load.step().await?;
        }
        Ok(load.store().close().await?)
    }

    async fn step(&mut self) -> anyhow::Result<()> {
        match self.rng.below(40) {
            0..6 => self.take_command().await,
            6..9 => self.end_command().await,
            9..14 => self.accept_job().await,
            14..19 => self.move_job().await,
            19..22 => self.start_job().await,
            22..34 => self.note_events().await,
            34..37 => self.take_ack().await,
            37..39 => self.store_body(),
            _ => self.restart().await,
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open between two steps")
    }

    /// Something is certain from now on.
    fn tell(&mut self, told: Told) -> anyhow::Result<()> {
        let log_end = self.recorder.log_end()?;
        self.facts.tell(log_end, told);
        Ok(())
    }

    /// Something may happen from now on.
    fn foretell(&mut self, told: Told) -> anyhow::Result<()> {
        let log_end = self.recorder.log_end()?.saturating_sub(SLACK_BYTES);
        self.facts.tell(log_end, told);
        Ok(())
    }

    async fn promise(&mut self, mut writes: Vec<Write>) -> anyhow::Result<()> {
        let mark = self.facts.name();
        writes.push(event(EventClass::Critical, mark));
        let committed = self.store().commit(writes, Durability::Promise).await?;
        self.tell_events(&committed.positions, &[mark], true)
    }

    fn tell_events(&mut self, at: &[Position], marks: &[u64], is_promise: bool) -> anyhow::Result<()> {
        for (at, mark) in at.iter().zip(marks) {
            self.highest = self.highest.max(*at);
            self.tell(Told::Event { at: *at, mark: *mark, is_promise })?;
        }
        Ok(())
    }

    async fn take_command(&mut self) -> anyhow::Result<()> {
        let n = self.facts.name();
        let cmd_id = format!("command-{n}");
        let command = NewCommand {
            cmd_id: cmd_id.clone(),
            seq: Some(n),
            printer_id: None,
            kind: "job.pause".to_owned(),
            body_json: format!(r#"{{"padding":"{}"}}"#, "c".repeat(self.rng.below(1500) as usize)),
            received_ms: n,
        };
        let meta = Write::PutMeta { key: "cmd_seq".to_owned(), value: n.to_string() };
        self.promise(vec![Write::InsertCommand(command), meta]).await?;
        self.commands.push(cmd_id.clone());
        self.tell(Told::Command(cmd_id))
    }

    async fn end_command(&mut self) -> anyhow::Result<()> {
        let Some(cmd_id) = self.commands.pop() else { return Ok(()) };
        let end = Write::SetCommand { cmd_id, status: "done".to_owned(), result_json: Some("{}".to_owned()) };
        self.promise(vec![end]).await
    }

    async fn accept_job(&mut self) -> anyhow::Result<()> {
        let n = self.facts.name();
        let job_id = format!("job-{n}");
        let row = JobRow {
            job_id: job_id.clone(),
            rev: 1,
            state: "offered".to_owned(),
            detail_json: None,
            printer_id: None,
            sha256: None,
            priority: 0,
            position: 0,
            body_json: format!(r#"{{"padding":"{}"}}"#, "j".repeat(self.rng.below(3000) as usize)),
            created_ms: n,
            updated_ms: n,
        };
        self.promise(vec![Write::PutJob(row)]).await?;
        self.jobs.push((job_id.clone(), 1, 0));
        self.tell(Told::Job { job_id, rev: 1 })
    }

    async fn move_job(&mut self) -> anyhow::Result<()> {
        let Some(at) = self.any_job() else { return Ok(()) };
        let (job_id, rev, _) = self.jobs[at].clone();
        let detail_json = Some(format!(r#"{{"rev":{rev}}}"#));
        let state = "queued".to_owned();
        let job = job_id.clone();
        self.promise(vec![Write::MoveJob { job_id, expected_rev: rev, state, detail_json, updated_ms: rev }])
            .await?;
        self.jobs[at].1 = rev + 1;
        self.tell(Told::Job { job_id: job, rev: rev + 1 })
    }

    async fn start_job(&mut self) -> anyhow::Result<()> {
        let Some(at) = self.any_job() else { return Ok(()) };
        let attempt = self.jobs[at].2 + 1;
        let job_id = self.jobs[at].0.clone();
        let start =
            Write::InsertAttempt { job_id: job_id.clone(), attempt, started_ms: 1, detail_json: None };
        self.promise(vec![start]).await?;
        self.jobs[at].2 = attempt;
        self.tell(Told::Start { job_id, attempt })
    }

    fn any_job(&mut self) -> Option<usize> {
        let count = self.jobs.len() as u64;
        (count > 0).then(|| self.rng.below(count) as usize)
    }

    async fn note_events(&mut self) -> anyhow::Result<()> {
        let marks: Vec<_> = (0..1 + self.rng.below(20)).map(|_| self.facts.name()).collect();
        let writes = marks.iter().map(|mark| event(EventClass::Info, *mark)).collect();
        let committed = self.store().commit(writes, Durability::Grouped).await?;
        self.tell_events(&committed.positions, &marks, false)
    }

    async fn take_ack(&mut self) -> anyhow::Result<()> {
        let back = self.rng.below(30);
        let upto = Position { seq: self.highest.seq.saturating_sub(back), ..self.highest };
        self.foretell(Told::Acked(upto))?;
        Ok(self.store().ack(upto).await?)
    }

    fn store_body(&mut self) -> anyhow::Result<()> {
        if self.bodies.len() >= BODIES {
            let sha256 = self.bodies.remove(0);
            self.foretell(Told::Deleted { sha256: sha256.clone() })?;
            self.spool.delete(&sha256)?;
        }
        let bytes = moves(&mut self.rng);
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let mut writer = self.spool.write(&sha256)?;
        for piece in bytes.chunks(PIECE_BYTES) {
            writer.append(piece)?;
        }
        writer.finish(&sha256, bytes.len() as u64)?;
        self.bodies.push(sha256.clone());
        self.tell(Told::Body { sha256 })
    }

    /// In order, or as a crash of the process would.
    async fn restart(&mut self) -> anyhow::Result<()> {
        if self.rng.below(2) == 0 {
            self.store().close().await?;
        }
        self.store = None;
        let (store, spool, highest) = open(self.recorder.dir())?;
        ensure!(highest >= self.highest, "{highest:?} was given before {:?}", self.highest);
        (self.store, self.spool, self.highest) = (Some(store), spool, highest);
        Ok(())
    }
}

/// Opens what an agent opens; gives the last number of the epoch.
fn open(dir: &Path) -> anyhow::Result<(Store, Spool, Position)> {
    let options = StoreOptions { group_ms: 5, ..StoreOptions::default() };
    let (store, opened) = Store::open(dir, &options)?;
    let spool =
        Spool::open(&dir.join("spool"), SpoolOptions { reserve_bytes: 0, ..SpoolOptions::default() })?;
    Ok((store, spool, Position { epoch: opened.epoch, seq: opened.next_seq - 1 }))
}

/// An event that says who it is.
pub(super) fn event(cls: EventClass, mark: u64) -> Write {
    Write::Event(NewEvent {
        cls,
        kind: "sensor".to_owned(),
        printer_id: Some("p0".to_owned()),
        job_id: None,
        attempt: None,
        ts_json: r#"{"w":1,"m":1,"b":"boot","c":"ntp"}"#.to_owned(),
        data_json: mark.to_string(),
    })
}

/// G-code of 0.2 to 1.2 MB.
fn moves(rng: &mut Rng) -> Vec<u8> {
    let size = rng.range(200_000..=1_200_000) as usize;
    let mut text = String::with_capacity(size + 64);
    while text.len() < size {
        let (x, y, e) = (rng.below(200_000), rng.below(200_000), rng.below(99_999));
        text.push_str(&format!("G1 X{}.{:03} Y{}.{:03} E0.{e:05}\n", x / 1000, x % 1000, y / 1000, y % 1000));
    }
    text.into_bytes()
}
