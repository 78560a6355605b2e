//! Who is here, where a frame goes, what a second login does. Pure: `H` is whatever the shell reaches a peer by.
//!
//! Every connection has a number that is never used again. A late close names its own number and so cannot remove the
//! connection that took over. Nothing here assumes that both ends of a route live in this process: a handle may as well lead
//! to another node.

mod guests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use spoolway_protocol::hello::NackCode;
use spoolway_protocol::session::Subscribe;
use spoolway_protocol::{Address, AgentId, BackendId, BootId, Sha256Hex};

/// One connection of this relay's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// An agent whose hello was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentLogin {
    /// The agent.
    pub agent: AgentId,
    /// Its owning backend.
    pub owner: BackendId,
    /// The owner's organisation.
    pub organisation: String,
    /// The machine's boot.
    pub boot_id: BootId,
    /// The machine.
    pub machine_hash: Sha256Hex,
    /// The `presence` frame that tells backends about it.
    pub up: Arc<str>,
}

/// Where frames of an agent go: one live process of its owner, and those who only watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience<H> {
    /// The owner's process, when one is connected.
    pub server: Option<H>,
    /// Read-only watchers.
    pub watchers: Vec<H>,
}

impl<H> Audience<H> {
    /// One receiver and nobody who watches.
    pub fn only(handle: H) -> Self {
        Self { server: Some(handle), watchers: Vec::new() }
    }
}

/// What an agent's login did.
#[derive(Debug, PartialEq, Eq)]
pub enum Joined<H> {
    /// It is in.
    Seated {
        /// The older connection of the same machine: close it with 4001.
        superseded: Option<H>,
    },
    /// Another machine is connected with the same key: close both with 4090. Neither is in any longer.
    Clone {
        /// The other machine's connection.
        other: H,
        /// Who has to hear that the agent is gone.
        audience: Audience<H>,
    },
}

/// Why a frame goes nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoRoute {
    /// Tell the sender.
    Refused(NackCode),
    /// The sender itself was replaced or removed: its frames no longer count.
    Stale,
}

#[derive(Debug)]
struct Seat<H> {
    conn: ConnId,
    handle: H,
    login: AgentLogin,
    /// The owner's process that is told about this agent.
    server: Option<(ConnId, H)>,
}

#[derive(Debug)]
struct Process<H> {
    conn: ConnId,
    handle: H,
    organisation: String,
    watch: Watch,
    /// Agents it serves.
    load: usize,
}

#[derive(Debug)]
enum Watch {
    Nobody,
    Agents(HashSet<AgentId>),
    Organisation,
    /// A guest: it hears what this agent says to commands, and about one file if it sends that, and serves nobody.
    Answers {
        of: AgentId,
        file: Option<String>,
    },
}

/// The table of this relay.
#[derive(Debug)]
pub struct Router<H> {
    agents: HashMap<AgentId, Seat<H>>,
    backends: HashMap<BackendId, Vec<Process<H>>>,
    /// Processes that watch anybody at all.
    watching: usize,
}

impl<H: Clone> Default for Router<H> {
    fn default() -> Self {
        Self { agents: HashMap::new(), backends: HashMap::new(), watching: 0 }
    }
}

impl<H: Clone> Router<H> {
    /// Seats an agent, by the rules for a second login.
    pub fn join_agent(&mut self, conn: ConnId, handle: H, login: AgentLogin) -> Joined<H> {
        let old = self.agents.remove(&login.agent);
        match old {
            Some(old) if old.login.machine_hash != login.machine_hash => {
                self.unserve(&old);
                let audience = self.audience(&old);
                Joined::Clone { other: old.handle, audience }
            }
            old => {
                let kept = old.as_ref().filter(|old| old.login.owner == login.owner && old.server.is_some());
                let server = if let Some(kept) = kept {
                    kept.server.clone()
                } else {
                    old.iter().for_each(|old| self.unserve(old));
                    self.serve(&login.owner)
                };
                self.agents.insert(login.agent, Seat { conn, handle, login, server });
                Joined::Seated { superseded: old.map(|old| old.handle) }
            }
        }
    }

    /// Removes an agent's connection; `None` when it was not the seated one.
    pub fn leave_agent(&mut self, agent: &AgentId, conn: ConnId) -> Option<Audience<H>> {
        if self.agents.get(agent)?.conn != conn {
            return None;
        }
        let seat = self.agents.remove(agent)?;
        self.unserve(&seat);
        Some(self.audience(&seat))
    }

    /// Adds a process of a backend. Returns the agents it serves from now on: those that no other process served.
    pub fn join_backend(
        &mut self,
        conn: ConnId,
        handle: H,
        backend: &BackendId,
        organisation: &str,
    ) -> Vec<AgentId> {
        self.add_process(conn, handle, (backend, organisation), Watch::Nobody);
        self.serve_orphans(backend)
    }

