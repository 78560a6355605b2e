//! What was found in a job's file decides whether it goes on, waits for a person, or fails; and the word of that person.

use spoolway_agent_core::preflight::{Code, Finding, Printer, Report, Severity};
use spoolway_protocol::audit::{Audit, Via};
use spoolway_protocol::event::EventData;
use spoolway_protocol::job::JobState;
use spoolway_protocol::preflight::{FindingSeverity, JobPreflight, PreflightFinding, PreflightVerdict};
use spoolway_protocol::raw::Extra;
use spoolway_protocol::{Fault, JobId};
use tracing::{info, warn};

use super::clerk::Clerk;
use super::commands::unknown_job;
use super::events::event;
use super::moves::Reason;
use crate::preflight;
use crate::printer::Known;
use crate::view::{JobView, Refusal};

/// Findings that are told at most; the worst come first.
const FINDINGS: usize = 40;
/// Findings that stay with a job's row.
const KEPT: usize = 12;

impl Clerk {
    /// What a file is held against.
    pub(super) fn printer_for_files(&self, known: &Known) -> Printer {
        preflight::printer(&known.profile, Some(known.baud), Some(&known.report), &self.preflight_rules)
    }

    /// Tells what was found in a job's file. Gives whether it may go on; where not, it has been moved.
    pub(super) async fn pass_preflight(&mut self, id: &JobId, report: &Report) -> bool {
        let verdict = self.verdict(id, report);
        let mut findings = preflight::findings(report);
        findings.truncate(FINDINGS);
        let Some(entry) = self.book.entries.get_mut(id) else { return false };
        let attempt = entry.job.attempt();
        let told = EventData::from(Box::new(JobPreflight {
            verdict: verdict.clone(),
            findings: findings.clone(),
            summary: preflight::summary(report),
            extra: Extra::default(),
        }));
        findings.retain(|finding| finding.severity != FindingSeverity::Info);
        findings.truncate(KEPT);
        entry.detail.findings = findings;
        entry.detail.objects.clone_from(&report.objects);
        // Said again only when it has changed: a job may be looked through more than once before it starts.
        let raw = told.encode();
        let is_news = entry.told_preflight.as_ref() != Some(&raw);
        if is_news {
            log_findings(id, report);
        }
        entry.told_preflight = Some(raw);
        let told = event(&told, Some((id, attempt)), &self.clock.stamp());
        let news = if is_news { vec![told] } else { Vec::new() };
        match verdict {
            PreflightVerdict::Refused => {
                self.note(news).await;
                let reason = refused(report);
                self.end_unstarted(id, JobState::Failed, reason).await;
                false
            }
            PreflightVerdict::NeedsOverride => {
                let text = why_it_waits(report);
                let reason = Reason::fault(Fault::JobNeedsOverride, text.clone());
                self.move_job(id, JobState::AwaitingOperator, reason, news).await;
                self.end_start_command(id, Err(Refusal::new(Fault::JobNeedsOverride, text)));
                false
            }
            _ => {
                if is_news {
                    self.note(news).await;
                }
                true
            }
        }
    }

    fn verdict(&self, id: &JobId, report: &Report) -> PreflightVerdict {
        let accepted = self.book.entries.get(id).map_or(&[][..], |entry| entry.detail.accepted.as_slice());
        let all_accepted = report.of(Severity::Error).all(|error| is_among(accepted, error.code));
        match report.worst() {
            Some(Severity::Fatal) => PreflightVerdict::Refused,
            Some(Severity::Error) if !self.preflight_rules.block => PreflightVerdict::Passed,
            Some(Severity::Error) if all_accepted => PreflightVerdict::Overridden,
            Some(Severity::Error) => PreflightVerdict::NeedsOverride,
            _ => PreflightVerdict::Passed,
        }
    }

