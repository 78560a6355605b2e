//! The time without a session: a row for each minute, kept in memory and handed out by the hour.
//!
//! A temperature belongs to one row, or to the first telemetry of the next session: that one is told what the last session had
//! not said yet, if the outage was short, and what came behind the last whole minute, if it was long. No row is made up for a
//! time in which nobody measured.

use std::time::Duration;

use spoolway_protocol::telemetry::{Readings, TelemMinute, TelemMinutes};

use super::{Spreads, changes};
use crate::moment::Moment;

/// What a row stands for.
pub const MINUTE: Duration = Duration::from_secs(60);
/// Most rows that are kept; then they are handed out.
pub const ROWS: usize = 60;
/// Bytes of rows at which they are handed out before that, so that they fit an event.
pub const ROWS_BYTES: usize = 48 * 1024;

/// The minutes since there was a session.
#[derive(Debug, Default)]
pub struct Minutes {
    running: Option<Running>,
    rows: Vec<(Moment, TelemMinute)>,
    bytes: usize,
    /// The values of the last of these rows.
    told: Option<Readings>,
}

/// The minute that is not over.
#[derive(Debug)]
struct Running {
    ends: Moment,
    latest: Readings,
    held: Spreads,
}

impl Minutes {
    /// There is no session from now on. These are the values, and what the last session had still to say of temperatures.
    pub fn handle_down(&mut self, now: Moment, latest: Readings, held: Spreads) {
        if self.running.is_none() {
            self.running = Some(Running { ends: now + MINUTE, latest, held });
        }
    }

    /// There are new values. Nothing is kept of them while a session tells them.
    pub fn handle_measured(&mut self, now: Moment, latest: &Readings) {
        self.end_minute(now);
        if let Some(running) = &mut self.running {
            running.held.add(latest);
            running.latest.clone_from(latest);
        }
    }

    /// When the minute is over.
    #[must_use]
    pub fn due(&self) -> Option<Moment> {
        self.running.as_ref().map(|running| running.ends)
    }

    /// The rows, once there are enough of them.
    pub fn poll_output(&mut self, now: Moment) -> Option<TelemMinutes> {
        self.end_minute(now);
        let is_full = self.rows.len() >= ROWS || self.bytes >= ROWS_BYTES;
        if is_full { self.hand_out(now) } else { None }
    }

    /// A session stands. The rows that are left, and what its first telemetry has to say of temperatures.
    pub fn handle_up(&mut self, now: Moment) -> (Option<TelemMinutes>, Spreads) {
        self.end_minute(now);
        let held = self.running.take().map(|running| running.held);
        (self.hand_out(now), held.unwrap_or_default())
    }

    /// The agent stops. The rows that are left; the last minute is a short one, if there is anything to say of it.
    pub fn handle_stop(&mut self, now: Moment) -> Option<TelemMinutes> {
        self.end_minute(now);
        if let Some(Running { latest, held, .. }) = self.running.take()
            && !(held.is_empty() && self.told.as_ref() == Some(&latest))
        {
            self.add_row(now, latest, held);
        }
        self.hand_out(now)
    }

    fn end_minute(&mut self, now: Moment) {
        let Some(running) = self.running.as_mut().filter(|running| running.ends <= now) else { return };
        let (ended, latest) = (running.ends, running.latest.clone());
        let held = std::mem::take(&mut running.held);
        // Whoever was not looked at for longer begins anew.
        running.ends = if now < ended + MINUTE { ended + MINUTE } else { now + MINUTE };
        self.add_row(ended, latest, held);
    }

    fn add_row(&mut self, ended: Moment, latest: Readings, mut held: Spreads) {
        if latest == Readings::default() && held.is_empty() {
            return;
        }
        let delta = self.told.as_ref().and_then(|told| changes(told, &latest));
        let row = TelemMinute {
            ago_ms: 0,
            full: delta.is_none(),
            d: delta.unwrap_or_else(|| latest.clone()),
            agg: held.take(),
            extra: Default::default(),
        };
        self.bytes += serde_json::to_vec(&row).map_or(0, |text| text.len());
        self.rows.push((ended, row));
        self.told = Some(latest);
    }

    /// Each event can be read by itself, so its first row is a full one.
    fn hand_out(&mut self, now: Moment) -> Option<TelemMinutes> {
        (self.told, self.bytes) = (None, 0);
        let ago_ms = |ended: Moment| u64::try_from(now.since(ended).as_millis()).unwrap_or(u64::MAX);
        let rows = self.rows.drain(..).map(|(ended, row)| TelemMinute { ago_ms: ago_ms(ended), ..row });
        let rows: Vec<_> = rows.collect();
        (!rows.is_empty()).then(|| TelemMinutes { rows, extra: Default::default() })
    }
}
