//! A job that is printed moves on, or something is known that it waits for. The streamer asks a firmware that is silent;
//! this sees the rest: a file that is not read on, a port that takes no bytes, a firmware that answers and never acknowledges.

use std::time::Duration;

use crate::Moment;
use crate::stream::Awaits;

use super::alarm::{Act, Alarm, Wrong};
use super::{Activity, Finding, Standing};

/// A port that has taken no bytes for so long is stuck: its own buffer empties within a second.
const PORT: Duration = Duration::from_secs(30);

/// What is known of the job's progress.
#[derive(Debug)]
pub(super) struct Stall {
    /// Commands acknowledged, and signs of work.
    seen: (u64, u64),
    moved: Moment,
    unwritten_since: Option<Moment>,
    told: bool,
}

impl Stall {
    pub(super) fn new(now: Moment) -> Self {
        Self { seen: (0, 0), moved: now, unwritten_since: None, told: false }
    }

    pub(super) fn move_on(&mut self, now: Moment) {
        self.moved = now;
    }

    pub(super) fn look(
        &mut self,
        now: Moment,
        standing: &Standing,
        after: Option<Duration>,
    ) -> Option<Finding> {
        self.unwritten_since = standing.unwritten.then(|| self.unwritten_since.unwrap_or(now));
        let is_printing = standing.activity == Activity::Printing;
        let seen = (standing.acked, standing.signs);
        let moves = std::mem::replace(&mut self.seen, seen) != seen;
        let has_reason = matches!(standing.awaits, Awaits::Command | Awaits::Nothing);
        if moves || !is_printing || has_reason {
            self.moved = now;
        }
        let stuck = is_printing && self.unwritten_since.is_some_and(|since| now - since >= PORT);
        let is_stalled = after.is_some_and(|after| stuck || now - self.moved >= after);
        if !is_stalled {
            return std::mem::take(&mut self.told).then_some(Finding::Over(Wrong::Stalled));
        }
        if std::mem::replace(&mut self.told, true) {
            return None;
        }
        let text = words(stuck, standing.awaits, now - self.moved);
        Some(Finding::Alarm(Alarm { wrong: Wrong::Stalled, act: Act::Tell, text }))
    }
}

fn words(stuck: bool, awaits: Awaits, stood: Duration) -> String {
    let seconds = stood.as_secs();
    match awaits {
        _ if stuck => format!("the port has taken no bytes for {} s", PORT.as_secs()),
        Awaits::Lines => format!("no line has come from the job's file for {seconds} s"),
        _ => format!(
            "the printer has acknowledged no line for {seconds} s, and is not known to wait for anything"
        ),
    }
}
