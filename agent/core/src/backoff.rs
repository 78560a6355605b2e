//! How long to wait before the next attempt: exponential with full jitter, from a seed.

use std::time::Duration;

use crate::moment::Moment;

/// A small random number generator (splitmix64, Steele, Lea and Flood 2014) for jitter; never for secrets.
#[derive(Debug, Clone)]
pub struct Jitter(u64);

impl Jitter {
    /// The same seed gives the same numbers.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `low..=high`; `low` when the range is empty.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        match high.checked_sub(low) {
            None | Some(0) => low,
            Some(u64::MAX) => self.draw(),
            Some(span) => low + self.draw() % (span + 1),
        }
    }
}

/// Bounds of a [`Backoff`], in ms.
#[derive(Debug, Clone, Copy)]
pub struct BackoffOptions {
    /// No wait is shorter than this.
    pub floor_ms: u64,
    /// The upper end of the first wait.
    pub first_ms: u64,
    /// The upper end of every wait during the first hour.
    pub max_ms: u64,
    /// The upper end once attempts have failed for `long_after_ms`.
    pub long_max_ms: u64,
    /// When `long_max_ms` begins to count.
    pub long_after_ms: u64,
    /// A peer that asks for a longer wait is not obeyed beyond this.
    pub retry_after_max_ms: u64,
}

impl BackoffOptions {
    /// Connecting to a relay: 0.5 s to 60 s, at most 5 min once down for an hour.
    pub const RECONNECT: Self = Self {
        floor_ms: 50,
        first_ms: 500,
        max_ms: 60_000,
        long_max_ms: 300_000,
        long_after_ms: 3_600_000,
        retry_after_max_ms: 3_600_000,
    };
    /// Sending again what was not acked: 5 s to 60 s.
    pub const RESEND: Self = Self {
        floor_ms: 5_000,
        first_ms: 5_000,
        max_ms: 60_000,
        long_max_ms: 60_000,
        long_after_ms: u64::MAX,
        retry_after_max_ms: 300_000,
    };
}

/// Counts failures and says how long to wait. It never gives up; a caller with a bound counts [`Backoff::attempts`].
#[derive(Debug, Clone)]
pub struct Backoff {
    options: BackoffOptions,
    jitter: Jitter,
    attempts: u32,
    down_since: Option<Moment>,
}

impl Backoff {
    /// Nothing has failed yet.
    #[must_use]
    pub const fn new(options: BackoffOptions, seed: u64) -> Self {
        Self { options, jitter: Jitter::new(seed), attempts: 0, down_since: None }
    }

    /// An attempt failed: how long to wait. What the peer asked for is a lower bound, spread by the usual jitter.
    pub fn fail(&mut self, now: Moment, retry_after_ms: Option<u64>) -> Duration {
        let down_since = *self.down_since.get_or_insert(now);
        let down_ms = now.since(down_since).as_millis();
        let options = self.options;
        let max_ms =
            if down_ms >= u128::from(options.long_after_ms) { options.long_max_ms } else { options.max_ms };
        let doubled = options.first_ms.saturating_mul(1 << self.attempts.min(20));
        self.attempts = self.attempts.saturating_add(1);
        let jittered = self.jitter.between(options.floor_ms, doubled.min(max_ms));
        let asked = retry_after_ms.unwrap_or(0).min(options.retry_after_max_ms);
        Duration::from_millis(asked.saturating_add(jittered))
    }

    /// An attempt succeeded.
    pub const fn reset(&mut self) {
        self.attempts = 0;
        self.down_since = None;
    }

    /// Failures since the last success.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// When the first of them was.
    #[must_use]
    pub const fn down_since(&self) -> Option<Moment> {
        self.down_since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_after_an_hour_to_five() {
        let mut longest = [0; 3];
        for seed in 0..500 {
            let mut backoff = Backoff::new(BackoffOptions::RECONNECT, seed);
            let mut now = Moment::ZERO;
            for attempt in 0..400 {
                let wait = backoff.fail(now, None);
                let cap = match attempt {
                    0 => 500,
                    _ if now.as_millis() < 3_600_000 => 60_000,
                    _ => 300_000,
                };
                assert!(wait.as_millis() >= 50 && wait.as_millis() <= cap, "{attempt}: {wait:?}");
                let slot = usize::from(attempt > 0) + usize::from(cap == 300_000);
                longest[slot] = longest[slot].max(wait.as_millis());
                now = now + wait;
            }
        }
        assert!(longest[0] > 480 && longest[1] > 59_000 && longest[2] > 290_000, "{longest:?}");
    }

    #[test]
    fn what_the_relay_asks_for_is_a_lower_bound_within_reason() {
        let mut backoff = Backoff::new(BackoffOptions::RECONNECT, 1);
        let wait = backoff.fail(Moment::ZERO, Some(30_000)).as_millis();
        assert!((30_050..=30_500).contains(&wait), "{wait}");
        assert!(backoff.fail(Moment::ZERO, Some(u64::MAX)).as_millis() <= 3_601_000);
    }

    #[test]
    fn success_begins_anew() {
        let mut backoff = Backoff::new(BackoffOptions::RECONNECT, 2);
        for _ in 0..10 {
            backoff.fail(Moment::ZERO, None);
        }
        assert_eq!(backoff.attempts(), 10);
        backoff.reset();
        assert!(backoff.fail(Moment::from_millis(9), None).as_millis() <= 500);
        assert_eq!(backoff.down_since(), Some(Moment::from_millis(9)));
    }

    #[test]
    fn a_range_is_covered_to_both_ends() {
        let mut jitter = Jitter::new(3);
        let drawn: std::collections::BTreeSet<u64> = (0..200).map(|_| jitter.between(4, 7)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [4, 5, 6, 7]);
        assert_eq!(jitter.between(9, 2), 9);
    }
}
