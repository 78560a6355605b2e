//! Which events are stored: each is taken once, and the ack never passes over one that is missing.

use std::collections::BTreeMap;

use spoolway_protocol::event::{Event, EventAck, EventData};
use spoolway_protocol::raw::Extra;
use spoolway_protocol::{AgentId, Epoch, Seq};

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is new, and now stored.
    New,
    /// It was stored before.
    Known,
    /// One before it is missing; the agent sends both again when no ack comes.
    TooEarly,
}

/// By agent and epoch: the last event up to which all are stored. In a database, together with the events themselves.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    stored: BTreeMap<(AgentId, Epoch), Seq>,
}

impl Ledger {
    /// Stores an event, if it is its turn.
    pub(super) fn take(&mut self, agent: AgentId, event: &Event) -> Taken {
        // A gap stands for all the events that were dropped, and has the place of the last of them.
        let spans = match event.decode() {
            Ok(EventData::Gap(gap)) => gap.dropped.max(1),
            _ => 1,
        };
        let before = Seq(event.seq.0.saturating_sub(spans));
        // An epoch that was never seen begins with what the agent still has of it.
        let stored = self.stored.entry((agent, event.epoch)).or_insert(before);
        if event.seq <= *stored {
            return Taken::Known;
        }
        if before > *stored {
            return Taken::TooEarly;
        }
        *stored = event.seq;
        Taken::New
    }

    /// One ack for each epoch of an agent.
    pub(super) fn acks(&self, agent: AgentId) -> Vec<EventAck> {
        let of_agent = self.stored.iter().filter(|((of, _), _)| *of == agent);
        of_agent.map(|(&(_, epoch), &seq)| EventAck { epoch, seq, extra: Extra::default() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use spoolway_protocol::envelope::{ClockSource, Stamp};
    use spoolway_protocol::event::{EventClass, Gap, LinkSession};

    use super::*;

    const AGENT: AgentId = AgentId::from_bytes([7; 16]);

    fn event(epoch: u64, seq: u64, dropped: Option<u64>) -> Event {
        let ts = Stamp { w: 1, m: 1, b: "boot".parse().unwrap(), c: ClockSource::None };
        let data = match dropped {
            Some(dropped) => EventData::Gap(Gap { dropped, cls: EventClass::Info, extra: Extra::default() }),
            None => EventData::LinkSession(LinkSession {
                down_ms: 0,
                reason: "test".to_owned(),
                attempts: 1,
                extra: Extra::default(),
            }),
        };
        Event::new(Epoch(epoch), Seq(seq), ts, &data)
    }

    fn acked(ledger: &Ledger) -> Vec<(u64, u64)> {
        ledger.acks(AGENT).iter().map(|ack| (ack.epoch.0, ack.seq.0)).collect()
    }

    #[test]
    fn an_event_is_taken_once_and_never_over_a_hole() {
        let mut ledger = Ledger::default();
        let mut take = |seq| ledger.take(AGENT, &event(3, seq, None));
        assert_eq!([7, 8, 8, 7].map(&mut take), [Taken::New, Taken::New, Taken::Known, Taken::Known]);
        assert_eq!([10, 9, 10].map(&mut take), [Taken::TooEarly, Taken::New, Taken::New]);
        assert_eq!(acked(&ledger), [(3, 10)]);
    }

    #[test]
    fn every_epoch_counts_by_itself() {
        let mut ledger = Ledger::default();
        for (epoch, seq) in [(1, 5), (2, 1), (1, 6), (2, 2)] {
            assert_eq!(ledger.take(AGENT, &event(epoch, seq, None)), Taken::New);
        }
        assert_eq!(acked(&ledger), [(1, 6), (2, 2)]);
        assert!(ledger.acks(AgentId::from_bytes([8; 16])).is_empty());
    }

    #[test]
    fn a_gap_closes_the_hole_that_it_stands_for() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.take(AGENT, &event(1, 1, None)), Taken::New);
        assert_eq!(ledger.take(AGENT, &event(1, 5, Some(3))), Taken::TooEarly);
        assert_eq!(ledger.take(AGENT, &event(1, 5, Some(4))), Taken::New);
        assert_eq!(acked(&ledger), [(1, 5)]);
    }
}
