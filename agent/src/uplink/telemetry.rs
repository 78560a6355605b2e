//! Telemetry of one session: the latest wins, changes only, everything once a minute, and spikes are not lost.

use std::time::Duration;

use spoolway_agent_core::moment::Moment;
use spoolway_agent_core::readings::{Spreads, changes};
use spoolway_protocol::PrinterId;
use spoolway_protocol::telemetry::{Readings, TelemWatch, Telemetry};

use super::pace::Pace;
use crate::bus::{Telemetered, Wishes};

/// Everything is sent again this often, so that a reader who came late knows all of it.
const FULL_EVERY: Duration = Duration::from_secs(60);

/// What is due so soon goes along with what is being sent anyway.
const ALONG: Duration = Duration::from_millis(150);

/// Holds back what comes too fast.
#[derive(Debug)]
pub(super) struct Coalescer {
    printer: PrinterId,
    pace: Pace,
    latest: Telemetered,
    sent: Option<Sent>,
    n: u64,
    held: Spreads,
}

#[derive(Debug)]
struct Sent {
    readings: Readings,
    at: Moment,
    full_at: Moment,
}

impl Coalescer {
    /// A session begins with everything, and with what nobody was told of temperatures yet.
    pub(super) fn new(printer: PrinterId, pace: Pace, (latest, held): (Telemetered, Spreads)) -> Self {
        Self { printer, pace, latest, sent: None, n: 0, held }
    }

    /// The desk has new values.
    pub(super) fn handle_measured(&mut self, latest: Telemetered) {
        self.held.add(&latest.readings);
        self.latest = latest;
    }

    /// The session is over. What was measured last, and what was not told of temperatures.
    pub(super) fn take_untold(&mut self) -> (Telemetered, Spreads) {
        (std::mem::take(&mut self.latest), std::mem::take(&mut self.held))
    }

    /// The owner wishes other rates.
    pub(super) fn handle_wishes(&mut self, wishes: Wishes) {
        self.pace.handle_wishes(wishes);
    }

    /// Somebody watches.
    pub(super) fn handle_watch(&mut self, now: Moment, watch: &TelemWatch) {
        self.pace.handle_watch(now, watch);
    }

    /// When something is to be sent; `None` while there is nothing to say.
    pub(super) fn due(&self) -> Option<Moment> {
        if self.latest.readings == Readings::default() {
            return None;
        }
        let Some(sent) = &self.sent else { return Some(Moment::ZERO) };
        let next = self.pace.after(sent.at, self.latest.printing);
        let is_news = sent.readings != self.latest.readings || self.held.is_spread();
        let full = (sent.full_at + FULL_EVERY).max(next);
        Some(if is_news { next } else { full })
    }

    /// The same for whoever sends something anyway: several messages are then one write.
    pub(super) fn due_along(&self) -> Option<Moment> {
        self.due().map(|due| Moment::ZERO + (due - Moment::ZERO).saturating_sub(ALONG))
    }

