//! The memory of an agent that takes a file from a backend through a relay and prints it: the whole house, one file at a
//! time. A large file takes longer than anybody waits, so it is printed for a while only: by then it has been received,
//! packed, checked and read through as a whole.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use spoolway_agent::local::Client;
use spoolway_protocol::JobState;

use super::Site;
use super::board::{Board, Model};
use super::part::Part;
use super::sender::NO_WIRE_BAUD;
use super::usage::peak_memory_bytes;
use crate::backend::{Backend, Print, Progress};
use crate::demo::house::{House, PrinterPlan};

/// Sizes of the files.
const SMALL_BYTES: usize = 1_000_000;
const LARGE_BYTES: usize = 500_000_000;
/// How long at most a file is printed.
const PRINTING: Duration = Duration::from_secs(15);
/// How long a file may take to come.
const PATIENCE: Duration = Duration::from_secs(600);
/// Time between two looks at the house.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Room on the disk: the packed file, the agent's reserve, and some air.
const ROOM_BYTES: u64 = 900_000_000;

/// What one print took.
#[derive(Debug, Clone, Serialize)]
pub(super) struct MemoryFigures {
    pub(super) file_bytes: u64,
    /// How long it took from the offer to the first line.
    pub(super) arrival_s: f64,
    /// Commands acknowledged when the memory was read.
    pub(super) commands_acked: u64,
    /// Peak resident memory of the agent's process, from its start until then.
    pub(super) peak_bytes: u64,
}

/// A small and a large file.
///
/// # Errors
/// Something did not run, or there is no room for the large file.
pub(super) async fn measure(site: &Site, part: &Part) -> anyhow::Result<Vec<MemoryFigures>> {
    let (small, large) = (part.cut(usize::MAX, SMALL_BYTES, usize::MAX).bytes, part.repeated(LARGE_BYTES));
    let mut figures = Vec::new();
    for bytes in [small, large] {
        eprintln!("memory: {} bytes through a relay", bytes.len());
        figures.push(measure_one(site, &part.name, bytes).await?);
    }
    Ok(figures)
}

async fn measure_one(site: &Site, name: &str, bytes: Arc<[u8]>) -> anyhow::Result<MemoryFigures> {
    let dir = tempfile::Builder::new().prefix("spoolway-bench-").tempdir()?;
    let device = rustix::fs::statvfs(dir.path())?;
    let free = device.f_bavail.saturating_mul(device.f_frsize);
    ensure!(free >= ROOM_BYTES, "{} has {free} bytes free, {ROOM_BYTES} are needed", dir.path().display());
    let board = Board::start(site, dir.path(), None, &Model::default())?;
    let plan = PrinterPlan::Real { port: board.device().to_owned(), baud: NO_WIRE_BAUD };
    let mut house = House::start_with(&site.program, Some(&site.agent), &[], &plan)?;
    let print = Print { agent: house.agent_id(), name: name.to_owned(), bytes: Arc::clone(&bytes) };
    let mut complaints = Vec::new();
    let found = {
        let note = |progress| {
            if let Progress::Complaint(text) = progress
                && complaints.len() < 20
            {
                complaints.push(text);
            }
        };
        let backend = Backend::new(house.relay(), print, note)?;
        // The backend goes on after the job is over, so that whoever watches sees the job's end, too.
        let backend = async {
            let ended = backend.run().await;
            if ended.is_ok() {
                tokio::time::sleep(LOOK_EVERY * 3).await;
            }
            match ended {
                Ok(ending) => anyhow::anyhow!("the print ended with {ending:?}"),
                Err(error) => error.into(),
            }
        };
        tokio::select! {
            found = watch(&mut house, bytes.len() as u64) => found,
            error = backend => Err(error),
        }
    };
    let found = found.with_context(|| format!("{}\n{}", complaints.join("\n"), house.logs()))?;
    // It is told to end in the middle of a print, which it does in order.
    house.close()?;
    Ok(found)
}

/// Waits until the print is over or has gone on for long enough.
async fn watch(house: &mut House, file_bytes: u64) -> anyhow::Result<MemoryFigures> {
    let offered = Instant::now();
    let mut printing_since = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        house.check()?;
        let Ok(mut client) = Client::connect(&house.socket()) else { continue };
        let Some(job) = client.jobs()?.pop() else { continue };
        if job.state == JobState::Printing {
            printing_since.get_or_insert_with(Instant::now);
        }
        let is_done = job.state == JobState::Completed
            || printing_since.is_some_and(|since: Instant| since.elapsed() >= PRINTING);
        if is_done {
            let arrival = printing_since.map_or_else(Duration::default, |since| since - offered);
            return Ok(MemoryFigures {
                file_bytes,
                arrival_s: arrival.as_secs_f64(),
                commands_acked: job.commands_acked,
                peak_bytes: peak_memory_bytes(house.pids().1)?,
            });
        }
        if job.state.is_terminal() || (printing_since.is_none() && offered.elapsed() > PATIENCE) {
            bail!("the print stands at {job:?}");
        }
    }
}
