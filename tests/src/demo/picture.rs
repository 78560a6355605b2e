//! What is known of a print while it runs: put together from what the backend hears and from the agent's local socket.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use spoolway_agent::local::Client;
use spoolway_agent::view::Status;
use spoolway_protocol::event::EventData;
use spoolway_protocol::session::PresenceState;
use spoolway_protocol::telemetry::Readings;
use spoolway_protocol::usage::JobUsage;
use spoolway_protocol::{JobState, Message};

use super::chaos::Blows;
use crate::backend::Progress;

/// How often the agent is asked on its own machine.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// Complaints that are remembered.
const COMPLAINTS: usize = 20;

/// Actual and target temperature in degrees Celsius.
pub type Heat = [f64; 2];

/// The print at a glance.
#[derive(Debug, Clone, Default)]
pub struct Picture {
    /// Whether the agent is connected.
    pub is_up: bool,
    /// Where the job stands.
    pub state: Option<JobState>,
    /// Bytes of the file that the agent has, as it said when it last asked for more.
    pub fetched_bytes: u64,
    /// Percent of the file's bytes that the printer acknowledged.
    pub percent: f64,
    /// Lines that the printer acknowledged.
    pub line: u64,
    /// Layer that is being printed.
    pub layer: u32,
    /// Layers of the file.
    pub layers: u32,
    /// Nozzle.
    pub nozzle: Option<Heat>,
    /// Bed.
    pub bed: Option<Heat>,
    /// Lines acknowledged over the last second.
    pub lines_per_s: f32,
    /// Share of the line to the printer in use over the last second.
    pub link_use: f32,
    /// Lines that the printer asked for again.
    pub resends: u64,
    /// Events that came, each counted once.
    pub events: u64,
    /// Usage records among them, and their attempts.
    pub usage: Vec<(JobUsage, u32)>,
    /// Readings that came.
    pub readings: u64,
    /// Connections that were lost or could not be had.
    pub disconnects: u64,
    /// What was done to the house, where something is.
    pub blows: Option<Blows>,
    /// What did not fit.
    pub complaints: Vec<String>,
}

/// A picture that several look at.
pub type SharedPicture = Arc<Mutex<Picture>>;

/// Looks at or changes a picture.
pub fn with<T>(picture: &SharedPicture, look: impl FnOnce(&mut Picture) -> T) -> T {
    look(&mut picture.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Picture {
    /// Takes over what the backend heard.
    pub fn take(&mut self, progress: Progress) {
        match progress {
            Progress::Disconnected(why) => {
                self.disconnects += 1;
                // Where the house is broken on purpose it goes without saying.
                if self.blows.is_none() {
                    self.complain(why);
                }
            }
            Progress::Heard(message) => self.hear(message),
            Progress::Event(event) => {
                self.events += 1;
                self.usage.extend(super::bill::records([&event]));
                if let Ok(EventData::JobState(now)) = event.decode() {
                    self.state = Some(now.to);
                    if now.to == JobState::Completed {
                        // What follows the last command is comments.
                        self.percent = 100.0;
                    }
                }
            }
            Progress::Complaint(why) => self.complain(why),
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Presence(presence) => self.is_up = presence.state == PresenceState::Up,
            Message::ChunkGet(get) => self.fetched_bytes = get.offset,
            Message::Telem(telemetry) => self.read(&telemetry.d),
            Message::Nack(nack) => self.complain(format!("{}: {}", nack.code, nack.detail)),
            _ => {}
        }
    }

    fn read(&mut self, readings: &Readings) {
        self.readings += 1;
        self.percent = readings.pct.unwrap_or(self.percent);
        self.line = readings.line.unwrap_or(self.line);
        self.layer = readings.layer.unwrap_or(self.layer);
        self.resends = readings.resend.unwrap_or(self.resends);
        self.nozzle = readings.t.get("tool0").copied().or(self.nozzle);
        self.bed = readings.t.get("bed").copied().or(self.bed);
    }

    fn complain(&mut self, why: String) {
        if self.complaints.len() < COMPLAINTS {
            self.complaints.push(why);
        }
    }

    fn see(&mut self, status: &Status) {
        self.lines_per_s = status.printer.lines_per_s;
        self.link_use = status.printer.link_use;
        if let Some(job) = &status.job {
            self.layers = job.layers_total;
        }
    }
}

/// Asks the agent on its own machine for as long as somebody looks at the picture.
///
/// # Errors
/// The system gives no thread.
pub fn watch_locally(socket: PathBuf, picture: &SharedPicture) -> std::io::Result<()> {
    let picture = Arc::downgrade(picture);
    std::thread::Builder::new().name("status".to_owned()).spawn(move || ask(&socket, &picture))?;
    Ok(())
}

fn ask(socket: &std::path::Path, picture: &Weak<Mutex<Picture>>) {
    let mut client = None;
    loop {
        // The agent needs a moment before it listens, and is gone in the end.
        client = client.or_else(|| Client::connect(socket).ok());
        let status = client.as_mut().and_then(|client| client.status().ok());
        let Some(picture) = picture.upgrade() else { return };
        match status {
            Some(status) => with(&picture, |picture| picture.see(&status)),
            None => client = None,
        }
        drop(picture);
        std::thread::sleep(ASK_EVERY);
    }
}
