//! `relay`: the relay and other servers take turns with the same work, alone on one core, while the load has another.

mod bars;
mod cells;
mod install;
mod load;
mod message;
mod report;
pub(in crate::bench) mod server;
mod site;
mod talk;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::Serialize;
use spoolway_agent::clock::{utc, wall_ms};
use spoolway_relay::paths::Directories;
use spoolway_relay_tools::settings::load as load_config;

use self::cells::{Cell, Work};
use self::install::Installed;
use self::report::{Column, Report};
use self::server::Cores;
use self::site::Site;

/// What is left of handshakes has settled by then.
const SETTLE: Duration = Duration::from_secs(3);
/// What is shown of the time of a run.
const DATE: &str = "2026-01-01";

/// How `relay` measures.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Measure only this; may be given more than once
    #[arg(long, value_enum)]
    only: Vec<Question>,
    /// Servers to measure beside the relay; may be given more than once [default: all]
    #[arg(long, value_enum)]
    peers: Vec<Peers>,
    /// Go on without servers that cannot be had
    #[arg(long)]
    allow_missing: bool,
    /// Idle connections
    #[arg(long, default_value_t = 19_000, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    connections: u32,
    /// How long they are idle, in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    idle_seconds: u32,
    /// Agents that send, and that come back at once
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    agents: u32,
    /// Messages a second
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// How long they are sent, in seconds, of all rounds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Bytes of a message
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(250..=60_000))]
    bytes: u32,
    /// Agents that offer too much
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    flooders: u32,
    /// How long they do, in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    overload_seconds: u32,
    /// The relay's program [default: a copy within this program]
    #[arg(long, value_name = "FILE")]
    relay: Option<PathBuf>,
    /// Print one line of JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Exit with 1 when a bar is missed
    #[arg(long)]
    check: bool,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Question {
    /// Memory and processor time of idle connections
    Idle,
    /// Processor time and latency of messages
    Forward,
    /// All agents coming back at once
    Storm,
    /// Twice as much as can be delivered
    Overload,
    /// Large and small bodies
    Routing,
}

impl Question {
    const OF_SERVERS: [Self; 4] = [Self::Idle, Self::Forward, Self::Storm, Self::Overload];

    /// How often the servers take turns: processor time and latency differ from one process to the next, and from minute to minute on
    /// a machine that has neighbours.
    fn rounds(self, seconds: u32) -> u32 {
        if self == Self::Forward { seconds.min(5) } else { 1 }
    }
}

/// Which other servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peers {
    All,
    Mosquitto,
    Nats,
    Node,
    None,
}

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Contender {
    Spoolway,
    Mosquitto,
    MosquittoQos1,
    Nats,
    Node,
}

impl Contender {
    const ALL: [Self; 5] = [Self::Spoolway, Self::Mosquitto, Self::MosquittoQos1, Self::Nats, Self::Node];

    /// The name in tables.
    fn name(self) -> &'static str {
        match self {
            Self::Spoolway => "Spoolway",
            Self::Mosquitto => "mosquitto QoS 0",
            Self::MosquittoQos1 => "mosquitto QoS 1",
            Self::Nats => "NATS",
            Self::Node => "Node ws",
        }
    }

    fn is_wanted(self, peers: &[Peers]) -> bool {
        let own = match self {
            Self::Spoolway => return true,
            Self::Mosquitto | Self::MosquittoQos1 => Peers::Mosquitto,
            Self::Nats => Peers::Nats,
            Self::Node => Peers::Node,
        };
        peers.is_empty() || peers.contains(&Peers::All) || peers.contains(&own)
    }

    /// The level of QoS changes nothing about connections.
    fn is_asked(self, question: Question) -> bool {
        self != Self::MosquittoQos1 || matches!(question, Question::Forward | Question::Overload)
    }
}

/// What a server has to be set up for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    connections: u32,
    /// Agents will send faster than any agent may.
    is_flood: bool,
    /// How long the server is left alone before anything is counted.
    settle: Duration,
}

/// The relay as its own program runs it, for a process of this one.
#[derive(Debug, clap::Args)]
pub struct ProgramArguments {
    /// Configuration, certificates and registry
    #[arg(long)]
    folder: PathBuf,
}

