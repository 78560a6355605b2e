//! What backends hear of the relay's defences: the one that it concerns, once, and without secrets.

use serde_json::{Value, json};
use spoolway_relay_tools::certs;
use tokio_tungstenite::tungstenite::Message;

use crate::world::{Client, World};

/// The next frame, which is an event of security; without its time.
async fn event(client: &mut Client) -> Value {
    let mut frame = client.json().await;
    assert_eq!((&frame["t"], &frame["from"]), (&"security".into(), &"relay".into()), "{frame}");
    assert!(frame["body"]["at_ms"].take().as_u64().is_some_and(|at_ms| at_ms > 1_700_000_000_000));
    frame["body"].as_object_mut().unwrap().remove("at_ms");
    frame["body"].take()
}

/// Nothing was said to this backend ahead of the answer to what it says now.
async fn heard_nothing(client: &mut Client) {
    client.send(r#"{"v":1,"t":"hb","body":{"n":7}}"#).await;
    assert_eq!(client.json().await["t"], "hb.ack");
}

#[tokio::test]
async fn a_wrong_signature_is_told_to_the_owner_and_to_nobody_else() {
    let world = World::start(|_| {}).await;
    let mut machine = world.add_agent(1, "farm");
    let (mut farm, mut other) = (world.backend("farm").await, world.backend("other").await);
    for _ in 0..3 {
        let mut client = world.agent_socket().await;
        let (nonce, _) = client.challenge().await;
        client.send(machine.hello(&nonce, "localhost", &[0; 32])).await;
        assert_eq!(client.json().await["body"]["code"], "bad_sig");
    }
    let expected = json!({
        "kind": "auth_failure", "severity": "warning", "about": format!("a:{}", machine.id), "count": 1,
        "detail": "the signature does not fit the registered key",
    });
    assert_eq!(event(&mut farm).await, expected);
    heard_nothing(&mut farm).await;
    heard_nothing(&mut other).await;
    let metric = r#"spoolway_relay_security_events_total{kind="auth_failure"}"#;
    assert_eq!(world.metric(metric).await, 3, "the others wait for their minute");
}

#[tokio::test]
async fn a_wrong_secret_is_told_to_whose_it_should_be() {
    let world = World::start(|_| {}).await;
    let (mut farm, mut other) = (world.backend("farm").await, world.backend("other").await);
    for token in ["Bearer farm.guess", "Bearer nobody.guess", "Bearer x"] {
        let headers = [("sec-websocket-protocol", "spoolway.v1"), ("authorization", token)];
        assert_eq!(world.dial("/backend/v1", &headers).await.err(), Some(401));
    }
    let expected = json!({
        "kind": "auth_failure", "severity": "warning", "about": "b:farm", "network": "127.0.0.0/24", "count": 1,
        "detail": "a backend's credential is missing or wrong",
    });
    assert_eq!(event(&mut farm).await, expected);
    heard_nothing(&mut farm).await;
    heard_nothing(&mut other).await;
}

#[tokio::test]
async fn frames_that_are_too_large_or_too_many_are_told() {
    let world = World::start(|config| {
        config.limits.agent_frames_per_s = 20;
        config.limits.agent_burst_frames = 2;
    })
    .await;
    let mut machine = world.add_agent(1, "farm");
    let mut farm = world.backend("farm").await;
    let mut agent = world.agent(&mut machine).await;
    assert_eq!(farm.json().await["t"], "presence");
    let about = format!("a:{}", machine.id);
    for _ in 0..3 {
        agent.send(r#"{"v":1,"t":"hb","body":{"n":1}}"#).await;
    }
    let tripped = event(&mut farm).await;
    assert_eq!((&tripped["kind"], &tripped["about"]), (&"rate_trip".into(), &about.clone().into()));
    assert_eq!(tripped["network"], "127.0.0.0/24");
    agent.send(format!(r#"{{"v":1,"t":"x","to":"b:farm","body":"{}"}}"#, "a".repeat(65_600))).await;
    let oversize = event(&mut farm).await;
    assert_eq!((&oversize["kind"], &oversize["about"]), (&"oversize_frame".into(), &about.into()));
    use futures_util::SinkExt;
    // The relay may close before everything is sent.
    let _ = farm.socket.send(Message::Binary(vec![1; 300_000].into())).await;
    assert_eq!(farm.close_code().await, 4000);
    let metric = r#"spoolway_relay_security_events_total{kind="oversize_frame"}"#;
    assert_eq!(world.metric(metric).await, 2);
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_told_to_all() {
    let world = World::start(|config| (config.tls.reload_ms, config.tls.warn_days) = (10, 36_500)).await;
    let (mut farm, mut other) = (world.backend("farm").await, world.backend("other").await);
    let renewed = certs::init(&world.dir.path().join("renewed"), &["localhost".into()]).unwrap();
    let tls = world.dir.path().join("tls");
    std::fs::copy(renewed.server_key, tls.join("server.key")).unwrap();
    std::fs::copy(renewed.server, tls.join("server.pem")).unwrap();
    for backend in [&mut farm, &mut other] {
        let event = event(backend).await;
        assert_eq!((&event["kind"], event.get("about")), (&"certificate_ends".into(), None));
        assert!(event["detail"].as_str().unwrap().contains(" days"), "{event}");
    }
    let ends_s = world.metric("spoolway_relay_certificate_ends_seconds").await;
    assert!(ends_s > 2_000_000_000, "{ends_s}");
}