    fn add_process(&mut self, conn: ConnId, handle: H, backend: (&BackendId, &str), watch: Watch) {
        let organisation = backend.1.to_owned();
        let process = Process { conn, handle, organisation, watch, load: 0 };
        self.backends.entry(backend.0.clone()).or_default().push(process);
    }

    /// Removes a process. Returns the agents that moved to another process of the same backend.
    pub fn leave_backend(&mut self, conn: ConnId, backend: &BackendId) -> Vec<AgentId> {
        let Some(processes) = self.backends.get_mut(backend) else { return Vec::new() };
        let is_guest = processes.iter().any(|process| process.conn == conn && process.is_guest());
        processes.retain(|process| process.conn != conn);
        if processes.is_empty() {
            self.backends.remove(backend);
        }
        if is_guest {
            // It served nobody; and there are as many guests as commands.
            return Vec::new();
        }
        self.count_watching();
        for seat in self.agents.values_mut() {
            if seat.server.as_ref().is_some_and(|(server, _)| *server == conn) {
                seat.server = None;
            }
        }
        self.serve_orphans(backend)
    }

    /// Replaces what a process watches. Returns the `presence` frames of those it sees now and did not serve anyway.
    ///
    /// # Errors
    /// The organisation is not the backend's own.
    pub fn subscribe(
        &mut self,
        conn: ConnId,
        backend: &BackendId,
        wanted: Subscribe,
    ) -> Result<Vec<Arc<str>>, NoRoute> {
        let mut processes = self.backends.get_mut(backend).into_iter().flatten();
        let process = processes.find(|process| process.conn == conn).ok_or(NoRoute::Stale)?;
        process.watch = match wanted.organisation {
            Some(organisation) if organisation != process.organisation => {
                return Err(NoRoute::Refused(NackCode::Unauthorised));
            }
            Some(_) => Watch::Organisation,
            None if wanted.agents.is_empty() => Watch::Nobody,
            None => Watch::Agents(wanted.agents.into_iter().collect()),
        };
        self.count_watching();
        let mut processes = self.backends.get(backend).into_iter().flatten();
        let process = processes.find(|process| process.conn == conn).ok_or(NoRoute::Stale)?;
        let seen = self.agents.values().filter(|seat| process.watches(seat));
        Ok(seen.map(|seat| Arc::clone(&seat.login.up)).collect())
    }

    /// Where a frame of an agent goes.
    ///
    /// # Errors
    /// The agent was replaced, or addresses somebody else than its owner.
    pub fn route_agent(&self, agent: &AgentId, conn: ConnId, to: &Address) -> Result<Audience<H>, NoRoute> {
        let seat = self.agents.get(agent).filter(|seat| seat.conn == conn).ok_or(NoRoute::Stale)?;
        match to {
            Address::Backend(backend) if *backend == seat.login.owner => Ok(self.audience(seat)),
            _ => Err(NoRoute::Refused(NackCode::Unauthorised)),
        }
    }

    /// Where a frame of a backend goes: to an agent that it owns.
    ///
    /// # Errors
    /// The process was removed, the agent is not here, or has another owner.
    pub fn route_backend(&self, backend: &BackendId, conn: ConnId, to: &Address) -> Result<H, NoRoute> {
        let processes = self.backends.get(backend).ok_or(NoRoute::Stale)?;
        if !processes.iter().any(|process| process.conn == conn) {
            return Err(NoRoute::Stale);
        }
        let Address::Agent(agent) = to else { return Err(NoRoute::Refused(NackCode::Unauthorised)) };
        match self.agents.get(agent) {
            None => Err(NoRoute::Refused(NackCode::Offline)),
            Some(seat) if seat.login.owner != *backend => Err(NoRoute::Refused(NackCode::Unauthorised)),
            Some(seat) => Ok(seat.handle.clone()),
        }
    }

    /// A connected agent's `presence` frame, and who has to hear it.
    pub fn presence(&self, agent: &AgentId) -> Option<(Arc<str>, Audience<H>)> {
        let seat = self.agents.get(agent)?;
        Some((Arc::clone(&seat.login.up), self.audience(seat)))
    }

    /// The connection from which a frame of this sender came, if it is still there.
    pub fn connection(&self, from: Option<&str>, conn: ConnId) -> Option<&H> {
        match from?.parse().ok()? {
            Address::Agent(agent) => {
                self.agents.get(&agent).filter(|seat| seat.conn == conn).map(|seat| &seat.handle)
            }
            Address::Backend(backend) => {
                let mut processes = self.backends.get(&backend)?.iter();
                processes.find(|process| process.conn == conn).map(|process| &process.handle)
            }
            Address::Relay => None,
        }
    }

