//! Wakes a peer at its session's time. A later time does not set the timer anew at once: that would be done for every frame.

use std::pin::Pin;

use tokio::time::{Sleep, sleep_until};

use crate::clock::Clock;

/// Rings in time, and sometimes too early.
pub(super) struct Bell {
    clock: Clock,
    /// So much too early at the most.
    slack_ms: u64,
    /// When it rings; `None` once it has rung.
    set_ms: Option<u64>,
    sleep: Pin<Box<Sleep>>,
}

impl Bell {
    /// For a session with such a heartbeat: whoever says nothing else is not woken between two of them.
    pub(super) fn new(clock: Clock, hb_ms: u64) -> Self {
        Self { clock, slack_ms: hb_ms / 2, set_ms: None, sleep: Box::pin(sleep_until(clock.at(0))) }
    }

    /// Waits until `at_ms`, or for a time at most half a heartbeat before it; without a time for ever. May be dropped and called again.
    pub(super) async fn ring(&mut self, at_ms: Option<u64>) {
        let Some(at_ms) = at_ms else { return std::future::pending().await };
        if self.set_ms.is_none_or(|set_ms| set_ms > at_ms || at_ms - set_ms > self.slack_ms) {
            self.set_ms = Some(at_ms);
            self.sleep.as_mut().reset(self.clock.at(at_ms));
        }
        self.sleep.as_mut().await;
        self.set_ms = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_never_rings_late_and_seldom_early() {
        let clock = Clock::start();
        let mut bell = Bell::new(clock, 60_000);
        // A frame a second for ten minutes, then silence: the time is always 75 s away from the last frame.
        let (mut heard_ms, mut early) = (0, 0);
        loop {
            let due_ms = heard_ms + 75_000;
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(clock.at(heard_ms + 1_000)), if heard_ms < 600_000 => heard_ms += 1_000,
                () = bell.ring(Some(due_ms)) => {
                    assert!(clock.ms() <= due_ms);
                    if clock.ms() == due_ms {
                        break;
                    }
                    assert!(due_ms - clock.ms() <= 30_000);
                    early += 1;
                }
            }
        }
        assert_eq!((heard_ms, early), (600_000, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_time_counts_at_once_and_none_waits_for_ever() {
        let clock = Clock::start();
        let mut bell = Bell::new(clock, 60_000);
        let day = std::time::Duration::from_secs(86_400);
        assert!(
            tokio::time::timeout(std::time::Duration::from_secs(5), bell.ring(Some(75_000))).await.is_err()
        );
        bell.ring(Some(6_000)).await;
        assert_eq!(clock.ms(), 6_000);
        assert!(tokio::time::timeout(day, bell.ring(None)).await.is_err());
    }
}
