//! What waits for the socket, in the order of its worth, and the writer that takes it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::time::Duration;

use futures_util::stream::SplitSink;
use futures_util::{Sink, SinkExt};
use ring::rand::{SecureRandom, SystemRandom};
use spoolway_agent_core::moment::Moment;
use spoolway_protocol::envelope::Envelope;
use spoolway_protocol::session::{Nack, NackCode};
use spoolway_protocol::{Address, CmdId, FileId, Message, MsgId};
use tokio_tungstenite::tungstenite::{Error as WsError, Message as Frame};

use super::socket::Socket;
use crate::bus::Outbound;
use crate::clock::Clock;

/// Answers to the peer that may wait; the reader stops at half of them, the rest is for our own heartbeats.
const CONTROL: usize = 64;
/// Messages of the desk that may wait here; more of them wait in the channel.
const DESK: usize = 32;

/// Puts messages into envelopes.
pub(super) struct Mint {
    clock: Clock,
    random: SystemRandom,
    /// The owning backend.
    pub(super) owner: Address,
}

impl Mint {
    pub(super) fn new(clock: Clock, owner: Address) -> Self {
        Self { clock, random: SystemRandom::new(), owner }
    }

    /// A frame for the relay itself.
    pub(super) fn to_relay(&self, message: impl Into<Message>) -> Envelope {
        self.frame(&message.into(), Address::Relay)
    }

    /// A frame for the owner.
    pub(super) fn to_owner(&self, message: impl Into<Message>) -> Envelope {
        self.frame(&message.into(), self.owner.clone())
    }

    /// What is said about a file: its name stands in the head, so that a relay finds whoever sends it.
    pub(super) fn about(&self, file_id: &FileId, message: impl Into<Message>) -> Envelope {
        Envelope { re: MsgId::new(file_id.as_str()).ok(), ..self.to_owner(message) }
    }

    /// Telemetry: the latest of its slot wins, and the stamp tells of when it is.
    pub(super) fn ephemeral(&self, key: String, message: impl Into<Message>) -> Envelope {
        Envelope { key: Some(key), ts: Some(self.clock.stamp()), ..self.to_owner(message) }
    }

    /// A refusal of a peer's frame.
    pub(super) fn refusal(&self, to: Address, re: Option<MsgId>, code: NackCode, detail: String) -> Envelope {
        let nack = Nack { code, detail, extra: Default::default() };
        Envelope { re, ..self.frame(&nack.into(), to) }
    }

    fn frame(&self, message: &Message, to: Address) -> Envelope {
        Envelope { id: self.id(), ..Envelope::new(message).to(to) }
    }

    /// A UUID of version 7; without randomness a message has no name, which only means that it cannot be refused by name.
    fn id(&self) -> Option<MsgId> {
        let mut random = [0; 10];
        self.random.fill(&mut random).ok()?;
        MsgId::new(CmdId::from_parts(self.clock.unix_ms(), &random).to_string()).ok()
    }
}

/// What waits, by worth. Telemetry is not here: it is made when its turn comes, so that it is the latest.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    control: VecDeque<Envelope>,
    receipts: VecDeque<Envelope>,
    /// One batch: critical and info events keep the order of the outbox, which is what makes an ack cumulative.
    events: Option<Envelope>,
    credit: VecDeque<Envelope>,
}

impl Lanes {
    /// Heartbeats, their answers, refusals: a few bytes that keep the session alive.
    pub(super) fn push_control(&mut self, frame: Envelope) {
        if self.control.len() < CONTROL {
            self.control.push_back(frame);
        }
    }

    pub(super) fn push_desk(&mut self, message: Outbound, mint: &Mint) {
        match message {
            Outbound::Receipt(receipt) => self.receipts.push_back(mint.to_owner(receipt)),
            Outbound::Nack(nack) => self.receipts.push_back(mint.to_owner(nack)),
            Outbound::ChunkGet(get) => {
                let about = get.file_id.clone();
                self.credit.push_back(mint.about(&about, get));
            }
            Outbound::ChunkDone(done) => {
                let about = done.file_id.clone();
                self.credit.push_back(mint.about(&about, done));
            }
            Outbound::FileUrlRequest(ask) => self.credit.push_back(mint.to_owner(ask)),
        }
    }

    pub(super) fn put_events(&mut self, batch: Envelope) {
        self.events = Some(batch);
    }

    /// Whether the next batch may be put.
    pub(super) const fn wants_events(&self) -> bool {
        self.events.is_none()
    }

    /// Whether answers to a peer have room, so that it may be read on.
    pub(super) fn has_room_for_answers(&self) -> bool {
        self.control.len() < CONTROL / 2
    }

    pub(super) fn has_room_for_desk(&self) -> bool {
        self.receipts.len() + self.credit.len() < DESK
    }

