//! Parts that stand still, in virtual time: the store is a real one, the printer's thread and the uplink are played.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::store::StoreOptions;

const INTERVAL: Duration = Duration::from_secs(10);

struct Rig {
    uplink: Promise,
    fed: Arc<AtomicU32>,
    folder: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { uplink: Promise::default(), fed: Arc::default(), folder }
    }

    /// Watches the printer's thread that belongs to this runtime.
    fn watch(&self, printer: Option<Handle>) -> tokio::task::JoinHandle<()> {
        let (store, _) = Store::open(self.folder.path(), &StoreOptions::default()).unwrap();
        let parts = Parts { printer, store, uplink: self.uplink.clone() };
        let fed = Arc::clone(&self.fed);
        tokio::spawn(watch(parts, INTERVAL, move || {
            fed.fetch_add(1, Ordering::Relaxed);
        }))
    }

    /// How often the watchdog is fed in this time.
    async fn fed_within(&self, time: Duration) -> u32 {
        let before = self.fed.load(Ordering::Relaxed);
        tokio::time::sleep(time).await;
        self.fed.load(Ordering::Relaxed) - before
    }
}

#[tokio::test(start_paused = true)]
async fn an_uplink_that_moves_no_more_is_not_covered_up() {
    let rig = Rig::new();
    let watching = rig.watch(None);
    assert!(rig.fed_within(Duration::from_secs(60)).await >= 5, "nobody to be late");
    rig.uplink.within(Duration::from_secs(3_600));
    assert!(rig.fed_within(Duration::from_secs(3_600)).await >= 350, "it waits for as long as it has said");
    assert!(rig.fed_within(UPLINK).await >= 29, "and may be late");
    assert!(rig.fed_within(Duration::from_secs(600)).await <= 1, "it is stuck");
    rig.uplink.within(Duration::from_secs(60));
    assert!(rig.fed_within(Duration::from_secs(60)).await >= 5, "it moves again");
    rig.uplink.rest();
    assert!(rig.fed_within(Duration::from_secs(3_600)).await >= 350, "it has nothing to do");
    watching.abort();
}

#[tokio::test(start_paused = true)]
async fn a_printer_thread_that_answers_nothing_is_not_covered_up() {
    let rig = Rig::new();
    // A runtime that nobody drives: what is asked of it stays unanswered.
    let idle = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let watching = rig.watch(Some(idle.handle().clone()));
    assert!(rig.fed_within(PRINTER).await >= 1, "it may take its time");
    assert_eq!(rig.fed_within(Duration::from_secs(300)).await, 0);
    let driven = std::thread::spawn(move || idle.block_on(async { tokio::task::yield_now().await }));
    driven.join().unwrap();
    assert!(rig.fed_within(Duration::from_secs(60)).await >= 5, "it answers again");
    watching.abort();
}

#[test]
fn what_is_late_is_told_with_its_code_once_each_time() {
    let (now, second) = (Instant::now(), Duration::from_secs(1));
    let promise = Promise::default();
    let mut part = Part::new("store", promise.clone(), STORE);
    assert!(part.moves(now + STORE * 9), "nothing is owed");
    promise.set(Some(now));
    assert!(part.moves(now + STORE) && !part.is_late);
    assert!(!part.moves(now + STORE + second) && part.is_late);
    assert_eq!(Fault::AgentStuck.code(), "agent.stuck");
    promise.rest();
    assert!(part.moves(now + STORE + second) && !part.is_late);
}
