//! What a part of the public port outside this crate may do: know a backend by its credential, and be one of its processes.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::request::Parts;
use spoolway_protocol::envelope::EnvelopeError;
use spoolway_protocol::limits::TEXT_FRAME_BYTES;
use spoolway_protocol::security::SecurityKind;
use spoolway_protocol::session::NackCode;
use spoolway_protocol::{Address, AgentId, BackendId, Route};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::Front;
use super::answer::Trouble;
use crate::listen::Visit;
use crate::mailbox::{Farewell, Frame, Letter};
use crate::metrics::Metric;
use crate::peer::AGE_BYTES;
use crate::post::{Next, Post};
use crate::router::{ConnId, NoRoute};

const GONE: Farewell = Farewell { code: 1000, reason: "" };

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
    organisation: String,
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
    /// It has none, or a wrong one.
    pub fn backend(&self, request: &Parts) -> Result<Credential, Trouble> {
        let visit = request.extensions.get::<Arc<Visit>>().ok_or_else(|| Trouble::busy("no connection"))?;
        match self.front.backend(&request.headers) {
            Some((backend, organisation)) => {
                Ok(Credential { backend, organisation, visit: Arc::clone(visit) })
            }
            None => {
                self.front.alarm_of_credential(&request.headers, visit.address.ip());
                let text = "a backend's credential is required";
                Err(Trouble::new(StatusCode::UNAUTHORIZED, "unauthorised", text))
            }
        }
    }

    /// How long a client may take to say what it has begun to say (`limits.handshake_timeout_ms`).
    pub fn patience(&self) -> Duration {
        self.front.door.patience()
    }

    /// A process that hears what one agent says to commands, and serves nobody.
    ///
    /// # Errors
    /// The relay is about to go, or the credential was revoked meanwhile.
    pub fn guest(&self, who: &Credential, agent: AgentId) -> Result<Process, Trouble> {
        let process = self.process(who);
        let backend = (&who.backend, who.organisation.as_str());
        let post = Arc::clone(&process.post);
        self.front.hub().router().join_guest(process.conn, post, backend, agent);
        process.checked()
    }

    /// A process that serves agents, as one with a websocket does.
    ///
    /// # Errors
    /// As [`Self::guest`].
    pub fn server(&self, who: &Credential) -> Result<Process, Trouble> {
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
    fn checked(self) -> Result<Self, Trouble> {
        let hub = self.front.hub();
        if hub.is_draining() || !hub.is_backend_good(&self.backend) {
            return Err(Trouble::busy("this relay is about to go"));
        }
        Ok(self)
    }

    /// Passes a frame to an agent of this backend, by the rules for a frame of a websocket.
    ///
    /// # Errors
    /// Why it was not taken.
    pub async fn send(&self, frame: String) -> Result<(), Trouble> {
        let (hub, now, frame) = (self.front.hub(), self.front.hub().clock.now(), Utf8Bytes::from(frame));
        let head = Route::parse(&frame).map_err(|error| match error {
            EnvelopeError::TooLarge(_) => NackCode::TooLarge.into(),
            error => Trouble::bad(error.to_string()),
        })?;
        let Some(Ok(to @ Address::Agent(agent))) = head.to.map(str::parse) else {
            return Err(Trouble::bad("to"));
        };
        let from = Address::Backend(self.backend.clone());
        let letter = Letter::of(&head, &frame, &from, self.conn, now.ms);
        if letter.len() + AGE_BYTES > TEXT_FRAME_BYTES {
            return Err(NackCode::TooLarge.into());
        }
        hub.metrics.received(letter.class, frame.len());
        hub.tail.frame(now.unix_ms, &from, &head, letter.len());
        if head.t == "cmd" {
            let taken = hub.admission.command(&self.backend, &agent, head.is_urgent(), now.ms);
            taken.map_err(|wait_ms| {
                let detail = "more commands than limits.backend_commands_per_s or agent_commands_per_s";
                hub.alarm_about(Some(from), &self.post, SecurityKind::RateTrip, detail);
                Trouble::too_often(wait_ms)
            })?;
        }
        match hub.forward_backend((&self.backend, self.conn), &to, letter).await {
            Ok(()) => Ok(()),
            Err(NoRoute::Refused(NackCode::Offline)) => Err(self.why_not_here(agent).await),
            Err(NoRoute::Refused(code)) => Err(code.into()),
            Err(NoRoute::Stale) => Err(Trouble::busy("this process was closed")),
        }
    }

    /// Nobody learns which agents others have, connected or not.
    async fn why_not_here(&self, agent: AgentId) -> Trouble {
        match self.front.hub().desk.agent(agent).await {
            Ok(Some(record)) if record.backend == self.backend => NackCode::Offline.into(),
            Ok(_) => Trouble::unknown(),
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
