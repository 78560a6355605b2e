//! The memory of an agent that prints what a backend sends it through a relay: the whole house, one file at a time.

use std::time::Duration;

use anyhow::{Context, bail};
use serde::Serialize;

use super::Site;
use super::board::Board;
use super::part::Part;
use super::usage::peak_memory_bytes;
use crate::backend::{Backend, Ending, Print};
use crate::demo::house::{House, PrinterPlan};

/// How long a print may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// Time between two looks at the house.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A rate that the port takes; the board has no wire.
const BAUD: u32 = 1_000_000;

/// What one print took.
#[derive(Debug, Clone, Serialize)]
pub(super) struct MemoryFigures {
    pub(super) file_bytes: u64,
    pub(super) commands: u64,
    pub(super) lines_per_s: f64,
    /// Peak resident memory of the agent's process, from its start to the end of the print.
    pub(super) peak_bytes: u64,
}

/// Prints a part on a board that is never the limit.
pub(super) async fn measure(site: &Site, part: &Part) -> anyhow::Result<MemoryFigures> {
    let dir = tempfile::Builder::new().prefix("spoolway-bench-").tempdir()?;
    let file = dir.path().join("job.gcode");
    std::fs::write(&file, &part.bytes)?;
    let board = Board::start(site, dir.path(), &file, None)?;
    let plan = PrinterPlan::Real { port: board.device().to_owned(), baud: BAUD };
    let mut house = House::start(&site.program, &part.bytes, &plan)?;
    let print = Print { agent: house.agent_id(), name: part.name.clone(), bytes: part.bytes.clone() };
    let mut complaints = Vec::new();
    let ended = {
        let note = |progress| {
            if let crate::backend::Progress::Complaint(text) = progress
                && complaints.len() < 20
            {
                complaints.push(text);
            }
        };
        let backend = Backend::new(house.relay(), print, note)?;
        tokio::select! {
            ending = backend.run() => ending.map_err(anyhow::Error::from),
            error = watch(&mut house) => Err(error),
            () = tokio::time::sleep(PATIENCE) => Err(anyhow::anyhow!("the print does not end")),
        }
    };
    let told = || format!("{}\n{}", complaints.join("\n"), house.logs());
    match ended.with_context(told)? {
        Ending::Result(_) => {}
        other => bail!("the print ended with {other:?}\n{}", told()),
    }
    let peak_bytes = peak_memory_bytes(house.pids().1)?;
    house.close()?;
    let report = board.finish()?;
    Ok(MemoryFigures {
        file_bytes: part.bytes.len() as u64,
        commands: part.commands,
        lines_per_s: report.moves as f64 / report.seconds,
        peak_bytes,
    })
}

/// Looks whether a part of the house is over that should go on.
async fn watch(house: &mut House) -> anyhow::Error {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Err(error) = house.check() {
            return error;
        }
    }
}
