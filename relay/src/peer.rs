//! One task per peer: it carries frames between socket, session, router and mailbox.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use spoolway_protocol::hello::{Binding, Hello, NackCode, Presence, close};
use spoolway_protocol::ids::SessionId;
use spoolway_protocol::limits::TEXT_FRAME_BYTES;
use spoolway_protocol::security::SecurityKind;
use spoolway_protocol::session::{PresenceState, Subscribe};
use spoolway_protocol::transfer::Chunk;
use spoolway_protocol::{Address, AgentId, BackendId, Route};
use tokio::time::{timeout, timeout_at};
use tokio_tungstenite::tungstenite::Bytes;

use crate::auth::{self, Channel};
use crate::hub::{self, Hub, Watched};
use crate::limits::Pace;
use crate::login;
use crate::mailbox::{Class, Farewell, Letter, Refused};
use crate::metrics::Metric;
use crate::post::Post;
use crate::registry::Standing;
use crate::router::{AgentLogin, ConnId, Joined, NoRoute};
use crate::security::Alarm;
use crate::session::{Heard, Output, Session, Verdict};
use crate::socket::{Carrier, FRAME_TOO_LARGE, Incoming, Reader, Writer};
use crate::web::Dialled;
use crate::{words, write};

/// How long a closed peer may take to answer the close frame.
pub(crate) const LINGER: Duration = Duration::from_secs(1);
/// Room for the digits by which waiting may lengthen a frame.
const AGE_BYTES: usize = 32;
const GONE: Farewell = Farewell { code: 1000, reason: "" };

/// Serves a peer until it is gone.
pub(crate) async fn serve<S: Carrier>(
    hub: Arc<Hub>,
    mut reader: Reader<S>,
    writer: Writer<S>,
    dialled: Dialled,
    address: SocketAddr,
) {
    let Ok(session) = session_for(&hub, &dialled) else { return };
    let (conn, post) = hub.connect(address);
    let mut peer = Peer { hub: &hub, conn, post, dialled, session, seat: Seat::Nobody };
    let own_post = Arc::clone(&peer.post);
    let mut write = std::pin::pin!(write::write_all(&hub, &own_post, writer));
    let is_written = tokio::select! {
        () = peer.read_all(&mut reader) => false,
        () = &mut write => true,
    };
    // Whoever waits for room in this mailbox is let go; a farewell that was said before stands.
    peer.post.close(GONE, false);
    let finish = async {
        if !is_written {
            write.await;
        }
        let _ = timeout(LINGER, async { while !matches!(reader.read().await, Incoming::Closed) {} }).await;
    };
    tokio::join!(peer.leave(), finish);
}

/// Who sits at the other end.
#[derive(Debug, Clone)]
enum Seat {
    Nobody,
    Agent(AgentId),
    Backend(BackendId),
}

struct Peer<'a> {
    hub: &'a Hub,
    conn: ConnId,
    post: Arc<Post>,
    dialled: Dialled,
    session: Session,
    seat: Seat,
}

/// The peer is done: nothing more is read from it.
struct Done;

fn session_for(hub: &Hub, dialled: &Dialled) -> Result<Session, ring::error::Unspecified> {
    let now = hub.clock.now();
    let id: String = auth::random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let id = SessionId::new(id).expect("32 hexadecimal digits are a name");
    Ok(match dialled {
        Dialled::Agent { nonce, .. } => Session::agent(now, &hub.options, id, nonce, Binding::Exporter),
        Dialled::Backend { .. } => Session::backend(now, &hub.options, id),
    })
}

