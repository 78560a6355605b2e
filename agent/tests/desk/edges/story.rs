//! What a story is told with: each step does one thing and waits for what follows from it, unless the process dies before.

use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use spoolway_agent::local::{Counter, PrintWishes};
use spoolway_agent::printer::{RunEnd, RunPhase};
use spoolway_agent::view::recovery::RecoverHow;
use spoolway_agent_core::gcode::Position;
use spoolway_agent_core::recovery::{Height, ResumeFrom};
use spoolway_agent_core::stream::Progress;
use spoolway_protocol::{Fault, JobId, JobState};

use super::Fuse;
use crate::rig::{HANG, Rig, gcode};

/// A part that nobody has anything against.
pub(super) const SMALL: &str = "G28\nG1 X1\n";
/// It reaches out of a bed of 220 mm.
pub(super) const WIDE: &str = "G28\nM104 S200\n;LAYER_CHANGE\nG1 X9 Y9 Z0.2 F6000\nG1 X300 E1\nM104 S0\n";
/// A time that is long over, unix ms.
pub(super) const LONG_AGO_MS: u64 = 1;
/// Today, as far as the story goes, unix ms.
pub(super) const TODAY_MS: u64 = 1_790_000_000_000;

/// The process is dead.
#[derive(Debug)]
pub(super) struct Dead;

/// The story, as far as the fuse lets it come.
pub(super) struct Story<'a> {
    pub(super) rig: &'a mut Rig,
    pub(super) folder: &'a Path,
}

