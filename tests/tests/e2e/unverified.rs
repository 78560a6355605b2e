//! An agent that is killed on a firmware that cannot say which line it expects: the print is interrupted, the lines that may or
//! may not have been carried out are named, and none is sent twice.

use std::path::Path;

use spoolway_agent_core::recovery::Loss;
use spoolway_protocol::JobState;
use spoolway_tests::at_port::AgentAtPort;
use spoolway_tests::printer::PrinterOptions;
use spoolway_tests::pty::{PtyOptions, PtyPrinter, ResetOnOpen};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
const MOVES: u64 = 20_000;

fn job() -> Vec<String> {
    (0..MOVES).map(|n| format!("G1 X{} Y{}.{:03} F3000", n % 200, n % 170, n % 1000)).collect()
}

/// `lines 7 to 12 of the file` in words for people.
fn range(text: &str) -> (usize, usize) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.windows(4).position(|four| four[0] == "lines" && four[2] == "to");
    let at = at.unwrap_or_else(|| panic!("no range in {text:?}"));
    (words[at + 1].parse().unwrap(), words[at + 3].parse().unwrap())
}

fn killed_on(profile: &str, start: impl Fn(&Path, &Path, &str) -> AgentAtPort) {
    let printer = PrinterOptions { speed: 20.0, ..PrinterOptions::for_profile(profile).unwrap() };
    let options =
        PtyOptions { printer, reset_on_open: ResetOnOpen::Never, ..PtyOptions::of_profile(profile).unwrap() };
    let board = PtyPrinter::open(options).unwrap().spawn().unwrap();
    let mut agent = start(Path::new(DEMO), board.path(), profile);
    agent.until_idle();
    let file = job();
    let id = agent.print_text("part.gcode", &file.join("\n"));
    agent.until("the part to be under way", || (agent.job(&id).line > 100).then_some(()));
    agent.kill();
    agent.start_again();
    let lost = agent.until_job(&id, JobState::Interrupted);
    assert_eq!(lost.loss.map(|loss| loss.loss), Some(Loss::AgentStopped), "{profile}: {lost:?}");
    let reason = lost.reason.unwrap();
    assert!(reason.contains("may or may not have been carried out"), "{profile}: {reason}");
    let (first, last) = range(&reason);
    agent.until_idle();
    agent.end();

    let run = board.finish().unwrap();
    let texts = run.printer.executed().iter().map(|line| String::from_utf8_lossy(line.text()).into_owned());
    let moved: Vec<String> = texts.filter(|text| text.starts_with("G1 ")).collect();
    assert_eq!(moved, file[..moved.len()], "{profile}: each line once, in order");
    assert!((first - 1..=last).contains(&moved.len()), "{profile}: {} of {first} to {last}", moved.len());
}

#[test]
fn a_print_on_a_firmware_that_counts_no_lines_is_interrupted_with_the_lines_in_doubt() {
    for profile in ["klipper", "reprapfirmware", "teacup"] {
        killed_on(profile, AgentAtPort::start);
    }
}

/// The port is locked for as long as somebody keeps it open: it has to be gone on with although the print is not.
#[test]
fn a_port_that_was_kept_open_serves_on_after_a_print_that_cannot_go_on() {
    killed_on("reprapfirmware", AgentAtPort::start_kept);
}