impl Peer<'_> {
    async fn read_all<S: Carrier>(&mut self, reader: &mut Reader<S>) {
        let _ = self.read_until_done(reader).await;
    }

    async fn read_until_done<S: Carrier>(&mut self, reader: &mut Reader<S>) -> Result<(), Done> {
        let limits = self.hub.limits();
        let per_s = if matches!(self.dialled, Dialled::Agent { .. }) { limits.agent_frames_per_s } else { 0 };
        let mut pace = Pace::new(per_s, limits.agent_burst_frames, self.hub.clock.ms());
        self.say_outputs().await?;
        self.enter_backend().await?;
        loop {
            let Some(incoming) = self.next(reader).await else {
                self.session.handle_time(self.hub.clock.now());
                self.say_outputs().await?;
                continue;
            };
            match incoming {
                Incoming::Text(text) => self.handle_text(&text).await?,
                Incoming::Binary(bytes) => self.handle_binary(bytes).await?,
                Incoming::Alive => self.session.handle_alive(self.hub.clock.now()),
                Incoming::Closed => return Err(Done),
                Incoming::Broken(reason) => {
                    if reason == FRAME_TOO_LARGE {
                        self.alarm(SecurityKind::OversizeFrame, reason);
                    }
                    self.post.close(Farewell { code: close::PROTOCOL, reason }, true);
                    return Err(Done);
                }
            }
            while let Err(wait_ms) = pace.take(self.hub.clock.ms()) {
                self.alarm(SecurityKind::RateTrip, "frames faster than limits.agent_frames_per_s");
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            }
        }
    }

    /// `None` when the session's time has come first.
    async fn next<S: Carrier>(&self, reader: &mut Reader<S>) -> Option<Incoming> {
        match self.session.wake_at_ms() {
            Some(at_ms) => timeout_at(self.hub.clock.at(at_ms), reader.read()).await.ok(),
            None => Some(reader.read().await),
        }
    }

    async fn handle_text(&mut self, text: &str) -> Result<(), Done> {
        if text.len() > TEXT_FRAME_BYTES {
            self.alarm(SecurityKind::OversizeFrame, FRAME_TOO_LARGE);
        }
        let heard = self.session.handle_text(self.hub.clock.now(), text);
        match heard {
            Heard::Nothing => self.hub.metrics.received(Class::Reliable, text.len()),
            Heard::Hello(claim) => {
                self.hub.metrics.received(Class::Reliable, text.len());
                self.login(*claim).await?;
            }
            Heard::Subscribe(wanted) => {
                self.hub.metrics.received(Class::Reliable, text.len());
                self.subscribe(text, wanted).await?;
            }
            Heard::Forward(head, to) => {
                self.hub.metrics.received(Class::of(&head), text.len());
                self.forward(&head, &to).await?;
            }
        }
        self.say_outputs().await
    }

    async fn forward(&mut self, head: &Route<'_>, to: &Address) -> Result<(), Done> {
        let (from, now) = (self.address()?, self.hub.clock.now());
        let letter = Letter::of(head, &from, self.conn, now.ms);
        self.hub.tail.frame(now.unix_ms, &from, head, letter.len());
        let routed = match &self.seat {
            _ if letter.len() + AGE_BYTES > TEXT_FRAME_BYTES => Err(NoRoute::Refused(NackCode::TooLarge)),
            Seat::Agent(agent) => {
                let watched = match head.t {
                    "telem" => Watched::Always,
                    "events" => Watched::WithOwner,
                    _ => Watched::No,
                };
                self.hub.forward_agent((agent, self.conn), to, letter, watched).await
            }
            Seat::Backend(backend) => self.hub.forward_backend((backend, self.conn), to, letter).await,
            Seat::Nobody => Err(NoRoute::Stale),
        };
        self.answer(routed, head.id, head.to.unwrap_or_default()).await
    }

    async fn handle_binary(&mut self, bytes: Bytes) -> Result<(), Done> {
        self.session.handle_alive(self.hub.clock.now());
        self.hub.metrics.received(Class::Bulk, bytes.len());
        let routed = match (&self.seat, Chunk::decode(&bytes)) {
            (Seat::Backend(backend), Ok(chunk)) => {
                let to = Address::Agent(AgentId::from_bytes(chunk.to));
                let letter = Letter::chunk(bytes, self.conn, self.hub.clock.ms());
                self.hub.forward_backend((backend, self.conn), &to, letter).await
            }
            (Seat::Backend(_), Err(_)) => Err(NoRoute::Refused(NackCode::BadField)),
            _ => Err(NoRoute::Refused(NackCode::Unauthorised)),
        };
        self.answer(routed, None, "chunk").await
    }

    async fn answer(
        &mut self,
        routed: Result<(), NoRoute>,
        id: Option<&str>,
        what: &str,
    ) -> Result<(), Done> {
        match routed {
            Ok(()) => Ok(()),
            Err(NoRoute::Stale) => Err(Done),
            Err(NoRoute::Refused(code)) => {
                self.hub.metrics.count_word(Metric::Nacks, code.as_str());
                self.say(words::nack(id, code, what)).await
            }
        }
    }

    async fn login(&mut self, claim: crate::session::Claim) -> Result<(), Done> {
        let Dialled::Agent { nonce, host, exporter } = &self.dialled else { return Err(Done) };
        let channel = Channel { nonce, host, exporter };
        let verdict = login::judge(self.hub, &claim, channel).await;
        let agent = claim.hello.agent_id;
        match &verdict {
            Verdict::Welcome { owner } => {
                tracing::info!(%agent, backend = %owner, conn = self.conn.0, "agent in")
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
                let kind = SecurityKind::CloneSuspected;
                self.hub.alarm(Alarm::of_agent(
                    kind,
                    agent,
                    owner,
                    "two machines use one key; both are closed",
                ));
                if let Err(error) = self.hub.desk.quarantine(agent, self.hub.clock.now().unix_ms) {
                    tracing::error!(%agent, %error, "the key could not be locked");
                }
                let down = self.presence(PresenceState::Down, agent, None);
                self.hub.announce_down(&agent, audience, down).await;
                return Err(Done);
            }
        }
        self.hub.announce_up(&agent).await;
        // A revocation from before the agent stood in the table was not acted on: look once more.
        let standing = match self.hub.desk.agent(agent).await {
            Ok(record) => Standing::of(record.as_ref()),
            Err(_) => Standing::Good,
        };
        if let Some(farewell) = hub::farewell_of(standing) {
            self.post.close(farewell, false);
            return Err(Done);
        }
        Ok(())
    }

    async fn enter_backend(&mut self) -> Result<(), Done> {
        let Dialled::Backend { id, organisation } = &self.dialled else { return Ok(()) };
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

    async fn subscribe(&mut self, text: &str, wanted: Subscribe) -> Result<(), Done> {
        let Seat::Backend(backend) = &self.seat else { return Err(Done) };
        let seen = self.hub.router().subscribe(self.conn, backend, wanted);
        match seen {
            Ok(frames) => {
                for frame in frames {
                    self.say(frame.to_string()).await?;
                }
                Ok(())
            }
            Err(refused) => {
                let id = Route::parse(text).ok().and_then(|head| head.id);
                self.answer(Err(refused), id, "organisation").await
            }
        }
    }

    fn address(&self) -> Result<Address, Done> {
        match &self.seat {
            Seat::Nobody => Err(Done),
            Seat::Agent(agent) => Ok(Address::Agent(*agent)),
            Seat::Backend(backend) => Ok(Address::Backend(backend.clone())),
        }
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

    fn alarm(&self, kind: SecurityKind, detail: &str) {
        self.hub.alarm_about(self.address().ok(), &self.post, kind, detail);
    }

    async fn say_outputs(&mut self) -> Result<(), Done> {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(frame) => self.say(frame).await?,
                Output::Close(farewell) => {
                    self.post.close(farewell, true);
                    return Err(Done);
                }
            }
        }
        Ok(())
    }

    async fn say(&self, frame: String) -> Result<(), Done> {
        let mut letter = Letter::own(frame, self.hub.clock.ms());
        let mut turn = None;
        loop {
            match self.post.push(letter, turn.as_ref()) {
                Ok(_) => return Ok(()),
                Err(Refused::Closed) => return Err(Done),
                Err(Refused::Full(back)) => letter = back,
            }
            turn = self.post.turn(Class::Reliable).await;
        }
    }

    async fn leave(&self) {
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
