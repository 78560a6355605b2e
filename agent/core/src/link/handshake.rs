//! The login: challenge, a signature from the shell, hello, then welcome or reject.

use std::time::Duration;

use sha2::{Digest, Sha256};
use spoolway_protocol::envelope::Envelope;
use spoolway_protocol::fault::Fault;
use spoolway_protocol::hello::{
    Binding, Challenge, EXPORTER_BYTES, Hello, Reject, RejectCode, Welcome, attach_signature, signed_bytes,
};
use spoolway_protocol::ids::{Address, MsgId};
use spoolway_protocol::limits::{
    EVENT_BYTES, EVENT_WINDOW_BYTES, EVENT_WINDOW_ITEMS, HANDSHAKE_MS, NONCE_BYTES,
};
use spoolway_protocol::message::Message;
use spoolway_protocol::raw::Raw;
use spoolway_protocol::version::PROTO;

use crate::moment::Moment;

/// What the shell knows about the connection before the relay speaks.
#[derive(Debug, Clone)]
pub struct HandshakeOptions {
    /// The host of the URL as it was dialled, without port; it is part of what is signed.
    pub host: String,
    /// Keying material exported from the TLS session; `None` without TLS.
    pub exporter: Option<[u8; EXPORTER_BYTES]>,
    /// Whether the pairing recorded that this relay binds nothing.
    pub allow_unbound: bool,
    /// How long the relay may take for each answer, in ms.
    pub timeout_ms: u64,
}

impl HandshakeOptions {
    /// A connection that has to be bound, with the usual patience.
    #[must_use]
    pub const fn new(host: String, exporter: Option<[u8; EXPORTER_BYTES]>) -> Self {
        Self { host, exporter, allow_unbound: false, timeout_ms: HANDSHAKE_MS }
    }
}

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}: {detail}")]
pub struct HandshakeFailure {
    /// The stable fault.
    pub fault: Fault,
    /// How long the relay wants the agent to stay away, in ms.
    pub retry_after_ms: Option<u64>,
    /// For a person.
    pub detail: String,
}

/// What the shell has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum HandshakeOutput {
    /// Sign these bytes with the agent's key and answer with [`Handshake::handle_signature`].
    Sign(Vec<u8>),
    /// Send this frame.
    Send(Box<Envelope>),
    /// The session stands; its numbers are within reason.
    Welcome(Box<Welcome>),
    /// There is no session; close the connection.
    Failed(HandshakeFailure),
    /// Nothing until then, or until a message arrives.
    Wait(Moment),
    /// The handshake is over.
    Over,
}

#[derive(Debug)]
enum State {
    AwaitChallenge,
    AwaitSignature { unsigned: String, re: Option<MsgId> },
    AwaitWelcome,
    Over,
}

/// One login on one connection.
#[derive(Debug)]
pub struct Handshake {
    options: HandshakeOptions,
    hello: Hello,
    state: State,
    deadline: Moment,
    output: Option<HandshakeOutput>,
}

impl Handshake {
    /// The connection stands. `hello` is complete but for its signature, and its `hello_ctr` is stored already.
    #[must_use]
    pub fn new(now: Moment, options: HandshakeOptions, hello: Hello) -> Self {
        let deadline = now + Duration::from_millis(options.timeout_ms);
        Self {
            options,
            hello: Hello { sig: None, ..hello },
            state: State::AwaitChallenge,
            deadline,
            output: None,
        }
    }

    /// A frame arrived. What does not belong here is ignored: a relay may say more than this version knows.
    pub fn handle_frame(&mut self, now: Moment, frame: &Envelope) {
        let message = match frame.message() {
            Ok(message) => message,
            Err(error) => return self.fail(Fault::RelayProto, None, error.to_string()),
        };
        match (&self.state, message) {
            (State::AwaitChallenge, Message::Challenge(challenge)) => {
                self.challenged(now, &challenge, frame.id.clone());
            }
            (State::AwaitWelcome, Message::Welcome(welcome)) => self.welcomed(*welcome),
            (State::Over, _) => {}
            (_, Message::Reject(reject)) => self.rejected(reject),
            (_, Message::Drain(drain)) => {
                self.fail(Fault::RelayUnreachable, Some(drain.within_ms), "the relay is draining".to_owned());
            }
            (_, Message::Bye(bye)) => self.fail(Fault::RelayUnreachable, None, bye.reason),
            _ => {}
        }
    }

    /// The shell has signed.
    pub fn handle_signature(&mut self, now: Moment, sig: &[u8]) {
        let State::AwaitSignature { unsigned, re } = std::mem::replace(&mut self.state, State::AwaitWelcome)
        else {
            self.state = State::Over;
            return self.fail(Fault::RelayProto, None, "a signature that nobody asked for".to_owned());
        };
        let body = attach_signature(&unsigned, sig).and_then(|body| Raw::parse(body).ok());
        let body = body.expect("a hello is an object with members, and base64 needs no escaping");
        let mut envelope = Envelope::new(&Message::Unknown { kind: "hello".to_owned(), data: body });
        envelope.to = Some(Address::Relay);
        envelope.re = re;
        self.deadline = now + Duration::from_millis(self.options.timeout_ms);
        self.output = Some(HandshakeOutput::Send(Box::new(envelope)));
    }

