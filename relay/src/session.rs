//! One peer from its connection to its goodbye: challenge, hello, heartbeat. Pure: it is told frames, verdicts and the time.

use std::collections::VecDeque;

use spoolway_protocol::envelope::EnvelopeError;
use spoolway_protocol::hello::{
    Binding, Challenge, Heartbeat, HeartbeatAck, Hello, NackCode, Reject, RejectCode, Welcome, Window, close,
    split_signature,
};
use spoolway_protocol::ids::SessionId;
use spoolway_protocol::session::Subscribe;
use spoolway_protocol::telemetry::TelemConfig;
use spoolway_protocol::version::PROTO;
use spoolway_protocol::{Address, B64, BackendId, Message, Raw, Route};

use crate::clock::Now;
use crate::mailbox::Farewell;
use crate::words;

/// What every session of a relay has in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The relay's name.
    pub relay_id: String,
    /// Heartbeat asked of agents.
    pub hb_ms: u64,
    /// Silence after which a peer is dead.
    pub dead_ms: u64,
    /// Time for the hello.
    pub hello_timeout_ms: u64,
    /// Events an agent may have under way.
    pub window: Window,
    /// Telemetry rates.
    pub telem: TelemConfig,
}

/// A hello whose signature is to be verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The hello.
    pub hello: Hello,
    /// The body without its signature, as it was signed.
    pub signed: String,
    /// The signature.
    pub sig: Vec<u8>,
}

/// What a frame asks the shell to do. Answers to the peer itself come from [`Session::poll_output`].
#[derive(Debug)]
pub enum Heard<'a> {
    /// Nothing.
    Nothing,
    /// Verify this and come back with a [`Verdict`].
    Hello(Box<Claim>),
    /// Pass the frame on.
    Forward(Route<'a>, Address),
    /// Change what this backend watches.
    Subscribe(Subscribe),
}

/// What became of a [`Claim`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The agent may come in.
    Welcome {
        /// Its owning backend.
        owner: BackendId,
    },
    /// It may not.
    Reject {
        /// Why.
        code: RejectCode,
        /// How long to stay away.
        retry_after_ms: Option<u64>,
        /// For a person.
        message: &'static str,
    },
}

/// What the shell has to do for this peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this text frame.
    Send(String),
    /// Send what waits, then close.
    Close(Farewell),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    AwaitHello { until_ms: u64 },
    Verifying,
    Open { heard_ms: u64, hb_at_ms: u64 },
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Agent,
    Backend,
}

/// See the module.
#[derive(Debug)]
pub struct Session {
    kind: Kind,
    id: SessionId,
    state: State,
    hb_n: u64,
    hb_ms: u64,
    dead_ms: u64,
    outputs: VecDeque<Output>,
}

impl Session {
    /// An agent has connected; the challenge is on its way.
    pub fn agent(now: Now, options: &Options, id: SessionId, nonce: &[u8], binding: Binding) -> Self {
        let state = State::AwaitHello { until_ms: now.ms.saturating_add(options.hello_timeout_ms) };
        let mut session = Self::new(Kind::Agent, options, id, state);
        let challenge = Challenge {
            nonce: B64(nonce.to_vec()),
            relay_id: options.relay_id.clone(),
            relay_time_ms: now.unix_ms,
            proto: vec![PROTO.to_owned()],
            binding,
            extra: Default::default(),
        };
        session.send(words::frame(challenge, None));
        session
    }

    /// An agent has connected that is not even asked who it is.
    pub fn refused(now: Now, options: &Options, id: SessionId, why: Verdict) -> Self {
        let mut session = Self::new(Kind::Agent, options, id, State::Verifying);
        session.handle_verdict(now, options, why);
        session
    }

    /// A backend has connected; its credential was checked with the upgrade.
    pub fn backend(now: Now, options: &Options, id: SessionId) -> Self {
        let mut session = Self::new(Kind::Backend, options, id, State::Closed);
        session.heard(now);
        session
    }

    fn new(kind: Kind, options: &Options, id: SessionId, state: State) -> Self {
        let Options { hb_ms, dead_ms, .. } = *options;
        Self { kind, id, state, hb_n: 0, hb_ms, dead_ms, outputs: VecDeque::new() }
    }

