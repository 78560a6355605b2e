//! `preflight`: how fast a file is held against its printer, beside what the machine needs to hash it and to count its lines.

use std::fmt;
use std::hint::black_box;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use sha2::{Digest, Sha256};
use spoolway_agent::preflight;
use spoolway_agent_core::preflight::{Printer, Report, Volume};
use spoolway_firmware_profiles::Registry;

use super::bars::Bar;
use super::part::Part;
use super::usage::peak_memory_bytes;

/// Megabytes a second on one core, and what a file of any length may take of the memory, in bytes.
const MB_PER_S: f64 = 150.0;
const PEAK_BYTES: f64 = 1e6;
/// Bytes that the baselines take at once, as the check does.
const PIECE_BYTES: usize = 128 * 1024;
/// Each is measured so often, in turn; the best counts, since whatever else runs only ever makes it slower.
const ROUNDS: usize = 5;

/// How `preflight` measures.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// G-code to check [default: a dense vase of half a million commands, made up in memory]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Length of the file, in megabytes: the part again and again
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    megabytes: u64,
    /// Profile of the printer
    #[arg(long, default_value = "marlin")]
    profile: String,
    /// Print one line of JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Exit with 1 when a bar is missed
    #[arg(long)]
    check: bool,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Figures {
    part: String,
    bytes: u64,
    lines: u64,
    findings: Vec<String>,
    /// Processor and number of cores, as the system names them.
    machine: String,
    preflight_mb_per_s: f64,
    sha256_mb_per_s: f64,
    count_lines_mb_per_s: f64,
    /// Speed of the check over that of SHA-256.
    of_sha256: f64,
    ns_per_line: f64,
    /// What the check of the whole file added to the peak of resident memory.
    peak_bytes: f64,
    bars: Vec<Bar>,
}

/// A file of any length that nobody holds: the part again and again.
struct Repeated {
    part: Arc<[u8]>,
    at: usize,
    left: u64,
}

impl Read for Repeated {
    fn read(&mut self, piece: &mut [u8]) -> std::io::Result<usize> {
        let rest = &self.part[self.at..];
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let count = rest.len().min(piece.len()).min(most);
        piece[..count].copy_from_slice(&rest[..count]);
        self.at = (self.at + count) % self.part.len();
        self.left -= count as u64;
        Ok(count)
    }
}

/// # Errors
/// The file or the profile cannot be had.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let part = Part::read(arguments.file.as_deref())?;
    anyhow::ensure!(!part.bytes.is_empty(), "the file is empty");
    let profile = Registry::built_in().get(&arguments.profile)?.profile.clone();
    let printer = Printer {
        volume: Some(Volume::new([220.0, 220.0, 250.0], false)),
        ..Printer::of_profile(&profile, Some(250_000))
    };
    let figures = measure(&part, arguments.megabytes * 1_000_000, &printer)?;
    if arguments.json {
        println!("{}", serde_json::to_string(&figures)?);
    } else {
        println!("{figures}");
    }
    let is_good = figures.bars.iter().all(|bar| bar.is_met);
    Ok(if arguments.check && !is_good { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn measure(part: &Part, bytes: u64, printer: &Printer) -> anyhow::Result<Figures> {
    let file = || Repeated { part: Arc::clone(&part.bytes), at: 0, left: bytes };
    let before = peak_memory_bytes(std::process::id())?;
    let report = preflight::read(file(), printer.clone())?;
    let peak_bytes = (peak_memory_bytes(std::process::id())? - before) as f64;
    let [mut check, mut hash, mut count] = [f64::INFINITY; 3];
    for _ in 0..ROUNDS {
        check = check.min(seconds(|| preflight::read(file(), printer.clone()).map(|report| report.moves))?);
        hash = hash.min(seconds(|| sha256(file()))?);
        count = count.min(seconds(|| count_lines(file()))?);
    }
    let speed = |seconds: f64| bytes as f64 / 1e6 / seconds;
    let (preflight_mb_per_s, sha256_mb_per_s) = (speed(check), speed(hash));
    Ok(Figures {
        part: part.name.clone(),
        bytes,
        lines: report.summary.lines,
        findings: names(&report),
        machine: machine(),
        preflight_mb_per_s,
        sha256_mb_per_s,
        count_lines_mb_per_s: speed(count),
        of_sha256: preflight_mb_per_s / sha256_mb_per_s,
        ns_per_line: check * 1e9 / report.summary.lines.max(1) as f64,
        peak_bytes,
        bars: vec![
            Bar::at_least("preflight on one core, MB/s", preflight_mb_per_s, MB_PER_S),
            Bar::at_most("memory for a file of this length, bytes", peak_bytes, PEAK_BYTES),
        ],
    })
}

fn names(report: &Report) -> Vec<String> {
    report.findings.iter().map(|finding| finding.code.to_string()).collect()
}

/// Processor time of this thread: what else runs on the machine does not count.
fn seconds<T>(work: impl FnOnce() -> std::io::Result<T>) -> std::io::Result<f64> {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
    };
    let began = now();
    black_box(work()?);
    Ok((now() - began).as_secs_f64())
}

fn sha256(mut file: impl Read) -> std::io::Result<[u8; 32]> {
    let (mut digest, mut piece) = (Sha256::new(), vec![0; PIECE_BYTES]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(digest.finalize().into()),
            count => digest.update(&piece[..count]),
        }
    }
}

