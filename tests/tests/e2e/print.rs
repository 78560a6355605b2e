//! Whole prints with every part a process of its own: backend, relay, agent and a simulated printer behind a terminal.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sha2::{Digest, Sha256};
use spoolway_protocol::job::Outcome;
use spoolway_protocol::{JobState, Message, Sha256Hex};
use spoolway_tests::backend::{Backend, Ending, Print, Progress};
use spoolway_tests::demo::house::{House, Part, PrinterPlan};
use spoolway_tests::demo::summary::Summary;
use spoolway_tests::expected::{Commands, Comparer};
use spoolway_tests::printer::ExecutedSink;
use spoolway_tests::pty::{PtyOptions, PtyPrinter};

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
/// What the agent says on its own account; the box has none of these.
const HOST: [&[u8]; 4] = [b"M105", b"M110", b"M115", b"M155"];
/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(240);

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("gcode").join(name)
}

fn print(arguments: &[&str], file: &Path) -> (Output, Summary) {
    let output = Command::new(DEMO).args(["--json", "--file"]).arg(file).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let summary = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output, summary)
}

/// Everything was carried out as the file says, and the printer had nothing to complain of.
fn assert_printed(file: &Path, output: &Output, summary: &Summary) {
    assert!(output.status.success(), "{summary}{}", String::from_utf8_lossy(&output.stderr));
    let commands: Vec<_> = Commands::of(std::fs::read(file).unwrap().into()).collect();
    let mut digest = Sha256::new();
    for command in &commands {
        digest.update(&command.text);
        digest.update(b"\n");
    }
    let printer = summary.printer.as_ref().unwrap();
    assert_eq!(printer.comparison.difference, None);
    assert_eq!(printer.comparison.matched, commands.len() as u64);
    assert_eq!(printer.comparison.printer_sha256, Sha256Hex(digest.finalize().into()));
    let host: u64 = printer.comparison.host_commands.values().sum();
    assert_eq!(printer.figures.lines_executed, commands.len() as u64 + host, "{summary}");
    let result = summary.result.as_ref().unwrap();
    assert_eq!((result.outcome, result.line_acked), (Outcome::Completed, commands.len() as u64));
    assert!(result.bytes <= summary.file.bytes);
    assert_eq!(printer.figures.bytes_dropped, 0);
}

#[test]
fn the_gear_is_printed_as_it_stands() {
    let (output, summary) = print(&["--speed", "1000"], &shipped("gear.gcode"));
    assert_printed(&shipped("gear.gcode"), &output, &summary);
    assert_eq!(summary.result.unwrap().comm.resends, 0);
}

#[test]
fn the_box_for_reprapfirmware_is_printed_as_it_stands() {
    let file = shipped("box-reprapfirmware.gcode");
    let (output, summary) = print(&["--speed", "1000"], &file);
    assert_printed(&file, &output, &summary);
}

#[test]
fn the_box_for_smoothieware_is_printed_as_it_stands() {
    let file = shipped("box-smoothie.gcode");
    let (output, summary) = print(&["--speed", "1000"], &file);
    assert_printed(&file, &output, &summary);
}

#[test]
fn lost_doubled_garbled_and_late_replies_change_nothing() {
    let file = shipped("box-smoothie.gcode");
    let (output, summary) = print(&["--speed", "1000", "--noise", "0.001", "--seed", "7"], &file);
    assert_printed(&file, &output, &summary);
}

#[test]
fn a_file_that_is_no_gcode_is_refused_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cube.stl");
    std::fs::write(&file, "solid cube\n  facet normal 0 0 1\n\u{1}\u{2}\u{3}\nendsolid\n").unwrap();
    let (output, summary) = print(&["--speed", "1000"], &file);
    assert_eq!(output.status.code(), Some(1));
    assert!(!summary.ok, "{summary}");
    let result = summary.result.unwrap();
    assert_eq!((result.outcome, result.line_acked), (Outcome::Failed, 0));
    assert_eq!(result.code.unwrap().0, "job.not_gcode");
    assert_eq!(summary.printer.unwrap().comparison.matched, 0);
}

/// `--port` knows of no simulation: success is what the agent says, and here the board itself confirms it.
#[test]
fn a_printer_on_a_port_is_printed_on() {
    let file = shipped("box-reprapfirmware.gcode");
    let board = PtyPrinter::open(PtyOptions::instant()).unwrap().spawn().unwrap();
    let port = board.path().to_str().unwrap().to_owned();
    let (output, summary) = print(&["--port", &port], &file);
    let run = board.finish().unwrap();
    assert!(output.status.success() && summary.printer.is_none(), "{summary}");
    let mut comparer = Comparer::new(std::fs::read(&file).unwrap().into());
    run.printer.executed().iter().for_each(|line| comparer.executed(line));
    let found = comparer.finish();
    assert_eq!((found.difference, found.matched), (None, summary.file.commands));
    // Line by line and byte for byte, without the comparer.
    let commands: Vec<_> =
        Commands::of(std::fs::read(&file).unwrap().into()).map(|command| command.text).collect();
    let done = run.printer.executed().iter().map(|line| line.text().to_vec());
    let done: Vec<_> = done.filter(|text| !HOST.iter().any(|word| text.starts_with(word))).collect();
    assert_eq!(done, commands);
}