    /// A person has seen the errors and lets the job start. Without codes, all errors that were found are meant. Said twice, it is said
    /// once.
    pub(super) async fn override_job(
        &mut self,
        id: &JobId,
        codes: Option<Vec<String>>,
        by: (Via, String),
        reason: Option<String>,
    ) -> Result<JobView, Refusal> {
        let entry = self.book.entries.get(id).ok_or_else(|| unknown_job(id))?;
        let errors: Vec<String> =
            entry.detail.findings.iter().filter(|f| is_error(f)).map(|f| f.code.clone()).collect();
        let codes = codes.unwrap_or_else(|| errors.clone());
        let state = entry.job.state();
        if state != JobState::AwaitingOperator {
            let is_done = !codes.is_empty() && codes.iter().all(|code| entry.detail.accepted.contains(code));
            let text = || format!("job {id} is {state} and does not wait for a word on its findings");
            return if is_done { self.seen(id) } else { Err(Refusal::new(Fault::JobNotReady, text())) };
        }
        if let Some(open) = errors.iter().find(|error| !codes.contains(error)) {
            let text = format!("{open} was found in the file of job {id} and is not among the codes");
            return Err(Refusal::new(Fault::JobNeedsOverride, text));
        }
        let (via, actor) = by;
        info!(job = %id, ?codes, %via, "the findings of a file are overridden");
        let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        let detail = format!("job {id}: {}{why}", codes.join(", "));
        let audit = EventData::Audit(Audit {
            actor,
            via,
            action: "job.override".to_owned(),
            ok: true,
            detail: Some(detail),
            extra: Extra::default(),
        });
        let told = event(&audit, Some((id, entry.job.attempt())), &self.clock.stamp());
        let before = entry.detail.accepted.clone();
        let entry = self.book.entries.get_mut(id).expect("the job was found above");
        entry.detail.accepted = codes;
        if self.move_job(id, JobState::Queued, Reason::default(), vec![told]).await {
            return self.seen(id);
        }
        if let Some(entry) = self.book.entries.get_mut(id) {
            entry.detail.accepted = before;
        }
        Err(Refusal::new(Fault::DiskFull, "the word could not be stored"))
    }

    fn seen(&self, id: &JobId) -> Result<JobView, Refusal> {
        self.view_of(id).ok_or_else(|| unknown_job(id))
    }
}

fn is_error(finding: &PreflightFinding) -> bool {
    finding.severity == FindingSeverity::Error
}

fn is_among(accepted: &[String], code: Code) -> bool {
    accepted.iter().any(|accepted| accepted == code.as_str())
}

/// The first finding of a severity, in words.
fn first(report: &Report, severity: Severity) -> Option<&Finding> {
    report.of(severity).next()
}

fn place(finding: &Finding) -> String {
    if finding.line > 0 { format!("line {}: ", finding.line) } else { String::new() }
}

/// Why a file can never be printed here.
fn refused(report: &Report) -> Reason {
    let Some(finding) = first(report, Severity::Fatal) else { return Reason::default() };
    let fault = if finding.code == Code::LineTooLong { Fault::JobLineTooLong } else { Fault::JobNotGcode };
    Reason::fault(fault, format!("{}{}", place(finding), finding.text))
}

fn why_it_waits(report: &Report) -> String {
    let others = report.of(Severity::Error).count().saturating_sub(1);
    let more = if others > 0 { format!(" (and {others} more)") } else { String::new() };
    first(report, Severity::Error).map_or_else(String::new, |finding| {
        format!("{}{} [{}]{more}", place(finding), finding.text, finding.code)
    })
}

/// Once for each look through a file, however much was found.
fn log_findings(id: &JobId, report: &Report) {
    let codes: Vec<&str> = report
        .findings
        .iter()
        .filter(|finding| finding.severity() >= Severity::Warning)
        .map(|finding| finding.code.as_str())
        .collect();
    let Some(worst) = report.findings.first().filter(|_| !codes.is_empty()) else { return };
    warn!(
        job = %id, findings = codes.join(", "), line = worst.line, text = worst.text, help = worst.code.help(),
        "something was found in the file"
    );
}