    /// The session's name.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// The next thing to do for this peer, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        let next = self.outputs.pop_front();
        if next.is_none() {
            // An idle session holds no memory for what it says.
            self.outputs = VecDeque::new();
        }
        next
    }

    /// Whether there is a next thing.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// When to call [`handle_time`](Self::handle_time); `None` when nothing is due.
    pub fn wake_at_ms(&self) -> Option<u64> {
        match self.state {
            State::AwaitHello { until_ms } => Some(until_ms),
            State::Open { heard_ms, hb_at_ms } => Some(hb_at_ms.min(heard_ms.saturating_add(self.dead_ms))),
            State::Verifying | State::Closed => None,
        }
    }

    /// Time has passed.
    pub fn handle_time(&mut self, now: Now) {
        match self.state {
            State::AwaitHello { until_ms } if now.ms >= until_ms => {
                self.close(close::PROTOCOL, "no hello in time")
            }
            State::Open { heard_ms, .. } if now.ms >= heard_ms.saturating_add(self.dead_ms) => {
                // 1001 "going away" (RFC 6455, section 7.4.1): nobody has broken a rule.
                self.close(1001, "silent for too long");
            }
            State::Open { heard_ms, hb_at_ms } if now.ms >= hb_at_ms => {
                self.state = State::Open { heard_ms, hb_at_ms: now.ms.saturating_add(self.hb_ms.max(1)) };
                self.hb_n += 1;
                let hb = Heartbeat {
                    n: self.hb_n,
                    relay_time_ms: Some(now.unix_ms),
                    rtt_ms: None,
                    extra: Default::default(),
                };
                self.send(words::frame(hb, None));
            }
            _ => {}
        }
    }

    /// The peer gave a sign of life that is not a message: a ping, a pong, a chunk.
    pub fn handle_alive(&mut self, now: Now) {
        if matches!(self.state, State::Open { .. }) {
            self.heard(now);
        }
    }

    /// A text frame has come, and was read.
    pub fn handle_frame<'a>(&mut self, now: Now, read: Result<Route<'a>, EnvelopeError>) -> Heard<'a> {
        let head = match read {
            Ok(head) => head,
            Err(error) => {
                self.refuse_text(now, &error);
                return Heard::Nothing;
            }
        };
        match self.state {
            State::AwaitHello { .. } => self.await_hello(&head),
            State::Verifying => {
                self.close(close::PROTOCOL, "a frame before the welcome");
                Heard::Nothing
            }
            State::Open { .. } => {
                self.heard(now);
                self.open(now, head)
            }
            State::Closed => Heard::Nothing,
        }
    }

    /// The claim was looked at.
    pub fn handle_verdict(&mut self, now: Now, options: &Options, verdict: Verdict) {
        if self.state != State::Verifying {
            return;
        }
        match verdict {
            Verdict::Welcome { owner } => {
                self.heard(now);
                let welcome = Welcome {
                    session_id: self.id.clone(),
                    owner: Address::Backend(owner),
                    hb_ms: options.hb_ms,
                    dead_ms: options.dead_ms,
                    window: options.window,
                    telem: options.telem.clone(),
                    relay_time_ms: now.unix_ms,
                    extra: Default::default(),
                };
                self.send(words::frame(Box::new(welcome), None));
            }
            Verdict::Reject { code, retry_after_ms, message } => {
                let (close_code, reason) = close_of(&code);
                let reject =
                    Reject { code, retry_after_ms, message: message.into(), extra: Default::default() };
                self.send(words::frame(reject, None));
                self.close(close_code, reason);
            }
        }
    }

    fn refuse_text(&mut self, now: Now, error: &EnvelopeError) {
        use EnvelopeError::{Json, TooLarge, Version};
        match (error, self.state) {
            (_, State::Closed) => {}
            (TooLarge(_), State::Open { .. }) => {
                self.heard(now);
                self.send(words::nack(None, NackCode::TooLarge, error.to_string()));
            }
            (Version(_), _) => self.close(close::UPGRADE_REQUIRED, "another version of the envelope"),
            (Json(_) | TooLarge(_), _) => self.close(close::PROTOCOL, "not an envelope"),
        }
    }

    fn await_hello<'a>(&mut self, head: &Route<'_>) -> Heard<'a> {
        if head.t != "hello" || !is_for_relay(head) {
            self.close(close::PROTOCOL, "the first frame has to be a hello");
            return Heard::Nothing;
        }
        let signed = split_signature(head.body);
        let (Ok(hello), Some((signed, sig))) = (serde_json::from_str::<Hello>(head.body), signed) else {
            self.close(close::PROTOCOL, "the hello cannot be read");
            return Heard::Nothing;
        };
        self.state = State::Verifying;
        Heard::Hello(Box::new(Claim { hello, signed, sig }))
    }

    fn open<'a>(&mut self, now: Now, head: Route<'a>) -> Heard<'a> {
        if is_for_relay(&head) {
            return self.for_relay(now, &head);
        }
        match head.to.map(str::parse::<Address>) {
            Some(Ok(to)) => Heard::Forward(head, to),
            _ => {
                self.send(words::nack(head.id, NackCode::BadField, "to"));
                Heard::Nothing
            }
        }
    }

    /// The only place that reads a body.
    fn for_relay<'a>(&mut self, now: Now, head: &Route<'_>) -> Heard<'a> {
        let body = Raw::parse(head.body.to_owned()).map_err(|error| error.to_string());
        let message = body.and_then(|body| Message::decode(head.t, &body).map_err(|error| error.to_string()));
        match (message, self.kind) {
            (Ok(Message::Hb(hb)), _) => {
                let relay_time_ms = Some(now.unix_ms);
                let ack = HeartbeatAck { n: hb.n, relay_time_ms, extra: Default::default() };
                self.send(words::frame(ack, head.id));
            }
            (Ok(Message::HbAck(_) | Message::Nack(_)), _) => {}
            (Ok(Message::Bye(_)), _) => self.close(1000, "bye"),
            (Ok(Message::Subscribe(subscribe)), Kind::Backend) => return Heard::Subscribe(subscribe),
            (Ok(Message::Hello(_)), Kind::Agent) => self.close(close::PROTOCOL, "a second hello"),
            (Ok(_), _) => self.send(words::nack(head.id, NackCode::UnknownType, head.t)),
            (Err(detail), _) => self.send(words::nack(head.id, NackCode::BadField, detail)),
        }
        Heard::Nothing
    }

    fn heard(&mut self, now: Now) {
        // Later than the peer's own heartbeat, which comes within 120 % of `hb_ms`.
        let hb_at_ms = now.ms.saturating_add(self.hb_ms / 4 * 5);
        self.state = State::Open { heard_ms: now.ms, hb_at_ms };
    }

    fn send(&mut self, frame: String) {
        self.outputs.push_back(Output::Send(frame));
    }

    fn close(&mut self, code: u16, reason: &'static str) {
        self.state = State::Closed;
        self.outputs.push_back(Output::Close(Farewell { code, reason }));
    }
}

fn is_for_relay(head: &Route<'_>) -> bool {
    head.to.is_none_or(|to| to == "relay")
}

fn close_of(code: &RejectCode) -> (u16, &'static str) {
    match code {
        RejectCode::Unpaired => (close::REVOKED, "unpaired"),
        RejectCode::Revoked => (close::REVOKED, "revoked"),
        RejectCode::KeyRetired => (close::REVOKED, "key retired"),
        RejectCode::CloneSuspected => (close::CLONE_SUSPECTED, "clone suspected"),
        RejectCode::ProtoUnsupported | RejectCode::UpdateRequired => {
            (close::UPGRADE_REQUIRED, "upgrade required")
        }
        RejectCode::Draining => (close::DRAIN, "draining"),
        RejectCode::RateLimited => (close::RATE_LIMITED, "rate limited"),
        RejectCode::CertRequired => (close::PROTOCOL, "client certificate required"),
        RejectCode::BadCert => (close::PROTOCOL, "bad client certificate"),
        RejectCode::BadSig | RejectCode::Unknown(_) => (close::PROTOCOL, "bad signature"),
    }
}
