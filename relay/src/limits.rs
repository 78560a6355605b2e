//! How fast a peer may send: a token bucket that says how long to wait, so that the relay reads slowly instead of dropping.

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

#[cfg(test)]
mod tests {
    use super::*;

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
