//! Outages of all lengths, against somebody who puts the rows together again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use spoolway_protocol::limits::EVENT_BYTES;
use spoolway_protocol::telemetry::{Readings, Spread, TelemMinutes};

use super::*;
use crate::backoff::Jitter;
use crate::moment::Moment;

/// Everything that was measured and has not been told yet.
#[derive(Default)]
struct Untold(Vec<(Moment, Readings)>);

impl Untold {
    /// What there is to say of temperatures that were measured before then; it is told with that.
    fn told_before(&mut self, until: Moment) -> BTreeMap<String, Spread> {
        let told: Vec<_> = self.0.extract_if(.., |(at, _)| *at < until).collect();
        let mut by_heater = BTreeMap::<String, Vec<f64>>::new();
        for (heater, [actual, _]) in told.iter().flat_map(|(_, readings)| &readings.t) {
            by_heater.entry(heater.clone()).or_default().push(*actual);
        }
        let spread = |(heater, values): (String, Vec<f64>)| {
            let (min, max) =
                (values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?);
            let mean = values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).ok()?);
            (min < max).then_some((heater, Spread { min, max, mean }))
        };
        by_heater.into_iter().filter_map(spread).collect()
    }
}

/// Puts changes into what is known, as a backend does.
fn apply(known: &mut Value, delta: Value) {
    match (known, delta) {
        (Value::Object(known), Value::Object(delta)) => {
            for (name, value) in delta {
                apply(known.entry(name).or_insert(Value::Null), value);
            }
        }
        (known, delta) => *known = delta,
    }
}

/// One agent's life, and what is known of it.
struct World {
    now: Moment,
    dice: Jitter,
    minutes: Minutes,
    is_up: bool,
    /// The session's own, as its telemetry has it.
    held: Spreads,
    latest: Readings,
    /// What the values were from when on.
    history: Vec<(Moment, Readings)>,
    untold: Untold,
    last_end: Moment,
    rows: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut minutes = Minutes::default();
        minutes.handle_down(Moment::ZERO, Readings::default(), Spreads::default());
        Self {
            now: Moment::ZERO,
            dice: Jitter::new(seed),
            minutes,
            is_up: false,
            held: Spreads::default(),
            latest: Readings::default(),
            history: vec![(Moment::ZERO, Readings::default())],
            untold: Untold::default(),
            last_end: Moment::ZERO,
            rows: 0,
        }
    }

    fn measure(&mut self, heaters: u64) {
        let mut readings = Readings::default();
        if self.dice.between(0, 30) > 0 {
            readings.line = Some(self.dice.between(0, 3));
            readings.layer = (self.dice.between(0, 5) > 0).then_some(7);
            for heater in 0..self.dice.between(heaters / 2, heaters) {
                let actual = f64::from(u32::try_from(self.dice.between(200, 230)).unwrap()) / 3.0;
                readings.t.insert(format!("tool{heater}"), [actual, 210.0]);
            }
        }
        self.history.push((self.now, readings.clone()));
        self.untold.0.push((self.now, readings.clone()));
        if self.is_up {
            self.held.add(&readings);
        } else {
            self.minutes.handle_measured(self.now, &readings);
        }
        self.latest = readings;
    }

    /// Somebody reads an event by itself.
    fn told(&mut self, event: &TelemMinutes) {
        let text = serde_json::to_string(event).unwrap();
        assert!(text.len() < EVENT_BYTES && event.rows.len() <= ROWS && !event.rows.is_empty());
        assert!(event.rows[0].full);
        let mut known = Value::Null;
        for row in &event.rows {
            let ended = Moment::from_micros(self.now.as_micros() - row.ago_ms * 1_000);
            assert!(self.last_end <= ended, "rows do not overlap");
            self.last_end = ended;
            if row.full {
                known = Value::Null;
            }
            apply(&mut known, serde_json::to_value(&row.d).unwrap());
            let before = self.history.iter().rev().find(|(at, _)| *at < ended);
            let was = serde_json::to_value(&before.unwrap().1).unwrap();
            assert_eq!(known, was, "the values of the minute that ended at {ended:?}");
            assert_eq!(self.untold.told_before(ended), row.agg);
            self.rows += 1;
        }
    }

    fn step(&mut self, heaters: u64) {
        let wait_ms = match self.dice.between(0, 40) {
            0 => self.dice.between(0, 9_000_000),
            1..=5 => self.dice.between(50_000, 70_000),
            _ => self.dice.between(1, 9_000),
        };
        let until = self.now + Duration::from_millis(wait_ms);
        // Whoever is asleep is not woken; everybody else is, at the end of each minute.
        let is_asleep = self.dice.between(0, 3) == 0;
        while let Some(due) = self.minutes.due().filter(|due| *due < until && !is_asleep) {
            self.now = due;
            self.poll();
        }
        self.now = until;
        match self.dice.between(0, 60) {
            0 if self.is_up => {
                self.is_up = false;
                self.minutes.handle_down(self.now, self.latest.clone(), std::mem::take(&mut self.held));
            }
            0 => {
                let (event, held) = self.minutes.handle_up(self.now);
                event.iter().for_each(|event| self.told(event));
                (self.is_up, self.held) = (true, held);
                self.session_tells();
            }
            1..=10 if self.is_up => self.session_tells(),
            _ => self.measure(heaters),
        }
        self.poll();
    }

    fn session_tells(&mut self) {
        let ever = self.now + Duration::from_millis(1);
        assert_eq!(self.held.take(), self.untold.told_before(ever));
    }

    fn poll(&mut self) {
        if let Some(event) = self.minutes.poll_output(self.now) {
            assert!(!self.is_up, "a session tells the values itself");
            self.told(&event);
        }
    }
}

