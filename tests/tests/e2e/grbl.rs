//! A job that is given up on a machine of realtime bytes: what is planned is not carried out, though each move takes minutes.

use std::path::Path;

use spoolway_agent::local::words::Request;
use spoolway_protocol::JobState;
use spoolway_protocol::printer::PrinterState;
use spoolway_tests::at_port::AgentAtPort;
use spoolway_tests::printer::PrinterOptions;
use spoolway_tests::pty::{PtyOptions, PtyPrinter};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
/// What stops a spindle or laser, and coolant.
const CANCEL_SCRIPT: [&str; 2] = ["M5", "M9"];
/// A move of twenty seconds: whoever waited for the fifteen or more that are planned would have to wait for minutes.
const SLOW: &str = "G1 X100 F300\n";

fn slow_job() -> String {
    (0..200).map(|n| if n % 2 == 0 { SLOW } else { "G1 X0 F300\n" }).collect()
}

/// Gives the job up while it is printed, or while it is held; the next one is printed to its end.
fn give_up(profile: &str, paused: bool) {
    // As slow as in life, where the board of a profile is never the limit.
    let printer = PrinterOptions { speed: 1.0, ..PrinterOptions::for_profile(profile).unwrap() };
    let options = PtyOptions { printer, ..PtyOptions::of_profile(profile).unwrap() };
    let board = PtyPrinter::open(options).unwrap().spawn().unwrap();
    let mut agent = AgentAtPort::start(Path::new(DEMO), board.path(), profile);
    agent.until_idle();
    let job = agent.print_text("slow.nc", &slow_job());
    agent.until("a full planner", || (agent.job(&job).commands_acked > 10).then_some(()));
    agent.until_job(&job, JobState::Printing);
    if paused {
        agent.client().job(&Request::Pause { job_id: None }).unwrap();
        agent.until_job(&job, JobState::Paused);
    }
    agent.client().job(&Request::Cancel { job_id: None }).unwrap();
    let cancelled = agent.until_job(&job, JobState::Cancelled);
    assert!(cancelled.commands_acked < cancelled.commands_total, "{cancelled:?}");
    agent.until_printer(&PrinterState::Idle);

    // The controller is not locked, and knows where it is.
    let next = agent.print_text("next.nc", "G1 X50 F6000\nG1 X51\n");
    agent.until_job(&next, JobState::Completed);
    agent.end();
    let executed = commands_of(&board.finish().unwrap().printer);
    let from = executed.iter().position(|line| *line == CANCEL_SCRIPT[0]).unwrap();
    assert!(executed[..from].iter().all(|line| line.ends_with("F300")), "{executed:?}");
    let rest: Vec<&str> = executed[from..].iter().map(String::as_str).collect();
    assert_eq!(rest, ["M5", "M9", "G1 X50 F6000", "G1 X51"], "{profile}, paused: {paused}");
}

/// These machines number no lines.
fn commands_of(printer: &spoolway_tests::printer::Printer) -> Vec<String> {
    let texts = printer.executed().iter().map(|line| String::from_utf8_lossy(line.text()).into_owned());
    texts.filter(|text| ["G1", "M5", "M9"].iter().any(|word| text.starts_with(word))).collect()
}

#[test]
fn a_cancel_stops_a_mill_at_once() {
    give_up("grbl", false);
    give_up("grblhal", false);
}

#[test]
fn a_cancel_does_not_set_a_mill_in_motion_that_is_held() {
    give_up("grbl", true);
    give_up("grblhal", true);
}
