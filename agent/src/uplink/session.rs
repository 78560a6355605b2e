//! One session: a reader that may be held up by the desk, a writer that may be held up by the network, and neither by the other.

mod hold;
mod leave;

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use spoolway_agent_core::backoff::Jitter;
use spoolway_agent_core::link::{Heartbeats, HeartbeatsOutput};
use spoolway_agent_core::moment::Moment;
use spoolway_protocol::envelope::Envelope;
use spoolway_protocol::hello::Welcome;
use spoolway_protocol::session::{Bye, Heartbeat, HeartbeatAck};
use spoolway_protocol::{AgentId, Message};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::{Error as WsError, Message as Frame};
use tokio_util::sync::CancellationToken;

use super::away::Away;
use super::events::{Events, EventsOutput};
use super::failure::{Failure, Retry, Stage};
use super::incoming::{self, Arrival};
use super::outgoing::{Lanes, Mint, Turn, Writer};
use super::pace::Pace;
use super::socket::Socket;
use super::stops::Stops;
use super::telemetry::Coalescer;
use super::{End, UplinkParts};
use crate::bus::{Inbound, Outbound, Wishes};
use crate::clock::Clock;
use crate::health::Promise;
use leave::Leave;

/// How long a goodbye may take.
pub(super) const FAREWELL: Duration = Duration::from_millis(500);

/// The desk's ends of the channels.
pub(super) struct Ports<'a> {
    inbound: &'a mpsc::Sender<Inbound>,
    outbound: &'a mut mpsc::Receiver<Outbound>,
    wishes: &'a mut watch::Receiver<Wishes>,
}

/// What outlives sessions.
pub(super) struct Lasting<'a> {
    /// On their way to the owner.
    pub(super) events: &'a mut Events,
    /// Those that have been carried out.
    pub(super) stops: &'a mut Stops,
    /// What is measured.
    pub(super) away: &'a mut Away,
}

/// A session that stands.
pub(super) struct Session<'a> {
    agent: AgentId,
    clock: &'a Clock,
    events: &'a mut Events,
    stops: &'a mut Stops,
    away: &'a mut Away,
    ports: Ports<'a>,
    promise: Promise,
    mint: Mint,
    lanes: Lanes,
    writer: Writer,
    reader: SplitStream<Socket>,
    /// What arrived and has no room at the desk yet.
    held: VecDeque<Inbound>,
    heartbeats: Heartbeats,
    telemetry: Coalescer,
    jitter: Jitter,
    dead: Duration,
    leave: Option<Leave>,
    /// The owner was heard.
    has_served: bool,
}

/// What the session waits for.
struct Plan {
    wake: Moment,
    has_frame: bool,
}

enum Happened {
    Stopped,
    Wrote(Result<Turn, WsError>),
    Read(Option<Result<Frame, WsError>>),
    Delivered(bool),
    Said(Option<Outbound>),
    Measured,
    Wished,
    Changed,
}

impl<'a> Session<'a> {
    /// A session begins with the relay's welcome.
    pub(super) fn new(
        parts: &'a mut UplinkParts,
        Lasting { events, stops, away }: Lasting<'a>,
        socket: Socket,
        welcome: Welcome,
        seed: u64,
    ) -> Self {
        let (sink, reader) = socket.split();
        let now = parts.clock.now();
        let pace = Pace::new(welcome.telem, parts.wishes.borrow_and_update().clone());
        events.handle_connected(welcome.window);
        let telemetry = Coalescer::new(parts.printer_id.clone(), pace, away.handle_up(events));
        let mut session = Self {
            agent: parts.identity.agent_id(),
            mint: Mint::new(parts.clock.clone(), welcome.owner),
            clock: &parts.clock,
            events,
            stops,
            lanes: Lanes::default(),
            writer: Writer::new(sink),
            reader,
            held: VecDeque::from([Inbound::Connected]),
            heartbeats: Heartbeats::new(now, welcome.hb_ms, welcome.dead_ms, seed),
            telemetry,
            away,
            jitter: Jitter::new(seed),
            dead: Duration::from_millis(welcome.dead_ms),
            leave: None,
            has_served: false,
            promise: parts.promise.clone(),
            ports: Ports {
                inbound: &parts.inbound,
                outbound: &mut parts.outbound,
                wishes: &mut parts.wishes,
            },
        };
        session.forget_old_credit();
        session
    }

