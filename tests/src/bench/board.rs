//! The board at the far end: a process of its own, so that what it costs is not counted with the sender.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::Site;
use crate::expected::{Comparer, Comparison, Difference};
use crate::printer::{ExecutedSink, Histogram, StarWithoutNumber};
use crate::process::{ChildProcess, when_parent_leaves};
use crate::pty::{PtyControl, PtyOptions, PtyPrinter, PtyRun};

/// How long a board may take to begin.
const BEGIN: Duration = Duration::from_secs(20);
/// How long it may take to hold half a million lines against the file.
const END: Duration = Duration::from_secs(60);
/// How long it has to end in order when it is told to.
const GRACE: Duration = Duration::from_secs(60);
/// How late an adapter that was asked for low latency hands replies over.
pub(crate) const USUAL_LATENCY_US: u64 = 1_000;
/// Share of lines after which a board that stalls stands still.
const STALLS: f64 = 0.01;
/// Lines kept for the comparison.
const KEEP_LINES: usize = 4_000_000;
/// The program of util-linux that starts another with a scheduling policy, and a middling first-in-first-out priority.
const REALTIME: [&str; 3] = ["chrt", "--fifo", "10"];

/// Which board.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Model {
    /// Bits per second of its wire; without one it is never the limit.
    #[arg(long)]
    pub(crate) wire: Option<u32>,
    /// How late replies are handed over, in microseconds.
    #[arg(long, default_value_t = USUAL_LATENCY_US)]
    pub(crate) latency_us: u64,
    /// `ok N P B` instead of `ok`.
    #[arg(long)]
    pub(crate) advanced_ok: bool,
    /// A planner of 16 moves that takes its time, instead of one that swallows every move.
    #[arg(long)]
    pub(crate) planner: bool,
    /// After one line in a hundred the main loop stands still for so long, in microseconds, and then catches up.
    #[arg(long, default_value_t = 0)]
    pub(crate) stall_us: u64,
}

/// How a board is played.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The file that it should be told to print; without one it is not held against anything.
    #[arg(long)]
    file: Option<PathBuf>,
    #[command(flatten)]
    model: Model,
}

/// What a board says in the end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BoardReport {
    /// What it did, held against the file.
    pub(crate) comparison: Option<Comparison>,
    /// Moves from the first to the last.
    pub(crate) moves: u64,
    /// Time from the first to the last move.
    pub(crate) seconds: f64,
    /// Share of that time in which the wire was busy.
    pub(crate) link_use: Option<f64>,
    /// Bytes that found the receive ring full.
    pub(crate) dropped_bytes: u64,
    /// Lines asked for again.
    pub(crate) resends: u64,
    /// Time between two moves that 999 in 1,000 do not exceed.
    pub(crate) gap_p999_us: u64,
    /// Times a move came to a planner that had run empty.
    pub(crate) underruns: u64,
    /// Share of the time between the first and the last move in which the planner was empty.
    pub(crate) empty: f64,
}

