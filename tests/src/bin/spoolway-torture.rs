//! Tries to break the house: `seeds` runs simulated prints on bad cables in virtual time, `relay` kills the relay in the
//! middle of a real one.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use spoolway_tests::demo::roles::{self, Role};
use spoolway_tests::torture::{relay, seeds};

/// Tries to break the house.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Simulated prints: one seed is one board, one cable, one job and one course of events.
    Seeds(seeds::Arguments),
    /// Kills the relay twice in the middle of a print, and compares with a print without kills.
    #[command(name = "relay-kill")]
    Relay(relay::Arguments),
    #[command(flatten)]
    Part(Role),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Seeds(arguments) => seeds::main(&arguments),
        Command::Relay(arguments) => relay::main(&arguments),
        Command::Part(role) => match roles::play(role) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("spoolway-torture: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}
