//! The relay's parts and the clients behind them; what happens next is the dice's choice.

use std::collections::{BTreeMap, HashMap, VecDeque};

use spoolway_protocol::Address;
use spoolway_relay::clock::Now;
use spoolway_relay::mailbox::{Bound, Bounds, Class, Farewell, Mailbox};
use spoolway_relay::router::Router;
use spoolway_relay::session::Session;

use crate::names::{AGENTS, Dice, Who};

const BOUNDS: Bounds = [B4, Bound { frames: 2, ..B4 }, Bound { frames: 1, ..B4 }, Bound { frames: 2, ..B4 }];
const B4: Bound = Bound { frames: 4, bytes: 4_000 };

/// Nothing waits.
pub(crate) const NONE: [usize; Class::ALL.len()] = [0; Class::ALL.len()];

/// One connection: the relay's parts of it, and the client behind.
pub(crate) struct Conn {
    pub(crate) who: Who,
    pub(crate) session: Session,
    pub(crate) mailbox: Mailbox,
    /// Sent by the client, not read by the relay yet.
    pub(crate) wire: VecDeque<String>,
    /// Read by the relay, waiting for room in a mailbox.
    pub(crate) stuck: Option<(String, Address)>,
    /// Guests have had their copies of what is stuck.
    pub(crate) is_copied: bool,
    pub(crate) is_half_open: bool,
    pub(crate) is_in: bool,
    pub(crate) has_left: bool,
    pub(crate) is_dead: bool,
    pub(crate) sent: u64,
    /// Reliable frames that were taken for this receiver and not yet read by it.
    pub(crate) owed: VecDeque<String>,
    /// The latest telemetry taken for this receiver, by slot.
    pub(crate) latest: HashMap<u64, String>,
    /// The highest number seen from a sender's connection, by class.
    pub(crate) seen: HashMap<(u64, Class), u64>,
}

impl Conn {
    /// Closed without writing what waits, unless a farewell was under way that first writes it.
    pub(crate) fn forget(&mut self, code: u16) {
        if self.mailbox.farewell().is_none() {
            self.mailbox.close(Farewell { code, reason: "" }, false);
            self.owed.clear();
            self.latest.clear();
        }
    }
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) now_ms: u64,
    pub(crate) router: Router<u64>,
    pub(crate) conns: BTreeMap<u64, Conn>,
    pub(crate) next: u64,
    /// The connection that has to stand in the table, by agent.
    pub(crate) current: [Option<u64>; AGENTS],
    pub(crate) nacks: HashMap<String, usize>,
    pub(crate) delivered: usize,
    pub(crate) superseded: usize,
    pub(crate) clones: usize,
    pub(crate) dropped: usize,
    /// Copies of answers that guests were given, and guests that were closed because they did not read.
    pub(crate) copies: usize,
    pub(crate) closed_guests: usize,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            dice: Dice(seed),
            now_ms: 0,
            router: Router::default(),
            conns: BTreeMap::new(),
            next: 1,
            current: [None; AGENTS],
            nacks: HashMap::new(),
            delivered: 0,
            superseded: 0,
            clones: 0,
            dropped: 0,
            copies: 0,
            closed_guests: 0,
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now { ms: self.now_ms, unix_ms: 1_000_000 + self.now_ms }
    }

    pub(crate) fn step(&mut self) {
        match self.dice.roll(20) {
            0 => self.connect_agent(),
            1 => self.connect_backend(),
            2 => self.connect_guest(),
            3..=6 => self.client_sends(),
            7..=12 => self.relay_reads(),
            13..=16 => self.relay_writes(),
            17 => self.client_dies(),
            18 => self.relay_notices(),
            _ => self.time_passes(),
        }
        self.check_seats();
    }

    pub(crate) fn pick(&mut self, wanted: impl Fn(&Conn) -> bool) -> Option<u64> {
        let fit: Vec<u64> = self.conns.iter().filter(|(_, conn)| wanted(conn)).map(|(id, _)| *id).collect();
        if fit.is_empty() { None } else { Some(fit[self.dice.roll(fit.len())]) }
    }

    pub(crate) fn add(&mut self, who: Who, session: Session) -> u64 {
        let id = self.next;
        self.next += 1;
        let conn = Conn {
            who,
            session,
            mailbox: Mailbox::new(BOUNDS),
            wire: VecDeque::new(),
            stuck: None,
            is_copied: false,
            is_half_open: self.dice.roll(8) == 0,
            is_in: false,
            has_left: false,
            is_dead: false,
            sent: 0,
            owed: VecDeque::new(),
            latest: HashMap::new(),
            seen: HashMap::new(),
        };
        self.conns.insert(id, conn);
        id
    }

    pub(crate) fn time_passes(&mut self) {
        self.now_ms += self.dice.roll(600) as u64;
        let now = self.now();
        for id in self.conns.keys().copied().collect::<Vec<_>>() {
            let conn = self.conns.get_mut(&id).unwrap();
            if !conn.is_dead && conn.mailbox.farewell().is_none() {
                while conn.session.wake_at_ms().is_some_and(|at_ms| at_ms <= now.ms) {
                    conn.session.handle_time(now);
                }
                self.carry_outputs(id);
            }
        }
    }

    /// Everybody reads again: whatever was taken for a live peer arrives.
    pub(crate) fn settle(&mut self) {
        for id in self.conns.keys().copied().collect::<Vec<_>>() {
            while self.conns[&id].mailbox.depth() != NONE {
                self.write_to(id);
            }
            assert!(self.conns[&id].owed.is_empty(), "a reliable frame was lost");
        }
    }
}
