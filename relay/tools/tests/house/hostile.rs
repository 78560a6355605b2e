//! Peers that mean harm, against a whole relay: whatever they do, the messages of the others arrive.

use futures_util::SinkExt;
use spoolway_protocol::AgentId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use crate::traffic::{connected, nack};
use crate::world::{Client, Machine, Seen, World, without_rates};

/// An agent and its owner, who only want to talk to each other.
struct Others {
    agent: Client,
    backend: Client,
    id: AgentId,
    said: u64,
}

impl Others {
    async fn of(world: &World) -> Self {
        let (agent, backend, id) = connected(world).await;
        Self { agent, backend, id, said: 0 }
    }

    /// Each hears the other, in order and whole; presence and telemetry of a third may come between.
    async fn talk(&mut self) {
        for _ in 0..5 {
            self.said += 1;
            let (n, id) = (self.said, self.id);
            self.agent.send(format!(r#"{{"v":1,"t":"events","to":"b:farm","body":{{"n":{n}}}}}"#)).await;
            self.backend.send(format!(r#"{{"v":1,"t":"cmd","to":"a:{id}","body":{{"n":{n}}}}}"#)).await;
            let event = loop {
                let frame = self.backend.json().await;
                if frame["t"] == "events" {
                    break frame;
                }
            };
            assert_eq!((&event["body"]["n"], &event["from"]), (&n.into(), &format!("a:{id}").into()));
            let command = self.agent.json().await;
            assert_eq!((&command["t"], &command["body"]["n"]), (&"cmd".into(), &n.into()));
        }
    }
}

/// Whatever is left of a connection, until the relay has closed it.
async fn last_words(client: &mut Client) -> u16 {
    loop {
        match client.seen().await {
            Seen::Close(code) => return code,
            Seen::Gone => return 0,
            Seen::Text(_) | Seen::Binary(_) => {}
        }
    }
}

#[tokio::test]
async fn a_flood_of_telemetry_is_thinned_and_then_closed() {
    let world = World::start(|config| config.limits.agent_burst_frames = 20).await;
    let mut others = Others::of(&world).await;
    let mut machine = world.add_agent(2, "farm");
    let mut hostile = world.agent(&mut machine).await;
    let telemetry = |n: u32| format!(r#"{{"v":1,"t":"telem","to":"b:farm","key":"k{n}","body":{n}}}"#);
    // The relay may close before everything is sent.
    for n in 0..20_000 {
        if hostile.socket.send(Message::Text(telemetry(n).into())).await.is_err() {
            break;
        }
    }
    assert!([4029, 0].contains(&last_words(&mut hostile).await), "closed, or reset with frames unread");
    others.talk().await;
    assert_eq!(world.metric("spoolway_relay_flooding_peers_total").await, 1);
    assert!(world.metric("spoolway_relay_telemetry_dropped_total").await > 20);
    let passed = world.metric(r#"spoolway_relay_frames_out_total{class="telemetry"}"#).await;
    assert!(passed < 10_000, "the owner was spared: {passed}");
}

#[tokio::test]
async fn a_flood_of_events_and_pings_is_read_slowly() {
    let world = World::start(|config| {
        config.limits.agent_burst_frames = 20;
        config.limits.agent_frames_per_s = 1;
    })
    .await;
    let mut others = Others::of(&world).await;
    let mut machine = world.add_agent(2, "farm");
    let mut hostile = world.agent(&mut machine).await;
    let flood = tokio::spawn(async move {
        let event = format!(r#"{{"v":1,"t":"events","to":"b:other","body":"{}"}}"#, "x".repeat(60_000));
        while hostile.socket.send(Message::Ping(vec![0; 125].into())).await.is_ok()
            && hostile.socket.send(Message::Text(event.clone().into())).await.is_ok()
        {}
    });
    others.talk().await;
    let read = world.metric(r#"spoolway_relay_bytes_in_total{class="reliable"}"#).await;
    assert!(read < 40 * 60_000, "not more than a burst was read: {read}");
    flood.abort();
}

#[tokio::test]
async fn who_does_not_read_holds_up_only_who_speaks_to_him() {
    let world = World::start(without_rates).await;
    let mut others = Others::of(&world).await;
    let (mut deaf_machine, mut loud_machine) = (world.add_agent(2, "farm"), world.add_agent(3, "other"));
    let deaf = world.agent(&mut deaf_machine).await;
    let deaf_backend = world.backend("other").await;
    let mut loud = world.agent(&mut loud_machine).await;
    let bulky =
        |to: &str| format!(r#"{{"v":1,"t":"x","to":"{to}","id":"m1","body":"{}"}}"#, "x".repeat(60_000));
    let event = bulky("b:other");
    let loud =
        tokio::spawn(
            async move { while loud.socket.send(Message::Text(event.clone().into())).await.is_ok() {} },
        );
    while world.metric("spoolway_relay_sender_waits_total").await == 0 {
        others.talk().await;
    }
    let command = bulky(&format!("a:{}", deaf_machine.id));
    let busy = loop {
        others.backend.send(command.clone()).await;
        // Reads whatever is there, and goes on sending otherwise.
        match tokio::time::timeout(std::time::Duration::from_millis(1), others.backend.json()).await {
            Ok(frame) if frame["t"] == "nack" => break frame["body"]["code"].clone(),
            _ => {}
        }
    };
    assert_eq!(busy, "busy");
    others.talk().await;
    loud.abort();
    drop((deaf, deaf_backend));
}

#[tokio::test]
async fn slow_handshakes_of_one_address_leave_places_for_the_others() {
    let world = World::start(|config| {
        config.limits.free_networks.clear();
        config.limits.address_failures_per_minute = 3;
        config.limits.handshakes_at_once = 4;
    })
    .await;
    let mut others = Others::of(&world).await;
    let mut slow = Vec::new();
    for _ in 0..30 {
        let mut tcp = world.tcp_from("127.0.0.7").await;
        // The beginning of a handshake that never goes on.
        let _ = tcp.write_all(b"\x16\x03\x01\x02\x00\x01").await;
        slow.push(tcp);
    }
    for tcp in &mut slow[3..] {
        let refused = tcp.read(&mut [0; 1]).await;
        assert!(refused.is_err() || refused.is_ok_and(|bytes| bytes == 0), "refused at once");
    }
    let mut machine = world.add_agent(2, "farm");
    let _newcomer = world.agent(&mut machine).await;
    others.talk().await;
    let refused = world.metric(r#"spoolway_relay_handshake_failures_total{why="rate_limited"}"#).await;
    assert_eq!(refused, 27);
}

#[tokio::test]
async fn frames_that_are_no_frames_end_only_their_own_connection() {
    let world = World::start(|_| {}).await;
    let mut others = Others::of(&world).await;
    let huge = [&[0x82, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat();
    let unmasked = vec![0x81, 0x02, b'h', b'i'];
    let reserved = vec![0xf3, 0x80, 0, 0, 0, 0];
    let not_utf8 = vec![0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28];
    let long_control = [&[0x89, 0xfe, 0x01, 0x00][..], &[0; 300]].concat();
    let continuation = vec![0x80, 0x80, 0, 0, 0, 0];
    for bytes in [huge, unmasked, reserved, not_utf8, long_control, continuation] {
        let mut machine = Machine::new(9);
        machine.hello_ctr = 1;
        let mut hostile = world.agent_socket().await;
        hostile.challenge().await;
        hostile.socket.get_mut().write_all(&bytes).await.unwrap();
        hostile.socket.get_mut().flush().await.unwrap();
        assert_eq!(last_words(&mut hostile).await, 4000, "{bytes:?}");
        others.talk().await;
    }
    let mut unfinished = world.agent_socket().await;
    unfinished.challenge().await;
    unfinished.socket.get_mut().write_all(&[0x81, 0xfe]).await.unwrap();
    others.talk().await;
}

#[tokio::test]
async fn commands_beyond_their_rate_are_busy_but_a_stop_is_not() {
    let world = World::start(|config| config.limits.agent_commands_per_s = 2).await;
    let mut others = Others::of(&world).await;
    let mut machine = world.add_agent(2, "farm");
    let mut second = world.agent(&mut machine).await;
    let id = others.id;
    let command =
        |lane: &str, n: u32| format!(r#"{{"v":1,"t":"cmd","to":"a:{id}",{lane}"id":"m{n}","body":{n}}}"#);
    assert_eq!(others.backend.json().await["body"]["state"], "up");
    for n in 0..50 {
        others.backend.send(command("", n)).await;
    }
    for n in 50..60 {
        others.backend.send(command(r#""lane":"urgent","#, n)).await;
    }
    let mut came = Vec::new();
    while came.last() != Some(&59) {
        came.push(others.agent.json().await["body"].as_u64().unwrap());
    }
    let stops = came.iter().filter(|n| **n >= 50).count();
    assert!(stops == 10 && came.len() < 50, "{came:?}");
    let told = others.backend.json().await;
    assert_eq!((&told["t"], &told["body"]["kind"]), (&"security".into(), &"rate_trip".into()));
    for _ in came.len()..60 {
        assert_eq!(nack(&mut others.backend).await.0, "busy");
    }
    others.backend.send(format!(r#"{{"v":1,"t":"cmd","to":"a:{}","body":7}}"#, machine.id)).await;
    assert_eq!(second.json().await["body"], 7, "another agent is not concerned");
}
