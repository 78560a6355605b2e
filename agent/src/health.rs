//! Whether everything moves that has to, and the watchdog of the service manager that hears of it (`sd_notify(3)`, WATCHDOG=1).
//!
//! The printer's thread and the store are asked, and the uplink says by when it will move again. While one of them owes an answer
//! the watchdog is not fed; the service manager then ends the process, and the next one goes on with the print.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use spoolway_protocol::Fault;
use tokio::runtime::Handle;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{error, info};

use crate::store::Store;

/// How long the printer's thread may leave a question open. It never waits for a disk or a network.
const PRINTER: Duration = Duration::from_secs(15);
/// The same for the store: a worn card may keep a write for many seconds, and a print goes on meanwhile.
const STORE: Duration = Duration::from_secs(120);
/// How much later than it has said the uplink may move: the steps of a login have bounds of their own within this.
const UPLINK: Duration = Duration::from_secs(300);

/// By when somebody has said to move again; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Promise(Arc<Mutex<Option<Instant>>>);

impl Promise {
    /// I move again within this time.
    pub fn within(&self, time: Duration) {
        self.set(Some(Instant::now() + time));
    }

    /// There is nothing for me to do.
    pub fn rest(&self) {
        self.set(None);
    }

    fn set(&self, until: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// How much later than that it is.
    fn late_by(&self, now: Instant) -> Option<Duration> {
        let until = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        now.checked_duration_since(until).filter(|late| !late.is_zero())
    }
}

/// One of the parts: what it has promised, and how late it may be.
struct Part {
    name: &'static str,
    promise: Promise,
    patience: Duration,
    is_late: bool,
}

impl Part {
    fn new(name: &'static str, promise: Promise, patience: Duration) -> Self {
        Self { name, promise, patience, is_late: false }
    }

    /// Whether it keeps its promise; told once when it no longer does, and once when it does again.
    fn moves(&mut self, now: Instant) -> bool {
        let late = self.promise.late_by(now).filter(|late| *late > self.patience);
        match (late, self.is_late) {
            (Some(late), false) => {
                let fault = Fault::AgentStuck;
                error!(
                    code = fault.code(),
                    part = self.name,
                    late_s = late.as_secs(),
                    help = fault.help(),
                    "a part of the agent stands still"
                );
            }
            (None, true) => info!(part = self.name, "it moves again"),
            _ => {}
        }
        self.is_late = late.is_some();
        !self.is_late
    }
}

/// What is looked at.
pub struct Parts {
    /// Of the printer's thread.
    pub printer: Option<Handle>,
    /// The store.
    pub store: Store,
    /// What the uplink says.
    pub uplink: Promise,
}

/// Looks at all parts every `interval`, for ever, and feeds the watchdog while each of them moves.
pub async fn watch(parts: Parts, interval: Duration, feed: impl Fn()) {
    let Parts { printer, store, uplink } = parts;
    let (asked_printer, asked_store) = (Promise::default(), Promise::default());
    let of_printer = ask_again(&asked_printer, interval, || {
        let answer = printer.as_ref().map(|runtime| runtime.spawn(std::future::ready(())));
        async move { drop(futures_util::future::OptionFuture::from(answer).await) }
    });
    let of_store = ask_again(&asked_store, interval, || async { drop(store.outbox_status().await) });
    let mut all = [
        Part::new("printer", asked_printer.clone(), PRINTER),
        Part::new("store", asked_store.clone(), STORE),
        Part::new("uplink", uplink, UPLINK),
    ];
    let feeding = async {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await;
            // Each is asked, so that each is told of.
            if all.iter_mut().fold(true, |fine, part| part.moves(now) && fine) {
                feed();
            }
        }
    };
    tokio::join!(of_printer, of_store, feeding);
}

/// Asks again and again, one question at a time; from the question on an answer is owed.
async fn ask_again<F: Future<Output = ()>>(owed: &Promise, interval: Duration, ask: impl Fn() -> F) {
    loop {
        owed.within(Duration::ZERO);
        ask().await;
        owed.rest();
        tokio::time::sleep(interval).await;
    }
}

#[cfg(test)]
mod tests;
