//! The thread that looks at the printer's snapshot and keeps the journal: neither the printer thread nor the desk waits for
//! its disk.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use spoolway_agent_core::gcode::Position;
use spoolway_protocol::Fault;
use tokio::sync::watch;
use tracing::warn;

use super::file::{JournalFile, OpenJournalError};
use super::pace::{Due, Pace};
use super::slot::{Found, Mark, MarkState};
use crate::clock::Clock;
use crate::printer::{Run, RunPhase, Snapshot};

/// How often the snapshot is looked at while a job is printed.
const LOOK: Duration = Duration::from_millis(500);

/// What is being printed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// The run's name in the snapshot.
    pub run: u64,
    /// The job.
    pub job_id: String,
    /// Its attempt.
    pub attempt: u32,
    /// Its file, lower-case hex.
    pub sha256: String,
    /// Where the attempt begins in the file; its first lines are no progress.
    #[serde(with = "place")]
    pub from: Position,
    /// Commands of the file ahead of that.
    pub commands_before: u64,
    /// Commands that the attempt sends ahead of the file's own.
    pub preamble: u64,
}

/// A place in a file as plain numbers.
mod place {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use spoolway_agent_core::gcode::Position;

    pub(super) fn serialize<S: Serializer>(at: &Position, to: S) -> Result<S::Ok, S::Error> {
        (at.line, at.byte, at.layer).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Position, D::Error> {
        let (line, byte, layer) = Deserialize::deserialize(from)?;
        Ok(Position { line, byte, layer })
    }
}

#[derive(Debug, Default)]
struct Wanted {
    subject: Option<Subject>,
    leave: bool,
}

#[derive(Debug, Default)]
struct Shared {
    wanted: Mutex<Wanted>,
    bell: Condvar,
}

impl Shared {
    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().expect("nobody panics while holding it")
    }
}

/// The journal; dropping it writes what is known last and closes it.
#[derive(Debug)]
pub struct LineJournal {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl LineJournal {
    /// Opens the journal in the state and the runtime folder, says what it held, and starts to keep it.
    ///
    /// # Errors
    /// The file cannot be opened or made, or the system has no thread to spare.
    pub fn open(
        state: &Path,
        runtime: &Path,
        clock: Clock,
        snapshot: watch::Receiver<Snapshot>,
    ) -> Result<(Self, Found), OpenJournalError> {
        let (file, found) = JournalFile::open(state, runtime)?;
        let shared = Arc::new(Shared::default());
        let keeper =
            Keeper { shared: Arc::clone(&shared), clock, snapshot, file, pace: Pace::default(), told: false };
        let thread = std::thread::Builder::new().name("line-journal".to_owned()).spawn(move || keeper.run());
        let thread = thread.map_err(|source| OpenJournalError::new(state, source))?;
        Ok((Self { shared, thread: Some(thread) }, found))
    }

