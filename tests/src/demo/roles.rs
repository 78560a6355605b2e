//! What the demo's children do: each runs one part of the house in a process of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use spoolway_agent::config::{BedConfirm, ProfileChoice};
use spoolway_agent::paths::Paths;
use spoolway_relay::paths::Directories;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::expected::{Comparer, Comparison};
use crate::printer::{ExecutedSink, Link, PrinterFaults, PrinterOptions};
use crate::process::when_parent_leaves;
use crate::pty::{PtyControl, PtyOptions, PtyPrinter, PtyRun};

/// How long a part has to end in order.
const GRACE: Duration = Duration::from_secs(30);
/// How often telemetry is wanted while a job is printed: often enough for a bar that moves.
const TELEMETRY_MS: u64 = 250;
/// Heaters are so many times stronger than usual, since there is nothing to see while they warm up.
const HEATER_HASTE: f64 = 3.0;
/// Executed lines kept for the comparison.
const KEEP_LINES: usize = 4_000_000;

/// One part of the house.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// The relay; says `HOST:PORT` once it listens.
    #[command(name = "demo-relay", hide = true)]
    Relay {
        /// Configuration, certificates and registry.
        #[arg(long)]
        folder: PathBuf,
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: String,
    },
    /// The agent.
    #[command(hide = true)]
    Agent {
        /// State and socket.
        #[arg(long)]
        folder: PathBuf,
        /// `wss://HOST:PORT`.
        #[arg(long)]
        relay: String,
        /// Authority of the relay's certificate.
        #[arg(long)]
        ca: PathBuf,
        /// The printer's port.
        #[arg(long)]
        port: PathBuf,
        /// Bits per second.
        #[arg(long)]
        baud: u32,
        /// The firmware profile, where the firmware shall not be asked.
        #[arg(long, default_value = "auto")]
        profile: String,
        /// The backend's key; a start then needs a permit.
        #[arg(long)]
        backend_key: Option<String>,
    },
    /// The simulated printer; says its device, and in the end a [`PrinterReport`] in JSON.
    #[command(hide = true)]
    Printer {
        /// The file that it should be told to print.
        #[arg(long)]
        file: PathBuf,
        /// Whose dialect it speaks.
        #[arg(long)]
        profile: String,
        /// How much faster than life mechanics and heaters are.
        #[arg(long)]
        speed: f64,
        /// Pace of the line, both ways.
        #[arg(long)]
        baud: u32,
        /// Probability of each kind of fault in replies.
        #[arg(long)]
        noise: f64,
        /// Seed of the faults.
        #[arg(long)]
        seed: u64,
    },
}

/// What a simulated printer says in the end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PrinterReport {
    /// What it did, held against the file.
    pub comparison: Comparison,
    /// How it went.
    pub figures: Figures,
}

/// How a print went, as the printer saw it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figures {
    /// Everything carried out, the host's own commands included.
    pub lines_executed: u64,
    /// Time between the first and the last move, in seconds.
    pub printing_s: f64,
    /// Times a move came to a planner that had run empty.
    pub underruns: u64,
    /// How long the planner stood empty in those cases, in ms.
    pub starved_ms: f64,
    /// `Resend:` lines printed; the agent provokes one each time it proves the line numbers.
    pub resends: u64,
    /// Bytes that found the receive ring full.
    pub bytes_dropped: u64,
    /// Reply bytes that the host did not read.
    pub bytes_unread: u64,
    /// Time between two accepted lines: half of them are not above this.
    pub gap_p50_us: u64,
    /// 999 in 1,000 are not above this.
    pub gap_p999_us: u64,
    /// The longest time between two accepted lines.
    pub gap_max_us: u64,
    /// Share of the time in which the line towards the printer was busy.
    pub link_use: Option<f64>,
}

/// Plays a part until the parent leaves.
///
/// # Errors
/// What the part itself says.
pub fn play(role: Role) -> anyhow::Result<()> {
    match role {
        Role::Relay { folder, listen } => relay(&folder, listen),
        Role::Agent { folder, relay, ca, port, baud, profile, backend_key } => {
            let paths = Paths { config: folder.clone(), state: folder.clone(), runtime: folder };
            // What is not said below may be said by the environment, such as a proxy.
            let mut config = spoolway_agent::config::load(&paths, None, std::env::vars_os(), &[])?.config;
            config.relay.url = Some(relay.parse().context("--relay")?);
            config.relay.ca_file = Some(ca);
            config.printer.port = port.into();
            config.printer.baud = baud.into();
            if profile != "auto" {
                config.printer.profile = ProfileChoice::Id(profile);
            }
            config.backend.key = backend_key.map(|key| key.parse().context("--backend-key")).transpose()?;
            config.spool.reserve_bytes = 0;
            // Nobody is there to look at a simulated bed.
            config.bed.confirm = BedConfirm::NotRequired;
            in_runtime(|stop| spoolway_agent::run::run(config, stop))
        }
        Role::Printer { file, profile, speed, baud, noise, seed } => {
            let mut options = PrinterOptions::for_profile(&profile).context("--profile")?;
            options.faults = faults(&options, noise);
            options.speed = speed;
            printer(&file, board(options, baud, seed))
        }
    }
}

