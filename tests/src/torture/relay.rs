//! The relay is killed and comes back in the middle of a print, twice: does the printer notice, and does the backend?
//!
//! Two prints of the same moves in one go, one undisturbed and one with kills. Times are the printer model's own.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Serialize;
use spoolway_protocol::Event;
use spoolway_protocol::job::Outcome;

use crate::backend::{Backend, Ending, Print, Progress};
use crate::demo::house::{House, Part, PrinterPlan};
use crate::expected::Comparer;
use crate::printer::{Executed, ExecutedSink};
use crate::pty::{PtyOptions, PtyPrinter, PtyThread};

/// A usual line.
const BAUD: u32 = 115_200;
/// Moves of 10 ms each: what a part with small curves asks for.
const MOVES_PER_S: usize = 100;
/// Half of the time around a kill that is looked at.
const AROUND_US: u64 = 5_000_000;
/// How much longer gaps may be than undisturbed ones.
const RATIO_MAX: f64 = 1.5;

/// How long to print.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Length of each of the two prints, in seconds; the kills come after one and two thirds.
    #[arg(long, default_value_t = 35, value_parser = clap::value_parser!(u16).range(30..))]
    pub seconds: u16,
    /// How often both are printed, in turn; the medians count.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    pub rounds: u16,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Both prints, side by side.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Without kills.
    pub undisturbed: Figures,
    /// With two.
    pub killed: Figures,
    /// p99.9 line gap around the kills against the same part of the undisturbed print, the worse of the two.
    pub gap_ratio: f64,
    /// Whether everything is as it must be.
    pub ok: bool,
}

/// One print.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// p99.9 of the time between two lines around one and two thirds of the print, in microseconds.
    pub gap_p999_us: [u64; 2],
    /// Times a move came to a planner that had run empty.
    pub underruns: u64,
    /// Lines carried out as the file says.
    pub lines: u64,
    /// Events that the backend got, each once and in order.
    pub events: u64,
    /// How often the backend lost its connection.
    pub disconnects: u64,
}

/// Prints twice and compares; fails when the print noticed the kills or an event is missing.
#[must_use]
pub fn main(arguments: &Arguments) -> ExitCode {
    let measured =
        std::env::current_exe().map_err(Into::into).and_then(|program| measure(&program, arguments));
    let report = match measured {
        Ok(report) => report,
        Err(error) => {
            eprintln!("spoolway-torture: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report).expect("a report is plain data"));
    } else {
        print_table(&report);
    }
    if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_table(report: &Report) {
    println!("{:<44} {:>12} {:>12}", "", "undisturbed", "two kills");
    let row = |name: &str, one: u64, other: u64| println!("{name:<44} {one:>12} {other:>12}");
    let (one, other) = (&report.undisturbed, &report.killed);
    row("p99.9 line gap around the first kill, us", one.gap_p999_us[0], other.gap_p999_us[0]);
    row("p99.9 line gap around the second kill, us", one.gap_p999_us[1], other.gap_p999_us[1]);
    row("underruns of the planner", one.underruns, other.underruns);
    row("lines as the file says", one.lines, other.lines);
    row("events, each once and in order", one.events, other.events);
    row("connections that the backend lost", one.disconnects, other.disconnects);
    println!("ratio of the gaps: {:.2}, at most {RATIO_MAX}: {}", report.gap_ratio, verdict(report.ok));
}

fn verdict(ok: bool) -> &'static str {
    if ok { "the print did not notice" } else { "NOT as it must be" }
}

fn measure(program: &Path, arguments: &Arguments) -> anyhow::Result<Report> {
    let file = moves(usize::from(arguments.seconds) * MOVES_PER_S);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut undisturbed, mut killed) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        undisturbed.push(runtime.block_on(print(program, &file, false))?);
        killed.push(runtime.block_on(print(program, &file, true))?);
    }
    let (undisturbed, killed) = (medians(undisturbed), medians(killed));
    let ratio = |n: usize| killed.gap_p999_us[n] as f64 / undisturbed.gap_p999_us[n].max(1) as f64;
    let gap_ratio = ratio(0).max(ratio(1));
    let underruns = killed.underruns as f64 <= (undisturbed.underruns as f64 * RATIO_MAX).max(2.0);
    let ok = gap_ratio <= RATIO_MAX && underruns && killed.disconnects >= 2;
    Ok(Report { undisturbed, killed, gap_ratio, ok })
}

