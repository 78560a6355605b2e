//! How far temperatures went since somebody was told of them last.

use std::collections::BTreeMap;

use spoolway_protocol::telemetry::{Readings, Spread};

/// Extremes and means by heater.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spreads(BTreeMap<String, Held>);

#[derive(Debug, Clone, Copy, PartialEq)]
struct Held {
    min: f64,
    max: f64,
    sum: f64,
    count: u32,
}

impl Spreads {
    /// Temperatures were measured.
    pub fn add(&mut self, readings: &Readings) {
        for (heater, &[actual, _]) in &readings.t {
            match self.0.get_mut(heater) {
                Some(held) => held.add(actual),
                None => drop(self.0.insert(heater.clone(), Held::of(actual))),
            }
        }
    }

    /// Whether nothing was measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is more to say of any heater than its latest temperature.
    #[must_use]
    pub fn is_spread(&self) -> bool {
        self.0.values().any(Held::is_spread)
    }

    /// What there is to say, which is said with that.
    pub fn take(&mut self) -> BTreeMap<String, Spread> {
        let spread = |(heater, held): (String, Held)| held.is_spread().then(|| (heater, held.spread()));
        std::mem::take(&mut self.0).into_iter().filter_map(spread).collect()
    }
}

impl Held {
    const fn of(actual: f64) -> Self {
        Self { min: actual, max: actual, sum: actual, count: 1 }
    }

    fn add(&mut self, actual: f64) {
        (self.min, self.max) = (self.min.min(actual), self.max.max(actual));
        self.sum += actual;
        self.count = self.count.saturating_add(1);
    }

    fn is_spread(&self) -> bool {
        self.min < self.max
    }

    fn spread(&self) -> Spread {
        Spread { min: self.min, max: self.max, mean: self.sum / f64::from(self.count.max(1)) }
    }
}
