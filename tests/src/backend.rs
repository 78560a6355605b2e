//! A whole backend, as somebody else would write one: it offers a file to an agent and follows the print to its end.
//!
//! It knows the words of `spoolway-protocol` and how to [dial](crate::dial), and nothing else of this repository;
//! `docs/backend-guide.md` explains it step by step. Relay and agent may come and go at any time. What has to outlive
//! this process, too, a real backend keeps in its database: `id`, `seq`, `is_taken`, `stored` and the events themselves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use spoolway_protocol::command::CommandStatus::Done;
use spoolway_protocol::event::{Event, EventData, JobResult};
use spoolway_protocol::limits::CHUNK_PAYLOAD_BYTES;
use spoolway_protocol::session::{Presence, PresenceState};
use spoolway_protocol::transfer::{Chunk, ChunkGet};
use spoolway_protocol::{Address, AgentId, CmdId, Envelope, Epoch, JobState, Message, Seq, Sha256Hex};
use tokio::time::{Instant, interval, sleep};

use crate::dial::{ConnectionError, Dialler, Frame, Relay};
use crate::permit::Signer;

/// The shortest and the longest wait before the next attempt to connect; in between it doubles.
const WAITS: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];
/// How often a command without receipt is sent again while its agent is connected.
const RESEND_EVERY: Duration = Duration::from_secs(2);
/// Most bytes in one chunk of the file.
const CHUNK: u64 = CHUNK_PAYLOAD_BYTES as u64;
/// More chunks are never put together for one request, whatever credit it grants.
const MOST_CHUNKS: u32 = 16;

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
    /// The connection is gone, or could not be had; it is tried again.
    Disconnected(String),
    /// What the relay or the agent said.
    Heard(Message),
    /// An event that was not known before; each comes once, in order.
    Event(Event),
    /// Something did not fit; it was left out.
    Complaint(String),
}

/// How a print ended.
#[derive(Debug)]
pub enum Ending {
    /// With a result of its attempt.
    Result(Box<JobResult>),
    /// Before a line was printed: the `cmd.result` or `job.state` that says why.
    NotPrinted(Box<Event>),
}

/// One backend with one print to bring about.
pub struct Backend<P> {
    dialler: Dialler,
    print: Print,
    /// Where the file can be had, best first.
    sources: Value,
    /// Names the command, the job and the file: each kind of name counts by itself, so one text will do.
    id: CmdId,
    /// The number of the command; the agent's cursor says where to go on counting.
    seq: Option<Seq>,
    /// While the agent is connected: the last command that it is known to have stored.
    cursor: Option<Seq>,
    /// Who signs the start; without one the job starts by itself.
    signer: Option<Signer>,
    /// The command that starts the job, once it waits for one, and its number.
    start: Option<(Seq, Value)>,
    /// For which the bed was last seen: it is part of what is signed.
    bed_epoch: u64,
    /// Whether events tell of the job: then it is not offered again, even to an agent that has lost its disk.
    is_taken: bool,
    /// By epoch: the last event up to which all are stored.
    stored: BTreeMap<Epoch, Seq>,
    /// The agent's stream, and up to where the file was sent on it.
    stream: Option<(u32, u64)>,
    /// Frames that are about to be sent.
    out: Vec<Frame>,
    ending: Option<Ending>,
    progress: P,
}

impl<P: FnMut(Progress)> Backend<P> {
    /// A backend that is about to offer a print; `progress` hears of everything.
    ///
    /// # Errors
    /// The authority's certificate cannot be used, or the host is not a name.
    pub fn new(relay: Relay, print: Print, progress: P) -> Result<Self, ConnectionError> {
        let dialler = Dialler::new(relay)?;
        let id = uuid::Uuid::now_v7().to_string().parse().expect("a new id is of version 7");
        let (seq, cursor, signer, start, bed_epoch) = Default::default();
        let (is_taken, stored, stream, out, ending) = Default::default();
        Ok(Self {
            dialler,
            print,
            sources: json!([{"kind": "relay"}]),
            id,
            seq,
            cursor,
            signer,
            start,
            bed_epoch,
            is_taken,
            stored,
            stream,
            out,
            ending,
            progress,
        })
    }

    /// The job waits for a start, and the start has a permit.
    #[must_use]
    pub fn signed_by(self, signer: Signer) -> Self {
        Self { signer: Some(signer), ..self }
    }

    /// The file can be had elsewhere.
    #[must_use]
    pub fn with_sources(self, sources: Value) -> Self {
        Self { sources, ..self }
    }

