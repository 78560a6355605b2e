//! What a part of the public port outside this crate may do: know who asks, use the registry, and be a process of a backend.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::request::Parts;
use bytestring::ByteString;
use spoolway_protocol::envelope::EnvelopeError;
use spoolway_protocol::hello::EXPORTER_BYTES;
use spoolway_protocol::limits::TEXT_FRAME_BYTES;
use spoolway_protocol::security::SecurityKind;
use spoolway_protocol::session::NackCode;
use spoolway_protocol::transfer::Chunk;
use spoolway_protocol::{Address, AgentId, BackendId, Route};
use spoolway_relay_registry::Registry;

use super::{Front, upgrade};
use crate::clock::Now;
use crate::config;
use crate::desk::DeskError;
use crate::limits::{Neighbourhood, neighbourhood};
use crate::listen::Visit;
use crate::mailbox::{Class, Farewell, Frame, Letter};
use crate::metrics::Metric;
use crate::peer::AGE_BYTES;
use crate::post::{Next, Post};
use crate::router::{ConnId, NoRoute};
use crate::security::{Alarm, Hearer};

const GONE: Farewell = Farewell { code: 1000, reason: "" };

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No credential of a backend was shown, or a wrong one.
    #[error("a backend's credential is required")]
    Stranger,
    /// A client certificate is required, and none was shown.
    #[error("{}", upgrade::NO_CERTIFICATE)]
    NoCertificate,
    /// Signed for a host that is not this relay.
    #[error("{}", upgrade::NOT_OUR_NAME.1)]
    OtherHost,
    /// There is no such agent, or it is somebody else's: the two are not told apart.
    #[error("there is no such agent")]
    NoAgent,
    /// It is not a frame, or has no agent as its receiver.
    #[error("{0}")]
    NoFrame(String),
    /// The frame was refused.
    #[error("{0}")]
    Nack(NackCode),
    /// Not before so many ms have passed.
    #[error("too many tries")]
    TooOften(u64),
    /// The relay is about to go, or this process was closed.
    #[error("{0}")]
    Leaving(&'static str),
    /// The registry does not answer.
    #[error(transparent)]
    Registry(#[from] DeskError),
}

/// Whoever has sent a request, as far as the connection tells.
#[derive(Clone)]
pub struct Visitor {
    /// From where.
    pub address: IpAddr,
    /// With whom its tries count.
    pub neighbourhood: Neighbourhood,
    /// Keying material of this TLS session, for signatures.
    pub exporter: [u8; EXPORTER_BYTES],
}

/// See the module.
#[derive(Clone)]
pub struct Gate {
    front: Front,
}

/// A backend that has shown its secret.
#[derive(Clone)]
pub struct Credential {
    /// The backend.
    pub backend: BackendId,
    /// Its organisation.
    pub organisation: String,
    visit: Arc<Visit>,
}

/// A process of a backend that holds no websocket; it leaves when it is dropped.
pub struct Process {
    front: Front,
    visit: Arc<Visit>,
    backend: BackendId,
    conn: ConnId,
    post: Arc<Post>,
}

impl Gate {
    pub(super) fn new(front: Front) -> Self {
        Self { front }
    }

    /// Whose credential a request has. One without is told of, as at the websocket.
    ///
    /// # Errors
    /// It has none, or a wrong one; or a client certificate is required, and there is none.
    pub fn backend(&self, request: &Parts) -> Result<Credential, Denied> {
        let visit = visit(request)?;
        match self.front.backend(&request.headers) {
            Some(_) if self.front.door.clients.misses_backends(visit.shown) => Err(Denied::NoCertificate),
            Some((backend, organisation)) => {
                Ok(Credential { backend, organisation, visit: Arc::clone(visit) })
            }
            None => {
                self.front.alarm_of_credential(&request.headers, visit.address.ip());
                Err(Denied::Stranger)
            }
        }
    }

    /// Who has sent a request.
    ///
    /// # Errors
    /// It came by no connection of this relay.
    pub fn visitor(&self, request: &Parts) -> Result<Visitor, Denied> {
        let visit = visit(request)?;
        let address = visit.address.ip();
        Ok(Visitor { address, neighbourhood: neighbourhood(address), exporter: visit.exporter })
    }

    /// The host that was dialled, for which an agent signs.
    ///
    /// # Errors
    /// This relay does not go by that name.
    pub fn host(&self, headers: &HeaderMap) -> Result<String, Denied> {
        self.front.host(headers).ok_or(Denied::OtherHost)
    }

    /// This moment.
    pub fn now(&self) -> Now {
        self.front.hub().clock.now()
    }

    /// What is set for pairings.
    pub fn pairing(&self) -> &config::Pairing {
        &self.front.pairing
    }

    /// The bounds that hold now (`limits`); a reload changes them.
    pub fn limits(&self) -> Arc<config::Limits> {
        self.front.hub().limits()
    }

    /// Does something with the registry, on its thread.
    ///
    /// # Errors
    /// The registry does not answer.
    pub async fn registry<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Registry) -> T + Send + 'static,
    ) -> Result<T, Denied> {
        Ok(self.front.hub().desk.with(work).await?)
    }

    /// The organisation of a backend; empty for one that is not there.
    pub fn organisation(&self, backend: &BackendId) -> String {
        let table = self.front.hub().desk.backends();
        table.get(backend).map(|record| record.organisation.clone()).unwrap_or_default()
    }

    /// A backend has done something of which it has to hear as an event of security.
    pub fn alarm(&self, backend: &BackendId, kind: SecurityKind, detail: &str) {
        let (about, hearer) = (Some(Address::Backend(backend.clone())), Hearer::Owner(backend.clone()));
        self.front.hub().alarm(Alarm { kind, about, from: None, hearer, detail: detail.to_owned() });
    }

    /// Something has happened to an agent of which its owner has to hear as an event of security.
    pub fn alarm_of_agent(&self, agent: AgentId, owner: BackendId, kind: SecurityKind, detail: &str) {
        self.front.hub().alarm(Alarm::of_agent(kind, agent, owner, detail));
    }

    /// How long a client may take to say what it has begun to say (`limits.handshake_timeout_ms`).
    pub fn patience(&self) -> Duration {
        self.front.door.patience()
    }

    /// A process that hears what one agent says to commands, and serves nobody.
    ///
    /// # Errors
    /// The relay is about to go, or the credential was revoked meanwhile.
    pub fn guest(&self, who: &Credential, agent: AgentId) -> Result<Process, Denied> {
        let process = self.process(who);
        let backend = (&who.backend, who.organisation.as_str());
        let post = Arc::clone(&process.post);
        self.front.hub().router().join_guest(process.conn, post, backend, agent);
        process.checked()
    }

    /// A process that sends a file to one agent: it hears what the agent says about it, besides what a guest does. Whoever sends the same
    /// file so far is closed.
    ///
    /// # Errors
    /// As [`Self::guest`].
    pub fn sender(&self, who: &Credential, agent: AgentId, file: &str) -> Result<Process, Denied> {
        let process = self.process(who);
        let backend = (&who.backend, who.organisation.as_str());
        let post = Arc::clone(&process.post);
        let old = self.front.hub().router().join_sender(process.conn, post, backend, (agent, file));
        old.into_iter().for_each(|old| old.close(GONE, false));
        process.checked()
    }

    /// A process that serves agents, as one with a websocket does.
    ///
    /// # Errors
    /// As [`Self::guest`].
    pub fn server(&self, who: &Credential) -> Result<Process, Denied> {
        let process = self.process(who);
        let post = Arc::clone(&process.post);
        let hub = self.front.hub();
        let served = hub.router().join_backend(process.conn, post, &who.backend, &who.organisation);
        let process = process.checked()?;
        tracing::info!(backend = %who.backend, conn = process.conn.0, agents = served.len(), "stream of a backend");
        announce(&self.front, served);
        Ok(process)
    }

    /// Runs something that ends with the relay.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.front.door.spawn(future);
    }

    /// How long a client may read nothing (`limits.stalled_write_ms`).
    pub fn stalled(&self) -> Duration {
        Duration::from_millis(self.front.hub().limits().stalled_write_ms)
    }

    /// After how long of silence a sign of life is due (`session.hb_ms`).
    pub fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.front.hub().options.hb_ms)
    }

    fn process(&self, who: &Credential) -> Process {
        let (front, visit) = (self.front.clone(), Arc::clone(&who.visit));
        let (conn, post) = front.hub().connect(visit.address);
        Process { front, visit, backend: who.backend.clone(), conn, post }
    }
}

