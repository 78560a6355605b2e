//! `spoolway-relay`: parse, load, run, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    spoolway_relay_tools::cli::main(std::env::args_os())
}
