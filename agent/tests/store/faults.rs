//! Full disks, damage, newer schemas and a second agent are named and survived.

use std::fs;

use super::*;

#[tokio::test]
async fn a_full_disk_is_named_and_the_store_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let tight = StoreOptions { max_page_count: Some(60), ..options() };
    let (store, _) = Store::open(dir.path(), &tight).unwrap();
    let mut written = 0;
    let error = loop {
        match store.commit(vec![big(EventClass::Critical), big(EventClass::Critical)], Promise).await {
            Ok(committed) => written = committed.positions[1].seq,
            Err(error) => break error,
        }
    };
    assert_eq!(error, StoreError::DiskFull);
    assert_eq!(kinds(&store).await.len() as u64, written, "half a list was kept");
    store.ack(Position { epoch: 1, seq: written }).await.unwrap();
    let next = store.commit(vec![critical()], Promise).await.unwrap();
    assert_eq!(next.positions[0].seq, written + 1, "the failed list left a gap");
}

#[tokio::test]
async fn a_small_promise_does_not_fail_for_a_large_neighbour() {
    let dir = tempfile::tempdir().unwrap();
    let tight = StoreOptions { max_page_count: Some(60), group_ms: 600_000, ..options() };
    let (store, _) = Store::open(dir.path(), &tight).unwrap();
    let large = store.commit((0..31).map(|_| big(EventClass::Critical)).collect(), Promise);
    large.await.unwrap();
    let huge = (0..30).map(|_| {
        let Write::Event(event) = critical() else { unreachable!() };
        Write::Event(NewEvent { data_json: format!("\"{}\"", "x".repeat(50_000)), ..event })
    });
    let neighbour = store.commit(huge.collect(), Grouped);
    let promise =
        store.commit(vec![Write::PutMeta { key: "k".into(), value: "v".into() }, critical()], Promise);
    let (neighbour, promise) = tokio::join!(neighbour, promise);
    assert_eq!(neighbour, Err(StoreError::DiskFull));
    assert_eq!(promise.unwrap().positions[0].seq, 32);
}

#[tokio::test]
async fn a_damaged_database_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for _ in 0..40 {
        store.commit(vec![big(EventClass::Critical)], Grouped).await.unwrap();
    }
    store.close().await.unwrap();
    let path = dir.path().join("spoolway.db");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle - 8192..middle + 8192].fill(0xa5);
    fs::write(&path, bytes).unwrap();

    let (store, opened) = open(dir.path());
    let Start::Corrupt { set_aside, detail } = &opened.start else { panic!("{opened:?}") };
    assert!(set_aside.ends_with("spoolway.db.corrupt-1") && set_aside.exists());
    assert!(!detail.is_empty());
    assert_eq!((opened.epoch, opened.next_seq), (2, 1));
    assert!(kinds(&store).await.is_empty());
    store.commit(vec![critical()], Promise).await.unwrap();
    store.close().await.unwrap();

    // No database, or one of a format that no release ever wrote: the copies are bounded, the epochs all new.
    for n in 2..=6 {
        let mut bytes = fs::read(&path).unwrap();
        if n % 2 == 0 {
            bytes.fill(0x5a)
        } else {
            bytes[20..90].fill(0x77)
        }
        fs::write(&path, bytes).unwrap();
        let (store, opened) = open(dir.path());
        assert_eq!(opened.epoch, n + 1);
        store.close().await.unwrap();
    }
    let copies = fs::read_dir(dir.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("corrupt"));
    assert_eq!(copies.count(), 3);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).0.close().await.unwrap();
    let path = dir.path().join("spoolway.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let before = fs::read(&path).unwrap();
    let refused = Store::open(dir.path(), &options()).unwrap_err();
    assert!(matches!(refused, StoreError::NewerSchema { found: 99, .. }), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_second_agent_on_the_same_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, _) = open(dir.path());
    let impatient = StoreOptions { busy_timeout_ms: 1, ..options() };
    assert_eq!(Store::open(dir.path(), &impatient).unwrap_err(), StoreError::InUse);
}
