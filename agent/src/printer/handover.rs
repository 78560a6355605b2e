//! What one process of the agent hands to the next: the open port, which the service manager keeps, and the journal of the
//! conversation.
//!
//! The port's descriptor is kept open all the time, so the board never sees DTR fall. Without a service manager the port is
//! opened again: HUPCL is cleared, so DTR stays up.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use spoolway_agent_core::gcode::Position;
use spoolway_agent_core::stream::journal::{self, Found, Journal};
use spoolway_firmware_profiles::FirmwareReport;
use spoolway_protocol::{BootId, FileId, JobId, Stamp};
use tokio::sync::mpsc;

use super::beside::Beside;
use super::feeder::Feed;
use super::memory::Memory;
use super::{Run, last_end};
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
    /// How the last run has ended, if the conversation that was found knows of none.
    ended: Option<(Ticket, Run)>,
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
        Self { memory: Memory::of_this_process(), left: None, ended: None, port: None, open_feed: None }
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
        let ended = journal::kept_end(memory.bytes()).and_then(|end| last_end::unpack(end, boot));
        Self { memory, left, ended, port: service::inherited_port(), open_feed: Some(open_feed) }
    }

    /// Whether a conversation goes on, so that its port is known already.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.left.as_ref().is_some_and(|left| left.found.carried.is_live())
    }

    pub(super) fn into_parts(self) -> Parts {
        let Self { memory, left, ended, port, open_feed } = self;
        let mut parts = Parts { memory, run: ended, taken: None, port: None, make_safe: false, open_feed };
        let Some(Left { talk, beside, found }) = left else {
            parts.port = port;
            return parts;
        };
        // Progress and counters are the conversation's own.
        let (progress, stats) = (found.carried.progress(), found.carried.stats());
        let run = beside.run.clone().map(|run| Run { progress, stats, ..run });
        // A ticket may have been written down whose run was not begun any more.
        let run = talk.ticket.clone().zip(run).filter(|(ticket, run)| ticket.subject.run == run.id);
        parts.run = run.or(parts.run);
        parts.make_safe = beside.make_safe;
        if found.carried.is_live() {
            parts.taken = Some(TakenOver { talk, beside, found, port });
        } else {
            parts.port = port;
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use spoolway_agent_core::Moment;
    use spoolway_agent_core::gcode::{Batch, Position};
    use spoolway_agent_core::stream::{Event, Output, StreamOptions, Streamer};
    use spoolway_firmware_profiles::Registry;

    use super::super::beside::BesideNow;
    use super::super::conversation::tests::ticket;
    use super::super::{RunEnd, RunPhase};
    use super::*;
    use crate::clock::Clock;

    const LINES: [&str; 3] = ["G28", "G1 X1", "G1 X2"];

    /// A board that takes every line and can be asked which one it expects; `last` is the one it has.
    fn answer(line: &str, last: &mut u64) -> String {
        if line.is_empty() {
            return String::new();
        }
        if line.ends_with("*999") {
            return format!("Error:checksum mismatch, Last Line: {last}\nResend: {}\nok\n", *last + 1);
        }
        let number = line.strip_prefix('N').and_then(|rest| rest.split(' ').next());
        *last = number.and_then(|number| number.parse().ok()).unwrap_or(*last);
        "ok\n".to_owned()
    }

    /// Lets the board answer until this has happened; gives when.
    fn until(streamer: &mut Streamer, mut now: Moment, wanted: impl Fn(&Event) -> bool) -> Moment {
        let mut last = 0;
        loop {
            match streamer.poll_output(now) {
                Output::Write(bytes) => {
                    let text = String::from_utf8(bytes).unwrap();
                    let answers: String = text.lines().map(|line| answer(line, &mut last)).collect();
                    streamer.handle_bytes(now, answers.as_bytes());
                }
                Output::Event(event) if wanted(&event) => return now,
                Output::Event(_) => {}
                Output::Wait(until) => now = until.expect("it waits for a time"),
            }
        }
    }

    /// The process before has printed everything, and died before the desk knew.
    #[test]
    fn a_run_that_has_ended_has_come_as_far_as_its_conversation() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("print.journal");
        let (boot, now) = (Clock::start().unwrap().boot_id().clone(), Moment::from_millis(5));
        let talk = Talk {
            boot: boot.clone(),
            profile: "marlin".to_owned(),
            report: FirmwareReport::default(),
            port: "/dev/played".into(),
            baud: 115_200,
            ticket: Some(ticket()),
        };
        let mut memory = Memory::open(&journal);
        memory.begin(&serde_json::to_vec(&talk).unwrap());
        let profile = Registry::built_in().get("marlin").unwrap().profile.clone();
        let mut streamer = Streamer::new(StreamOptions::from_profile(&profile, |_| false), now);
        let now = until(&mut streamer, now, |event| *event == Event::Synchronised);
        streamer.begin_job().unwrap();
        let mut batch = Batch::default();
        for (at, line) in (1_u64..).zip(LINES) {
            batch.push(line.as_bytes(), Position { line: at, byte: at * 9, layer: 0 });
        }
        streamer.feed(batch);
        streamer.feed_end();
        let now = until(&mut streamer, now, |event| matches!(event, Event::Ended(_)));
        let mut run = Run::new(7);
        run.end(now, RunEnd::Completed);
        let beside = BesideNow {
            run: Some(&run),
            paused_since: None,
            person_holds: false,
            set_up: true,
            make_safe: false,
            broken: None,
        };
        memory.note(&streamer, beside);
        drop(memory);

        let parts = Handover::find(&journal, &boot, Box::new(|_, _, _| Err(String::new()))).into_parts();
        assert!(parts.taken.is_none(), "nothing is left to print");
        let (_, found) = parts.run.unwrap();
        assert_eq!((found.progress.commands, found.progress.position.line), (3, 3));
        assert_eq!((found.phase, found.ended), (RunPhase::Ended(RunEnd::Completed), Some(now)));

        // The next ticket was written down, and nothing of its run was: the run before is not taken for it.
        let mut memory = parts.memory;
        let left = Journal::find(memory.bytes()).unwrap();
        memory.go_on(left.journal);
        let mut next = ticket();
        next.subject.run = 8;
        memory.set_talk(&serde_json::to_vec(&Talk { ticket: Some(next), ..talk }).unwrap());
        drop(memory);
        let parts = Handover::find(&journal, &boot, Box::new(|_, _, _| Err(String::new()))).into_parts();
        assert!(parts.run.is_none() && parts.taken.is_none());
    }
}
