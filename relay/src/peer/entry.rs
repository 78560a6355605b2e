//! How a peer comes in and how it leaves: login, its place in the table, what the others hear of it.

use std::sync::Arc;

use spoolway_protocol::hello::{Hello, Presence, close};
use spoolway_protocol::security::SecurityKind;
use spoolway_protocol::session::PresenceState;
use spoolway_protocol::{AgentId, BackendId};
use spoolway_relay_registry::Standing;

use super::{Done, Peer, Seat};
use crate::auth::Channel;
use crate::mailbox::Farewell;
use crate::metrics::Metric;
use crate::router::{AgentLogin, Joined};
use crate::security::Alarm;
use crate::session::{Claim, Verdict};
use crate::web::Dialled;
use crate::{hub, login, words};

impl Peer<'_> {
    pub(super) async fn login(&mut self, claim: Claim) -> Result<(), Done> {
        let Dialled::Agent { nonce, host, exporter, shown } = &*self.dialled else { return Err(Done) };
        let channel = Channel { nonce, host, exporter };
        let verdict = login::judge(self.hub, &claim, channel, shown.as_deref()).await;
        let agent = claim.hello.agent_id;
        match &verdict {
            Verdict::Welcome { owner } => {
                tracing::info!(%agent, backend = %owner, conn = self.conn.0, "agent in");
                self.counted.known();
            }
            Verdict::Reject { code, .. } => {
                tracing::info!(%agent, %code, "agent rejected");
                self.hub.metrics.count_word(Metric::Rejects, code.as_str());
            }
        }
        let owner = match &verdict {
            Verdict::Welcome { owner } => Some(owner.clone()),
            Verdict::Reject { .. } => None,
        };
        self.session.handle_verdict(self.hub.clock.now(), &self.hub.options, verdict);
        // The welcome is queued before the agent is in the table, so that it is the first frame it reads.
        self.say_outputs().await?;
        match owner {
            Some(owner) => self.enter_agent(owner, &claim.hello).await,
            None => Err(Done),
        }
    }

    async fn enter_agent(&mut self, owner: BackendId, hello: &Hello) -> Result<(), Done> {
        let agent = hello.agent_id;
        let organisation = self.hub.desk.backends().get(&owner).map(|owner| owner.organisation.clone());
        let login = AgentLogin {
            agent,
            owner: owner.clone(),
            organisation: organisation.unwrap_or_default(),
            boot_id: hello.boot_id.clone(),
            machine_hash: hello.machine_hash,
            up: self.presence(PresenceState::Up, agent, Some(hello)).into(),
        };
        let joined = self.hub.router().join_agent(self.conn, Arc::clone(&self.post), login);
        match joined {
            Joined::Seated { superseded } => {
                self.seat = Seat::Agent(agent);
                if let Some(old) = superseded {
                    old.close(Farewell { code: close::SUPERSEDED, reason: "superseded" }, false);
                }
            }
            Joined::Clone { other, audience } => {
                other.close(hub::CLONE, false);
                self.post.close(hub::CLONE, true);
                let (kind, detail) =
                    (SecurityKind::CloneSuspected, "two machines use one key; both are closed");
                self.hub.alarm(Alarm::of_agent(kind, agent, owner, detail));
                if let Err(error) = self.hub.desk.quarantine(agent, self.hub.clock.now().unix_ms) {
                    tracing::error!(%agent, %error, "the key could not be locked");
                }
                let down = self.presence(PresenceState::Down, agent, None);
                self.hub.announce_down(&agent, audience, down).await;
                return Err(Done);
            }
        }
        self.hub.announce_up(&agent).await;
        // A change from before the agent stood in the table was not acted on: look once more.
        let farewell = match self.hub.desk.agent(agent).await {
            Ok(Some(record)) if record.backend != owner => Some(hub::MOVED),
            Ok(record) => hub::farewell_of(Standing::of(record.as_ref())),
            Err(_) => None,
        };
        if let Some(farewell) = farewell {
            self.post.close(farewell, false);
            return Err(Done);
        }
        Ok(())
    }

    pub(super) async fn enter_backend(&mut self) -> Result<(), Done> {
        let Dialled::Backend { id, organisation } = &*self.dialled else { return Ok(()) };
        self.counted.known();
        let post = Arc::clone(&self.post);
        let served = self.hub.router().join_backend(self.conn, post, id, organisation);
        self.seat = Seat::Backend(id.clone());
        tracing::info!(backend = %id, conn = self.conn.0, agents = served.len(), "backend in");
        if self.hub.is_draining() || !self.hub.is_backend_good(id) {
            self.post.close(Farewell { code: close::DRAIN, reason: "not now" }, true);
            return Err(Done);
        }
        for agent in &served {
            self.hub.announce_up(agent).await;
        }
        Ok(())
    }

    fn presence(&self, state: PresenceState, agent: AgentId, hello: Option<&Hello>) -> String {
        let presence = Presence {
            agent,
            state,
            session_id: self.session.id().clone(),
            since_ms: self.hub.clock.now().unix_ms,
            outbox: hello.map(|hello| hello.outbox.clone()),
            cmd_seq: hello.map(|hello| hello.cmd_seq),
            info: hello.map(|hello| hello.agent.clone()),
            printers: hello.map(|hello| hello.printers.clone()).unwrap_or_default(),
            extra: Default::default(),
        };
        words::frame(Box::new(presence), None)
    }

    pub(super) async fn leave(&self) {
        match &self.seat {
            Seat::Nobody => {}
            Seat::Agent(agent) => {
                let left = self.hub.router().leave_agent(agent, self.conn);
                tracing::info!(%agent, conn = self.conn.0, was_current = left.is_some(), "agent out");
                if let Some(audience) = left {
                    let down = self.presence(PresenceState::Down, *agent, None);
                    self.hub.announce_down(agent, audience, down).await;
                }
            }
            Seat::Backend(backend) => {
                let moved = self.hub.router().leave_backend(self.conn, backend);
                tracing::info!(%backend, conn = self.conn.0, moved = moved.len(), "backend out");
                for agent in &moved {
                    self.hub.announce_up(agent).await;
                }
            }
        }
    }
}
