//! `stream`: raw sender and whole agent take turns on the same board, on wires and on a board that is never the limit.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;

use super::Site;
use super::board::{Board, BoardReport};
use super::lone_agent::LoneAgent;
use super::memory;
use super::part::Part;
use super::raw::{self, Frames, Window};
use super::report::{Cell, Report, Sender};

/// Speeds of the wires: the two that printers mostly have.
const WIRES: [u32; 2] = [115_200, 250_000];
/// Turns of each sender in a cell.
const TURNS: usize = 3;
/// Below this the machine itself was too busy to fill the wire, and the turn is repeated.
const QUIET: f64 = 0.97;
/// Repetitions of a turn.
const REPETITIONS: u32 = 2;
/// Commands of a print on the board that is never the limit.
const INSTANT_COMMANDS: usize = 200_000;
/// Lines in flight there.
const INSTANT_LINES: usize = 8;
/// Bytes in flight there: more than so many lines ever have.
pub(super) const WIDE_BYTES: usize = 1_000;
/// Bytes in flight on a wire: what the ring of the board holds.
const RING_BYTES: usize = 127;
/// Size of the small file whose print shows that memory does not grow with the file.
const SMALL_BYTES: usize = 1_000_000;
/// A rate that the port takes where there is no wire.
const NO_WIRE_BAUD: u32 = 1_000_000;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    /// Link use on a wire.
    Wire,
    /// Lines a second on a board that is never the limit.
    Instant,
    /// Memory of the agent between a relay and a printer.
    Memory,
}

/// How `stream` measures.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// G-code to print [default: a dense vase of half a million commands, made up in memory]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How long each print on a wire takes, in seconds
    #[arg(long, default_value_t = 8.0, value_parser = seconds)]
    seconds: f64,
    /// Measure only this; may be given more than once
    #[arg(long, value_enum)]
    only: Vec<Section>,
    /// Print one line of JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Exit with 1 when a bar is missed
    #[arg(long)]
    check: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.5..=3_600.0).contains(number));
    number.ok_or_else(|| "must be a number from 0.5 to 3600".to_owned())
}

/// Measures and prints.
///
/// # Errors
/// Something did not run, or a line was lost.
pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let site = Site::survey()?;
    let part = Part::read(arguments.file.as_deref())?;
    let wanted = |section| arguments.only.is_empty() || arguments.only.contains(&section);
    let mut report = Report::new(part.figures(), site.realtime);
    if wanted(Section::Wire) {
        for baud in WIRES {
            let wire_bytes = f64::from(baud) / 10.0 * arguments.seconds;
            let should_take = Duration::from_secs_f64(arguments.seconds);
            let course = Course {
                part: part.cut(wire_bytes as usize, usize::MAX, usize::MAX),
                wire: Some(baud),
                window: Window { bytes: RING_BYTES, lines: usize::MAX },
                should_take,
            };
            report.cells.push(course.measure(&site).await.with_context(|| format!("wire at {baud} baud"))?);
        }
    }
    if wanted(Section::Instant) {
        let course = Course {
            part: part.cut(usize::MAX, usize::MAX, INSTANT_COMMANDS),
            wire: None,
            window: Window { bytes: WIDE_BYTES, lines: INSTANT_LINES },
            should_take: Duration::ZERO,
        };
        report.cells.push(course.measure(&site).await.context("board without a wire")?);
    }
    if wanted(Section::Memory) {
        for part in [part.cut(usize::MAX, SMALL_BYTES, usize::MAX), part] {
            eprintln!("memory: {} bytes through a relay", part.bytes.len());
            report.memory.push(memory::measure(&site, &part).await.context("print through a relay")?);
        }
    }
    report.set_bars();
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    let missed = arguments.check && !report.meets_bars();
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// One kind of print that both senders do in turn.
struct Course {
    part: Part,
    wire: Option<u32>,
    window: Window,
    should_take: Duration,
}

/// One print.
pub(super) struct Turn {
    pub(super) board: BoardReport,
    pub(super) processor_time: Duration,
}

impl Course {
    async fn measure(&self, site: &Site) -> anyhow::Result<Cell> {
        let frames = Arc::new(Frames::of(self.part.commands()));
        let (mut raw, mut agent, mut repeated) = (Vec::new(), Vec::new(), 0);
        for turn in 1..=TURNS {
            let mut left = REPETITIONS;
            loop {
                self.tell(turn);
                let pair = (self.raw(site, &frames).await?, self.agent(site).await?);
                let quiet = pair.0.board.link_use.is_none_or(|link_use| link_use >= QUIET);
                if quiet || left == 0 {
                    raw.push(pair.0);
                    agent.push(pair.1);
                    break;
                }
                left -= 1;
                repeated += 1;
            }
        }
        Ok(Cell::new(self.wire, self.part.commands, repeated, Sender::of(&raw), Sender::of(&agent)))
    }

    fn tell(&self, turn: usize) {
        let wire = self.wire.map_or_else(|| "no wire".to_owned(), |baud| format!("{baud} baud"));
        eprintln!("{wire}: turn {turn} of {TURNS}, {} commands", self.part.commands);
    }

    async fn raw(&self, site: &Site, frames: &Arc<Frames>) -> anyhow::Result<Turn> {
        let dir = tempfile::Builder::new().prefix("spoolway-bench-").tempdir()?;
        let file = dir.path().join("job.gcode");
        std::fs::write(&file, &self.part.bytes)?;
        let board = Board::start(site, dir.path(), &file, self.wire)?;
        let (device, frames, window) = (board.device().to_owned(), Arc::clone(frames), self.window);
        let sent = tokio::task::spawn_blocking(move || raw::send(&device, &frames, window)).await;
        let processor_time = sent.context("the raw sender panicked")??;
        Ok(Turn { board: board.finish()?, processor_time })
    }

    async fn agent(&self, site: &Site) -> anyhow::Result<Turn> {
        let dir = tempfile::Builder::new().prefix("spoolway-bench-").tempdir()?;
        let file = dir.path().join("job.gcode");
        std::fs::write(&file, &self.part.bytes)?;
        let board = Board::start(site, dir.path(), &file, self.wire)?;
        let baud = self.wire.unwrap_or(NO_WIRE_BAUD);
        let lines = self.wire.is_none().then_some(self.window.lines);
        let mut agent = LoneAgent::start(site, dir.path(), board.device(), baud, lines).await?;
        let processor_time = agent.print(&file, self.should_take).await?;
        agent.finish()?;
        Ok(Turn { board: board.finish()?, processor_time })
    }
}
