//! A whole backend, as somebody else would write one: it offers a file to an agent and follows the print to its end.
//!
//! It knows the words of `spoolway-protocol` and nothing else of this repository; `docs/backend-guide.md` explains it step by
//! step. What a real backend keeps in its database is kept in [`Records`]; a relay may come and go at any time.

mod dial;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use spoolway_protocol::command::{Command, CommandReceipt, CommandStatus};
use spoolway_protocol::event::{CmdResult, Event, EventAck, EventData, Events, JobResult};
use spoolway_protocol::job::{JobState, OfferArgs};
use spoolway_protocol::limits::{CHUNK_PAYLOAD_BYTES, DEAD_MS};
use spoolway_protocol::raw::Extra;
use spoolway_protocol::session::{HeartbeatAck, Presence, PresenceState};
use spoolway_protocol::telemetry::Readings;
use spoolway_protocol::transfer::{Chunk, ChunkEnd, ChunkErr, ChunkErrCode, ChunkGet};
use spoolway_protocol::{Address, AgentId, Envelope, Epoch, Message, Seq};
use tokio_tungstenite::tungstenite;

pub use self::dial::{BackendError, Relay};
use self::dial::{Dialler, Socket};

/// The first wait before dialling again; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait before dialling again.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often a command without receipt is sent again while its agent is connected.
const RESEND_EVERY: Duration = Duration::from_secs(2);

/// What is to be printed where.
pub struct Print {
    /// The agent.
    pub agent: AgentId,
    /// A name for people.
    pub name: String,
    /// The file.
    pub bytes: Arc<[u8]>,
}

/// What happens on the way.
#[derive(Debug)]
pub enum Progress {
    /// The connection stands.
    Connected,
    /// It is gone, or could not be had; it is tried again.
    Disconnected(String),
    /// The agent came or went.
    Presence(Box<Presence>),
    /// The agent has stored a command.
    Receipt(CommandReceipt),
    /// So many bytes of the file have been sent.
    Sent(u64),
    /// An event that was not known before; each comes once.
    Event(Event),
    /// New readings of the printer; what is absent has not changed.
    Readings(Box<Readings>),
    /// Something did not fit; it was left out.
    Complaint(String),
}

/// How a print ended.
#[derive(Debug)]
pub enum Ending {
    /// With a result of its attempt.
    Result(Box<JobResult>),
    /// The agent did not take the job.
    Refused(Box<CmdResult>),
    /// The job ended before a line was printed.
    NeverStarted {
        /// Its last state.
        state: JobState,
        /// Why.
        reason: Option<String>,
    },
}

/// What has to outlive a crash of a real backend: it belongs into a database.
struct Records {
    /// The one command of this backend.
    errand: Errand,
    /// By agent and epoch: the last event up to which all are stored.
    stored: BTreeMap<(AgentId, Epoch), Seq>,
}

/// Where the command stands.
enum Errand {
    /// It has no number yet: the agent's cursor says where to go on counting.
    Unnumbered,
    /// It is sent until its receipt comes.
    Open {
        /// The same in every copy.
        command: Box<Command>,
        /// Whether the agent has stored it.
        is_received: bool,
    },
    /// Its result is known.
    Over,
}

/// The part of the file that was asked for.
struct Stream {
    id: u32,
    next: u64,
    ended: bool,
}

/// One backend with one print to bring about.
pub struct Backend<P> {
    dialler: Dialler,
    print: Print,
    offer: OfferArgs,
    records: Records,
    stream: Option<Stream>,
    is_up: bool,
    out: Vec<tungstenite::Message>,
    ending: Option<Ending>,
    progress: P,
}

impl<P: FnMut(Progress)> Backend<P> {
    /// A backend that is about to offer a print; `progress` hears of everything.
    ///
    /// # Errors
    /// The authority's certificate cannot be used.
    pub fn new(relay: Relay, print: Print, progress: P) -> Result<Self, BackendError> {
        Ok(Self {
            dialler: Dialler::new(relay)?,
            offer: words::offer_of(&print),
            print,
            records: Records { errand: Errand::Unnumbered, stored: BTreeMap::new() },
            stream: None,
            is_up: false,
            out: Vec::new(),
            ending: None,
            progress,
        })
    }

    /// Connects, again and again if need be, until the print has ended.
    ///
    /// # Errors
    /// Only what no second attempt would mend.
    pub async fn run(mut self) -> Result<Ending, BackendError> {
        let mut wait = FIRST_WAIT;
        loop {
            let why = match self.dialler.dial().await? {
                Ok(socket) => {
                    wait = FIRST_WAIT;
                    (self.progress)(Progress::Connected);
                    match self.serve(socket).await {
                        Ok(ending) => return Ok(ending),
                        Err(why) => why,
                    }
                }
                Err(why) => why.to_string(),
            };
            self.is_up = false;
            self.out.clear();
            (self.progress)(Progress::Disconnected(why));
            tokio::time::sleep(wait).await;
            wait = LONGEST_WAIT.min(wait * 2);
        }
    }

