//! A print that could not go on leaves one record that says so, with the last words on the wire as the board had them; one
//! that a person has cancelled leaves none.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use spoolway_agent::local::words::Request;
use spoolway_agent::post_mortem::{Record, Shelf};
use spoolway_agent::view::history::HistoryView;
use spoolway_protocol::{JobId, JobState};
use spoolway_tests::at_port::{AgentAtPort, BAUD};
use spoolway_tests::printer::Executed;
use spoolway_tests::pty::{PtyOptions, PtyPrinter, PtyThread, ResetOnOpen};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
/// It plays the agent's own program as well.
const BENCH: &str = env!("CARGO_BIN_EXE_spoolway-bench");
/// Lines that fit into a board's receive ring and its queue of commands, with room to spare.
const ON_ITS_WAY: usize = 48;
/// A text for the display, which is nobody's business.
const PRIVATE: &str = "Anna's vase";

fn board(reset_on_open: ResetOnOpen) -> PtyThread {
    let mut options = PtyOptions::uart(BAUD);
    options.printer.speed = 20.0;
    options.reset_on_open = reset_on_open;
    PtyPrinter::open(options).unwrap().spawn().unwrap()
}

/// A part that says a text now and then; it is under way when this returns.
fn print(agent: &AgentAtPort, board: &PtyThread) -> String {
    agent.until_idle();
    let mut text = "M140 S60\nM104 S210\nM190 S60\nM109 S210\nG28\nG90\nM82\nG92 E0\n".to_owned();
    for n in 0..4_000 {
        if n % 50 == 0 {
            writeln!(text, "M117 {PRIVATE}").unwrap();
        }
        writeln!(text, "G1 X{} Y{} E{}.5 F6000", 20 + n % 2 * 10, 20 + n / 40, n).unwrap();
    }
    let job = agent.print_text("part.gcode", &text);
    agent.until("lines that were carried out", || (board.control().executed() > 600).then_some(()));
    job
}

fn id(job: &str) -> JobId {
    JobId::new(job).unwrap()
}

/// The record, once it is written; nothing else is on the shelf.
fn only_record(agent: &AgentAtPort, job: &str) -> Record {
    let record = agent.until("a record", || agent.client().record(id(job), None).unwrap());
    assert_eq!(Shelf::of(agent.folder()).list().unwrap().len(), 1);
    record
}

fn history(agent: &AgentAtPort, job: &str) -> HistoryView {
    agent.client().history(id(job)).unwrap()
}

/// What a program says that ends when whoever has started it leaves.
pub(crate) fn output_of(mut command: Command) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stays = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(stays);
    output
}

