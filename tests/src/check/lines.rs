//! Every line of the job is carried out once and in order.
//!
//! What the printer carried out is held against the job itself. Only two things may differ, and the world lists them
//! without asking the agent: a numbered line whose damage fits its 8-bit checksum stands for the line of its number, and
//! a line that lost its number on the way is none of the agent's.

use std::collections::HashMap;

use crate::printer::{Executed, Survivor, SurvivorKind};

use super::Fault;

/// Commands of the agent itself that may stand between those of the job.
const HOST_COMMANDS: [&[u8]; 2] = [b"M105", b"M110"];

/// A print that is over.
#[derive(Debug)]
pub struct Printed<'a> {
    /// The commands of the job.
    pub job: &'a [String],
    /// Every line that the host wrote.
    pub frames: &'a [Vec<u8>],
    /// What the printer carried out.
    pub executed: &'a [Executed],
    /// The damage that got through.
    pub survivors: &'a [Survivor],
    /// Whether the whole job must have been carried out; otherwise a beginning of it, and perhaps the cancel script.
    pub complete: bool,
}

/// Holds what was carried out against the job.
#[must_use]
pub fn lines_once_in_order(printed: &Printed<'_>) -> Vec<Fault> {
    let meant = meant_by_number(printed.frames);
    let mut done = 0;
    let mut rest = printed.executed.iter();
    for line in rest.by_ref() {
        let Some(number) = line.number else { continue };
        let survivor =
            printed.survivors.iter().find(|s| s.line.at_us == line.at_us && s.line.raw == line.raw);
        let text = match survivor.map(|s| s.kind) {
            Some(SurvivorKind::XorCollision) => meant.get(&number).map_or(line.text(), Vec::as_slice),
            _ => line.text(),
        };
        if HOST_COMMANDS.iter().any(|host| text.starts_with(host)) {
            continue;
        }
        match printed.job.get(done) {
            Some(expected) if expected.as_bytes() == text => done += 1,
            expected => {
                if !printed.complete && is_script(text) {
                    return after_cancel(std::iter::once(line).chain(rest));
                }
                let found = String::from_utf8_lossy(text);
                return vec![Fault(format!(
                    "line {done} of the job: expected {expected:?}, carried out {found:?}"
                ))];
            }
        }
    }
    if printed.complete && done < printed.job.len() {
        return vec![Fault(format!(
            "completed, but only {done} of {} lines were carried out",
            printed.job.len()
        ))];
    }
    Vec::new()
}

/// The cancel script of the Marlin profile: from its first line on nothing else may come.
fn is_script(text: &[u8]) -> bool {
    [&b"M104 S0"[..], b"M140 S0", b"M107", b"M84"].contains(&text)
}

fn after_cancel<'a>(rest: impl Iterator<Item = &'a Executed>) -> Vec<Fault> {
    rest.filter(|line| line.number.is_some() && !is_script(line.text()))
        .filter(|line| !HOST_COMMANDS.iter().any(|host| line.text().starts_with(host)))
        .map(|line| Fault(format!("{:?} came after the cancel script", String::from_utf8_lossy(line.text()))))
        .collect()
}

/// The command that the host last wrote under each number.
fn meant_by_number(frames: &[Vec<u8>]) -> HashMap<i64, Vec<u8>> {
    let mut meant = HashMap::new();
    for frame in frames {
        let text = String::from_utf8_lossy(frame);
        let Some((number, rest)) = text.strip_prefix('N').and_then(|t| t.split_once(' ')) else { continue };
        let Ok(number) = number.parse() else { continue };
        let command = rest.rsplit_once('*').map_or(rest, |(command, _)| command);
        meant.insert(number, command.as_bytes().to_vec());
    }
    meant
}