    /// Connects, again and again if need be, until the print has ended.
    ///
    /// # Errors
    /// The relay does not accept the token; everything else is tried again.
    pub async fn run(mut self) -> Result<Ending, ConnectionError> {
        let mut wait = WAITS[0];
        loop {
            let began = Instant::now();
            match self.session().await {
                ended @ (Ok(_) | Err(ConnectionError::Token)) => return ended,
                Err(why) => (self.progress)(Progress::Disconnected(why.to_string())),
            }
            // A connection that held for a while begins the waits anew.
            wait = if began.elapsed() > WAITS[1] { WAITS[0] } else { WAITS[1].min(wait * 2) };
            sleep(wait).await;
        }
    }

    /// One connection, from the dialling to its end.
    async fn session(&mut self) -> Result<Ending, ConnectionError> {
        let mut socket = self.dialler.dial().await?;
        let mut tick = interval(RESEND_EVERY);
        (self.cursor, self.out) = (None, Vec::new());
        loop {
            socket.send(std::mem::take(&mut self.out)).await?;
            if let Some(ending) = self.ending.take() {
                socket.close().await;
                return Ok(ending);
            }
            tokio::select! {
                text = socket.next_text() => self.handle(&text?).unwrap_or_else(|why| {
                    (self.progress)(Progress::Complaint(why.to_string()));
                }),
                _ = tick.tick() => self.send_commands(),
            }
        }
    }

    /// A frame of the relay itself or of an agent. What is not known is left alone: newer peers may say more.
    fn handle(&mut self, text: &str) -> Result<(), Box<dyn std::error::Error>> {
        let envelope = Envelope::parse(text)?;
        let message = envelope.message()?;
        match &message {
            _ if matches!(envelope.from, Some(Address::Agent(id)) if id != self.print.agent) => return Ok(()),
            Message::Hb(hb) => self.send("hb.ack", &json!({"n": hb.n})),
            Message::Presence(presence) if presence.agent == self.print.agent => self.meet(presence),
            Message::CmdRecv(receipt) => self.cursor = self.cursor.max(Some(receipt.seq)),
            Message::ChunkGet(get) => self.send_file(get),
            Message::Events(events) => self.store(&events.items),
            _ => {}
        }
        (self.progress)(Progress::Heard(message));
        Ok(())
    }

    /// The agent has come or gone. When it has come, what it may have missed is said again.
    fn meet(&mut self, presence: &Presence) {
        self.cursor = (presence.state == PresenceState::Up).then(|| presence.cmd_seq.unwrap_or_default());
        self.seq = self.seq.or(self.cursor.map(Seq::next));
        if self.cursor.is_some() {
            self.stream = None;
            let epochs = presence.printers.iter().map(|printer| printer.bed_epoch);
            self.bed_epoch = epochs.fold(self.bed_epoch, u64::max);
            self.send_commands();
            self.store(&[]);
        }
    }

    /// Sends the commands that the agent has not, unless it is away.
    fn send_commands(&mut self) {
        self.send_offer();
        match &self.start {
            Some((seq, command)) if self.cursor.is_some_and(|cursor| cursor < *seq) => {
                self.send("cmd", &command.clone())
            }
            _ => {}
        }
    }

    /// Sends the command that offers the job, unless the agent is away or has it.
    fn send_offer(&mut self) {
        if self.cursor.is_none() || self.seq <= self.cursor || self.is_taken {
            return;
        }
        let start = if self.signer.is_some() { "manual" } else { "when_ready" };
        let Print { name, bytes, .. } = &self.print;
        let sha256 = Sha256Hex(Sha256::digest(bytes).into());
        let args = json!({
            "job_id": self.id, "rev": 1, "owner": "demo", "start": start, "sources": self.sources,
            "file": {"file_id": self.id, "size": bytes.len(), "sha256": sha256, "chunk": CHUNK, "name": name},
        });
        let (id, seq, actor) = (self.id, self.seq, json!({"id": "demo", "role": "operator"}));
        let command = json!({"cmd_id": id, "seq": seq, "kind": "job.offer", "args": args, "actor": actor});
        self.send("cmd", &command);
    }

