//! Tries to break the house: `seeds` runs simulated prints on bad cables in virtual time, `relay-kill` kills the relay in
//! the middle of a real one, `kill` the agent all the time, `files` cuts links and kills processes while a file comes,
//! `isolation` disturbs everything around the printer thread, and `powercut` cuts the power of its disk.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use spoolway_tests::bench::BenchRole;
use spoolway_tests::demo::roles::{self, Role};
use spoolway_tests::torture::{files, isolation, kill, powercut, relay, seeds};

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
    /// Prints while the network swallows everything, syncs take two seconds, the log floods or another job arrives, and
    /// compares the gaps between lines with those of undisturbed prints.
    Isolation(isolation::Arguments),
    /// Kills the agent again and again in the middle of prints, plays systemd's part, and holds what the printer did
    /// against the files.
    Kill(kill::Arguments),
    /// Cuts the links of an agent and kills it and its relay while it fetches a file, from a server, through the relay or by both.
    Files(files::Arguments),
    /// Cuts the power of an agent's disk at random block writes, and looks for everything that was promised. Needs root.
    #[command(name = "powercut")]
    PowerCut(powercut::Arguments),
    #[command(flatten)]
    Part(Role),
    #[command(flatten)]
    Bench(BenchRole),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Seeds(arguments) => seeds::main(&arguments),
        Command::Relay(arguments) => relay::main(&arguments),
        Command::Isolation(arguments) => told(isolation::run(&arguments)),
        Command::Files(arguments) => told(files::run(&arguments)),
        Command::Kill(arguments) => told(kill::run(&arguments)),
        Command::PowerCut(arguments) => {
            told(spoolway_tests::bench::until_interrupted(powercut::run(&arguments)))
        }
        Command::Part(role) => told(roles::play(role).map(|()| ExitCode::SUCCESS)),
        Command::Bench(role) => told(role.play()),
    }
}

fn told(done: anyhow::Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        eprintln!("spoolway-torture: {error:#}");
        ExitCode::FAILURE
    })
}
