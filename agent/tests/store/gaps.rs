//! A full outbox drops the oldest events by class, and a gap in their place lets a cumulative ack pass.

use std::collections::BTreeMap;

use serde_json::Value;
use spoolway_agent::store::StoredEvent;

use super::*;

fn small() -> StoreOptions {
    StoreOptions { info_cap_bytes: 20_000, critical_cap_bytes: 200_000, ..options() }
}

async fn all(store: &Store) -> Vec<StoredEvent> {
    store.events_after(Position::default(), usize::MAX, u64::MAX).await.unwrap()
}

/// A backend that stores events and acknowledges up to where it has all, as docs/backend-guide.md says.
#[derive(Default)]
struct Cursor(BTreeMap<u64, u64>);

impl Cursor {
    /// Takes one event; `false` for one behind a hole that nothing explains.
    fn take(&mut self, stored: &StoredEvent) -> bool {
        let Position { epoch, seq } = stored.position;
        let spans = dropped(stored).map_or(1, |(dropped, _)| dropped.max(1));
        let before = seq.saturating_sub(spans);
        let held = self.0.entry(epoch).or_insert(0);
        if before > *held {
            return false;
        }
        *held = (*held).max(seq);
        true
    }
}

/// How many a gap stands for, and of which class.
fn dropped(stored: &StoredEvent) -> Option<(u64, String)> {
    let data: Value = serde_json::from_str(&stored.event.data_json).unwrap();
    let is_gap = stored.event.kind == "gap";
    is_gap.then(|| (data["dropped"].as_u64().unwrap(), data["cls"].as_str().unwrap().to_owned()))
}

#[tokio::test]
async fn info_events_go_oldest_first_and_critical_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), &small()).unwrap();
    for _ in 0..60 {
        store.commit(vec![big(EventClass::Info), critical()], Grouped).await.unwrap();
    }
    let status = store.outbox_status().await.unwrap();
    assert!(status.info_bytes <= 20_000 && status.dropped.info > 0, "{status:?}");
    assert_eq!(status.dropped.critical, 0);
    let events = all(&store).await;
    let gaps: Vec<_> = events.iter().filter_map(dropped).collect();
    assert!(gaps.iter().all(|gap| *gap == (1, "info".to_owned())), "{gaps:?}");
    let mut info = events.iter().filter(|stored| stored.event.cls == EventClass::Info);
    assert_eq!(info.clone().count() as u64 + status.dropped.info, 60);
    assert_eq!(events.iter().filter(|stored| stored.event.kind == "job.state").count(), 60);
    assert_eq!(gaps.len() as u64, status.dropped.info, "critical events stand between them");
    assert_eq!(info.next_back().unwrap().position.seq, 119, "the newest info event stays");
}

#[tokio::test]
async fn neighbours_become_one_gap_in_the_place_of_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), &small()).unwrap();
    store.commit(vec![critical()], Promise).await.unwrap();
    for _ in 0..90 {
        store.commit(vec![big(EventClass::Info)], Grouped).await.unwrap();
    }
    let status = store.outbox_status().await.unwrap();
    let events = all(&store).await;
    assert_eq!((events[0].position.seq, events[0].event.kind.as_str()), (1, "job.state"));
    assert_eq!(dropped(&events[1]), Some((status.dropped.info, "info".to_owned())));
    assert_eq!(events[1].position.seq, 1 + status.dropped.info);
    assert_eq!(events[1].event.cls, EventClass::Critical, "a gap is not dropped");
    assert_eq!(events[1].event.ts_json, r#"{"m":1}"#, "the time of the event in whose place it stands");
    assert_eq!(events[1].event.printer_id, None);
    assert_eq!(events[2].position.seq, 2 + status.dropped.info);

    let gap = events[1].position;
    store.ack(gap).await.unwrap();
    assert_eq!(all(&store).await[0].position, Position { seq: gap.seq + 1, ..gap });
}

#[tokio::test]
async fn critical_events_beyond_the_hard_cap_leave_one_gap_for_each_epoch() {
    let wide = StoreOptions { info_cap_bytes: 1 << 20, ..small() };
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), &wide).unwrap();
    for _ in 0..100 {
        store
            .commit(vec![big(EventClass::Critical), event(EventClass::Info, "sensor")], Grouped)
            .await
            .unwrap();
    }
    drop(store);
    let (store, _) = Store::open(dir.path(), &wide).unwrap();
    for _ in 0..200 {
        store
            .commit(vec![big(EventClass::Critical), event(EventClass::Info, "sensor")], Grouped)
            .await
            .unwrap();
    }
    let status = store.outbox_status().await.unwrap();
    assert!(status.dropped.critical > 100 && status.critical_bytes <= 200_000, "{status:?}");
    let events = all(&store).await;
    assert_eq!(events[0].position, Position { epoch: 1, seq: 200 });
    assert_eq!(dropped(&events[0]), Some((200, "critical".to_owned())));
    let (second, _) = dropped(&events[1]).unwrap();
    assert_eq!(events[1].position, Position { epoch: 2, seq: second });
    assert_eq!(status.dropped.critical + status.dropped.info, 200 + second);
    assert!(events[2..].iter().all(|stored| dropped(stored).is_none()));

    store.close().await.unwrap();
    let (store, _) = Store::open(dir.path(), &wide).unwrap();
    assert_eq!(store.outbox_status().await.unwrap(), status, "sums and counts survive");
}

/// Whatever is appended, dropped, acknowledged and sent, a cumulative backend is never stopped by a hole.
#[tokio::test]
async fn a_cumulative_backend_passes_every_hole() {
    for seed in 0..3_u64 {
        let mut dice = Dice(seed);
        let dir = tempfile::tempdir().unwrap();
        let tight = StoreOptions { info_cap_bytes: 4_000, critical_cap_bytes: 3_000, ..options() };
        let (mut store, _) = Store::open(dir.path(), &tight).unwrap();
        let mut backend = Cursor::default();
        for _ in 0..80 {
            match dice.roll(25) {
                0 => {
                    drop(store);
                    store = Store::open(dir.path(), &tight).unwrap().0;
                }
                1..=4 => {
                    let mut last = None;
                    for stored in store.events_after(Position::default(), 6, u64::MAX).await.unwrap() {
                        assert!(backend.take(&stored), "seed {seed}: {stored:?} behind {:?}", backend.0);
                        last = Some(stored.position);
                    }
                    // Sometimes the ack is lost, and the same events come again.
                    if let Some(last) = last.filter(|_| dice.roll(2) == 0) {
                        store.ack(last).await.unwrap();
                    }
                }
                _ => {
                    let list = (0..=dice.roll(4)).map(|_| match dice.roll(3) {
                        0 => critical(),
                        1 => event(EventClass::Info, "sensor"),
                        _ => big(EventClass::Info),
                    });
                    store.commit(list.collect(), Grouped).await.unwrap();
                }
            }
        }
        assert!(store.outbox_status().await.unwrap().dropped.critical > 0, "seed {seed} proves nothing");
        for stored in all(&store).await {
            assert!(backend.take(&stored), "seed {seed}: {stored:?}");
        }
    }
}
