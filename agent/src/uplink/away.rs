//! The time without a session: what telemetry would have said is gathered, and written down by the hour.

use spoolway_agent_core::readings::{MINUTE, Minutes, Spreads};
use spoolway_protocol::PrinterId;
use spoolway_protocol::telemetry::{Readings, TelemMinutes};
use tokio::sync::watch;

use super::events::Events;
use crate::bus::Telemetered;
use crate::clock::Clock;

/// What the desk measures, whoever is told of it.
pub(super) struct Away {
    clock: Clock,
    printer: PrinterId,
    telemetered: watch::Receiver<Telemetered>,
    minutes: Minutes,
}

impl Away {
    /// There is no session yet.
    pub(super) fn new(clock: Clock, printer: PrinterId, telemetered: &watch::Receiver<Telemetered>) -> Self {
        let mut telemetered = telemetered.clone();
        telemetered.mark_changed();
        let mut minutes = Minutes::default();
        minutes.handle_down(clock.now(), Readings::default(), Spreads::default());
        Self { clock, printer, telemetered, minutes }
    }

    /// Resolves when there are new values. It may be dropped at any time.
    pub(super) async fn changed(&mut self) {
        if self.telemetered.changed().await.is_err() {
            // Nobody measures any more.
            std::future::pending().await
        }
    }

    /// The values as they are.
    pub(super) fn latest(&mut self) -> Telemetered {
        self.telemetered.borrow_and_update().clone()
    }

    /// Gathers until `work` is done.
    pub(super) async fn during<T>(&mut self, events: &mut Events, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            let now = self.clock.now();
            let rows = self.minutes.poll_output(now);
            self.note(events, rows);
            let minute = self.minutes.due().map_or(MINUTE, |due| due.since(now));
            tokio::select! {
                done = &mut work => return done,
                () = self.changed() => drop(self.gather()),
                () = events.written() => {}
                () = tokio::time::sleep(minute) => {}
            }
        }
    }

    /// A session stands. Returns the values as they are, and what is still to be said of temperatures.
    pub(super) fn handle_up(&mut self, events: &mut Events) -> (Telemetered, Spreads) {
        let latest = match self.telemetered.has_changed() {
            Ok(true) => self.gather(),
            // What comes this very moment is still news then.
            _ => self.telemetered.borrow().clone(),
        };
        let (rows, held) = self.minutes.handle_up(self.clock.now());
        self.note(events, rows);
        (latest, held)
    }

    /// The session is gone, and this is what it did not say.
    pub(super) fn handle_down(&mut self, latest: Telemetered, held: Spreads) {
        self.minutes.handle_down(self.clock.now(), latest.readings, held);
    }

    /// Nobody is told what was gathered for somebody else.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.clock.clone(), self.printer.clone(), &self.telemetered);
    }

    /// The agent stops.
    pub(super) fn handle_stop(&mut self, events: &mut Events) {
        let rows = self.minutes.handle_stop(self.clock.now());
        self.note(events, rows);
    }

    fn gather(&mut self) -> Telemetered {
        let latest = self.latest();
        self.minutes.handle_measured(self.clock.now(), &latest.readings);
        latest
    }

    fn note(&self, events: &mut Events, rows: Option<TelemMinutes>) {
        if let Some(rows) = rows {
            events.note(&self.clock, Some(&self.printer), rows.into());
        }
    }
}
