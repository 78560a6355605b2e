//! Tries to break the house: `seeds` runs simulated prints on bad cables in virtual time.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use spoolway_tests::torture::seeds;

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
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Seeds(arguments) => seeds::main(&arguments),
    }
}
