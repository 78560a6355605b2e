//! Names what interrupted a print, and keeps it with the job.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use spoolway_agent_core::recovery::{Evidence, Loss, Since};
use spoolway_agent_core::temperature::{Reading, Temperatures};
use spoolway_protocol::event::Interruption;
use spoolway_protocol::job::JobState;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::{Fault, JobId, Stamp};
use tracing::info;

use super::book::Detail;
use super::clerk::Clerk;
use crate::line_journal::Mark;
use crate::printer::Snapshot;
use crate::store::Write;
use crate::view::recovery::LossView;

/// Interruptions of one job that are remembered.
const REMEMBERED: usize = 64;

/// How warm a print was when it was seen last, in degrees Celsius.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Heat {
    #[serde(default)]
    pub(super) hot_end: Option<f32>,
    #[serde(default)]
    pub(super) hot_end_target: Option<f32>,
    #[serde(default)]
    pub(super) bed_target: Option<f32>,
}

impl Heat {
    pub(super) fn of(temperatures: &Temperatures) -> Self {
        let tools = temperatures.tools.iter().flatten().map(|tool| (tool.actual, tool.target));
        Self::of_readings(tools, temperatures.bed.and_then(|bed: Reading| bed.target))
    }

    pub(super) fn of_mark(mark: &Mark) -> Self {
        Self::of_readings(mark.tools.iter().copied(), mark.bed.and_then(|(_, target)| target))
    }

    fn of_readings(tools: impl Iterator<Item = (f32, Option<f32>)>, bed_target: Option<f32>) -> Self {
        let warmest = tools.max_by(|one, other| one.0.total_cmp(&other.0));
        Self {
            hot_end: warmest.map(|(actual, _)| actual),
            hot_end_target: warmest.and_then(|(_, target)| target),
            bed_target,
        }
    }
}

/// What interrupted a print.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Lost {
    pub(super) loss: Loss,
    #[serde(default)]
    pub(super) since: Since,
    #[serde(default)]
    pub(super) heat: Heat,
    /// A printer has answered since.
    #[serde(default)]
    is_looked_at: bool,
    /// Boot and time in ms on that boot's clock.
    boot: String,
    at_ms: u64,
}

impl Lost {
    pub(super) fn new(loss: Loss, heat: Heat, at: &Stamp) -> Self {
        let since = if loss == Loss::PrinterReset { Since::Reset } else { Since::Unknown };
        Self { loss, since, heat, is_looked_at: false, boot: at.b.to_string(), at_ms: at.m }
    }

    /// The same as it was told before the agent ended.
    pub(super) fn at_mark(loss: Loss, mark: &Mark) -> Self {
        let (since, heat) = (Since::Unknown, Heat::of_mark(mark));
        Self { loss, since, heat, is_looked_at: false, boot: mark.boot.clone(), at_ms: mark.at_ms }
    }

    /// A printer answers that is not the one of before, or has come back.
    fn look(&mut self, banner: bool, now: Heat) {
        if std::mem::replace(&mut self.is_looked_at, true) {
            if self.since == Since::Stood {
                self.since = Since::Reset;
            }
            return;
        }
        // Who gave a print up safely has cooled it: being cold says nothing.
        let before = self.heat.hot_end.filter(|_| self.loss != Loss::AgentStopped);
        let seen = Evidence { banner, hot_end_c: now.hot_end, hot_end_before_c: before }.judge();
        if self.since == Since::Unknown {
            self.since = seen;
            self.loss = self.loss.seen_with(seen);
        }
    }

    pub(super) fn view(&self) -> LossView {
        LossView { loss: self.loss, since: self.since }
    }
}

impl Detail {
    /// What interrupted the job, in the protocol's word.
    pub(super) fn loss_word(&self) -> Option<String> {
        self.lost.as_ref().map(|lost| lost.loss.as_str().to_owned())
    }

