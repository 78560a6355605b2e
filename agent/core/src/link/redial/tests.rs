//! Links of every kind, for an hour each, against the limits of a relay as it ships.

use super::*;

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
            redial.handle_reached(up);
            seen.logins.push(up);
            seen.up += cut.since(up);
            redial.handle_ended(cut.since(up), serves(&mut dice));
        }
        now = cut + redial.wait(cut, Retry::Backoff(None));
    }
    seen
}

/// A relay's own count: so many at once, and one more each time so many ms have gone by.
fn is_borne(seen: &[Moment], at_once: u64, every_ms: u64) -> bool {
    let (mut left, mut at) = (at_once * every_ms, Moment::ZERO);
    seen.iter().all(|one| {
        left = (left + u64::try_from(one.since(at).as_millis()).unwrap()).min(at_once * every_ms);
        at = *one;
        let is_taken = left >= every_ms;
        left = left.saturating_sub(every_ms);
        is_taken
    })
}

/// `limits.agent_logins_per_minute`: five minutes of six at once.
fn are_logins_borne(logins: &[Moment]) -> bool {
    is_borne(logins, 30, 10_000)
}

/// `limits.address_failures_per_minute`: thirty, at once or one after the other.
fn are_strangers_borne(strangers: &[Moment]) -> bool {
    is_borne(strangers, 30, 2_000)
}

#[test]
fn no_link_however_bad_it_is_meets_the_relays_limit() {
    for seed in 0..2_000 {
        let mut dice = Jitter::new(seed);
        let (cut_ms, of_use) = (dice.between(310, 40_000), dice.between(0, 100));
        let seen = hour(seed, cut_ms, |dice| dice.between(1, 100) <= of_use);
        assert!(
            are_logins_borne(&seen.logins),
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
        redial.wait(Moment::ZERO, Retry::Backoff(None));
    }
    redial.handle_reached(Moment::ZERO);
    redial.handle_ended(ms(29_999), false);
    assert!(
        (0..9).any(|_| redial.wait(Moment::ZERO, Retry::Backoff(None)) > ms(500)),
        "too short, and of no use"
    );
    redial.handle_ended(ms(30_000), false);
    assert!(redial.wait(Moment::ZERO, Retry::Backoff(None)) <= ms(500));
    assert!(
        redial.wait(Moment::ZERO, Retry::Backoff(Some(9_000))) >= ms(9_000),
        "the relay's wish stands above all"
    );
}

/// What a relay has counted of one agent in an hour.
#[derive(Default)]
struct Counted {
    /// Hellos that were proven, whether or not a session came of it.
    logins: Vec<Moment>,
    /// Connections that have not become a session.
    strangers: Vec<Moment>,
}

/// How an attempt ends: by the link, by the relay's word, or by what somebody in between says. Each seed has its own mixture of
/// ends and of words, so that some relays say one thing for ever.
fn any_hour(seed: u64) -> Counted {
    let (mut now, mut dice) = (Moment::ZERO, Jitter::new(seed));
    let mut redial = Redial::new(BackoffOptions::RECONNECT, dice.draw(), now);
    let ends = Mixture::new(&mut dice, 5);
    let words = Mixture::new(&mut dice, 4);
    let (longest_ms, patience_ms) = (dice.between(1, 4_000), dice.between(0, 8_000));
    let of_use = dice.between(0, 100);
    let mut counted = Counted::default();
    while now < HOUR {
        now = now + Duration::from_millis(dice.between(1, 400));
        let mut has_ended_by_itself = true;
        match ends.draw(&mut dice) {
            // No way to the relay.
            0 => {}
            // It has accepted a connection that broke before the hello, or has rejected one that it does not count.
            1 => {
                redial.handle_reached(now);
                counted.strangers.push(now);
                has_ended_by_itself = dice.between(0, 1) == 0;
            }
            // The welcome was lost on its way, or the relay changed its mind behind its count.
            2 => {
                redial.handle_reached(now);
                counted.strangers.push(now);
                counted.logins.push(now);
                has_ended_by_itself = dice.between(0, 1) == 0;
            }
            // A session, ended by the link or by the relay.
            end => {
                redial.handle_reached(now);
                counted.logins.push(now);
                let lasted = Duration::from_millis(dice.between(0, longest_ms));
                now = now + lasted;
                has_ended_by_itself = end == 3;
                redial.handle_ended(lasted, has_ended_by_itself && dice.between(1, 100) <= of_use);
            }
        }
        let wish_ms = dice.between(0, patience_ms);
        let retry = match words.draw(&mut dice) {
            _ if has_ended_by_itself => Retry::Backoff(None),
            0 => Retry::Backoff(Some(wish_ms)),
            1 => Retry::Spread(wish_ms),
            2 => Retry::At(now + Duration::from_millis(wish_ms)),
            _ => Retry::Slowly(Some(wish_ms)),
        };
        now = now + redial.wait(now, retry);
    }
    counted
}

/// Some of several things, each as likely as it was drawn; often one of them alone.
struct Mixture(Vec<u64>);

impl Mixture {
    fn new(dice: &mut Jitter, len: u64) -> Self {
        let only = dice.between(0, 3 * len);
        let weight =
            |at, dice: &mut Jitter| if only < len { u64::from(at == only) } else { dice.between(1, 9) };
        Self((0..len).map(|at| weight(at, dice)).collect())
    }

    fn draw(&self, dice: &mut Jitter) -> usize {
        let mut drawn = dice.between(0, self.0.iter().sum::<u64>() - 1);
        for (at, weight) in self.0.iter().enumerate() {
            match drawn.checked_sub(*weight) {
                None => return at,
                Some(left) => drawn = left,
            }
        }
        unreachable!("less than the sum was drawn")
    }
}

#[test]
fn whatever_becomes_of_its_attempts_an_agent_stays_within_the_relays_limits() {
    let mut most = (0, 0);
    for seed in 0..2_000 {
        let counted = any_hour(seed);
        most = (most.0.max(counted.logins.len()), most.1.max(counted.strangers.len()));
        assert!(are_logins_borne(&counted.logins), "seed {seed}: {} logins", counted.logins.len());
        assert!(
            are_strangers_borne(&counted.strangers),
            "seed {seed}: {} strangers",
            counted.strangers.len()
        );
    }
    // Some have used up what they may, so the limits were tried.
    assert!(most.0 > 300 && most.1 > 100, "{most:?}");
}

#[test]
fn no_relay_sends_an_agent_away_for_longer_than_an_hour() {
    let now = Moment::from_millis(5_000);
    let mut redial = Redial::new(BackoffOptions::RECONNECT, 1, now);
    let hour = Duration::from_secs(3_600);
    assert!(redial.wait(now, Retry::Slowly(Some(u64::MAX))) == hour);
    assert!(redial.wait(now, Retry::At(now + hour * 30)) == hour);
    assert!(redial.wait(now, Retry::Spread(u64::MAX)) <= hour);
    // And the usual jitter.
    assert!(redial.wait(now, Retry::Backoff(Some(u64::MAX))) <= hour + Duration::from_millis(500));
}