    /// What is to be sent now, if anything is due, or nearly so while something else `is_sent` anyway.
    pub(super) fn take(&mut self, now: Moment, is_sent: bool) -> Option<Telemetry> {
        let due = if is_sent { self.due_along() } else { self.due() };
        due.filter(|&due| due <= now)?;
        let delta = self.sent.as_ref().and_then(|sent| {
            let is_old = now >= sent.full_at + FULL_EVERY;
            changes(&sent.readings, &self.latest.readings).filter(|_| !is_old)
        });
        let full = delta.is_none();
        let full_at = self.sent.as_ref().filter(|_| !full).map_or(now, |sent| sent.full_at);
        let readings = self.latest.readings.clone();
        self.sent = Some(Sent { readings: readings.clone(), at: now, full_at });
        self.n += 1;
        Some(Telemetry {
            printer_id: self.printer.clone(),
            n: self.n,
            full,
            d: delta.unwrap_or(readings),
            agg: self.held.take(),
            extra: Default::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use spoolway_protocol::telemetry::{Spread, TelemConfig};

    use super::*;

    fn at(line: u64, bed: f64, printing: bool) -> Telemetered {
        let readings = Readings {
            line: Some(line),
            t: BTreeMap::from([("bed".to_owned(), [bed, 60.0])]),
            ..Readings::default()
        };
        Telemetered { readings, printing }
    }

    fn coalescer(latest: Telemetered) -> Coalescer {
        Coalescer::new(
            "p0".parse().unwrap(),
            Pace::new(TelemConfig::default(), Wishes::default()),
            (latest, Spreads::default()),
        )
    }

    const fn ms(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    #[test]
    fn the_first_is_full_and_the_next_holds_only_what_changed_last() {
        let mut machine = coalescer(at(1, 60.0, true));
        let first = machine.take(ms(5), false).unwrap();
        assert!(first.full && first.n == 1 && first.agg.is_empty());
        for line in 2..9 {
            machine.handle_measured(at(line, 60.0, true));
            assert_eq!(machine.take(ms(5 + line), false), None);
        }
        assert_eq!(machine.due(), Some(ms(1_005)));
        let next = machine.take(ms(1_005), false).unwrap();
        assert_eq!((next.full, next.n, next.d.line), (false, 2, Some(8)));
        assert!(next.d.t.is_empty() && next.agg.is_empty());
    }

    #[test]
    fn a_spike_is_told_even_when_it_is_over() {
        let mut machine = coalescer(at(1, 60.0, false));
        machine.take(ms(0), false).unwrap();
        for bed in [60.0, 75.0, 60.0] {
            machine.handle_measured(at(1, bed, false));
        }
        let spike = machine.take(ms(10_000), false).unwrap();
        assert_eq!(spike.d, Readings::default());
        assert_eq!(spike.agg["bed"], Spread { min: 60.0, max: 75.0, mean: 65.0 });
    }

    #[test]
    fn everything_comes_once_a_minute_and_when_a_value_is_gone() {
        let mut machine = coalescer(at(1, 60.0, false));
        assert!(machine.take(ms(0), false).unwrap().full);
        assert_eq!(machine.due(), Some(ms(60_000)));
        assert!(machine.take(ms(60_000), false).unwrap().full);
        machine.handle_measured(Telemetered {
            readings: Readings { line: Some(1), ..Readings::default() },
            printing: false,
        });
        assert!(machine.take(ms(70_000), false).unwrap().full);
    }

    #[test]
    fn what_is_nearly_due_goes_along_with_something_else() {
        let mut machine = coalescer(at(1, 60.0, true));
        machine.take(ms(0), false).unwrap();
        machine.handle_measured(at(2, 60.0, true));
        assert_eq!(machine.due_along(), Some(ms(850)));
        assert_eq!((machine.take(ms(849), true), machine.take(ms(999), false)), (None, None));
        assert_eq!(machine.take(ms(850), true).unwrap().d.line, Some(2));
        machine.handle_measured(at(3, 60.0, true));
        assert_eq!(machine.due(), Some(ms(1_850)), "the interval begins anew");
    }

    #[test]
    fn who_watches_sees_more() {
        let mut machine = coalescer(at(1, 60.0, false));
        machine.take(ms(0), false).unwrap();
        machine.handle_watch(ms(0), &TelemWatch { ttl_ms: Some(1_000), extra: Default::default() });
        let mut seen = Vec::new();
        for now in 1..=30_000 {
            machine.handle_measured(at(now, 60.0, false));
            seen.extend(machine.take(ms(now), false).map(|_| now));
        }
        assert_eq!(seen, [250, 500, 750, 10_750, 20_750]);
    }

    #[test]
    fn who_knows_nothing_says_nothing() {
        let mut machine = coalescer(Telemetered::default());
        assert_eq!((machine.due(), machine.take(ms(99_999), false)), (None, None));
    }
}
