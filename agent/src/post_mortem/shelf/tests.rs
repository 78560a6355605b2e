use std::os::unix::fs::PermissionsExt;

use super::super::{Usage, Versions, Wire};
use super::*;
use crate::clock::Clock;
use crate::view::WireLineView;

fn record(job: &str, attempt: u32) -> Record {
    Record {
        v: Record::VERSION,
        job_id: JobId::new(job).unwrap(),
        attempt,
        outcome: "interrupted".to_owned(),
        code: Some("port.lost".to_owned()),
        text: None,
        started: None,
        ended: Clock::start().unwrap().stamp(),
        line: 7,
        commands_acked: 5,
        commands_total: 9,
        layer: 1,
        usage: Usage::default(),
        link: None,
        heat: Default::default(),
        board: Default::default(),
        versions: Versions::default(),
        wire: Wire::default(),
    }
}

fn names(shelf: &Shelf) -> Vec<String> {
    shelf.list().unwrap().iter().map(|kept| format!("{}/{}", kept.job_id, kept.attempt)).collect()
}

#[test]
fn an_attempt_has_one_record_and_a_job_is_asked_for_its_last() {
    let state = tempfile::tempdir().unwrap();
    let shelf = Shelf::of(state.path());
    assert_eq!(shelf.find(&JobId::new("j.1").unwrap(), None).unwrap(), None, "there is no folder yet");
    let first = record("j.1", 1);
    assert!(shelf.put(&first, None).unwrap().is_some());
    assert_eq!(shelf.put(&Record { line: 99, ..first.clone() }, None).unwrap(), None);
    let second = record("j.1", 2);
    shelf.put(&second, None).unwrap();
    shelf.put(&record("j.1.1", 7), None).unwrap();
    let job = JobId::new("j.1").unwrap();
    assert_eq!(shelf.find(&job, Some(1)).unwrap(), Some(first));
    assert_eq!(shelf.find(&job, None).unwrap(), Some(second));
    assert_eq!(shelf.find(&job, Some(7)).unwrap(), None);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state.path().join(FOLDER)), 0o700);
    assert_eq!(mode(&shelf.list().unwrap()[0].path), 0o600);
}

#[test]
fn the_oldest_goes_by_number_and_by_bytes() {
    let state = tempfile::tempdir().unwrap();
    let shelf = Shelf::of(state.path());
    for n in 0..RECORDS + 3 {
        shelf.put(&record(&format!("j{n}"), 1), None).unwrap();
    }
    let kept = names(&shelf);
    assert_eq!((kept.len(), kept[0].as_str()), (RECORDS, "j3/1"));
    assert_eq!(kept[RECORDS - 1], format!("j{}/1", RECORDS + 2));
    let line = |n: u64| WireLineView { at_ms: n, from: "agent".to_owned(), text: "x".repeat(500) };
    for n in 0..RECORDS * 2 {
        let mut large = record(&format!("l{n}"), 1);
        large.wire.lines = (0..440).map(line).collect();
        assert!(shelf.put(&large, None).unwrap().unwrap() > TOTAL_BYTES / RECORDS as u64);
        assert!(shelf.used_bytes() <= TOTAL_BYTES);
    }
    let mut huge = record("huge", 1);
    huge.wire.lines = (0..600).map(line).collect();
    assert_eq!(shelf.put(&huge, None).unwrap_err().kind(), ErrorKind::FileTooLarge);
}

#[test]
fn what_is_too_old_goes_where_the_clock_is_trusted() {
    let state = tempfile::tempdir().unwrap();
    let shelf = Shelf::of(state.path());
    shelf.put(&record("old", 1), None).unwrap();
    let later = crate::clock::wall_ms() + AGE.as_millis() as u64 + 60_000;
    shelf.put(&record("untrusted", 1), None).unwrap();
    assert_eq!(names(&shelf), ["old/1", "untrusted/1"]);
    shelf.put(&record("new", 1), Some(later)).unwrap();
    assert_eq!(names(&shelf), ["new/1"]);
}

#[test]
fn jobs_that_are_forgotten_take_theirs_along() {
    let state = tempfile::tempdir().unwrap();
    let shelf = Shelf::of(state.path());
    for job in ["mine", "theirs", "mine.1"] {
        shelf.put(&record(job, 1), None).unwrap();
    }
    fs::write(state.path().join(FOLDER).join(UNFINISHED), "half").unwrap();
    fs::write(state.path().join(FOLDER).join("notes.txt"), "of a person").unwrap();
    shelf.keep_only(|job| job.as_str() != "theirs").unwrap();
    assert_eq!(names(&shelf), ["mine/1", "mine.1/1"]);
    let left = fs::read_dir(state.path().join(FOLDER)).unwrap().count();
    assert_eq!(left, 3, "the half record is gone, and what is not ours stays");
}

#[test]
fn a_folder_that_takes_nothing_is_an_error_and_leaves_nothing() {
    let state = tempfile::tempdir().unwrap();
    fs::write(state.path().join(FOLDER), "a file in its place").unwrap();
    let shelf = Shelf::of(state.path());
    assert!(shelf.put(&record("j1", 1), None).is_err());
    assert_eq!(shelf.used_bytes(), 0);
}
