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

    /// How late it is, if that is too late, and what that is called.
    fn fault(&self, now: Instant) -> Option<(Fault, Duration)> {
        let late = self.promise.late_by(now).filter(|late| *late > self.patience)?;
        Some((Fault::AgentStuck, late))
    }

    /// Whether it keeps its promise; told once when it no longer does, and once when it does again.
    fn moves(&mut self, now: Instant) -> bool {
        let fault = self.fault(now);
        match (fault, self.is_late) {
            (Some((fault, late)), false) => {
                let (code, help, late_s) = (fault.code(), fault.help(), late.as_secs());
                error!(code, part = self.name, late_s, help, "a part of the agent stands still");
            }
            (None, true) => info!(part = self.name, "it moves again"),
            _ => {}
        }
        self.is_late = fault.is_some();
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
    let of_printer = ask_again(&asked_printer, interval, || turn(printer.as_ref()));
    let of_store = ask_again(&asked_store, interval, || async { drop(store.outbox_status().await) });
    let mut all = All::new(asked_printer.clone(), asked_store.clone(), uplink);
    let feeding = async {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if all.move_at(ticks.tick().await) {
                feed();
            }
        }
    };
    tokio::join!(of_printer, of_store, feeding);
}

/// All parts.
struct All([Part; 3]);

impl All {
    fn new(printer: Promise, store: Promise, uplink: Promise) -> Self {
        Self([
            Part::new("printer", printer, PRINTER),
            Part::new("store", store, STORE),
            Part::new("uplink", uplink, UPLINK),
        ])
    }

    /// Whether each of them moves. Each is asked, so that each is told of.
    fn move_at(&mut self, now: Instant) -> bool {
        let late = self.0.iter_mut().filter_map(|part| (!part.moves(now)).then_some(part.name));
        late.count() == 0
    }
}

/// One turn of a thread's runtime; at once, where somebody else plays the thread.
async fn turn(thread: Option<&Handle>) {
    if let Some(runtime) = thread {
        drop(runtime.spawn(std::future::ready(())).await);
    }
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
