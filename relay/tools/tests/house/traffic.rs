//! What passes between agents and backends, what is refused, and what happens when somebody does not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::SinkExt;
use serde_json::Value;
use spoolway_protocol::AgentId;
use spoolway_protocol::transfer::Chunk;
use tokio_tungstenite::tungstenite::Message;

use crate::world::{Client, Seen, World, without_rates};

/// A body that every JSON library would change: spacing, escapes, numbers beyond f64, a key that stands twice.
const ODD_BODY: &str = "{ \"z\" : 1.50e+00,\t\"a\":\"\\u00e9\\/\\ud83d\\ude00\u{e9}\", \"n\":123456789012345678901234567890.10, \"n\":-0, \"\":[ ],\"to\":\"relay\" ,\"from\":\"b:liar\"}";

pub(crate) async fn connected(world: &World) -> (Client, Client, AgentId) {
    let mut machine = world.add_agent(1, "farm");
    let mut backend = world.backend("farm").await;
    let agent = world.agent(&mut machine).await;
    let presence = backend.json().await;
    assert_eq!((&presence["t"], &presence["body"]["state"]), (&"presence".into(), &"up".into()));
    assert_eq!(
        (&presence["body"]["cmd_seq"], &presence["body"]["outbox"]["oldest_unacked"]),
        (&5.into(), &7.into())
    );
    assert_eq!(presence["body"]["agent"], machine.id.to_string());
    (agent, backend, machine.id)
}

pub(crate) async fn nack(client: &mut Client) -> (String, Value) {
    let frame = client.json().await;
    assert_eq!(frame["t"], "nack", "{frame}");
    (frame["body"]["code"].as_str().unwrap().to_owned(), frame["re"].clone())
}

