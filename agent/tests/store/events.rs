//! Events get gapless numbers and leave in order.

use super::*;

#[tokio::test]
async fn numbers_have_no_gaps_across_both_durabilities() {
    let dir = tempfile::tempdir().unwrap();
    let (store, opened) = open(dir.path());
    assert_eq!((opened.epoch, opened.next_seq, opened.start), (1, 1, Start::Fresh));
    let mut tasks = Vec::new();
    for n in 0..100 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let durability = if n % 3 == 0 { Promise } else { Grouped };
            store.commit(vec![critical(), critical()], durability).await.unwrap().positions
        }));
    }
    let mut seqs = Vec::new();
    for task in tasks {
        let positions = task.await.unwrap();
        assert_eq!(positions[0].seq + 1, positions[1].seq, "the events of one list stand together");
        seqs.extend(positions.into_iter().map(|position| position.seq));
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=200).collect::<Vec<u64>>());
    let status = store.outbox_status().await.unwrap();
    assert_eq!((status.next_seq, status.oldest_unacked), (201, Some(Position { epoch: 1, seq: 1 })));
}

#[tokio::test]
async fn waiting_events_go_before_the_promise_that_overtakes_them() {
    let dir = tempfile::tempdir().unwrap();
    let slow = StoreOptions { group_ms: 600_000, ..options() };
    let (store, _) = Store::open(dir.path(), &slow).unwrap();
    let grouped = store.commit(vec![event(EventClass::Info, "sensor")], Grouped);
    let promise = store.commit(vec![critical()], Promise);
    let (grouped, promise) = tokio::join!(grouped, promise);
    assert_eq!(grouped.unwrap().positions[0].seq, 1);
    assert_eq!(promise.unwrap().positions[0].seq, 2);
}

#[tokio::test]
async fn a_full_group_does_not_wait() {
    let dir = tempfile::tempdir().unwrap();
    let slow = StoreOptions { group_ms: 600_000, group_rows: 4, ..options() };
    let (store, _) = Store::open(dir.path(), &slow).unwrap();
    let committed =
        store.commit(vec![critical(), critical(), critical(), critical()], Grouped).await.unwrap();
    assert_eq!(committed.positions.len(), 4);
}

#[tokio::test]
async fn acks_are_cumulative_and_stale_ones_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    store.commit(vec![critical(), critical()], Promise).await.unwrap();
    drop(store);
    let (store, _) = open(dir.path());
    store.commit(vec![critical(), critical(), critical()], Promise).await.unwrap();

    let ahead = Position { epoch: 2, seq: 4 };
    assert_eq!(store.ack(ahead).await, Err(StoreError::AckAhead { epoch: 2, seq: 4 }));
    let absurd = Position { epoch: u64::MAX, seq: u64::MAX };
    assert!(matches!(store.ack(absurd).await, Err(StoreError::AckAhead { .. })));
    assert_eq!(kinds(&store).await.len(), 5);

    store.ack(Position { epoch: 2, seq: 1 }).await.unwrap();
    store.ack(Position { epoch: 1, seq: 2 }).await.unwrap();
    store.ack(Position { epoch: 1, seq: u64::MAX }).await.unwrap();
    let left = store.events_after(Position::default(), 10, u64::MAX).await.unwrap();
    let left: Vec<_> = left.into_iter().map(|stored| stored.position).collect();
    assert_eq!(left, [Position { epoch: 2, seq: 2 }, Position { epoch: 2, seq: 3 }]);

    store.ack(Position { epoch: 2, seq: 3 }).await.unwrap();
    let status = store.outbox_status().await.unwrap();
    assert_eq!((status.oldest_unacked, status.critical_bytes, status.next_seq), (None, 0, 4));
}

#[tokio::test]
async fn a_window_is_bounded_but_never_empty() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    store.commit(vec![big(EventClass::Info), big(EventClass::Info), critical()], Promise).await.unwrap();
    let window =
        async |items, bytes| store.events_after(Position::default(), items, bytes).await.unwrap().len();
    assert_eq!(window(2, u64::MAX).await, 2);
    assert_eq!(window(10, 1).await, 1);
    assert_eq!(window(10, 2300).await, 2);
    let behind = store.events_after(Position { epoch: 1, seq: 2 }, 10, u64::MAX).await.unwrap();
    assert_eq!(behind.len(), 1);
    assert_eq!(behind[0].position.seq, 3);
}

#[tokio::test]
async fn subscribers_wake_for_events_only() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut news = store.subscribe();
    news.mark_unchanged();
    store.commit(vec![Write::PutMeta { key: "k".into(), value: "v".into() }], Promise).await.unwrap();
    assert!(!news.has_changed().unwrap());
    store.commit(vec![critical()], Promise).await.unwrap();
    assert!(news.has_changed().unwrap());
    assert_eq!(*news.borrow_and_update(), Position { epoch: 1, seq: 1 });
    assert_eq!(store.meta("k").await.unwrap().as_deref(), Some("v"));
}

#[tokio::test]
async fn what_could_never_be_sent_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let with_data = |data: String| {
        let Write::Event(event) = critical() else { unreachable!() };
        vec![Write::Event(NewEvent { data_json: data, ..event })]
    };
    let broken = store.commit(with_data("{".to_owned()), Promise).await;
    assert!(matches!(broken, Err(StoreError::NotJson { .. })), "{broken:?}");
    let large = store.commit(with_data(format!("\"{}\"", "x".repeat(70_000))), Promise).await;
    assert!(matches!(large, Err(StoreError::EventTooLarge { .. })), "{large:?}");
    assert_eq!(store.commit(vec![critical()], Promise).await.unwrap().positions[0].seq, 1);
}
