//! How well the wire is used: round trips, gaps, and how long the planner was probably empty.

use std::time::Duration;

use crate::Moment;
use crate::reply::Acknowledged;

/// Buckets of one doubling.
const STEPS: usize = 8;
/// Doublings from 1 us to more than an hour.
const DOUBLINGS: usize = 32;

/// Times in buckets of an eighth of their size.
#[derive(Debug, Clone)]
pub(super) struct Times {
    counts: Box<[u32; STEPS * DOUBLINGS]>,
    total: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self { counts: Box::new([0; STEPS * DOUBLINGS]), total: 0 }
    }
}

impl Times {
    pub(super) fn add(&mut self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket(us);
        self.counts[bucket] = self.counts[bucket].saturating_add(1);
        self.total += 1;
    }

    pub(super) fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }

    /// The time that this share of all is not above, in microseconds; 0 when there is none.
    pub(super) fn share_us(&self, share: f64) -> u64 {
        let wanted = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= wanted {
                return upper_us(bucket);
            }
        }
        0
    }
}

/// Values below 8 have a bucket each; above, the three bits behind the first one choose.
fn bucket(us: u64) -> usize {
    if us < STEPS as u64 {
        return us as usize;
    }
    let doubling = us.ilog2() as usize;
    let step = (us >> (doubling - 3)) as usize & (STEPS - 1);
    ((doubling - 2) * STEPS + step).min(STEPS * DOUBLINGS - 1)
}

/// The greatest value of a bucket.
fn upper_us(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let (doubling, step) = (bucket / STEPS + 2, bucket % STEPS);
    (((STEPS + step + 1) as u64) << (doubling - 3)) - 1
}

/// What is known of the wire since the job began. Times are in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct WireFigures {
    /// From writing a line to its acknowledgement: half are not above.
    pub rtt_p50_us: u64,
    /// The same: 99 of 100 are not above.
    pub rtt_p99_us: u64,
    /// Between two acknowledged lines of the job: 99 of 100 are not above.
    pub gap_p99_us: u64,
    /// The same: 999 of 1000 are not above.
    pub gap_p999_us: u64,
    /// How long the planner was probably empty in the middle of the job: the moves that were acknowledged would have taken
    /// less time, at their feed rates, than has passed.
    pub starved_us: u64,
    /// How often that was so.
    pub starvations: u64,
    /// Lines written again, of all lines written.
    pub resend_ratio: f32,
    /// Free blocks of the planner and free places of the queue, as the firmware has said last.
    pub room: Option<(u32, u32)>,
}

/// Collects the figures.
#[derive(Debug, Default)]
pub(super) struct Figures {
    rtt: Times,
    gap: Times,
    starved: Duration,
    starvations: u64,
    /// When the planner runs empty if nothing more comes.
    planned_until: Option<Moment>,
    room: Option<(u32, u32)>,
}

impl Figures {
    pub(super) fn begin_job(&mut self) {
        self.rtt.clear();
        self.gap.clear();
        (self.starved, self.starvations, self.planned_until) = (Duration::ZERO, 0, None);
    }

    /// Firmwares that say `ok P15 B3` say both.
    pub(super) fn hear_room(&mut self, acknowledged: &Acknowledged) {
        self.room = acknowledged.planner_free.zip(acknowledged.queue_free).or(self.room);
    }

    pub(super) fn add_round_trip(&mut self, time: Duration) {
        self.rtt.add(time);
    }

    pub(super) fn add_gap(&mut self, time: Duration) {
        self.gap.add(time);
    }

    /// A move of the job has entered the planner; `None` says that the next one follows on a stop that is no starvation.
    pub(super) fn plan(&mut self, now: Moment, duration: Option<Duration>) {
        let Some(duration) = duration else {
            self.planned_until = None;
            return;
        };
        if duration.is_zero() {
            return;
        }
        let from = match self.planned_until {
            Some(until) if until < now => {
                self.starved += now - until;
                self.starvations += 1;
                now
            }
            Some(until) => until,
            None => now,
        };
        self.planned_until = Some(from + duration);
    }

    pub(super) fn figures(&self, resend_ratio: f32) -> WireFigures {
        WireFigures {
            rtt_p50_us: self.rtt.share_us(0.5),
            rtt_p99_us: self.rtt.share_us(0.99),
            gap_p99_us: self.gap.share_us(0.99),
            gap_p999_us: self.gap.share_us(0.999),
            starved_us: u64::try_from(self.starved.as_micros()).unwrap_or(u64::MAX),
            starvations: self.starvations,
            resend_ratio,
            room: self.room,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_never_more_than_an_eighth_too_high() {
        for us in (0..5_000).chain([65_535, 65_536, 1_000_000, 3_600_000_000]) {
            let upper = upper_us(bucket(us));
            assert!(us <= upper && upper <= us + us / 8, "{us}: {upper}");
        }
    }

    #[test]
    fn shares_are_those_of_the_times() {
        let mut times = Times::default();
        assert_eq!(times.share_us(0.5), 0);
        for us in 1..=1000 {
            times.add(Duration::from_micros(us));
        }
        let (half, most) = (times.share_us(0.5), times.share_us(0.999));
        assert!((500..=562).contains(&half) && (999..=1_124).contains(&most), "{half} {most}");
    }

    #[test]
    fn a_planner_that_ran_empty_is_counted_and_a_stop_is_not() {
        let (at, ms) = (Moment::from_millis, Duration::from_millis);
        let mut figures = Figures::default();
        figures.plan(at(0), Some(ms(10)));
        figures.plan(at(5), Some(ms(10)));
        figures.plan(at(25), Some(ms(10)));
        figures.plan(at(30), None);
        figures.plan(at(90), Some(ms(10)));
        let found = figures.figures(0.0);
        assert_eq!((found.starved_us, found.starvations), (5_000, 1));
    }
}