    pub(super) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.receipts.is_empty() && self.events.is_none() && self.credit.is_empty()
    }

    /// The one that matters most.
    pub(super) fn pop(&mut self) -> Option<Envelope> {
        let first = self.control.pop_front().or_else(|| self.receipts.pop_front());
        first.or_else(|| self.events.take()).or_else(|| self.credit.pop_front())
    }
}

/// How far the writer came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The socket takes another frame.
    Room,
    /// Everything is on its way.
    Flushed,
}

/// The writing half.
pub(super) struct Writer {
    sink: SplitSink<Socket, Frame>,
    is_dirty: bool,
    /// Since when the socket has taken nothing although there was something to take.
    stuck_since: Option<Moment>,
}

impl Writer {
    pub(super) const fn new(sink: SplitSink<Socket, Frame>) -> Self {
        Self { sink, is_dirty: false, stuck_since: None }
    }

    /// Whether frames that were handed over may still be in memory.
    pub(super) const fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Since when it has been stuck, given that it has something to do.
    pub(super) fn stuck_since(&mut self, now: Moment) -> Moment {
        *self.stuck_since.get_or_insert(now)
    }

    /// There is nothing to do, so nothing is stuck.
    pub(super) const fn rest(&mut self) {
        self.stuck_since = None;
    }

    /// Waits for room when there is a frame to send, else until all is out. It may be dropped at any time.
    pub(super) async fn turn(&mut self, has_frame: bool) -> Result<Turn, WsError> {
        let turn = if has_frame {
            poll_fn(|cx| std::pin::Pin::new(&mut self.sink).poll_ready(cx)).await?;
            Turn::Room
        } else {
            self.sink.flush().await?;
            self.is_dirty = false;
            Turn::Flushed
        };
        self.stuck_since = None;
        Ok(turn)
    }

    /// Hands over a frame, after `turn` found room.
    pub(super) fn start(&mut self, frame: &Envelope) -> Result<(), WsError> {
        self.is_dirty = true;
        self.sink.start_send_unpin(Frame::text(frame.encode()))
    }

    /// Says the last words and closes, as far as that goes in so much time.
    pub(super) async fn close(&mut self, last: &Envelope, within: Duration) {
        let text = Frame::text(last.encode());
        let words = async {
            self.sink.send(text).await?;
            self.sink.close().await
        };
        match tokio::time::timeout(within, words).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the relay was left without a goodbye"),
            Err(_) => tracing::debug!("the relay did not take the goodbye in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use spoolway_protocol::Seq;
    use spoolway_protocol::command::CommandReceipt;
    use spoolway_protocol::session::Bye;
    use spoolway_protocol::transfer::ChunkGet;

    use super::*;

    fn mint() -> Mint {
        Mint::new(Clock::start().unwrap(), "b:farm".parse().unwrap())
    }

    fn bye() -> Bye {
        Bye { reason: String::new(), extra: Default::default() }
    }

    #[test]
    fn what_matters_more_goes_first() {
        let (mint, mut lanes) = (mint(), Lanes::default());
        let get = ChunkGet {
            file_id: "f".parse().unwrap(),
            stream: 1,
            offset: 0,
            len: 1,
            credit: 1,
            extra: Default::default(),
        };
        let cmd_id = CmdId::from_parts(1, &[0; 10]);
        let receipt = CommandReceipt { cmd_id, seq: Seq(1), dup: false, extra: Default::default() };
        lanes.push_desk(Outbound::ChunkGet(get), &mint);
        lanes.put_events(mint.to_owner(Message::Unknown { kind: "events".into(), data: Default::default() }));
        lanes.push_desk(Outbound::Receipt(receipt), &mint);
        lanes.push_control(mint.to_relay(bye()));
        let order: Vec<String> = std::iter::from_fn(|| lanes.pop()).map(|frame| frame.t).collect();
        assert_eq!(order, ["bye", "cmd.recv", "events", "chunk.get"]);
        assert!(lanes.is_empty() && lanes.wants_events());
    }

    #[test]
    fn a_peer_that_asks_too_much_is_read_no_further() {
        let (mint, mut lanes) = (mint(), Lanes::default());
        while lanes.has_room_for_answers() {
            lanes.push_control(mint.to_relay(bye()));
        }
        assert_eq!(lanes.control.len(), CONTROL / 2);
        (0..CONTROL).for_each(|_| lanes.push_control(mint.to_relay(bye())));
        assert_eq!(lanes.control.len(), CONTROL);
    }

    #[test]
    fn every_frame_has_a_name_of_its_own() {
        let mint = mint();
        let (first, second) = (mint.to_relay(bye()), mint.to_owner(bye()));
        assert_ne!(first.id, second.id);
        assert!(first.id.unwrap().as_str().parse::<CmdId>().is_ok());
        assert_eq!(second.to, Some(mint.owner.clone()));
    }
}