    /// The connection of an agent.
    pub fn agent(&self, agent: &AgentId) -> Option<&H> {
        self.agents.get(agent).map(|seat| &seat.handle)
    }

    /// The connection of an agent that was let in for another owner than this.
    pub fn agent_of_another(&self, agent: &AgentId, owner: &BackendId) -> Option<&H> {
        self.agents.get(agent).filter(|seat| seat.login.owner != *owner).map(|seat| &seat.handle)
    }

    /// Every agent that is in.
    pub fn seats(&self) -> impl Iterator<Item = (&AgentLogin, &H)> {
        self.agents.values().map(|seat| (&seat.login, &seat.handle))
    }

    /// Every process of a backend, with the number of agents that it serves.
    pub fn loads(&self) -> impl Iterator<Item = (&BackendId, &H, usize)> {
        let processes = |(backend, processes)| std::iter::repeat(backend).zip::<&Vec<Process<H>>>(processes);
        let all = self.backends.iter().flat_map(processes);
        all.map(|(backend, process)| (backend, &process.handle, process.load))
    }

    /// Every connection of a backend.
    pub fn processes(&self) -> impl Iterator<Item = (&BackendId, &H)> {
        self.loads().map(|(backend, handle, _)| (backend, handle))
    }

    /// One connection, and no guest, of each backend that is wanted.
    pub fn one_process_each(&self, is_wanted: impl Fn(&BackendId) -> bool) -> impl Iterator<Item = &H> {
        let wanted = self.backends.iter().filter(move |(backend, _)| is_wanted(backend));
        let serving = |processes: &'_ Vec<Process<H>>| processes.iter().position(|one| !one.is_guest());
        wanted.filter_map(move |(_, processes)| Some(&processes[serving(processes)?].handle))
    }

    /// Whose agent it is, while it is connected.
    pub fn owner(&self, agent: &AgentId) -> Option<&BackendId> {
        self.agents.get(agent).map(|seat| &seat.login.owner)
    }

    /// Every connection.
    pub fn handles(&self) -> impl Iterator<Item = &H> {
        self.agents.values().map(|seat| &seat.handle).chain(self.processes().map(|(_, handle)| handle))
    }

    /// Connected agents and backend processes.
    pub fn counts(&self) -> (usize, usize) {
        (self.agents.len(), self.backends.values().map(Vec::len).sum())
    }

    fn audience(&self, seat: &Seat<H>) -> Audience<H> {
        let server = seat.server.as_ref().map(|(_, handle)| handle.clone());
        // Most relays have nobody who watches, and every frame comes by here.
        let processes = (self.watching > 0).then(|| self.backends.values().flatten());
        let watching = processes.into_iter().flatten().filter(|process| process.watches(seat));
        Audience { server, watchers: watching.map(|process| process.handle.clone()).collect() }
    }

    fn count_watching(&mut self) {
        let processes = self.backends.values().flatten();
        let watches = |process: &&Process<H>| !matches!(process.watch, Watch::Nobody | Watch::Answers { .. });
        self.watching = processes.filter(watches).count();
    }

    fn serve_orphans(&mut self, backend: &BackendId) -> Vec<AgentId> {
        let orphan = |seat: &Seat<H>| seat.server.is_none() && seat.login.owner == *backend;
        let orphans: Vec<AgentId> =
            self.agents.values().filter(|seat| orphan(seat)).map(|seat| seat.login.agent).collect();
        for agent in &orphans {
            let server = self.serve(backend);
            if server.is_none() {
                return Vec::new();
            }
            if let Some(seat) = self.agents.get_mut(agent) {
                seat.server = server;
            }
        }
        orphans
    }

    /// Takes the process of a backend that serves the fewest agents for one more.
    fn serve(&mut self, backend: &BackendId) -> Option<(ConnId, H)> {
        let serving = self.backends.get_mut(backend)?.iter_mut().filter(|process| !process.is_guest());
        let lightest = serving.min_by_key(|process| process.load)?;
        lightest.load += 1;
        Some((lightest.conn, lightest.handle.clone()))
    }

    fn unserve(&mut self, seat: &Seat<H>) {
        let Some((server, _)) = &seat.server else { return };
        let processes = self.backends.get_mut(&seat.login.owner).into_iter().flatten();
        for process in processes.filter(|process| process.conn == *server) {
            process.load = process.load.saturating_sub(1);
        }
    }
}

impl<H> Process<H> {
    fn watches(&self, seat: &Seat<H>) -> bool {
        let wanted = match &self.watch {
            Watch::Nobody | Watch::Answers { .. } => false,
            Watch::Agents(agents) => agents.contains(&seat.login.agent),
            Watch::Organisation => true,
        };
        let serves = seat.server.as_ref().is_some_and(|(server, _)| *server == self.conn);
        wanted && !serves && self.organisation == seat.login.organisation
    }
}
