//! Measures the house beside what the machine allows: `stream` goes from a file to the printer's wire, `storage` to
//! the disk.

use std::process::ExitCode;

fn main() -> ExitCode {
    spoolway_tests::bench::main()
}