/// The middle of each figure that the machine's other work can disturb.
fn medians(mut prints: Vec<Figures>) -> Figures {
    let middle = prints.len() / 2;
    let mut median = |figure: fn(&Figures) -> u64| {
        prints.sort_by_key(figure);
        figure(&prints[middle])
    };
    let gap_p999_us = [median(|print| print.gap_p999_us[0]), median(|print| print.gap_p999_us[1])];
    let (underruns, disconnects) = (median(|print| print.underruns), median(|print| print.disconnects));
    let last = prints.swap_remove(0);
    Figures { gap_p999_us, underruns, disconnects, ..last }
}

/// A polygon of short edges, each 10 ms long, no two lines alike.
fn moves(count: usize) -> Arc<[u8]> {
    let mut text = String::from("G90\nM83\nG1 X100 Y100 F6000\n");
    for n in 0..count {
        let angle = n as f64 * 0.02;
        let (x, y) = (100.0 + 50.0 * angle.cos(), 100.0 + 50.0 * angle.sin());
        text.push_str(&format!("G1 X{x:.3} Y{y:.3} E0.0{:04}\n", n % 10_000));
    }
    text.into_bytes().into()
}

async fn print(program: &Path, file: &Arc<[u8]>, kills: bool) -> anyhow::Result<Figures> {
    let mut options = PtyOptions::uart(BAUD);
    options.printer.keep_executed = 1_000_000;
    let printer = PtyPrinter::open(options)?.spawn()?;
    let plan = PrinterPlan::Real { port: printer.path().to_owned(), baud: BAUD };
    let mut house = House::start(program, file, &plan)?;
    let events = Arc::new(Mutex::new(Vec::new()));
    let lost = Arc::new(Mutex::new(0));
    let (taken, counted) = (Arc::clone(&events), Arc::clone(&lost));
    let job = Print { agent: house.agent_id(), name: "moves.gcode".to_owned(), bytes: Arc::clone(file) };
    let backend = Backend::new(house.relay(), job, move |progress| match progress {
        Progress::Event(event) => taken.lock().expect("nobody panics with it").push(event),
        Progress::Disconnected(_) => *counted.lock().expect("nobody panics with it") += 1,
        _ => {}
    })?;
    let total = file.iter().filter(|&&byte| byte == b'\n').count() as u64;
    let marks = [total / 3, 2 * total / 3];
    let ending = tokio::select! {
        ending = backend.run() => ending?,
        error = disturb(&mut house, &printer, marks, kills) => return Err(error),
    };
    let Ending::Result(result) = ending else { bail!("the print did not come about: {ending:?}") };
    if result.outcome != Outcome::Completed {
        bail!("the print ended as {:?}\n{}", result.outcome, house.logs());
    }
    house.close()?;
    let run = printer.finish()?;
    let executed = run.printer.executed();
    let mut comparer = Comparer::new(Arc::clone(file));
    executed.iter().for_each(|line| comparer.executed(line));
    let comparison = comparer.finish();
    if let Some(difference) = comparison.difference {
        bail!("the printer carried out something else: {difference:?}");
    }
    let events = events.lock().expect("nobody panics with it");
    Ok(Figures {
        gap_p999_us: marks.map(|mark| gap_p999(executed, mark as usize)),
        underruns: run.report.statistics.underruns,
        lines: comparison.matched,
        events: count_events(&events)?,
        disconnects: *lost.lock().expect("nobody panics with it"),
    })
}

/// Kills the relay when the printer has come as far as each mark; then only an error ends it.
async fn disturb(house: &mut House, printer: &PtyThread, marks: [u64; 2], kills: bool) -> anyhow::Error {
    for mark in marks {
        while printer.control().executed() < mark {
            if let Err(error) = house.check() {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if kills && let Err(error) = house.kill_and_restart(Part::Relay) {
            return error;
        }
    }
    std::future::pending().await
}

/// p99.9 of the time between two lines in the ten seconds around a line.
fn gap_p999(executed: &[Executed], mark: usize) -> u64 {
    let centre_us = executed[mark.min(executed.len() - 1)].at_us;
    let around = (centre_us.saturating_sub(AROUND_US))..=(centre_us + AROUND_US);
    let times: Vec<u64> =
        executed.iter().map(|line| line.at_us).filter(|at_us| around.contains(at_us)).collect();
    let mut gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    gaps.get((gaps.len() * 999 / 1000).min(gaps.len().saturating_sub(1))).copied().unwrap_or(0)
}

/// Every event once, in order, none missing.
fn count_events(events: &[Event]) -> anyhow::Result<u64> {
    let first = events.first().context("the backend got no event")?;
    for (expected, event) in (first.seq.0..).zip(events) {
        if (event.epoch, event.seq.0) != (first.epoch, expected) {
            bail!("event {}/{} came where {}/{expected} was due", event.epoch.0, event.seq.0, first.epoch.0);
        }
    }
    Ok(events.len() as u64)
}
