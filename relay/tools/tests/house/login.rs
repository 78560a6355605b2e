//! Who gets in and who does not, over real TLS on loopback.

use crate::http::Line;
use crate::world::{Machine, Seen, World};
use serde_json::json;
use spoolway_protocol::pairing::FORGET_PATH;
use spoolway_relay_registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_real_key_is_welcomed_and_told_its_owner() {
    let world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let mut client = world.agent_socket().await;
    let welcome = client.hello(&mut machine).await;
    assert_eq!(welcome["t"], "welcome");
    assert_eq!(welcome["body"]["owner"], "b:farm");
    assert_eq!(welcome["body"]["window"]["events"], 256);
    client.send(r#"{"v":1,"t":"hb","id":"m7","body":{"n":4}}"#).await;
    let ack = client.json().await;
    assert_eq!((&ack["t"], &ack["re"], &ack["body"]["n"]), (&"hb.ack".into(), &"m7".into(), &4.into()));
    client.send(r#"{"v":1,"t":"bye","body":{"reason":"done"}}"#).await;
    assert_eq!(client.close_code().await, 1000);
}

async fn rejected(world: &World, hello: impl FnOnce(&[u8], &[u8; 32]) -> String) -> (String, u16) {
    let mut client = world.agent_socket().await;
    let (nonce, exporter) = client.challenge().await;
    client.send(hello(&nonce, &exporter)).await;
    let reject = client.json().await;
    assert_eq!(reject["t"], "reject", "{reject}");
    (reject["body"]["code"].as_str().unwrap().to_owned(), client.close_code().await)
}

#[tokio::test]
async fn what_is_not_signed_for_this_very_connection_is_rejected() {
    let world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let bad_sig = ("bad_sig".to_owned(), 4000);
    let wrong_nonce = rejected(&world, |_, exporter| machine.hello(&[0; 32], "localhost", exporter)).await;
    assert_eq!(wrong_nonce, bad_sig);
    let wrong_channel = rejected(&world, |nonce, _| machine.hello(nonce, "localhost", &[0; 32])).await;
    assert_eq!(wrong_channel, bad_sig);
    let wrong_host = rejected(&world, |nonce, exporter| machine.hello(nonce, "evil.example", exporter)).await;
    assert_eq!(wrong_host, bad_sig);
    let altered = rejected(&world, |nonce, exporter| {
        machine.hello(nonce, "localhost", exporter).replace("\"cmd_seq\":5", "\"cmd_seq\":6")
    });
    assert_eq!(altered.await, bad_sig);
    let mut thief = Machine::new(9);
    thief.id = machine.id;
    let other_key = rejected(&world, |nonce, exporter| thief.hello(nonce, "localhost", exporter)).await;
    assert_eq!(other_key, bad_sig);
    assert_eq!(world.metric(r#"spoolway_relay_rejects_total{code="bad_sig"}"#).await, 5);
    world.agent(&mut machine).await;
}

#[tokio::test]
async fn strangers_old_copies_and_other_protocols_are_rejected() {
    let world = World::start(|_| {}).await;
    let mut stranger = Machine::new(2);
    let unknown = rejected(&world, |nonce, exporter| stranger.hello(nonce, "localhost", exporter)).await;
    assert_eq!(unknown, ("unpaired".into(), 4003));
    let mut machine = world.add_agent(1, "farm");
    machine.hello_ctr = 100;
    drop(world.agent(&mut machine).await);
    machine.hello_ctr = 100;
    let again = rejected(&world, |nonce, exporter| machine.hello(nonce, "localhost", exporter)).await;
    assert_eq!(again, ("clone_suspected".into(), 4090), "the same counter twice");
    let other = rejected(&world, |nonce, exporter| {
        machine.hello(nonce, "localhost", exporter).replace("spoolway.v1", "spoolway.v2")
    });
    assert_eq!(other.await, ("proto_unsupported".into(), 4426));
}

#[tokio::test]
async fn whoever_cannot_be_looked_at_now_is_told_when_to_come_again() {
    let world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let mut known = world.agent(&mut machine).await;
    // The registry's file is spoilt under the relay's hands.
    world.spoil_registry();
    let mut another = Machine::new(2);
    let busy = rejected(&world, |nonce, exporter| another.hello(nonce, "localhost", exporter)).await;
    assert_eq!(busy, ("rate_limited".into(), 4029));

    let mut late = world.agent_socket().await;
    let (nonce, exporter) = late.challenge().await;
    world.stop.cancel();
    assert_eq!(known.json().await["t"], "drain");
    late.send(machine.hello(&nonce, "localhost", &exporter)).await;
    let reject = late.json().await;
    assert_eq!((&reject["t"], &reject["body"]["code"]), (&"reject".into(), &"draining".into()), "{reject}");
    assert!(reject["body"]["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{reject}");
    assert_eq!(late.close_code().await, 4010);
}

#[tokio::test]
async fn a_revocation_on_the_command_line_reaches_a_running_relay() {
    let world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let mut client = world.agent(&mut machine).await;
    let id = machine.id.to_string();
    assert_eq!(world.cli(&["agent", "revoke", &id]).0, 0);
    assert_eq!(client.close_code().await, 4003);
    let again = rejected(&world, |nonce, exporter| machine.hello(nonce, "localhost", exporter)).await;
    assert_eq!(again, ("revoked".into(), 4003));
    let mut backend = world.backend("farm").await;
    assert_eq!(world.cli(&["backend", "revoke", "farm"]).0, 0);
    assert_eq!(backend.close_code().await, 4003);
    let headers = [("sec-websocket-protocol", "spoolway.v1"), ("authorization", "Bearer farm.secret")];
    assert_eq!(world.dial("/backend/v1", &headers).await.err(), Some(401));
}

#[tokio::test]
async fn an_agent_that_forgets_is_closed_at_once_and_nobody_else_has_it_forgotten() {
    let world = World::start(|_| {}).await;
    let (mut machine, mut stranger) = (world.add_agent(1, "farm"), Machine::new(9));
    let mut client = world.agent(&mut machine).await;
    let mut line = Line::dial(&world).await;
    let wish = |machine: &Machine| json!({"agent_id": machine.id, "later": 1});
    let unknown = line.signed(FORGET_PATH, &stranger, &wish(&stranger)).await;
    assert_eq!((unknown.status, &unknown.body["code"]), (404, &json!("unknown")));
    stranger.id = machine.id;
    let foreign = line.signed(FORGET_PATH, &stranger, &wish(&machine)).await;
    assert_eq!((foreign.status, &foreign.body["code"]), (403, &json!("bad_sig")));
    assert!(world.registry().agent(&machine.id).unwrap().unwrap().revoked_ms.is_none());
    let quarantine = |since| world.registry().quarantine_agent(&machine.id, since).unwrap();
    quarantine(Some(1));
    assert_eq!(client.close_code().await, 4090);
    let locked = line.signed(FORGET_PATH, &machine, &wish(&machine)).await;
    assert_eq!((locked.status, &locked.body["code"]), (403, &json!("quarantined")), "one of two machines");
    quarantine(None);
    let mut client = world.agent(&mut machine).await;
    for _ in 0..2 {
        let forgotten = line.signed(FORGET_PATH, &machine, &wish(&machine)).await;
        assert_eq!((forgotten.status, forgotten.body), (200, wish(&machine)), "a second time is the same");
    }
    assert_eq!(client.close_code().await, 4003, "by the relay itself, without another process's change");
    let again = rejected(&world, |nonce, exporter| machine.hello(nonce, "localhost", exporter)).await;
    assert_eq!(again, ("revoked".into(), 4003));
    let audit: Vec<_> =
        world.registry().audit(9).unwrap().into_iter().map(|row| (row.actor, row.action)).collect();
    let once = (format!("a:{}", machine.id), "agent.forget".to_owned());
    assert_eq!(audit.iter().filter(|row| **row == once).count(), 1);
}

#[tokio::test]
async fn the_command_line_registers_what_the_relay_then_lets_in() {
    use base64::Engine as _;
    let world = World::start(|_| {}).await;
    let (code, printed) = world.cli(&["backend", "add", "new.farm", "--organisation", "org"]);
    assert_eq!(code, 0, "{printed}");
    let token = printed.lines().find(|line| line.starts_with("new.farm.")).unwrap().to_owned();
    assert_eq!(
        world.cli(&["backend", "add", "new.farm"]).0,
        1,
        "a second secret would lock the first user out"
    );
    let mut machine = Machine::new(5);
    let (id, key) =
        (machine.id.to_string(), base64::engine::general_purpose::STANDARD.encode(machine.public_key()));
    let add = |id: &str| {
        world.cli(&["agent", "add", "--id", id, "--key", &key, "--backend", "new.farm", "--name", "left"])
    };
    assert_eq!(add(&Machine::new(6).id.to_string()).0, 64, "the key is of another agent");
    assert_eq!(add(&id).0, 0);
    assert!(world.cli(&["agent", "list"]).1.contains(&format!("{id}\tnew.farm\tgood\tleft")));
    assert!(world.cli(&["backend", "list"]).1.contains("new.farm\torg\tgood"));
    assert!(!world.cli(&["backend", "list"]).1.contains(&token));
    let mut agent = world.agent(&mut machine).await;
    let authorization = format!("Bearer {token}");
    let headers = [("sec-websocket-protocol", "spoolway.v1"), ("authorization", authorization.as_str())];
    // The relay looks at the registry every 250 ms.
    let mut backend = loop {
        match world.dial("/backend/v1", &headers).await {
            Ok(backend) => break backend,
            Err(status) => assert_eq!(status, 401),
        }
    };
    assert_eq!(backend.json().await["t"], "presence");
    agent.send(r#"{"v":1,"t":"telem","to":"b:new.farm","body":{}}"#).await;
    assert_eq!(backend.json().await["t"], "telem");
}

#[tokio::test]
async fn a_second_login_of_the_same_machine_takes_over() {
    let world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let mut backend = world.backend("farm").await;
    let mut old = world.agent(&mut machine).await;
    let mut new = world.agent(&mut machine).await;
    assert_eq!(old.close_code().await, 4001);
    new.send(r#"{"v":1,"t":"x","to":"b:farm","body":1}"#).await;
    let mut kinds = Vec::new();
    while kinds.last().is_none_or(|kind| kind != "x") {
        let frame = backend.json().await;
        assert_ne!(frame["body"]["state"], "down", "the late close of the old one says nothing");
        kinds.push(frame["t"].as_str().unwrap().to_owned());
    }
    assert_eq!(kinds, ["presence", "presence", "x"]);
}

#[tokio::test]
async fn two_machines_with_one_key_are_both_closed_until_a_person_releases_it() {
    let world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let mut backend = world.backend("farm").await;
    let mut one = world.agent(&mut machine).await;
    assert_eq!(backend.json().await["body"]["state"], "up");
    machine.machine_hash = "cd".repeat(32);
    let mut two = world.agent(&mut machine).await;
    assert_eq!(one.close_code().await, 4090);
    assert_eq!(two.close_code().await, 4090);
    let security = backend.json().await;
    assert_eq!((&security["t"], &security["body"]["kind"]), (&"security".into(), &"clone_suspected".into()));
    assert_eq!(security["body"]["severity"], "critical");
    assert_eq!(backend.json().await["body"]["state"], "down");
    let third = rejected(&world, |nonce, exporter| machine.hello(nonce, "localhost", exporter)).await;
    assert_eq!(third, ("clone_suspected".into(), 4090));
    assert!(world.registry().agent(&machine.id).unwrap().unwrap().quarantined_ms.is_some());
    let row = world.registry().audit(1).unwrap().remove(0);
    assert_eq!((row.actor, row.action), ("relay".to_owned(), "agent.quarantine".to_owned()));
    assert_eq!(world.cli(&["agent", "release", &machine.id.to_string()]).0, 0);
    world.agent(&mut machine).await;
}

#[tokio::test]
async fn what_is_no_peer_of_this_protocol_is_told_so() {
    let world = World::start(|_| {}).await;
    let ours = ("sec-websocket-protocol", "spoolway.v1");
    assert_eq!(world.dial("/agent/v1", &[]).await.err(), Some(400));
    assert_eq!(world.dial("/agent/v1", &[("sec-websocket-protocol", "mqtt")]).await.err(), Some(400));
    assert_eq!(world.dial("/elsewhere", &[ours]).await.err(), Some(404));
    assert_eq!(world.dial("/agent/v1", &[ours, ("host", "evil.example")]).await.err(), Some(421));
    for token in ["", "Bearer farm.wrong", "Bearer nobody.secret", "Basic farm.secret"] {
        assert_eq!(
            world.dial("/backend/v1", &[ours, ("authorization", token)]).await.err(),
            Some(401),
            "{token}"
        );
    }
    assert_eq!(world.metric(r#"spoolway_relay_handshake_failures_total{why="upgrade"}"#).await, 8);
}

#[tokio::test]
async fn garbage_does_not_hurt() {
    let world = World::start(|_| {}).await;
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], b"\x16\x03\x01\x00\x05hello"] {
        let mut tcp = tokio::net::TcpStream::connect(world.bound.public).await.unwrap();
        tcp.write_all(garbage).await.unwrap();
        let mut rest = Vec::new();
        // An alert and the end, or a reset: both are an answer.
        let _ = tcp.read_to_end(&mut rest).await;
    }
    let mut tls = world.tls().await;
    tls.write_all(b"\x00\x01\x02 not http\r\n\r\n").await.unwrap();
    let _ = tls.read_to_end(&mut Vec::new()).await;
    for first in
        ["{", "[]", "{\"v\":1}", r#"{"v":1,"t":"telem","body":{}}"#, r#"{"v":1,"t":"hello","body":{}}"#]
    {
        let mut client = world.agent_socket().await;
        client.challenge().await;
        client.send(first).await;
        assert_eq!(client.close_code().await, 4000, "{first}");
    }
    let mut client = world.agent_socket().await;
    client.challenge().await;
    client.send(r#"{"v":2,"t":"hello","body":{}}"#).await;
    assert_eq!(client.close_code().await, 4426);
    let mut machine = world.add_agent(1, "farm");
    world.agent(&mut machine).await;
}

#[tokio::test]
async fn silence_has_an_end() {
    let world = World::start(|config| {
        config.session.hello_timeout_ms = 50;
        config.session.hb_ms = 50;
        config.session.dead_ms = 1_500;
        config.limits.handshake_timeout_ms = 1_000;
    })
    .await;
    let mut client = world.agent_socket().await;
    client.challenge().await;
    assert_eq!(client.seen().await, Seen::Close(4000), "no hello");
    let mut backend = world.backend("farm").await;
    assert_eq!(backend.json().await["t"], "hb", "it is asked first");
    assert_eq!(backend.close_code().await, 1001);
    let mut mute = tokio::net::TcpStream::connect(world.bound.public).await.unwrap();
    assert_eq!(mute.read(&mut [0; 1]).await.unwrap(), 0, "no handshake");
}
