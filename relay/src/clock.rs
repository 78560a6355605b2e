//! The only reader of the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// One moment, on both clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Since the relay started, ms; durations come from here.
    pub ms: u64,
    /// Unix time, ms; only for people and for peers.
    pub unix_ms: u64,
}

/// Counts from the relay's start.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts to count.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// This moment.
    pub fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { ms: self.ms(), unix_ms: millis(unix) }
    }

    /// This moment without the wall clock.
    pub fn ms(&self) -> u64 {
        millis(self.start.elapsed())
    }

    /// The moment at which [`Now::ms`] is `ms`.
    pub fn at(&self, ms: u64) -> Instant {
        self.start + std::time::Duration::from_millis(ms)
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
