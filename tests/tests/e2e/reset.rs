//! A printer that resets in each state: what waits goes on waiting, what was begun is interrupted and named, and nothing is
//! printed twice.

use std::path::Path;

use spoolway_agent::local::PrintWishes;
use spoolway_agent::local::words::Request;
use spoolway_agent_core::recovery::{Loss, Since};
use spoolway_protocol::{JobId, JobState};
use spoolway_tests::at_port::{AgentAtPort, BAUD, commands};
use spoolway_tests::pty::{PtyOptions, PtyPrinter, PtyThread, ResetOnOpen};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
const SMALL: &str = "G28\nG1 X1 F3000\nG1 X2\n";
/// Hotter than the profile allows, so that a person has to look first.
const HOT: &str = "G28\nM104 S900\nG1 X1 F3000\n";
/// What the agent logs when it hears of a reset that hits no print.
const HEARD: &str = "the printer restarted while it was idle";

fn board() -> PtyThread {
    let mut options = PtyOptions::uart(BAUD);
    options.printer.speed = 20.0;
    options.reset_on_open = ResetOnOpen::First;
    PtyPrinter::open(options).unwrap().spawn().unwrap()
}

/// Resets a board that prints nothing, and waits until it is ready again.
fn reset_idle(agent: &AgentAtPort, board: &PtyThread) {
    let heard = || agent.log().matches(HEARD).count();
    let before = heard();
    board.control().reset();
    agent.until("the reset to be heard of", || (heard() > before).then_some(()));
    agent.until_idle();
}

fn id(job: &str) -> JobId {
    JobId::new(job).unwrap()
}

#[test]
fn what_waits_goes_on_waiting_and_is_printed_once() {
    let board = board();
    let mut agent = AgentAtPort::start(Path::new(DEMO), board.path(), "marlin");
    agent.until_idle();
    reset_idle(&agent, &board);
    let path = agent.folder().join("small.gcode");
    std::fs::write(&path, SMALL).unwrap();
    let wishes = PrintWishes { hold: true, ..PrintWishes::default() };
    let held = agent.client().job(&Request::Enqueue { path, wishes }).unwrap().job_id;
    agent.until_job(held.as_str(), JobState::Queued);
    let hot = agent.print_text("hot.gcode", HOT);
    agent.until_job(&hot, JobState::AwaitingOperator);
    reset_idle(&agent, &board);
    assert_eq!(agent.job(held.as_str()).state, JobState::Queued);
    assert_eq!(agent.job(&hot).state, JobState::AwaitingOperator);

    agent.client().job(&Request::Cancel { job_id: Some(id(&hot)) }).unwrap();
    agent.client().job(&Request::Release { job_id: held.clone() }).unwrap();
    let done = agent.until_job(held.as_str(), JobState::Completed);
    assert_eq!(done.attempt, 1);
    agent.end();
    let executed = commands(board.finish().unwrap().printer.executed());
    let printed: Vec<_> = executed.iter().filter(|line| line.starts_with("G1 ") || *line == "G28").collect();
    assert_eq!(printed, SMALL.lines().collect::<Vec<_>>());
}

/// What is done to a print before its printer resets.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Before {
    Heating,
    Printing,
    Paused,
    Cancelled,
}

#[test]
fn what_was_begun_is_interrupted_by_a_reset_and_named() {
    let board = board();
    let mut agent = AgentAtPort::start(Path::new(DEMO), board.path(), "marlin");
    agent.until_idle();
    let moves: String =
        (0..20_000).map(|n| format!("G1 X{} Y{}.{:03} F3000\n", n % 200, n % 170, n % 1000)).collect();
    for before in [Before::Heating, Before::Printing, Before::Paused, Before::Cancelled] {
        let head = if before == Before::Heating { "M109 S210\n" } else { "G28\n" };
        let job = agent.print_text("part.gcode", &format!("{head}{moves}"));
        agent.until_job(&job, JobState::Printing);
        if before != Before::Heating {
            agent.until("some lines", || (agent.job(&job).line > 50).then_some(()));
        }
        match before {
            Before::Heating | Before::Printing => {}
            Before::Paused => {
                agent.client().job(&Request::Pause { job_id: Some(id(&job)) }).unwrap();
                agent.until_job(&job, JobState::Paused);
            }
            Before::Cancelled => {
                agent.client().job(&Request::Cancel { job_id: Some(id(&job)) }).unwrap();
            }
        }
        board.control().reset();
        let over = agent
            .until("the print to be over", || Some(agent.job(&job)).filter(|job| !job.state.holds_printer()));
        // A reset that comes behind the last line of a cancel changes nothing any more.
        let is_cancelled = before == Before::Cancelled && over.state == JobState::Cancelled;
        let loss = over.loss.map(|loss| (over.state, loss.loss, loss.since));
        let named = loss == Some((JobState::Interrupted, Loss::PrinterReset, Since::Reset));
        assert!(is_cancelled || named, "{before:?}: {over:?}");
        assert!(over.line < 20_000, "{before:?}: {over:?}");
        agent.until_idle();
        let epoch = agent.status().bed.unwrap().epoch;
        agent.client().clear_bed(epoch).unwrap();
        assert_eq!(agent.job(&job).state, JobState::Cancelled, "its part was taken away");
    }
    agent.end();
    drop(board.finish().unwrap());
}