    /// The interruption is over; it stays part of the story.
    pub(super) fn recovered(&mut self, now: &Stamp) {
        let Some(lost) = self.lost.take() else { return };
        let same_boot = lost.boot == now.b.to_string();
        self.interruptions.truncate(REMEMBERED - 1);
        self.interruptions.push(Interruption {
            line: self.commands_acked,
            // Over a restart of the machine nobody can tell.
            gap_ms: if same_boot { now.m.saturating_sub(lost.at_ms) } else { 0 },
            cause: lost.loss.as_str().to_owned(),
            extra: Extra::default(),
        });
    }
}

/// What a fault that ended a run says of what happened.
pub(super) fn loss_of(fault: Fault) -> Loss {
    match fault {
        Fault::FirmwareReset => Loss::PrinterReset,
        Fault::PortLost => Loss::Cable,
        Fault::FirmwareHalted => Loss::PrinterHalted,
        Fault::Estop => Loss::EmergencyStop,
        Fault::StoreCorrupt | Fault::JobLineTooLong | Fault::JobNotGcode => Loss::File,
        Fault::AgentRestarted => Loss::AgentStopped,
        _ => Loss::Conversation,
    }
}

impl Clerk {
    /// Once a printer answers again, it says by its banner and its warmth what it did in the meantime. Only the first look can
    /// say that it stood there all the time: whoever came back once more may have been switched off in between.
    pub(super) async fn name_losses(&mut self, snapshot: &Snapshot) {
        let (Some(known), Some(temperatures)) = (&snapshot.known, &snapshot.temperatures) else { return };
        // As long as it is the printer of before, what it said is of before as well.
        if self.judged_with.as_ref().is_some_and(|before| Arc::ptr_eq(before, known)) {
            return;
        }
        self.judged_with = Some(Arc::clone(known));
        let now = Heat::of(temperatures);
        let interrupted =
            self.book.entries.values().filter(|entry| entry.job.state() == JobState::Interrupted);
        let interrupted: Vec<JobId> = interrupted.map(|entry| entry.job.id().clone()).collect();
        for id in interrupted {
            let entry = self.book.entries.get_mut(&id).expect("the id comes from the book");
            let Some(lost) = &mut entry.detail.lost else { continue };
            let before = lost.clone();
            lost.look(known.has_just_started, now);
            if *lost == before {
                continue;
            }
            let (loss, since) = (lost.loss, lost.since);
            info!(job = %id, loss = loss.as_str(), what = loss.sentence(), since = since.sentence(), "the printer answers again");
            let row = entry.row(self.clock.unix_ms());
            self.changed = true;
            self.note(vec![Write::PutJob(row)]).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(loss: Loss) -> Lost {
        let heat = Heat { hot_end: Some(209.0), ..Heat::default() };
        Lost { loss, since: Since::Unknown, heat, is_looked_at: false, boot: "b".to_owned(), at_ms: 0 }
    }

    fn now(hot_end: f32) -> Heat {
        Heat { hot_end: Some(hot_end), ..Heat::default() }
    }

    #[test]
    fn a_printer_that_came_back_twice_is_not_believed_to_have_stood_there() {
        let mut lost = lost(Loss::HostPower);
        lost.look(false, now(205.0));
        assert_eq!((lost.loss, lost.since), (Loss::HostPower, Since::Stood));
        lost.look(false, now(205.0));
        assert_eq!(lost.since, Since::Reset);
    }

    #[test]
    fn what_the_first_look_could_not_tell_no_later_one_can() {
        let mut lost = lost(Loss::Conversation);
        lost.heat.hot_end = None;
        lost.look(false, now(24.0));
        lost.look(false, now(205.0));
        assert_eq!(lost.since, Since::Unknown);
    }

    #[test]
    fn a_print_that_was_given_up_safely_is_cold_for_that_reason() {
        let mut given_up = lost(Loss::AgentStopped);
        given_up.look(false, now(24.0));
        assert_eq!((given_up.loss, given_up.since), (Loss::AgentStopped, Since::Unknown));
        let mut cut = lost(Loss::HostPower);
        cut.look(false, now(24.0));
        assert_eq!((cut.loss, cut.since), (Loss::BothPower, Since::WithoutPower));
    }
}
