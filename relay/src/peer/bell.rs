//! Wakes a peer at its session's time. A later time does not set the timer anew at once: that would be done for every frame.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, ready};

use tokio::time::{Sleep, sleep_until};

use crate::clock::Clock;

/// Rings in time, and sometimes too early.
pub(super) struct Bell {
    clock: Clock,
    mark: Mark,
    sleep: Pin<Box<Sleep>>,
    /// The timer knows whom to wake.
    is_set: bool,
}

impl Bell {
    /// For a session with such a heartbeat: whoever says nothing else is not woken between two of them.
    pub(super) fn new(clock: Clock, hb_ms: u64) -> Self {
        let mark = Mark { slack_ms: hb_ms / 2, set_ms: None };
        Self { clock, mark, sleep: Box::pin(sleep_until(clock.at(0))), is_set: false }
    }

    /// Waits until `at_ms`, or for a time at most half a heartbeat before it; without a time for ever. May be dropped and called again,
    /// by one and the same task: ahead of its time the timer itself is not looked at, which would be done for every frame too.
    pub(super) async fn ring(&mut self, at_ms: Option<u64>) {
        let Some(at_ms) = at_ms else { return std::future::pending().await };
        if self.mark.is_moved(at_ms) {
            self.sleep.as_mut().reset(self.clock.at(at_ms));
            self.is_set = false;
        }
        poll_fn(|cx| {
            if self.is_set && self.mark.set_ms > Some(self.clock.ms()) {
                return Poll::Pending;
            }
            self.is_set = true;
            ready!(self.sleep.as_mut().poll(cx));
            (self.is_set, self.mark.set_ms) = (false, None);
            Poll::Ready(())
        })
        .await;
    }
}

/// When the timer rings.
struct Mark {
    /// So much too early at the most.
    slack_ms: u64,
    /// `None` once it has rung.
    set_ms: Option<u64>,
}

impl Mark {
    /// Whether the timer has to be set anew to ring for this time.
    fn is_moved(&mut self, at_ms: u64) -> bool {
        let is_moved = self.set_ms.is_none_or(|set_ms| set_ms > at_ms || at_ms - set_ms > self.slack_ms);
        if is_moved {
            self.set_ms = Some(at_ms);
        }
        is_moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames so far apart for an hour, then silence. Returns how often the timer was set, and how often it rang before the session's
    /// time, which is always 75 s behind the last frame.
    fn course(apart_ms: u64) -> (u32, u32) {
        let mut mark = Mark { slack_ms: 30_000, set_ms: None };
        let (mut now_ms, mut heard_ms, mut set, mut early) = (0, 0, 0, 0);
        loop {
            let due_ms = heard_ms + 75_000;
            set += u32::from(mark.is_moved(due_ms));
            let rings_ms = mark.set_ms.unwrap();
            assert!(rings_ms <= due_ms && due_ms - rings_ms <= 30_000 && rings_ms > now_ms);
            if heard_ms < 3_600_000 && heard_ms + apart_ms < rings_ms {
                heard_ms += apart_ms;
                now_ms = heard_ms;
            } else {
                (now_ms, mark.set_ms) = (rings_ms, None);
                if rings_ms == due_ms {
                    return (set, early);
                }
                early += 1;
            }
        }
    }

    #[test]
    fn it_is_seldom_set_for_a_busy_peer_and_never_rings_early_for_an_idle_one() {
        let (set, early) = course(1_000);
        assert!(set < 3_600 / 25 && early == 1, "{set} {early}");
        let (set, early) = course(60_000);
        assert_eq!((set, early), (61, 0));
    }

    #[tokio::test]
    async fn without_a_time_it_waits_for_ever_and_an_earlier_time_counts_at_once() {
        let mut bell = Bell::new(Clock::start(), 60_000);
        let now = std::time::Duration::ZERO;
        assert!(tokio::time::timeout(now, bell.ring(None)).await.is_err());
        assert!(tokio::time::timeout(now, bell.ring(Some(86_400_000))).await.is_err());
        bell.ring(Some(5)).await;
        assert!(bell.clock.ms() >= 5);
    }
}
