//! The whole agent while it prints: what its process sends towards the device beyond the job's file, and the rows of a print.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use spoolway_agent::local::Client;
use spoolway_agent::local::words::Request;
use spoolway_agent::store::{EventClass, Position, Store, StoreOptions};
use spoolway_protocol::JobState;

use super::sync_all;
use crate::agent_program::AgentSetup;
use crate::bench::Site;
use crate::bench::board::{Board, Model};
use crate::bench::part::Part;
use crate::bench::usage::written_bytes;

/// Moves of 4.5 ms each, on the usual wire.
const MOVES_A_SECOND: u32 = 222;
const BAUD: u32 = 115_200;
/// What the start itself writes is over by then.
const SETTLING: Duration = Duration::from_secs(3);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How much longer than its moves a print may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Memory, as `/run` is: what a boot may take costs the card nothing there, and the log is not the agent's to write.
const MEMORY: &str = "/dev/shm";
const DAY_S: f64 = 86_400.0;

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Day {
    /// Time that was watched.
    pub(super) seconds: f64,
    /// What the agent's process sent towards the device in it.
    pub(super) device_bytes: u64,
    /// The same for a day, in units of 10^6 bytes.
    pub(super) mb_a_day: f64,
    /// Critical events from the start of the agent to its end.
    pub(super) critical_rows: u64,
    /// Other events.
    pub(super) info_rows: u64,
}

/// Prints for so many seconds.
pub(super) async fn measure(site: &Site, dir: &Path, seconds: u32) -> anyhow::Result<Day> {
    eprintln!("storage: printing for {seconds} s");
    let part = Part::paced(MOVES_A_SECOND, (seconds * MOVES_A_SECOND) as usize);
    let file = dir.join("part.gcode");
    std::fs::write(&file, &part.bytes)?;
    let model = Model { wire: Some(BAUD), planner: true, ..Model::default() };
    let board = Board::start(site, dir, Some(&file), &model)?;
    let folder = dir.join("agent");
    let memory = tempfile::Builder::new().prefix("spoolway-bench-").tempdir_in(MEMORY)?;
    let setup = AgentSetup { runtime: Some(memory.path()), ..AgentSetup::new(&folder, board.device(), BAUD) };
    let mut agent = site.agent.start(&setup, &memory.path().join("agent.log"))?;
    let mut client = agent.ready().await?;
    let found = watch(&mut client, agent.id(), &file, seconds).await.with_context(|| agent.log_tail());
    agent.finish()?;
    let (span, device_bytes) = found?;
    board.finish()?;
    let (critical_rows, info_rows) = count_rows(&folder).await?;
    sync_all(&folder)?;
    let mb_a_day = device_bytes as f64 / 1e6 * DAY_S / span.as_secs_f64();
    Ok(Day { seconds: span.as_secs_f64(), device_bytes, mb_a_day, critical_rows, info_rows })
}

/// From a little after the start to the last look before the end.
async fn watch(client: &mut Client, pid: u32, file: &Path, seconds: u32) -> anyhow::Result<(Duration, u64)> {
    let asked = Request::Print { path: file.to_owned(), name: None };
    let job = client.job(&asked)?;
    let began = Instant::now();
    let (mut printing, mut first, mut last) = (None, None, None);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let written = written_bytes(pid)?;
        let state = client.jobs()?.into_iter().find(|one| one.job_id == job.job_id).map(|one| one.state);
        match state.context("the job is gone")? {
            JobState::Printing => {
                let since = *printing.get_or_insert_with(Instant::now);
                if since.elapsed() >= SETTLING {
                    first.get_or_insert((Instant::now(), written));
                    last = Some((Instant::now(), written));
                }
            }
            JobState::Completed => break,
            state if state.is_terminal() => bail!("the print is {state}"),
            _ => {}
        }
        let bound = Duration::from_secs(seconds.into()) + PATIENCE;
        ensure!(began.elapsed() < bound, "the print does not end in time");
    }
    let ((from, before), (to, after)) = first.zip(last).context("the print was too short")?;
    Ok((to - from, after - before))
}

async fn count_rows(folder: &Path) -> anyhow::Result<(u64, u64)> {
    let (store, _) = Store::open(folder, &StoreOptions::default())?;
    let events = store.events_after(Position::default(), usize::MAX, u64::MAX).await?;
    store.close().await?;
    let critical = events.iter().filter(|stored| stored.event.cls == EventClass::Critical).count();
    Ok((critical as u64, (events.len() - critical) as u64))
}