/// A board on a line without latency of its own, so that only `baud` and the firmware's main loop slow it down.
fn board(mut printer: PrinterOptions, baud: u32, seed: u64) -> PtyOptions {
    printer.hotend.time_constant_s /= HEATER_HASTE;
    printer.bed.time_constant_s /= HEATER_HASTE;
    printer.keep_executed = KEEP_LINES;
    printer.tx_baud = printer.tx_baud.map(|_| baud);
    let uart_baud = printer.tx_baud;
    PtyOptions { printer, uart_baud, seed, ..PtyOptions::instant() }
}

/// Bad replies, as far as the dialect's link can have them: USB loses nothing, and where replies carry no number one too
/// many or too few cannot be told from the right one.
fn faults(board: &PrinterOptions, noise: f64) -> PrinterFaults {
    let bad = if board.link == Link::Uart && board.dialect.verifies_sequence() { noise } else { 0.0 };
    PrinterFaults {
        lost_ok: bad,
        duplicated_ok: bad,
        garbled_reply: bad,
        delayed_reply: noise,
        delay_max_us: 20_000,
        ..PrinterFaults::default()
    }
}

fn relay(folder: &Path, listen: String) -> anyhow::Result<()> {
    let mut config = spoolway_relay::config::Config::default();
    config.listen.address = listen;
    config.admin.address = String::new();
    config.telemetry.printing_ms = TELEMETRY_MS;
    config.drain.spread_ms = 500;
    let directories = Directories::at(folder);
    in_runtime(|stop| async move {
        let (ready, bound) = oneshot::channel::<spoolway_relay::run::Bound>();
        tokio::spawn(async move {
            if let Ok(bound) = bound.await {
                say(&bound.public.to_string());
            }
        });
        spoolway_relay::run::run_with(config, &directories, stop, Some(ready)).await
    })
}

fn printer(file: &Path, options: PtyOptions) -> anyhow::Result<()> {
    let file: Arc<[u8]> = std::fs::read(file).with_context(|| file.display().to_string())?.into();
    let printer = PtyPrinter::open(options)?;
    let control = Arc::new(PtyControl::default());
    let stopped = Arc::clone(&control);
    when_parent_leaves(GRACE, move || stopped.stop())?;
    say(&printer.path().display().to_string());
    let run = printer.run(&control)?;
    say(&serde_json::to_string(&report(file, &run))?);
    Ok(())
}

fn report(file: Arc<[u8]>, run: &PtyRun) -> PrinterReport {
    let mut comparer = Comparer::new(file);
    run.printer.executed().iter().for_each(|line| comparer.executed(line));
    let (statistics, gaps) = (&run.report.statistics, run.report.line_gaps);
    let printing_us =
        statistics.last_move_us.zip(statistics.first_move_us).map_or(0, |(last, first)| last - first);
    let figures = Figures {
        lines_executed: run.printer.executed_total(),
        printing_s: printing_us as f64 / 1e6,
        underruns: statistics.underruns,
        starved_ms: statistics.starved_us as f64 / 1e3,
        resends: statistics.resends,
        bytes_dropped: statistics.rx_dropped,
        bytes_unread: run.report.unread_bytes,
        gap_p50_us: gaps.p50_us,
        gap_p999_us: gaps.p999_us,
        gap_max_us: gaps.max_us,
        link_use: run.report.link_use,
    };
    PrinterReport { comparison: comparer.finish(), figures }
}

/// Runs a part on one thread, as its own program does, until the parent leaves.
fn in_runtime<F>(part: impl FnOnce(CancellationToken) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false);
    // A disk that is full takes no complaint either.
    log.log_internal_errors(false).init();
    let stop = CancellationToken::new();
    let leave = stop.clone();
    when_parent_leaves(GRACE, move || leave.cancel())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let told = stop.clone();
        tokio::spawn(async move {
            terminate.recv().await;
            told.cancel();
        });
        part(stop).await
    });
    runtime.shutdown_background();
    ended
}

/// Tells the parent. A parent that is gone does not listen, and that is noticed elsewhere.
fn say(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