    /// One connection; an error says why it is over.
    async fn serve(&mut self, mut socket: Socket) -> Result<Ending, String> {
        let mut heard = Instant::now();
        let mut tick = tokio::time::interval(RESEND_EVERY);
        loop {
            for frame in self.out.drain(..) {
                socket.feed(frame).await.map_err(|error| error.to_string())?;
            }
            socket.flush().await.map_err(|error| error.to_string())?;
            if let Some(ending) = self.ending.take() {
                // The print is over either way; the relay notices a socket that is merely dropped, too.
                let _ = socket.close(None).await;
                return Ok(ending);
            }
            tokio::select! {
                frame = socket.next() => {
                    heard = Instant::now();
                    match frame {
                        Some(Ok(tungstenite::Message::Text(text))) => self.handle_text(&text),
                        Some(Ok(tungstenite::Message::Close(why))) => return Err(format!("closed: {why:?}")),
                        Some(Ok(_)) => {}
                        Some(Err(error)) => return Err(error.to_string()),
                        None => return Err("the connection ended".to_owned()),
                    }
                }
                _ = tick.tick() => {
                    if heard.elapsed() > Duration::from_millis(DEAD_MS) {
                        return Err("the relay is silent".to_owned());
                    }
                    if self.is_up {
                        self.send_command(None);
                    }
                }
            }
        }
    }

    /// A frame of the relay itself or of an agent. What is not known is left alone: newer peers may say more.
    fn handle_text(&mut self, text: &str) {
        let read = Envelope::parse(text).map_err(|error| error.to_string()).and_then(|envelope| {
            let message = envelope.message().map_err(|error| error.to_string())?;
            Ok((envelope.from, message))
        });
        match read {
            Ok((Some(Address::Relay) | None, message)) => self.handle_relay(message),
            Ok((Some(Address::Agent(agent)), message)) if agent == self.print.agent => {
                self.handle_agent(agent, message);
            }
            Ok(_) => {}
            Err(why) => (self.progress)(Progress::Complaint(why)),
        }
    }

    fn handle_relay(&mut self, message: Message) {
        match message {
            Message::Hb(hb) => {
                let ack = HeartbeatAck { n: hb.n, relay_time_ms: None, extra: Extra::default() };
                self.send(&Envelope::new(&ack.into()).to(Address::Relay));
            }
            Message::Presence(presence) if presence.agent == self.print.agent => {
                self.handle_presence(*presence)
            }
            Message::Nack(nack) => {
                (self.progress)(Progress::Complaint(format!("{}: {}", nack.code, nack.detail)));
            }
            _ => {}
        }
    }

    fn handle_agent(&mut self, agent: AgentId, message: Message) {
        match message {
            Message::Events(events) => self.handle_events(agent, events),
            Message::CmdRecv(receipt) => {
                if let Errand::Open { command, is_received } = &mut self.records.errand {
                    *is_received |= command.cmd_id == receipt.cmd_id;
                }
                (self.progress)(Progress::Receipt(receipt));
            }
            Message::Telem(telemetry) => (self.progress)(Progress::Readings(Box::new(telemetry.d))),
            Message::ChunkGet(get) => self.handle_chunk_get(agent, &get),
            Message::Nack(nack) => {
                (self.progress)(Progress::Complaint(format!("{}: {}", nack.code, nack.detail)));
            }
            _ => {}
        }
    }

    /// The agent has come: what it may have missed is said again.
    fn handle_presence(&mut self, presence: Presence) {
        self.is_up = presence.state == PresenceState::Up;
        self.stream = None;
        if self.is_up {
            if let Errand::Unnumbered = self.records.errand {
                let command = Box::new(words::command_of(&self.offer, &presence));
                self.records.errand = Errand::Open { command, is_received: false };
            }
            self.send_command(presence.cmd_seq);
            let epochs: Vec<_> = self.records.stored.keys().map(|(_, epoch)| *epoch).collect();
            epochs.into_iter().for_each(|epoch| self.send_ack(presence.agent, epoch));
        }
        (self.progress)(Progress::Presence(Box::new(presence)));
    }