#[tokio::test]
async fn a_kind_from_the_future_passes_byte_for_byte_both_ways() {
    let world = World::start(|_| {}).await;
    let (mut agent, mut backend, id) = connected(&world).await;
    let head = r#""t":"from.the.future","lane":"urgent","id":"m1""#;
    agent
        .send(format!(r#"{{"v":1,{head},"from":"b:liar","to":"b:farm","hop":[ 1 ],"body":{ODD_BODY}}}"#))
        .await;
    let got = backend.text().await;
    let age = if got.contains("age_ms") {
        got.split("\"age_ms\":").nth(1).unwrap().split(',').next()
    } else {
        None
    };
    let age = age.map(|age| format!(r#","age_ms":{age}"#)).unwrap_or_default();
    let expected = format!(
        r#"{{"v":1,"t":"from.the.future","to":"b:farm","lane":"urgent"{age},"id":"m1","from":"a:{id}","hop":[ 1 ],"body":{ODD_BODY}}}"#
    );
    assert_eq!(got, expected);
    backend.send(format!(r#"{{"v":1,"t":"x","to":"a:{id}","body":{ODD_BODY}}}"#)).await;
    let got = agent.text().await;
    assert!(
        got.ends_with(&format!(r#","body":{ODD_BODY}}}"#)) && got.contains(r#""from":"b:farm""#),
        "{got}"
    );
}

#[tokio::test]
async fn nobody_reaches_whom_he_may_not() {
    let world = World::start(|_| {}).await;
    let (mut agent, mut backend, id) = connected(&world).await;
    let mut stranger = world.add_agent(2, "other");
    let mut neighbour = world.agent(&mut stranger).await;
    let other = format!("a:{}", stranger.id);
    for to in ["b:other", other.as_str()] {
        agent.send(format!(r#"{{"v":1,"t":"events","to":"{to}","id":"m1","body":{{}}}}"#)).await;
        assert_eq!(nack(&mut agent).await, ("unauthorised".into(), "m1".into()));
    }
    for to in ["b:other", other.as_str()] {
        backend.send(format!(r#"{{"v":1,"t":"cmd","to":"{to}","id":"m2","body":{{}}}}"#)).await;
        assert_eq!(nack(&mut backend).await, ("unauthorised".into(), "m2".into()));
    }
    backend
        .send(format!(r#"{{"v":1,"t":"cmd","to":"a:{}","body":{{}}}}"#, AgentId::from_bytes([3; 16])))
        .await;
    assert_eq!(nack(&mut backend).await.0, "offline");
    neighbour.send(r#"{"v":1,"t":"events","to":"b:other","id":"m3","body":{}}"#).await;
    assert_eq!(nack(&mut neighbour).await, ("offline".into(), "m3".into()));
    neighbour.send(r#"{"v":1,"t":"telem","to":"b:other","body":{}}"#).await;
    for (frame, code) in [
        (r#"{"v":1,"t":"x","to":"nowhere","body":{}}"#, "bad_field"),
        (r#"{"v":1,"t":"what","body":{}}"#, "unknown_type"),
        (r#"{"v":1,"t":"subscribe","body":{}}"#, "unknown_type"),
        (r#"{"v":1,"t":"hb","to":"relay","body":{"n":"one"}}"#, "bad_field"),
    ] {
        neighbour.send(frame).await;
        assert_eq!(nack(&mut neighbour).await.0, code, "{frame}");
    }
    agent.send(r#"{"v":1,"t":"telem","to":"b:farm","body":1}"#).await;
    assert_eq!(backend.json().await["from"], format!("a:{id}"));
}

#[tokio::test]
async fn frames_that_are_too_large_are_refused() {
    let world = World::start(|_| {}).await;
    let (mut agent, mut backend, _) = connected(&world).await;
    let frame = |len: usize| format!(r#"{{"v":1,"t":"x","to":"b:farm","body":"{}"}}"#, "a".repeat(len));
    agent.send(frame(65_000)).await;
    assert!(backend.text().await.len() > 65_000);
    agent.send(frame(65_480)).await;
    assert_eq!(nack(&mut agent).await.0, "too_large", "with its sender's name it would be");
    agent.send(frame(65_510)).await;
    assert_eq!(nack(&mut agent).await.0, "too_large");
    // The relay may close before everything is sent.
    let _ = agent.socket.send(Message::Text(frame(200_000).into())).await;
    assert_eq!(agent.close_code().await, 4000);
    assert_eq!(backend.json().await["t"], "security");
    assert_eq!(backend.json().await["body"]["state"], "down");
}

#[tokio::test]
async fn chunks_go_from_the_owner_to_its_agent() {
    let world = World::start(|_| {}).await;
    let (mut agent, mut backend, id) = connected(&world).await;
    let payload = vec![0xa5; 65_536];
    for offset in 0..40_u64 {
        let chunk = Chunk { to: *id.as_bytes(), stream: 7, offset: offset * 65_536, payload: &payload };
        backend.send_binary(chunk.encode().unwrap()).await;
        // The agent reads only now and then, so that the relay has to make the backend wait.
        if offset % 10 == 9 {
            for back in (0..10).rev() {
                let Seen::Binary(bytes) = agent.seen().await else { panic!("chunk expected") };
                let seen = Chunk::decode(&bytes).unwrap();
                assert_eq!((seen.offset, seen.payload), ((offset - back) * 65_536, payload.as_slice()));
            }
        }
    }
    let stranger = world.add_agent(2, "other");
    let mut machine = stranger;
    let _neighbour = world.agent(&mut machine).await;
    let chunk = Chunk { to: *machine.id.as_bytes(), stream: 7, offset: 0, payload: b"x" };
    backend.send_binary(chunk.encode().unwrap()).await;
    assert_eq!(nack(&mut backend).await.0, "unauthorised");
    backend.send_binary(vec![2; 40]).await;
    assert_eq!(nack(&mut backend).await.0, "bad_field");
    agent.send_binary(chunk.encode().unwrap()).await;
    assert_eq!(nack(&mut agent).await.0, "unauthorised");
}

/// Frames of 60,000 bytes: more than the kernel holds, whatever its settings.
const FLOOD: usize = 1_500;

fn bulky(kind: &str, n: usize) -> String {
    format!(
        r#"{{"v":1,"t":"{kind}","to":"b:farm","key":"p0","body":{{"n":{n},"x":"{}"}}}}"#,
        "x".repeat(60_000)
    )
}

#[tokio::test]
async fn a_backend_that_does_not_read_gets_the_latest_telemetry() {
    let world = World::start(without_rates).await;
    let (mut agent, mut backend, _) = connected(&world).await;
    let (mut sent, mut coalesced) = (0, 0);
    // One by one, so that the writer has its turn between them.
    while coalesced < 10 {
        assert!(sent < FLOOD, "the backend does not read");
        agent.send(bulky("telem", sent)).await;
        sent += 1;
        agent.send(r#"{"v":1,"t":"hb","body":{"n":1}}"#).await;
        assert_eq!(agent.json().await["t"], "hb.ack", "the agent is not held up by telemetry");
        coalesced = world.metric("spoolway_relay_telemetry_coalesced_total").await;
    }
    let waiting = world.metric(r#"spoolway_relay_mailbox_frames{class="telemetry"}"#).await;
    assert_eq!(waiting, 1, "the latest, and no other");
    let mut seen = Vec::new();
    while seen.last() != Some(&(sent - 1)) {
        seen.push(backend.json().await["body"]["n"].as_u64().unwrap() as usize);
    }
    assert!(seen.is_sorted() && seen.len() < sent, "{} frames", seen.len());
    let coalesced = world.metric("spoolway_relay_telemetry_coalesced_total").await;
    assert_eq!(coalesced as usize, sent - seen.len());
    assert_eq!(world.metric("spoolway_relay_telemetry_dropped_total").await, 0);
}

#[tokio::test]
async fn a_backend_that_does_not_read_makes_the_agent_wait_and_loses_no_event() {
    let world = World::start(without_rates).await;
    let (mut agent, mut backend, _) = connected(&world).await;
    let has_waited = Arc::new(AtomicBool::new(false));
    let sender = tokio::spawn({
        let has_waited = Arc::clone(&has_waited);
        async move {
            let (mut kind, mut sent) = ("events", 0);
            while kind == "events" {
                kind = if has_waited.load(Ordering::Relaxed) { "last" } else { kind };
                agent.send(bulky(kind, sent).replace(r#""key":"p0","#, "")).await;
                sent += 1;
            }
            (agent, sent)
        }
    });
    while world.metric("spoolway_relay_sender_waits_total").await == 0 {
        tokio::task::yield_now().await;
    }
    has_waited.store(true, Ordering::Relaxed);
    let (mut frame, mut heard) = (Value::Null, 0);
    while frame["t"] != "last" {
        frame = backend.json().await;
        assert_eq!(frame["body"]["n"].as_u64(), Some(heard as u64), "{}", frame["t"]);
        heard += 1;
    }
    let (agent, sent) = sender.await.unwrap();
    assert_eq!(heard, sent);
    drop(agent);
    assert_eq!(backend.json().await["body"]["state"], "down");
}

#[tokio::test]
async fn an_agent_that_does_not_read_is_busy_and_then_closed() {
    let world = World::start(|config| {
        without_rates(config);
        config.limits.stalled_write_ms = 2_000;
    })
    .await;
    let (_agent, mut backend, id) = connected(&world).await;
    let mut codes = std::collections::BTreeSet::new();
    let body = "x".repeat(60_000);
    while !codes.contains("down") {
        backend.send(format!(r#"{{"v":1,"t":"cmd","to":"a:{id}","body":"{body}"}}"#)).await;
        // Reads whatever is there, and goes on sending otherwise.
        while let Ok(seen) = tokio::time::timeout(std::time::Duration::ZERO, backend.json()).await {
            let word = if seen["t"] == "nack" { &seen["body"]["code"] } else { &seen["body"]["state"] };
            codes.insert(word.as_str().unwrap().to_owned());
        }
    }
    assert!(codes.contains("busy"), "{codes:?}");
    assert_eq!(world.metric("spoolway_relay_slow_peers_total").await, 1);
}

#[tokio::test]
async fn processes_of_one_owner_share_its_agents_and_take_over() {
    let world = World::start(|_| {}).await;
    let (mut agent, mut one, id) = connected(&world).await;
    let mut two = world.backend("farm").await;
    let send = r#"{"v":1,"t":"x","to":"b:farm","body":1}"#;
    agent.send(send).await;
    assert_eq!(one.json().await["t"], "x");
    two.send(format!(r#"{{"v":1,"t":"cmd","to":"a:{id}","body":2}}"#)).await;
    assert_eq!(agent.json().await["t"], "cmd", "any process may command");
    one.socket.close(None).await.unwrap();
    assert_eq!(two.json().await["body"]["state"], "up");
    agent.send(send).await;
    assert_eq!(two.json().await["t"], "x");
}

#[tokio::test]
async fn watchers_see_events_and_telemetry_and_nothing_else() {
    let world = World::start(|_| {}).await;
    let (mut agent, mut owner, id) = connected(&world).await;
    let mut watcher = world.backend("other").await;
    watcher.send(r#"{"v":1,"t":"subscribe","id":"m1","body":{"organisation":"elsewhere"}}"#).await;
    assert_eq!(nack(&mut watcher).await, ("unauthorised".into(), "m1".into()));
    watcher.send(r#"{"v":1,"t":"subscribe","body":{"organisation":"org"}}"#).await;
    assert_eq!(watcher.json().await["body"]["state"], "up");
    for kind in ["cmd.recv", "events", "telem"] {
        agent.send(format!(r#"{{"v":1,"t":"{kind}","to":"b:farm","body":{{}}}}"#)).await;
        assert_eq!(owner.json().await["t"], kind);
    }
    assert_eq!(watcher.json().await["t"], "events");
    assert_eq!(watcher.json().await["t"], "telem");
    for kind in ["cmd", "ack"] {
        watcher.send(format!(r#"{{"v":1,"t":"{kind}","to":"a:{id}","body":{{}}}}"#)).await;
        assert_eq!(nack(&mut watcher).await.0, "unauthorised", "{kind}");
    }
    drop(agent);
    assert_eq!(watcher.json().await["body"]["state"], "down");
}

#[tokio::test]
async fn the_admin_page_tells_what_is_going_on() {
    let world = World::start(|_| {}).await;
    let (mut agent, mut backend, _) = connected(&world).await;
    assert!(world.admin("/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(world.admin("/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(world.admin("/elsewhere").await.starts_with("HTTP/1.1 404"));
    agent.send(r#"{"v":1,"t":"telem","to":"b:farm","body":{}}"#).await;
    backend.text().await;
    assert_eq!(world.metric(r#"spoolway_relay_sockets{kind="agent"}"#).await, 1);
    assert_eq!(world.metric(r#"spoolway_relay_sockets{kind="backend"}"#).await, 1);
    assert_eq!(world.metric(r#"spoolway_relay_frames_in_total{class="telemetry"}"#).await, 1);
    assert_eq!(world.metric(r#"spoolway_relay_frames_out_total{class="telemetry"}"#).await, 1);
    assert_eq!(world.metric("spoolway_relay_open_sockets").await, 2);
}

#[tokio::test]
async fn a_stop_is_announced_and_ends_in_time() {
    let mut world = World::start(|config| config.drain.within_ms = 3_000).await;
    let (mut agent, mut backend, _) = connected(&world).await;
    let mute = world.tls().await;
    world.stop.cancel();
    for client in [&mut agent, &mut backend] {
        let drain = client.json().await;
        assert_eq!((&drain["t"], &drain["body"]["within_ms"]), (&"drain".into(), &3_000.into()));
        assert_eq!(client.close_code().await, 4010);
        assert_eq!(client.seen().await, Seen::Gone);
    }
    (&mut world.relay).await.unwrap().unwrap();
    drop(mute);
}
