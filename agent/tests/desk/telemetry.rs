//! How often the owner wishes telemetry.

use serde_json::{Value, json};
use spoolway_agent::bus::Inbound;
use spoolway_agent::config::BedConfirm;
use spoolway_agent_core::Moment;

use super::rig::Rig;

/// What a command returned.
async fn data(rig: &mut Rig, args: Value) -> Value {
    assert_eq!(rig.result("telem.config", args).await, ("done".to_owned(), None));
    rig.told("cmd.result").await.pop().unwrap()["data"].clone()
}

#[tokio::test]
async fn rates_stay_and_a_watch_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::NotRequired);
    let told = data(&mut rig, json!({"idle_ms": 20_000, "printing_ms": 1, "watch_ttl_ms": 60_000})).await;
    assert_eq!(
        told,
        json!({"idle_ms": 20_000, "printing_ms": 250, "watch_ttl_ms": 60_000, "clamped": ["printing_ms"]})
    );
    assert!(rig.wishes.borrow().watched_until > rig.clock.now());
    rig.inbound.send(Inbound::Disconnected).await.unwrap();
    rig.wishes.wait_for(|wishes| wishes.watched_until == Moment::ZERO).await.unwrap();
    assert_eq!(rig.wishes.borrow().rates.idle_ms, Some(20_000));
    rig.kill().await;

    let mut rig = Rig::open(dir.path(), BedConfirm::NotRequired);
    let told = data(&mut rig, json!({"idle_ms": 0})).await;
    assert_eq!(
        told,
        json!({"printing_ms": 250}),
        "what was wished before the kill, but for what was taken back"
    );
}

#[tokio::test]
async fn the_wishes_of_an_owner_go_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(dir.path(), BedConfirm::NotRequired);
    data(&mut rig, json!({"idle_ms": 20_000})).await;
    let (done, changed) = tokio::sync::oneshot::channel();
    rig.inbound.send(Inbound::Owner { owner: "b:next".parse().unwrap(), done }).await.unwrap();
    changed.await.unwrap();
    assert_eq!(rig.wishes.borrow().rates.idle_ms, None);
    rig.kill().await;
    let rig = Rig::open(dir.path(), BedConfirm::NotRequired);
    let _status = spoolway_agent::local::Counter::status(&rig.desk).await.unwrap();
    assert_eq!(rig.wishes.borrow().rates.idle_ms, None);
}
