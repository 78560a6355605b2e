//! `print`: hands a file to the agent, and if asked stays to show how it goes.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use spoolway_protocol::{Fault, JobId, JobState};

use super::jobs::{copy_of, percent, share, told_reason};
use super::paint::{bar, fit, plain, wrap};
use super::{Exit, Failure, Whereabouts, bed};
use crate::local::words::Request;
use crate::local::{Client, PrintWishes};
use crate::view::JobView;

/// How often a job is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How a file shall be printed.
#[derive(Debug)]
pub(super) struct Wishes {
    /// How the agent is told.
    pub(super) wishes: PrintWishes,
    /// Whether the person has looked at the bed.
    pub(super) bed_clear: bool,
    /// Whether to stay until the job is over.
    pub(super) follow: bool,
}

/// Prints a file.
pub(super) fn print(
    whereabouts: &Whereabouts,
    file: &Path,
    wishes: Wishes,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let path = std::path::absolute(file)?;
    if path.to_str().is_none() {
        let help = "Give the file a name in plain letters.";
        return Err(Failure::new(
            Exit::Usage,
            format!("{}: the path is not UTF-8 text", path.display()),
            None,
            help,
        ));
    }
    let mut agent = whereabouts.agent()?;
    if wishes.bed_clear {
        bed::clear_now(&mut agent)?;
    }
    let hint = bed::hint(&mut agent)?;
    let job = agent.job(&Request::Enqueue { path, wishes: wishes.wishes })?;
    writeln!(out, "{} is job {}: {}.", plain(&job.name), job.job_id, job.state)?;
    if let Some(hint) = hint {
        writeln!(out, "{}", whereabouts.typed(&hint))?;
    }
    if wishes.follow {
        return watch(whereabouts, &mut agent, job, out);
    }
    writeln!(
        out,
        "{}",
        whereabouts.typed(&format!("`spoolway-agent job {}` says how it goes.", job.job_id))
    )?;
    Ok(())
}

fn watch(
    whereabouts: &Whereabouts,
    agent: &mut Client,
    mut job: JobView,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let is_terminal = std::io::stdout().is_terminal();
    let (mut shown, mut why) = (String::new(), None);
    loop {
        let waits = why_it_waits(&job);
        if waits != why {
            if let Some(words) = &waits {
                let start = if is_terminal { "\r\x1b[K" } else { "" };
                writeln!(out, "{start}{}", whereabouts.typed(words))?;
                shown.clear();
            }
            why = waits;
        }
        // On a terminal one line changes; elsewhere a line is added when the state or the tenth changes.
        let mark = if is_terminal { line(&job) } else { milestone(&job) };
        if mark != shown {
            if is_terminal {
                write!(out, "\r\x1b[K{mark}")?;
            } else {
                writeln!(out, "{}", line(&job))?;
            }
            out.flush()?;
            shown = mark;
        }
        if is_over(job.state) {
            if is_terminal {
                writeln!(out)?;
            }
            return verdict(&job);
        }
        std::thread::sleep(LOOK);
        job = look(agent, &job.job_id)?;
    }
}

/// The job that holds the printer comes with the status; any other has to be looked for.
fn look(agent: &mut Client, id: &JobId) -> Result<JobView, Failure> {
    if let Some(job) = agent.status()?.job.filter(|job| job.job_id == *id) {
        return Ok(job);
    }
    let found = agent.jobs()?.into_iter().find(|job| job.job_id == *id);
    found.ok_or_else(|| Failure::of(Fault::JobUnknown, format!("the agent no longer knows job {id}")))
}

fn line(job: &JobView) -> String {
    let share = share(job);
    let layers = if job.layers_total > 0 {
        format!("  layer {}/{}", job.layer, job.layers_total)
    } else {
        String::new()
    };
    let copy = copy_of(job).map_or_else(String::new, |copy| format!("  {copy}"));
    fit(&format!("{} {}  {}{layers}{copy}", bar(share, 30), percent(share), job.state), 79)
}

/// Why nothing happens, and what to type, where that is known.
fn why_it_waits(job: &JobView) -> Option<String> {
    if is_over(job.state) {
        return None;
    }
    let mut words = told_reason(job.reason.as_deref()?, job.code.as_deref());
    if job.state == JobState::AwaitingOperator {
        words.push_str(&format!("; `spoolway-agent jobs override {}` starts it all the same", job.job_id));
    }
    Some(wrap(&words, 79).join("\n"))
}

fn milestone(job: &JobView) -> String {
    format!("{} {:.0}", job.state, (share(job) * 10.0).floor())
}

fn is_over(state: JobState) -> bool {
    state.is_terminal() || state == JobState::Interrupted
}

fn verdict(job: &JobView) -> Result<(), Failure> {
    if job.state == JobState::Completed {
        return Ok(());
    }
    let reason = job.reason.as_deref().unwrap_or("no reason is known");
    let text = format!("{} ({}) is {}: {reason}", job.name, job.job_id, job.state);
    let fault = job.code.as_deref().and_then(Fault::from_code);
    let help = fault.map_or("Look at `spoolway-agent status` and `spoolway-agent logs`.", Fault::help);
    Err(Failure::new(Exit::Runtime, text, job.code.clone(), help))
}

#[cfg(test)]
mod tests {
    use super::super::jobs::tests::job;
    use super::*;

    #[test]
    fn one_line_shows_how_it_goes() {
        let job = job("j1", JobState::Printing, 470);
        assert_eq!(line(&job), "[##############----------------]  47 %  printing  layer 61/130");
        assert_eq!(milestone(&job), "printing 4");
        let third = JobView { copies: 5, copies_done: 2, ..job };
        assert!(line(&third).ends_with("layer 61/130  copy 3 of 5"));
    }

    #[test]
    fn whoever_follows_reads_why_nothing_happens() {
        let mut waits = job("j1", JobState::AwaitingOperator, 0);
        assert_eq!(why_it_waits(&waits), None);
        waits.reason = Some("errors were found in its file".to_owned());
        waits.code = Some("job.findings".to_owned());
        let words = why_it_waits(&waits).unwrap().replace('\n', " ");
        assert!(
            words.starts_with(
                "errors were found in its file [job.findings]; `spoolway-agent jobs override j1`"
            )
        );
        assert_eq!(why_it_waits(&JobView { state: JobState::Failed, ..waits }), None, "the end says it");
    }

    #[test]
    fn only_a_completed_job_is_a_success() {
        for state in JobState::ALL.into_iter().filter(|&state| is_over(state)) {
            assert_eq!(verdict(&job("j1", state, 0)).is_ok(), state == JobState::Completed);
        }
        assert!(!is_over(JobState::Paused));
        let mut failed = job("j1", JobState::Failed, 0);
        assert_eq!(verdict(&failed).unwrap_err().code(), None);
        failed.code = Some(Fault::JobFileCorrupt.code().to_owned());
        let failure = verdict(&failed).unwrap_err();
        assert_eq!(
            (failure.code(), failure.help()),
            (Some("job.file_corrupt"), Fault::JobFileCorrupt.help())
        );
    }
}
