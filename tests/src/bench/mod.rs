//! Measures the house: every figure stands beside the limit of the same machine, measured in the same run.

mod board;
mod lone_agent;
mod memory;
mod part;
mod raw;
mod report;
mod stream;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

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
    /// From a file to the printer's wire: link use, processor time and memory of the whole agent beside a raw sender.
    Stream(stream::Arguments),
    /// The simulated printer; says its device, and in the end a report in JSON.
    #[command(hide = true)]
    Board(board::Arguments),
    /// An agent without a relay.
    #[command(hide = true)]
    LoneAgent(lone_agent::Arguments),
    #[command(flatten)]
    House(Role),
}

/// What every run needs.
#[derive(Debug)]
struct Site {
    /// This program, which plays the other parts, too.
    program: PathBuf,
    /// Whether a board on a wire may run with real-time priority.
    realtime: bool,
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
        Command::Board(arguments) => board::play(&arguments).map(|()| ExitCode::SUCCESS),
        Command::LoneAgent(arguments) => lone_agent::play(arguments).map(|()| ExitCode::SUCCESS),
        Command::House(role) => roles::play(role).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("spoolway-bench: {error:#}");
        ExitCode::FAILURE
    })
}

/// Whatever is dropped on an interrupt takes its children and its folders along.
fn until_interrupted(run: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
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
    fn survey() -> anyhow::Result<Self> {
        Ok(Self { program: std::env::current_exe()?, realtime: board::may_be_realtime() })
    }
}
