//! Prints a file from end to end and compares what the printer carried out with what the file says.

use std::process::ExitCode;

fn main() -> ExitCode {
    spoolway_tests::demo::main()
}
