//! Jobs move by revision, attempts begin once, and a refused list leaves nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use spoolway_agent::clock::{Clock, Hands};
use spoolway_protocol::Stamp;

use super::*;

#[tokio::test]
async fn an_attempt_begins_and_ends_once() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    assert_eq!(
        store.commit(vec![attempt("j", 1)], Promise).await,
        Err(StoreError::NoSuchJob("j".to_owned()))
    );
    store.commit(vec![Write::PutJob(job("j")), attempt("j", 1)], Promise).await.unwrap();
    let again = store.commit(vec![critical(), attempt("j", 1)], Promise).await;
    assert_eq!(again, Err(StoreError::AlreadyStarted { job_id: "j".to_owned(), attempt: 1 }));
    assert!(kinds(&store).await.is_empty(), "the refused list left its event behind");

    let end = AttemptEnd { outcome: "failed".to_owned(), line: Some(12), reason: None, ended_ms: 20 };
    let finish = |attempt| Write::FinishAttempt { job_id: "j".to_owned(), attempt, end: end.clone() };
    store.commit(vec![finish(1), attempt("j", 2)], Promise).await.unwrap();
    let twice = store.commit(vec![finish(1)], Promise).await;
    assert_eq!(twice, Err(StoreError::AlreadyFinished { job_id: "j".to_owned(), attempt: 1 }));
    let never = store.commit(vec![finish(3)], Promise).await;
    assert_eq!(never, Err(StoreError::NoSuchAttempt { job_id: "j".to_owned(), attempt: 3 }));
    let attempts = store.attempts("j").await.unwrap();
    assert_eq!(attempts.iter().map(|row| row.end.is_some()).collect::<Vec<_>>(), [true, false]);
    store.commit(vec![Write::ForgetJob { job_id: "j".to_owned() }], Promise).await.unwrap();
    assert_eq!((store.job("j").await.unwrap(), store.attempts("j").await.unwrap().len()), (None, 0));
}

#[tokio::test]
async fn a_refused_list_is_undone_alone_and_leaves_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    let slow = StoreOptions { group_ms: 600_000, ..options() };
    let (store, _) = Store::open(dir.path(), &slow).unwrap();
    store.commit(vec![Write::PutJob(job("j"))], Promise).await.unwrap();
    let good = store.commit(vec![event(EventClass::Info, "good")], Grouped);
    let move_job = Write::MoveJob {
        job_id: "j".to_owned(),
        expected_rev: 9,
        state: "queued".to_owned(),
        detail_json: None,
        updated_ms: 2,
    };
    let bad = store.commit(vec![critical(), Write::PutJob(job("k")), move_job], Grouped);
    let last = store.commit(vec![event(EventClass::Critical, "last")], Promise);
    let (good, bad, last) = tokio::join!(good, bad, last);
    assert_eq!(good.unwrap().positions[0].seq, 1);
    assert_eq!(bad, Err(StoreError::StaleRevision { job_id: "j".to_owned(), expected: 9, found: 1 }));
    assert_eq!(last.unwrap().positions[0].seq, 2);
    assert_eq!(kinds(&store).await, ["good", "last"]);
    assert_eq!(store.job("k").await.unwrap(), None);
}

#[tokio::test]
async fn jobs_files_and_order() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let late = JobRow { position: 2, ..job("late") };
    let urgent = JobRow { priority: 5, position: 3, ..job("urgent") };
    store
        .commit(vec![Write::PutJob(late), Write::PutJob(job("first")), Write::PutJob(urgent)], Promise)
        .await
        .unwrap();
    let order: Vec<_> = store.jobs().await.unwrap().into_iter().map(|job| job.job_id).collect();
    assert_eq!(order, ["urgent", "first", "late"]);
    let move_job = Write::MoveJob {
        job_id: "first".to_owned(),
        expected_rev: 1,
        state: "paused".to_owned(),
        detail_json: Some("{\"cause\":\"user\"}".to_owned()),
        updated_ms: 4,
    };
    store.commit(vec![move_job.clone()], Promise).await.unwrap();
    let moved = store.job("first").await.unwrap().unwrap();
    assert_eq!((moved.rev, moved.state.as_str(), moved.updated_ms), (2, "paused", 4));
    assert!(matches!(store.commit(vec![move_job], Promise).await, Err(StoreError::StaleRevision { .. })));

    let file = FileRow {
        sha256: "ab".repeat(32),
        size: 10,
        name: "cube.gcode".to_owned(),
        state: "fetching".to_owned(),
        durable_bytes: 4,
        updated_ms: 1,
    };
    store.commit(vec![Write::PutFile(file.clone())], Grouped).await.unwrap();
    assert_eq!(store.file(&file.sha256).await.unwrap().as_ref(), Some(&file));
    store.commit(vec![Write::DeleteFile { sha256: file.sha256.clone() }], Grouped).await.unwrap();
    assert!(store.files().await.unwrap().is_empty());
}

/// However the wall clock jumps between, how long an attempt took is known from what was written down.
#[tokio::test]
async fn rows_carry_a_stamp_that_a_jump_of_ten_years_does_not_spoil() {
    const TEN_YEARS_MS: u64 = 3_652 * 86_400_000;
    let hands = Arc::new(Hands::default());
    let clock = Clock::with_hands("boot-1".parse().unwrap(), Arc::clone(&hands));
    let set = |wall_ms, boot_ms| {
        hands.wall_ms.store(wall_ms, Ordering::Relaxed);
        hands.boot_ms.store(boot_ms, Ordering::Relaxed);
    };
    let read = |text: Option<String>| serde_json::from_str::<Stamp>(&text.unwrap()).unwrap();
    for end_ms in [2 * TEN_YEARS_MS, 20 * TEN_YEARS_MS] {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open_with(dir.path(), &options(), Some(clock.clone())).unwrap();
        set(10 * TEN_YEARS_MS, 5_000);
        let begin = vec![Write::InsertCommand(command("c", 1)), Write::PutJob(job("j")), attempt("j", 1)];
        store.commit(begin, Promise).await.unwrap();
        set(end_ms, 65_000);
        let end = AttemptEnd { outcome: "completed".to_owned(), line: None, reason: None, ended_ms: end_ms };
        let finish = Write::FinishAttempt { job_id: "j".to_owned(), attempt: 1, end };
        store.commit(vec![finish], Promise).await.unwrap();

        let row = store.attempts("j").await.unwrap().remove(0);
        let (started, ended) = (read(row.started_stamp_json), read(row.ended_stamp_json));
        assert_eq!(ended.ms_since(&started), Some(60_000));
        assert_eq!((&started.b, started.is_trusted()), (clock.boot_id(), false));
        assert_eq!(read(store.job_stamp("j").await.unwrap()), started);
        assert_eq!(read(store.command("c").await.unwrap().unwrap().received_stamp_json), started);
    }
}
