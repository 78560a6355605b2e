//! What has an end by time or by number, and what whoever meets it is told.

use crate::traffic::{connected, nack};
use crate::world::{World, without_rates};

/// Whether something waits that cannot leave: the writer has had its turn between two looks.
async fn is_stuck(world: &World) -> bool {
    for _ in 0..5 {
        if world.metric(r#"spoolway_relay_mailbox_frames{class="reliable"}"#).await == 0 {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn a_command_whose_time_runs_out_in_the_mailbox_is_not_delivered() {
    let world = World::start(without_rates).await;
    let (mut agent, mut backend, id) = connected(&world).await;
    let bulky = format!(r#"{{"v":1,"t":"cmd","to":"a:{id}","body":"{}"}}"#, "x".repeat(60_000));
    let mut bulk = 0;
    while !is_stuck(&world).await {
        backend.send(bulky.clone()).await;
        bulk += 1;
    }
    for (name, ttl_ms) in [("stale", 1), ("fresh", 3_600_000)] {
        let head = format!(r#""to":"a:{id}","ttl_ms":{ttl_ms},"id":"{name}""#);
        backend.send(format!(r#"{{"v":1,"t":"cmd",{head},"body":"{name}"}}"#)).await;
    }
    // An answer to a heartbeat comes behind both.
    backend.send(r#"{"v":1,"t":"hb","body":{"n":1}}"#).await;
    assert_eq!(backend.json().await["t"], "hb.ack");
    // Two ms pass at least, whatever the machine does meanwhile.
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    for _ in 0..bulk {
        assert!(agent.text().await.len() > 60_000);
    }
    assert_eq!(agent.json().await["body"], "fresh");
    let told = backend.json().await;
    assert_eq!((&told["t"], &told["body"]["kind"]), (&"security".into(), &"ttl_drop".into()));
    assert_eq!(nack(&mut backend).await, ("expired".into(), "stale".into()));
    assert_eq!(world.metric(r#"spoolway_relay_nacks_total{code="expired"}"#).await, 1);
}

#[tokio::test]
async fn an_agent_that_logs_in_too_often_is_told_when_to_come_again() {
    let world = World::start(|config| config.limits.agent_logins_per_minute = 1).await;
    let (mut machine, mut neighbour) = (world.add_agent(1, "farm"), world.add_agent(2, "farm"));
    for _ in 0..5 {
        drop(world.agent(&mut machine).await);
    }
    let mut client = world.agent_socket().await;
    let reject = client.hello(&mut machine).await;
    assert_eq!((&reject["t"], &reject["body"]["code"]), (&"reject".into(), &"rate_limited".into()));
    let wait_ms = reject["body"]["retry_after_ms"].as_u64().unwrap();
    assert!((1..=60_000).contains(&wait_ms), "{wait_ms}");
    assert_eq!(client.close_code().await, 4029);
    world.agent(&mut neighbour).await;
}

#[tokio::test]
async fn an_address_from_which_nobody_says_who_he_is_is_not_let_in_for_a_while() {
    let world = World::start(|config| {
        config.limits.free_networks.clear();
        config.limits.address_failures_per_minute = 5;
    })
    .await;
    let mut machine = world.add_agent(1, "farm");
    // Whoever is known costs nothing, however often he comes.
    for _ in 0..10 {
        drop(world.agent(&mut machine).await);
        drop(world.backend("farm").await);
    }
    let headers = [("sec-websocket-protocol", "spoolway.v1"), ("authorization", "Bearer farm.wrong")];
    for _ in 0..5 {
        assert_eq!(world.dial("/backend/v1", &headers).await.err(), Some(401));
    }
    assert!(world.try_tls("127.0.0.1").await.is_err());
    assert!(world.try_tls("127.0.0.9").await.is_ok(), "somebody else");
}

#[tokio::test]
async fn a_watcher_that_is_slower_than_an_agent_is_closed_and_holds_up_nobody() {
    let world = World::start(|config| {
        without_rates(config);
        config.limits.mailbox_frames = 1;
    })
    .await;
    let (mut agent, mut owner, _) = connected(&world).await;
    let mut watcher = world.backend("other").await;
    watcher.send(r#"{"v":1,"t":"subscribe","body":{"organisation":"org"}}"#).await;
    assert_eq!(watcher.json().await["body"]["state"], "up");
    for n in 0..50 {
        agent.send(format!(r#"{{"v":1,"t":"events","to":"b:farm","body":{n}}}"#)).await;
    }
    for n in 0..50 {
        assert_eq!(owner.json().await["body"], n);
    }
    assert_eq!(watcher.close_code().await, 4008);
    assert_eq!(world.metric("spoolway_relay_slow_peers_total").await, 1);
}

#[tokio::test]
async fn a_relay_takes_no_more_sockets_than_it_may() {
    let world = World::start(|config| config.limits.max_sockets = 2).await;
    let mut machine = world.add_agent(1, "farm");
    let (_agent, backend) = (world.agent(&mut machine).await, world.backend("farm").await);
    assert!(world.try_tls("127.0.0.1").await.is_err());
    assert_eq!(world.metric(r#"spoolway_relay_handshake_failures_total{why="full"}"#).await, 1);
    drop(backend);
    while world.metric("spoolway_relay_open_sockets").await > 1 {}
    world.backend("farm").await;
}