/// The relay holds nothing: killed in the middle of a print, it is not missed.
#[tokio::test]
async fn a_relay_that_is_killed_and_comes_back_is_not_noticed_by_the_print() {
    let bytes: Arc<[u8]> = std::fs::read(shipped("box-smoothie.gcode")).unwrap().into();
    let commands = Commands::of(Arc::clone(&bytes)).count() as u64;
    let profile = "marlin".to_owned();
    let plan = PrinterPlan::Simulated { profile, speed: 60.0, baud: 1_000_000, noise: 0.0, seed: 1 };
    let mut house = House::start(Path::new(DEMO), &bytes, &plan).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (printing, mut is_printing) = tokio::sync::watch::channel(false);
    let (events, print) = (Arc::clone(&seen), Print { agent: house.agent_id(), name: "box".into(), bytes });
    let backend = Backend::new(house.relay(), print, move |progress| match progress {
        Progress::Heard(Message::Telem(now)) => {
            _ = printing.send_if_modified(|is| now.d.line > Some(200) && !std::mem::replace(is, true))
        }
        Progress::Event(event) => events.lock().unwrap().push(event),
        _ => {}
    })
    .unwrap();
    let running = tokio::spawn(backend.run());
    tokio::time::timeout(HANG, is_printing.wait_for(|is| *is)).await.unwrap().unwrap();
    house.kill_and_restart(Part::Relay).unwrap();
    let ending = tokio::time::timeout(HANG, running).await.unwrap().unwrap().unwrap();
    let Ending::Result(result) = ending else { panic!("{ending:?}") };
    assert_eq!((result.outcome, result.line_acked), (Outcome::Completed, commands));
    let report = house.close().unwrap().unwrap();
    assert_eq!((report.comparison.difference, report.comparison.matched), (None, commands));
    // Each event once and none missing, and the job's own story without a hole.
    let seen = seen.lock().unwrap();
    let numbers: Vec<_> = seen.iter().map(|event| (event.epoch.0, event.seq.0)).collect();
    let first = numbers[0];
    let expected: Vec<_> = (first.1..).take(numbers.len()).map(|seq| (first.0, seq)).collect();
    assert_eq!(numbers, expected);
    let states: Vec<_> = seen.iter().filter(|event| event.kind == "job.state").collect();
    let last = serde_json::from_str::<serde_json::Value>(states.last().unwrap().data.get()).unwrap();
    assert_eq!(last["to"], JobState::Completed.as_str());
    assert_eq!(last["rev"], states.len());
}

/// Starts a long print and waits until every child is there: their ids. What the demo says has to be read on.
fn start_long_print(folder: &Path) -> (std::process::Child, Vec<Pid>, impl Sized) {
    let mut demo = Command::new(DEMO)
        .args(["--speed", "1"])
        .env("TMPDIR", folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines().map(Result::unwrap);
    let pids: Vec<_> = lines
        .by_ref()
        .filter_map(|line| Pid::from_raw(line.rsplit_once("process ")?.1.trim().parse().ok()?))
        .take(3)
        .collect();
    assert_eq!(pids.len(), 3);
    (demo, pids, lines)
}

fn wait_until_gone(pids: &[Pid]) {
    let until = Instant::now() + HANG;
    while pids.iter().any(|pid| test_kill_process(*pid).is_ok() && !is_zombie(*pid)) {
        assert!(Instant::now() < until, "a child is left behind");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A child whose parent was killed waits for init to take notice.
fn is_zombie(pid: Pid) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    text.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
}

#[test]
fn an_interrupted_demo_takes_its_children_and_its_folder_along() {
    let folder = tempfile::tempdir().unwrap();
    let (mut demo, pids, _lines) = start_long_print(folder.path());
    let id = Pid::from_child(&demo);
    kill_process(id, Signal::INT).unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(130));
    assert!(pids.iter().all(|pid| test_kill_process(*pid).is_err()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_children_of_a_killed_demo_end_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let (mut demo, pids, _lines) = start_long_print(folder.path());
    demo.kill().unwrap();
    demo.wait().unwrap();
    wait_until_gone(&pids);
}