impl Process {
    /// Whoever came in after the farewell to all others, or after a revocation, would not hear of it.
    fn checked(self) -> Result<Self, Denied> {
        let hub = self.front.hub();
        if hub.is_draining() || !hub.is_backend_good(&self.backend) {
            return Err(Denied::Leaving("this relay is about to go"));
        }
        Ok(self)
    }

    /// Passes a frame to an agent of this backend, by the rules for a frame of a websocket.
    ///
    /// # Errors
    /// Why it was not taken.
    pub async fn send(&self, frame: String) -> Result<(), Denied> {
        let (hub, now, frame) = (self.front.hub(), self.front.hub().clock.now(), ByteString::from(frame));
        let head = Route::parse(&frame).map_err(|error| match error {
            EnvelopeError::TooLarge(_) => Denied::Nack(NackCode::TooLarge),
            error => Denied::NoFrame(error.to_string()),
        })?;
        let Some(Ok(to @ Address::Agent(agent))) = head.to.map(str::parse) else {
            return Err(Denied::NoFrame("to".to_owned()));
        };
        let from = Address::Backend(self.backend.clone());
        let letter = Letter::of(&head, &frame, &from, self.conn, now.ms);
        if letter.len() + AGE_BYTES > TEXT_FRAME_BYTES {
            return Err(Denied::Nack(NackCode::TooLarge));
        }
        hub.metrics.received(letter.class, frame.len());
        hub.tail.frame(now.unix_ms, &from, &head, letter.len());
        if head.t == "cmd" {
            let taken = hub.admission.command(&self.backend, &agent, head.is_urgent(), now.ms);
            taken.map_err(|wait_ms| {
                let detail = "more commands than limits.backend_commands_per_s or agent_commands_per_s";
                hub.alarm_about(Some(from), &self.post, SecurityKind::RateTrip, detail);
                Denied::TooOften(wait_ms)
            })?;
        }
        match hub.forward_backend((&self.backend, self.conn), to, letter).done().await {
            Ok(()) => Ok(()),
            Err(NoRoute::Refused(NackCode::Offline)) => Err(self.why_not_here(agent).await),
            Err(NoRoute::Refused(code)) => Err(Denied::Nack(code)),
            Err(NoRoute::Stale) => Err(Denied::Leaving("this process was closed")),
        }
    }

