//! Measures the house: every figure stands beside the limit of the same machine, measured in the same run.

mod bars;
pub(crate) mod board;
pub(crate) mod cell;
mod memory;
pub(crate) mod part;
mod peers;
mod plans;
mod preflight;
mod raw;
mod relay;
mod report;
mod sender;
mod startup;
mod storage;
mod stream;
mod usage;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use self::peers::Peers;
use crate::agent_program::{self, AgentProgram};
use crate::demo::roles::{self, Role};

/// Exit code of wrong usage (sysexits.h).
const USAGE: u8 = 64;
/// Exit code of a program that SIGINT ended, as shells show it.
const INTERRUPTED: u8 = 130;

/// Measures the house beside what the machine allows.
#[derive(Debug, Parser)]
#[command(name = "spoolway-bench", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// From a file to the printer's wire: the whole agent beside a raw sender and other hosts.
    Stream(stream::Arguments),
    /// A file against its printer, beside SHA-256 and counting lines of the same bytes.
    Preflight(preflight::Arguments),
    /// What reaches the disk: for each byte of a job, for each byte of an event, for each day of printing.
    Storage(storage::Arguments),
    /// The relay beside mosquitto, NATS and Node.js with the same work, each alone on one core.
    Relay(relay::Arguments),
    #[command(flatten)]
    Part(BenchRole),
    #[command(flatten)]
    House(Role),
}

/// Parts that are processes of their own, so that what they cost is not counted with others.
#[derive(Debug, Subcommand)]
pub enum BenchRole {
    /// The simulated printer; says its device, and in the end a report in JSON.
    #[command(hide = true)]
    Board(board::Arguments),
    /// The agent's own program.
    #[command(hide = true)]
    AgentProgram {
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// The agent's or the relay's own program as a shell has it: with nobody whose end it would share.
    #[command(hide = true)]
    Shipped {
        /// Which.
        program: Shipped,
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// A server under load.
    #[command(hide = true)]
    Server(relay::server::Arguments),
    /// The relay as its own program runs it.
    #[command(hide = true)]
    RelayProgram(relay::ProgramArguments),
}

/// What is shipped.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Shipped {
    /// `spoolway-agent`.
    Agent,
    /// `spoolway-relay`.
    Relay,
}

impl Shipped {
    fn run(self, words: Vec<OsString>) -> ExitCode {
        let of = |name: &str| [OsString::from(name)].into_iter().chain(words);
        match self {
            Self::Agent => spoolway_agent::cli::main(of("spoolway-agent"), spoolway_agent::run::run),
            Self::Relay => spoolway_relay_tools::cli::main(of("spoolway-relay")),
        }
    }
}

impl BenchRole {
    /// Plays the part until the parent leaves.
    ///
    /// # Errors
    /// What the part itself says.
    pub fn play(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Board(arguments) => board::play(&arguments).map(|()| ExitCode::SUCCESS),
            Self::AgentProgram { words } => agent_program::play(words).map_err(Into::into),
            Self::Shipped { program, words } => Ok(program.run(words)),
            Self::Server(arguments) => relay::server::play(&arguments),
            Self::RelayProgram(arguments) => relay::play(&arguments),
        }
    }
}

/// What every run needs.
#[derive(Debug)]
pub(crate) struct Site {
    /// This program, which plays the other parts, too.
    pub(crate) program: PathBuf,
    /// The agent.
    pub(crate) agent: AgentProgram,
    /// Other hosts, where they are wanted.
    peers: Option<Peers>,
    /// Whether a board on a wire may run with real-time priority.
    pub(crate) realtime: bool,
}

/// Everything `main` does: 0 unless something did not run, a line was lost, or a bar that was to be checked was missed.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Printing can only fail when nobody reads any longer.
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
        }
    };
    let done = match arguments.command {
        Command::Stream(arguments) => until_interrupted(stream::run(&arguments)),
        Command::Preflight(arguments) => preflight::run(&arguments),
        Command::Storage(arguments) => until_interrupted(storage::run(&arguments)),
        Command::Relay(arguments) => until_interrupted(relay::run(&arguments)),
        Command::Part(role) => role.play(),
        Command::House(role) => roles::play(role).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("spoolway-bench: {error:#}");
        ExitCode::FAILURE
    })
}

/// Runs until it is done or interrupted; whatever is dropped then takes its children and its folders along.
///
/// # Errors
/// What the run itself says.
pub fn until_interrupted(run: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            done = run => done,
            _ = interrupt.recv() => Ok(ExitCode::from(INTERRUPTED)),
            _ = terminate.recv() => Ok(ExitCode::from(INTERRUPTED)),
        }
    })
}

impl Site {
    /// Looks at the machine; the program has to play every [`BenchRole`].
    pub(crate) fn survey() -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let agent = AgentProgram::within(&program, "agent-program");
        Ok(Self { program, agent, peers: None, realtime: board::may_be_realtime() })
    }
}