fn count_lines(mut file: impl Read) -> std::io::Result<usize> {
    let (mut lines, mut piece) = (0, vec![0; PIECE_BYTES]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(lines),
            count => lines += memchr::memchr_iter(b'\n', &piece[..count]).count(),
        }
    }
}

/// As `/proc/cpuinfo` names it; boards with Arm processors name their model at the end instead.
fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        line.split_once(':').map(|(_, name)| name.trim().to_owned())
    };
    let name =
        named("model name").or_else(|| named("Model")).unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{name}, {cores} cores")
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {} bytes, {} lines; {}\n", self.part, self.bytes, self.lines, self.machine)?;
        writeln!(f, "| one core, processor time | MB/s |\n|---|---|")?;
        writeln!(f, "| preflight | {:.0} |", self.preflight_mb_per_s)?;
        writeln!(f, "| SHA-256 of the same bytes | {:.0} |", self.sha256_mb_per_s)?;
        writeln!(f, "| counting their lines | {:.0} |\n", self.count_lines_mb_per_s)?;
        writeln!(f, "{:.2} of the speed of SHA-256, {:.0} ns a line", self.of_sha256, self.ns_per_line)?;
        writeln!(
            f,
            "found: {}",
            if self.findings.is_empty() { "nothing".to_owned() } else { self.findings.join(", ") }
        )?;
        for bar in &self.bars {
            let met = if bar.is_met { "met" } else { "NOT MET" };
            writeln!(f, "{:<44}{:>12.1}  {:<18}{met}", bar.what, bar.measured, bar.wanted)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_and_both_baselines_see_the_same_file() {
        let part = Part::paced(222, 1_000);
        let profile = Registry::built_in().get("marlin").unwrap().profile.clone();
        let printer = Printer::of_profile(&profile, None);
        let bytes = part.bytes.len() as u64 * 3;
        let figures = measure(&part, bytes, &printer).unwrap();
        let file = || Repeated { part: Arc::clone(&part.bytes), at: 0, left: bytes };
        assert_eq!(figures.lines, count_lines(file()).unwrap() as u64);
        assert_eq!(sha256(file()).unwrap(), <[u8; 32]>::from(Sha256::digest(part.bytes.repeat(3))));
        assert!(figures.preflight_mb_per_s > 0.0 && figures.of_sha256 > 0.0);
        assert!(figures.to_string().contains("| preflight |"), "{figures}");
    }
}
