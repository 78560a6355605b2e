//! Which job is meant by what somebody has typed: its id, or as much of its beginning or end as names no other.

use spoolway_protocol::{Fault, JobId};

use super::Failure;
use crate::view::JobView;

/// Candidates that are named.
const NAMED: usize = 4;

/// The job, among those that the agent remembers.
pub(super) fn job<'a>(jobs: &'a [JobView], typed: &str) -> Result<&'a JobView, Failure> {
    if let Some(job) = jobs.iter().find(|job| job.job_id.as_str() == typed) {
        return Ok(job);
    }
    let fits = |job: &&JobView| {
        let id = job.job_id.as_str();
        !typed.is_empty() && (id.starts_with(typed) || id.ends_with(typed))
    };
    let found: Vec<&JobView> = jobs.iter().filter(fits).collect();
    match found.as_slice() {
        [job] => Ok(job),
        [] => Err(unknown(typed)),
        several => {
            let ids: Vec<&str> = several.iter().take(NAMED).map(|job| job.job_id.as_str()).collect();
            let more = if several.len() > NAMED { ", ..." } else { "" };
            Err(Failure::of(
                Fault::JobUnknown,
                format!("{typed:?} may be any of {} jobs: {}{more}", several.len(), ids.join(", ")),
            ))
        }
    }
}

/// The id, for what is kept of jobs that the agent may no longer remember.
pub(super) fn id(typed: &str) -> Result<JobId, Failure> {
    JobId::new(typed).map_err(|_| unknown(typed))
}

fn unknown(typed: &str) -> Failure {
    Failure::of(Fault::JobUnknown, format!("the agent has no job {typed:?}"))
}

#[cfg(test)]
mod tests {
    use spoolway_protocol::JobState;

    use super::super::jobs::tests::job as view;
    use super::*;

    #[test]
    fn a_job_is_named_by_what_is_only_its_own() {
        let jobs = ["job-7731", "job-7732", "job-77", "part"].map(|id| view(id, JobState::Queued, 0));
        let which =
            |typed| job(&jobs, typed).map(|job| job.job_id.as_str()).map_err(|no| no.text().to_owned());
        for (typed, id) in
            [("job-7731", "job-7731"), ("32", "job-7732"), ("job-77", "job-77"), ("pa", "part")]
        {
            assert_eq!(which(typed), Ok(id));
        }
        assert_eq!(which("job-773").unwrap_err(), "\"job-773\" may be any of 2 jobs: job-7731, job-7732");
        for nothing in ["x", "", "\u{1b}[2J"] {
            assert!(which(nothing).unwrap_err().starts_with("the agent has no job "), "{nothing}");
        }
    }
}