/// Plays the board until the parent leaves.
///
/// # Errors
/// The file or the terminal fails.
pub(crate) fn play(arguments: &Arguments) -> anyhow::Result<()> {
    let file = arguments.file.as_deref().map(read).transpose()?;
    let printer = PtyPrinter::open(options(&arguments.model, file.is_some()))?;
    let control = Arc::new(PtyControl::default());
    let stopped = Arc::clone(&control);
    when_parent_leaves(GRACE, move || stopped.stop())?;
    println!("{}", printer.path().display());
    let run = printer.run(&control)?;
    println!("{}", serde_json::to_string(&report(file, &run))?);
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Arc<[u8]>> {
    Ok(std::fs::read(path).with_context(|| path.display().to_string())?.into())
}

/// Heaters are hot and axes are home at once, so that nothing but the wire, the parser and what the model asks for takes
/// time.
fn options(model: &Model, keeps_lines: bool) -> PtyOptions {
    let mut options = model.wire.map_or_else(PtyOptions::instant, PtyOptions::uart);
    let printer = &mut options.printer;
    if !model.planner {
        printer.planner_moves = 0;
        printer.speed = 1e6;
    }
    if model.wire.is_some() {
        printer.reply_latency_us = model.latency_us;
    }
    printer.advanced_ok = model.advanced_ok;
    if model.stall_us > 0 {
        printer.faults.stall = STALLS;
        (printer.faults.stall_min_us, printer.faults.stall_max_us) = (model.stall_us, model.stall_us);
        // A line that lost its number together with other bytes is refused, as older firmwares do. What runs it shows
        // what that firmware does, not what the host does.
        printer.star_without_number = StarWithoutNumber::Refused;
    }
    printer.home_us = 0;
    printer.residency_us = 0;
    printer.bootloader_us = 0;
    printer.boot_us = 0;
    printer.keep_executed = if keeps_lines { KEEP_LINES } else { 0 };
    options
}

fn report(file: Option<Arc<[u8]>>, run: &PtyRun) -> BoardReport {
    let mut comparer = file.map(Comparer::new);
    let (mut gaps, mut last_us) = (Histogram::new(), None);
    for line in run.printer.executed() {
        if let Some(comparer) = &mut comparer {
            comparer.executed(line);
        }
        let is_move = line.text().starts_with(b"G1") || line.text().starts_with(b"G0");
        if is_move && let Some(last_us) = last_us.replace(line.at_us) {
            gaps.add(line.at_us - last_us);
        }
    }
    let statistics = &run.report.statistics;
    let ends = statistics.last_move_us.zip(statistics.first_move_us);
    let span_us = ends.map_or(0, |(last, first)| last - first);
    BoardReport {
        comparison: comparer.map(Comparer::finish),
        moves: statistics.moves,
        seconds: span_us as f64 / 1e6,
        link_use: run.report.link_use,
        dropped_bytes: statistics.rx_dropped,
        resends: statistics.resends,
        gap_p999_us: gaps.quantile_us(0.999),
        underruns: statistics.underruns,
        empty: statistics.starved_us as f64 / span_us.max(1) as f64,
    }
}

/// Whether this user may give a process real-time priority.
pub(crate) fn may_be_realtime() -> bool {
    let [program, policy, priority] = REALTIME;
    let mut command = Command::new(program);
    command.args([policy, priority, "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A running board.
#[derive(Debug)]
pub(crate) struct Board {
    child: ChildProcess,
    device: PathBuf,
}

impl Board {
    /// Starts a board; with a wire it gets real-time priority where that is allowed, since a board that is not
    /// scheduled looks like a host that does not send.
    pub(crate) fn start(site: &Site, dir: &Path, file: Option<&Path>, model: &Model) -> anyhow::Result<Self> {
        let program = site.program.display().to_string();
        let mut words = vec!["board".to_owned(), format!("--latency-us={}", model.latency_us)];
        words.extend(file.map(|file| format!("--file={}", file.display())));
        words.extend(model.wire.map(|baud| format!("--wire={baud}")));
        words.extend(model.advanced_ok.then(|| "--advanced-ok".to_owned()));
        words.extend(model.planner.then(|| "--planner".to_owned()));
        words.push(format!("--stall-us={}", model.stall_us));
        let realtime = site.realtime && model.wire.is_some();
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
    pub(crate) fn device(&self) -> &Path {
        &self.device
    }

    /// Ends it and takes its report, once it is sure that each command of the file was carried out once and in order.
    pub(crate) fn finish(self) -> anyhow::Result<BoardReport> {
        self.finish_with(false)
    }

    /// The same for a host that may do more once it has done everything that the file says.
    pub(crate) fn finish_with(mut self, may_do_more: bool) -> anyhow::Result<BoardReport> {
        self.child.ask_to_end();
        let line = self.child.line(END).with_context(|| self.child.log_tail())?;
        let report: BoardReport = serde_json::from_str(&line).context("the board's report")?;
        let comparison = report.comparison.as_ref().context("the board was given no file")?;
        let is_well = |difference: &Difference| may_do_more && difference.expected.is_none();
        let whole = comparison.difference.as_ref().is_none_or(is_well)
            && comparison.file_sha256 == comparison.printer_sha256;
        ensure!(whole, "the board did something else than the file says: {:?}", comparison.difference);
        Ok(report)
    }
}