/// What the agent's program says to this.
fn say(agent: &AgentAtPort, words: &[&str]) -> String {
    let socket = agent.folder().join("agent.sock");
    let mut command = Command::new(BENCH);
    command.args(["agent-program", "--socket"]).arg(socket).args(words).env("NO_COLOR", "1");
    let output = output_of(command);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The frames of the record are those that the board had, up to the last that it carried out and without a gap.
fn assert_as_the_board_had_it(record: &Record, executed: &[Executed]) {
    let sent = record.wire.lines.iter().filter(|line| line.from == "agent").map(|line| line.text.as_str());
    let sent: Vec<&str> = sent.filter(|text| text.starts_with('N') && !text.contains("[text]")).collect();
    let had: Vec<String> = executed
        .iter()
        .filter(|line| line.number.is_some())
        .map(|line| String::from_utf8_lossy(&line.raw).trim().to_owned())
        .filter(|text| !text.contains("M117"))
        .collect();
    assert!(sent.len() > 50, "{sent:?}");
    let from = had.iter().position(|line| line == sent[0]);
    let from = from
        .unwrap_or_else(|| panic!("the board had {:?} and not {:?}", &had[had.len() - 20..], &sent[..20]));
    let both = sent.iter().zip(&had[from..]).take_while(|(sent, had)| sent == had).count();
    assert!(both > 50, "{both} of {sent:?}");
    // What is behind them was on its way.
    assert!(sent.len() - both <= ON_ITS_WAY, "{:?} and not {:?}", &sent[both..], &had[from + both..]);
}

#[test]
fn a_cable_that_is_pulled_leaves_a_record_that_agrees_with_the_board() {
    let board = board(ResetOnOpen::First);
    let mut agent = AgentAtPort::start(Path::new(DEMO), board.path(), "marlin");
    let job = print(&agent, &board);
    board.control().stop();
    agent.until_job(&job, JobState::Interrupted);
    let record = only_record(&agent, &job);
    assert_eq!((record.code.as_deref(), record.attempt), (Some("port.lost"), 1));
    let link = record.link.as_ref().unwrap();
    assert!(link.lines_sent > 500 && link.rtt_ms_p99 > 0.0, "{link:?}");
    assert_eq!(record.heat.last["tool0"][1], 210.0);
    assert!(record.heat.extremes["tool0"].0 < 100.0, "it was cold a moment ago: {:?}", record.heat);
    assert_eq!(record.versions.profile.as_deref(), Some("marlin"));
    assert!(!serde_json::to_string(&record).unwrap().contains(PRIVATE));
    let executed = board.finish().unwrap().printer;
    assert_as_the_board_had_it(&record, executed.executed());

    let told = history(&agent, &job);
    let states: Vec<JobState> = told.steps.iter().map(|step| step.to).collect();
    assert!(states.ends_with(&[JobState::Starting, JobState::Printing, JobState::Interrupted]), "{states:?}");
    assert_eq!(told.steps.last().unwrap().code.as_deref(), Some("port.lost"));
    let [attempt] = told.attempts.as_slice() else { panic!("{told:?}") };
    assert!(attempt.record && attempt.used.as_ref().unwrap().printing_ms > 0, "{attempt:?}");

    let page = say(&agent, &["job", &job[..job.len() - 1]]);
    assert!(page.contains("interrupted  [port.lost]") && page.contains("Post-mortem record"), "{page}");
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
    // Another process knows it as well, and does not write it anew.
    agent.end();
    agent.start_again();
    assert_eq!(only_record(&agent, &job), record);
    assert!(history(&agent, &job).steps == told.steps);
    agent.end();
}

#[test]
fn a_firmware_that_resets_leaves_a_record_with_its_first_words() {
    let board = board(ResetOnOpen::First);
    let mut agent = AgentAtPort::start(Path::new(DEMO), board.path(), "marlin");
    let job = print(&agent, &board);
    board.control().reset();
    agent.until_job(&job, JobState::Interrupted);
    let record = only_record(&agent, &job);
    assert_eq!(record.code.as_deref(), Some("firmware.reset"));
    let last = record.wire.lines.iter().rev().find(|line| line.from == "printer").unwrap();
    assert!(last.text.contains("start") || record.text.as_deref().unwrap().contains("start"), "{record:?}");
    let sent = record.wire.lines.iter().filter(|line| line.from == "agent" && line.text.contains(" G1 X"));
    assert!(sent.count() > 50, "{record:?}");
    let words = say(&agent, &["logs", "--wire", "--job", &job]);
    assert_eq!(words.lines().count(), record.wire.lines.len());
    let last = words.lines().rfind(|line| line.contains("> N")).unwrap();
    let newest =
        record.wire.lines.iter().rev().find(|line| line.from == "agent" && line.text.starts_with('N'));
    assert!(last.ends_with(&newest.unwrap().text), "{last}");
    agent.until_idle();
    agent.end();
    drop(board);
}

#[test]
fn a_process_that_is_killed_leaves_its_record_to_the_next_one() {
    let board = board(ResetOnOpen::Never);
    let mut agent = AgentAtPort::start(Path::new(DEMO), board.path(), "marlin");
    let job = print(&agent, &board);
    agent.kill();
    // The machine goes off with it: what lives in memory only is gone.
    for name in ["print.journal", "print.mark"] {
        drop(std::fs::remove_file(agent.folder().join(name)));
    }
    agent.start_again();
    agent.until_job(&job, JobState::Interrupted);
    let record = only_record(&agent, &job);
    assert_eq!((record.code.as_deref(), &record.link), (Some("agent.restarted"), &None));
    assert!(record.wire.lines.is_empty() && record.wire.missing.is_some(), "{record:?}");
    assert!(record.started.is_some());
    // The next one finds it, and so does whoever comes after one that died before it had written it.
    agent.kill();
    agent.start_again();
    assert_eq!(only_record(&agent, &job), record);
    agent.kill();
    std::fs::remove_dir_all(agent.folder().join(spoolway_agent::post_mortem::FOLDER)).unwrap();
    agent.start_again();
    let owed = only_record(&agent, &job);
    assert_eq!((owed.code, owed.line, owed.attempt), (record.code, record.line, record.attempt));
    agent.end();
}

#[test]
fn a_print_that_outlives_its_process_or_is_cancelled_leaves_none() {
    let board = board(ResetOnOpen::Never);
    let mut agent = AgentAtPort::start_kept(Path::new(DEMO), board.path(), "marlin");
    let job = print(&agent, &board);
    agent.kill();
    let before = board.control().executed();
    agent.start_again();
    agent.until("more lines", || (board.control().executed() > before + 100).then_some(()));
    agent.client().job(&Request::Cancel { job_id: None }).unwrap();
    agent.until_job(&job, JobState::Cancelled);
    assert_eq!(agent.client().record(id(&job), None).unwrap(), None);
    assert!(!history(&agent, &job).attempts[0].record);
    agent.end();
    assert!(Shelf::of(agent.folder()).list().unwrap().is_empty());
}
