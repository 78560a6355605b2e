//! Messages from many agents to one backend at a steady rate: what one costs the server, and how long it is on its way.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::super::message::{Mark, Template, quantile};
use super::super::site::BACKEND as OWNER;
use super::super::talk::{Heard, Party};
use super::{BACKEND, Cell, place_of};

/// Messages of a write where they are coalesced.
const PER_WRITE: u32 = 16;
/// Slots that an agent uses in turn: of a slot only the latest has to arrive, and each message is to be counted.
const SLOTS: u32 = 4 * PER_WRITE;
/// Not counted.
const WARM_UP_S: f64 = 2.0;
/// Messages on their way when the last was sent.
const REST: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug, Clone, Serialize)]
pub(in crate::bench::relay) struct Forward {
    pub(in crate::bench::relay) agents: u32,
    pub(in crate::bench::relay) rate_per_s: u32,
    /// Messages of one write of an agent.
    pub(in crate::bench::relay) per_write: u32,
    pub(in crate::bench::relay) sent: u64,
    /// Of these.
    pub(in crate::bench::relay) delivered: u64,
    /// The server's processor time for each message that passed, in microseconds.
    pub(in crate::bench::relay) cpu_us: f64,
    pub(in crate::bench::relay) p50_us: f64,
    pub(in crate::bench::relay) p99_us: f64,
    /// What the generator sent of what it should have sent while it was measured.
    pub(in crate::bench::relay) kept_pace: f64,
}

impl Forward {
    /// Rounds of the same work: what was sent in all of them, and of each other figure the median; but of the pace the least.
    pub(in crate::bench::relay) fn middle<'a>(
        rounds: impl Iterator<Item = &'a Self> + Clone,
    ) -> Option<Self> {
        let median = |figure: fn(&Self) -> f64| {
            let mut figures: Vec<_> = rounds.clone().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied().unwrap_or_default()
        };
        let sum = |figure: fn(&Self) -> u64| rounds.clone().map(figure).sum();
        Some(Self {
            sent: sum(|round| round.sent),
            delivered: sum(|round| round.delivered),
            cpu_us: median(|round| round.cpu_us),
            p50_us: median(|round| round.p50_us),
            p99_us: median(|round| round.p99_us),
            kept_pace: rounds.clone().map(|round| round.kept_pace).reduce(f64::min)?,
            ..rounds.clone().next()?.clone()
        })
    }
}

/// What a run is made of.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench::relay) struct Work {
    pub(in crate::bench::relay) agents: u32,
    pub(in crate::bench::relay) rate_per_s: u32,
    pub(in crate::bench::relay) seconds: u32,
    pub(in crate::bench::relay) bytes: usize,
}

