//! The owner has the agent begin anew in the middle of a print: the next process goes on with it, and no line is sent twice.

use std::path::Path;

use serde_json::Value;
use spoolway_protocol::{AgentId, CmdId, JobState};
use spoolway_tests::at_port::{AgentAtPort, commands};
use spoolway_tests::dial::{Dialler, Frame, Relay, Socket};
use spoolway_tests::printer::PrinterOptions;
use spoolway_tests::pty::{PtyOptions, PtyPrinter, ResetOnOpen};
use tokio::task::spawn_blocking;

use crate::lone_relay::LoneRelay;

const DEMO: &str = env!("CARGO_BIN_EXE_spoolway-demo");
/// What the relay says of an agent that has come in.
const UP: &str = r#""state":"up""#;

async fn until_up(relay: &LoneRelay) -> Socket {
    let relay = Relay {
        host: "localhost".into(),
        port: relay.bound.public.port(),
        token: "farm.secret".into(),
        ca_file: relay.ca(),
    };
    let mut socket = Dialler::new(relay).unwrap().dial().await.unwrap();
    while !socket.next_text().await.unwrap().contains(UP) {}
    socket
}

/// The result of a command. It is given to each connection of the agent anew, as any backend does: with the one before it may be lost.
async fn result(socket: &mut Socket, agent: &AgentId, kind: &str) -> Value {
    let cmd_id = CmdId::from_parts(1_760_000_000_001, &[1; 10]);
    let frame = format!(
        r#"{{"v":1,"t":"cmd","to":"a:{agent}","body":{{"cmd_id":"{cmd_id}","seq":1,"kind":"{kind}","args":{{}},"actor":{{"id":"anna","role":"admin"}}}}}}"#
    );
    socket.send(vec![Frame::text(frame.clone())]).await.unwrap();
    loop {
        let text = socket.next_text().await.unwrap();
        if text.contains(UP) {
            socket.send(vec![Frame::text(frame.clone())]).await.unwrap();
        }
        let told: Value = serde_json::from_str(&text).unwrap();
        let items = told["body"]["items"].as_array().cloned().unwrap_or_default();
        if let Some(last) = items.last() {
            let (epoch, seq) = (&last["epoch"], &last["seq"]);
            let ack =
                format!(r#"{{"v":1,"t":"ack","to":"a:{agent}","body":{{"epoch":{epoch},"seq":{seq}}}}}"#);
            socket.send(vec![Frame::text(ack)]).await.unwrap();
        }
        if let Some(event) = items.iter().find(|event| event["data"]["cmd_id"] == cmd_id.to_string()) {
            return event["data"].clone();
        }
    }
}

#[tokio::test]
async fn a_print_goes_on_when_its_owner_has_the_agent_begin_anew() {
    let relay = LoneRelay::start("localhost").await;
    let dir = tempfile::tempdir().unwrap();
    let identity = relay.know_agent_in(dir.path());
    let mut options = PtyOptions::of_profile("marlin").unwrap();
    options.reset_on_open = ResetOnOpen::First;
    options.printer = PrinterOptions { speed: 2.0, ..PrinterOptions::for_profile("marlin").unwrap() };
    let board = PtyPrinter::open(options).unwrap().spawn().unwrap();
    let port = board.path().to_owned();
    let place = (relay.url(), relay.ca());
    let file: String = (0..400).map(|n| format!("G1 X{} F1200\n", n % 7)).collect();
    let lines = file.clone();
    // Whoever waits for the agent leaves the relay its thread.
    let prints = move || {
        let agent = AgentAtPort::start_kept_at(dir, place, Path::new(DEMO), &port, "marlin");
        agent.until_idle();
        let job = agent.print_text("long.gcode", &lines);
        agent.until_job(&job, JobState::Printing);
        agent.until("some lines", || (agent.job(&job).commands_acked > 5).then_some(()));
        (agent, job)
    };
    let (mut agent, job) = spawn_blocking(prints).await.unwrap();

    let mut socket = until_up(&relay).await;
    let told = result(&mut socket, &identity.agent_id(), "agent.restart").await;
    assert_eq!((told["status"].as_str(), told["code"].as_str()), (Some("done"), None), "{told}");
    let goes_on = move || {
        agent.wait_for_failure();
        let log = agent.log();
        assert!(log.contains("the print goes on when the agent is started again"), "{log}");
        agent.start_again();
        let done = agent.until_job(&job, JobState::Completed);
        assert_eq!(done.attempt, 1, "it is the same print");
        agent.end();
    };
    spawn_blocking(goes_on).await.unwrap();
    let executed = commands(board.finish().unwrap().printer.executed());
    assert_eq!(executed, file.lines().collect::<Vec<_>>());
}
