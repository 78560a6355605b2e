//! What a session carries, and what survives its end.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use spoolway_agent::bus::{HELD, INBOUND, Inbound, Outbound, Telemetered};
use spoolway_agent::store::Position;
use spoolway_protocol::command::CommandReceipt;
use spoolway_protocol::telemetry::Readings;
use spoolway_protocol::transfer::{Chunk, ChunkGet};
use spoolway_protocol::{CmdId, Seq};

use crate::relay::{FakeRelay, Peer, in_time};
use crate::rig::Rig;

fn revs(events: &[Value]) -> Vec<u64> {
    events.iter().filter_map(|event| event["data"]["rev"].as_u64()).collect()
}

pub(crate) fn command(seq: u64) -> Value {
    let cmd_id = CmdId::from_parts(1_760_000_000_000 + seq, &[1; 10]);
    json!({
        "cmd_id": cmd_id, "seq": seq, "kind": "job.pause", "args": {"job_id": "j"},
        "actor": {"id": "u", "role": "operator"},
    })
}

async fn ack(peer: &mut Peer, at: Position) {
    peer.say_as("b:farm", "ack", json!({"epoch": at.epoch, "seq": at.seq})).await;
}

#[tokio::test]
async fn events_go_out_in_order_and_an_ack_empties_the_store() {
    let relay = FakeRelay::start().await;
    let rig = Rig::start(&relay);
    for number in 1..=3 {
        rig.event(number).await;
    }
    let mut peer = relay.welcome(&rig.key()).await;
    assert_eq!(revs(&peer.events(3).await), [1, 2, 3]);
    let last = rig.event(4).await;
    assert_eq!(revs(&peer.events(1).await), [4]);
    ack(&mut peer, Position { seq: last.seq - 1, ..last }).await;
    rig.outbox_until(|outbox| outbox.oldest_unacked == Some(last)).await;
    peer.say_as("b:other", "ack", json!({"epoch": last.epoch, "seq": last.seq})).await;
    assert_eq!(peer.heard("nack").await["body"]["code"], "unauthorised");
    ack(&mut peer, last).await;
    rig.outbox_until(|outbox| outbox.oldest_unacked.is_none()).await;
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_after_a_loss() {
    let relay = FakeRelay::start().await;
    let mut rig = Rig::start(&relay);
    let first = rig.event(1).await;
    rig.event(2).await;
    let mut peer = relay.welcome(&rig.key()).await;
    assert_eq!(revs(&peer.events(2).await), [1, 2]);
    ack(&mut peer, first).await;
    rig.outbox_until(|outbox| outbox.oldest_unacked != Some(first)).await;
    drop(peer);
    assert!(matches!(rig.inbound().await, Inbound::Connected));
    assert!(matches!(rig.inbound().await, Inbound::Disconnected));

    let mut peer = relay.welcome(&rig.key()).await;
    let events = peer.events(2).await;
    assert_eq!(revs(&events[..1]), [2], "the second one again, the first one not");
    assert_eq!(events[1]["kind"], "link.session");
    assert_eq!(events[1]["data"]["attempts"], 1);
    assert!(events[1]["data"]["reason"].as_str().unwrap().starts_with("session: "));
    assert!(matches!(rig.inbound().await, Inbound::Connected));
}

#[tokio::test]
async fn commands_and_files_come_in_and_answers_go_out() {
    let relay = FakeRelay::start().await;
    let mut rig = Rig::start(&relay);
    let mut peer = relay.welcome(&rig.key()).await;
    assert!(matches!(rig.inbound().await, Inbound::Connected));

    let mut frame =
        json!({"v": 1, "t": "cmd", "lane": "urgent", "ttl_ms": 900, "age_ms": 30, "from": "b:farm"});
    frame["body"] = command(6);
    peer.send(frame).await;
    let Inbound::Command { command: came, lane, ttl_ms, age_ms, signed: None, has_stopped: false } =
        rig.inbound().await
    else {
        panic!()
    };
    assert_eq!((came.seq, ttl_ms, age_ms), (Seq(6), Some(900), 30));
    assert_eq!(lane.unwrap().as_str(), "urgent");

    let receipt = CommandReceipt { cmd_id: came.cmd_id, seq: Seq(6), dup: false, extra: Default::default() };
    rig.outbound.send(Outbound::Receipt(receipt)).await.unwrap();
    let heard = peer.heard("cmd.recv").await;
    assert_eq!((&heard["to"], &heard["body"]["seq"]), (&json!("b:farm"), &json!(6)));

    let get = ChunkGet {
        file_id: "f1".parse().unwrap(),
        stream: 4,
        offset: 0,
        len: 3,
        credit: 4,
        extra: Default::default(),
    };
    rig.outbound.send(Outbound::ChunkGet(get)).await.unwrap();
    assert_eq!(peer.heard("chunk.get").await["body"]["stream"], 4);
    let to = *rig.identity.agent_id().as_bytes();
    peer.send_binary(Chunk { to: [1; 16], stream: 4, offset: 0, payload: b"bad" }.encode().unwrap()).await;
    peer.send_binary(Chunk { to, stream: 4, offset: 0, payload: b"G28" }.encode().unwrap()).await;
    let Inbound::Chunk { stream: 4, offset: 0, payload } = rig.inbound().await else { panic!() };
    assert_eq!(payload, b"G28");
    peer.say_as("b:farm", "chunk.end", json!({"stream": 4, "size": 3})).await;
    assert!(matches!(rig.inbound().await, Inbound::ChunkEnd(end) if end.size == 3));
    assert_eq!(peer.heard("nack").await["body"]["code"], "unauthorised", "the chunk for somebody else");

    peer.say_as("b:farm", "from.the.future", json!({})).await;
    let nack = peer.heard("nack").await;
    assert_eq!((&nack["body"]["code"], &nack["re"]), (&json!("unknown_type"), &json!("m-1")));
    peer.say_as("b:stranger", "cmd", command(7)).await;
    assert_eq!(peer.heard("nack").await["body"]["code"], "unauthorised");
    peer.say("hb", json!({"n": 3})).await;
    assert_eq!(peer.heard("hb.ack").await["body"]["n"], 3);
}

#[tokio::test]
async fn only_the_latest_telemetry_is_sent() {
    let relay = FakeRelay::start().await;
    let rig = Rig::start(&relay);
    let mut peer = relay.welcome(&rig.key()).await;
    let measure = |line, bed| {
        let t = BTreeMap::from([("bed".to_owned(), [bed, 60.0])]);
        let readings = Readings { line: Some(line), t, ..Readings::default() };
        rig.telemetered.send_replace(Telemetered { readings, printing: true });
    };
    measure(1, 60.0);
    let first = peer.heard("telem").await;
    assert_eq!((&first["key"], &first["to"]), (&json!("p0"), &json!("b:farm")));
    assert_eq!((&first["body"]["full"], &first["body"]["d"]["line"]), (&json!(true), &json!(1)));
    for line in 2..=500 {
        measure(line, 60.0);
    }
    let next = peer.heard("telem").await;
    assert_eq!((&next["body"]["n"], &next["body"]["d"]), (&json!(2), &json!({"line": 500})));
    assert_eq!(next["body"].get("full"), None);
}

/// Readings that are never twice the same.
fn measure(rig: &Rig, line: u64) {
    let readings = Readings { line: Some(line), ..Readings::default() };
    rig.telemetered.send_replace(Telemetered { readings, printing: false });
}

#[tokio::test]
async fn the_owner_says_how_often_and_a_watch_is_over_with_its_session() {
    let relay = FakeRelay::start().await;
    let rig = Rig::start(&relay);
    let slow = json!({"telem": {"idle_ms": 500_000, "printing_ms": 500_000, "watch_ms": 250}});
    let mut peer = relay.welcome_with(&rig.key(), slow.clone()).await;
    measure(&rig, 1);
    assert_eq!(peer.heard("telem").await["body"]["n"], 1);
    measure(&rig, 2);
    peer.say_as("b:stranger", "telem.watch", json!({"ttl_ms": 60_000})).await;
    assert_eq!(peer.heard("nack").await["body"]["code"], "unauthorised");
    peer.say_as("b:farm", "telem.watch", json!({"ttl_ms": 60_000})).await;
    assert_eq!(peer.heard("telem").await["body"]["d"]["line"], 2);

    drop(peer);
    let mut peer = relay.welcome_with(&rig.key(), slow).await;
    assert_eq!(peer.heard("telem").await["body"]["n"], 1);
    measure(&rig, 3);
    // Nobody watches here any more: what answers the heartbeat is not accompanied by telemetry.
    for n in 1..=20 {
        peer.say("hb", json!({"n": n})).await;
        let mut frame = peer.next().await;
        while frame["t"] != "hb.ack" || frame["body"]["n"] != n {
            assert_ne!(frame["t"], "telem");
            frame = peer.next().await;
        }
    }
    rig.wishes.send_modify(|wishes| wishes.rates.idle_ms = Some(250));
    assert_eq!(peer.heard("telem").await["body"]["d"]["line"], 3);
}

#[tokio::test]
async fn telemetry_is_the_last_to_go() {
    let relay = FakeRelay::start().await;
    let rig = Rig::start(&relay);
    measure(&rig, 1);
    for seq in 1..=3 {
        let cmd_id = CmdId::from_parts(seq, &[1; 10]);
        let receipt = CommandReceipt { cmd_id, seq: Seq(seq), dup: false, extra: Default::default() };
        rig.outbound.send(Outbound::Receipt(receipt)).await.unwrap();
    }
    let mut peer = relay.welcome(&rig.key()).await;
    for t in ["cmd.recv", "cmd.recv", "cmd.recv", "telem"] {
        assert_eq!(peer.next().await["t"], t);
    }
}

#[tokio::test]
async fn an_emergency_stop_waits_for_no_desk_and_no_command_before_it() {
    let relay = FakeRelay::start().await;
    let mut rig = Rig::start(&relay);
    let mut peer = relay.welcome(&rig.key()).await;
    // The desk takes nothing, as when its database does not answer, and has far more than its share before it.
    let (taken, surplus) = ((INBOUND + HELD) as u64 - 1, 20);
    for seq in 1..=taken + surplus {
        peer.say_as("b:farm", "cmd", command(seq)).await;
    }
    let mut stop = command(taken + surplus + 1);
    stop["kind"] = json!("printer.estop");
    for _ in 0..2 {
        peer.say_as("b:farm", "cmd", stop.clone()).await;
    }
    in_time(async {
        while !rig.emergency.take() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for _ in 0..surplus {
        assert_eq!(peer.heard("nack").await["body"]["code"], "busy");
    }
    assert!(matches!(rig.inbound().await, Inbound::Connected));
    for seq in 1..=taken {
        let Inbound::Command { command, has_stopped: false, .. } = rig.inbound().await else { panic!() };
        assert_eq!(command.seq, Seq(seq));
    }
    for _ in 0..2 {
        assert!(matches!(rig.inbound().await, Inbound::Command { has_stopped: true, .. }));
    }
    assert!(!rig.emergency.take(), "the second copy pulls nothing");
}

#[tokio::test]
async fn a_relay_that_falls_silent_is_left_for_a_new_connection() {
    let relay = FakeRelay::start().await;
    let mut rig = Rig::start(&relay);
    let _silent = relay.welcome_with(&rig.key(), json!({"hb_ms": 1_000, "dead_ms": 2_000})).await;
    rig.until_up().await;
    assert!(rig.fault().await.text.contains("silent"));
    let mut peer = relay.welcome(&rig.key()).await;
    assert_eq!(peer.events(1).await[0]["kind"], "link.session");
}

#[tokio::test]
async fn a_relay_that_drains_is_left_with_a_goodbye() {
    let relay = FakeRelay::start().await;
    let rig = Rig::start(&relay);
    let mut peer = relay.welcome(&rig.key()).await;
    peer.say("drain", json!({"within_ms": 60_000, "spread_ms": 200})).await;
    assert_eq!(peer.heard("bye").await["body"]["reason"], "the relay drains");
    relay.welcome(&rig.key()).await;
}

#[tokio::test]
async fn refused_events_are_sent_again_and_other_refusals_are_the_desks() {
    let relay = FakeRelay::start().await;
    let mut rig = Rig::start(&relay);
    rig.event(1).await;
    let mut peer = relay.welcome(&rig.key()).await;
    let batch = peer.heard("events").await;
    peer.send(json!({"v": 1, "t": "nack", "re": batch["id"], "body": {"code": "offline"}})).await;
    peer.send(json!({"v": 1, "t": "nack", "re": "another", "body": {"code": "busy"}})).await;
    assert!(matches!(rig.inbound().await, Inbound::Connected));
    let Inbound::Nack(nack) = rig.inbound().await else { panic!() };
    assert_eq!(nack.code.as_str(), "busy");
    assert_eq!(revs(&peer.events(1).await), [1]);
}
