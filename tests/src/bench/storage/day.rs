//! The whole agent while it prints: what its process sends towards the device beyond the job's file, and the rows of a print.
//!
//! A short print and a long one: what both have is the cost of a print, and what the long one has more is that of the time.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use spoolway_agent::local::Client;
use spoolway_agent::local::words::Request;
use spoolway_agent::store::{EventClass, Position, Store, StoreOptions};
use spoolway_protocol::JobState;

use super::body::in_spool;
use super::{count, sync_all};
use crate::agent_program::AgentSetup;
use crate::bench::Site;
use crate::bench::board::{Board, Model};
use crate::bench::part::Part;
use crate::bench::usage::{device_bytes, written_bytes};

/// Moves of 4.5 ms each, on the usual wire.
const MOVES_A_SECOND: u32 = 222;
const BAUD: u32 = 115_200;
/// What was written is on its way to the device by then.
const SETTLING: Duration = Duration::from_secs(5);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How much longer than its moves a print may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Memory, as `/run` is: what a boot may take costs the card nothing there, and the log is not the agent's to write.
const MEMORY: &str = "/dev/shm";
const DAY_S: f64 = 86_400.0;
/// A day of printing: one print behind the other, an hour each.
pub(super) const PRINTS_A_DAY: u32 = 24;
/// The long print in lengths of the short one.
const LONG: u32 = 4;

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Day {
    /// How long the prints took.
    pub(super) short_s: f64,
    pub(super) long_s: f64,
    /// What the agent's process sent towards the device in each, without the job's file.
    pub(super) short_bytes: u64,
    pub(super) long_bytes: u64,
    /// What printing costs while it lasts, for a day, in units of 10^6 bytes.
    pub(super) steady_mb_a_day: f64,
    /// The same as the device itself counts it, whoever wrote, with the file system's own journal.
    pub(super) steady_device_mb_a_day: Option<f64>,
    /// What each print costs, however long it is, in units of 10^3 bytes.
    pub(super) print_kb: f64,
    /// Both together for a day of such prints.
    pub(super) mb_a_day: f64,
    /// Critical events of one print.
    pub(super) critical_rows: u64,
    /// Other events of both.
    pub(super) info_rows: u64,
}

/// One print.
#[derive(Debug, Clone, Copy)]
struct Printed {
    seconds: f64,
    bytes: u64,
    /// What the device counts.
    device_bytes: Option<u64>,
}

impl Day {
    fn of(short: Printed, long: Printed, (critical, info): (u64, u64)) -> Self {
        let steady = |long_bytes: u64, short_bytes: u64| {
            (long_bytes as f64 - short_bytes as f64).max(0.0) / (long.seconds - short.seconds)
        };
        let a_second = steady(long.bytes, short.bytes);
        let of_device =
            long.device_bytes.zip(short.device_bytes).map(|(long, short)| steady(long, short) * DAY_S / 1e6);
        let print = (short.bytes as f64 - a_second * short.seconds).max(0.0);
        let steady_mb_a_day = a_second * DAY_S / 1e6;
        Self {
            short_s: short.seconds,
            long_s: long.seconds,
            short_bytes: short.bytes,
            long_bytes: long.bytes,
            steady_mb_a_day,
            steady_device_mb_a_day: of_device,
            print_kb: print / 1e3,
            mb_a_day: steady_mb_a_day + f64::from(PRINTS_A_DAY) * print / 1e6,
            critical_rows: critical.div_ceil(2),
            info_rows: info,
        }
    }
}

