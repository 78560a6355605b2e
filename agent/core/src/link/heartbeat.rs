//! Signs of life: a heartbeat when nothing else was sent, and the verdict that the peer is gone.
//!
//! Heartbeats reach the relay on whole fifths of a second of its clock, whichever agent they come from: a relay with thousands of idle
//! agents then wakes a few times a second for many of them, and not hundreds of times for one each.

use std::time::Duration;

use spoolway_protocol::raw::Extra;
use spoolway_protocol::session::Heartbeat;

use crate::backoff::Jitter;
use crate::moment::Moment;

/// The fifth of a second on which heartbeats reach the relay.
const TICK_MS: u64 = 200;

/// What the shell has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum HeartbeatsOutput {
    /// Send this heartbeat.
    Send(Heartbeat),
    /// The peer has been silent for too long, in ms: close the connection.
    Dead {
        /// Since it was last heard.
        silent_ms: u64,
    },
    /// Nothing until then.
    Wait(Moment),
}

/// The heartbeats of one session.
#[derive(Debug)]
pub struct Heartbeats {
    hb_ms: u64,
    dead: Duration,
    jitter: Jitter,
    last_heard: Moment,
    next: Moment,
    n: u64,
    unanswered: Option<(u64, Moment)>,
    rtt_ms: Option<u64>,
    /// When a heartbeat was sent, and when the relay had it, in ms of its clock.
    reached: Option<(Moment, u64)>,
}

impl Heartbeats {
    /// A session begins; its numbers come from the welcome.
    #[must_use]
    pub fn new(now: Moment, hb_ms: u64, dead_ms: u64, seed: u64) -> Self {
        let mut machine = Self {
            hb_ms,
            dead: Duration::from_millis(dead_ms),
            jitter: Jitter::new(seed),
            last_heard: now,
            next: now,
            n: 0,
            unanswered: None,
            rtt_ms: None,
            reached: None,
        };
        machine.handle_sent(now);
        machine
    }

    /// Something was sent: the next heartbeat is due an interval of ±20 % later.
    pub fn handle_sent(&mut self, now: Moment) {
        let [least_ms, most_ms] = [self.hb_ms * 4 / 5, self.hb_ms * 6 / 5];
        match self.reached {
            Some((sent, reached_ms)) if least_ms + TICK_MS < most_ms => {
                let next = now + Duration::from_millis(self.jitter.between(least_ms + TICK_MS, most_ms));
                let at_relay_ms = reached_ms.saturating_add(whole_ms(next.since(sent)));
                // Never before now: the least interval is longer than a tick.
                self.next = now + (next.since(now) - Duration::from_millis(at_relay_ms % TICK_MS));
            }
            _ => self.next = now + Duration::from_millis(self.jitter.between(least_ms, most_ms)),
        }
    }

    /// Anything arrived.
    pub fn handle_heard(&mut self, now: Moment) {
        self.last_heard = self.last_heard.max(now);
    }

    /// A heartbeat was answered; `relay_time_ms` is when the relay had it.
    pub fn handle_ack(&mut self, now: Moment, n: u64, relay_time_ms: Option<u64>) {
        self.handle_heard(now);
        if let Some((_, sent)) = self.unanswered.take_if(|(asked, _)| *asked == n) {
            self.rtt_ms = Some(whole_ms(now.since(sent)));
            self.reached = relay_time_ms.map(|reached_ms| (sent, reached_ms)).or(self.reached);
        }
    }

    /// The last round trip, in ms.
    #[must_use]
    pub const fn rtt_ms(&self) -> Option<u64> {
        self.rtt_ms
    }

    /// What to do now.
    pub fn poll_output(&mut self, now: Moment) -> HeartbeatsOutput {
        let silent = now.since(self.last_heard);
        if silent >= self.dead {
            return HeartbeatsOutput::Dead { silent_ms: whole_ms(silent) };
        }
        // Whoever sends all the time would never ask: a peer that has been silent for half its time is asked once.
        let asked = self.unanswered.is_some_and(|(_, sent)| sent > self.last_heard);
        let doubt = self.last_heard + self.dead / 2;
        if now >= self.next || (now >= doubt && !asked) {
            return HeartbeatsOutput::Send(self.beat(now));
        }
        let dead = self.last_heard + self.dead;
        let next = if asked { self.next.min(dead) } else { self.next.min(doubt) };
        HeartbeatsOutput::Wait(next.min(dead))
    }

