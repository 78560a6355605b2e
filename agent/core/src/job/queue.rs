//! The order of the jobs of one printer, and which of them may start by itself.

use std::cmp::Reverse;

use spoolway_protocol::ids::JobId;
use spoolway_protocol::job::{JobState, OfferArgs, StartRule};

/// Jobs that a queue holds at most.
pub const QUEUE_JOBS: usize = 1_000;

/// A job in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// The job.
    pub job_id: JobId,
    /// Its state; only jobs that are `queued` or wait for the bed are startable.
    pub state: JobState,
    /// When it starts.
    pub start: StartRule,
    /// Higher goes first.
    pub priority: i32,
    /// Among equal priorities, lower goes first.
    pub position: i64,
    /// Not before, unix ms.
    pub not_before: Option<u64>,
    /// Not after, unix ms.
    pub not_after: Option<u64>,
    /// Somebody holds it: it does not start by itself.
    pub held: bool,
}

impl Queued {
    /// The place of a job that was just offered: behind everything of its priority.
    #[must_use]
    pub fn from_offer(offer: &OfferArgs) -> Self {
        Self {
            job_id: offer.job_id.clone(),
            state: JobState::Offered,
            start: offer.start.clone(),
            priority: offer.priority,
            position: i64::MAX,
            not_before: offer.not_before,
            not_after: offer.not_after,
            held: false,
        }
    }

    /// Whether it has not begun and may still do so.
    #[must_use]
    pub const fn waits(&self) -> bool {
        matches!(
            self.state,
            JobState::Offered
                | JobState::Fetching
                | JobState::Verified
                | JobState::Queued
                | JobState::AwaitingBedClear
                | JobState::AwaitingOperator
        )
    }

    /// Whether the job may start by itself. Without a clock to trust, a job with a time limit may not.
    fn starts_by_itself(&self, unix_ms: Option<u64>) -> bool {
        let after_begin = self.not_before.is_none_or(|limit| unix_ms.is_some_and(|now| now >= limit));
        let before_end = self.not_after.is_none_or(|limit| unix_ms.is_some_and(|now| now <= limit));
        let wanted = match self.start {
            StartRule::WhenReady => true,
            StartRule::At => self.not_before.is_some(),
            StartRule::Manual | StartRule::Unknown(_) => false,
        };
        let waits = matches!(self.state, JobState::Queued | JobState::AwaitingBedClear);
        wanted && after_begin && before_end && waits && !self.held
    }
}

/// The queue holds as many jobs as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the queue already holds {QUEUE_JOBS} jobs")]
pub struct QueueFull;

/// The jobs of one printer in order.
#[derive(Debug, Clone, Default)]
pub struct JobQueue {
    jobs: Vec<Queued>,
}

