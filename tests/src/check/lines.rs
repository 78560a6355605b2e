//! Every line of the job is carried out once and in order.
//!
//! What the printer carried out is held against the job itself. Only these things may differ, and the world lists them
//! without asking the agent: a numbered line whose damage fits its 8-bit checksum stands for the line of its number; a line
//! that lost its number on the way is none of the agent's; questions of the agent stand between the lines; the scripts of the
//! profile stand where a person paused or gave up; where a pause may cut a wait for a temperature short the wait may be
//! carried out again, and nothing of the job before the heater is warm; and where the profile has the agent wait for temperatures, the command
//! that waits is carried out as the one that does not, with nothing of the job behind it before the heater is warm.

use std::collections::HashMap;

use crate::printer::{Executed, Survivor, SurvivorKind};

use super::Fault;
use super::heat::{self, Wait};
use super::scripts::Rules;

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
    /// What else the host may say.
    pub rules: &'a Rules,
    /// Whether the whole job must have been carried out; otherwise a beginning of it, and perhaps the cancel script.
    pub complete: bool,
}

/// How far a print has come, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Course {
    /// Lines of the job that were carried out, in order.
    pub done: usize,
    /// Questions and settings of the host.
    pub host_commands: u64,
    /// What is wrong; the first such thing ends the course.
    pub faults: Vec<Fault>,
}

/// Holds what was carried out against the job.
#[must_use]
pub fn lines_once_in_order(printed: &Printed<'_>) -> Vec<Fault> {
    let mut course = course(printed);
    if course.faults.is_empty() && printed.complete && course.done < printed.job.len() {
        course.faults.push(Fault(format!(
            "completed, but only {} of {} lines were carried out",
            course.done,
            printed.job.len()
        )));
    }
    course.faults
}

/// Follows a print line by line.
#[must_use]
pub fn course(printed: &Printed<'_>) -> Course {
    let meant = meant_by_number(printed.frames);
    let mut course = Course::default();
    let mut wait: Option<Wait> = None;
    let mut rest = printed.executed.iter().filter(|line| printed.rules.is_of_host(line));
    while let Some(line) = rest.next() {
        let text = meant_text(printed, &meant, line);
        if Rules::is_host_command(text)
            && printed.job.get(course.done).is_none_or(|job| job.as_bytes() != text)
        {
            course.host_commands += 1;
            continue;
        }
        if let Some(next) = accepts(printed, course.done, text) {
            if let Some(cold) = wait.take().filter(|wait| !wait.is_over(line)) {
                course.faults.push(Fault(format!(
                    "{:?} came before {cold} was reached",
                    String::from_utf8_lossy(text)
                )));
                return course;
            }
            course.done += 1;
            wait = next;
        } else if printed.rules.is_pause_script(text) || waits_anew(printed, course.done, text) {
            continue;
        } else if !printed.complete && printed.rules.is_cancel_script(text) {
            course.faults = after_cancel(printed, &meant, std::iter::once(line).chain(rest));
            return course;
        } else {
            course.faults.push(Fault(format!(
                "line {} of the job: expected {:?}, carried out {:?}",
                course.done,
                printed.job.get(course.done),
                String::from_utf8_lossy(text)
            )));
            return course;
        }
    }
    course
}

/// Whether this is the next line of the job, as it stands or as a profile may have it rewritten; and what is waited for then.
fn accepts(printed: &Printed<'_>, done: usize, text: &[u8]) -> Option<Option<Wait>> {
    let expected = printed.job.get(done)?;
    let rewritten = heat::rewritten(expected);
    if expected.as_bytes() == text {
        // The firmware waits by itself, unless it was told not to.
        return Some(rewritten.filter(|_| printed.rules.waits_anew).map(|(_, wait)| wait));
    }
    let (rewritten, wait) = rewritten.filter(|_| printed.rules.host_waits)?;
    (rewritten.as_bytes() == text).then_some(Some(wait))
}

/// Whether this is the last line of the job once more, and one that waits for a temperature.
fn waits_anew(printed: &Printed<'_>, done: usize, text: &[u8]) -> bool {
    let last = done.checked_sub(1).and_then(|last| printed.job.get(last));
    printed.rules.waits_anew
        && last.is_some_and(|last| last.as_bytes() == text && heat::rewritten(last).is_some())
}

fn meant_text<'a>(
    printed: &Printed<'_>,
    meant: &'a HashMap<i64, Vec<Vec<u8>>>,
    line: &'a Executed,
) -> &'a [u8] {
    let survivor = printed.survivors.iter().find(|s| s.line.at_us == line.at_us && s.line.raw == line.raw);
    match (survivor.map(|s| s.kind), line.number) {
        (Some(SurvivorKind::XorCollision), Some(number)) => {
            let frames = meant.get(&number).map_or(&[][..], Vec::as_slice);
            // A number is given anew when the counter is set anew: the most alike is the one that was damaged.
            frames.iter().max_by_key(|frame| likeness(frame, line.text())).map_or(line.text(), Vec::as_slice)
        }
        _ => line.text(),
    }
}

fn after_cancel<'a>(
    printed: &Printed<'_>,
    meant: &HashMap<i64, Vec<Vec<u8>>>,
    rest: impl Iterator<Item = &'a Executed>,
) -> Vec<Fault> {
    let wrong = rest
        .map(|line| meant_text(printed, meant, line))
        .filter(|text| !printed.rules.is_cancel_script(text) && !Rules::is_host_command(text));
    wrong
        .map(|text| Fault(format!("{:?} came after the cancel script", String::from_utf8_lossy(text))))
        .collect()
}

/// How many bytes two texts share at their beginnings and at their ends.
fn likeness(one: &[u8], other: &[u8]) -> usize {
    let head = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let tail = one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
    head + tail
}

/// The commands that the host wrote under each number.
fn meant_by_number(frames: &[Vec<u8>]) -> HashMap<i64, Vec<Vec<u8>>> {
    let mut meant: HashMap<i64, Vec<Vec<u8>>> = HashMap::new();
    for frame in frames {
        let text = String::from_utf8_lossy(frame);
        let Some((number, rest)) = text.strip_prefix('N').and_then(|t| t.split_once(' ')) else { continue };
        let Ok(number) = number.parse() else { continue };
        let command = rest.rsplit_once('*').map_or(rest, |(command, _)| command).as_bytes();
        let known = meant.entry(number).or_default();
        if !known.iter().any(|known| known == command) {
            known.push(command.to_vec());
        }
    }
    meant
}
