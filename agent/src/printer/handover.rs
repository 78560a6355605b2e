//! What one process of the agent hands to the next: the open port, which the service manager keeps, and the journal of the
//! conversation.
//!
//! The port's descriptor is kept open all the time, so the board never sees DTR fall. Without a service manager the port is
//! opened again: HUPCL is cleared, so DTR stays up.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use spoolway_agent_core::gcode::Position;
use spoolway_agent_core::stream::journal::{Found, Journal};
use spoolway_firmware_profiles::FirmwareReport;
use spoolway_protocol::{BootId, FileId, JobId, Stamp};
use tokio::sync::mpsc;

use super::Run;
use super::beside::Beside;
use super::feeder::Feed;
use super::memory::Memory;
use crate::attempt::UsedPermit;
use crate::line_journal::Subject;
use crate::service;

/// What the desk wants to know again of a job that outlived its process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// The job.
    pub job_id: JobId,
    /// The run, as the line journal knows it.
    pub subject: Subject,
    /// Who gave the job.
    pub owner: String,
    /// The file's id.
    pub file_id: FileId,
    /// Size of the file in bytes.
    pub size: u64,
    /// The file's name.
    pub name: String,
    /// Commands in the file.
    pub commands: u64,
    /// Layers in the file.
    pub layers: u32,
    /// When it was started.
    pub started: Stamp,
    /// By which permit.
    #[serde(default)]
    pub permit: Option<UsedPermit>,
}

/// The conversation as a whole, as the journal has it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Talk {
    /// The boot in which it is held.
    pub(super) boot: BootId,
    /// The profile by its id.
    pub(super) profile: String,
    /// What the firmware said of itself.
    pub(super) report: FirmwareReport,
    /// The path at which the port was opened.
    pub(super) port: PathBuf,
    /// Bits per second.
    pub(super) baud: u32,
    /// The job, if one was begun.
    pub(super) ticket: Option<Ticket>,
}

/// Gives the commands of a job behind a place in its file, when so many of its lines were framed.
pub type OpenFeed =
    Box<dyn Fn(&Ticket, Position, u64) -> std::result::Result<mpsc::Receiver<Feed>, String> + Send>;

/// What the process before has left.
pub struct Handover {
    memory: Memory,
    left: Option<Left>,
    port: Option<OwnedFd>,
    open_feed: Option<OpenFeed>,
}

/// A conversation that was found in the journal.
struct Left {
    talk: Talk,
    beside: Beside,
    found: Found,
}

/// A conversation that goes on.
pub(super) struct TakenOver {
    pub(super) talk: Talk,
    pub(super) beside: Beside,
    pub(super) found: Found,
    pub(super) port: Option<OwnedFd>,
}

/// All that the printer's thread gets.
pub(super) struct Parts {
    pub(super) memory: Memory,
    /// The run that was under way, or that ended and was perhaps not told any more.
    pub(super) run: Option<(Ticket, Run)>,
    /// What goes on, if it can.
    pub(super) taken: Option<TakenOver>,
    /// A port that is open already, although nothing goes on at it.
    pub(super) port: Option<OwnedFd>,
    pub(super) make_safe: bool,
    pub(super) open_feed: Option<OpenFeed>,
}

impl Handover {
    /// Nothing was left, and nothing will be.
    #[must_use]
    pub fn none() -> Self {
        Self { memory: Memory::of_this_process(), left: None, port: None, open_feed: None }
    }

    /// Looks at the journal, and for an open port among the descriptors that this process was started with. `open_feed`
    /// opens the file of a job that goes on.
    #[must_use]
    pub fn find(journal: &std::path::Path, boot: &BootId, open_feed: OpenFeed) -> Self {
        let mut memory = Memory::open(journal);
        let left = Journal::find(memory.bytes()).and_then(|found| {
            let talk: Talk = serde_json::from_slice(&found.text).ok()?;
            let beside = Beside::unpack(&found.beside)?;
            (talk.boot == *boot).then_some(Left { talk, beside, found })
        });
        Self { memory, left, port: service::inherited_port(), open_feed: Some(open_feed) }
    }

    /// Whether a conversation goes on, so that its port is known already.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.left.as_ref().is_some_and(|left| left.found.carried.is_live())
    }

    pub(super) fn into_parts(self) -> Parts {
        let Self { memory, left, port, open_feed } = self;
        let mut parts = Parts { memory, run: None, taken: None, port: None, make_safe: false, open_feed };
        let Some(Left { talk, beside, found }) = left else {
            parts.port = port;
            return parts;
        };
        // Progress and counters are the conversation's own.
        let (progress, stats) = (found.carried.progress(), found.carried.stats());
        let run = beside.run.clone().map(|run| Run { progress, stats, ..run });
        parts.run = talk.ticket.clone().zip(run);
        parts.make_safe = beside.make_safe;
        if found.carried.is_live() {
            parts.taken = Some(TakenOver { talk, beside, found, port });
        } else {
            parts.port = port;
        }
        parts
    }
}
