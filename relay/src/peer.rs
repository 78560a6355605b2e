//! One task per peer: it carries frames between socket, session, router and mailbox.

mod bell;
mod entry;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use spoolway_protocol::hello::{Binding, NackCode, RejectCode, close};
use spoolway_protocol::ids::SessionId;
use spoolway_protocol::limits::TEXT_FRAME_BYTES;
use spoolway_protocol::security::SecurityKind;
use spoolway_protocol::session::Subscribe;
use spoolway_protocol::transfer::Chunk;
use spoolway_protocol::{Address, AgentId, BackendId, Route};
use tokio::time::timeout;

use self::bell::Bell;
use crate::auth;
use crate::clock::Now;
use crate::hub::{Hub, Sent, Watched};
use crate::limits::Allowance;
use crate::listen::Counted;
use crate::mailbox::{Class, Displaced, Farewell, Letter, Refused};
use crate::metrics::Metric;
use crate::post::Post;
use crate::router::{ConnId, NoRoute};
use crate::session::{Heard, Output, Session};
use crate::socket::{Carrier, FRAME_TOO_LARGE, Incoming, Reader, Socket};
use crate::web::Dialled;
use crate::{login, words, write};

/// How long a closed peer may take to answer the close frame.
pub(crate) const LINGER: Duration = Duration::from_secs(1);
/// Room for the digits by which waiting may lengthen a frame.
pub(crate) const AGE_BYTES: usize = 32;
const GONE: Farewell = Farewell { code: 1000, reason: "" };

/// Serves a peer until it is gone.
pub(crate) async fn serve<S: Carrier>(
    hub: Arc<Hub>,
    socket: Socket<S>,
    dialled: Box<Dialled>,
    counted: Arc<Counted>,
) {
    let Ok(session) = session_for(&hub, &dialled) else { return };
    let (conn, post) = hub.connect(counted.address);
    let limits = hub.limits();
    let frames_per_s = if matches!(*dialled, Dialled::Agent { .. }) { limits.agent_frames_per_s } else { 0 };
    let bytes_per_s = if matches!(*dialled, Dialled::Agent { .. }) { limits.agent_bytes_per_s } else { 0 };
    let allowance = Allowance::new(frames_per_s, limits.agent_burst_frames, bytes_per_s, hub.clock.ms());
    let seat = Seat::Nobody;
    let mut peer = Peer { hub: &hub, conn, post, dialled, counted, session, seat, allowance };
    let own_post = Arc::clone(&peer.post);
    let (mut reader, writer) = socket.split();
    let mut write = pin!(write::write_all(&hub, &own_post, writer));
    let is_written = {
        let mut read = pin!(peer.read_until_done(&mut reader));
        // A frame that comes is mostly for another peer: this one's writer is left alone until there is something for it.
        let both = poll_fn(|cx| match read.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(false),
            Poll::Pending if own_post.is_quiet() => Poll::Pending,
            Poll::Pending => write.as_mut().poll(cx).map(|()| true),
        });
        both.await
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
    dialled: Box<Dialled>,
    counted: Arc<Counted>,
    session: Session,
    seat: Seat,
    allowance: Allowance,
}

/// The peer is done: nothing more is read from it.
struct Done;

/// What a frame has to wait for. It has a box of its own: an idle connection holds no room for it.
type Later<'a> = Pin<Box<dyn Future<Output = Result<(), Done>> + Send + 'a>>;

fn refused(code: NackCode) -> Sent<'static> {
    Sent::Now(Err(NoRoute::Refused(code)))
}

fn session_for(hub: &Hub, dialled: &Dialled) -> Result<Session, ring::error::Unspecified> {
    let now = hub.clock.now();
    let id: String = auth::random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let id = SessionId::new(id).expect("32 hexadecimal digits are a name");
    Ok(match dialled {
        Dialled::Agent { nonce, .. } => Session::agent(now, &hub.options, id, nonce, Binding::Exporter),
        Dialled::Bare => {
            hub.metrics.count_word(Metric::Rejects, RejectCode::CertRequired.as_str());
            Session::refused(now, &hub.options, id, login::NO_CERTIFICATE)
        }
        Dialled::Backend { .. } => Session::backend(now, &hub.options, id),
    })
}

