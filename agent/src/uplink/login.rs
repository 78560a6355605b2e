//! The login on a fresh connection: a hello from what the agent knows of itself, and the shell of the handshake machine.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use spoolway_agent_core::link::{Handshake, HandshakeOptions, HandshakeOutput};
use spoolway_agent_core::moment::Moment;
use spoolway_protocol::envelope::Envelope;
use spoolway_protocol::hello::{AgentInfo, Hello, OutboxCursor, Welcome};
use spoolway_protocol::ids::KeyId;
use spoolway_protocol::version::PROTO;
use spoolway_protocol::{Epoch, Fault, Seq};
use tokio_tungstenite::tungstenite::Message as Frame;

use super::UplinkParts;
use super::failure::{Failure, Stage};
use super::socket::{Dialled, Socket};
use super::way::signed_host;
use crate::clock::{Clock, machine_hash};
use crate::identity::{Identity, Key};
use crate::store::OutboxStatus;

/// The board's name on a Raspberry Pi (the device tree's `model`, which ends in a zero byte).
const MODEL: &str = "/proc/device-tree/model";

/// This program and the machine it runs on.
#[must_use]
pub fn this_agent() -> AgentInfo {
    let model = std::fs::read_to_string(MODEL).unwrap_or_default();
    AgentInfo {
        ver: env!("CARGO_PKG_VERSION").to_owned(),
        build: option_env!("SPOOLWAY_BUILD").unwrap_or("local").to_owned(),
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        model: model.trim_end_matches('\0').trim().to_owned(),
        extra: Default::default(),
    }
}

/// Logs in on a connection that stands.
pub(super) async fn login(
    parts: &UplinkParts,
    key: &Key,
    dialled: &mut Dialled,
) -> Result<Box<Welcome>, Failure> {
    let hello = hello(parts, key.kid()).await?;
    let options = HandshakeOptions {
        allow_unbound: parts.relay.allow_unbound,
        ..HandshakeOptions::new(signed_host(&parts.relay.url), Some(dialled.exporter))
    };
    let mut machine = Handshake::new(parts.clock.now(), options, hello);
    let socket = &mut dialled.socket;
    loop {
        match machine.poll_output(parts.clock.now()) {
            HandshakeOutput::Sign(bytes) => {
                machine.handle_signature(parts.clock.now(), &key.sign(&bytes));
            }
            HandshakeOutput::Send(frame) => send(socket, &frame).await?,
            HandshakeOutput::Welcome(welcome) => return Ok(welcome),
            HandshakeOutput::Failed(failure) => return Err(failure.into()),
            HandshakeOutput::Wait(until) => {
                if let Some(frame) = receive(socket, &parts.clock, until).await? {
                    machine.handle_frame(parts.clock.now(), &frame);
                }
            }
            HandshakeOutput::Over => {
                return Err(Failure::unreachable(Stage::Login, "the login ended without a verdict"));
            }
        }
    }
}

async fn send(socket: &mut Socket, frame: &Envelope) -> Result<(), Failure> {
    let sent = socket.send(Frame::text(frame.encode())).await;
    sent.map_err(|error| Failure::unreachable(Stage::Login, format!("the connection broke: {error}")))
}

/// The next envelope; `None` when the time is up or something else came.
pub(super) async fn receive(
    socket: &mut Socket,
    clock: &Clock,
    until: Moment,
) -> Result<Option<Envelope>, Failure> {
    let patience = until.since(clock.now());
    let Ok(next) = tokio::time::timeout(patience, socket.next()).await else { return Ok(None) };
    match next {
        Some(Ok(Frame::Text(text))) => Envelope::parse(&text)
            .map(Some)
            .map_err(|error| Failure::new(Stage::Login, Fault::RelayProto, error.to_string())),
        Some(Ok(Frame::Close(Some(close)))) => {
            Err(Failure::closed(Stage::Login, close.code.into(), &close.reason))
        }
        Some(Ok(Frame::Close(None))) | None => {
            Err(Failure::unreachable(Stage::Login, "the relay closed the connection"))
        }
        Some(Ok(_)) => Ok(None),
        Some(Err(error)) => Err(Failure::unreachable(Stage::Login, format!("the connection broke: {error}"))),
    }
}

async fn hello(parts: &UplinkParts, kid: KeyId) -> Result<Hello, Failure> {
    let status = parts.store.outbox_status().await;
    let status = status.map_err(|error| Failure::unreachable(Stage::Store, error.to_string()))?;
    let state = parts.hello.borrow().clone();
    Ok(Hello {
        agent_id: parts.identity.agent_id(),
        kid,
        proto: PROTO.to_owned(),
        hello_ctr: counter(&parts.identity, parts.clock.unix_ms()).await?,
        boot_id: parts.clock.boot_id().clone(),
        machine_hash: machine_hash(),
        agent: parts.agent.clone(),
        caps: Vec::new(),
        outbox: cursor(&status),
        cmd_seq: Seq(state.cmd_seq),
        printers: state.printers,
        extra: Default::default(),
        sig: None,
    })
}

/// The counter is on the disk when it is used, and a disk may take its time.
async fn counter(identity: &Arc<Identity>, now_ms: u64) -> Result<u64, Failure> {
    let identity = Arc::clone(identity);
    let counted = tokio::task::spawn_blocking(move || identity.next_hello_ctr(now_ms)).await;
    counted.map_err(|error| Failure::unreachable(Stage::Store, error.to_string()))
}

fn cursor(status: &OutboxStatus) -> OutboxCursor {
    let oldest_unacked = match status.oldest_unacked {
        None => status.next_seq,
        Some(oldest) if oldest.epoch == status.epoch => oldest.seq,
        // An ack takes every earlier epoch along, so nothing of this one was acked yet.
        Some(_) => 1,
    };
    OutboxCursor {
        epoch: Epoch(status.epoch),
        next_seq: Seq(status.next_seq),
        oldest_unacked: Seq(oldest_unacked),
        extra: Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Dropped, Position};

    #[test]
    fn cursors_speak_of_the_epoch_in_force() {
        let at = |oldest_unacked| OutboxStatus {
            epoch: 3,
            next_seq: 9,
            oldest_unacked,
            critical_bytes: 0,
            info_bytes: 0,
            dropped: Dropped::default(),
        };
        for (oldest, seq) in [(None, 9), (Some((3, 7)), 7), (Some((2, 40)), 1)] {
            let oldest = oldest.map(|(epoch, seq)| Position { epoch, seq });
            assert_eq!(cursor(&at(oldest)).oldest_unacked, Seq(seq), "{oldest:?}");
        }
    }
}