    /// From now on this is what is printed; call it before the run begins. It waits for nothing.
    pub fn begin(&self, subject: Subject) {
        self.shared.wanted().subject = Some(subject);
        self.shared.bell.notify_one();
    }
}

impl Drop for LineJournal {
    fn drop(&mut self) {
        self.shared.wanted().leave = true;
        self.shared.bell.notify_one();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Keeper {
    shared: Arc<Shared>,
    clock: Clock,
    snapshot: watch::Receiver<Snapshot>,
    file: JournalFile,
    pace: Pace,
    /// The disk has failed, and that was said.
    told: bool,
}

impl Keeper {
    fn run(mut self) {
        loop {
            let shared = Arc::clone(&self.shared);
            let mut wanted = shared.wanted();
            if wanted.subject.is_none() && !wanted.leave {
                wanted = shared
                    .bell
                    .wait_while(wanted, |wanted| wanted.subject.is_none() && !wanted.leave)
                    .expect("nobody panics while holding it");
            }
            let (subject, leave) = (wanted.subject.clone(), wanted.leave);
            drop(wanted);
            let over = subject.as_ref().is_some_and(|subject| self.look(subject));
            if leave {
                return;
            }
            let mut wanted = shared.wanted();
            if over {
                wanted
                    .subject
                    .take_if(|other| subject.as_ref().is_some_and(|subject| subject.run == other.run));
            } else {
                drop(shared.bell.wait_timeout_while(wanted, LOOK, |wanted| !wanted.leave));
            }
        }
    }

    /// Writes what is due of a run; gives whether it is over.
    fn look(&mut self, subject: &Subject) -> bool {
        let snapshot = self.snapshot.borrow().clone();
        let Some(run) = snapshot.run.as_ref().filter(|run| run.id == subject.run) else { return false };
        let mark = self.mark(subject, run, &snapshot);
        let now = self.clock.now();
        let due = self.pace.due(now, &mark);
        let written = match due {
            Due::Nothing => return run.is_over(),
            Due::Write => self.file.write(&mark),
            Due::Flush => self.file.flush(&mark),
        };
        self.tell(written);
        self.pace.done(now, &mark, due);
        run.is_over()
    }

    fn mark(&self, subject: &Subject, run: &Run, snapshot: &Snapshot) -> Mark {
        let position = subject.position(run);
        let temperatures = snapshot.temperatures.unwrap_or_default();
        let stamp = self.clock.stamp();
        Mark {
            job_id: subject.job_id.clone(),
            attempt: subject.attempt,
            sha256: subject.sha256.clone(),
            state: match run.phase {
                RunPhase::Starting | RunPhase::Printing => MarkState::Printing,
                RunPhase::Paused => MarkState::Paused,
                RunPhase::Ended(_) => MarkState::Ended,
            },
            commands: subject.commands(run),
            line: position.line,
            byte: position.byte,
            layer: position.layer,
            boot: stamp.b.to_string(),
            at_ms: stamp.m,
            paused_ms: run.paused.as_millis() as u64,
            wall_ms: stamp.w,
            tools: temperatures.tools.iter().flatten().map(|tool| (tool.actual, tool.target)).collect(),
            bed: temperatures.bed.map(|bed| (bed.actual, bed.target)),
        }
    }

    fn tell(&mut self, written: std::io::Result<()>) {
        match written {
            Ok(()) => self.told = false,
            Err(error) if !self.told => {
                let fault = Fault::DiskFull;
                warn!(%error, code = fault.code(), "where the print stands could not be written down");
                self.told = true;
            }
            Err(_) => {}
        }
    }
}

impl Subject {
    /// Commands of the file that are acknowledged.
    #[must_use]
    pub fn commands(&self, run: &Run) -> u64 {
        self.commands_before + run.progress.commands.saturating_sub(self.preamble)
    }

    /// Where in the file the run stands.
    #[must_use]
    pub fn position(&self, run: &Run) -> Position {
        if run.progress.commands > self.preamble { run.progress.position } else { self.from }
    }
}

#[cfg(test)]
mod tests {
    use spoolway_agent_core::stream::Progress;

    use super::*;
    use crate::printer::RunEnd;

    fn run(id: u64, phase: RunPhase, commands: u64) -> Run {
        let position = Position { line: commands * 2, byte: commands * 40, layer: 1 };
        let progress = Progress { commands, position };
        Run {
            id,
            phase,
            progress,
            stats: Default::default(),
            paused: Duration::ZERO,
            cause: None,
            ended: None,
        }
    }

    fn subject(run: u64) -> Subject {
        Subject {
            run,
            job_id: "j".to_owned(),
            attempt: 2,
            sha256: "ab".repeat(32),
            from: Position { line: 7, byte: 70, layer: 1 },
            commands_before: 5,
            preamble: 3,
        }
    }

    /// What is written when the run stands at `phase` and the agent ends.
    fn left_behind(phase: RunPhase, commands: u64) -> Option<Mark> {
        let folder = tempfile::tempdir().unwrap();
        let (publish, snapshot) = watch::channel(Snapshot::default());
        let clock = Clock::start().unwrap();
        let (journal, found) =
            LineJournal::open(folder.path(), folder.path(), clock.clone(), snapshot).unwrap();
        assert_eq!(found, Found::Nothing);
        publish.send_modify(|snapshot| snapshot.run = Some(run(4, phase, commands)));
        journal.begin(subject(4));
        drop(journal);
        let (_, snapshot) = watch::channel(Snapshot::default());
        let (_, found) = LineJournal::open(folder.path(), folder.path(), clock, snapshot).unwrap();
        found.of("j", 2).cloned()
    }

    #[test]
    fn the_last_thing_that_is_known_is_written_down() {
        let mark = left_behind(RunPhase::Printing, 40).unwrap();
        assert_eq!((mark.state, mark.line, mark.byte, mark.commands), (MarkState::Printing, 80, 1_600, 42));
        let mark = left_behind(RunPhase::Ended(RunEnd::Completed), 50).unwrap();
        assert_eq!((mark.state, mark.line), (MarkState::Ended, 100));
    }

    #[test]
    fn lines_ahead_of_the_files_own_are_no_progress() {
        let mark = left_behind(RunPhase::Printing, 3).unwrap();
        assert_eq!((mark.line, mark.byte, mark.commands), (7, 70, 5));
    }
}