    /// What to do now.
    pub fn poll_output(&mut self, now: Moment) -> HandshakeOutput {
        if let Some(output) = self.output.take() {
            return output;
        }
        if matches!(self.state, State::Over) {
            return HandshakeOutput::Over;
        }
        if now < self.deadline {
            return HandshakeOutput::Wait(self.deadline);
        }
        self.fail(
            Fault::RelayUnreachable,
            None,
            format!("no answer to the login while {}", self.waiting_for()),
        );
        self.output.take().unwrap_or(HandshakeOutput::Over)
    }

    const fn waiting_for(&self) -> &'static str {
        match self.state {
            State::AwaitChallenge => "waiting for the challenge",
            State::AwaitSignature { .. } => "waiting for the agent's own signature",
            State::AwaitWelcome | State::Over => "waiting for the welcome",
        }
    }

    fn challenged(&mut self, now: Moment, challenge: &Challenge, re: Option<MsgId>) {
        let exporter = match self.check(challenge) {
            Ok(exporter) => exporter,
            Err((fault, detail)) => return self.fail(fault, None, detail.to_owned()),
        };
        PROTO.clone_into(&mut self.hello.proto);
        let unsigned = Raw::of(&self.hello).get().to_owned();
        let digest: [u8; 32] = Sha256::digest(&unsigned).into();
        let exporter = exporter.as_ref().map(<[u8; EXPORTER_BYTES]>::as_slice);
        let bytes = signed_bytes(&challenge.nonce.0, &self.options.host, exporter, &digest);
        self.state = State::AwaitSignature { unsigned, re };
        self.deadline = now + Duration::from_millis(self.options.timeout_ms);
        self.output = Some(HandshakeOutput::Sign(bytes));
    }

    /// The exporter to sign, if the challenge is one that may be answered.
    fn check(&self, challenge: &Challenge) -> Result<Option<[u8; EXPORTER_BYTES]>, (Fault, &'static str)> {
        if challenge.nonce.0.len() != NONCE_BYTES {
            return Err((Fault::RelayProto, "the challenge's nonce is not 32 bytes"));
        }
        if !challenge.proto.iter().any(|proto| proto == PROTO) {
            return Err((Fault::RelayProto, "the relay does not speak spoolway.v1"));
        }
        match (&challenge.binding, self.options.exporter) {
            (Binding::Exporter, Some(exporter)) => Ok(Some(exporter)),
            (Binding::Exporter, None) => Err((Fault::RelayBinding, "there is no TLS session to bind to")),
            (Binding::None, _) if self.options.allow_unbound => Ok(None),
            (Binding::None, _) => Err((
                Fault::RelayBinding,
                "the relay does not bind the login, and the pairing did not allow that",
            )),
            (Binding::Unknown(_), _) => {
                Err((Fault::RelayBinding, "the relay asks for a binding that is not known here"))
            }
        }
    }

    fn welcomed(&mut self, mut welcome: Welcome) {
        if !matches!(welcome.owner, Address::Backend(_)) {
            return self.fail(Fault::RelayProto, None, "the welcome names no backend as owner".to_owned());
        }
        welcome.hb_ms = welcome.hb_ms.clamp(1_000, 600_000);
        welcome.dead_ms = welcome.dead_ms.clamp(welcome.hb_ms * 2, 3_600_000);
        welcome.window.events = welcome.window.events.clamp(1, EVENT_WINDOW_ITEMS);
        welcome.window.bytes = welcome.window.bytes.clamp(EVENT_BYTES as u64, EVENT_WINDOW_BYTES);
        for interval in
            [&mut welcome.telem.idle_ms, &mut welcome.telem.printing_ms, &mut welcome.telem.watch_ms]
        {
            *interval = (*interval).clamp(100, 3_600_000);
        }
        self.state = State::Over;
        self.output = Some(HandshakeOutput::Welcome(Box::new(welcome)));
    }

    fn rejected(&mut self, reject: Reject) {
        let fault = match reject.code {
            RejectCode::Unpaired => Fault::RelayUnpaired,
            RejectCode::Revoked => Fault::RelayRevoked,
            RejectCode::KeyRetired => Fault::RelayKeyRetired,
            RejectCode::CloneSuspected => Fault::RelayCloneSuspected,
            RejectCode::BadSig => Fault::RelayBadSignature,
            RejectCode::CertRequired | RejectCode::BadCert => Fault::RelayClientCert,
            RejectCode::ProtoUnsupported | RejectCode::UpdateRequired => Fault::RelayProto,
            RejectCode::Draining | RejectCode::RateLimited | RejectCode::Unknown(_) => {
                Fault::RelayUnreachable
            }
        };
        let detail = format!("{}: {}", reject.code, reject.message);
        self.fail(fault, reject.retry_after_ms, detail);
    }

    fn fail(&mut self, fault: Fault, retry_after_ms: Option<u64>, detail: String) {
        self.state = State::Over;
        self.output = Some(HandshakeOutput::Failed(HandshakeFailure { fault, retry_after_ms, detail }));
    }
}

#[cfg(test)]
mod tests;
