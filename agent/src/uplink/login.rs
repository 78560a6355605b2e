//! The login on a fresh connection: a hello from what the agent knows of itself, and the shell of the handshake machine.

use std::path::Path;
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
const BOARD: &str = "proc/device-tree/model";
/// Who has made a PC, and what it is called (DMI); both can be read by everybody, unlike serial numbers.
const PC: [&str; 2] = ["sys/class/dmi/id/sys_vendor", "sys/class/dmi/id/product_name"];
/// What stands there where nobody has filled it in.
const UNFILLED: [&str; 5] = ["to be filled", "default string", "system ", "not ", "o.e.m"];
/// Longest name of a machine.
const MODEL_CHARS: usize = 80;

/// This program and the machine it runs on.
#[must_use]
pub fn this_agent() -> AgentInfo {
    AgentInfo {
        ver: env!("CARGO_PKG_VERSION").to_owned(),
        build: option_env!("SPOOLWAY_BUILD").unwrap_or("local").to_owned(),
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        model: model(Path::new("/")),
        extra: Default::default(),
    }
}

/// What the machine is called; empty where nothing says so.
fn model(root: &Path) -> String {
    let said = |file: &str| {
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        let text = text.trim_end_matches('\0').trim().to_owned();
        let is_filled = !UNFILLED.iter().any(|word| text.to_ascii_lowercase().starts_with(word));
        if is_filled { text } else { String::new() }
    };
    let board = said(BOARD);
    let name = if board.is_empty() { PC.map(said).join(" ").trim().to_owned() } else { board };
    name.chars().take(MODEL_CHARS).collect()
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
    fn a_machine_is_called_what_its_board_or_its_maker_says() {
        let root = tempfile::tempdir().unwrap();
        let called = |files: &[(&str, &str)]| {
            for (file, text) in files {
                let path = root.path().join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            model(root.path())
        };
        assert_eq!(called(&[]), "");
        let unfilled = [(PC[0], "Default string\n"), (PC[1], "To Be Filled By O.E.M.\n")];
        assert_eq!(called(&unfilled), "");
        assert_eq!(called(&[(PC[1], "NUC8i5BEH\n")]), "NUC8i5BEH");
        assert_eq!(called(&[(PC[0], "Intel\n")]), "Intel NUC8i5BEH");
        assert_eq!(called(&[(PC[0], &"x".repeat(99))]).len(), MODEL_CHARS);
        assert_eq!(called(&[(BOARD, "Raspberry Pi 4 Model B Rev 1.5\0")]), "Raspberry Pi 4 Model B Rev 1.5");
    }

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
