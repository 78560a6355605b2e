//! Jobs move by revision, attempts begin once, and a refused list leaves nothing.

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
