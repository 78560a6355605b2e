//! Emergency stops at a desk that takes nothing, as when its database does not answer.

use serde_json::{Value, json};
use spoolway_agent::bus::{HELD, INBOUND, Inbound};
use spoolway_protocol::Seq;

use crate::carry::command;
use crate::relay::{FakeRelay, in_time};
use crate::rig::Rig;

/// Stops that are held beyond [`HELD`].
const STOPS: u64 = 16;

fn stop(seq: u64) -> Value {
    let mut stop = command(seq);
    stop["kind"] = json!("printer.estop");
    stop
}

async fn pulled(rig: &Rig) {
    in_time(async {
        while !rig.emergency.take() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn every_stop_stops_the_machine_however_many_wait_at_the_desk() {
    let relay = FakeRelay::start().await;
    let mut rig = Rig::start(&relay);
    let mut peer = relay.welcome(&rig.key()).await;
    // With the word that there is a session, all places are taken.
    let others = (INBOUND + HELD) as u64 - 1;
    for seq in 1..=others {
        peer.say_as("b:farm", "cmd", command(seq)).await;
    }
    let last = others + STOPS + 1;
    for seq in others + 1..=last {
        peer.say_as("b:farm", "cmd", stop(seq)).await;
        pulled(&rig).await;
    }
    let nack = peer.heard("nack").await;
    assert_eq!(nack["body"]["code"], "busy");
    let detail = nack["body"]["detail"].as_str().unwrap();
    assert!(detail.contains(stop(last)["cmd_id"].as_str().unwrap()), "the only one too many: {detail}");

    assert!(matches!(rig.inbound().await, Inbound::Connected));
    for seq in 1..last {
        let Inbound::Command { command, has_stopped, .. } = rig.inbound().await else { panic!() };
        assert_eq!((command.seq, has_stopped), (Seq(seq), seq > others));
    }
    peer.say_as("b:farm", "cmd", stop(last)).await;
    let Inbound::Command { command, has_stopped: true, .. } = rig.inbound().await else { panic!() };
    assert_eq!(command.seq, Seq(last));
    assert!(!rig.emergency.take(), "it comes again so that it is answered, and pulls nothing");
}
