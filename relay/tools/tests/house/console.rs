//! What an operator asks a relay that runs, by the commands that he types.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use serde_json::Value;

use crate::world::World;

/// What a command prints, one JSON object a line.
async fn asked(world: &World, command: &str) -> Vec<Value> {
    let text = typed(world, &[command, "--json"]).await;
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a command prints; the relay works meanwhile.
async fn typed(world: &World, args: &[&str]) -> String {
    let mut command = world.command();
    command.args(args);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_relay_says_how_it_is_and_who_is_in() {
    let world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let mut farm = world.backend("farm").await;
    let _agent = world.agent(&mut machine).await;
    assert_eq!(farm.json().await["t"], "presence");

    let status = asked(&world, "status").await.remove(0);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (&status["agents"], &status["backends"], &status["sockets"]),
        (&1.into(), &1.into(), &2.into())
    );
    assert_eq!((&status["draining"], &status["waiting"]), (&false.into(), &serde_json::json!([0, 0, 0, 0])));
    assert!(status["certificate_ends_s"].as_u64().unwrap() > 2_000_000_000, "{status}");

    let agents = asked(&world, "agents").await;
    let [agent] = agents.as_slice() else { panic!("{agents:?}") };
    assert_eq!((&agent["who"], &agent["owner"]), (&format!("a:{}", machine.id).into(), &"farm".into()));
    assert!(agent["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{agent}");
    assert!(agent["since_ms"].as_u64().unwrap() > 1_700_000_000_000, "{agent}");
    assert_eq!(
        (&agent["waiting"], &agent["waiting_bytes"], &agent["behind_ms"]),
        (&0.into(), &0.into(), &0.into())
    );

    let backends = asked(&world, "backends").await;
    let [backend] = backends.as_slice() else { panic!("{backends:?}") };
    assert_eq!((&backend["who"], &backend["serves"]), (&"b:farm".into(), &1.into()));

    let people = typed(&world, &["status"]).await + &typed(&world, &["agents"]).await;
    for part in ["backends    1 process\n", "AGENT  ", &machine.id.to_string()] {
        assert!(people.contains(part), "{part}: {people}");
    }
}

#[tokio::test]
async fn heads_pass_by_whoever_watches_and_bodies_do_not() {
    let world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let mut farm = world.backend("farm").await;
    let mut agent = world.agent(&mut machine).await;
    assert_eq!(farm.json().await["t"], "presence");
    let mut child =
        world.command().args(["tail", "--json"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    let first = tokio::task::spawn_blocking(move || lines.lines().next().unwrap().unwrap());
    // Sent until the watcher, which comes when it likes, has seen one.
    while !first.is_finished() {
        agent.send(r#"{"v":1,"t":"telem","to":"b:farm","key":"p0","body":{"secret":"hush"}}"#).await;
        assert_eq!(farm.json().await["t"], "telem");
    }
    let line = first.await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let head: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&head["t"], &head["to"], &head["key"]), (&"telem".into(), &"b:farm".into(), &"p0".into()));
    assert!(!line.contains("hush") && !line.contains("secret"), "{line}");
}

#[tokio::test]
async fn a_question_that_is_none_is_answered() {
    let world = World::start(|_| {}).await;
    let path = world.dir.path().join("admin.sock");
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(b"\"reboot\"\n").unwrap();
        BufReader::new(stream).lines().next().unwrap().unwrap()
    });
    assert!(answer.await.unwrap().contains("error"));
}
