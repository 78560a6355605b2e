//! Parts that stand still, at times that are made up.

use std::pin::pin;

use futures_util::FutureExt;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn nobody_is_late_who_has_promised_nothing() {
    let mut all = All::new(Promise::default(), Promise::default(), Promise::default());
    assert!(all.move_at(Instant::now() + STORE * 100));
}

#[test]
fn each_part_is_late_by_its_own_measure_and_told_once() {
    for (at, patience) in [PRINTER, STORE, UPLINK].into_iter().enumerate() {
        let promises = [Promise::default(), Promise::default(), Promise::default()];
        let [printer, store, uplink] = promises.clone();
        let mut all = All::new(printer, store, uplink);
        let now = Instant::now();
        promises[at].set(Some(now));
        assert!(all.move_at(now + patience), "{at}: it may be so late");
        for later in [SECOND, SECOND * 60] {
            assert!(!all.move_at(now + patience + later), "{at}");
            let faults: Vec<_> = all.0.iter().map(|part| part.fault(now + patience + later)).collect();
            assert_eq!(faults[at], Some((Fault::AgentStuck, patience + later)));
            assert_eq!(faults.iter().flatten().count(), 1, "{at}: and nobody else");
        }
        promises[at].set(Some(now + patience * 2));
        assert!(all.move_at(now + patience + SECOND), "{at}: it moves again");
        promises[at].rest();
        assert!(all.move_at(now + patience * 100), "{at}: it has nothing to do");
    }
}

#[tokio::test]
async fn a_thread_that_does_not_turn_owes_an_answer_until_it_does() {
    // A runtime that nobody drives yet.
    let thread = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = thread.handle().clone();
    let owed = Promise::default();
    let mut asking = pin!(ask_again(&owed, SECOND * 3_600, || turn(Some(&handle))));
    assert!((&mut asking).now_or_never().is_none());
    assert!(owed.late_by(Instant::now() + SECOND).is_some(), "the question is open");
    let driven = std::thread::spawn(move || {
        thread.block_on(tokio::task::yield_now());
        thread
    });
    let thread = driven.join().unwrap();
    assert!((&mut asking).now_or_never().is_none());
    assert!(owed.late_by(Instant::now() + SECOND * 3_600).is_none(), "answered");
    thread.shutdown_background();
}
