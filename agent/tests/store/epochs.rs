//! An epoch never gives a position twice, whatever ends a run.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;

/// The state folder as kill -9 would leave it at this moment.
fn image_of(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["spoolway.db", "spoolway.db-wal", "spoolway.epoch"] {
        if dir.join(name).exists() {
            fs::copy(dir.join(name), copy.path().join(name)).unwrap();
        }
    }
    copy
}

#[tokio::test]
async fn a_clean_stop_goes_on_in_its_epoch_and_an_unclean_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    store.commit(vec![event(EventClass::Critical, "first")], Promise).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(store.commit(vec![critical()], Promise).await, Err(StoreError::Closed));

    let (store, opened) = open(dir.path());
    assert_eq!((opened.epoch, opened.next_seq, opened.start), (1, 2, Start::Clean));
    store.commit(vec![event(EventClass::Critical, "second")], Promise).await.unwrap();
    drop(store);

    let (store, opened) = open(dir.path());
    assert_eq!((opened.epoch, opened.next_seq, opened.start), (2, 1, Start::Unclean));
    let committed = store.commit(vec![event(EventClass::Critical, "third")], Promise).await.unwrap();
    assert_eq!(committed.positions, [Position { epoch: 2, seq: 1 }]);
    assert_eq!(kinds(&store).await, ["first", "second", "third"]);
    assert_eq!(store.outbox_status().await.unwrap().oldest_unacked, Some(Position { epoch: 1, seq: 1 }));
}

#[tokio::test]
async fn an_older_copy_that_is_put_back_begins_a_new_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    store.commit(vec![critical()], Promise).await.unwrap();
    store.close().await.unwrap();
    let backup = fs::read(dir.path().join("spoolway.db")).unwrap();
    let (store, _) = open(dir.path());
    store.commit(vec![critical()], Promise).await.unwrap();
    store.close().await.unwrap();
    fs::write(dir.path().join("spoolway.db"), backup).unwrap();
    let (_store, opened) = open(dir.path());
    assert_eq!((opened.epoch, opened.next_seq, opened.start), (2, 1, Start::Unclean));
}

#[tokio::test]
async fn a_lost_database_or_side_file_never_brings_an_epoch_back() {
    let dir = tempfile::tempdir().unwrap();
    let (path, side) = (dir.path().join("spoolway.db"), dir.path().join("spoolway.epoch"));
    open(dir.path()).0.close().await.unwrap();
    fs::remove_file(&path).unwrap();
    let (store, opened) = open(dir.path());
    assert_eq!((opened.epoch, &opened.start), (2, &Start::Missing));
    store.close().await.unwrap();
    fs::remove_file(&side).unwrap();
    let (store, opened) = open(dir.path());
    assert_eq!((opened.epoch, &opened.start), (3, &Start::Unclean));
    store.close().await.unwrap();
    fs::remove_file(&side).unwrap();
    fs::write(&path, b"no database").unwrap();
    let (_store, opened) = open(dir.path());
    assert!(opened.epoch > 4000, "{opened:?}");
}

/// Whatever crashes, clean stops and losses come between, no position is ever given twice.
#[tokio::test]
async fn no_position_is_ever_given_twice() {
    for seed in 0..12 {
        let mut dice = Dice(seed);
        let mut dir = tempfile::tempdir().unwrap();
        let mut seen = HashSet::new();
        for _run in 0..8 {
            let (store, opened) = open(dir.path());
            let mut next = Position { epoch: opened.epoch, seq: opened.next_seq };
            for _ in 0..dice.roll(12) {
                let durability = if dice.roll(2) == 0 { Promise } else { Grouped };
                let list = (0..dice.roll(4)).map(|_| critical()).collect();
                for position in store.commit(list, durability).await.unwrap().positions {
                    assert_eq!(position, next, "seed {seed}");
                    assert!(seen.insert(position), "seed {seed}: {position:?} was given twice");
                    next.seq += 1;
                }
                if dice.roll(3) == 0 && next.seq > 1 {
                    let upto = Position { seq: 1 + dice.roll(next.seq - 1), ..next };
                    store.ack(upto).await.unwrap();
                }
            }
            match dice.roll(4) {
                0 => store.close().await.unwrap(),
                1 => drop(store),
                2 => dir = image_of(dir.path()),
                _ => {
                    // A power cut that loses the end of the log, which NORMAL commits may.
                    dir = image_of(dir.path());
                    let log = dir.path().join("spoolway.db-wal");
                    let keep = fs::metadata(&log).unwrap().len() * dice.roll(100) / 100;
                    fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(keep).unwrap();
                }
            }
        }
    }
}

#[tokio::test]
async fn another_owner_begins_with_nothing_in_an_epoch_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let command = NewCommand {
        cmd_id: "c1".into(),
        seq: Some(57),
        printer_id: None,
        kind: "job.pause".into(),
        body_json: "{}".into(),
        received_ms: 1,
    };
    store.commit(vec![critical(), critical(), Write::InsertCommand(command)], Promise).await.unwrap();
    let change = || Write::ChangeOwner { owner: "b:lab".into() };
    let refused =
        store.commit(vec![change(), Write::ForgetJob { job_id: "j".into() }, unlawful()], Promise).await;
    assert!(refused.is_err());
    assert_eq!(store.outbox_status().await.unwrap().next_seq, 3, "all of it or nothing");
    let committed = store.commit(vec![change(), event(EventClass::Critical, "gap")], Promise).await.unwrap();
    assert_eq!(committed.positions, [Position { epoch: 2, seq: 1 }]);
    assert_eq!(kinds(&store).await, ["gap"]);
    assert_eq!(store.highest_command_seq().await.unwrap(), 0);
    assert_eq!(store.meta("owner").await.unwrap().as_deref(), Some("b:lab"));
    // An ack of the owner before is stale.
    store.ack(Position { epoch: 1, seq: 2 }).await.unwrap();
    assert_eq!(kinds(&store).await, ["gap"]);
    store.close().await.unwrap();
    let (_, opened) = open(dir.path());
    assert_eq!((opened.epoch, opened.next_seq, opened.start), (2, 2, Start::Clean));
}

/// A write that is refused.
fn unlawful() -> Write {
    Write::SetCommand { cmd_id: "unheard-of".into(), status: "done".into(), result_json: None }
}