/// Prints for a quarter of so many seconds, and then for all of them.
pub(super) async fn measure(site: &Site, dir: &Path, seconds: u32) -> anyhow::Result<Day> {
    let model = Model { wire: Some(BAUD), planner: true, ..Model::default() };
    let parts = [seconds / LONG, seconds].map(|seconds| (seconds, paced(seconds)));
    let both = dir.join("both.gcode");
    std::fs::write(&both, parts.each_ref().map(|(_, part)| &*part.bytes).concat())?;
    let board = Board::start(site, dir, Some(&both), &model)?;
    let folder = dir.join("agent");
    let memory = tempfile::Builder::new().prefix("spoolway-bench-").tempdir_in(MEMORY)?;
    let setup = AgentSetup { runtime: Some(memory.path()), ..AgentSetup::new(&folder, board.device(), BAUD) };
    let mut agent = site.agent.start(&setup, &memory.path().join("agent.log"))?;
    let mut client = agent.ready().await?;
    tokio::time::sleep(SETTLING).await;
    rustix::fs::syncfs(File::open(dir)?)?;
    let mut printed = Vec::new();
    for (seconds, part) in &parts {
        eprintln!("storage: printing for {seconds} s");
        let one = print(&mut client, agent.id(), dir, part, Duration::from_secs((*seconds).into())).await;
        printed.push(one.with_context(|| agent.log_tail())?);
    }
    agent.finish()?;
    board.finish()?;
    let rows = count_rows(&folder).await?;
    sync_all(&folder)?;
    Ok(Day::of(printed[0], printed[1], rows))
}

fn paced(seconds: u32) -> Part {
    Part::paced(MOVES_A_SECOND, (seconds * MOVES_A_SECOND) as usize)
}

/// From the order to a little after the end; what the file itself costs is known by storing it once more.
async fn print(
    client: &mut Client,
    pid: u32,
    dir: &Path,
    part: &Part,
    lasts: Duration,
) -> anyhow::Result<Printed> {
    let path = dir.join("part.gcode");
    std::fs::write(&path, &part.bytes)?;
    let body = count("the file", part.bytes.len() as u64, dir, |folder| in_spool(folder, &part.bytes))?;
    File::open(&path)?.sync_all()?;
    let (before, device_before) = (written_bytes(pid)?, device_bytes(dir));
    let began = Instant::now();
    let job = client.job(&Request::Print { path, name: None })?;
    let bound = lasts + PATIENCE;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let state = client.jobs()?.into_iter().find(|one| one.job_id == job.job_id).map(|one| one.state);
        match state.context("the job is gone")? {
            JobState::Completed => break,
            state if state.is_terminal() || state == JobState::Interrupted => bail!("the print is {state}"),
            _ => ensure!(began.elapsed() < bound, "the print does not end in time"),
        }
    }
    let taken = began.elapsed();
    tokio::time::sleep(SETTLING).await;
    let bytes = (written_bytes(pid)? - before).saturating_sub(body.device_bytes);
    // What this one left is not to be counted with the next.
    rustix::fs::syncfs(File::open(dir)?)?;
    let device_bytes = device_bytes(dir)
        .zip(device_before)
        .map(|(after, before)| (after - before).saturating_sub(body.device_bytes));
    Ok(Printed { seconds: taken.as_secs_f64(), bytes, device_bytes })
}

async fn count_rows(folder: &Path) -> anyhow::Result<(u64, u64)> {
    let (store, _) = Store::open(folder, &StoreOptions::default())?;
    let events = store.events_after(Position::default(), usize::MAX, u64::MAX).await?;
    store.close().await?;
    let critical = events.iter().filter(|stored| stored.event.cls == EventClass::Critical).count();
    Ok((critical as u64, (events.len() - critical) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_print_costs_is_told_from_what_its_time_costs() {
        let printed = |seconds, bytes| Printed { seconds, bytes, device_bytes: Some(3 * bytes) };
        let day = Day::of(printed(100.0, 150_000), printed(400.0, 240_000), (31, 40));
        assert!((day.steady_mb_a_day - 25.92).abs() < 1e-9 && (day.print_kb - 120.0).abs() < 1e-9, "{day:?}");
        assert!((day.mb_a_day - (25.92 + 24.0 * 0.12)).abs() < 1e-9, "{day:?}");
        assert!((day.steady_device_mb_a_day.unwrap() - 3.0 * 25.92).abs() < 1e-9, "{day:?}");
        assert_eq!(day.critical_rows, 16);
    }
}
