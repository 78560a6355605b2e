//! A whole backend, as somebody else would write one: it offers a file to an agent and follows the print to its end.
//!
//! It knows the words of `spoolway-protocol` and nothing else of this repository; `docs/backend-guide.md` explains it step by
//! step. The relay may come and go at any time. What has to outlive this process, too, a real backend keeps in its
//! database: the offer, its command and how far that has come, the events, and up to where they are stored.

mod dial;
mod file;
mod ledger;
mod words;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use spoolway_protocol::command::{Command, CommandReceipt, CommandStatus};
use spoolway_protocol::event::{CmdResult, Event, EventData, Events, JobResult};
use spoolway_protocol::job::{JobState, OfferArgs};
use spoolway_protocol::limits::DEAD_MS;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::session::{HeartbeatAck, Presence, PresenceState};
use spoolway_protocol::telemetry::Readings;
use spoolway_protocol::transfer::ChunkGet;
use spoolway_protocol::{Address, AgentId, Envelope, Message, Seq};
use tokio_tungstenite::tungstenite;

pub use self::dial::{BackendError, Relay};
use self::dial::{Dialler, Socket};
use self::file::{Frame, OutgoingFile};
use self::ledger::{Ledger, Taken};

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

/// One backend with one print to bring about.
pub struct Backend<P> {
    dialler: Dialler,
    agent: AgentId,
    offer: OfferArgs,
    file: OutgoingFile,
    errand: Errand,
    ledger: Ledger,
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
        let offer = words::offer_of(&print);
        Ok(Self {
            dialler: Dialler::new(relay)?,
            agent: print.agent,
            file: OutgoingFile::new(offer.file.file_id.clone(), print.bytes, offer.file.sha256),
            offer,
            errand: Errand::Unnumbered,
            ledger: Ledger::default(),
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
            Ok((Some(Address::Agent(agent)), message)) if agent == self.agent => {
                self.handle_agent(message);
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
            Message::Presence(presence) if presence.agent == self.agent => self.handle_presence(*presence),
            Message::Nack(nack) => {
                (self.progress)(Progress::Complaint(format!("{}: {}", nack.code, nack.detail)));
            }
            _ => {}
        }
    }

    fn handle_agent(&mut self, message: Message) {
        match message {
            Message::Events(events) => self.handle_events(events),
            Message::CmdRecv(receipt) => {
                if let Errand::Open { command, is_received } = &mut self.errand {
                    *is_received |= command.cmd_id == receipt.cmd_id;
                }
                (self.progress)(Progress::Receipt(receipt));
            }
            Message::Telem(telemetry) => (self.progress)(Progress::Readings(Box::new(telemetry.d))),
            Message::ChunkGet(get) => self.handle_chunk_get(&get),
            Message::Nack(nack) => {
                (self.progress)(Progress::Complaint(format!("{}: {}", nack.code, nack.detail)));
            }
            _ => {}
        }
    }

    /// The agent has come: what it may have missed is said again.
    fn handle_presence(&mut self, presence: Presence) {
        self.is_up = presence.state == PresenceState::Up;
        if self.is_up {
            self.file.forget_stream();
            if let Errand::Unnumbered = self.errand {
                let command = Box::new(words::command_of(&self.offer, &presence));
                self.errand = Errand::Open { command, is_received: false };
            }
            self.send_command(presence.cmd_seq);
            self.send_acks();
        }
        (self.progress)(Progress::Presence(Box::new(presence)));
    }

    /// Sends the command unless the agent has it: by its receipt and, when it has just said so, by its cursor.
    fn send_command(&mut self, cmd_seq: Option<Seq>) {
        let Errand::Open { command, is_received } = &self.errand else { return };
        if *is_received && cmd_seq.is_none_or(|cmd_seq| command.seq <= cmd_seq) {
            return;
        }
        let message = Message::Cmd(command.clone());
        self.send_to_agent(&message);
    }

    /// Stores what is new, then acknowledges it.
    fn handle_events(&mut self, events: Events) {
        for event in events.items {
            if self.ledger.take(self.agent, &event) == Taken::New {
                self.notice(&event);
                (self.progress)(Progress::Event(event));
            }
        }
        self.send_acks();
    }

    fn send_acks(&mut self) {
        for ack in self.ledger.acks(self.agent) {
            self.send_to_agent(&ack.into());
        }
    }

    /// Whether an event ends the print.
    fn notice(&mut self, event: &Event) {
        let is_ours = event.job_id.as_ref() == Some(&self.offer.job_id);
        match event.decode() {
            Ok(EventData::JobResult(result)) if is_ours => self.ending = Some(Ending::Result(result)),
            Ok(EventData::JobState(now))
                if is_ours && now.to.is_terminal() && event.attempt.unwrap_or(0) == 0 =>
            {
                self.ending = Some(Ending::NeverStarted { state: now.to, reason: now.reason });
            }
            Ok(EventData::CmdResult(result)) => {
                let Errand::Open { command, .. } = &self.errand else { return };
                if command.cmd_id == result.cmd_id {
                    self.errand = Errand::Over;
                    if result.status != CommandStatus::Done {
                        self.ending = Some(Ending::Refused(Box::new(result)));
                    }
                }
            }
            Ok(_) => {}
            // It is stored all the same: the agent would send it for ever.
            Err(error) => (self.progress)(Progress::Complaint(error.to_string())),
        }
    }

    fn handle_chunk_get(&mut self, get: &ChunkGet) {
        for frame in self.file.answer(self.agent, get) {
            match frame {
                Frame::Binary(bytes) => self.out.push(tungstenite::Message::Binary(bytes.into())),
                Frame::Text(message) => self.send_to_agent(&message),
            }
        }
        (self.progress)(Progress::Sent(self.file.sent_bytes()));
    }

    fn send_to_agent(&mut self, message: &Message) {
        self.send(&Envelope::new(message).to(Address::Agent(self.agent)));
    }

    fn send(&mut self, envelope: &Envelope) {
        self.out.push(tungstenite::Message::Text(envelope.encode().into()));
    }
}
