//! The time without a session, minute by minute, by a clock that the test moves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};
use spoolway_agent::bus::{Inbound, Telemetered};
use spoolway_agent::clock::{Clock, Hands};
use spoolway_agent::store::{Durability, Position, Write};
use spoolway_protocol::telemetry::Readings;

use crate::relay::{FakeRelay, in_time};
use crate::rig::Rig;

struct Away {
    rig: Rig,
    hands: Arc<Hands>,
}

impl Away {
    /// An agent that knows no session yet.
    async fn start(relay: &FakeRelay) -> Self {
        let hands = Arc::new(Hands::default());
        hands.boot_ms.store(60_000, Relaxed);
        let clock = Clock::with_hands("b".parse().unwrap(), Arc::clone(&hands));
        let mut rig = Rig::start_at(relay, clock, |_| {});
        in_time(rig.view.wait_for(|view| view.relay.is_some())).await.unwrap();
        Self { rig, hands }
    }

    /// The desk measures, and the uplink, which runs on this thread, hears of it.
    async fn measure(&self, line: u64, bed: f64) {
        let readings = Readings {
            line: Some(line),
            t: BTreeMap::from([("bed".to_owned(), [bed, 60.0])]),
            ..Readings::default()
        };
        self.rig.telemetered.send_replace(Telemetered { readings, printing: true });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    fn pass(&self, ms: u64) {
        self.hands.boot_ms.fetch_add(ms, Relaxed);
    }

    /// The rows that are written down, each event's by itself.
    async fn written(&self) -> Vec<Value> {
        let events = self.rig.store.events_after(Position::default(), 100, 1 << 20).await.unwrap();
        let minutes = events.iter().map(|stored| &stored.event).filter(|event| event.kind == "telem.minutes");
        minutes.map(|event| serde_json::from_str(&event.data_json).unwrap()).collect()
    }
}

#[tokio::test]
async fn the_minutes_without_a_session_are_told_in_the_next_one_and_no_spike_is_lost() {
    let relay = FakeRelay::start().await;
    let mut away = Away::start(&relay).await;
    for bed in [60.0, 75.0, 60.0] {
        away.measure(1, bed).await;
        away.pass(20_000);
    }
    away.measure(2, 60.0).await;
    away.pass(60_000);
    for bed in [61.0, 58.0, 60.0] {
        away.measure(3, bed).await;
    }
    away.pass(500);

    let mut peer = relay.welcome(&away.rig.key()).await;
    let first = peer.heard("telem").await["body"].clone();
    assert_eq!((&first["full"], &first["d"]["line"]), (&json!(true), &json!(3)));
    assert_eq!((&first["agg"]["bed"]["min"], &first["agg"]["bed"]["max"]), (&json!(58.0), &json!(61.0)));
    let events = peer.events(1).await;
    assert_eq!((&events[0]["kind"], &events[0]["cls"]), (&json!("telem.minutes"), &json!("info")));
    assert_eq!((&events[0]["printer_id"], &events[0]["ts"]["m"]), (&json!("p0"), &json!(180_500)));
    let rows = json!([
        {"ago_ms": 60_500, "full": true, "d": {"line": 1, "t": {"bed": [60.0, 60.0]}},
         "agg": {"bed": {"min": 60.0, "max": 75.0, "mean": 65.0}}},
        {"ago_ms": 500, "d": {"line": 2}},
    ]);
    assert_eq!(events[0]["data"]["rows"], rows);

    // What the session has not told when it ends is told by the next one.
    for bed in [90.0, 60.0] {
        away.measure(3, bed).await;
    }
    drop(peer);
    assert!(matches!(away.rig.inbound().await, Inbound::Connected));
    assert!(matches!(away.rig.inbound().await, Inbound::Disconnected));
    let mut peer = relay.welcome(&away.rig.key()).await;
    assert_eq!(peer.heard("telem").await["body"]["agg"]["bed"]["max"], 90.0);
}

#[tokio::test]
async fn an_hour_is_written_down_when_it_is_over_and_the_rest_when_the_agent_stops() {
    let relay = FakeRelay::start().await;
    let away = Away::start(&relay).await;
    for minute in 0..=61 {
        assert_eq!(away.written().await.len(), usize::from(minute > 60));
        away.measure(minute, 60.0).await;
        away.pass(60_000);
        if minute == 60 {
            away.rig.outbox_until(|outbox| outbox.info_bytes > 0).await;
        }
    }
    let hour = away.written().await[0]["rows"].as_array().unwrap().clone();
    assert_eq!(hour.len(), 60);
    assert_eq!((&hour[0]["ago_ms"], &hour[59]["ago_ms"]), (&json!(3_540_000), &json!(0)));
    assert_eq!((&hour[0]["d"]["line"], &hour[59]["d"]["line"]), (&json!(0), &json!(59)));

    let store = away.rig.store.clone();
    away.rig.stopped().await;
    let events = store.events_after(Position::default(), 100, 1 << 20).await.unwrap();
    let rest: Value = serde_json::from_str(&events[1].event.data_json).unwrap();
    assert_eq!((&rest["rows"][0]["d"]["line"], &rest["rows"][0]["full"]), (&json!(60), &json!(true)));
    assert_eq!((&rest["rows"][1]["d"]["line"], rest["rows"].as_array().unwrap().len()), (&json!(61), 2));
}

#[tokio::test]
async fn an_agent_that_is_stopped_in_a_session_has_told_everything() {
    let relay = FakeRelay::start().await;
    let mut away = Away::start(&relay).await;
    let mut peer = relay.welcome(&away.rig.key()).await;
    away.rig.until_up().await;
    for bed in [60.0, 75.0, 60.0] {
        away.measure(1, bed).await;
    }
    away.rig.event(1).await;
    peer.events(1).await;
    let store = away.rig.store.clone();
    away.rig.stopped().await;
    let events = store.events_after(Position::default(), 100, 1 << 20).await.unwrap();
    assert_eq!(events.iter().map(|stored| stored.event.kind.as_str()).collect::<Vec<_>>(), ["job.state"]);
}

#[tokio::test]
async fn what_was_gathered_for_one_owner_is_not_told_to_the_next() {
    let relay = FakeRelay::start().await;
    let mut away = Away::start(&relay).await;
    let farm = relay.welcome(&away.rig.key()).await;
    assert!(matches!(away.rig.inbound().await, Inbound::Connected));
    drop(farm);
    assert!(matches!(away.rig.inbound().await, Inbound::Disconnected));
    for minute in 0..3 {
        away.measure(minute, 60.0).await;
        away.pass(60_000);
    }
    let other = json!({"owner": "b:other"});
    let lab = relay.welcome_with(&away.rig.key(), other.clone()).await;
    let Inbound::Owner { owner, done } = away.rig.inbound().await else { panic!() };
    drop(lab);
    assert_eq!(owner.to_string(), "b:other");
    let change = vec![Write::ChangeOwner { owner: owner.to_string() }];
    away.rig.store.commit(change, Durability::Promise).await.unwrap();
    done.send(()).unwrap();
    let mut peer = relay.welcome_with(&away.rig.key(), other).await;
    away.rig.event(1).await;
    let mut kinds = Vec::new();
    while ["link.session", "job.state"].iter().any(|kind| !kinds.contains(&json!(kind))) {
        let frame = peer.heard("events").await;
        assert_eq!(frame["to"], "b:other");
        kinds.extend(frame["body"]["items"].as_array().unwrap().iter().map(|event| event["kind"].clone()));
    }
    assert_eq!(kinds.len(), 2, "{kinds:?}");
    assert_eq!(away.written().await, Vec::<Value>::new());
}
