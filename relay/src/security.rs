//! Events of security: a line in the log and a message to the backends they concern, however many there are of them.
//!
//! The first of a kind about one peer is told at once. Those that follow are counted and told together, at most once a minute, so a
//! flood of attempts does not become a flood of messages.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use spoolway_protocol::security::{SecurityEvent, SecurityKind};
use spoolway_protocol::{Address, AgentId, BackendId};
use spoolway_relay_tls::ends;

use crate::hub::Hub;
use crate::mailbox::Letter;
use crate::metrics::Metric;
use crate::post::Post;
use crate::words;

/// How long what follows is gathered.
const GATHER_MS: u64 = 60_000;
/// Kinds and peers that are told apart at a time; of further peers only the kind is told.
const TOLD_APART: usize = 1_024;

/// Which backends hear it. A process of each does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hearer {
    /// This one.
    Owner(BackendId),
    /// All: it concerns the relay.
    All,
    /// None: it concerns nobody who is known. The operator finds it in the log.
    Nobody,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alarm {
    /// What.
    pub(crate) kind: SecurityKind,
    /// About whom.
    pub(crate) about: Option<Address>,
    /// From where.
    pub(crate) from: Option<IpAddr>,
    /// Who hears it.
    pub(crate) hearer: Hearer,
    /// For a person.
    pub(crate) detail: String,
}

impl Alarm {
    /// About an agent whose owner is known.
    pub(crate) fn of_agent(kind: SecurityKind, agent: AgentId, owner: BackendId, detail: &str) -> Self {
        let (about, hearer) = (Some(Address::Agent(agent)), Hearer::Owner(owner));
        Self { kind, about, from: None, hearer, detail: detail.to_owned() }
    }
}

/// What was told and what was gathered since. Pure: it is told the time.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    entries: HashMap<(SecurityKind, Option<Address>), Entry>,
}

#[derive(Debug)]
struct Entry {
    next_ms: u64,
    /// The last one, and how many there are that nobody was told of.
    waits: Option<(Alarm, u64)>,
}

impl Gathered {
    /// It has happened. Handed back when it is to be told now.
    pub(crate) fn note(&mut self, now_ms: u64, mut alarm: Alarm) -> Option<Alarm> {
        let mut key = (alarm.kind.clone(), alarm.about.clone());
        if !self.entries.contains_key(&key) && self.entries.len() >= TOLD_APART {
            key.1 = None;
            (alarm.about, alarm.hearer) = (None, Hearer::Nobody);
        }
        let entry = self.entries.entry(key).or_insert(Entry { next_ms: 0, waits: None });
        if entry.next_ms <= now_ms && entry.waits.is_none() {
            entry.next_ms = now_ms.saturating_add(GATHER_MS);
            return Some(alarm);
        }
        let count = entry.waits.take().map_or(0, |(_, count)| count);
        entry.waits = Some((alarm, count.saturating_add(1)));
        None
    }

    /// What was gathered for long enough, each with how often it was. Whoever was quiet meanwhile is forgotten.
    pub(crate) fn due(&mut self, now_ms: u64) -> Vec<(Alarm, u64)> {
        let mut due = Vec::new();
        self.entries.retain(|_, entry| {
            if entry.next_ms > now_ms {
                return true;
            }
            entry.next_ms = now_ms.saturating_add(GATHER_MS);
            let waits = entry.waits.take();
            let goes_on = waits.is_some();
            due.extend(waits);
            goes_on
        });
        due
    }
}

impl Hub {
    /// Something has happened that an owner or the operator has to know.
    pub(crate) fn alarm(&self, alarm: Alarm) {
        self.metrics.count_word(Metric::Security, alarm.kind.as_str());
        let told = self.gathered().note(self.clock.ms(), alarm);
        if let Some(alarm) = told {
            self.tell(alarm, 1);
        }
    }

    /// The same about a peer that is in; its owner hears of it.
    pub(crate) fn alarm_about(&self, about: Option<Address>, post: &Post, kind: SecurityKind, detail: &str) {
        let hearer = match &about {
            Some(Address::Agent(agent)) => self.router().owner(agent).cloned(),
            Some(Address::Backend(backend)) => Some(backend.clone()),
            _ => None,
        };
        let hearer = hearer.map_or(Hearer::Nobody, Hearer::Owner);
        let from = post.caller.map(|caller| caller.address.ip());
        self.alarm(Alarm { kind, about, from, hearer, detail: detail.to_owned() });
    }

