//! `spoolway-agent setup` beside an agent that runs: its printer is taken at its word, a test is printed, and a relay pairs.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use spoolway_agent::pairing::Kept;
use spoolway_tests::agent_program::{AgentProcess, AgentProgram, AgentSetup};
use spoolway_tests::at_port::commands;
use spoolway_tests::pairing::Approver;
use spoolway_tests::pty::{PtyOptions, PtyPrinter, PtyThread};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::lone_relay::LoneRelay;

const BENCH: &str = env!("CARGO_BIN_EXE_spoolway-bench");
/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(120);
/// The rate of a port that has no wire.
const BAUD: u32 = 115_200;
/// Words that heat or move.
const BUSY: [&str; 8] = ["M104", "M109", "M140", "M190", "M106", "G0", "G1", "G28"];

/// An agent that has its printer.
async fn running(folder: &Path) -> (AgentProcess, PtyThread) {
    let mut options = PtyOptions::of_profile("marlin").unwrap();
    options.printer.keep_executed = 10_000;
    let printer = PtyPrinter::open(options).unwrap().spawn().unwrap();
    let setup = AgentSetup::new(folder, printer.path(), BAUD);
    let program = AgentProgram::within(Path::new(BENCH), "agent-program");
    let mut agent = program.start(&setup, &folder.with_extension("log")).unwrap();
    agent.ready().await.unwrap();
    (agent, printer)
}

/// The command, which ends when its parent closes its input.
fn setup(folder: &Path, words: &[&str]) -> Child {
    let mut command = Command::new(BENCH);
    command.arg("agent-program").arg(format!("--config={}", folder.join("agent.toml").display()));
    command.args(["setup", "--yes"]).args(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Its end and all that it said, while its input stays open.
fn end(mut child: Child) -> (Option<i32>, String) {
    let input = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(input);
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn a_printer_that_the_agent_has_is_taken_at_its_word_and_the_line_is_tried_without_heat_or_moves() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("agent");
    let (agent, printer) = running(&folder).await;
    let opened = printer.control().opens();
    let before = std::fs::read_to_string(folder.join("agent.toml")).unwrap();
    let (code, text) = end(setup(&folder, &["--relay", "none", "--test", "line"]));
    assert_eq!(code, Some(0), "{text}");
    for part in ["runs with Marlin", "line: every command was acknowledged", "What to do next"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert_eq!(printer.control().opens(), opened, "nobody else has opened the port");
    assert_eq!(std::fs::read_to_string(folder.join("agent.toml")).unwrap(), before);
    agent.finish().unwrap();
    let executed = commands(printer.finish().unwrap().printer.executed());
    let waits = executed.iter().filter(|line| *line == "G4 P0").count();
    assert_eq!(waits, 400);
    let busy = executed.iter().find(|line| BUSY.contains(&line.split(' ').next().unwrap_or_default()));
    assert_eq!(busy, None, "{executed:?}");
}

#[tokio::test]
async fn a_square_is_not_drawn_where_the_bed_is_not_known() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("agent");
    let (agent, printer) = running(&folder).await;
    let (code, text) = end(setup(&folder, &["--relay", "none", "--test", "move"]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("printer.volume_mm"), "{text}");
    agent.finish().unwrap();
    assert_eq!(commands(printer.finish().unwrap().printer.executed()), [""; 0]);
}

#[tokio::test]
async fn a_relay_pairs_in_the_same_run_and_the_next_run_leaves_the_owner_alone() {
    let relay = LoneRelay::start("localhost").await;
    let folder = relay.agent();
    let (agent, printer) = running(&folder).await;
    let ca = relay.ca();
    let words = ["--relay", &relay.url(), "--words", "unseen", "--ca", ca.to_str().unwrap()];
    let mut child = setup(&folder, &words);
    let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
    let (code, given) = oneshot::channel();
    let printed = std::thread::spawn(move || {
        let (mut code, mut text) = (Some(code), String::new());
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(found) = line.trim().strip_prefix("Code ")
                && let (Some(found), Some(code)) = (found.split_whitespace().next(), code.take())
            {
                let _ = code.send(found.to_owned());
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    });
    let approver =
        Approver::new("localhost", relay.bound.public.port(), "farm.secret", &ca, vec![[9; 32]]).unwrap();
    let code = timeout(HANG, given).await.unwrap().unwrap();
    let mut claimed = approver.claim(&code, [4; 32]).await.unwrap();
    timeout(HANG, approver.words(&mut claimed)).await.unwrap().unwrap();
    approver.say(&claimed, "approve").await.unwrap();
    let ended = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
    drop(input);
    let text = printed.join().unwrap();
    assert!(ended.success() && text.contains("owner    farm"), "{ended} {text}");
    assert_eq!(Kept::read(&folder).unwrap().unwrap().owner.as_str(), "farm");
    let again = setup(&folder, &words);
    let (code, text) = tokio::task::spawn_blocking(move || end(again)).await.unwrap();
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains("Pairing over"), "{text}");
    agent.finish().unwrap();
    printer.finish().unwrap();
}
