//! The log of a relay that says all it can, beside every secret that passes through it.

use std::io::Read;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::http::Line;
use crate::pairing::{begun, claim};
use crate::world::{Machine, World};

/// Ended with the test, whatever becomes of it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A second relay on the same folder, as a process of which the log can be read; the world's clients dial it from now on.
fn take_over(world: &mut World) -> (Process, std::path::PathBuf) {
    let path = world.dir.path().join("log");
    let log = std::fs::File::create(&path).unwrap();
    let mut command = world.command();
    command.args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.args(["--set", "log.format=json", "--set", "log.level=trace"]);
    let child = Process(command.stderr(Stdio::from(log)).spawn().unwrap());
    let address = loop {
        let text = std::fs::read_to_string(&path).unwrap();
        if let Some(line) = text.lines().find(|line| line.contains("relay is up") && line.ends_with('}')) {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            break line["fields"]["public"].as_str().unwrap().parse().unwrap();
        }
        std::thread::yield_now();
    };
    world.bound.public = address;
    (child, path)
}

#[tokio::test]
async fn no_line_holds_a_secret_a_code_or_a_body() {
    let mut world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let (mut child, path) = take_over(&mut world);
    let wrong = [("sec-websocket-protocol", "spoolway.v1"), ("authorization", "Bearer farm.guess-me-not")];
    assert_eq!(world.dial("/backend/v1", &wrong).await.err(), Some(401));
    let mut farm = world.backend("farm").await;
    let mut agent = world.agent_socket().await;
    let (nonce, exporter) = agent.challenge().await;
    let hello = machine.hello(&nonce, "localhost", &exporter);
    let (_, sig) = hello.rsplit_once(r#""sig":""#).unwrap();
    let sig = sig.trim_end_matches(r#""}}"#).to_owned();
    agent.send(hello).await;
    assert_eq!(agent.json().await["t"], "welcome");
    assert_eq!(farm.json().await["t"], "presence");
    farm.send(format!(
        r#"{{"v":1,"t":"cmd","to":"a:{}","body":{{"hush":"G28 of a customer"}}}}"#,
        machine.id
    ))
    .await;
    assert_eq!(agent.json().await["t"], "cmd");
    agent.send(r#"{"v":1,"t":"events","to":"b:farm","body":{"hush":"benchy.gcode"}}"#).await;
    assert_eq!(farm.json().await["t"], "events");
    let mut line = Line::dial(&world).await;
    let stranger = Machine::new(2);
    let (pair_id, code) = begun(&mut line, &stranger).await;
    assert_eq!(claim(&mut line, "farm", &code).await.status, 200);
    let page = line.send("GET", &format!("/pair/{code}"), &[], "").await;
    assert_eq!(page.status, 200);
    let mut line = Line::dial(&world).await;
    let token = json!({"pubkey": "", "info": {"host": "pi"}, "token": "5f1c9a22.not-this-token"});
    assert_ne!(line.signed("/pair/v1/enrol", &stranger, &token).await.status, 200);
    kill_process(Pid::from_child(&child.0), Signal::TERM).unwrap();
    assert_eq!(child.0.wait().unwrap().code(), Some(0));

    let mut log = String::new();
    std::fs::File::open(path).unwrap().read_to_string(&mut log).unwrap();
    for said in ["agent in", "backend in", "auth_failure", "pairing claimed", "relay is down"] {
        assert!(log.contains(said), "{said} in {log}");
    }
    let key = std::fs::read_to_string(world.dir.path().join("tls/server.key")).unwrap();
    let secrets =
        ["farm.secret", "guess-me-not", "hush", "G28", "benchy", "not-this-token", "Bearer", "PRIVATE KEY"];
    let drawn = [sig.as_str(), code.as_str(), pair_id.as_str(), key.lines().nth(1).unwrap()];
    for secret in secrets.into_iter().chain(drawn) {
        let found = log.lines().find(|line| line.contains(secret));
        assert!(found.is_none(), "{secret} in {found:?}");
    }
}

/// Its standard error is a file on a disk that is full: a complaint of that would be a panic of whoever has something to say.
#[tokio::test]
async fn a_log_that_takes_no_line_keeps_nobody_out() {
    let mut world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    drop(taken);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = world.command();
    command.args(["run", "--listen", &address.to_string(), "--admin", "127.0.0.1:0"]);
    command.args(["--set", "log.format=json", "--set", "log.level=trace"]);
    let mut relay = Process(command.stderr(Stdio::from(full)).spawn().unwrap());
    world.bound.public = address;
    while tokio::net::TcpStream::connect(address).await.is_err() {
        assert_eq!(relay.0.try_wait().unwrap(), None, "it has ended");
        tokio::task::yield_now().await;
    }
    let mut agent = world.agent_socket().await;
    let (nonce, exporter) = agent.challenge().await;
    agent.send(machine.hello(&nonce, "localhost", &exporter)).await;
    assert_eq!(agent.json().await["t"], "welcome");
    assert_eq!(relay.0.try_wait().unwrap(), None);
}