    /// Tells what was gathered; to be called now and then.
    pub(crate) fn tell_gathered(&self) {
        let due = self.gathered().due(self.clock.ms());
        due.into_iter().for_each(|(alarm, count)| self.tell(alarm, count));
    }

    /// The certificate in use ends when this time is over; whoever says so takes care not to say it often.
    pub(crate) fn certificate_ends_soon(&self, left_ms: u64) {
        let (kind, hearer) = (SecurityKind::CertificateEnds, Hearer::All);
        let detail = format!("the relay's certificate {}", ends(Duration::from_millis(left_ms)));
        self.metrics.count_word(Metric::Security, kind.as_str());
        self.tell(Alarm { kind, about: None, from: None, hearer, detail }, 1);
    }

    fn tell(&self, alarm: Alarm, count: u64) {
        let Alarm { kind, about, from, hearer, detail } = alarm;
        let network = from.map(network);
        let who = about.as_ref().map(ToString::to_string).unwrap_or_default();
        let from = network.as_deref().unwrap_or_default();
        tracing::warn!(%kind, about = who, network = from, count, detail, "security");
        let (severity, at_ms) = (kind.severity(), self.clock.now().unix_ms);
        let extra = Default::default();
        let event = SecurityEvent { kind, severity, at_ms, about, network, count, detail, extra };
        let letter = Letter::own(words::frame(Box::new(event), None), self.clock.ms());
        for post in self.router().one_process_each(|backend| match &hearer {
            Hearer::Owner(owner) => backend == owner,
            Hearer::All => true,
            Hearer::Nobody => false,
        }) {
            if post.push(letter.clone(), None).is_err() {
                self.metrics.count(Metric::SecurityLost);
            }
        }
    }
}

/// The network of an address without the part that names a host.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm(agent: u16) -> Alarm {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&agent.to_be_bytes());
        Alarm {
            kind: SecurityKind::AuthFailure,
            about: Some(Address::Agent(spoolway_protocol::AgentId::from_bytes(id))),
            from: None,
            hearer: Hearer::Owner("farm".parse().unwrap()),
            detail: String::new(),
        }
    }

    #[test]
    fn the_first_is_told_at_once_and_the_others_together() {
        let mut gathered = Gathered::default();
        assert_eq!(gathered.note(5, alarm(1)), Some(alarm(1)));
        assert_eq!(gathered.note(5, alarm(2)), Some(alarm(2)), "about somebody else");
        assert!((6..100).all(|now_ms| gathered.note(now_ms, alarm(1)).is_none()));
        assert_eq!(gathered.due(GATHER_MS), []);
        assert_eq!(gathered.due(GATHER_MS + 5), [(alarm(1), 94)]);
        assert_eq!(gathered.note(GATHER_MS + 6, alarm(1)), None, "a minute has to pass again");
        assert_eq!(gathered.due(2 * GATHER_MS + 5), [(alarm(1), 1)]);
    }

    #[test]
    fn who_was_quiet_is_forgotten_and_told_at_once_again() {
        let mut gathered = Gathered::default();
        assert!(gathered.note(0, alarm(1)).is_some());
        assert_eq!(gathered.due(GATHER_MS), []);
        assert!(gathered.entries.is_empty());
        assert!(gathered.note(GATHER_MS, alarm(1)).is_some());
    }

    #[test]
    fn a_flood_about_many_takes_no_memory_and_no_messages() {
        let mut gathered = Gathered::default();
        let told = (0..10_000).filter_map(|agent| gathered.note(0, alarm(agent)));
        let told: Vec<_> = told.collect();
        assert_eq!(told.len(), TOLD_APART + 1);
        let last = told.last().unwrap();
        assert_eq!((&last.about, &last.hearer), (&None, &Hearer::Nobody));
        let due = gathered.due(GATHER_MS);
        assert_eq!(due.iter().map(|(_, count)| count).sum::<u64>(), 10_000 - TOLD_APART as u64 - 1);
    }

    #[test]
    fn a_network_names_no_host() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("192.0.2.77"), "192.0.2.0/24");
        assert_eq!(of("::ffff:192.0.2.77"), "192.0.2.0/24");
        assert_eq!(of("2001:db8:7:8::9"), "2001:db8:7::/48");
    }
}