    /// Sends the command unless the agent has it: by its receipt and, when it has just said so, by its cursor.
    fn send_command(&mut self, cmd_seq: Option<Seq>) {
        let Errand::Open { command, is_received } = &self.records.errand else { return };
        if *is_received && cmd_seq.is_none_or(|cmd_seq| command.seq <= cmd_seq) {
            return;
        }
        let message = Message::Cmd(command.clone());
        self.send(&Envelope::new(&message).to(Address::Agent(self.print.agent)));
    }

    /// Stores what is new, then acknowledges everything up to the last event without a hole before it.
    fn handle_events(&mut self, agent: AgentId, events: Events) {
        let Some(epoch) = events.items.first().map(|event| event.epoch) else { return };
        for event in events.items {
            let data = match event.decode() {
                Ok(data) => data,
                Err(error) => return (self.progress)(Progress::Complaint(error.to_string())),
            };
            // A gap stands for all events that were dropped up to its own place.
            let spans = if let EventData::Gap(gap) = &data { gap.dropped.max(1) } else { 1 };
            let first = event.seq.0.saturating_sub(spans - 1);
            // An epoch never seen before begins with what the agent still has of it.
            let before = Seq(first.saturating_sub(1));
            let stored = self.records.stored.entry((agent, event.epoch)).or_insert(before);
            if event.seq <= *stored {
                continue;
            }
            if before > *stored {
                break;
            }
            *stored = event.seq;
            self.notice(&event, data);
            (self.progress)(Progress::Event(event));
        }
        self.send_ack(agent, epoch);
    }

    fn send_ack(&mut self, agent: AgentId, epoch: Epoch) {
        if let Some(&seq) = self.records.stored.get(&(agent, epoch)) {
            let ack = EventAck { epoch, seq, extra: Extra::default() };
            self.send(&Envelope::new(&ack.into()).to(Address::Agent(agent)));
        }
    }

    /// Whether an event ends the print.
    fn notice(&mut self, event: &Event, data: EventData) {
        let is_ours = event.job_id.as_ref() == Some(&self.offer.job_id);
        match data {
            EventData::JobResult(result) if is_ours => self.ending = Some(Ending::Result(result)),
            EventData::JobState(now)
                if is_ours && now.to.is_terminal() && event.attempt.unwrap_or(0) == 0 =>
            {
                self.ending = Some(Ending::NeverStarted { state: now.to, reason: now.reason });
            }
            EventData::CmdResult(result) => {
                let Errand::Open { command, .. } = &self.records.errand else { return };
                if command.cmd_id == result.cmd_id {
                    self.records.errand = Errand::Over;
                    let is_done = result.status == CommandStatus::Done;
                    self.ending = (!is_done).then(|| Ending::Refused(Box::new(result)));
                }
            }
            _ => {}
        }
    }

    /// Sends what the credit allows, and nothing twice on one stream.
    fn handle_chunk_get(&mut self, agent: AgentId, get: &ChunkGet) {
        let size = self.print.bytes.len() as u64;
        let wrong = if get.file_id != self.offer.file.file_id {
            Some(ChunkErrCode::NotFound)
        } else {
            (get.offset > size).then_some(ChunkErrCode::BadRange)
        };
        if let Some(code) = wrong {
            let error = ChunkErr { stream: get.stream, code, detail: String::new(), extra: Extra::default() };
            return self.send(&Envelope::new(&error.into()).to(Address::Agent(agent)));
        }
        let known = self.stream.take().filter(|stream| stream.id == get.stream);
        let mut stream = known.unwrap_or(Stream { id: get.stream, next: get.offset, ended: false });
        let end = get.offset.saturating_add(get.len).min(size);
        let border = get.offset.saturating_add(u64::from(get.credit) * CHUNK_PAYLOAD_BYTES as u64);
        while stream.next < end.min(border) {
            let until = end.min(stream.next + CHUNK_PAYLOAD_BYTES as u64);
            let payload = &self.print.bytes[stream.next as usize..until as usize];
            let chunk = Chunk { to: *agent.as_bytes(), stream: stream.id, offset: stream.next, payload };
            let frame = chunk.encode().expect("1 byte to 64 KiB within the file make a chunk");
            self.out.push(tungstenite::Message::Binary(frame.into()));
            stream.next = until;
        }
        (self.progress)(Progress::Sent(stream.next));
        if stream.next >= end && !stream.ended {
            stream.ended = true;
            let sha256 = Some(self.offer.file.sha256);
            let over = ChunkEnd { stream: stream.id, size, sha256, extra: Extra::default() };
            self.send(&Envelope::new(&over.into()).to(Address::Agent(agent)));
        }
        self.stream = Some(stream);
    }

    fn send(&mut self, envelope: &Envelope) {
        self.out.push(tungstenite::Message::Text(envelope.encode().into()));
    }
}
