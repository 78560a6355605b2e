//! How warm everything was a moment ago, and how far temperatures went in the last minutes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::Moment;

/// Extremes are kept for so long a time each.
const SLOT: Duration = Duration::from_secs(10);
/// So many of them: the last five minutes.
const SLOTS: usize = 30;

/// The lowest and the highest temperature of a heater, in degrees Celsius.
pub type Extremes = (f64, f64);

/// The latest temperatures and targets, and recent extremes, by heater.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Warmth {
    last: BTreeMap<String, [f64; 2]>,
    slots: VecDeque<(Moment, BTreeMap<String, Extremes>)>,
}

impl Warmth {
    /// What the recent extremes are of, at most.
    pub const SPAN: Duration = Duration::from_secs(SLOT.as_secs() * SLOTS as u64);

    /// Temperatures were measured: actual and target by heater.
    pub fn see(&mut self, now: Moment, temperatures: BTreeMap<String, [f64; 2]>) {
        if temperatures.is_empty() {
            return;
        }
        if self.slots.back().is_none_or(|(since, _)| now - *since >= SLOT) {
            self.slots.push_back((now, BTreeMap::new()));
        }
        while self.slots.len() > SLOTS {
            self.slots.pop_front();
        }
        if let Some((_, slot)) = self.slots.back_mut() {
            for (heater, [actual, _]) in &temperatures {
                widen(slot, heater, (*actual, *actual));
            }
        }
        self.last = temperatures;
    }

    /// The latest temperatures and targets.
    #[must_use]
    pub fn last(&self) -> &BTreeMap<String, [f64; 2]> {
        &self.last
    }

    /// How far temperatures went in the last minutes.
    #[must_use]
    pub fn extremes(&self) -> BTreeMap<String, Extremes> {
        let Some((newest, _)) = self.slots.back() else { return BTreeMap::new() };
        let recent = self.slots.iter().filter(|(since, _)| *newest - *since < Self::SPAN);
        let mut all = BTreeMap::new();
        for (heater, extremes) in recent.flat_map(|(_, slot)| slot) {
            widen(&mut all, heater, *extremes);
        }
        all
    }
}

fn widen(all: &mut BTreeMap<String, Extremes>, heater: &str, (low, high): Extremes) {
    match all.get_mut(heater) {
        Some((min, max)) => (*min, *max) = (min.min(low), max.max(high)),
        None => drop(all.insert(heater.to_owned(), (low, high))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1_000)
    }

    fn tool(actual: f64) -> BTreeMap<String, [f64; 2]> {
        BTreeMap::from([("tool0".to_owned(), [actual, 210.0])])
    }

    #[test]
    fn a_dip_is_told_for_some_minutes_and_then_forgotten() {
        let mut warmth = Warmth::default();
        assert!(warmth.extremes().is_empty());
        for second in 0..4_000 {
            warmth.see(at(second), tool(if second == 3_000 { 150.0 } else { 210.0 }));
            let low = if (3_000..3_290).contains(&second) { 150.0 } else { 210.0 };
            if !(3_290..3_310).contains(&second) {
                assert_eq!(warmth.extremes()["tool0"], (low, 210.0), "second {second}");
            }
            assert!(warmth.slots.len() <= SLOTS);
        }
        assert_eq!(warmth.last()["tool0"], [210.0, 210.0]);
    }

    #[test]
    fn what_was_measured_before_a_long_silence_is_not_recent() {
        let mut warmth = Warmth::default();
        warmth.see(at(0), tool(300.0));
        warmth.see(at(1_000), tool(20.0));
        assert_eq!(warmth.extremes()["tool0"], (20.0, 20.0));
        warmth.see(at(1_001), BTreeMap::new());
        assert_eq!(warmth.last()["tool0"], [20.0, 210.0], "a reply without temperatures says nothing");
    }
}