impl Cell<'_> {
    /// Connects the agents and measures twice: one message a write, and several.
    pub(in crate::bench::relay) async fn forward(mut self, work: Work) -> anyhow::Result<[Forward; 2]> {
        self.connect_all(work.agents).await?;
        self.settle().await?;
        Ok([self.pass_on(work, 1).await?, self.pass_on(work, PER_WRITE).await?])
    }

    async fn pass_on(&mut self, work: Work, per_write: u32) -> anyhow::Result<Forward> {
        let mut templates: Vec<_> =
            (0..SLOTS as usize).map(|slot| Template::telemetry(OWNER, slot, work.bytes)).collect();
        let mut course = Course::from(0);
        let origin_ns = self.load.now_ns();
        let seconds = |load: &super::Load| (load.now_ns() - origin_ns) as f64 / 1e9;
        let warm_up_s = WARM_UP_S.min(work.seconds.into());
        let end_s = warm_up_s + f64::from(work.seconds);
        let writes_per_s = f64::from(work.rate_per_s) / f64::from(per_write);
        let (mut writes, mut sent_before, mut cpu_before) = (0_u32, 0, None);
        loop {
            let now_s = seconds(&self.load);
            if now_s >= warm_up_s && cpu_before.is_none() {
                cpu_before = Some(self.server.processor_time()?);
                sent_before = writes;
                course = Course::from(writes);
            }
            if now_s >= end_s {
                break;
            }
            while f64::from(writes) < seconds(&self.load).min(end_s) * writes_per_s {
                let first = (writes / work.agents * per_write % SLOTS) as usize;
                let templates = &mut templates[first..first + per_write as usize];
                self.write(templates, writes, work.agents)?;
                writes += 1;
            }
            self.turn(&mut course).await?;
        }
        let cpu = self.server.processor_time()? - cpu_before.unwrap_or_default();
        let passed = course.passed;
        let until_s = seconds(&self.load) + REST.as_secs_f64();
        let sent = u64::from(writes - sent_before) * u64::from(per_write);
        while course.delivered < sent && seconds(&self.load) < until_s {
            self.turn(&mut course).await?;
        }
        let latencies = &mut course.latencies_ns;
        Ok(Forward {
            agents: work.agents,
            rate_per_s: work.rate_per_s,
            per_write,
            sent,
            delivered: course.delivered,
            cpu_us: cpu.as_secs_f64() * 1e6 / passed.max(1) as f64,
            p50_us: quantile(latencies, 500) as f64 / 1e3,
            p99_us: quantile(latencies, 990) as f64 / 1e3,
            kept_pace: sent as f64 / (f64::from(work.rate_per_s) * f64::from(work.seconds)),
        })
    }

    /// One write of the next agent.
    fn write(&mut self, templates: &mut [Template], number: u32, agents: u32) -> anyhow::Result<()> {
        let agent = number % agents;
        let mark = Mark { agent, number, sent_ns: self.load.now_ns() };
        let texts: Vec<&[u8]> = templates.iter_mut().map(|template| template.stamp(mark)).collect();
        self.load.say(place_of(agent), Party::Backend, &texts)
    }

    /// The core is the generator's own: it does not sleep, so that no wake-up counts as the server's time.
    async fn turn(&mut self, course: &mut Course) -> anyhow::Result<()> {
        let began = self.load.began();
        self.load.pump(Duration::ZERO, &mut |place, heard| course.hear(place, &heard, began)).await
    }
}

/// What has come since the counting began.
struct Course {
    /// Number of the first write that counts.
    first: u32,
    /// Messages of whatever write.
    passed: u64,
    /// Messages of writes that count, and how long they took.
    delivered: u64,
    latencies_ns: Vec<u64>,
}

impl Course {
    fn from(first: u32) -> Self {
        Self { first, passed: 0, delivered: 0, latencies_ns: Vec::new() }
    }

    fn hear(&mut self, place: usize, heard: &Heard<'_>, began: Instant) {
        if let (BACKEND, Heard::Message(text)) = (place, heard)
            && let Some(mark) = Mark::of(text)
        {
            self.passed += 1;
            if mark.number >= self.first {
                let now_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
                self.delivered += 1;
                self.latencies_ns.push(now_ns.saturating_sub(mark.sent_ns));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_round_does_not_count_but_for_what_was_lost_in_it() {
        let round = |cpu_us, delivered, kept_pace| Forward {
            agents: 1,
            rate_per_s: 1,
            per_write: 1,
            sent: 10,
            delivered,
            cpu_us,
            p50_us: 2.0 * cpu_us,
            p99_us: 9.0 * cpu_us,
            kept_pace,
        };
        let rounds = [round(3.0, 10, 1.0), round(90.0, 9, 0.5), round(2.0, 10, 1.0)];
        let middle = Forward::middle(rounds.iter()).unwrap();
        assert_eq!((middle.cpu_us, middle.p50_us, middle.p99_us), (3.0, 6.0, 27.0));
        assert_eq!((middle.sent, middle.delivered, middle.kept_pace), (30, 29, 0.5));
        assert!(Forward::middle(std::iter::empty()).is_none());
    }
}
