//! What the journal has of the agent's service, asked of `journalctl`: it outlives the process, and has what systemd says of it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::cli::{Exit, Failure};
use crate::telemetry::{Level, LogLine};

/// Where journalctl is looked for.
const PROGRAM: &str = "journalctl";
/// Words of its complaint that are shown.
const SAID_BYTES: u64 = 2_000;

/// What is asked of the journal.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::cli) struct Wanted {
    /// So many of the last lines; else all.
    pub(in crate::cli) lines: Option<usize>,
    /// Unix milliseconds.
    pub(in crate::cli) since_ms: Option<u64>,
    /// Whether to stay.
    pub(in crate::cli) follow: bool,
}

/// Lines of the journal as they come.
#[derive(Debug)]
pub(in crate::cli) struct Journal {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    unit: String,
    seen: bool,
}

impl Journal {
    /// Asks.
    ///
    /// # Errors
    /// There is no journal here.
    pub(in crate::cli) fn ask(unit: &str, wanted: Wanted) -> Result<Self, Failure> {
        Self::ask_program(Command::new(PROGRAM), unit, wanted)
    }

    fn ask_program(mut command: Command, unit: &str, wanted: Wanted) -> Result<Self, Failure> {
        command.args(["--unit", unit, "--output", "json", "--no-pager"]);
        let lines = wanted.lines.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        command.args(["--lines", &lines]);
        if let Some(since_ms) = wanted.since_ms {
            command.args(["--since", &format!("@{}", since_ms / 1_000)]);
        }
        if wanted.follow {
            command.arg("--follow");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| no_journal(unit, &error))?;
        let out = child.stdout.take().expect("it was piped just now");
        Ok(Self { child, lines: BufReader::new(out), unit: unit.to_owned(), seen: false })
    }

    /// The next line; `None` when there are no more.
    ///
    /// # Errors
    /// The journal may not be read.
    pub(in crate::cli) fn next(&mut self) -> Result<Option<LogLine>, Failure> {
        let mut text = String::new();
        loop {
            text.clear();
            if self.lines.read_line(&mut text)? == 0 {
                return self.end();
            }
            if let Some(line) = line_of(&text) {
                self.seen = true;
                return Ok(Some(line));
            }
        }
    }

    fn end(&mut self) -> Result<Option<LogLine>, Failure> {
        let mut said = String::new();
        if let Some(complaint) = self.child.stderr.take() {
            complaint.take(SAID_BYTES).read_to_string(&mut said)?;
        }
        let ended = self.child.wait()?;
        // Without the right it shows nothing, and says so in a hint; its exit code may be that of success.
        if !self.seen && (said.contains("ermission") || said.contains("currently not seeing")) {
            return Err(Failure::new(
                Exit::Runtime,
                "This user may not read the journal of the agent's service.",
                None,
                "Use sudo, or add the user to the group systemd-journal: sudo usermod -aG systemd-journal $USER, then log in again.",
            ));
        }
        if !ended.success() && !self.seen {
            let said = said.lines().next().unwrap_or_default().to_owned();
            return Err(no_journal(&self.unit, &said));
        }
        Ok(None)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // It may be following; one that has ended needs nothing.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn no_journal(unit: &str, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        Exit::Runtime,
        format!("The journal of {unit} cannot be asked: {why}"),
        None,
        "It is there where the agent runs under systemd. One that was started by hand keeps its log in files: `spoolway-agent logs --files`.",
    )
}

/// An entry as a line; `None` for what is none.
fn line_of(text: &str) -> Option<LogLine> {
    let entry: Value = serde_json::from_str(text).ok()?;
    let word = |name: &str| words(entry.get(name)?);
    let at_us: u64 = word("__REALTIME_TIMESTAMP")?.parse().ok()?;
    let level = match word("PRIORITY").as_deref() {
        Some("0" | "1" | "2" | "3") => Level::Error,
        Some("4") => Level::Warn,
        Some("7") => Level::Debug,
        _ => Level::Info,
    };
    let fields = entry
        .as_object()?
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("F_")?.to_ascii_lowercase(), words(value)?)));
    let fields: Vec<(String, String)> = fields.collect();
    let message = word("MESSAGE").unwrap_or_default();
    // Our own lines repeat their fields in the message, for readers that show nothing else.
    let text = if fields.is_empty() { message } else { without_fields(message, &fields) };
    let target = word("TARGET").or_else(|| word("SYSLOG_IDENTIFIER")).unwrap_or_default();
    Some(LogLine { at_ms: at_us / 1_000, level, target, text, fields })
}

/// A text; the journal gives one that is not plain as an array of bytes.
fn words(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(bytes) => {
            let bytes: Option<Vec<u8>> = bytes.iter().map(|byte| u8::try_from(byte.as_u64()?).ok()).collect();
            bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => None,
    }
}

fn without_fields(mut message: String, fields: &[(String, String)]) -> String {
    let ends = fields.iter().filter_map(|(name, value)| message.find(&format!(" {name}={value}")));
    if let Some(end) = ends.min() {
        message.truncate(end);
    }
    message
}

#[cfg(test)]
mod tests;
