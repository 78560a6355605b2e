//! The other end of the local socket: one connection, a request at a time, blocking as a command may.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use spoolway_protocol::{AgentId, JobId, PromptId};

use super::held_out;
use super::within::Within;
use super::words::{Answer, MAX_LINE_BYTES, Request};
use crate::post_mortem::Record;
use crate::view::history::HistoryView;
use crate::view::recovery::{PlanView, RecoverHow};
use crate::view::{
    BedView, FaultView, ForgottenView, JobView, MaintenanceView, Status, UpdateView, WireLineView,
};

/// An agent that is well answers at once.
const ANSWER: Duration = Duration::from_secs(15);
/// A large file has to be read, packed and looked through first.
const IMPORT: Duration = Duration::from_secs(15 * 60);

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub enum TalkError {
    /// Nobody listens.
    #[error("no agent answers at {}: {source}", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The conversation broke off.
    #[error("the agent at {} broke off: {source}", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Whoever answered, it was not this version's agent.
    #[error("the agent at {} gave an answer that is not understood: {detail}", path.display())]
    Strange {
        /// The socket.
        path: PathBuf,
        /// What was strange.
        detail: String,
    },
    /// The agent refused.
    #[error("{}", .0.text)]
    Refused(FaultView),
}

/// A connection to an agent.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: BufReader<Within>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// [`TalkError::Unreachable`].
    pub fn connect(path: &Path) -> Result<Self, TalkError> {
        Self::over(path, Within::connect(path))
    }

    /// Connects for this time at most, whatever the agent does or leaves undone.
    ///
    /// # Errors
    /// [`TalkError::Unreachable`].
    pub fn connect_for(path: &Path, time: Duration) -> Result<Self, TalkError> {
        Self::over(path, Within::connect_for(path, time))
    }

    fn over(path: &Path, stream: io::Result<Within>) -> Result<Self, TalkError> {
        let path = path.to_owned();
        match stream {
            Ok(stream) => Ok(Self { path, stream: BufReader::new(stream) }),
            Err(source) => Err(TalkError::Unreachable { path, source }),
        }
    }

    /// The agent at a glance.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn status(&mut self) -> Result<Status, TalkError> {
        match self.ask(&Request::Status)? {
            Answer::Status { status } => Ok(*status),
            other => Err(self.strange(&other)),
        }
    }

    /// Every job the agent remembers.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn jobs(&mut self) -> Result<Vec<JobView>, TalkError> {
        let mut answer = self.ask(&Request::Jobs)?;
        let mut all = Vec::new();
        loop {
            match answer {
                Answer::Jobs { mut jobs, more } => {
                    all.append(&mut jobs);
                    if !more {
                        return Ok(all);
                    }
                }
                other => return Err(self.strange(&other)),
            }
            answer = self.read()?;
        }
    }

    /// What became of a job.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn history(&mut self, job_id: JobId) -> Result<HistoryView, TalkError> {
        match self.ask(&Request::History { job_id })? {
            Answer::History { history } => Ok(*history),
            other => Err(self.strange(&other)),
        }
    }

    /// The post-mortem record of an attempt, or of the last one of the job that has one.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn record(&mut self, job_id: JobId, attempt: Option<u32>) -> Result<Option<Record>, TalkError> {
        match self.ask(&Request::Record { job_id, attempt })? {
            Answer::Record { record: None } => Ok(None),
            Answer::Record { record: Some(mut record) } => {
                let next = self.read()?;
                record.wire.lines = self.lines(next)?;
                Ok(Some(*record))
            }
            other => Err(self.strange(&other)),
        }
    }

    /// The last lines of the conversation with the printer.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn wire(&mut self) -> Result<Vec<WireLineView>, TalkError> {
        let first = self.ask(&Request::Wire)?;
        self.lines(first)
    }

    fn lines(&mut self, mut answer: Answer) -> Result<Vec<WireLineView>, TalkError> {
        let mut lines = Vec::new();
        loop {
            match answer {
                Answer::Wire { line } => lines.push(line),
                Answer::Done => return Ok(lines),
                other => return Err(self.strange(&other)),
            }
            answer = self.read()?;
        }
    }

    /// The agent's id and public key.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn identity(&mut self) -> Result<(AgentId, String), TalkError> {
        match self.ask(&Request::Identity)? {
            Answer::Identity { agent_id, public_key } => Ok((agent_id, public_key)),
            other => Err(self.strange(&other)),
        }
    }

    /// Says that the bed is clear, to a person who saw it in this bed epoch.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn clear_bed(&mut self, epoch: u64) -> Result<BedView, TalkError> {
        match self.ask(&Request::ClearBed { epoch })? {
            Answer::Bed { bed } => Ok(bed),
            other => Err(self.strange(&other)),
        }
    }

    /// Has something done to a job.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn job(&mut self, request: &Request) -> Result<JobView, TalkError> {
        match self.ask(request)? {
            Answer::Job { job } => Ok(job),
            other => Err(self.strange(&other)),
        }
    }

    /// How an interrupted print would go on; nothing moves.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn plan_recovery(&mut self, job_id: JobId, how: RecoverHow) -> Result<PlanView, TalkError> {
        match self.ask(&Request::PlanRecovery { job_id, how })? {
            Answer::Plan { plan } => Ok(*plan),
            other => Err(self.strange(&other)),
        }
    }

    /// Takes the printer that answers for the right one; gives what is now remembered of it.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn accept_printer(&mut self) -> Result<String, TalkError> {
        match self.ask(&Request::AcceptPrinter)? {
            Answer::Accepted { printer } => Ok(printer),
            other => Err(self.strange(&other)),
        }
    }

    /// Stops the printer at once.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn emergency_stop(&mut self) -> Result<(), TalkError> {
        match self.ask(&Request::Estop)? {
            Answer::Done => Ok(()),
            other => Err(self.strange(&other)),
        }
    }

    /// Has everything forgotten; the agent has ended when it answers.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn forget(&mut self) -> Result<ForgottenView, TalkError> {
        match self.ask(&Request::Forget)? {
            Answer::Forgotten { forgotten } => Ok(forgotten),
            other => Err(self.strange(&other)),
        }
    }

    /// Has the agent's key replaced; its id and the new public key.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn rotate_key(&mut self) -> Result<(AgentId, String), TalkError> {
        match self.ask(&Request::RotateKey)? {
            Answer::Identity { agent_id, public_key } => Ok((agent_id, public_key)),
            other => Err(self.strange(&other)),
        }
    }

    /// Answers the question of the firmware that is open.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn answer(&mut self, prompt_id: Option<PromptId>, choice: u32) -> Result<(), TalkError> {
        match self.ask(&Request::Answer { prompt_id, choice })? {
            Answer::Done => Ok(()),
            other => Err(self.strange(&other)),
        }
    }

    /// Sends a single command to the printer; its replies.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn send(&mut self, command: &str) -> Result<Vec<String>, TalkError> {
        match self.ask(&Request::Send { command: command.to_owned() })? {
            Answer::Replies { lines } => Ok(lines),
            other => Err(self.strange(&other)),
        }
    }

    /// Opens, closes or shows the maintenance window.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn maintenance(&mut self, request: &Request) -> Result<Option<MaintenanceView>, TalkError> {
        match self.ask(request)? {
            Answer::Maintenance { window } => Ok(window),
            other => Err(self.strange(&other)),
        }
    }

    /// Shows a wished update or takes it back, or lets an updater in or out.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn update(&mut self, request: &Request) -> Result<Option<UpdateView>, TalkError> {
        match self.ask(request)? {
            Answer::Update { update } => Ok(update.map(|update| *update)),
            other => Err(self.strange(&other)),
        }
    }

    /// Asks, and gives the first line of the answer.
    ///
    /// # Errors
    /// [`TalkError`]; a refusal is one too.
    pub fn ask(&mut self, request: &Request) -> Result<Answer, TalkError> {
        let patience = match request {
            // The whole file is read for these.
            Request::Print { .. }
            | Request::Enqueue { .. }
            | Request::PlanRecovery { .. }
            // The relay is asked for a while, and large folders are emptied.
            | Request::Forget
            | Request::RotateKey
            | Request::Recover { .. } => Some(IMPORT),
            Request::Logs { follow: true, .. } | Request::Console => None,
            _ => Some(ANSWER),
        };
        let mut line = serde_json::to_vec(request)
            .map_err(|error| TalkError::Strange { path: self.path.clone(), detail: error.to_string() })?;
        line.push(b'\n');
        // The agent may be shut off from where the file lies.
        let file = match request {
            Request::Print { path, .. } | Request::Enqueue { path, .. } => held_out::open(path),
            _ => None,
        };
        let stream = self.stream.get_ref();
        let sent = stream
            .be_patient(patience, ANSWER)
            .and_then(|()| held_out::send(stream.stream(), &line, file.as_ref()));
        sent.map_err(|source| self.broken(source))?;
        self.read()
    }

    /// The next line of an answer.
    ///
    /// # Errors
    /// [`TalkError`].
    pub fn read(&mut self) -> Result<Answer, TalkError> {
        let mut line = Vec::new();
        let read = (&mut self.stream).take(MAX_LINE_BYTES as u64 + 1).read_until(b'\n', &mut line);
        read.map_err(|source| self.broken(source))?;
        if line.last() != Some(&b'\n') {
            return Err(self.broken(io::ErrorKind::UnexpectedEof.into()));
        }
        match serde_json::from_slice(&line) {
            Ok(Answer::Refused { fault }) => Err(TalkError::Refused(fault)),
            Ok(answer) => Ok(answer),
            Err(error) => Err(TalkError::Strange { path: self.path.clone(), detail: error.to_string() }),
        }
    }

    fn broken(&self, source: io::Error) -> TalkError {
        TalkError::Broken { path: self.path.clone(), source }
    }

    /// The answer belongs to another question.
    #[must_use]
    pub fn strange(&self, answer: &Answer) -> TalkError {
        let word = match answer {
            Answer::Status { .. } => "status",
            Answer::Jobs { .. } => "jobs",
            Answer::Plan { .. } => "plan",
            Answer::History { .. } => "history",
            Answer::Record { .. } => "record",
            Answer::Job { .. } => "job",
            Answer::Identity { .. } => "identity",
            Answer::Log { .. } => "log",
            Answer::Missed { .. } => "missed",
            Answer::Accepted { .. } => "accepted",
            Answer::Wire { .. } => "wire",
            Answer::Replies { .. } => "replies",
            Answer::Maintenance { .. } => "maintenance",
            Answer::Update { .. } => "update",
            Answer::Forgotten { .. } => "forgotten",
            Answer::Done => "done",
            Answer::Bed { .. } => "the bed",
            Answer::Refused { .. } => "refused",
        };
        TalkError::Strange { path: self.path.clone(), detail: format!("`{word}` was not asked for") }
    }
}
