//! `stream`: raw sender, whole agent and other hosts take turns on the same boards, on wires and without.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::ValueEnum;
use spoolway_agent::clock::{utc, wall_ms};

use super::Site;
use super::bars::{self, Bar};
use super::cell::Cell;
use super::memory;
use super::part::Part;
use super::peers::{Peer, Peers};
use super::plans::{Makings, Section};
use super::report::Report;
use super::startup;
use crate::agent_program::AgentProgram;

/// What is shown of the time of a run.
const DATE: &str = "2026-01-01";

/// How `stream` measures.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// G-code to print [default: a dense vase of half a million commands, made up in memory]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How long each print on a wire takes, in seconds
    #[arg(long, default_value_t = 6.0, value_parser = seconds)]
    seconds: f64,
    /// Measure only this; may be given more than once
    #[arg(long, value_enum)]
    only: Vec<Section>,
    /// Other hosts to measure beside
    #[arg(long, value_enum, default_value_t = WantedPeers::All)]
    peers: WantedPeers,
    /// Where the other hosts are installed, once [default: a folder in the user's cache]
    #[arg(long, value_name = "DIR")]
    venv: Option<PathBuf>,
    /// The agent's program [default: a copy within this program]
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Print one line of JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Exit with 1 when a bar is missed
    #[arg(long)]
    check: bool,
}

/// Which other hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WantedPeers {
    All,
    Octoprint,
    Printrun,
    None,
}

impl WantedPeers {
    fn list(self) -> &'static [Peer] {
        match self {
            Self::All => &[Peer::Octoprint, Peer::Printrun],
            Self::Octoprint => &[Peer::Octoprint],
            Self::Printrun => &[Peer::Printrun],
            Self::None => &[],
        }
    }
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
    let begin = Instant::now();
    let wanted = |section: &Section| arguments.only.is_empty() || arguments.only.contains(section);
    let sections: Vec<_> = Section::value_variants().iter().copied().filter(wanted).collect();
    let mut site = Site::survey()?;
    if let Some(program) = &arguments.agent {
        site.agent = AgentProgram::at(&std::path::absolute(program)?);
    }
    let peers = arguments.peers.list();
    let has_peers = sections.iter().any(|section| section.has_peers());
    if has_peers && !peers.is_empty() {
        site.peers = Some(Peers::install(arguments.venv.as_deref())?);
    }
    let part = Part::read(arguments.file.as_deref())?;
    let mut report = Report {
        date: utc(wall_ms()).chars().take(DATE.len()).collect(),
        part: part.figures(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        board_is_realtime: site.realtime,
        agent_is_itself: site.agent.is_itself(),
        seconds: 0.0,
        cells: Vec::new(),
        memory: Vec::new(),
        start_ms: None,
        bars: Vec::new(),
    };
    let makings = Makings { part: &part, seconds: arguments.seconds, peers };
    for section in sections {
        measure(&site, &makings, section, &mut report).await?;
    }
    report.seconds = begin.elapsed().as_secs_f64();
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    let missed = arguments.check && !report.meets_bars();
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn measure(
    site: &Site,
    makings: &Makings<'_>,
    section: Section,
    report: &mut Report,
) -> anyhow::Result<()> {
    match section {
        Section::Memory => {
            let figures = memory::measure(site, makings.part).await.context("print through a relay")?;
            report.bars.extend(bars::of_memory(&figures));
            report.memory = figures;
        }
        Section::Start => {
            let milliseconds = startup::measure(site).await.context("start")?;
            report.bars.push(bars::of_start(milliseconds));
            report.start_ms = Some(milliseconds);
        }
        _ => {
            for plan in makings.plans(section) {
                let cell = plan.measure(site).await?;
                report.bars.extend(section.bars(&cell));
                report.cells.push(cell);
            }
        }
    }
    Ok(())
}

impl Section {
    fn has_peers(self) -> bool {
        matches!(self, Self::Instant | Self::Wire | Self::Planner)
    }

    fn bars(self, cell: &Cell) -> Vec<Bar> {
        match self {
            Self::Instant => bars::of_instant(cell),
            Self::Wire => bars::of_wire(cell),
            Self::Planner => bars::of_planner(cell),
            Self::Slow => bars::of_slow(cell),
            Self::Stall => bars::of_stall(cell),
            Self::Memory | Self::Start => Vec::new(),
        }
    }
}
