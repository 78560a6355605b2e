//! `job`: what became of one job, with times, and what was known when it could not go on.

mod record;

use std::io::Write;

use super::paint::{Paint, fit, plain, size, span, wrap};
use super::{Failure, Whereabouts, jobs, which};
use crate::clock::utc;
use crate::explain;
use crate::post_mortem::Record;
use crate::view::history::{AttemptView, HistoryView, Step, Used};

/// Shows a job.
pub(super) fn job(
    whereabouts: &Whereabouts,
    typed: &str,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut agent = whereabouts.agent()?;
    let id = which::job(&agent.jobs()?, typed)?.job_id.clone();
    let history = agent.history(id.clone())?;
    let is_kept = history.attempts.iter().any(|attempt| attempt.record);
    let record = if is_kept { agent.record(id, None)? } else { None };
    if json {
        let shown = serde_json::json!({"history": history, "record": record});
        writeln!(out, "{shown}")?;
        return Ok(());
    }
    let page = page(&history, record.as_ref(), Paint::of(&std::io::stdout()));
    out.write_all(whereabouts.typed(&page).as_bytes())?;
    Ok(())
}

fn page(history: &HistoryView, record: Option<&Record>, paint: Paint) -> String {
    let job = &history.job;
    let mut text = format!("{}\n", paint.bold(&fit(&job.name, 80)));
    let done = jobs::percent(jobs::share(job));
    let facts = format!("{}, {}, {}, of {}", job.state, done.trim(), size(job.size), plain(&history.owner));
    text.push_str(&format!("  {}\n  {}\n", paint.dim(job.job_id.as_str()), fit(&facts, 78)));
    for line in job.reason.iter().flat_map(|reason| wrap(&plain(reason), 78)) {
        text.push_str(&format!("  {}\n", paint.yellow(&line)));
    }
    text.push_str(&format!("\n{}\n", paint.bold("WHEN (UTC)")));
    text.push_str(&format!("{}  accepted\n", when(job.created_ms)));
    for (at, step) in history.steps.iter().enumerate() {
        if at == 8 && history.steps_left_out > 0 {
            text.push_str(&format!("{:>19}  {} steps are not kept\n", "...", history.steps_left_out));
        }
        text.push_str(&step_line(step));
    }
    if history.steps.iter().any(|step| step.unsure) {
        text.push_str("? this machine did not know the time then\n");
    }
    for attempt in &history.attempts {
        text.push_str(&attempt_lines(attempt, paint));
    }
    if let Some(record) = record {
        text.push_str(&record::lines(record, paint));
    }
    for code in codes(history) {
        text.push_str(&format!("`spoolway-agent explain {code}` says more of that code.\n"));
    }
    text
}

fn step_line(step: &Step) -> String {
    let attempt = if step.attempt > 1 { format!("  attempt {}", step.attempt) } else { String::new() };
    let code = step.code.as_ref().map_or_else(String::new, |code| format!("  [{}]", fit(code, 30)));
    let unsure = if step.unsure { '?' } else { ' ' };
    let line = format!("{}{unsure} {}{attempt}{code}", when(step.at_ms), step.to);
    format!("{}\n", fit(&line, 80))
}

fn attempt_lines(attempt: &AttemptView, paint: Paint) -> String {
    let outcome = attempt.outcome.as_deref().unwrap_or("under way");
    let behind = attempt.line.map_or_else(String::new, |line| format!(", behind line {line}"));
    let head = format!("Attempt {}: {}{behind}", attempt.attempt, plain(outcome));
    let mut text = format!("\n{}\n", paint.bold(&fit(&head, 80)));
    for line in attempt.reason.iter().flat_map(|reason| wrap(&plain(reason), 78)) {
        text.push_str(&format!("  {line}\n"));
    }
    for line in attempt.used.iter().flat_map(|used| wrap(&used_words(used), 78)) {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

fn used_words(used: &Used) -> String {
    let paused =
        if used.paused_ms > 0 { format!(", paused {}", span(used.paused_ms)) } else { String::new() };
    let filament = used.filament_mm.as_ref().map_or_else(
        || "filament not known".to_owned(),
        |tools| format!("filament {:.0} mm", tools.iter().sum::<f64>()),
    );
    format!(
        "printed {}{paused}; {filament}; {} lines refused, {} replies missing, longest gap {} ms",
        span(used.printing_ms),
        used.resends,
        used.timeouts,
        used.max_gap_ms
    )
}

/// Codes that are shown and can be explained, each once.
fn codes(history: &HistoryView) -> Vec<&str> {
    let of_steps = history.steps.iter().filter_map(|step| step.code.as_deref());
    let mut codes: Vec<&str> = Vec::new();
    for code in history.job.code.as_deref().into_iter().chain(of_steps) {
        if explain::is_known(code) && !codes.contains(&code) {
            codes.push(code);
        }
    }
    codes
}

/// `2026-01-01 00:00:00`.
fn when(unix_ms: u64) -> String {
    let time = utc(unix_ms);
    format!("{} {}", &time[..10], &time[11..19])
}

#[cfg(test)]
pub(super) mod tests;