    /// Carries until the session ends, then tells the desk. Returns as well whether the owner was heard.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> (End, bool) {
        let end = loop {
            self.promise.within(self.dead);
            let happened = match self.plan() {
                Ok(plan) => self.next(stop, &plan).await,
                Err(end) => break end,
            };
            if let Err(end) = self.handle(happened) {
                break end;
            }
        };
        match &end {
            End::Stopped => self.farewell("the agent stops").await,
            End::Lost(Failure { retry: Retry::At(_), .. }) => self.farewell("the relay drains").await,
            End::Lost(_) | End::DeskGone => {}
        }
        self.events.handle_disconnected();
        // What follows a stop is no outage.
        if !matches!(end, End::Stopped) {
            let (latest, untold) = self.telemetry.take_untold();
            self.away.handle_down(latest, untold);
        }
        // A desk that has not heard of the beginning need not hear of the end.
        if !self.held.iter().any(|held| matches!(held, Inbound::Connected)) {
            tokio::select! {
                _ = self.ports.inbound.send(Inbound::Disconnected) => {}
                () = stop.cancelled() => drop(self.ports.inbound.try_send(Inbound::Disconnected)),
            }
        }
        (end, self.has_served)
    }

    /// A request for a piece of a file belongs to the session that it was made in; receipts are welcome in any.
    fn forget_old_credit(&mut self) {
        while self.lanes.has_room_for_desk() {
            match self.ports.outbound.try_recv() {
                Ok(Outbound::ChunkGet(_) | Outbound::FileUrlRequest(_)) => {}
                Ok(message) => self.lanes.push_desk(message, &self.mint),
                Err(_) => return,
            }
        }
    }

    /// Asks every machine what is to be done now and until when nothing is.
    fn plan(&mut self) -> Result<Plan, End> {
        let now = self.clock.now();
        let leave = self.leave.map_or(now + self.dead, |leave| leave.at);
        if now >= leave {
            return Err(self.lost("the relay drains"));
        }
        let mut wake = leave.min(self.keep_alive(now)?);
        if let Some(until) = self.fill_batch(now) {
            wake = wake.min(until);
        }
        let is_sending = !self.lanes.is_empty() || self.writer.is_dirty();
        let telemetry_due = if is_sending { self.telemetry.due_along() } else { self.telemetry.due() };
        let has_frame = !self.lanes.is_empty() || telemetry_due.is_some_and(|due| due <= now);
        wake = telemetry_due.filter(|&due| due > now).map_or(wake, |due| wake.min(due));
        wake = self.stuck_at(now, has_frame)?.map_or(wake, |stuck| wake.min(stuck));
        Ok(Plan { wake, has_frame })
    }

    /// Takes the next batch of events when the last one is out. Returns when there may be another one.
    fn fill_batch(&mut self, now: Moment) -> Option<Moment> {
        while self.lanes.wants_events() {
            let body = match self.events.poll_output(now) {
                EventsOutput::Send(body) => body,
                EventsOutput::Wait(until) => return until,
            };
            let batch = self.mint.to_owner(Message::Unknown { kind: "events".to_owned(), data: body });
            self.events.handle_sent(batch.id.as_ref());
            self.lanes.put_events(batch);
        }
        None
    }

    /// When the writer counts as stuck, if it has anything to do.
    fn stuck_at(&mut self, now: Moment, has_frame: bool) -> Result<Option<Moment>, End> {
        if !has_frame && !self.writer.is_dirty() {
            self.writer.rest();
            return Ok(None);
        }
        let limit = self.writer.stuck_since(now) + self.dead;
        if now >= limit { Err(self.lost("the relay does not read")) } else { Ok(Some(limit)) }
    }

    /// Sends signs of life, and judges the peer's.
    fn keep_alive(&mut self, now: Moment) -> Result<Moment, End> {
        // Whoever is not read cannot be blamed for being silent; a peer that is gone still shows in the writes.
        if !self.reads() {
            self.heartbeats.handle_heard(now);
        }
        loop {
            match self.heartbeats.poll_output(now) {
                HeartbeatsOutput::Send(beat) => self.lanes.push_control(self.mint.to_relay(beat)),
                HeartbeatsOutput::Wait(until) => return Ok(until),
                HeartbeatsOutput::Dead { silent_ms } => {
                    return Err(self.lost(format!("the relay was silent for {} s", silent_ms / 1_000)));
                }
            }
        }
    }

    /// Whether the socket is read on.
    fn reads(&self) -> bool {
        self.lanes.has_room_for_answers()
    }

    async fn next(&mut self, stop: &CancellationToken, plan: &Plan) -> Happened {
        let (reads, hears_desk) = (self.reads(), self.lanes.has_room_for_desk());
        let writes = plan.has_frame || self.writer.is_dirty();
        tokio::select! {
            () = stop.cancelled() => Happened::Stopped,
            turn = self.writer.turn(plan.has_frame), if writes => Happened::Wrote(turn),
            frame = self.reader.next(), if reads => Happened::Read(frame),
            room = self.ports.inbound.reserve(), if !self.held.is_empty() => {
                let is_there = room.is_ok();
                if let (Ok(room), Some(message)) = (room, self.held.pop_front()) {
                    room.send(message);
                }
                Happened::Delivered(is_there)
            }
            said = self.ports.outbound.recv(), if hears_desk => Happened::Said(said),
            () = self.away.changed() => Happened::Measured,
            Ok(()) = self.ports.wishes.changed() => Happened::Wished,
            () = self.events.changed() => Happened::Changed,
            () = tokio::time::sleep(plan.wake.since(self.clock.now())) => Happened::Changed,
        }
    }

    fn handle(&mut self, happened: Happened) -> Result<(), End> {
        match happened {
            Happened::Stopped => Err(End::Stopped),
            Happened::Wrote(Ok(Turn::Room)) => self.send_next(),
            Happened::Wrote(Err(error)) => Err(self.lost(format!("the connection broke: {error}"))),
            Happened::Read(frame) => self.read(frame),
            Happened::Delivered(true) | Happened::Changed | Happened::Wrote(Ok(Turn::Flushed)) => Ok(()),
            Happened::Delivered(false) | Happened::Said(None) => Err(End::DeskGone),
            Happened::Said(Some(message)) => {
                self.lanes.push_desk(message, &self.mint);
                Ok(())
            }
            Happened::Measured => {
                self.telemetry.handle_measured(self.away.latest());
                Ok(())
            }
            Happened::Wished => {
                let wishes = self.ports.wishes.borrow_and_update().clone();
                self.telemetry.handle_wishes(wishes);
                Ok(())
            }
        }
    }

    /// Chooses what matters most at the moment at which the socket takes it.
    fn send_next(&mut self) -> Result<(), End> {
        let now = self.clock.now();
        let Some(frame) = self.lanes.pop().or_else(|| self.measured(now)) else { return Ok(()) };
        tracing::trace!(t = frame.t, "sent");
        self.heartbeats.handle_sent(now);
        self.writer.start(&frame).map_err(|error| self.lost(format!("the connection broke: {error}")))
    }

    fn measured(&mut self, now: Moment) -> Option<Envelope> {
        let telemetry = self.telemetry.take(now, self.writer.is_dirty())?;
        Some(self.mint.ephemeral(telemetry.printer_id.to_string(), Box::new(telemetry)))
    }

    fn read(&mut self, frame: Option<Result<Frame, WsError>>) -> Result<(), End> {
        self.heartbeats.handle_heard(self.clock.now());
        match frame {
            Some(Ok(Frame::Text(text))) => self.arrived(incoming::text(&text, &self.mint.owner)),
            Some(Ok(Frame::Binary(bytes))) => {
                self.arrived(incoming::binary(&bytes, &self.agent, &self.mint.owner))
            }
            Some(Ok(Frame::Close(Some(close)))) => {
                // Whoever is sent away does not come back at once, whatever was said before.
                self.has_served = false;
                Err(self.gone(Failure::closed(Stage::Session, close.code.into(), &close.reason)))
            }
            Some(Ok(Frame::Close(None))) | None => Err(self.lost("the relay closed the connection")),
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(self.lost(format!("the connection broke: {error}"))),
        }
    }

    fn arrived(&mut self, arrival: Arrival) -> Result<(), End> {
        let now = self.clock.now();
        self.has_served |= matches!(arrival, Arrival::Desk(_) | Arrival::Ack(_));
        if matches!(arrival, Arrival::Desk(_) | Arrival::Watch(_)) {
            self.events.handle_owner_heard();
        }
        match arrival {
            Arrival::Desk(message) => self.hold(message),
            Arrival::Ack(ack) => self.events.handle_ack(now, &ack),
            Arrival::Nack { re, nack } => {
                if self.events.handle_nack(now, re.as_ref()) {
                    tracing::debug!(code = %nack.code, "events were refused; they are sent again");
                } else {
                    self.hold(Inbound::Nack(nack));
                }
            }
            Arrival::Watch(watch) => self.telemetry.handle_watch(now, &watch),
            Arrival::Beat(beat) => self.answer(&beat),
            Arrival::BeatAck(ack) => {
                self.heartbeats.handle_ack(now, ack.n, ack.relay_time_ms);
                self.learn_time(ack.relay_time_ms);
            }
            Arrival::Drain(drain) => self.drain(now, &drain),
            Arrival::Over(failure) => return Err(self.gone(failure)),
            Arrival::Refuse { to, re, code, detail } => {
                tracing::debug!(%code, detail, "a frame was refused");
                self.lanes.push_control(self.mint.refusal(to, re, code, detail));
            }
            Arrival::Nothing => {}
        }
        Ok(())
    }

    fn answer(&mut self, beat: &Heartbeat) {
        self.learn_time(beat.relay_time_ms);
        let ack = HeartbeatAck { n: beat.n, relay_time_ms: None, extra: Default::default() };
        self.lanes.push_control(self.mint.to_relay(ack));
    }

    fn learn_time(&self, relay_time_ms: Option<u64>) {
        if let Some(unix_ms) = relay_time_ms {
            self.clock.learn_relay_time(unix_ms);
        }
    }

    async fn farewell(&mut self, reason: &str) {
        let bye = Bye { reason: reason.to_owned(), extra: Default::default() };
        self.writer.close(&self.mint.to_relay(bye), FAREWELL).await;
    }
}
