//! Which job is meant by what somebody has typed: its id, or as much of its beginning or end as names no other.

use spoolway_protocol::Fault;

use super::Failure;
use crate::view::JobView;

/// Candidates that are named.
const NAMED: usize = 4;

/// The job, among those that the agent remembers.
pub(super) fn job<'a>(jobs: &'a [JobView], typed: &str) -> Result<&'a JobView, Failure> {
    let meant = among(jobs.iter().map(|job| job.job_id.as_str()), typed)?;
    jobs.iter().find(|job| Some(job.job_id.as_str()) == meant).ok_or_else(|| unknown(typed))
}

/// The same among ids of jobs, whoever has them; an id may stand there more than once. Nothing where none fits.
pub(super) fn among<'a>(
    ids: impl IntoIterator<Item = &'a str>,
    typed: &str,
) -> Result<Option<&'a str>, Failure> {
    let fits = |id: &&str| !typed.is_empty() && (id.starts_with(typed) || id.ends_with(typed));
    let mut found: Vec<&str> = ids.into_iter().filter(fits).collect();
    if let Some(whole) = found.iter().copied().find(|id| *id == typed) {
        return Ok(Some(whole));
    }
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [] => Ok(None),
        [id] => Ok(Some(id)),
        several => {
            let ids = several[..several.len().min(NAMED)].join(", ");
            let more = if several.len() > NAMED { ", ..." } else { "" };
            let text = format!("{typed:?} may be any of {} jobs: {ids}{more}", several.len());
            Err(Failure::of(Fault::JobUnknown, text))
        }
    }
}

/// No job of the agent is meant by this.
pub(super) fn unknown(typed: &str) -> Failure {
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

    #[test]
    fn an_id_that_stands_there_more_than_once_is_one() {
        let ids = ["job-7731", "job-7731", "job-7732", "job-77"];
        let which = |typed| among(ids, typed).map_err(|no| no.text().to_owned());
        for (typed, id) in [("31", Some("job-7731")), ("job-77", Some("job-77")), ("x", None), ("", None)] {
            assert_eq!(which(typed), Ok(id), "{typed}");
        }
        assert_eq!(which("job-773").unwrap_err(), "\"job-773\" may be any of 2 jobs: job-7731, job-7732");
    }
}
