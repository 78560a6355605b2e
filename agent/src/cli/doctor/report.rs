//! What was looked at, step by step: for a terminal, for a program, and as an exit code.

use std::io::{self, Write};

use serde::Serialize;
use spoolway_protocol::Fault;

use super::super::Failure;
use super::super::fail::exit_of;
use super::super::paint::{Paint, plain, wrap};
use crate::view::FaultView;

/// Columns that every terminal has.
const COLUMNS: usize = 80;
/// Where the words of a step begin.
const INDENT: usize = 21;

/// How it stands with a step, better before worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    /// One before it failed, or there is nothing to look at.
    Skipped,
    /// The agent works, and somebody should know.
    Warning,
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) step: &'static str,
    pub(super) verdict: Verdict,
    pub(super) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) help: Option<String>,
}

/// Everything that was looked at, in its order.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    verdict: Verdict,
    relay: Option<String>,
    steps: Vec<Step>,
}

impl Step {
    pub(super) fn ok(step: &'static str, text: impl Into<String>) -> Self {
        Self { step, verdict: Verdict::Ok, text: text.into(), code: None, help: None }
    }

    pub(super) fn skipped(step: &'static str, text: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skipped, ..Self::ok(step, text) }
    }

    pub(super) fn warning(step: &'static str, text: impl Into<String>, help: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, help: Some(help.into()), ..Self::ok(step, text) }
    }

    pub(super) fn failed(step: &'static str, fault: Fault, text: impl Into<String>) -> Self {
        Self::of_fault(step, &FaultView::new(fault, text))
    }

    /// It failed with what the agent has said.
    pub(super) fn of_fault(step: &'static str, fault: &FaultView) -> Self {
        let (code, help) = (Some(fault.code.clone()), Some(fault.help.clone()));
        Self { verdict: Verdict::Failed, code, help, ..Self::ok(step, fault.text.as_str()) }
    }

    /// It failed with what would have ended another command.
    pub(super) fn of_failure(step: &'static str, failure: &Failure) -> Self {
        let (code, help) = (failure.code().map(str::to_owned), Some(failure.help().to_owned()));
        Self { verdict: Verdict::Failed, code, help, ..Self::ok(step, failure.text()) }
    }

    /// The same with a better mend than the fault's own.
    pub(super) fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl Report {
    /// The worst step is the verdict.
    pub(super) fn of(relay: Option<String>, steps: Vec<Step>) -> Self {
        let verdicts = steps.iter().map(|step| step.verdict).filter(|verdict| *verdict != Verdict::Skipped);
        Self { verdict: verdicts.max().unwrap_or(Verdict::Ok), relay, steps }
    }

    /// Shows it; a step that failed is the command's failure.
    pub(super) fn show(self, json: bool, out: &mut impl Write) -> Result<(), Failure> {
        if json {
            serde_json::to_writer(&mut *out, &self).map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            out.write_all(self.screen(Paint::of(&io::stdout())).as_bytes())?;
        }
        out.flush()?;
        let mut failed = self.steps.into_iter().filter(|step| step.verdict == Verdict::Failed);
        let Some(step) = failed.next() else { return Ok(()) };
        let exit = exit_of(step.code.as_deref().and_then(Fault::from_code));
        let others: String = failed.map(|other| format!(", and so did `{}`", other.step)).collect();
        Err(Failure::new(exit, format!("the step `{}` failed{others}", step.step), step.code, ""))
    }

    fn screen(&self, paint: Paint) -> String {
        self.steps.iter().map(|step| entry(step, paint)).collect()
    }
}

fn entry(step: &Step, paint: Paint) -> String {
    let word = match step.verdict {
        Verdict::Ok => paint.green("     ok"),
        Verdict::Skipped => paint.dim("      -"),
        Verdict::Warning => paint.yellow("warning"),
        Verdict::Failed => paint.red(" failed"),
    };
    let gap = format!("\n{:INDENT$}", "");
    let code = step.code.as_ref().map_or_else(String::new, |code| format!(" [{code}]"));
    let told = wrap(&format!("{}{code}", plain(&step.text)), COLUMNS - INDENT).join(&gap);
    let mut entry = format!("{word}  {:<12}{told}\n", step.step);
    if let Some(help) = &step.help {
        let help = wrap(&plain(help), COLUMNS - INDENT - 5).join(&format!("{gap}     "));
        entry.push_str(&format!("{:INDENT$}{} {help}\n", "", paint.dim("try:")));
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Exit;

    fn report() -> Report {
        let steps = vec![
            Step::ok("name", "relay.example is 192.0.2.7\x1b[2J"),
            Step::failed("tcp", Fault::NetworkTcp, "no connection: 192.0.2.7:443: refused"),
            Step::skipped("tls", "not reached"),
            Step::warning("clock", "late", "Wind it up."),
        ];
        Report::of(None, steps)
    }

    #[test]
    fn people_see_the_step_the_code_and_the_mend_within_their_terminal() {
        let text = report().screen(Paint::none());
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS && !line.contains('\x1b')), "{text}");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "     ok  name        relay.example is 192.0.2.7?[2J");
        assert_eq!(lines[1], " failed  tcp         no connection: 192.0.2.7:443: refused [network.tcp]");
        assert!(lines[2].starts_with("                     try: Check that the network is up"), "{text}");
        assert!(
            text.ends_with("warning  clock       late\n                     try: Wind it up.\n"),
            "{text}"
        );
    }

    #[test]
    fn the_worst_step_is_the_verdict_and_the_failed_one_the_exit_code() {
        let mut out = Vec::new();
        let failure = report().show(true, &mut out).unwrap_err();
        assert_eq!((failure.exit(), failure.code()), (Exit::Unavailable, Some("network.tcp")));
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&json["verdict"], &json["steps"][3]["verdict"]), (&"failed".into(), &"warning".into()));
        assert_eq!(json["steps"][0].get("code"), None);
        let skipped = Report::of(None, vec![Step::skipped("tls", "no relay")]);
        assert_eq!(skipped.verdict, Verdict::Ok);
        assert!(skipped.show(false, &mut out).is_ok());
    }
}
