//! Session, router and mailbox under thousands of seeds: second logins, late closes, half-open peers, slow readers, clones.
//!
//! The driver does what the shells do, in an order that the seed chooses. The checks stand beside what they check.

#![expect(clippy::unwrap_used, reason = "a test may panic, also in what it calls")]

use std::collections::{BTreeMap, HashMap, VecDeque};

use spoolway_protocol::hello::{Binding, NackCode, Window};
use spoolway_protocol::session::Subscribe;
use spoolway_protocol::{Address, AgentId, BackendId, Route, Sha256Hex};
use spoolway_relay::clock::Now;
use spoolway_relay::mailbox::{Bounds, Class, Farewell, Frame, Mailbox, Slot};
use spoolway_relay::router::{AgentLogin, ConnId, Joined, NoRoute, Router};
use spoolway_relay::session::{Heard, Options, Output, Session, Verdict};

const SEEDS: u64 = 2_500;
const STEPS: usize = 150;
const AGENTS: usize = 4;
const BOUNDS: Bounds = Bounds { frames: 4, bytes: 4_000, bulk_frames: 2, slots: 1, slot_bytes: 4_000 };

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Who {
    Agent(usize),
    Backend(usize),
}

/// One connection: the relay's parts of it, and the client behind.
struct Conn {
    who: Who,
    session: Session,
    mailbox: Mailbox,
    /// Sent by the client, not read by the relay yet.
    wire: VecDeque<String>,
    /// Read by the relay, waiting for room in a mailbox.
    stuck: Option<(String, Address)>,
    is_half_open: bool,
    is_in: bool,
    has_left: bool,
    is_dead: bool,
    sent: u64,
    /// Reliable frames that were taken for this receiver and not yet read by it.
    owed: VecDeque<String>,
    /// The latest telemetry taken for this receiver, by slot.
    latest: HashMap<Slot, String>,
    /// The highest number seen from a sender's connection, by class.
    seen: HashMap<(u64, Class), u64>,
}

impl Conn {
    /// Closed without writing what waits, unless a farewell was under way that first writes it.
    fn forget(&mut self, code: u16) {
        if self.mailbox.farewell().is_none() {
            self.mailbox.close(Farewell { code, reason: "" }, false);
            self.owed.clear();
            self.latest.clear();
        }
    }
}

struct World {
    dice: Dice,
    now_ms: u64,
    router: Router<u64>,
    conns: BTreeMap<u64, Conn>,
    next: u64,
    /// The connection that has to stand in the table, by agent.
    current: [Option<u64>; AGENTS],
    nacks: HashMap<String, usize>,
    delivered: usize,
    superseded: usize,
    clones: usize,
    dropped: usize,
}

fn agent_id(agent: usize) -> AgentId {
    AgentId::from_bytes([agent as u8 + 1; 16])
}

fn owner(agent: usize) -> usize {
    agent % 2
}

fn backend_id(backend: usize) -> BackendId {
    format!("b{backend}").parse().unwrap()
}

fn address(who: Who) -> Address {
    match who {
        Who::Agent(agent) => Address::Agent(agent_id(agent)),
        Who::Backend(backend) => Address::Backend(backend_id(backend)),
    }
}

fn options() -> Options {
    Options {
        relay_id: "sim".into(),
        hb_ms: 1_000,
        dead_ms: 2_500,
        hello_timeout_ms: 500,
        window: Window { events: 256, bytes: 1 },
        telem: Default::default(),
    }
}

fn hello(agent: usize, machine: u8) -> String {
    let (id, hash) = (agent_id(agent), Sha256Hex([machine; 32]));
    format!(
        r#"{{"v":1,"t":"hello","body":{{"agent_id":"{id}","kid":"k","proto":"spoolway.v1","hello_ctr":1,"boot_id":"b","machine_hash":"{hash}","agent":{{"ver":"","build":"","os":"","arch":"","model":""}},"outbox":{{"epoch":1,"next_seq":1,"oldest_unacked":1}},"cmd_seq":0,"sig":"AA=="}}}}"#
    )
}