/// Runs the relay until it is ended.
///
/// # Errors
/// What the relay says.
pub(super) fn play(arguments: &ProgramArguments) -> anyhow::Result<ExitCode> {
    let directories = Directories::at(&arguments.folder);
    let config = load_config(Some(&directories.config_file()), [], &[])?;
    spoolway_relay_tools::serve::run(config.clone(), &directories, move || Ok(config.clone()), None)?;
    Ok(ExitCode::SUCCESS)
}

/// Measures and prints.
///
/// # Errors
/// The relay cannot be measured.
pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let begin = Instant::now();
    raise_descriptor_limit();
    let cores = Cores::choose()?;
    let mut report = Report {
        date: utc(wall_ms()).chars().take(DATE.len()).collect(),
        machine: machine(cores),
        message_bytes: arguments.bytes as usize,
        ..Report::default()
    };
    // Before this thread has a core of its own.
    let relay = arguments.relay.as_deref().map(std::path::absolute).transpose()?;
    let mut installed = Installed::with(relay);
    for contender in Contender::ALL {
        if contender.is_wanted(&arguments.peers) {
            match installed.provide(contender) {
                Ok(version) => report.columns.push(Column::of(contender, version)),
                Err(error) => report.missing.push(format!("{}: {error:#}", contender.name())),
            }
        }
    }
    Cores::keep_to(cores.load)?;
    let most = arguments.connections.max(arguments.agents).max(arguments.flooders);
    let site = Site::build(most, cores)?;
    for question in Question::OF_SERVERS.into_iter().filter(|question| arguments.wants(*question)) {
        ask_all(arguments, &site, &installed, question, &mut report).await?;
    }
    if arguments.wants(Question::Routing) {
        report.routing = Some(cells::Routing::measure()?);
    }
    report.bars = bars::of(&report);
    report.seconds = begin.elapsed().as_secs_f64();
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    let is_whole = arguments.allow_missing || report.missing.is_empty();
    let is_good = is_whole && (!arguments.check || report.meets_bars());
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks all servers the same; what goes wrong with another server than the relay is written down, and it is not asked again.
async fn ask_all(
    arguments: &Arguments,
    site: &Site,
    installed: &Installed,
    question: Question,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    let rounds = question.rounds(arguments.seconds);
    for round in 1..=rounds {
        for column in &mut report.columns {
            let contender = column.contender;
            if !contender.is_asked(question) || failed.contains(&contender) {
                continue;
            }
            eprintln!("relay: {}: {question:?}, {round} of {rounds}", contender.name());
            match ask(arguments, site, installed, question, column).await {
                Err(error) if contender != Contender::Spoolway => {
                    report.missing.push(format!("{}, {question:?}: {error:#}", contender.name()));
                    failed.push(contender);
                }
                asked => asked?,
            }
        }
    }
    Ok(())
}

async fn ask(
    arguments: &Arguments,
    site: &Site,
    installed: &Installed,
    question: Question,
    column: &mut Column,
) -> anyhow::Result<()> {
    let Arguments { agents, connections, flooders, .. } = *arguments;
    let is_flood = question == Question::Overload;
    let settle = SETTLE.min(Duration::from_secs(arguments.seconds.into()));
    let settings = Settings { connections: connections.max(agents), is_flood, settle };
    let cell = Cell::begin(site, installed, column.contender, &settings).await?;
    let bytes = arguments.bytes as usize;
    match question {
        Question::Idle => column.idle = Some(cell.idle(connections, arguments.idle_seconds).await?),
        Question::Forward => {
            let seconds = arguments.seconds.div_ceil(question.rounds(arguments.seconds));
            let work = Work { agents, rate_per_s: arguments.rate, seconds, bytes };
            column.add(cell.forward(work).await?);
        }
        Question::Storm => column.storm = Some(cell.storm(agents).await?),
        Question::Overload => {
            column.overload = Some(cell.overload(flooders, arguments.overload_seconds, bytes).await?);
        }
        Question::Routing => {}
    }
    Ok(())
}

impl Arguments {
    fn wants(&self, question: Question) -> bool {
        self.only.is_empty() || self.only.contains(&question)
    }
}

fn machine(cores: Cores) -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, model)| model);
    format!("{model}, server on core {}, load on core {}", cores.server, cores.load)
}

/// One descriptor for each connection, here and in every server: takes all that the system allows.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        eprintln!("relay: the limit of descriptors stays: {error}");
    }
}
