//! The agent's program: parse, load, run, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    spoolway_agent::cli::main(std::env::args_os(), spoolway_agent::run::run)
}
