//! How fast a peer may send, by a token bucket that says how long to wait; and how often somebody may try something.

use std::collections::HashMap;
use std::hash::Hash;

/// A bucket of frames that refills at a steady rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    per_s: u64,
    burst: u64,
    /// Thousandths of a frame.
    tokens: u64,
    filled_ms: u64,
}

impl Pace {
    /// A full bucket; `per_s` of 0 is no limit.
    pub fn new(per_s: u32, burst: u32, now_ms: u64) -> Self {
        let burst = u64::from(burst.max(1)) * 1000;
        Self { per_s: u64::from(per_s), burst, tokens: burst, filled_ms: now_ms }
    }

    /// Takes one frame, or says after how many ms to ask again.
    pub fn take(&mut self, now_ms: u64) -> Result<(), u64> {
        if self.per_s == 0 {
            return Ok(());
        }
        let elapsed_ms = now_ms.saturating_sub(self.filled_ms);
        self.tokens = self.burst.min(self.tokens.saturating_add(elapsed_ms.saturating_mul(self.per_s)));
        self.filled_ms = now_ms;
        match self.tokens.checked_sub(1000) {
            Some(rest) => {
                self.tokens = rest;
                Ok(())
            }
            None => Err((1000 - self.tokens).div_ceil(self.per_s)),
        }
    }
}

/// How often each of many may try something: so many at once, and from then on one every so often.
///
/// It remembers a bounded number of them. When there are more, whoever has tried least is forgotten.
#[derive(Debug)]
pub struct Tally<K> {
    every_ms: u64,
    at_once: u64,
    most: usize,
    /// When all that somebody has tried will be forgiven.
    even_at_ms: HashMap<K, u64>,
}

impl<K: Eq + Hash + Clone> Tally<K> {
    /// `at_once` tries, and one more every `every_ms`; it remembers `most` of those who try.
    pub fn new(at_once: u32, every_ms: u64, most: usize) -> Self {
        let (at_once, most) = (u64::from(at_once.max(1)), most.max(1));
        Self { every_ms, at_once, most, even_at_ms: HashMap::new() }
    }

    /// Whether one more try is lawful, or after how many ms it is.
    ///
    /// # Errors
    /// The time to wait, in ms.
    pub fn look(&self, key: &K, now_ms: u64) -> Result<(), u64> {
        let debt_ms = self.even_at_ms.get(key).map_or(0, |even_at_ms| even_at_ms.saturating_sub(now_ms));
        match debt_ms.saturating_sub(self.every_ms * (self.at_once - 1)) {
            0 => Ok(()),
            wait_ms => Err(wait_ms),
        }
    }

    /// It was tried.
    pub fn count(&mut self, key: &K, now_ms: u64) {
        if self.even_at_ms.len() >= self.most && !self.even_at_ms.contains_key(key) {
            self.even_at_ms.retain(|_, even_at_ms| *even_at_ms > now_ms);
            if self.even_at_ms.len() >= self.most {
                let least = self.even_at_ms.iter().min_by_key(|(_, even_at_ms)| **even_at_ms);
                let least = least.map(|(key, _)| key.clone());
                least.map(|key| self.even_at_ms.remove(&key));
            }
        }
        let even_at_ms = self.even_at_ms.entry(key.clone()).or_insert(now_ms);
        *even_at_ms = (*even_at_ms).max(now_ms).saturating_add(self.every_ms);
    }

    /// Tries, if it is lawful.
    ///
    /// # Errors
    /// The time to wait, in ms.
    pub fn take(&mut self, key: &K, now_ms: u64) -> Result<(), u64> {
        self.look(key, now_ms)?;
        self.count(key, now_ms);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_counted_by_whoever_tries_and_forgiven_in_time() {
        let mut tally = Tally::new(3, 1_000, 10);
        assert!((0..3).all(|_| tally.take(&"a", 5_000) == Ok(())));
        assert_eq!(tally.take(&"a", 5_000), Err(1_000));
        assert_eq!(tally.take(&"a", 5_400), Err(600));
        assert_eq!(tally.take(&"b", 5_400), Ok(()), "somebody else");
        assert_eq!(tally.take(&"a", 6_000), Ok(()));
        assert_eq!(tally.take(&"a", 6_000), Err(1_000));
        assert!(
            (0..3).all(|_| tally.take(&"a", 60_000) == Ok(())),
            "no more than three, however long it was"
        );
        assert!(tally.take(&"a", 60_000).is_err());
    }

    #[test]
    fn many_who_try_do_not_take_the_memory_and_the_worst_is_remembered() {
        let mut tally = Tally::new(2, 1_000, 100);
        assert!((0..2).all(|_| tally.take(&0, 0) == Ok(())));
        (1..10_000).for_each(|key| tally.count(&key, 0));
        assert!(tally.even_at_ms.len() <= 100);
        assert!(tally.take(&0, 0).is_err(), "it has tried most");
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut pace = Pace::new(10, 5, 0);
        assert!((0..5).all(|_| pace.take(0) == Ok(())));
        assert_eq!(pace.take(0), Err(100));
        let mut now_ms = 0;
        let mut taken = 0;
        while now_ms < 10_000 {
            match pace.take(now_ms) {
                Ok(()) => taken += 1,
                Err(wait_ms) => now_ms += wait_ms,
            }
        }
        assert_eq!(taken, 99, "ten a second for ten seconds, less the one that is due at the end");
    }

    #[test]
    fn zero_is_no_limit_and_time_may_jump() {
        let mut pace = Pace::new(0, 1, 0);
        assert!((0..1000).all(|_| pace.take(0) == Ok(())));
        let mut pace = Pace::new(u32::MAX, u32::MAX, 10);
        assert_eq!(pace.take(0), Ok(()));
        assert_eq!(pace.take(u64::MAX), Ok(()));
    }
}