    /// Passes a piece of a file, as a binary frame, to an agent of this backend; waits while the agent's mailbox is full.
    ///
    /// # Errors
    /// Why it was not taken.
    pub async fn send_chunk(&self, frame: Vec<u8>) -> Result<(), Denied> {
        let hub = self.front.hub();
        let Ok(chunk) = Chunk::decode(&frame) else { return Err(Denied::Nack(NackCode::BadField)) };
        let to = Address::Agent(AgentId::from_bytes(chunk.to));
        hub.metrics.received(Class::Bulk, frame.len());
        let letter = Letter::chunk(frame.into(), self.conn, hub.clock.ms());
        match hub.forward_backend((&self.backend, self.conn), to, letter).done().await {
            Ok(()) => Ok(()),
            Err(NoRoute::Refused(code)) => Err(Denied::Nack(code)),
            Err(NoRoute::Stale) => Err(Denied::Leaving("this process was closed")),
        }
    }

    /// Nobody learns which agents others have, connected or not.
    async fn why_not_here(&self, agent: AgentId) -> Denied {
        match self.front.hub().desk.agent(agent).await {
            Ok(Some(record)) if record.backend == self.backend => Denied::Nack(NackCode::Offline),
            Ok(_) => Denied::NoAgent,
            Err(error) => error.into(),
        }
    }

    /// The next frames for this process; `None` once it is closed.
    pub async fn next(&self) -> Option<Vec<String>> {
        let Next::Write(batch) = self.post.next().await else { return None };
        let now_ms = self.front.hub().clock.ms();
        Some(batch.into_iter().filter_map(|letter| self.text(letter, now_ms)).collect())
    }

    /// Its client reads nothing: the connection is closed, whatever is still to be written.
    pub fn is_slow(&self) {
        self.front.hub().metrics.count(Metric::SlowPeers);
        self.visit.cut.notify_one();
    }

    fn text(&self, letter: Letter, now_ms: u64) -> Option<String> {
        let (class, len) = (letter.class, letter.len());
        let waited_ms = now_ms.saturating_sub(letter.queued_ms);
        let text = match letter.frame {
            Frame::Passed(ref passage, _) if passage.is_expired(waited_ms) => {
                self.front.hub().expire(&letter);
                return None;
            }
            Frame::Passed(passage, rest) => {
                let rest = rest.as_deref().map_or(Ok(""), |rest| std::str::from_utf8(rest));
                passage.into_text(waited_ms) + rest.ok()?
            }
            Frame::Own(text) => text,
            // Files go to agents only.
            Frame::Chunk(_) => return None,
        };
        self.front.hub().metrics.sent(class, len);
        Some(text)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Whoever waits for room here is let go.
        self.post.close(GONE, false);
        let moved = self.front.hub().router().leave_backend(self.conn, &self.backend);
        announce(&self.front, moved);
    }
}

fn visit(request: &Parts) -> Result<&Arc<Visit>, Denied> {
    request.extensions.get::<Arc<Visit>>().ok_or(Denied::Leaving("there is no connection"))
}

/// Tells of agents that are served by another process now; whoever is told takes his time.
fn announce(front: &Front, agents: Vec<AgentId>) {
    if agents.is_empty() {
        return;
    }
    let hub = Arc::clone(front.hub());
    front.door.spawn(async move {
        for agent in &agents {
            hub.announce_up(agent).await;
        }
    });
}
