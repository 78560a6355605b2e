//! `storage`: what reaches the device for each byte of a job, for each byte of an event, and for each day of printing.

mod body;
mod day;
mod rows;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use serde::Serialize;
use spoolway_agent::clock::{utc, wall_ms};

use super::Site;
use super::bars::Bar;
use super::part::Part;
use super::usage::written_bytes;

/// What is shown of the time of a run.
const DATE: &str = "2026-01-01";
/// Device bytes per byte of a job.
const BODY: f64 = 0.5;
/// Device bytes per byte of grouped rows.
const ROWS: f64 = 4.5;
/// Fewer critical rows than this in a print.
const CRITICAL_ROWS: f64 = 99.0;
/// Megabytes a day of the whole agent while it prints, beyond the job's file.
const DAY_MB: f64 = 50.0;

/// How `storage` measures.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// G-code to store [default: a dense vase of half a million commands, made up in memory]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Folder on the device to measure; a tmpfs counts nothing [default: the system's for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How long the longer of two prints takes, in seconds
    #[arg(long, default_value_t = 720, value_parser = clap::value_parser!(u32).range(40..=86_400))]
    seconds: u32,
    /// Print one line of JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Exit with 1 when a bar is missed
    #[arg(long)]
    check: bool,
}

/// Bytes that were stored, and what that sent towards the device.
#[derive(Debug, Serialize)]
struct Figure {
    way: String,
    bytes: u64,
    device_bytes: u64,
    /// The second for each of the first.
    ratio: f64,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Report {
    date: String,
    bodies: Vec<Figure>,
    rows: Vec<Figure>,
    day: day::Day,
    bars: Vec<Bar>,
}

/// Measures and prints.
///
/// # Errors
/// Something did not run, or the folder lies on no device.
pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let site = Site::survey()?;
    let above = arguments.dir.clone().unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::Builder::new().prefix("spoolway-bench-").tempdir_in(&above)?;
    let part = Part::read(arguments.file.as_deref())?;
    let bodies = body::measure(dir.path(), &part.bytes)?;
    ensure!(
        bodies.iter().all(|figure| figure.device_bytes > 0),
        "{} lies on no device; choose a folder with --dir",
        above.display()
    );
    let rows = rows::measure(dir.path()).await?;
    let day = day::measure(&site, dir.path(), arguments.seconds).await.context("the print")?;
    let bars = vec![
        Bar::at_most("device bytes per byte of a job", bodies[0].ratio, BODY),
        Bar::at_most("device bytes per byte of grouped rows", rows[0].ratio, ROWS),
        Bar::at_most("critical rows of a print", day.critical_rows as f64, CRITICAL_ROWS),
        Bar::at_most("MB a day of hourly prints, beyond the jobs", day.mb_a_day, DAY_MB),
    ];
    let date = utc(wall_ms()).chars().take(DATE.len()).collect();
    let report = Report { date, bodies, rows, day, bars };
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    let missed = arguments.check && report.bars.iter().any(|bar| !bar.is_met);
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs one way in a folder of its own, syncs what it left, and counts what this process sent towards the device.
fn count(
    way: &str,
    bytes: u64,
    dir: &Path,
    store: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<Figure> {
    let folder = dir.join("one");
    std::fs::create_dir(&folder)?;
    let pid = std::process::id();
    let before = written_bytes(pid)?;
    store(&folder)?;
    sync_all(&folder)?;
    let device_bytes = written_bytes(pid)? - before;
    std::fs::remove_dir_all(&folder)?;
    Ok(Figure { way: way.to_owned(), bytes, device_bytes, ratio: device_bytes as f64 / bytes as f64 })
}

/// Whatever was left unsynced has to reach the device as well.
fn sync_all(folder: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_all(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    Ok(File::open(folder)?.sync_all()?)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: bytes sent towards the device for each byte stored", self.date)?;
        for figure in self.bodies.iter().chain(&self.rows) {
            writeln!(f, "  {:<58} {:>6.3}", figure.way, figure.ratio)?;
        }
        let day = &self.day;
        let (short, long) = (day.short_bytes, day.long_bytes);
        writeln!(f, "whole agent, without the job: {short} bytes in {:.0} s of printing,", day.short_s)?;
        writeln!(f, "  {long} bytes in {:.0} s", day.long_s)?;
        let each = format!("{:.0} kB a print", day.print_kb);
        writeln!(f, "  so {each} and {:.1} MB a day while it lasts", day.steady_mb_a_day)?;
        if let Some(mb_a_day) = day.steady_device_mb_a_day {
            writeln!(f, "  the device itself counts {mb_a_day:.1} MB a day meanwhile, whoever wrote")?;
        }
        writeln!(f, "  a day of {} prints: {:.1} MB", day::PRINTS_A_DAY, day.mb_a_day)?;
        writeln!(f, "rows: {} critical ones a print, {} others in both", day.critical_rows, day.info_rows)?;
        for Bar { what, measured, wanted, is_met } in &self.bars {
            let verdict = if *is_met { "met" } else { "MISSED" };
            writeln!(f, "  {what:<44} {measured:>8.3}  {wanted:<16} {verdict}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_counted_where_there_is_a_device() {
        let dir = tempfile::tempdir().unwrap();
        let figure =
            count("plain", 100_000, dir.path(), |folder| Ok(std::fs::write(folder.join("a"), [1; 100_000])?));
        let figure = figure.unwrap();
        assert!(figure.device_bytes == 0 || figure.device_bytes >= 100_000, "{figure:?}");
        assert!(!dir.path().join("one").exists());
    }
}
