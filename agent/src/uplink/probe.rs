//! A walk along the way to the relay by the uplink's own steps. It ends before the login, so that it takes nobody's session away.

use std::fmt;
use std::time::Duration;

use spoolway_agent_core::link::{Handshake, HandshakeOptions, HandshakeOutput};
use spoolway_protocol::hello::{Hello, OutboxCursor};
use spoolway_protocol::message::Message;
use spoolway_protocol::version::PROTO;
use spoolway_protocol::{AgentId, Epoch, Fault, Seq};

use super::RelaySettings;
use super::client_cert::Own;
use super::failure::{Failure, Stage};
use super::login::{receive, this_agent};
use super::socket::{self, Dialled};
use super::way::{Listener, signed_host};
use crate::clock::{Clock, machine_hash};
use crate::identity::key_id;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// How far it came.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// Every step that was made, and what was found on it.
    pub(crate) passed: Vec<(Stage, String)>,
    /// Where it ended, when it was before the end.
    pub(crate) ended: Option<Ended>,
    /// The relay's clock, in unix ms.
    pub(crate) relay_time_ms: Option<u64>,
}

/// Where a walk ended, and why.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) stage: Stage,
    pub(crate) fault: Fault,
    pub(crate) text: String,
}

impl Listener for Walk {
    fn passed(&mut self, stage: Stage, found: fmt::Arguments<'_>) {
        self.passed.push((stage, found.to_string()));
    }
}

/// Goes until the relay asks who is there, and does not answer.
pub(crate) async fn walk(relay: &RelaySettings, clock: &Clock, own: Option<Own>) -> Walk {
    let mut walk = Walk::default();
    if let Err(Failure { stage, fault, text, .. }) = go(relay, clock, own, &mut walk).await {
        walk.ended = Some(Ended { stage, fault, text });
    }
    walk
}

async fn go(relay: &RelaySettings, clock: &Clock, own: Option<Own>, walk: &mut Walk) -> Result<(), Failure> {
    let mut dialled = socket::dial(relay, clock, own, walk).await?;
    let asked = challenge(relay, clock, &mut dialled, walk).await;
    // Whether it is heard makes no difference any more.
    let _ = tokio::time::timeout(GOODBYE, dialled.socket.close(None)).await;
    asked
}

/// The login as far as the question that has to be signed, by the machine that logs in.
async fn challenge(
    relay: &RelaySettings,
    clock: &Clock,
    dialled: &mut Dialled,
    walk: &mut Walk,
) -> Result<(), Failure> {
    let options = HandshakeOptions {
        allow_unbound: relay.allow_unbound,
        ..HandshakeOptions::new(signed_host(&relay.url), Some(dialled.exporter))
    };
    let mut machine = Handshake::new(clock.now(), options, never_sent(clock));
    loop {
        match machine.poll_output(clock.now()) {
            HandshakeOutput::Sign(_) => {
                walk.passed(Stage::Login, format_args!("the relay asks who is there"));
                return Ok(());
            }
            HandshakeOutput::Failed(failure) => return Err(failure.into()),
            HandshakeOutput::Wait(until) => {
                let Some(frame) = receive(&mut dialled.socket, clock, until).await? else { continue };
                if let Ok(Message::Challenge(challenge)) = frame.message() {
                    walk.relay_time_ms = Some(challenge.relay_time_ms);
                }
                machine.handle_frame(clock.now(), &frame);
            }
            HandshakeOutput::Send(_) | HandshakeOutput::Welcome(_) | HandshakeOutput::Over => {
                return Err(Failure::unreachable(Stage::Login, "the relay asks nothing"));
            }
        }
    }
}

/// The machine wants a hello to sign; this one is of nobody.
fn never_sent(clock: &Clock) -> Hello {
    Hello {
        agent_id: AgentId::from_bytes([0; 16]),
        kid: key_id(&[]),
        proto: PROTO.to_owned(),
        hello_ctr: 0,
        boot_id: clock.boot_id().clone(),
        machine_hash: machine_hash(),
        agent: this_agent(),
        caps: Vec::new(),
        outbox: OutboxCursor {
            epoch: Epoch(0),
            next_seq: Seq(1),
            oldest_unacked: Seq(1),
            extra: Default::default(),
        },
        cmd_seq: Seq(0),
        printers: Vec::new(),
        extra: Default::default(),
        sig: None,
    }
}
