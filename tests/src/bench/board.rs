//! The board at the far end: a process of its own, so that what it costs is not counted with the sender.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::Site;
use crate::expected::{Comparer, Comparison};
use crate::printer::{ExecutedSink, Histogram};
use crate::process::{ChildProcess, when_parent_leaves};
use crate::pty::{PtyControl, PtyOptions, PtyPrinter, PtyRun};

/// How long a board may take to begin.
const BEGIN: Duration = Duration::from_secs(20);
/// How long it may take to hold half a million lines against the file.
const END: Duration = Duration::from_secs(60);
/// How long it has to end in order when it is told to.
const GRACE: Duration = Duration::from_secs(60);
/// Lines kept for the comparison.
const KEEP_LINES: usize = 4_000_000;
/// The program of util-linux that starts another with a scheduling policy, and a middling first-in-first-out priority.
const REALTIME: [&str; 3] = ["chrt", "--fifo", "10"];

/// Which board.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The file that it should be told to print.
    #[arg(long)]
    file: PathBuf,
    /// Bits per second of its wire; without one it is never the limit.
    #[arg(long)]
    wire: Option<u32>,
}

/// What a board says in the end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BoardReport {
    /// What it did, held against the file.
    pub(super) comparison: Comparison,
    /// Moves from the first to the last.
    pub(super) moves: u64,
    /// Time from the first to the last move.
    pub(super) seconds: f64,
    /// Share of that time in which the wire was busy.
    pub(super) link_use: Option<f64>,
    /// Bytes that found the receive ring full.
    pub(super) dropped_bytes: u64,
    /// Lines asked for again.
    pub(super) resends: u64,
    /// Time between two moves that 999 in 1,000 do not exceed.
    pub(super) gap_p999_us: u64,
}

/// Plays the board until the parent leaves.
///
/// # Errors
/// The file or the terminal fails.
pub(super) fn play(arguments: &Arguments) -> anyhow::Result<()> {
    let file = std::fs::read(&arguments.file).with_context(|| arguments.file.display().to_string())?;
    let printer = PtyPrinter::open(options(arguments.wire))?;
    let control = Arc::new(PtyControl::default());
    let stopped = Arc::clone(&control);
    when_parent_leaves(GRACE, move || stopped.stop())?;
    println!("{}", printer.path().display());
    let run = printer.run(&control)?;
    println!("{}", serde_json::to_string(&report(file.into(), &run))?);
    Ok(())
}

/// A planner that swallows every move and heaters that are hot at once: nothing but the wire and the parser takes time.
fn options(wire: Option<u32>) -> PtyOptions {
    let mut options = wire.map_or_else(PtyOptions::instant, PtyOptions::uart);
    let printer = &mut options.printer;
    printer.planner_moves = 0;
    printer.speed = 1e6;
    printer.home_us = 0;
    printer.residency_us = 0;
    printer.bootloader_us = 0;
    printer.boot_us = 0;
    printer.keep_executed = KEEP_LINES;
    options
}

fn report(file: Arc<[u8]>, run: &PtyRun) -> BoardReport {
    let (mut comparer, mut gaps, mut last_us) = (Comparer::new(file), Histogram::new(), None);
    for line in run.printer.executed() {
        comparer.executed(line);
        let is_move = line.text().starts_with(b"G1") || line.text().starts_with(b"G0");
        if is_move && let Some(last_us) = last_us.replace(line.at_us) {
            gaps.add(line.at_us - last_us);
        }
    }
    let statistics = &run.report.statistics;
    let ends = statistics.last_move_us.zip(statistics.first_move_us);
    BoardReport {
        comparison: comparer.finish(),
        moves: statistics.moves,
        seconds: ends.map_or(0.0, |(last, first)| (last - first) as f64 / 1e6),
        link_use: run.report.link_use,
        dropped_bytes: statistics.rx_dropped,
        resends: statistics.resends,
        gap_p999_us: gaps.quantile_us(0.999),
    }
}

/// Whether this user may give a process real-time priority.
pub(super) fn may_be_realtime() -> bool {
    let [program, policy, priority] = REALTIME;
    let mut command = Command::new(program);
    command.args([policy, priority, "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A running board.
#[derive(Debug)]
pub(super) struct Board {
    child: ChildProcess,
    device: PathBuf,
}

impl Board {
    /// Starts a board; with a wire it gets real-time priority where that is allowed, since a board that is not
    /// scheduled looks like a host that does not send.
    pub(super) fn start(site: &Site, dir: &Path, file: &Path, wire: Option<u32>) -> anyhow::Result<Self> {
        let program = site.program.display().to_string();
        let mut words = vec!["board".to_owned(), format!("--file={}", file.display())];
        words.extend(wire.map(|baud| format!("--wire={baud}")));
        let realtime = site.realtime && wire.is_some();
        if realtime {
            words.insert(0, program.clone());
            words.splice(0..0, REALTIME[1..].iter().map(|word| (*word).to_owned()));
        }
        let program = if realtime { REALTIME[0] } else { &program };
        let child = ChildProcess::spawn("board", Path::new(program), &words, &dir.join("board.log"))?;
        let device = child.line(BEGIN).with_context(|| child.log_tail())?.into();
        Ok(Self { child, device })
    }

    /// The port that a host opens.
    pub(super) fn device(&self) -> &Path {
        &self.device
    }

    /// Ends it and takes its report, once it is sure that each command of the file was carried out once and in order.
    pub(super) fn finish(mut self) -> anyhow::Result<BoardReport> {
        self.child.ask_to_end();
        let line = self.child.line(END).with_context(|| self.child.log_tail())?;
        let report: BoardReport = serde_json::from_str(&line).context("the board's report")?;
        let comparison = &report.comparison;
        let whole = comparison.difference.is_none() && comparison.file_sha256 == comparison.printer_sha256;
        ensure!(whole, "the board did something else than the file says: {:?}", comparison.difference);
        Ok(report)
    }
}
