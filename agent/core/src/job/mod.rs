//! The life of a job: one value whose every change is lawful, counted and told.

pub mod bed;
pub mod place;
pub mod queue;
pub mod state;

use spoolway_protocol::event::JobStateChanged;
use spoolway_protocol::fault::Fault;
use spoolway_protocol::ids::JobId;
use spoolway_protocol::job::JobState;
use spoolway_protocol::raw::Extra;

pub use bed::{Bed, StaleBed};
pub use place::{NoSuchPlace, Place, Placed, STEP};
pub use queue::{JobQueue, QueueFull, Queued};
pub use state::lawful;

/// A move that the table does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("job {job_id} cannot go from {from} to {to}")]
pub struct UnlawfulMove {
    /// The job.
    pub job_id: JobId,
    /// Its state.
    pub from: JobState,
    /// The state it was asked to take.
    pub to: JobState,
}

/// Why an attempt cannot begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BeginError {
    /// This attempt, or a later one, has begun before.
    #[error("attempt {asked} of job {job_id} is not after attempt {begun}, which has begun")]
    AlreadyStarted {
        /// The job.
        job_id: JobId,
        /// The attempt asked for.
        asked: u32,
        /// The last one that has begun.
        begun: u32,
    },
    /// The job is not in a state from which it can start.
    #[error(transparent)]
    Unlawful(#[from] UnlawfulMove),
}

impl BeginError {
    /// The stable fault.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::AlreadyStarted { .. } => Fault::JobAlreadyStarted,
            Self::Unlawful(_) => Fault::JobNotReady,
        }
    }
}

/// A job: its state, how often it changed and which attempt was begun last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    id: JobId,
    state: JobState,
    rev: u64,
    attempt: u32,
}

impl Job {
    /// A new job and its first event.
    #[must_use]
    pub fn offered(id: JobId) -> (Self, JobStateChanged) {
        let job = Self { id, state: JobState::Offered, rev: 1, attempt: 0 };
        let event = job.changed(None, None);
        (job, event)
    }

    /// A job as it was stored.
    #[must_use]
    pub const fn restore(id: JobId, state: JobState, rev: u64, attempt: u32) -> Self {
        Self { id, state, rev, attempt }
    }

    /// The job's name.
    #[must_use]
    pub const fn id(&self) -> &JobId {
        &self.id
    }

    /// The job's state.
    #[must_use]
    pub const fn state(&self) -> JobState {
        self.state
    }

    /// Rises by one with every change.
    #[must_use]
    pub const fn rev(&self) -> u64 {
        self.rev
    }

    /// The last attempt that has begun; 0 before the first.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Takes another state; the event data is to be stored in the same transaction as the job.
    ///
    /// # Errors
    /// The table does not allow it, or it is `starting`, which only [`Job::begin`] gives.
    pub fn move_to(&mut self, to: JobState, reason: Option<&str>) -> Result<JobStateChanged, UnlawfulMove> {
        if to == JobState::Starting {
            return Err(self.unlawful(to));
        }
        self.step(to, reason)
    }

    /// Begins an attempt, which has to be later than every one before.
    ///
    /// # Errors
    /// The attempt is not new, or the job is not in a state from which it can start.
    pub fn begin(&mut self, attempt: u32, reason: Option<&str>) -> Result<JobStateChanged, BeginError> {
        if attempt <= self.attempt {
            return Err(BeginError::AlreadyStarted {
                job_id: self.id.clone(),
                asked: attempt,
                begun: self.attempt,
            });
        }
        let event = self.step(JobState::Starting, reason)?;
        self.attempt = attempt;
        Ok(event)
    }

    /// Goes on with an interrupted job, as an attempt of its own, which has to be later than every one before.
    ///
    /// # Errors
    /// The attempt is not new, or the job is not interrupted.
    pub fn recover(&mut self, attempt: u32) -> Result<JobStateChanged, BeginError> {
        if attempt <= self.attempt {
            return Err(BeginError::AlreadyStarted {
                job_id: self.id.clone(),
                asked: attempt,
                begun: self.attempt,
            });
        }
        let event = self.step(JobState::Recovering, None)?;
        self.attempt = attempt;
        Ok(event)
    }

