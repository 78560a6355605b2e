//! Twice as many events as the server can pass on, and commands the other way: what is lost, what is delivered, what is held.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::super::message::{Mark, Template, command_of, quantile};
use super::super::site::BACKEND as OWNER;
use super::super::talk::{Heard, Party};
use super::{BACKEND, Cell, place_of};

/// Messages of a write: whoever has more to say than can leave says it in larger pieces.
const PER_WRITE: u64 = 16;
/// The first rate of the search for the highest, in messages a second, and how it rises.
const FIRST_RATE: f64 = 5_000.0;
const RISE: f64 = 1.5;
/// Below this share of what is offered the server is past its highest rate.
const KEEPS_UP: f64 = 0.9;
/// Offered in units of the highest rate.
const OVERLOAD: f64 = 2.0;
/// Commands a second, meanwhile, to all agents together.
const COMMANDS_PER_S: f64 = 200.0;
/// What is on its way has to move within this time, or it is lost.
const STUCK: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug, Clone, Serialize)]
pub(in crate::bench::relay) struct Overload {
    pub(in crate::bench::relay) agents: u32,
    /// The most that was delivered in a second, whatever was offered.
    pub(in crate::bench::relay) peak_per_s: f64,
    pub(in crate::bench::relay) offered_per_s: f64,
    pub(in crate::bench::relay) delivered_per_s: f64,
    /// Events that left the agents, of these never came or came in a wrong order.
    pub(in crate::bench::relay) events: u64,
    pub(in crate::bench::relay) events_lost: u64,
    /// Commands that left the backend; of these the server refused, and neither came nor were refused.
    pub(in crate::bench::relay) commands: u64,
    pub(in crate::bench::relay) commands_refused: u64,
    pub(in crate::bench::relay) commands_lost: u64,
    pub(in crate::bench::relay) command_p50_ms: f64,
    pub(in crate::bench::relay) command_p99_ms: f64,
    /// The most memory in the first and in the second half of the time.
    pub(in crate::bench::relay) rss_bytes: [u64; 2],
}

/// What was said and what has come.
#[derive(Debug, Default)]
struct Ledger {
    /// By agent: the next number to say, and the next that should come.
    said: Vec<u32>,
    due: Vec<u32>,
    delivered: u64,
    /// Numbers that were passed over, or came after all.
    out_of_order: u64,
    /// By command: whether anything became of it.
    commands: Vec<Fate>,
    command_ns: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    UnderWay,
    Arrived,
    Refused,
}

impl Ledger {
    fn of(agents: u32) -> Self {
        let none = vec![0; agents as usize];
        Self { said: none.clone(), due: none, ..Self::default() }
    }

    fn events(&self) -> u64 {
        self.said.iter().map(|count| u64::from(*count)).sum()
    }

    fn under_way(&self) -> u64 {
        self.events().saturating_sub(self.delivered) + self.fates(Fate::UnderWay)
    }

    fn fates(&self, wanted: Fate) -> u64 {
        self.commands.iter().filter(|fate| **fate == wanted).count() as u64
    }

    fn hear(&mut self, place: usize, heard: &Heard<'_>, began: Instant) {
        match (place, heard) {
            (BACKEND, Heard::Refused(id)) => {
                if let Some(fate) = command_of(id).and_then(|number| self.commands.get_mut(number as usize)) {
                    *fate = Fate::Refused;
                }
            }
            (_, Heard::Refused(_)) => {}
            (BACKEND, Heard::Message(text)) => {
                if let Some(mark) = Mark::of(text) {
                    self.event(mark);
                }
            }
            (_, Heard::Message(text)) => {
                if let Some(mark) = Mark::of(text)
                    && let Some(fate) = self.commands.get_mut(mark.number as usize)
                {
                    *fate = Fate::Arrived;
                    let now_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    self.command_ns.push(now_ns.saturating_sub(mark.sent_ns));
                }
            }
        }
    }

    fn event(&mut self, mark: Mark) {
        let Some(due) = self.due.get_mut(mark.agent as usize) else { return };
        self.delivered += 1;
        self.out_of_order += u64::from(mark.number.abs_diff(*due));
        *due = mark.number + 1;
    }
}

