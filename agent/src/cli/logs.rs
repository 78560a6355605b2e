//! `logs`: the last lines of the agent's log, and if asked what comes after them.

use std::io::Write;

use super::paint::wants_colour;
use super::{Failure, Whereabouts};
use crate::local::words::{Answer, Request};
use crate::telemetry::Level;

/// Shows the log.
pub(super) fn logs(
    whereabouts: &Whereabouts,
    follow: bool,
    lines: usize,
    level: Level,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut agent = whereabouts.agent()?;
    let colour = wants_colour(&std::io::stdout());
    let mut answer = agent.ask(&Request::Logs { lines, follow, level })?;
    loop {
        match answer {
            Answer::Log { line } if json => writeln!(out, "{}", line.json())?,
            Answer::Log { line } => writeln!(out, "{}", line.human(colour))?,
            Answer::Missed { lines } if json => {
                writeln!(out, "{}", serde_json::json!({"missed_lines": lines}))?
            }
            Answer::Missed { lines } => {
                writeln!(out, "... {lines} lines were missed, this reader is too slow ...")?
            }
            Answer::Done => return Ok(()),
            other => return Err(agent.strange(&other).into()),
        }
        out.flush()?;
        answer = agent.read()?;
    }
}