#[test]
fn every_temperature_is_told_once_and_every_row_by_itself() {
    let mut rows = 0;
    for seed in 0..500 {
        let mut world = World::new(seed);
        let heaters = if seed % 10 == 0 { 10 } else { 2 };
        for _ in 0..400 {
            world.step(heaters);
        }
        world.now = world.now + Duration::from_millis(1);
        world.poll();
        if let Some(event) = world.minutes.handle_stop(world.now) {
            world.told(&event);
        }
        rows += world.rows;
    }
    assert!(rows > 20_000, "{rows}");
}

#[test]
fn an_hour_is_handed_out_when_it_is_over() {
    let mut minutes = Minutes::default();
    minutes.handle_down(Moment::ZERO, Readings { line: Some(1), ..Readings::default() }, Spreads::default());
    for minute in 1..60 {
        assert_eq!(minutes.poll_output(Moment::from_millis(minute * 60_000)), None);
    }
    let hour = minutes.poll_output(Moment::from_millis(3_600_000)).unwrap();
    assert_eq!((hour.rows.len(), hour.rows[0].ago_ms, hour.rows[59].ago_ms), (ROWS, 59 * 60_000, 0));
    assert!(hour.rows[0].full && hour.rows[1..].iter().all(|row| !row.full && row.d == Readings::default()));
}

#[test]
fn rows_that_are_large_are_handed_out_earlier() {
    let mut minutes = Minutes::default();
    minutes.handle_down(Moment::ZERO, Readings::default(), Spreads::default());
    for minute in 0_u32.. {
        for actual in [20.123_456_7, 199.987_654_3, f64::from(minute) + 0.765_432_1] {
            let now = Moment::from_millis(u64::from(minute) * 60_000 + 30_000);
            let t = (0..10).map(|tool| (format!("tool{tool}"), [actual, 210.5])).collect();
            minutes.handle_measured(now, &Readings { t, ..Readings::default() });
        }
        if let Some(event) = minutes.poll_output(Moment::from_millis(u64::from(minute + 1) * 60_000)) {
            let bytes = serde_json::to_vec(&event).unwrap().len();
            assert!((ROWS_BYTES..EVENT_BYTES).contains(&bytes) && event.rows.len() < ROWS);
            return;
        }
        assert!(minute < 60);
    }
}

#[test]
fn who_knows_nothing_of_a_printer_has_no_rows() {
    let mut minutes = Minutes::default();
    minutes.handle_down(Moment::ZERO, Readings::default(), Spreads::default());
    let (event, held) = minutes.handle_up(Moment::from_millis(7_200_000));
    assert_eq!((event, held), (None, Spreads::default()));
    assert_eq!(minutes.due(), None);
}