impl JobQueue {
    /// An empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self { jobs: Vec::new() }
    }

    /// Adds a job, or changes it when it is there; equal places keep the order in which they came.
    ///
    /// # Errors
    /// The job is new and the queue is full.
    pub fn put(&mut self, job: Queued) -> Result<(), QueueFull> {
        match self.jobs.iter().position(|known| known.job_id == job.job_id) {
            Some(at) => self.jobs[at] = job,
            None if self.jobs.len() >= QUEUE_JOBS => return Err(QueueFull),
            None => self.jobs.push(job),
        }
        self.jobs.sort_by_key(|job| (Reverse(job.priority), job.position));
        Ok(())
    }

    /// Tells the queue of a job's state; false when it does not hold the job.
    pub fn set_state(&mut self, job_id: &JobId, state: JobState) -> bool {
        let job = self.jobs.iter_mut().find(|job| job.job_id == *job_id);
        job.map(|job| job.state = state).is_some()
    }

    /// Takes a job out.
    pub fn remove(&mut self, job_id: &JobId) -> Option<Queued> {
        let at = self.jobs.iter().position(|job| job.job_id == *job_id)?;
        Some(self.jobs.remove(at))
    }

    /// The jobs, first to last.
    pub fn iter(&self) -> impl Iterator<Item = &Queued> {
        self.jobs.iter()
    }

    /// The job whose turn it is to start by itself: none while a job holds the printer or is about to. One that waits for the bed
    /// has had its turn and keeps it, unless another has come before it. `unix_ms` is `None` without a clock to trust.
    #[must_use]
    pub fn next_startable(&self, unix_ms: Option<u64>) -> Option<&Queued> {
        let about_to = |state| matches!(state, JobState::Preflight | JobState::AwaitingOperator);
        // An interrupted job may still be recovered: its part is on the bed.
        let taken =
            |state: JobState| state.holds_printer() || about_to(state) || state == JobState::Interrupted;
        if self.jobs.iter().any(|job| taken(job.state)) {
            return None;
        }
        self.jobs.iter().find(|job| job.starts_by_itself(unix_ms))
    }

    /// Jobs that have not begun and whose time is over.
    pub fn overdue(&self, unix_ms: u64) -> impl Iterator<Item = &Queued> {
        self.jobs.iter().filter(move |job| job.waits() && job.not_after.is_some_and(|end| unix_ms > end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str, start: StartRule, priority: i32, position: i64) -> Queued {
        let job_id = JobId::new(id).unwrap();
        Queued {
            job_id,
            state: JobState::Queued,
            start,
            priority,
            position,
            not_before: None,
            not_after: None,
            held: false,
        }
    }

    fn queue(jobs: impl IntoIterator<Item = Queued>) -> JobQueue {
        let mut queue = JobQueue::new();
        jobs.into_iter().for_each(|job| queue.put(job).unwrap());
        queue
    }

    fn next(queue: &JobQueue, now: Option<u64>) -> Option<String> {
        queue.next_startable(now).map(|job| job.job_id.to_string())
    }

    #[test]
    fn priority_then_position_then_arrival() {
        let rule = || StartRule::WhenReady;
        let queue = queue([
            job("a", rule(), 0, 5),
            job("b", rule(), 0, 5),
            job("c", rule(), 0, 1),
            job("d", rule(), 9, 9),
        ]);
        let order: Vec<_> = queue.iter().map(|job| job.job_id.as_str()).collect();
        assert_eq!(order, ["d", "c", "a", "b"]);
    }

    #[test]
    fn nothing_starts_by_itself_unless_the_offer_says_so() {
        let manual = [StartRule::Manual, StartRule::At, StartRule::Unknown("asap".to_owned())];
        let mut queue =
            queue(manual.into_iter().enumerate().map(|(n, rule)| job(&format!("m{n}"), rule, 9, 0)));
        assert_eq!(next(&queue, Some(1)), None);
        let auto = job("auto", StartRule::WhenReady, -5, 0);
        queue.put(Queued { held: true, ..auto.clone() }).unwrap();
        assert_eq!(next(&queue, None), None, "it is held");
        queue.put(auto).unwrap();
        assert_eq!(next(&queue, None).as_deref(), Some("auto"));
    }

    #[test]
    fn one_job_at_a_time() {
        let mut queue = queue([job("a", StartRule::WhenReady, 0, 0), job("b", StartRule::WhenReady, 0, 1)]);
        let a = JobId::new("a").unwrap();
        queue.set_state(&a, JobState::AwaitingBedClear);
        assert_eq!(next(&queue, None).as_deref(), Some("a"), "it keeps its turn");
        for state in [JobState::AwaitingOperator, JobState::Paused, JobState::Interrupted, JobState::Printing]
        {
            assert!(queue.set_state(&a, state));
            assert_eq!(next(&queue, None), None, "{state}");
        }
        queue.set_state(&a, JobState::Completed);
        assert_eq!(next(&queue, None).as_deref(), Some("b"));
        assert!(queue.remove(&a).is_some() && !queue.set_state(&a, JobState::Queued));
    }

    #[test]
    fn times_are_kept_and_a_clock_is_needed_for_them() {
        let timed = Queued { not_before: Some(100), not_after: Some(200), ..job("t", StartRule::At, 0, 0) };
        let queue = queue([timed]);
        assert_eq!([None, Some(99), Some(201)].map(|now| next(&queue, now)), [None, None, None]);
        assert_eq!(next(&queue, Some(150)).as_deref(), Some("t"));
        assert_eq!(queue.overdue(200).count(), 0);
        assert_eq!(queue.overdue(201).count(), 1);
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut queue = queue((0..QUEUE_JOBS).map(|n| job(&format!("j{n}"), StartRule::Manual, 0, 0)));
        assert_eq!(queue.put(job("more", StartRule::Manual, 0, 0)), Err(QueueFull));
        assert_eq!(queue.put(job("j5", StartRule::WhenReady, 0, 0)), Ok(()));
    }
}
