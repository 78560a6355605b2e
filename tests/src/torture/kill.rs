//! The agent is killed again and again in the middle of prints: is every line carried out once, does everything come to
//! the outbox once, and how soon does the print go on?
//!
//! This program plays systemd's part: it keeps the printer's descriptor and starts the next process at once. The board is
//! a simulated one behind a pseudo-terminal, and what it did is held against the files without any help from the agent.

mod course;
mod outbox;
mod report;
mod waits;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, ensure};
use spoolway_firmware_profiles::{Profile, Registry, Sequence};
use tokio::signal::unix::{SignalKind, signal};

use self::course::{Course, Orders};
use self::report::{Figures, Report};
use crate::bench::Site;
use crate::bench::part::Part;
use crate::printer::PrinterOptions;
use crate::rng::Rng;

/// Moves of a part with small curves; each takes 4.5 ms.
const MOVES_PER_S: u32 = 222;

/// How to kill.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// How many kills, all profiles together.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    pub kills: u64,
    /// The shortest time from one kill to the next.
    #[arg(long, default_value_t = 100)]
    pub min_ms: u64,
    /// The longest.
    #[arg(long, default_value_t = 300)]
    pub max_ms: u64,
    /// The firmware profile, or `all` whose firmware checks line numbers.
    #[arg(long, default_value = "all", value_name = "ID")]
    pub profile: String,
    /// What to print; else a part of 222 moves a second.
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// Length of the part of each print, in seconds.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub print_s: u32,
    /// When to kill follows from it.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many boards print at the same time, each with an agent of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub at_once: u32,
    /// Keep no descriptor: the next process has to open the port again.
    #[arg(long)]
    pub without_store: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
    /// Fail also when the figures miss their bars.
    #[arg(long)]
    pub check: bool,
}

/// What is printed.
struct Job {
    bytes: Arc<[u8]>,
}

impl Job {
    fn read(arguments: &Arguments) -> anyhow::Result<Self> {
        let bytes = match &arguments.file {
            Some(path) => std::fs::read(path).with_context(|| path.display().to_string())?.into(),
            None => Part::paced(MOVES_PER_S, (MOVES_PER_S * arguments.print_s) as usize).bytes,
        };
        Ok(Self { bytes })
    }

    /// The file of one print: no two are alike, so that no print can pass for another.
    fn file(&self, print: u64) -> Vec<u8> {
        let mut file = format!("; print {print}\nM117 print {print}\n").into_bytes();
        file.extend_from_slice(&self.bytes);
        if !file.ends_with(b"\n") {
            file.push(b'\n');
        }
        file
    }
}

/// Prints and kills; fails when a line, an event or a job is not as it must be, or, where that is asked for, when the
/// figures miss their bars.
///
/// # Errors
/// Something did not run.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    ensure!(arguments.min_ms <= arguments.max_ms, "--min-ms is above --max-ms");
    let site = Site::survey()?;
    let profiles = chosen(&arguments.profile)?;
    let job = Job::read(arguments)?;
    let stop = Interrupt::watch()?;
    let figures =
        print_all(&site, &job, &stop, shares(arguments.kills, arguments.seed, &profiles), arguments)?;
    let report = Report::new(arguments, figures);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    let is_well = report.is_whole && (!arguments.check || report.is_within_bars);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What one dialect is to go through.
struct Share<'a> {
    profile: &'a Profile,
    kills: u64,
    rng: Rng,
}

/// The kills divided among the profiles: the first ones take what cannot be divided.
fn shares(kills: u64, seed: u64, profiles: &[Profile]) -> Vec<Share<'_>> {
    let mut rng = Rng::new(seed);
    let (whole, rest) = (kills / profiles.len() as u64, kills % profiles.len() as u64);
    let share = |(at, profile)| Share {
        profile,
        kills: whole + u64::from((at as u64) < rest),
        rng: rng.fork(at as u64),
    };
    profiles.iter().enumerate().map(share).filter(|share| share.kills > 0).collect()
}

/// Prints of all shares, so many at the same time; their figures in the order of the shares.
fn print_all(
    site: &Site,
    job: &Job,
    stop: &Interrupt,
    shares: Vec<Share<'_>>,
    arguments: &Arguments,
) -> anyhow::Result<Vec<Figures>> {
    let waiting = Mutex::new(shares.into_iter().enumerate());
    let ends = Mutex::new(Vec::new());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some((at, Share { profile, kills, rng })) = next() {
            let orders = Orders { program: &site.agent, arguments, profile, stop };
            let end = stop.check().and_then(|()| one(orders, job, kills, rng));
            let is_bad = end.is_err();
            ends.lock().unwrap_or_else(PoisonError::into_inner).push((at, end));
            if is_bad {
                return stop.tell();
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..arguments.at_once {
            scope.spawn(work);
        }
    });
    // The first that failed says why; those after it were told to stop.
    let ends = ends.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter();
    let mut figures = ends.map(|(at, end)| Ok((at, end?))).collect::<anyhow::Result<Vec<_>>>()?;
    figures.sort_by_key(|(at, _)| *at);
    Ok(figures.into_iter().map(|(_, figures)| figures).collect())
}

fn one(orders: Orders<'_>, job: &Job, kills: u64, rng: Rng) -> anyhow::Result<Figures> {
    let id = &orders.profile.id;
    eprintln!("{id}: {kills} kills");
    let mut course = Course::begin(orders, rng)?;
    let went_on = course.print_and_kill(job, kills);
    course.finish(went_on)
}

/// Somebody at the terminal, or a service manager, wants an end: everything is taken down in order.
#[derive(Debug)]
struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    fn watch() -> anyhow::Result<Self> {
        let came = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&came);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
            });
            told.store(true, Ordering::Release);
        })?;
        Ok(Self(came))
    }

    fn tell(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.0.load(Ordering::Acquire), "interrupted");
        Ok(())
    }
}

/// The profiles whose firmware can be asked which line it expects.
fn chosen(id: &str) -> anyhow::Result<Vec<Profile>> {
    let mut verified: Vec<_> = Registry::built_in()
        .iter()
        .map(|known| known.profile.clone())
        .filter(|profile| profile.recovery.sequence == Sequence::Verified)
        .filter(|profile| PrinterOptions::for_profile(&profile.id).is_some())
        .collect();
    let known: Vec<_> = verified.iter().map(|profile| profile.id.clone()).collect();
    if id != "all" {
        verified.retain(|profile| profile.id == id);
    }
    ensure!(!verified.is_empty(), "no such profile, or its firmware checks no numbers: {}", known.join(", "));
    Ok(verified)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_dialects_can_be_asked_where_they_stand() {
        let all = chosen("all").unwrap();
        assert_eq!(all.len(), 10);
        assert_eq!(chosen("marlin").unwrap().len(), 1);
        assert!(chosen("klipper").unwrap_err().to_string().contains("smoothieware"));
    }

    #[test]
    fn every_kill_is_somebodys_share() {
        let profiles = chosen("all").unwrap();
        let kills: Vec<_> = shares(23, 1, &profiles).iter().map(|share| share.kills).collect();
        assert_eq!(kills, [3, 3, 3, 2, 2, 2, 2, 2, 2, 2]);
        assert_eq!(shares(4, 1, &profiles).len(), 4);
    }

    #[test]
    fn no_two_prints_are_alike() {
        let job = Job { bytes: (*b"G28\nG1 X1").into() };
        assert_eq!(job.file(7), b"; print 7\nM117 print 7\nG28\nG1 X1\n");
        assert_ne!(job.file(7), job.file(8));
    }
}