impl Story<'_> {
    /// Waits for something, as long as the process lives.
    async fn wait(&mut self, what: &str, mut look: impl AsyncFnMut(&Rig) -> bool) -> Result<(), Dead> {
        let alive = self.rig.until(what, async |rig| {
            if Fuse::is_blown(rig).await {
                return Some(false);
            }
            look(rig).await.then_some(true)
        });
        if alive.await { Ok(()) } else { Err(Dead) }
    }

    pub(super) async fn until(&mut self, id: &str, state: JobState) -> Result<(), Dead> {
        self.wait(&format!("{id} to be {state}"), async |rig| {
            let jobs = rig.desk.jobs().await.unwrap_or_default();
            jobs.iter().any(|job| job.job_id.as_str() == id && job.state == state)
        })
        .await
    }

    pub(super) async fn print(&mut self, text: &str, wishes: PrintWishes) -> Result<String, Dead> {
        let file = gcode(self.folder, text);
        self.rig.desk.print_file(file, wishes).await.map(|job| job.job_id.to_string()).map_err(|_| Dead)
    }

    /// One that does not start before it is released.
    pub(super) async fn print_held(&mut self) -> Result<String, Dead> {
        let id = self.print(SMALL, PrintWishes { hold: true, ..PrintWishes::default() }).await?;
        self.until(&id, JobState::Queued).await?;
        Ok(id)
    }

    pub(super) async fn print_until(&mut self, text: &str, state: JobState) -> Result<String, Dead> {
        let id = self.print(text, PrintWishes::default()).await?;
        self.until(&id, state).await?;
        Ok(id)
    }

    pub(super) async fn started(&mut self) -> Result<u64, Dead> {
        let hung = Instant::now() + HANG;
        loop {
            assert!(Instant::now() < hung, "waited for a start: {:#?}", self.rig.told("cmd.result").await);
            if let Some(run) = self.rig.start_ordered() {
                return Ok(run);
            }
            if Fuse::is_blown(self.rig).await {
                return Err(Dead);
            }
        }
    }

    /// A part that is being started; its job and its run.
    pub(super) async fn start(&mut self) -> Result<(String, u64), Dead> {
        let id = self.print(SMALL, PrintWishes::default()).await?;
        Ok((id, self.started().await?))
    }

    pub(super) async fn run(
        &mut self,
        id: &str,
        run: u64,
        phase: RunPhase,
        to: JobState,
    ) -> Result<(), Dead> {
        self.rig.run(run, phase);
        self.until(id, to).await
    }

    /// The port goes away; `sent` lines of the part had gone out.
    pub(super) async fn lose(&mut self, id: &str, run: u64, sent: u64, to: JobState) -> Result<(), Dead> {
        let end = RunEnd::Interrupted(Fault::PortLost, "it is gone".to_owned());
        self.rig.run_behind(run, RunPhase::Ended(end), sent, Progress::default());
        self.until(id, to).await
    }

    pub(super) async fn hold(&mut self, id: &str) -> Result<(), Dead> {
        self.rig.desk.hold(job_id(id)).await.map(drop).map_err(|_| Dead)
    }

    pub(super) async fn release(&mut self, id: &str) -> Result<(), Dead> {
        self.rig.desk.release(job_id(id)).await.map(drop).map_err(|_| Dead)
    }

    pub(super) async fn cancel(&mut self, id: &str) -> Result<(), Dead> {
        self.rig.desk.cancel(Some(job_id(id))).await.map_err(|_| Dead)?;
        self.until(id, JobState::Cancelled).await
    }

    /// Its time is over, and it is known what time it is.
    pub(super) async fn expire(&mut self, id: &str) -> Result<(), Dead> {
        self.rig.clock.learn_relay_time(TODAY_MS);
        self.command("job.update", json!({"job_id": id, "not_after": LONG_AGO_MS})).await?;
        self.until(id, JobState::Failed).await
    }

    pub(super) async fn accept(&mut self, id: &str) -> Result<(), Dead> {
        let word = self.rig.desk.override_findings(job_id(id), None, "uid 1000".to_owned());
        word.await.map(drop).map_err(|_| Dead)
    }

    pub(super) async fn give_up(&mut self, id: &str) -> Result<(), Dead> {
        self.rig.desk.abandon(job_id(id)).await.map_err(|_| Dead)?;
        self.until(id, JobState::Cancelled).await
    }

    pub(super) async fn clear(&mut self) -> Result<(), Dead> {
        let epoch = self.rig.desk.status().await.map_err(|_| Dead)?.bed.unwrap().epoch;
        self.rig.desk.clear_bed(epoch).await.map(drop).map_err(|_| Dead)
    }

    /// A command of the backend, until its result is told.
    pub(super) async fn command(&mut self, kind: &str, args: Value) -> Result<(), Dead> {
        let cmd_id = self.rig.command(kind, args).await;
        let is_told = async |rig: &Rig| {
            rig.told("cmd.result").await.iter().any(|result| result["cmd_id"] == cmd_id.as_str())
        };
        self.wait("a command's result", is_told).await
    }

    /// The backend asks for an attempt; its run.
    pub(super) async fn attempt(&mut self, id: &str, attempt: u32) -> Result<u64, Dead> {
        self.rig.command("job.start", json!({"job_id": id, "attempt": attempt})).await;
        self.started().await
    }

    /// The backend offers a file that it may keep.
    pub(super) async fn offer(&mut self, id: &str, file: &[u8], more: Value) -> Result<(), Dead> {
        let mut args = json!({
            "job_id": id, "rev": 1, "owner": "farm", "start": "manual", "sources": [{"kind": "relay"}],
            "retain": "keep:1",
            "file": {
                "file_id": format!("file-{id}"), "size": file.len(), "sha256": sha256(file), "chunk": 65_536,
                "name": "part.gcode",
            },
        });
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.command("job.offer", args).await
    }

    /// What is asked for comes.
    pub(super) async fn serve(&mut self, body: &[u8]) -> Result<(), Dead> {
        let hung = Instant::now() + HANG;
        loop {
            assert!(Instant::now() < hung, "waited for a file to be asked for");
            if let Some(get) = self.rig.asked() {
                self.rig.send_file(&get, body).await;
                return Ok(());
            }
            if Fuse::is_blown(self.rig).await {
                return Err(Dead);
            }
        }
    }

    /// Somebody has seen the plan and says yes to it; the run.
    pub(super) async fn recover(&mut self, id: &str) -> Result<u64, Dead> {
        let how = RecoverHow { from: ResumeFrom::Auto, height: Some(Height::Touching) };
        let plan = self.rig.desk.plan_recovery(job_id(id), how).await.map_err(|_| Dead)?;
        self.rig.desk.recover(job_id(id), how, plan.plan_id).await.map_err(|_| Dead)?;
        self.started().await
    }
}

/// So many commands of a file without comments were carried out.
pub(super) fn behind(commands: u64) -> Progress {
    Progress { commands, position: Position { line: commands, ..Position::default() } }
}

/// Nobody reads a file, or anything else that takes its time, until what this gives is dropped; for a runtime with one
/// thread for such work.
pub(super) fn nobody_reads() -> Sender<()> {
    let (go_on, held) = channel();
    drop(tokio::task::spawn_blocking(move || {
        // It ends with an error, as nothing is ever sent.
        let _ = held.recv();
    }));
    go_on
}

fn job_id(id: &str) -> JobId {
    id.parse().unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