impl World {
    fn new(seed: u64) -> Self {
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
        }
    }

    fn now(&self) -> Now {
        Now { ms: self.now_ms, unix_ms: 1_000_000 + self.now_ms }
    }

    fn step(&mut self) {
        match self.dice.roll(20) {
            0 => self.connect_agent(),
            1 => self.connect_backend(),
            2..=6 => self.client_sends(),
            7..=12 => self.relay_reads(),
            13..=16 => self.relay_writes(),
            17 => self.client_dies(),
            18 => self.relay_notices(),
            _ => self.time_passes(),
        }
        self.check_seats();
    }

    fn pick(&mut self, wanted: impl Fn(&Conn) -> bool) -> Option<u64> {
        let fit: Vec<u64> = self.conns.iter().filter(|(_, conn)| wanted(conn)).map(|(id, _)| *id).collect();
        if fit.is_empty() { None } else { Some(fit[self.dice.roll(fit.len())]) }
    }

    fn add(&mut self, who: Who, session: Session) -> u64 {
        let id = self.next;
        self.next += 1;
        let conn = Conn {
            who,
            session,
            mailbox: Mailbox::new(BOUNDS),
            wire: VecDeque::new(),
            stuck: None,
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

    fn connect_agent(&mut self) {
        let agent = self.dice.roll(AGENTS);
        let name = format!("s{}", self.next).parse().unwrap();
        let session = Session::agent(self.now(), &options(), name, &[0; 32], Binding::Exporter);
        let machine = if self.dice.roll(12) == 0 { 99 } else { agent as u8 };
        let id = self.add(Who::Agent(agent), session);
        self.conns.get_mut(&id).unwrap().wire.push_back(hello(agent, machine));
        self.carry_outputs(id);
    }

    fn connect_backend(&mut self) {
        let backend = self.dice.roll(2);
        let name = format!("s{}", self.next).parse().unwrap();
        let id = self.add(Who::Backend(backend), Session::backend(self.now(), &options(), name));
        let served = self.router.join_backend(ConnId(id), id, &backend_id(backend), "org");
        self.conns.get_mut(&id).unwrap().is_in = true;
        for agent in served {
            let (_, audience) = self.router.presence(&agent).expect("served agents are seated");
            assert!(audience.server.is_some());
        }
        if self.dice.roll(4) == 0 {
            let wanted =
                Subscribe { agents: vec![], organisation: Some("org".into()), extra: Default::default() };
            self.router.subscribe(ConnId(id), &backend_id(backend), wanted).unwrap();
        }
    }

    fn client_sends(&mut self) {
        let Some(id) = self.pick(|conn| conn.is_in && !conn.is_dead && !conn.is_half_open) else { return };
        let (receiver, kind) = match self.conns[&id].who {
            Who::Agent(agent) => {
                (Who::Backend(owner(agent)), ["events", "telem", "chunk.get", "new"][self.dice.roll(4)])
            }
            Who::Backend(_) => {
                (Who::Agent(self.dice.roll(AGENTS)), ["cmd", "ack", "chunk.end"][self.dice.roll(3)])
            }
        };
        let space = " ".repeat(self.dice.roll(3));
        let padding = "\\u00e9".repeat(self.dice.roll(300));
        let conn = self.conns.get_mut(&id).unwrap();
        conn.sent += 1;
        let body = format!(r#"{{"c":{id},{space}"n":{},"n":1.50e0,"x":"{padding}"}}"#, conn.sent);
        let to = address(receiver);
        conn.wire.push_back(format!(
            r#"{{"v":1,"t":"{kind}","to":"{to}","id":"m{}","from":"b:liar","body":{body}}}"#,
            conn.sent
        ));
    }

    fn relay_reads(&mut self) {
        let Some(id) = self.pick(|conn| {
            let alive = !conn.is_dead && conn.mailbox.farewell().is_none();
            alive
                && (conn.stuck.is_some() || !conn.wire.is_empty())
                && conn.mailbox.has_room(Class::Reliable, 0)
        }) else {
            return;
        };
        let now = self.now();
        let conn = self.conns.get_mut(&id).unwrap();
        if let Some((text, to)) = conn.stuck.take() {
            return self.forward(id, text, to);
        }
        let text = conn.wire.pop_front().unwrap();
        match conn.session.handle_text(now, &text) {
            Heard::Forward(_, to) => self.forward(id, text.clone(), to),
            Heard::Hello(claim) => {
                let Who::Agent(agent) = conn.who else { panic!("only agents say hello") };
                let verdict = Verdict::Welcome { owner: backend_id(owner(agent)) };
                conn.session.handle_verdict(now, &options(), verdict);
                self.carry_outputs(id);
                self.join(id, agent, claim.hello.machine_hash);
            }
            Heard::Nothing | Heard::Subscribe(_) => self.carry_outputs(id),
        }
    }

    fn join(&mut self, id: u64, agent: usize, machine_hash: Sha256Hex) {
        let login = AgentLogin {
            agent: agent_id(agent),
            owner: backend_id(owner(agent)),
            organisation: "org".into(),
            boot_id: "b".parse().unwrap(),
            machine_hash,
            up: "up".into(),
        };
        match self.router.join_agent(ConnId(id), id, login) {
            Joined::Seated { superseded } => {
                assert_eq!(superseded, self.current[agent], "who stood there is told, and nobody else");
                self.superseded += usize::from(superseded.is_some());
                self.current[agent] = Some(id);
                self.conns.get_mut(&id).unwrap().is_in = true;
                superseded.into_iter().for_each(|old| self.close(old, 4001));
            }
            Joined::Clone { other, .. } => {
                assert_eq!(Some(other), self.current[agent]);
                self.clones += 1;
                self.current[agent] = None;
                [id, other].into_iter().for_each(|conn| self.close(conn, 4090));
            }
        }
    }

    fn forward(&mut self, id: u64, text: String, to: Address) {
        let who = self.conns[&id].who;
        let head = Route::parse(&text).unwrap();
        let class = Class::of(&head);
        let routed = match who {
            Who::Agent(agent) => {
                self.router.route_agent(&agent_id(agent), ConnId(id), &to).map(|audience| audience.server)
            }
            Who::Backend(backend) => {
                self.router.route_backend(&backend_id(backend), ConnId(id), &to).map(Some)
            }
        };
        let receiver = match routed {
            Ok(Some(receiver)) => receiver,
            Ok(None) if class == Class::Telemetry => return,
            Ok(None) => return self.nack(id, NackCode::Offline),
            Err(NoRoute::Refused(code)) => return self.nack(id, code),
            Err(NoRoute::Stale) => {
                let Who::Agent(agent) = who else { panic!("a backend process is never replaced") };
                assert_ne!(self.current[agent], Some(id), "only a replaced connection is stale");
                return;
            }
        };
        let frame = head.rewrite(&address(who), 0);
        self.check_receiver(who, receiver);
        let conn = self.conns.get_mut(&receiver).unwrap();
        if class == Class::Telemetry {
            let slot = Slot { from: address(who), key: "".into() };
            if let Ok(displaced) =
                conn.mailbox.push_latest(slot.clone(), Frame::Text(frame.clone()), self.now_ms)
            {
                self.dropped += displaced.dropped;
                conn.latest.insert(slot, frame);
            }
            return;
        }
        match conn.mailbox.push(class, Frame::Text(frame.clone()), self.now_ms) {
            Ok(()) if class == Class::Reliable => conn.owed.push_back(frame),
            Ok(()) => {}
            Err(spoolway_relay::mailbox::Refused::Closed(_)) => self.nack(id, NackCode::Offline),
            Err(spoolway_relay::mailbox::Refused::Full(_)) => match who {
                Who::Backend(_) if class == Class::Reliable => self.nack(id, NackCode::Busy),
                _ => self.conns.get_mut(&id).unwrap().stuck = Some((text, to)),
            },
        }
    }

    /// No frame goes to a wrong peer.
    fn check_receiver(&self, sender: Who, receiver: u64) {
        match (sender, self.conns[&receiver].who) {
            (Who::Agent(agent), Who::Backend(backend)) => assert_eq!(owner(agent), backend),
            (Who::Backend(backend), Who::Agent(agent)) => {
                assert_eq!(owner(agent), backend);
                assert_eq!(self.current[agent], Some(receiver), "only the newest connection is spoken to");
            }
            pair => panic!("{pair:?}"),
        }
    }

    fn nack(&mut self, id: u64, code: NackCode) {
        *self.nacks.entry(code.to_string()).or_default() += 1;
        let conn = self.conns.get_mut(&id).unwrap();
        let text = format!(r#"{{"v":1,"t":"nack","from":"relay","body":{{"code":"{code}"}}}}"#);
        if conn.mailbox.push(Class::Reliable, Frame::Text(text.clone()), self.now_ms).is_ok() {
            conn.owed.push_back(text);
        }
    }

    fn carry_outputs(&mut self, id: u64) {
        let conn = self.conns.get_mut(&id).unwrap();
        while let Some(output) = conn.session.poll_output() {
            match output {
                Output::Send(text) => {
                    if conn.mailbox.push(Class::Reliable, Frame::Text(text.clone()), self.now_ms).is_ok() {
                        conn.owed.push_back(text);
                    }
                }
                Output::Close(farewell) => conn.mailbox.close(farewell, true),
            }
        }
    }

    fn close(&mut self, id: u64, code: u16) {
        self.conns.get_mut(&id).unwrap().forget(code);
    }

    fn relay_writes(&mut self) {
        if let Some(id) =
            self.pick(|conn| !conn.is_dead && !conn.is_half_open && conn.mailbox.depth() != [0; 3])
        {
            self.write_to(id);
        }
    }

    fn write_to(&mut self, id: u64) {
        let conn = self.conns.get_mut(&id).unwrap();
        let Some(mail) = conn.mailbox.pop() else { return };
        let Frame::Text(text) = mail.frame else { panic!("only text here") };
        self.delivered += 1;
        let head = Route::parse(&text).unwrap();
        match mail.class {
            Class::Reliable => {
                assert_eq!(conn.owed.pop_front().as_deref(), Some(text.as_str()), "all, in order, as taken")
            }
            Class::Telemetry => {
                let slot = Slot { from: head.from.unwrap().parse().unwrap(), key: "".into() };
                assert_eq!(conn.latest.remove(&slot), Some(text.clone()), "the latest and no other");
            }
            Class::Bulk => {}
        }
        if let Some((sender, number)) = stamp_of(head.body) {
            let last = conn.seen.insert((sender, mail.class), number);
            assert!(last.is_none_or(|last| last < number), "frames of one sender keep their order");
            let (who, me) = (self.conns[&sender].who, self.conns[&id].who);
            assert_eq!(
                head.from.unwrap(),
                address(who).to_string(),
                "the sender is who it is, not who it says"
            );
            assert_eq!(head.to.unwrap(), address(me).to_string());
            assert!(
                head.body.starts_with(&format!(r#"{{"c":{sender},"#)) && head.body.contains(r#""n":1.50e0,"#)
            );
        }
    }

    fn client_dies(&mut self) {
        if let Some(id) = self.pick(|conn| !conn.is_dead) {
            let conn = self.conns.get_mut(&id).unwrap();
            conn.is_dead = true;
            conn.forget(1000);
        }
    }

    /// The relay gets round to a connection that has ended: maybe long after its successor came.
    fn relay_notices(&mut self) {
        let ended = |conn: &Conn| (conn.is_dead || conn.mailbox.farewell().is_some()) && !conn.has_left;
        let Some(id) = self.pick(ended) else { return };
        let conn = self.conns.get_mut(&id).unwrap();
        (conn.has_left, conn.is_dead) = (true, true);
        match conn.who {
            Who::Agent(agent) if conn.is_in => {
                let left = self.router.leave_agent(&agent_id(agent), ConnId(id));
                assert_eq!(
                    left.is_some(),
                    self.current[agent] == Some(id),
                    "a late close removes only its own"
                );
                if left.is_some() {
                    self.current[agent] = None;
                }
            }
            Who::Agent(_) => {}
            Who::Backend(backend) => {
                self.router.leave_backend(ConnId(id), &backend_id(backend));
            }
        }
    }

    fn time_passes(&mut self) {
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

    /// The table holds exactly the newest connections, and each is served by a live process when there is one.
    fn check_seats(&self) {
        let processes: Vec<(usize, u64)> = (0..2)
            .flat_map(|backend| {
                let id = backend_id(backend);
                self.router
                    .processes()
                    .filter(move |(have, _)| **have == id)
                    .map(move |(_, conn)| (backend, *conn))
                    .collect::<Vec<_>>()
            })
            .collect();
        for agent in 0..AGENTS {
            assert_eq!(self.router.agent(&agent_id(agent)).copied(), self.current[agent]);
            let Some((_, audience)) = self.router.presence(&agent_id(agent)) else { continue };
            let candidates = processes.iter().filter(|(backend, _)| *backend == owner(agent));
            match audience.server {
                Some(server) => assert!(candidates.clone().any(|(_, conn)| *conn == server)),
                None => assert_eq!(candidates.count(), 0),
            }
            assert!(!audience.watchers.contains(&audience.server.unwrap_or(0)), "nobody hears it twice");
        }
    }

    /// Everybody reads again: whatever was taken for a live peer arrives.
    fn settle(&mut self) {
        for id in self.conns.keys().copied().collect::<Vec<_>>() {
            while self.conns[&id].mailbox.depth() != [0; 3] {
                self.write_to(id);
            }
            assert!(self.conns[&id].owed.is_empty(), "a reliable frame was lost");
        }
    }
}

/// Connection and number that a client wrote into its body.
fn stamp_of(body: &str) -> Option<(u64, u64)> {
    let rest = body.strip_prefix(r#"{"c":"#)?;
    let (conn, rest) = rest.split_once(',')?;
    let number = rest.trim_start().strip_prefix(r#""n":"#)?.split_once(',')?.0;
    Some((conn.parse().ok()?, number.parse().ok()?))
}

#[test]
fn no_frame_is_lost_doubled_altered_or_misled_whatever_the_order() {
    let mut nacks: HashMap<String, usize> = HashMap::new();
    let (mut delivered, mut superseded, mut clones, mut dropped) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            (0..STEPS).for_each(|_| world.step());
            world.settle();
            world
        });
        let world = outcome.unwrap_or_else(|_| panic!("seed {seed}"));
        delivered += world.delivered;
        superseded += world.superseded;
        clones += world.clones;
        dropped += world.dropped;
        for (code, count) in world.nacks {
            *nacks.entry(code).or_default() += count;
        }
    }
    // The seeds have to reach what they are for.
    assert!(
        delivered > 20_000 && superseded > 1_000 && clones > 50 && dropped > 0,
        "{delivered} {superseded} {clones} {dropped}"
    );
    for code in ["busy", "offline", "unauthorised"] {
        assert!(nacks.get(code).is_some_and(|count| *count > 100), "{nacks:?}");
    }
}

/// Frames with bytes flipped, cut out, doubled: each is passed on, refused or the end, and never a panic.
#[test]
fn mutilated_frames_are_refused_or_end_the_session() {
    let good = [
        hello(0, 0),
        r#"{"v":1,"t":"hb","to":"relay","id":"m1","body":{"n":1}}"#.into(),
        r#"{"v":1,"t":"subscribe","body":{"agents":[],"organisation":"org"}}"#.into(),
        r#"{"v":1,"t":"cmd","to":"b:b0","lane":"urgent","ttl_ms":1,"age_ms":0,"body":{"a":[1,{"b":"\u00e9"}]}}"#.into(),
    ];
    let (mut passed, mut refused, mut ended) = (0, 0, 0);
    for seed in 0..20_000 {
        let mut dice = Dice(seed);
        let mut session = match dice.roll(2) {
            0 => {
                Session::agent(Now::default(), &options(), "s".parse().unwrap(), &[0; 32], Binding::Exporter)
            }
            _ => Session::backend(Now::default(), &options(), "s".parse().unwrap()),
        };
        while session.poll_output().is_some() {}
        let mut bytes = good[dice.roll(good.len())].clone().into_bytes();
        for _ in 0..dice.roll(4) {
            let at = dice.roll(bytes.len());
            match dice.roll(3) {
                0 => bytes[at] = b" {}[]\",:\\0e-~"[dice.roll(13)],
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, bytes[at]),
            }
        }
        let text = String::from_utf8(bytes).unwrap();
        let heard = session.handle_text(Now::default(), &text);
        let quiet = matches!(heard, Heard::Nothing);
        if let Heard::Forward(head, to) = heard {
            let out = head.rewrite(&to, 3);
            assert_eq!(Route::parse(&out).unwrap().body, head.body);
        }
        match session.poll_output() {
            Some(Output::Close(_)) => ended += 1,
            Some(Output::Send(answer)) => {
                Route::parse(&answer).unwrap();
                refused += 1;
            }
            None => passed += usize::from(!quiet),
        }
    }
    assert!(passed > 500 && refused > 500 && ended > 500, "{passed} {refused} {ended}");
}