impl Peer<'_> {
    async fn read_until_done<S: Carrier>(&mut self, reader: &mut Reader<'_, S>) -> Result<(), Done> {
        self.say_outputs().await?;
        self.enter_backend().await?;
        let mut bell = Bell::new(self.hub.clock, self.hub.options.hb_ms);
        loop {
            let incoming = tokio::select! {
                biased;
                incoming = reader.read() => Some(incoming),
                () = bell.ring(self.session.wake_at_ms()) => None,
            };
            let now = self.hub.clock.now();
            match incoming {
                None => {
                    self.session.handle_time(now);
                    self.say_outputs().await?;
                }
                Some(Incoming::Text(text)) => {
                    let class = {
                        let (class, later) = self.handle_text(now, &text)?;
                        if let Some(later) = later {
                            later.await?;
                        }
                        class
                    };
                    if !class.is_lossy() {
                        self.pay(class, text.len(), now.ms).await;
                    }
                }
                Some(Incoming::Binary(bytes)) => {
                    let len = bytes.len();
                    if let Some(later) = self.handle_binary(now, bytes) {
                        later.await?;
                    }
                    self.pay(Class::Bulk, len, now.ms).await;
                }
                Some(Incoming::Alive) => {
                    self.session.handle_alive(now);
                    self.pay(Class::Reliable, 0, now.ms).await;
                }
                Some(Incoming::Closed) => return Err(Done),
                Some(Incoming::Broken(reason)) => {
                    if reason == FRAME_TOO_LARGE {
                        self.alarm(SecurityKind::OversizeFrame, reason);
                    }
                    self.post.close(Farewell { code: close::PROTOCOL, reason }, true);
                    return Err(Done);
                }
            }
        }
    }

    /// Returns the class of the frame, and what has to wait for others before the next is read: mostly nothing.
    fn handle_text<'p>(
        &'p mut self,
        now: Now,
        text: &'p ByteString,
    ) -> Result<(Class, Option<Later<'p>>), Done> {
        if text.len() > TEXT_FRAME_BYTES {
            self.alarm(SecurityKind::OversizeFrame, FRAME_TOO_LARGE);
        }
        let heard = self.session.handle_frame(now, Route::parse(text));
        let class = if let Heard::Forward(head, _) = &heard { Class::of(head) } else { Class::Reliable };
        self.hub.metrics.received(class, text.len());
        let later: Option<Later<'p>> = match heard {
            Heard::Nothing if !self.session.has_output() => None,
            Heard::Nothing => Some(Box::pin(self.say_outputs())),
            Heard::Hello(claim) => Some(Box::pin(self.login(*claim))),
            Heard::Subscribe(wanted) => Some(Box::pin(self.subscribe(text, wanted))),
            Heard::Forward(..) if class.is_lossy() && self.is_too_much(class, text.len(), now.ms)? => None,
            Heard::Forward(head, to) => self.forward(now, &head, text, to)?,
        };
        Ok((class, later))
    }

    /// Reads no further before the peer may have sent this frame.
    async fn pay(&mut self, class: Class, len: usize, now_ms: u64) {
        if self.allowance.take(class, len, now_ms).is_ok() {
            return;
        }
        // To pass it on may have taken longer than to earn it.
        while let Err(wait_ms) = self.allowance.take(class, len, self.hub.clock.ms()) {
            self.alarm(SecurityKind::RateTrip, "faster than limits.agent_frames_per_s or agent_bytes_per_s");
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
    }

    /// Whether a frame that may be lost is one more than the peer may send; whoever goes on and on with it is closed.
    fn is_too_much(&mut self, class: Class, len: usize, now_ms: u64) -> Result<bool, Done> {
        if self.allowance.take(class, len, now_ms).is_ok() {
            return Ok(false);
        }
        self.hub.metrics.displaced(class, Displaced { coalesced: false, dropped: 1 });
        if !self.allowance.shed() {
            return Ok(true);
        }
        self.hub.metrics.count(Metric::Floods);
        self.alarm(SecurityKind::RateTrip, "a flood; it is closed");
        self.post.close(Farewell { code: close::RATE_LIMITED, reason: "too many frames" }, true);
        Err(Done)
    }

    fn forward<'p>(
        &'p self,
        now: Now,
        head: &Route<'p>,
        text: &ByteString,
        to: Address,
    ) -> Result<Option<Later<'p>>, Done> {
        let from = self.address()?;
        let letter = Letter::of(head, text, &from, self.conn, now.ms);
        self.hub.tail.frame(now.unix_ms, &from, head, letter.len());
        let sent = match &self.seat {
            _ if letter.len() + AGE_BYTES > TEXT_FRAME_BYTES => refused(NackCode::TooLarge),
            Seat::Agent(agent) => {
                let watched = match (head.t, head.re) {
                    ("telem", _) => Watched::Always,
                    ("events", _) => Watched::WithOwner,
                    ("cmd.recv" | "nack", _) => Watched::Answer,
                    ("chunk.get" | "chunk.done", Some(file)) => Watched::File(file),
                    _ => Watched::No,
                };
                self.hub.forward_agent((agent, self.conn), to, letter, watched)
            }
            Seat::Backend(backend) => match (head.t, &to) {
                ("cmd", Address::Agent(agent)) if self.is_command_too_many(backend, agent, head) => {
                    refused(NackCode::Busy)
                }
                _ => self.hub.forward_backend((backend, self.conn), to, letter),
            },
            Seat::Nobody => Sent::Now(Err(NoRoute::Stale)),
        };
        Ok(self.answer(sent, head.id, head.to.unwrap_or_default()))
    }

    fn is_command_too_many(&self, backend: &BackendId, agent: &AgentId, head: &Route<'_>) -> bool {
        let is_one =
            self.hub.admission.command(backend, agent, head.is_urgent(), self.hub.clock.ms()).is_err();
        if is_one {
            self.alarm(
                SecurityKind::RateTrip,
                "more commands than limits.backend_commands_per_s or agent_commands_per_s",
            );
        }
        is_one
    }

    fn handle_binary(&mut self, now: Now, bytes: Bytes) -> Option<Later<'_>> {
        self.session.handle_alive(now);
        self.hub.metrics.received(Class::Bulk, bytes.len());
        let sent = match (&self.seat, Chunk::decode(&bytes)) {
            (Seat::Backend(backend), Ok(chunk)) => {
                let to = Address::Agent(AgentId::from_bytes(chunk.to));
                let letter = Letter::chunk(bytes, self.conn, now.ms);
                self.hub.forward_backend((backend, self.conn), to, letter)
            }
            (Seat::Backend(_), Err(_)) => refused(NackCode::BadField),
            _ => refused(NackCode::Unauthorised),
        };
        self.answer(sent, None, "chunk")
    }

    /// What is left to do when a frame was sent: nothing, mostly.
    fn answer<'p>(&'p self, sent: Sent<'p>, id: Option<&'p str>, what: &'p str) -> Option<Later<'p>> {
        let later = match sent {
            Sent::Now(Ok(())) => return None,
            sent => {
                async move {
                    match sent.done().await {
                        Ok(()) => Ok(()),
                        Err(NoRoute::Stale) => Err(Done),
                        Err(NoRoute::Refused(code)) => self.say_no(id, code, what).await,
                    }
                }
            }
        };
        Some(Box::pin(later))
    }

    async fn say_no(&self, id: Option<&str>, code: NackCode, what: &str) -> Result<(), Done> {
        self.hub.metrics.count_word(Metric::Nacks, code.as_str());
        self.say(words::nack(id, code, what)).await
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
            Err(NoRoute::Stale) => Err(Done),
            Err(NoRoute::Refused(code)) => {
                let id = Route::parse(text).ok().and_then(|head| head.id);
                self.say_no(id, code, "organisation").await
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
            turn = self.post.turn(Class::Reliable, letter.len()).await;
        }
    }
}