impl Cell<'_> {
    /// Looks for the highest rate and offers twice as much for so long.
    pub(in crate::bench::relay) async fn overload(
        mut self,
        agents: u32,
        seconds: u32,
        bytes: usize,
    ) -> anyhow::Result<Overload> {
        self.connect_all(agents).await?;
        self.settle().await?;
        let mut ledger = Ledger::of(agents);
        let mut template = Template::events(OWNER, bytes);
        let step = Duration::from_secs_f64(f64::from(seconds).min(2.0));
        let (mut rate, mut peak_per_s) = (FIRST_RATE, 0.0_f64);
        loop {
            let delivered = self.offer(&mut ledger, &mut template, rate, step, None).await?.delivered_per_s;
            peak_per_s = peak_per_s.max(delivered);
            self.drain(&mut ledger).await?;
            if delivered < KEEPS_UP * rate {
                break;
            }
            rate *= RISE;
        }
        let offered_per_s = OVERLOAD * peak_per_s;
        let time = Duration::from_secs(seconds.into());
        let course = self.offer(&mut ledger, &mut template, offered_per_s, time, Some(bytes)).await?;
        self.drain(&mut ledger).await?;
        let lost = self.load.take_lost();
        if let Some((place, why)) = lost.first() {
            eprintln!("relay: {} connections were lost under load; the one at {place}: {why}", lost.len());
        }
        Ok(Overload {
            agents,
            peak_per_s,
            offered_per_s,
            delivered_per_s: course.delivered_per_s,
            events: ledger.events(),
            events_lost: ledger.events().saturating_sub(ledger.delivered) + ledger.out_of_order,
            commands: ledger.commands.len() as u64,
            commands_refused: ledger.fates(Fate::Refused),
            commands_lost: ledger.fates(Fate::UnderWay),
            command_p50_ms: quantile(&mut ledger.command_ns, 500) as f64 / 1e6,
            command_p99_ms: quantile(&mut ledger.command_ns, 990) as f64 / 1e6,
            rss_bytes: course.rss_bytes,
        })
    }

    /// Offers events at a rate for some time; an agent whose connection does not take them keeps them. With `commands` there
    /// are commands of so many bytes as well, and the memory is looked at.
    async fn offer(
        &mut self,
        ledger: &mut Ledger,
        template: &mut Template,
        rate: f64,
        time: Duration,
        commands: Option<usize>,
    ) -> anyhow::Result<Course> {
        let agents = ledger.said.len();
        let (began, clock) = (Instant::now(), self.load.began());
        let (delivered, mut rss_bytes, mut looks, mut commanded) = (ledger.delivered, [0, 0], 0, 0.0);
        let mut said = vec![0_u64; agents];
        while began.elapsed() < time {
            for (agent, said) in said.iter_mut().enumerate() {
                let due = (began.elapsed().as_secs_f64() * rate / agents as f64) as u64;
                let count = (due - *said).min(PER_WRITE);
                if count > 0 && self.load.is_clear(place_of(agent as u32)) {
                    self.say_events(ledger, template, agent as u32, count)?;
                    *said += count;
                }
            }
            if let Some(bytes) = commands {
                let now_s = began.elapsed().as_secs_f64();
                if commanded < now_s * COMMANDS_PER_S && self.load.is_clear(BACKEND) {
                    self.say_command(ledger, bytes)?;
                    commanded += 1.0;
                }
                if now_s >= f64::from(looks) {
                    let half = usize::from(2.0 * now_s >= time.as_secs_f64());
                    rss_bytes[half] = self.server.resident_bytes()?.max(rss_bytes[half]);
                    looks += 1;
                }
            }
            self.load.pump(Duration::ZERO, &mut |place, heard| ledger.hear(place, &heard, clock)).await?;
        }
        self.server.check()?;
        let delivered_per_s = (ledger.delivered - delivered) as f64 / began.elapsed().as_secs_f64();
        Ok(Course { delivered_per_s, rss_bytes })
    }

    fn say_events(
        &mut self,
        ledger: &mut Ledger,
        template: &mut Template,
        agent: u32,
        count: u64,
    ) -> anyhow::Result<()> {
        let number = &mut ledger.said[agent as usize];
        let texts: Vec<Vec<u8>> = (0..count)
            .map(|_| {
                let mark = Mark { agent, number: *number, sent_ns: self.load.now_ns() };
                *number += 1;
                template.stamp(mark).to_vec()
            })
            .collect();
        let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        self.load.say(place_of(agent), Party::Backend, &texts)
    }

    fn say_command(&mut self, ledger: &mut Ledger, bytes: usize) -> anyhow::Result<()> {
        let number = ledger.commands.len() as u32;
        let agent = number % ledger.said.len() as u32;
        let mut template = Template::command(self.site.name_of(agent), number, bytes);
        ledger.commands.push(Fate::UnderWay);
        let text = template.stamp(Mark { agent, number, sent_ns: self.load.now_ns() });
        self.load.say(BACKEND, Party::Agent(agent), &[text])
    }

    /// Waits until everything that was said has come, or nothing comes any more.
    async fn drain(&mut self, ledger: &mut Ledger) -> anyhow::Result<()> {
        let clock = self.load.began();
        let (mut under_way, mut moved) = (ledger.under_way(), Instant::now());
        while under_way > 0 && moved.elapsed() < STUCK {
            let wait = Duration::from_millis(5);
            self.load.pump(wait, &mut |place, heard| ledger.hear(place, &heard, clock)).await?;
            let now = ledger.under_way();
            if now != under_way {
                (under_way, moved) = (now, Instant::now());
            }
        }
        Ok(())
    }
}

/// How an offer went.
struct Course {
    delivered_per_s: f64,
    rss_bytes: [u64; 2],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(ledger: &mut Ledger, place: usize, template: &mut Template, agent: u32, number: u32) {
        let text = template.stamp(Mark { agent, number, sent_ns: 0 }).to_vec();
        ledger.hear(place, &Heard::Message(&text), Instant::now());
    }

    #[test]
    fn what_is_missing_doubled_or_late_is_counted_and_a_refused_command_is_not_lost() {
        let mut ledger = Ledger::of(2);
        let mut events = Template::events("b:bench", 300);
        ledger.said = vec![4, 2];
        for (agent, number) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            heard(&mut ledger, BACKEND, &mut events, agent, number);
        }
        assert_eq!((ledger.out_of_order, ledger.under_way()), (0, 2));
        heard(&mut ledger, BACKEND, &mut events, 0, 3);
        assert_eq!((ledger.out_of_order, ledger.under_way()), (1, 1), "number 2 was passed over");
        heard(&mut ledger, BACKEND, &mut events, 0, 3);
        assert_eq!(ledger.out_of_order, 2, "and number 3 came twice");
        ledger.commands = vec![Fate::UnderWay; 3];
        heard(&mut ledger, place_of(1), &mut Template::command("a:x", 1, 300), 1, 1);
        ledger.hear(BACKEND, &Heard::Refused("c000000002"), Instant::now());
        let fates = [Fate::UnderWay, Fate::Arrived, Fate::Refused].map(|fate| ledger.fates(fate));
        assert_eq!((fates, ledger.command_ns.len()), ([1, 1, 1], 1));
    }
}