    /// Something else than the state changes, such as its place in the queue; gives the new revision, which is to be told and stored
    /// in one transaction like a move.
    pub fn revise(&mut self) -> u64 {
        self.rev += 1;
        self.rev
    }

    /// What a restart of the agent makes of the job: what held the printer is interrupted, a check begins anew, the rest stays.
    pub fn after_restart(&mut self) -> Option<JobStateChanged> {
        let to = match self.state {
            state if state.holds_printer() => JobState::Interrupted,
            JobState::Preflight => JobState::Queued,
            _ => return None,
        };
        let event = self.step(to, Some(Fault::AgentRestarted.code()));
        Some(event.expect("the table allows interrupted and queued from these states"))
    }

    fn step(&mut self, to: JobState, reason: Option<&str>) -> Result<JobStateChanged, UnlawfulMove> {
        if !lawful(self.state, to) {
            return Err(self.unlawful(to));
        }
        let from = self.state;
        self.state = to;
        self.rev += 1;
        Ok(self.changed(Some(from), reason))
    }

    fn unlawful(&self, to: JobState) -> UnlawfulMove {
        UnlawfulMove { job_id: self.id.clone(), from: self.state, to }
    }

    fn changed(&self, from: Option<JobState>, reason: Option<&str>) -> JobStateChanged {
        JobStateChanged {
            from,
            to: self.state,
            rev: self.rev,
            reason: reason.map(str::to_owned),
            doubt: None,
            loss: None,
            extra: Extra::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(state: JobState, attempt: u32) -> Job {
        Job::restore(JobId::new("j1").unwrap(), state, 10, attempt)
    }

    #[test]
    fn a_whole_life_counts_its_changes() {
        let (mut job, event) = Job::offered(JobId::new("j1").unwrap());
        assert_eq!((event.from, event.to, event.rev), (None, JobState::Offered, 1));
        for state in [JobState::Fetching, JobState::Verified, JobState::Queued, JobState::Preflight] {
            job.move_to(state, None).unwrap();
        }
        let event = job.begin(1, Some("job.start")).unwrap();
        assert_eq!((event.from, event.to, event.rev), (Some(JobState::Preflight), JobState::Starting, 6));
        for state in [JobState::Printing, JobState::Paused, JobState::Printing, JobState::Completed] {
            job.move_to(state, None).unwrap();
        }
        assert_eq!((job.state(), job.rev(), job.attempt()), (JobState::Completed, 10, 1));
    }

    #[test]
    fn an_unlawful_move_changes_nothing() {
        let mut job = job(JobState::Queued, 0);
        let before = job.clone();
        assert!(job.move_to(JobState::Printing, None).is_err());
        assert!(job.move_to(JobState::Starting, None).is_err());
        assert_eq!(job, before);
    }

    #[test]
    fn an_attempt_begins_once() {
        let mut job = job(JobState::Preflight, 2);
        for attempt in [0, 1, 2] {
            assert_eq!(job.begin(attempt, None).unwrap_err().fault(), Fault::JobAlreadyStarted);
        }
        assert!(job.begin(3, None).is_ok());
        assert_eq!(job.begin(4, None).unwrap_err().fault(), Fault::JobNotReady);
        assert_eq!(job.attempt(), 3);
    }

    #[test]
    fn an_interrupted_job_goes_on_as_an_attempt_of_its_own() {
        let mut job = job(JobState::Interrupted, 2);
        assert_eq!(job.recover(2).unwrap_err().fault(), Fault::JobAlreadyStarted);
        assert_eq!(job.recover(3).unwrap().to, JobState::Recovering);
        assert_eq!((job.attempt(), job.recover(4).unwrap_err().fault()), (3, Fault::JobNotReady));
        job.move_to(JobState::Printing, None).unwrap();
    }

    #[test]
    fn a_restart_interrupts_what_held_the_printer() {
        for state in JobState::ALL {
            let mut job = job(state, 1);
            let event = job.after_restart();
            let expected = match state {
                state if state.holds_printer() => JobState::Interrupted,
                JobState::Preflight => JobState::Queued,
                state => state,
            };
            assert_eq!(job.state(), expected);
            assert_eq!(event.is_some(), expected != state);
        }
    }
}
