//! What a part of the public port outside this crate may do: know a backend by its credential, and be one of its processes.

use std::net::SocketAddr;
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The backend.
    pub backend: BackendId,
    organisation: String,
    address: SocketAddr,
}

/// A process of a backend that holds no websocket; it leaves when it is dropped.
pub struct Process {
    front: Front,
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
            Some((backend, organisation)) => Ok(Credential { backend, organisation, address: visit.address }),
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

    fn process(&self, who: &Credential) -> Process {
        let (conn, post) = self.front.hub().connect(who.address);
        Process { front: self.front.clone(), backend: who.backend.clone(), conn, post }
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
        if !moved.is_empty() {
            let hub = Arc::clone(self.front.hub());
            self.front.door.spawn(async move {
                for agent in &moved {
                    hub.announce_up(agent).await;
                }
            });
        }
    }
}
