//! What the relay does with what it reads and writes; the checks stand beside what they check.

use spoolway_protocol::hello::NackCode;
use spoolway_protocol::{Address, Route, Sha256Hex};
use spoolway_relay::mailbox::{Class, Frame, Letter, Refused};
use spoolway_relay::router::{AgentLogin, Audience, ConnId, Joined, NoRoute};
use spoolway_relay::session::{Heard, Output, Verdict};

use crate::names::{AGENTS, Who, address, agent_id, backend_id, options, owner};
use crate::world::{Conn, NONE, World};

impl World {
    pub(crate) fn relay_reads(&mut self) {
        let Some(id) = self.pick(|conn| {
            let alive = !conn.is_dead && conn.mailbox.farewell().is_none();
            alive && (conn.stuck.is_some() || !conn.wire.is_empty())
        }) else {
            return;
        };
        let now = self.now();
        let conn = self.conns.get_mut(&id).unwrap();
        if let Some((text, to)) = conn.stuck.take() {
            return self.forward(id, text, to);
        }
        let text = conn.wire.pop_front().unwrap();
        match conn.session.handle_frame(now, Route::parse(&text)) {
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

    pub(crate) fn join(&mut self, id: u64, agent: usize, machine_hash: Sha256Hex) {
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

    pub(crate) fn forward(&mut self, id: u64, text: String, to: Address) {
        let who = self.conns[&id].who;
        let head = Route::parse(&text).unwrap();
        let class = Class::of(&head);
        let routed = match who {
            Who::Agent(agent) if head.t == "cmd.recv" => {
                self.router.route_answer(&agent_id(agent), ConnId(id), &to)
            }
            Who::Agent(agent) => self.router.route_agent(&agent_id(agent), ConnId(id), &to),
            Who::Backend(_) | Who::Guest(_) => {
                let Address::Backend(backend) = address(who) else { panic!("{who:?}") };
                self.router.route_backend(&backend, ConnId(id), &to).map(Audience::only)
            }
        };
        let mut is_heard = false;
        let routed = routed.map(|audience| {
            is_heard = self.copy_to_guests(id, &text, audience.watchers);
            audience.server
        });
        let receiver = match routed {
            Ok(Some(receiver)) => receiver,
            Ok(None) if class == Class::Telemetry || is_heard => return,
            Ok(None) => return self.nack(id, NackCode::Offline),
            Err(NoRoute::Refused(code)) => return self.nack(id, code),
            Err(NoRoute::Stale) => {
                let Who::Agent(agent) = who else { panic!("a backend process is never replaced") };
                assert_ne!(self.current[agent], Some(id), "only a replaced connection is stale");
                return;
            }
        };
        let letter = Letter::of(&head, &text.as_str().into(), &address(who), ConnId(id), self.now_ms);
        let (frame, slot) = (head.rewrite(&address(who), 0), letter.slot);
        self.check_receiver(who, receiver);
        let conn = self.conns.get_mut(&receiver).unwrap();
        match conn.mailbox.push(letter) {
            Ok(displaced) => {
                self.dropped += displaced.dropped;
                match (class, slot) {
                    (Class::Reliable, _) => conn.owed.push_back(frame),
                    (_, Some(slot)) => drop(conn.latest.insert(slot, frame)),
                    (_, None) => {}
                }
            }
            Err(Refused::Closed) if class == Class::Telemetry => {}
            Err(Refused::Closed) => self.nack(id, NackCode::Offline),
            Err(Refused::Full(_)) => match who {
                Who::Backend(_) | Who::Guest(_) if class == Class::Reliable => self.nack(id, NackCode::Busy),
                _ => {
                    let conn = self.conns.get_mut(&id).unwrap();
                    (conn.stuck, conn.is_copied) = (Some((text, to)), true);
                }
            },
        }
    }

    /// No frame goes to a wrong peer.
    pub(crate) fn check_receiver(&self, sender: Who, receiver: u64) {
        match (sender, self.conns[&receiver].who) {
            (Who::Agent(agent), Who::Backend(backend)) => assert_eq!(owner(agent), backend),
            (Who::Agent(agent), Who::Guest(of)) => assert_eq!(agent, of, "a guest hears one agent"),
            (Who::Guest(of), Who::Agent(agent)) => {
                assert_eq!((of, self.current[agent]), (agent, Some(receiver)));
            }
            (Who::Backend(backend), Who::Agent(agent)) => {
                assert_eq!(owner(agent), backend);
                assert_eq!(self.current[agent], Some(receiver), "only the newest connection is spoken to");
            }
            pair => panic!("{pair:?}"),
        }
    }

    pub(crate) fn nack(&mut self, id: u64, code: NackCode) {
        *self.nacks.entry(code.to_string()).or_default() += 1;
        let conn = self.conns.get_mut(&id).unwrap();
        let text = format!(r#"{{"v":1,"t":"nack","from":"relay","body":{{"code":"{code}"}}}}"#);
        if conn.mailbox.push(Letter::own(text.clone(), self.now_ms)).is_ok() {
            conn.owed.push_back(text);
        }
    }

    pub(crate) fn carry_outputs(&mut self, id: u64) {
        let conn = self.conns.get_mut(&id).unwrap();
        while let Some(output) = conn.session.poll_output() {
            match output {
                Output::Send(text) => {
                    if conn.mailbox.push(Letter::own(text.clone(), self.now_ms)).is_ok() {
                        conn.owed.push_back(text);
                    }
                }
                Output::Close(farewell) => conn.mailbox.close(farewell, true),
            }
        }
    }

    pub(crate) fn close(&mut self, id: u64, code: u16) {
        self.conns.get_mut(&id).unwrap().forget(code);
    }

    pub(crate) fn relay_writes(&mut self) {
        if let Some(id) =
            self.pick(|conn| !conn.is_dead && !conn.is_half_open && conn.mailbox.depth() != NONE)
        {
            self.write_to(id);
        }
    }

    pub(crate) fn write_to(&mut self, id: u64) {
        let conn = self.conns.get_mut(&id).unwrap();
        let Some(letter) = conn.mailbox.pop() else { return };
        let text = match letter.frame {
            Frame::Passed(passage, rest) => {
                assert_eq!(rest, None, "a small frame");
                passage.into_text(0)
            }
            Frame::Own(text) => text,
            Frame::Chunk(_) => panic!("only text here"),
        };
        self.delivered += 1;
        let head = Route::parse(&text).unwrap();
        match (letter.class, letter.slot) {
            (Class::Reliable, _) => {
                assert_eq!(conn.owed.pop_front().as_deref(), Some(text.as_str()), "all, in order, as taken")
            }
            (_, Some(slot)) => {
                assert_eq!(conn.latest.remove(&slot), Some(text.clone()), "the latest and no other");
            }
            (_, None) => {}
        }
        if let Some((sender, number)) = stamp_of(head.body) {
            let last = conn.seen.insert((sender, letter.class), number);
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

    /// The relay gets round to a connection that has ended: maybe long after its successor came.
    pub(crate) fn relay_notices(&mut self) {
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
            Who::Guest(agent) => {
                let moved = self.router.leave_backend(ConnId(id), &backend_id(owner(agent)));
                assert!(moved.is_empty(), "a guest serves nobody");
            }
        }
    }

    /// The table holds exactly the newest connections, and each is served by a live process when there is one.
    pub(crate) fn check_seats(&self) {
        let processes: Vec<(usize, u64)> = (0..2)
            .flat_map(|backend| {
                let id = backend_id(backend);
                self.router
                    .processes()
                    .filter(move |(have, _)| **have == id)
                    .filter(|(_, conn)| matches!(self.conns[*conn].who, Who::Backend(_)))
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
}

/// Connection and number that a client wrote into its body.
fn stamp_of(body: &str) -> Option<(u64, u64)> {
    let rest = body.strip_prefix(r#"{"c":"#)?;
    let (conn, rest) = rest.split_once(',')?;
    let number = rest.trim_start().strip_prefix(r#""n":"#)?.split_once(',')?.0;
    Some((conn.parse().ok()?, number.parse().ok()?))
}
