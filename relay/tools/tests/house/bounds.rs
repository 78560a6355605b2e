//! Bounds that are met in no other story: each is set to something small, or is a constant, and is run into.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::SinkExt;
use serde_json::{Value, json};
use spoolway_protocol::limits::BINARY_FRAME_BYTES;
use spoolway_protocol::transfer::Chunk;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use crate::http::Line;
use crate::pairing::begun;
use crate::traffic::{connected, nack};
use crate::world::{Client, HANG, Machine, Seen, World, without_rates};

/// Frames of 60,000 bytes: more than the kernel holds between two ends that are not read, whatever its settings.
const FLOOD: usize = 1_500;

#[tokio::test]
async fn what_an_operator_sets_is_what_peers_are_told() {
    let world = World::start(|config| {
        let (session, telemetry) = (&mut config.session, &mut config.telemetry);
        (session.hb_ms, session.dead_ms) = (30_000, 90_000);
        (session.window_events, session.window_bytes) = (17, 70_000);
        (telemetry.idle_ms, telemetry.printing_ms) = (11_000, 2_000);
        (telemetry.watch_ms, telemetry.watch_ttl_ms) = (500, 9_000);
        (config.drain.within_ms, config.drain.spread_ms) = (3_000, 7_000);
    })
    .await;
    let mut machine = world.add_agent(1, "farm");
    let mut agent = world.agent_socket().await;
    let welcome = agent.hello(&mut machine).await["body"].take();
    assert_eq!((&welcome["hb_ms"], &welcome["dead_ms"]), (&json!(30_000), &json!(90_000)));
    assert_eq!(welcome["window"], json!({"events": 17, "bytes": 70_000}));
    let rates = json!({"idle_ms": 11_000, "printing_ms": 2_000, "watch_ms": 500, "watch_ttl_ms": 9_000});
    assert_eq!(welcome["telem"], rates);
    world.stop.cancel();
    let drain = agent.json().await;
    assert_eq!(drain["body"], json!({"within_ms": 3_000, "spread_ms": 7_000}), "{drain}");
}

