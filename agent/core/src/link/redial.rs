//! When the relay is dialled again: at once behind a session that was of use, later and later behind one that was not.
//!
//! A link that breaks every few seconds is dialled as often as the relay allows, so that what it carries gets through; a relay
//! that welcomes and drops, or that stands before an owner who is away, is left alone for longer each time.

use std::time::Duration;

use crate::backoff::{Backoff, BackoffOptions};
use crate::moment::Moment;

/// A session of this length was of use, whatever it carried.
const SETTLED: Duration = Duration::from_secs(30);
/// Sessions that may begin one right behind the other; a relay takes 30 logins at once where nothing else is set.
const AT_ONCE: u32 = 20;
/// One more may begin each time so much has gone by: five a minute, where a relay takes six.
const ONE_MORE: Duration = Duration::from_secs(12);

/// The times of the attempts to reach a relay.
#[derive(Debug)]
pub struct Redial {
    backoff: Backoff,
    /// Sessions that may begin now, and since when the next one is earned.
    saved: u32,
    earning_since: Moment,
}

impl Redial {
    /// Nothing was tried yet.
    #[must_use]
    pub const fn new(options: BackoffOptions, seed: u64, now: Moment) -> Self {
        Self { backoff: Backoff::new(options, seed), saved: AT_ONCE, earning_since: now }
    }

    /// A session was granted.
    pub fn handle_up(&mut self, now: Moment) {
        self.earn(now);
        if self.saved == AT_ONCE {
            self.earning_since = now;
        }
        self.saved = self.saved.saturating_sub(1);
    }

    /// It has ended; `has_served`: the owner was heard in it.
    pub fn handle_ended(&mut self, lasted: Duration, has_served: bool) {
        if has_served || lasted >= SETTLED {
            self.backoff.reset();
        }
    }

    /// An attempt failed, or a session ended: how long to stay away. What the relay asks for is a lower bound.
    pub fn wait(&mut self, now: Moment, wish_ms: Option<u64>) -> Duration {
        let jittered = self.backoff.fail(now, wish_ms);
        self.earn(now);
        if self.saved > 0 { jittered } else { jittered.max((self.earning_since + ONE_MORE).since(now)) }
    }

    fn earn(&mut self, now: Moment) {
        let earned = now.since(self.earning_since).as_millis() / ONE_MORE.as_millis();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.saved = self.saved.saturating_add(earned).min(AT_ONCE);
        self.earning_since = self.earning_since + ONE_MORE.saturating_mul(earned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::Jitter;

    /// What became of an hour: how long a session stood, when each one began, and how often the relay was dialled.
    struct Hour {
        up: Duration,
        logins: Vec<Moment>,
        dials: u32,
    }

    const HOUR: Moment = Moment::from_millis(3_600_000);

    /// A link that is cut at every multiple of `cut_ms`, of whose sessions some are of use. Dialling takes 300 ms.
    fn hour(seed: u64, cut_ms: u64, serves: impl Fn(&mut Jitter) -> bool) -> Hour {
        let (mut now, mut dice) = (Moment::ZERO, Jitter::new(seed));
        let mut redial = Redial::new(BackoffOptions::RECONNECT, dice.draw(), now);
        let mut seen = Hour { up: Duration::ZERO, logins: Vec::new(), dials: 0 };
        while now < HOUR {
            seen.dials += 1;
            let cut = Moment::from_millis((now.as_millis() / cut_ms + 1) * cut_ms);
            let up = now + Duration::from_millis(300);
            if up < cut {
                redial.handle_up(up);
                seen.logins.push(up);
                seen.up += cut.since(up);
                redial.handle_ended(cut.since(up), serves(&mut dice));
            }
            now = cut + redial.wait(cut, None);
        }
        seen
    }

    /// A relay's own count with its default limit (`limits.agent_logins_per_minute`): 30 at once, one more every 10 s.
    fn is_borne(logins: &[Moment]) -> bool {
        let (mut left, mut at) = (30_000_u64, Moment::ZERO);
        logins.iter().all(|login| {
            left = (left + u64::try_from(login.since(at).as_millis()).unwrap() / 10).min(30_000);
            at = *login;
            let is_taken = left >= 1_000;
            left = left.saturating_sub(1_000);
            is_taken
        })
    }

    #[test]
    fn no_link_however_bad_it_is_meets_the_relays_limit() {
        for seed in 0..2_000 {
            let mut dice = Jitter::new(seed);
            let (cut_ms, of_use) = (dice.between(310, 40_000), dice.between(0, 100));
            let seen = hour(seed, cut_ms, |dice| dice.between(1, 100) <= of_use);
            assert!(
                is_borne(&seen.logins),
                "seed {seed}: {} logins, cut every {cut_ms} ms",
                seen.logins.len()
            );
        }
    }

    #[test]
    fn a_link_that_is_cut_all_the_time_stands_for_a_fair_share_of_it() {
        // The share that is left when each session has to wait for its turn, a little less because of jitter.
        // Five sessions a minute, each as long as the cuts leave it, and by less jitter than that.
        for (cut_ms, percent) in [(1_000, 3), (3_000, 20), (5_000, 22), (10_000, 58), (20_000, 95)] {
            let shares = (0..200).map(|seed| hour(seed, cut_ms, |_| true).up.as_millis() / 36_000);
            let least = shares.min().unwrap();
            assert!(least >= percent, "cut every {cut_ms} ms: {least} %");
        }
    }

    #[test]
    fn the_first_minute_of_it_is_hardly_slower_than_the_cuts() {
        for seed in 0..100 {
            let seen = hour(seed, 3_000, |_| true);
            let first = seen.logins.iter().filter(|login| **login < Moment::from_millis(60_000)).count();
            assert!(first >= 15, "{first}");
        }
    }

    #[test]
    fn a_relay_that_welcomes_and_drops_is_left_alone() {
        for cut_ms in [400, 1_000, 5_000] {
            for seed in 0..100 {
                let seen = hour(seed, cut_ms, |_| false);
                // Half a minute on the average, once the waits have grown.
                assert!(seen.logins.len() < 180 && seen.dials < 260, "{} {}", seen.logins.len(), seen.dials);
            }
        }
    }

    #[test]
    fn a_settled_session_needs_no_owner_to_have_been_of_use() {
        let mut redial = Redial::new(BackoffOptions::RECONNECT, 1, Moment::ZERO);
        let ms = Duration::from_millis;
        for _ in 0..12 {
            redial.wait(Moment::ZERO, None);
        }
        redial.handle_up(Moment::ZERO);
        redial.handle_ended(ms(29_999), false);
        assert!((0..9).any(|_| redial.wait(Moment::ZERO, None) > ms(500)), "too short, and of no use");
        redial.handle_ended(ms(30_000), false);
        assert!(redial.wait(Moment::ZERO, None) <= ms(500));
        assert!(redial.wait(Moment::ZERO, Some(9_000)) >= ms(9_000), "the relay's wish stands above all");
    }
}
