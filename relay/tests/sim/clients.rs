//! What agents and backends do: they come, say something, and die.

use spoolway_protocol::hello::Binding;
use spoolway_protocol::session::Subscribe;
use spoolway_relay::router::ConnId;
use spoolway_relay::session::Session;

use crate::names::{AGENTS, Who, address, agent_id, backend_id, hello, options, owner};
use crate::world::World;

impl World {
    pub(crate) fn connect_agent(&mut self) {
        let agent = self.dice.roll(AGENTS);
        let name = format!("s{}", self.next).parse().unwrap();
        let session = Session::agent(self.now(), &options(), name, &[0; 32], Binding::Exporter);
        let machine = if self.dice.roll(12) == 0 { 99 } else { agent as u8 };
        let id = self.add(Who::Agent(agent), session);
        self.conns.get_mut(&id).unwrap().wire.push_back(hello(agent, machine));
        self.carry_outputs(id);
    }

    pub(crate) fn connect_backend(&mut self) {
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

    /// An HTTP request: it commands one agent and hears what that says to commands.
    pub(crate) fn connect_guest(&mut self) {
        let agent = self.dice.roll(AGENTS);
        let name = format!("s{}", self.next).parse().unwrap();
        let id = self.add(Who::Guest(agent), Session::backend(self.now(), &options(), name));
        self.router.join_guest(ConnId(id), id, (&backend_id(owner(agent)), "org"), agent_id(agent));
        self.conns.get_mut(&id).unwrap().is_in = true;
    }

    pub(crate) fn client_sends(&mut self) {
        let Some(id) = self.pick(|conn| conn.is_in && !conn.is_dead && !conn.is_half_open) else { return };
        let (receiver, kind) = match self.conns[&id].who {
            Who::Agent(agent) => (
                Who::Backend(owner(agent)),
                ["events", "telem", "chunk.get", "new", "cmd.recv"][self.dice.roll(5)],
            ),
            Who::Guest(agent) => (Who::Agent(agent), "cmd"),
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

    pub(crate) fn client_dies(&mut self) {
        if let Some(id) = self.pick(|conn| !conn.is_dead) {
            let conn = self.conns.get_mut(&id).unwrap();
            conn.is_dead = true;
            conn.forget(1000);
        }
    }
}
