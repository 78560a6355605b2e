//! Processes that last for one request: they serve no agent, and hear what one agent says to commands, or about the file that they send it.

use spoolway_protocol::{Address, AgentId, BackendId};

use super::{Audience, ConnId, NoRoute, Process, Router, Watch};

impl<H: Clone> Router<H> {
    /// Adds a process that serves nobody: it hears what one agent says to commands, besides whoever serves that agent.
    pub fn join_guest(&mut self, conn: ConnId, handle: H, backend: (&BackendId, &str), agent: AgentId) {
        self.add_process(conn, handle, backend, Watch::Answers { of: agent, file: None });
    }

    /// The same, and it sends a file to that agent: in place of whoever has sent the same one so far, who is returned.
    pub fn join_sender(
        &mut self,
        conn: ConnId,
        handle: H,
        backend: (&BackendId, &str),
        (agent, file): (AgentId, &str),
    ) -> Option<H> {
        let mut processes = self.backends.get_mut(backend.0).into_iter().flatten();
        let old = processes.find(|old| old.sends(&agent, file)).map(|old| {
            old.watch = Watch::Answers { of: agent, file: None };
            old.handle.clone()
        });
        let watch = Watch::Answers { of: agent, file: Some(file.to_owned()) };
        self.add_process(conn, handle, backend, watch);
        old
    }

    /// Where an agent's answer to a command goes: besides its server to the guests that wait for it.
    ///
    /// # Errors
    /// As [`Self::route_agent`].
    pub fn route_answer(&self, agent: &AgentId, conn: ConnId, to: &Address) -> Result<Audience<H>, NoRoute> {
        let Audience { server, .. } = self.route_agent(agent, conn, to)?;
        let owned = self.owner(agent).and_then(|owner| self.backends.get(owner)).into_iter().flatten();
        let hears =
            |process: &&Process<H>| matches!(&process.watch, Watch::Answers { of, .. } if of == agent);
        Ok(Audience { server, watchers: owned.filter(hears).map(|process| process.handle.clone()).collect() })
    }

    /// Where goes what an agent says about a file: to the guest that sends it, else to whom all goes.
    ///
    /// # Errors
    /// As [`Self::route_agent`].
    pub fn route_file(
        &self,
        agent: &AgentId,
        conn: ConnId,
        to: &Address,
        file: &str,
    ) -> Result<Audience<H>, NoRoute> {
        let audience = self.route_agent(agent, conn, to)?;
        let sender = self.owner(agent).and_then(|owner| self.sender(owner, agent, file));
        Ok(sender.cloned().map_or(audience, Audience::only))
    }

    fn sender(&self, backend: &BackendId, agent: &AgentId, file: &str) -> Option<&H> {
        let mut processes = self.backends.get(backend)?.iter();
        processes.find(|process| process.sends(agent, file)).map(|process| &process.handle)
    }
}

impl<H> Process<H> {
    pub(super) fn is_guest(&self) -> bool {
        matches!(self.watch, Watch::Answers { .. })
    }

    fn sends(&self, agent: &AgentId, wanted: &str) -> bool {
        matches!(&self.watch, Watch::Answers { of, file: Some(file) } if of == agent && file == wanted)
    }
}
