//! A bandwidth cap: a bucket that fills with time, from which bytes are paid before they are asked for.

use std::time::Duration;

use crate::moment::Moment;

/// Parts of a byte that are counted: time is told in microseconds.
const PARTS: u128 = 1_000_000;

/// The bucket. Without a rate everything is free.
#[derive(Debug, Clone)]
pub struct Pace {
    bytes_per_s: Option<u64>,
    /// The most that can be saved up, in bytes.
    capacity: u64,
    /// What is in it, in millionths of a byte.
    level: u128,
    filled_at: Moment,
}

impl Pace {
    /// No cap yet; `capacity` bytes can be saved up while one holds.
    #[must_use]
    pub const fn new(capacity: u64) -> Self {
        Self { bytes_per_s: None, capacity, level: 0, filled_at: Moment::ZERO }
    }

    /// Another cap from now on, `None` for none. What was saved up stays.
    pub fn set_rate(&mut self, now: Moment, bytes_per_s: Option<u64>) {
        self.fill(now);
        self.bytes_per_s = bytes_per_s.map(|rate| rate.max(1));
    }

    /// Bytes that can be paid for now.
    pub fn affordable(&mut self, now: Moment) -> u64 {
        self.fill(now);
        match self.bytes_per_s {
            None => u64::MAX,
            Some(_) => u64::try_from(self.level / PARTS).unwrap_or(u64::MAX),
        }
    }

    /// Pays; nobody pays more than is affordable.
    pub fn pay(&mut self, bytes: u64) {
        if self.bytes_per_s.is_some() {
            self.level = self.level.saturating_sub(u128::from(bytes) * PARTS);
        }
    }

    /// What was paid for and did not come.
    pub fn give_back(&mut self, bytes: u64) {
        let all = self.level.saturating_add(u128::from(bytes) * PARTS);
        self.level = all.min(u128::from(self.capacity) * PARTS);
    }

    /// When so many bytes can be paid for, given that they are not yet. More than can be saved up is never waited for.
    pub fn at(&mut self, now: Moment, bytes: u64) -> Moment {
        self.fill(now);
        let Some(rate) = self.bytes_per_s else { return now };
        let missing = (u128::from(bytes.min(self.capacity)) * PARTS).saturating_sub(self.level);
        let micros = u64::try_from(missing.div_ceil(u128::from(rate))).unwrap_or(u64::MAX);
        now + Duration::from_micros(micros)
    }

    fn fill(&mut self, now: Moment) {
        if let Some(rate) = self.bytes_per_s {
            let micros = now.since(self.filled_at).as_micros();
            let all = self.level.saturating_add(micros * u128::from(rate));
            self.level = all.min(u128::from(self.capacity) * PARTS);
        }
        self.filled_at = self.filled_at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_cap_everything_is_free() {
        let mut pace = Pace::new(10);
        assert_eq!(pace.affordable(Moment::ZERO), u64::MAX);
        pace.pay(1 << 40);
        assert_eq!(pace.at(Moment::ZERO, 1 << 40), Moment::ZERO);
    }

    #[test]
    fn over_any_time_no_more_is_paid_than_the_rate_allows() {
        for rate in [1, 999, 65_536, 2_000_000, 123_456_789] {
            let (mut pace, mut now, mut paid) = (Pace::new(300_000), Moment::ZERO, 0);
            pace.set_rate(now, Some(rate));
            let mut dice = crate::backoff::Jitter::new(rate);
            for _ in 0..2_000 {
                let wanted = dice.between(1, 65_536);
                now = pace.at(now, wanted);
                assert!(pace.affordable(now) >= wanted, "the time that was named is late enough");
                pace.pay(wanted);
                paid += wanted;
                // Whoever sleeps longer saves no more than the bucket holds.
                now = now + Duration::from_micros(dice.between(0, 50_000));
                let most = u128::from(rate) * u128::from(now.as_micros()) / PARTS + 300_000;
                assert!(u128::from(paid) <= most, "{paid} of {most} at {rate}");
            }
            let busy = u128::from(paid) * PARTS / u128::from(rate);
            assert!(busy <= u128::from(now.as_micros()) + 300_000 * PARTS / u128::from(rate));
        }
    }

    #[test]
    fn a_cap_that_comes_or_goes_holds_from_then_on() {
        let mut pace = Pace::new(1_000);
        let at = Moment::from_millis;
        pace.set_rate(at(5_000), Some(100));
        assert_eq!(pace.affordable(at(5_000)), 0, "what went before the cap was not saved up");
        assert_eq!(pace.at(at(5_000), 50), at(5_500));
        assert_eq!(pace.affordable(at(60_000)), 1_000);
        pace.pay(1_000);
        pace.give_back(9_999);
        assert_eq!(pace.affordable(at(60_000)), 1_000);
        pace.set_rate(at(60_000), None);
        assert_eq!(pace.affordable(at(60_000)), u64::MAX);
        // A clock that goes back gives nothing and takes nothing.
        pace.set_rate(at(60_000), Some(100));
        assert_eq!(pace.affordable(at(10)), 1_000);
    }
}
