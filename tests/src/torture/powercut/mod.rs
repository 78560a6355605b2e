//! Power cuts at random block writes under the storage's file system: what was flushed stays, every other sector lands or not.
//!
//! An agent's storage works on a logged disk and tells the outside what is certain. Then the log is cut at random places,
//! each cut is mounted, and everything that was told by then has to hold. The next recording goes on from one of the cuts.

mod device;
mod facts;
mod log;
mod verify;
mod workload;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

use self::device::{DEVICE_BYTES, Mounted, Recorder};
use self::facts::Facts;
use self::log::{Medium, WriteLog};
use self::workload::Workload;
use crate::rng::Rng;

/// Cuts of one recording.
const CUTS_A_ROUND: u64 = 50;
/// Faults that are shown.
const SHOWN: usize = 20;

/// How often, and where.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// How many cuts.
    #[arg(long, default_value_t = 1_000)]
    pub cuts: u64,
    /// What the cuts and the load are drawn from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How long each recording takes, in seconds.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Folder for the images [default: the system's for temporary files]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Print the summary as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What became of all cuts.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Cuts that were made.
    pub cuts: u64,
    /// Recordings; each but the first goes on from a cut of the one before.
    pub recordings: u64,
    /// Block writes and flushes in them.
    pub block_writes: u64,
    /// Sectors of 512 bytes that did not land.
    pub sectors_lost: u64,
    /// Commands, jobs, starts, critical events and files that were promised and found.
    pub promises_checked: u64,
    /// Grouped events that were told and lost, as they may be: the harness does lose what is not flushed.
    pub grouped_events_lost: u64,
    /// Cuts after which a new epoch began.
    pub new_epochs: u64,
    /// How long it took.
    pub seconds: f64,
    /// What did not hold, with the recording and the entry of its log.
    pub failures: Vec<String>,
}

/// Makes the cuts.
///
/// # Errors
/// Power cuts cannot be made here, which the error explains, or a tool failed.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    device::check()?;
    let began = Instant::now();
    let folder = tempfile::Builder::new()
        .prefix("spoolway-powercut-")
        .tempdir_in(arguments.dir.clone().unwrap_or_else(std::env::temp_dir))?;
    let mut summary = Summary::default();
    let mut rng = Rng::new(arguments.seed);
    let mut past = Past::default();
    while summary.cuts < arguments.cuts {
        let cuts = CUTS_A_ROUND.min(arguments.cuts - summary.cuts);
        past = round(folder.path(), arguments, past, cuts, &mut rng, &mut summary).await?;
        if !arguments.json {
            eprintln!(
                "power cut: {} of {}, {} failures",
                summary.cuts,
                arguments.cuts,
                summary.failures.len()
            );
        }
    }
    summary.seconds = began.elapsed().as_secs_f64();
    if arguments.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        print!("{summary}");
    }
    Ok(if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a recording begins with.
#[derive(Default)]
struct Past {
    facts: Facts,
    image: Option<Vec<u8>>,
}

/// One recording and its cuts; gives one of them as the past of the next.
async fn round(
    folder: &Path,
    arguments: &Arguments,
    past: Past,
    cuts: u64,
    rng: &mut Rng,
    summary: &mut Summary,
) -> anyhow::Result<Past> {
    let mut facts = past.facts;
    let recorder = Recorder::start(folder, past.image.as_deref()).context("the logged disk")?;
    let (span, load_rng) = (Duration::from_secs_f64(arguments.seconds), rng.fork(summary.recordings));
    let first = recorder.log_end()?;
    Workload::run(&recorder, &mut facts, load_rng, span).await.context("the load")?;
    let log = recorder.finish()?;
    summary.recordings += 1;
    summary.block_writes += log.entries.len() as u64;
    // A disk on which the file system is only being made is no agent's disk.
    let from = if past.image.is_none() { log.entries.partition_point(|entry| entry.end <= first) } else { 1 };
    let mut places: Vec<_> = (0..cuts).map(|_| cut_place(rng, from, &log)).collect();
    places.sort_unstable();
    let keep = rng.below(cuts) as usize;
    let base = past.image.unwrap_or_else(|| vec![0; DEVICE_BYTES as usize]);
    let mut medium = Medium::new(&log, base);
    let mut next = Past::default();
    for (n, place) in places.into_iter().enumerate() {
        medium.play_to(place)?;
        let (image, lost) = medium.cut(rng)?;
        let end = log.entries[place - 1].end;
        let found = look(folder, &image, &facts, end).await?;
        summary.cuts += 1;
        summary.sectors_lost += lost;
        summary.promises_checked += found.promises;
        summary.grouped_events_lost += found.grouped_lost;
        summary.new_epochs += u64::from(found.new_epoch);
        let name = |fault: String| format!("recording {}, entry {place}: {fault}", summary.recordings);
        summary.failures.extend(found.faults.into_iter().map(name));
        if n == keep {
            next = Past { facts: facts.until(end), image: Some(image) };
        }
    }
    next.facts.next = facts.next;
    Ok(next)
}

fn cut_place(rng: &mut Rng, from: usize, log: &WriteLog) -> usize {
    from.max(1) + rng.below((log.entries.len() - from.max(1)) as u64) as usize + 1
}

async fn look(folder: &Path, image: &[u8], facts: &Facts, end: u64) -> anyhow::Result<verify::Found> {
    let path = folder.join("cut.img");
    fs::write(&path, image)?;
    let mounted = match Mounted::new(&path, &folder.join("cut"), false) {
        Ok(mounted) => mounted,
        Err(error) => {
            let faults = vec![format!("the file system does not mount: {error:#}")];
            return Ok(verify::Found { faults, ..verify::Found::default() });
        }
    };
    Ok(verify::verify(&mounted.dir, &facts.wanted(end), u64::MAX).await)
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cuts, recordings, block_writes, sectors_lost, .. } = self;
        writeln!(
            f,
            "{cuts} power cuts in {recordings} recordings of {block_writes} block writes, {:.0} s",
            self.seconds
        )?;
        writeln!(f, "  {sectors_lost} sectors that were not flushed did not land")?;
        writeln!(f, "  {} promises looked for", self.promises_checked)?;
        writeln!(f, "  {} grouped events lost, as they may be", self.grouped_events_lost)?;
        writeln!(f, "  {} times a new epoch began", self.new_epochs)?;
        for failure in self.failures.iter().take(SHOWN) {
            writeln!(f, "  FAILED {failure}")?;
        }
        match self.failures.len() {
            0 => writeln!(f, "nothing that was promised is lost, nothing is given or started twice"),
            count => writeln!(f, "{count} FAILURES"),
        }
    }
}