    /// Signs the first attempt at the job and commands it: within a quarter of an hour, or never.
    fn start_job(&mut self) {
        let (Some(signer), Some(seq)) = (&self.signer, self.seq) else { return };
        let Print { agent, bytes, .. } = &self.print;
        let sha256 = Sha256Hex(Sha256::digest(bytes).into());
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let id = uuid::Uuid::now_v7();
        let permit = json!({
            "v": 1, "kid": signer.kid(), "permit_id": id, "org": "demo", "agent": agent, "printer": "p0", "job": self.id,
            "attempt": 1, "sha256": sha256, "size": bytes.len(), "max_seconds": 36_000, "bed_epoch": self.bed_epoch,
            "nbf": now_ms, "start_by": now_ms + 900_000, "fence": 1,
        });
        let permit = signer.sign(permit.to_string().as_bytes());
        let (seq, actor) = (seq.next(), json!({"id": "demo", "role": "operator"}));
        let args = json!({"job_id": self.id, "attempt": 1, "permit": permit});
        let command = json!({"cmd_id": id, "seq": seq, "kind": "job.start", "args": args, "actor": actor});
        self.start.get_or_insert((seq, command));
        self.send_commands();
    }

    /// Stores what is new, then acknowledges all that is stored.
    fn store(&mut self, events: &[Event]) {
        for event in events {
            // A gap stands for all the events that were dropped, and has the place of the last of them.
            let spans = if let Ok(EventData::Gap(gap)) = event.decode() { gap.dropped.max(1) } else { 1 };
            let before = Seq(event.seq.0.saturating_sub(spans));
            // An epoch that was never seen begins with what the agent still has of it.
            let stored = self.stored.entry(event.epoch).or_insert(before);
            if *stored < event.seq && before <= *stored {
                *stored = event.seq;
                self.notice(event);
                (self.progress)(Progress::Event(event.clone()));
            }
        }
        for (epoch, seq) in self.stored.clone() {
            self.send("ack", &json!({"epoch": epoch, "seq": seq}));
        }
    }

    /// Whether an event ends the print.
    fn notice(&mut self, event: &Event) {
        let is_ours = event.job_id.as_ref().is_some_and(|job_id| job_id.as_str() == self.id.to_string());
        let early = || Some(Ending::NotPrinted(Box::new(event.clone())));
        self.is_taken |= is_ours;
        self.ending = match (event.attempt, event.decode()) {
            (_, Ok(EventData::JobState(now))) if is_ours && now.to == JobState::Queued => {
                return self.start_job();
            }
            (_, Ok(EventData::PrinterState(now))) => {
                return self.bed_epoch = self.bed_epoch.max(now.bed_epoch);
            }
            (_, Ok(EventData::JobResult(result))) if is_ours => Some(Ending::Result(result)),
            (None | Some(0), Ok(EventData::JobState(now))) if is_ours && now.to.is_terminal() => early(),
            (_, Ok(EventData::CmdResult(now))) if self.gave(now.cmd_id) && now.status != Done => early(),
            _ => return,
        };
    }

    /// Whether a command is one of this print's.
    fn gave(&self, id: CmdId) -> bool {
        id == self.id || self.start.as_ref().is_some_and(|(_, command)| command["cmd_id"] == json!(id))
    }

    /// Sends what the credit allows, and nothing twice on one stream.
    fn send_file(&mut self, get: &ChunkGet) {
        let (size, stream) = (self.print.bytes.len() as u64, get.stream);
        if get.file_id.as_str() != self.id.to_string() || get.offset > size {
            return self.send("chunk.err", &json!({"stream": stream, "code": "not_found"}));
        }
        let end = get.offset.saturating_add(get.len).min(size);
        let border = get.offset.saturating_add(u64::from(get.credit.min(MOST_CHUNKS)) * CHUNK).min(end);
        let mut next = self.stream.filter(|known| known.0 == stream).map_or(get.offset, |known| known.1);
        while next < border {
            let payload = &self.print.bytes[next as usize..border.min(next + CHUNK) as usize];
            let chunk = Chunk { to: *self.print.agent.as_bytes(), stream, offset: next, payload };
            self.out.push(Frame::Binary(chunk.encode().expect("1 byte to 64 KiB make a chunk").into()));
            next += payload.len() as u64;
            if next == end {
                self.send("chunk.end", &json!({"stream": stream, "size": size}));
            }
        }
        self.stream = Some((stream, next));
    }

    /// To the agent; only a heartbeat is the relay's own. The members of an envelope stand in this order.
    fn send(&mut self, kind: &str, body: &Value) {
        let to = if kind == "hb.ack" { Address::Relay } else { Address::Agent(self.print.agent) };
        self.out.push(Frame::text(format!(r#"{{"v":1,"t":"{kind}","to":"{to}","body":{body}}}"#)));
    }
}

#[cfg(test)]
mod tests;