    fn beat(&mut self, now: Moment) -> Heartbeat {
        self.n += 1;
        self.unanswered = Some((self.n, now));
        self.handle_sent(now);
        Heartbeat { n: self.n, relay_time_ms: None, rtt_ms: self.rtt_ms, extra: Extra::default() }
    }
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    fn wait(machine: &mut Heartbeats, now: Moment) -> Moment {
        match machine.poll_output(now) {
            HeartbeatsOutput::Wait(until) => until,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_idle_session_beats_within_a_fifth_of_its_interval() {
        let mut spread = std::collections::BTreeSet::new();
        for seed in 0..500 {
            let mut machine = Heartbeats::new(Moment::ZERO, 60_000, 150_000, seed);
            let due = wait(&mut machine, Moment::ZERO);
            assert!((48_000..=72_000).contains(&due.as_millis()), "{due:?}");
            spread.insert(due.as_millis() / 1_000);
            assert!(matches!(machine.poll_output(due), HeartbeatsOutput::Send(Heartbeat { n: 1, .. })));
            machine.handle_ack(due + Duration::from_millis(40), 1, None);
            assert_eq!(machine.rtt_ms(), Some(40));
        }
        assert!(spread.len() > 20);
    }

    /// Agents that know nothing of each other, each with a clock and a way of its own.
    #[test]
    fn heartbeats_of_many_agents_reach_the_relay_on_the_same_ticks() {
        let mut seconds = std::collections::BTreeSet::new();
        for seed in 0..500 {
            let mut draw = Jitter::new(seed + 1_000);
            let (ahead_ms, way_ms) = (draw.between(1, 1_000_000), draw.between(0, 400));
            let reaches_ms = |sent: Moment| sent.as_millis() + ahead_ms + way_ms;
            let mut now = ms(draw.between(0, 10_000));
            let mut machine = Heartbeats::new(now, 60_000, 150_000, seed);
            for n in 1..6 {
                let due = wait(&mut machine, now);
                assert!(
                    (48_000..=72_000).contains(&(due.as_millis() - now.as_millis())),
                    "{due:?} from {now:?}"
                );
                assert!(n == 1 || reaches_ms(due) % TICK_MS == 0, "{n}: {}", reaches_ms(due));
                assert!(matches!(machine.poll_output(due), HeartbeatsOutput::Send(_)));
                seconds.insert(reaches_ms(due) / 1_000 % 24);
                now = due;
                let answered = due + Duration::from_millis(way_ms + draw.between(0, 300));
                machine.handle_ack(answered, n, Some(reaches_ms(due)));
                // What was sent before the answer came was not on a tick yet.
                if n == 1 {
                    machine.handle_sent(answered);
                    now = answered;
                }
            }
        }
        assert!(seconds.len() > 20, "and not all at once");
    }

    #[test]
    fn what_is_sent_otherwise_takes_the_heartbeats_place() {
        let mut machine = Heartbeats::new(Moment::ZERO, 60_000, 150_000, 1);
        for second in 1..1_000 {
            let now = ms(second * 1_000);
            machine.handle_sent(now);
            machine.handle_heard(now);
            assert!(wait(&mut machine, now) > now);
        }
    }

    #[test]
    fn a_sender_that_hears_nothing_asks_once_and_then_gives_up() {
        let mut machine = Heartbeats::new(Moment::ZERO, 60_000, 150_000, 1);
        let mut beats = Vec::new();
        for second in 1..150 {
            let now = ms(second * 1_000);
            machine.handle_sent(now);
            while let HeartbeatsOutput::Send(_) = machine.poll_output(now) {
                beats.push(second);
            }
        }
        assert_eq!(beats, [75]);
        assert_eq!(machine.poll_output(ms(150_000)), HeartbeatsOutput::Dead { silent_ms: 150_000 });
    }

    #[test]
    fn a_dead_peer_is_noticed_in_time_by_following_the_deadlines() {
        let mut machine = Heartbeats::new(Moment::ZERO, 60_000, 150_000, 4);
        let mut now = Moment::ZERO;
        for _ in 0..20 {
            match machine.poll_output(now) {
                HeartbeatsOutput::Wait(until) => now = until,
                HeartbeatsOutput::Send(_) => {}
                HeartbeatsOutput::Dead { .. } => break,
            }
        }
        assert_eq!(now, ms(150_000));
    }

    #[test]
    fn a_late_answer_to_another_heartbeat_measures_nothing() {
        let mut machine = Heartbeats::new(Moment::ZERO, 1_000, 5_000, 4);
        machine.handle_ack(ms(10), 77, Some(5));
        assert_eq!(machine.rtt_ms(), None);
    }
}
