//! `jobs`: a table of the jobs, the one on the printer first, and what a person wants of one that waits.

use std::io::Write;

use spoolway_protocol::JobState;
use spoolway_protocol::preflight::{FindingSeverity, PreflightFinding};

use super::actions::JobsAction;
use super::paint::{Paint, fit, plain, size, wrap};
use super::{Failure, Whereabouts, act, which};
use crate::explain;
use crate::local::words::Request;
use crate::view::JobView;

/// Findings that are shown with a job.
const FINDINGS: usize = 3;

/// Lists the jobs.
pub(super) fn jobs(whereabouts: &Whereabouts, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let mut jobs = whereabouts.agent()?.jobs()?;
    if json {
        for job in &jobs {
            serde_json::to_writer(&mut *out, job).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        return Ok(());
    }
    jobs.sort_by_key(|job| (!job.state.holds_printer(), job.state.is_terminal()));
    let table = table(&jobs, Paint::of(&std::io::stdout()));
    out.write_all(whereabouts.typed(&table).as_bytes())?;
    Ok(())
}

/// Changes how a job stands in the queue, or lets it start in spite of what was found.
pub(super) fn change(
    whereabouts: &Whereabouts,
    action: JobsAction,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let (request, verb) = match action {
        JobsAction::Move { job, to } => {
            let at = to.spot(|typed| whereabouts.job(typed))?;
            (Request::Place { job_id: whereabouts.job(&job)?, at }, "Moved")
        }
        JobsAction::Hold { job } => (Request::Hold { job_id: whereabouts.job(&job)? }, "Held"),
        JobsAction::Release { job } => (Request::Release { job_id: whereabouts.job(&job)? }, "Released"),
        JobsAction::Override { job, code } => return accept(whereabouts, &job, code, out),
    };
    act::act(whereabouts, &request, verb, out)
}

/// Accepts the errors that were found in a job's file: those that are shown, or those of the codes.
fn accept(
    whereabouts: &Whereabouts,
    typed: &str,
    codes: Vec<String>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut agent = whereabouts.agent()?;
    let jobs = agent.jobs()?;
    let job = which::job(&jobs, typed)?;
    let errors = job.findings.iter().filter(|finding| finding.severity == FindingSeverity::Error);
    for error in errors.clone() {
        writeln!(out, "{}", wrap(&told(error), 80).join("\n  "))?;
    }
    // What was shown is what is accepted: what is found anew is asked about again.
    let codes = if codes.is_empty() { errors.map(|error| error.code.clone()).collect() } else { codes };
    let job = agent.job(&Request::Override { job_id: job.job_id.clone(), codes: Some(codes) })?;
    writeln!(out, "Accepted for {} ({}): now {}.", plain(&job.name), job.job_id, job.state)?;
    Ok(())
}

fn told(finding: &PreflightFinding) -> String {
    let line = finding.line.map_or_else(String::new, |line| format!("line {line}: "));
    plain(&format!("{}: {line}{} [{}]", finding.severity, finding.text, finding.code))
}

/// Why a job stands where it stands, with the code that `explain` wants.
pub(super) fn told_reason(reason: &str, code: Option<&str>) -> String {
    plain(&code.map_or_else(|| reason.to_owned(), |code| format!("{reason} [{code}]")))
}

/// How far a job is, from 0 to 1: by commands, or by bytes while these are not counted.
pub(super) fn share(job: &JobView) -> f64 {
    let (part, whole) =
        if job.commands_total > 0 { (job.commands_acked, job.commands_total) } else { (job.bytes, job.size) };
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Which of several copies is printed now or next; after the last, that.
pub(super) fn copy_of(job: &JobView) -> Option<String> {
    let copy = (job.copies_done + 1).min(job.copies);
    (job.copies > 1).then(|| format!("copy {copy} of {}", job.copies))
}

/// Percent, rounded down: 100 is only what is done.
pub(super) fn percent(share: f64) -> String {
    format!("{:>3.0} %", (share * 100.0).floor())
}

fn table(jobs: &[JobView], paint: Paint) -> String {
    if jobs.is_empty() {
        return "No jobs. `spoolway-agent print FILE` makes one.\n".to_owned();
    }
    let head = format!("{:<44} {:<18} {:>5} {:>10}", "NAME / JOB", "STATE", "DONE", "SIZE");
    let mut text = format!("{}\n", paint.bold(&head));
    for job in jobs {
        let state = format!("{:<18}", job.state.as_str());
        let state = match job.state {
            of if of.holds_printer() => paint.green(&state),
            of if of.is_terminal() => paint.dim(&state),
            _ => state,
        };
        let name = fit(&job.name, 44);
        text.push_str(&format!("{name:<44} {state} {:>5} {:>10}\n", percent(share(job)), size(job.size)));
        // The id is whole: `cancel` wants it.
        let copy = copy_of(job).map_or_else(String::new, |copy| format!("  {copy}"));
        text.push_str(&format!("  {}{copy}\n", paint.dim(job.job_id.as_str())));
        for line in job.reason.iter().flat_map(|reason| wrap(&told_reason(reason, job.code.as_deref()), 76)) {
            text.push_str(&format!("  {}\n", paint.yellow(&line)));
        }
        if job.loss.is_some() {
            let hint = format!("`spoolway-agent recover {} --plan` says how it may go on", job.job_id);
            text.push_str(&format!("  {}\n", fit(&hint, 76)));
        }
        if !job.state.is_terminal() {
            for finding in job.findings.iter().take(FINDINGS) {
                text.push_str(&format!("  {}\n", paint.yellow(&fit(&told(finding), 76))));
            }
        }
        if job.state == JobState::AwaitingOperator && !job.findings.is_empty() {
            let accept = format!("`spoolway-agent jobs override {}`", job.job_id);
            text.push_str(&format!("  mend the file, or accept this: {accept}\n"));
        }
    }
    let shown = |job: &JobView| job.code.clone().filter(|code| explain::is_known(code));
    if let Some(code) = jobs.iter().find_map(shown) {
        text.push_str(&format!("`spoolway-agent explain {code}` says more of a code.\n"));
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use spoolway_agent_core::recovery::{Loss, Since};
    use spoolway_protocol::JobId;

    use crate::view::recovery::LossView;

    use super::*;

    pub(in crate::cli) fn job(id: &str, state: JobState, acked: u64) -> JobView {
        JobView {
            job_id: JobId::new(id).unwrap(),
            name: "a long name with an escape \x1b[2J in it.gcode".to_owned(),
            state,
            attempt: 1,
            commands_acked: acked,
            commands_total: 1_000,
            line: acked,
            layer: 61,
            layers_total: 130,
            bytes: 0,
            size: 734_003,
            reason: None,
            code: None,
            loss: None,
            findings: Vec::new(),
            created_ms: 0,
            rev: 1,
            priority: 0,
            copies: 1,
            copies_done: 0,
            held: false,
        }
    }

    #[test]
    fn the_table_fits_a_terminal() {
        let mut failed = job(&"j".repeat(64), JobState::AwaitingBedClear, 999);
        failed.reason =
            Some("The printer's port went away while it was in use, and nobody knows why.".repeat(2));
        failed.code = Some("port.lost".to_owned());
        let fifth = JobView { copies: 5, copies_done: 4, ..job("j2", JobState::Queued, 0) };
        let text = table(&[job("j1", JobState::Printing, 470), failed, fifth], Paint::none());
        assert!(text.lines().all(|line| line.chars().count() <= 80 && !line.contains('\x1b')), "{text}");
        assert!(text.contains(" printing            47 %  716.8 KiB\n  j1\n"), "{text}");
        assert!(text.contains("\n  j2  copy 5 of 5\n"), "{text}");
        assert!(text.contains(" 99 %"), "{text}");
        assert!(
            text.contains("nobody knows why. [port.lost]\n") || text.contains("\n  [port.lost]\n"),
            "{text}"
        );
        assert!(text.ends_with("\n`spoolway-agent explain port.lost` says more of a code.\n"), "{text}");
        assert!(!table(&[job("j1", JobState::Printing, 470)], Paint::none()).contains("explain"));
    }

    #[test]
    fn an_interrupted_job_says_how_it_may_go_on() {
        let mut lost = job("j1", JobState::Interrupted, 470);
        lost.loss = Some(LossView { loss: Loss::PrinterReset, since: Since::Reset });
        let text = table(&[lost], Paint::none());
        assert!(text.contains("\n  `spoolway-agent recover j1 --plan` says how it may go on\n"), "{text}");
    }

    #[test]
    fn what_was_found_stands_with_the_job_that_waits() {
        let mut waits = job("j1", JobState::AwaitingOperator, 0);
        waits.findings = vec![PreflightFinding {
            code: "outside-volume".to_owned(),
            severity: FindingSeverity::Error,
            subject: None,
            line: Some(7),
            more_lines: Vec::new(),
            count: 1,
            text: "filament is fed at X231.0".to_owned(),
            value: None,
            limit: None,
            help: String::new(),
            extra: Default::default(),
        }];
        let text = table(&[waits], Paint::none());
        assert!(text.contains("  error: line 7: filament is fed at X231.0 [outside-volume]\n"), "{text}");
        assert!(text.contains("`spoolway-agent jobs override j1`"), "{text}");
    }

    #[test]
    fn shares_are_never_past_their_whole() {
        assert!((share(&job("j", JobState::Printing, 250)) - 0.25).abs() < 1e-9);
        let mut unknown = job("j", JobState::Fetching, 0);
        unknown.commands_total = 0;
        unknown.size = 0;
        assert!(share(&unknown).abs() < 1e-9);
    }
}