#[tokio::test]
async fn an_agent_that_sends_too_many_bytes_is_read_slowly() {
    let world = World::start(|config| {
        config.limits.agent_frames_per_s = 0;
        config.limits.agent_bytes_per_s = 1_000;
    })
    .await;
    let (_agent, mut backend, _) = connected(&world).await;
    let mut machine = world.add_agent(2, "farm");
    let mut loud = world.agent(&mut machine).await;
    assert_eq!(backend.json().await["t"], "presence");
    let event = format!(r#"{{"v":1,"t":"events","to":"b:farm","body":"{}"}}"#, "x".repeat(2_000));
    let flood =
        tokio::spawn(
            async move { while loud.socket.send(Message::Text(event.clone().into())).await.is_ok() {} },
        );
    // Four seconds of them come at once, and a frame that has begun is not cut.
    assert_eq!(backend.json().await["t"], "events");
    while world.metric(r#"spoolway_relay_security_events_total{kind="rate_trip"}"#).await == 0 {}
    let read = world.metric(r#"spoolway_relay_bytes_in_total{class="reliable"}"#).await;
    assert!(read < 100_000, "not as much as it sends: {read}");
    flood.abort();
}

#[tokio::test]
async fn commands_of_one_backend_have_a_measure_for_all_its_agents_and_stops_count_there() {
    let world = World::start(|config| {
        config.limits.agent_commands_per_s = 0;
        config.limits.backend_commands_per_s = 1;
    })
    .await;
    let (mut one, mut backend, first) = connected(&world).await;
    let mut machine = world.add_agent(2, "farm");
    let _two = world.agent(&mut machine).await;
    assert_eq!(backend.json().await["t"], "presence");
    let command =
        |to: &str, lane: &str| format!(r#"{{"v":1,"t":"cmd","to":"{to}",{lane}"id":"m","body":1}}"#);
    let (first, second) = (format!("a:{first}"), format!("a:{}", machine.id));
    for _ in 0..20 {
        backend.send(command(&first, r#""lane":"urgent","#)).await;
        backend.send(command(&second, "")).await;
    }
    assert_eq!(one.json().await["t"], "cmd");
    let told = backend.json().await;
    assert_eq!((&told["t"], &told["body"]["kind"]), (&"security".into(), &"rate_trip".into()));
    assert_eq!(nack(&mut backend).await.0, "busy");
    // Another backend is not concerned.
    let mut neighbour = world.add_agent(3, "other");
    let (mut other, mut three) = (world.backend("other").await, world.agent(&mut neighbour).await);
    assert_eq!(other.json().await["t"], "presence");
    other.send(command(&format!("a:{}", neighbour.id), "")).await;
    assert_eq!(three.json().await["t"], "cmd");
}

/// Floods a backend that does not read with frames of 60,000 bytes, each with a slot of its own where there are slots, until some are lost.
/// Three wait then, which is the bound here; and what it gets and what was lost is all that was sent.
async fn flooded(kind: &str, class: &str, set: impl FnOnce(&mut spoolway_relay::config::Limits)) {
    let world = World::start(|config| {
        without_rates(config);
        set(&mut config.limits);
    })
    .await;
    let (mut agent, mut backend, _) = connected(&world).await;
    let body = "x".repeat(60_000);
    let loses = format!("spoolway_relay_{class}_dropped_total");
    let (mut sent, mut lost) = (0, 0);
    // One by one, so that the writer has its turn between them: nothing is lost before the kernel has had its fill.
    while lost < 10 {
        assert!(sent < FLOOD, "something had to go");
        let key = if kind == "telem" { format!(r#""key":"k{sent}","#) } else { String::new() };
        agent.send(format!(r#"{{"v":1,"t":"{kind}","to":"b:farm",{key}"body":[{sent},"{body}"]}}"#)).await;
        sent += 1;
        agent.send(r#"{"v":1,"t":"hb","body":{"n":1}}"#).await;
        assert_eq!(agent.json().await["t"], "hb.ack", "the agent is not held up");
        lost = world.metric(&loses).await;
    }
    let waiting = world.metric(&format!(r#"spoolway_relay_mailbox_frames{{class="{class}"}}"#)).await;
    assert_eq!(waiting, 3, "as many as may wait of {class}");
    let mut seen = Vec::new();
    while seen.last() != Some(&(sent - 1)) {
        seen.push(backend.json().await["body"][0].as_u64().unwrap() as usize);
    }
    assert!(seen.is_sorted() && seen.ends_with(&[sent - 3, sent - 2, sent - 1]), "the oldest went: {seen:?}");
    assert_eq!(seen.len() as u64 + world.metric(&loses).await, sent as u64, "and all of it is counted");
}

#[tokio::test]
async fn what_may_be_lost_waits_up_to_its_bounds_and_the_oldest_goes() {
    // A queue takes a frame as long as it is below its bounds: the third oversteps 150,000 bytes.
    flooded("telem", "telemetry", |limits| limits.telemetry_slots = 3).await;
    flooded("telem", "telemetry", |limits| limits.telemetry_bytes = 200_000).await;
    flooded("log.lines", "log", |limits| (limits.log_frames, limits.log_bytes) = (3, 1 << 20)).await;
    flooded("log.lines", "log", |limits| (limits.log_frames, limits.log_bytes) = (1_000, 200_000)).await;
}

/// What a backend hears first after a command: that it was refused, or the answer to the heartbeat behind it.
async fn told_of(backend: &mut Client, command: &str) -> Value {
    backend.send(command).await;
    backend.send(r#"{"v":1,"t":"hb","body":{"n":1}}"#).await;
    backend.json().await
}

#[tokio::test]
async fn reliable_frames_wait_up_to_their_bytes_and_chunks_up_to_their_number() {
    let world = World::start(|config| {
        without_rates(config);
        config.limits.mailbox_bytes = 70_000;
        config.limits.mailbox_frames = 1_000;
        config.limits.bulk_frames = 2;
    })
    .await;
    let (mut agent, mut backend, id) = connected(&world).await;
    let command = format!(r#"{{"v":1,"t":"cmd","to":"a:{id}","id":"m1","body":"{}"}}"#, "x".repeat(60_000));
    let (mut taken, mut told) = (0, told_of(&mut backend, &command).await);
    while told["t"] == "hb.ack" {
        taken += 1;
        told = told_of(&mut backend, &command).await;
    }
    assert_eq!((&told["t"], &told["body"]["code"]), (&"nack".into(), &"busy".into()));
    assert_eq!(backend.json().await["t"], "hb.ack");
    let waiting = world.metric(r#"spoolway_relay_mailbox_frames{class="reliable"}"#).await;
    assert!((1..=2).contains(&waiting), "{waiting} of 60,000 bytes each");
    for _ in 0..taken {
        assert_eq!(agent.json().await["t"], "cmd");
    }
    let has_waited = Arc::new(AtomicBool::new(false));
    let sender = tokio::spawn({
        let has_waited = Arc::clone(&has_waited);
        async move {
            let (payload, mut offset, mut stream) = (vec![7; 65_536], 0, 7);
            while stream == 7 {
                // The last one goes by another name.
                stream += u32::from(has_waited.load(Ordering::Relaxed));
                let chunk = Chunk { to: *id.as_bytes(), stream, offset, payload: &payload };
                backend.send_binary(chunk.encode().unwrap()).await;
                offset += 65_536;
            }
            (backend, offset)
        }
    });
    while world.metric("spoolway_relay_sender_waits_total").await == 0 {}
    assert!(world.metric(r#"spoolway_relay_mailbox_frames{class="bulk"}"#).await <= 2);
    has_waited.store(true, Ordering::Relaxed);
    let (mut stream, mut offset) = (7, 0);
    while stream == 7 {
        let Seen::Binary(bytes) = agent.seen().await else { panic!("a chunk is expected") };
        let chunk = Chunk::decode(&bytes).unwrap();
        assert_eq!(chunk.offset, offset, "in order, and none is missing");
        (stream, offset) = (chunk.stream, offset + 65_536);
    }
    assert_eq!(sender.await.unwrap().1, offset);
}

#[tokio::test]
async fn a_chunk_that_is_larger_than_any_ends_its_connection() {
    let world = World::start(|_| {}).await;
    let (_agent, mut backend, _) = connected(&world).await;
    // The relay may close before everything is sent.
    let _ = backend.socket.send(Message::Binary(vec![1; BINARY_FRAME_BYTES + 1].into())).await;
    assert_eq!(backend.close_code().await, 4000);
}

#[tokio::test]
async fn a_request_whose_head_has_no_end_is_refused() {
    let world = World::start(|_| {}).await;
    for path in ["/agent/v1", "/v1/events"] {
        let mut tls = world.tls().await;
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nx: {}", "y".repeat(9_000));
        tls.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // It may be gone without a goodbye of TLS.
        let _ = tokio::time::timeout(HANG, tls.read_to_end(&mut answer)).await.expect("an end");
        assert!(answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test]
async fn a_backend_signs_with_two_keys_at_most() {
    let world = World::start(|_| {}).await;
    let mut line = Line::dial(&world).await;
    let (_, code) = begun(&mut line, &Machine::new(7)).await;
    let claim = |keys: usize| {
        let keys = vec![STANDARD.encode([9; 32]); keys];
        json!({"code": code, "nonce": STANDARD.encode([5; 32]), "keys": keys}).to_string()
    };
    let many = line.as_backend("POST", "/v1/pairings/claim", "farm", &claim(3)).await;
    assert_eq!((many.status, &many.body["code"]), (400, &json!("bad_field")));
    let two = line.as_backend("POST", "/v1/pairings/claim", "farm", &claim(2)).await;
    assert_eq!((two.status, &two.body["state"]), (200, &json!("claimed")), "the code is still good");
}

#[tokio::test]
async fn whoever_asks_on_and_on_about_a_pairing_is_told_to_wait() {
    let world = World::start(|_| {}).await;
    let (machine, mut line) = (Machine::new(7), Line::dial(&world).await);
    let (mut asked, look) = (0, json!({"pair_id": "unheard-of", "say": "look"}));
    let often = loop {
        let answer = line.signed("/pair/v1/step", &machine, &look).await;
        if answer.status != 404 {
            break answer;
        }
        asked += 1;
    };
    assert_eq!((often.status, &often.body["code"]), (429, &json!("rate_limited")));
    assert!(often.retry_after.is_some() && asked >= 200, "two hundred at once, and not {asked}");
}

#[tokio::test]
async fn questions_of_the_console_have_a_length_and_its_watchers_a_number() {
    let world = World::start(|_| {}).await;
    let path = world.dir.path().join("admin.sock");
    let asks = move || {
        let ask = |question: &[u8]| {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.set_read_timeout(Some(HANG)).unwrap();
            // Whoever is not let in is hung up on.
            let _ = stream.write_all(question);
            stream
        };
        let read = |mut stream: UnixStream| {
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            answer
        };
        assert!(read(ask(&[b'x'; 2_048])).contains("error"), "it is not waited for the end of a line");
        let mut watchers: Vec<_> = (0..8).map(|_| ask(b"\"tail\"\n")).collect();
        assert_eq!(read(ask(b"\"status\"\n")), "", "all places are taken");
        watchers.pop();
        while read(ask(b"\"status\"\n")).is_empty() {}
    };
    tokio::task::spawn_blocking(asks).await.unwrap();
}

/// Both bounds are ten seconds.
#[tokio::test]
async fn whoever_begins_to_ask_and_goes_no_further_is_not_waited_for() {
    let world = World::start(|_| {}).await;
    let path = world.dir.path().join("admin.sock");
    let mute = tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream.read(&mut [0; 1]).unwrap()
    });
    let mut tls = world.tls().await;
    let head = "POST /pair/v1/step HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\n\r\n";
    tls.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 16];
    tokio::time::timeout(HANG, tls.read_exact(&mut answer)).await.expect("an answer").unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 408 Req");
    assert_eq!(mute.await.unwrap(), 0);
}
