//! When the relay is dialled again: at once behind a session that was of use, later and later behind one that was not.
//!
//! A link that breaks every few seconds is dialled as often as the relay allows, so that what it carries gets through; a relay
//! that welcomes and drops, or that stands before an owner who is away, is left alone for longer each time.

use std::time::Duration;

use crate::backoff::{Backoff, BackoffOptions, Jitter};
use crate::moment::Moment;

/// A session of this length was of use, whatever it carried.
const SETTLED: Duration = Duration::from_secs(30);
/// Attempts that may reach the relay one right behind the other; it takes 30 logins at once where nothing else is set.
const AT_ONCE: u32 = 20;
/// One more may begin each time so much has gone by: five a minute, where a relay takes six.
const ONE_MORE: Duration = Duration::from_secs(12);

/// How often a relay that does not want this agent is asked again; a person has to act first.
const SLOWLY_MS: (u64, u64) = (240_000, 300_000);
/// The longest wait that a relay can ask for.
const LONGEST_WAIT_MS: u64 = 3_600_000;

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// As usual, but not before the peer's wish, in ms.
    Backoff(Option<u64>),
    /// Every few minutes, because only a person can change it; the peer's wish in ms.
    Slowly(Option<u64>),
    /// At a random time within so many ms, because everybody was sent away at once.
    Spread(u64),
    /// At a time that was drawn when the relay asked everybody to leave.
    At(Moment),
}

/// The times of the attempts to reach a relay.
#[derive(Debug)]
pub struct Redial {
    backoff: Backoff,
    jitter: Jitter,
    /// Attempts that may reach the relay now, and since when the next one is earned.
    saved: u32,
    earning_since: Moment,
}

impl Redial {
    /// Nothing was tried yet.
    #[must_use]
    pub const fn new(options: BackoffOptions, seed: u64, now: Moment) -> Self {
        let mut jitter = Jitter::new(seed);
        Self { backoff: Backoff::new(options, jitter.draw()), jitter, saved: AT_ONCE, earning_since: now }
    }

    /// The relay was reached, and may have counted that, whatever becomes of it.
    pub fn handle_reached(&mut self, now: Moment) {
        self.earn(now);
        if self.saved == AT_ONCE {
            self.earning_since = now;
        }
        self.saved = self.saved.saturating_sub(1);
    }

    /// A session has ended; `has_served`: the owner was heard in it.
    pub fn handle_ended(&mut self, lasted: Duration, has_served: bool) {
        if has_served || lasted >= SETTLED {
            self.backoff.reset();
        }
    }

    /// An attempt failed, or a session ended: how long to stay away. What the relay asks for is a lower bound, and so is the next attempt that
    /// is earned, whoever has told the wait: a relay counts logins of those that it has sent away as of all others.
    pub fn wait(&mut self, now: Moment, retry: Retry) -> Duration {
        let wished = |wish_ms: Option<u64>| wish_ms.unwrap_or(0).min(LONGEST_WAIT_MS);
        let told = match retry {
            Retry::Backoff(wish_ms) => self.backoff.fail(now, wish_ms),
            Retry::Slowly(wish_ms) => {
                let (low, high) = SLOWLY_MS;
                Duration::from_millis(self.jitter.between(low, high).max(wished(wish_ms)))
            }
            Retry::Spread(within_ms) => {
                Duration::from_millis(self.jitter.between(0, wished(Some(within_ms))))
            }
            Retry::At(at) => at.since(now).min(Duration::from_millis(LONGEST_WAIT_MS)),
        };
        self.earn(now);
        if self.saved > 0 { told } else { told.max((self.earning_since + ONE_MORE).since(now)) }
    }

    fn earn(&mut self, now: Moment) {
        let earned = now.since(self.earning_since).as_millis() / ONE_MORE.as_millis();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.saved = self.saved.saturating_add(earned).min(AT_ONCE);
        self.earning_since = self.earning_since + ONE_MORE.saturating_mul(earned);
    }
}

#[cfg(test)]
mod tests;
