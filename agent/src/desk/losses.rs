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
    /// Boot and time in ms on that boot's clock.
    boot: String,
    at_ms: u64,
}

impl Lost {
    pub(super) fn new(loss: Loss, heat: Heat, at: &Stamp) -> Self {
        let since = if loss == Loss::PrinterReset { Since::Reset } else { Since::Unknown };
        Self { loss, since, heat, boot: at.b.to_string(), at_ms: at.m }
    }

    /// The same as it was told before the agent ended.
    pub(super) fn at_mark(loss: Loss, mark: &Mark) -> Self {
        let (since, heat) = (Since::Unknown, Heat::of_mark(mark));
        Self { loss, since, heat, boot: mark.boot.clone(), at_ms: mark.at_ms }
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
    /// Once a printer answers again, it says by its banner and its warmth what it did in the meantime.
    pub(super) async fn name_losses(&mut self, snapshot: &Snapshot) {
        let (Some(known), Some(temperatures)) = (&snapshot.known, &snapshot.temperatures) else { return };
        // As long as it is the printer of before, what it said is of before as well.
        if self.lost_with.as_ref().is_some_and(|before| Arc::ptr_eq(before, known)) {
            return;
        }
        let now = Heat::of(temperatures);
        let unnamed = self.book.entries.values().filter(|entry| {
            entry.job.state() == JobState::Interrupted
                && entry.detail.lost.as_ref().is_some_and(|lost| lost.since == Since::Unknown)
        });
        let unnamed: Vec<JobId> = unnamed.map(|entry| entry.job.id().clone()).collect();
        for id in unnamed {
            let banner = known.has_just_started;
            let entry = self.book.entries.get_mut(&id).expect("the id comes from the book");
            let Some(lost) = &mut entry.detail.lost else { continue };
            // Who gave a print up safely has cooled it: being cold says nothing.
            let before = lost.heat.hot_end.filter(|_| lost.loss != Loss::AgentStopped);
            lost.since = Evidence { banner, hot_end_c: now.hot_end, hot_end_before_c: before }.judge();
            if lost.since == Since::Unknown {
                continue;
            }
            lost.loss = lost.loss.seen_with(lost.since);
            info!(job = %id, loss = lost.loss.as_str(), what = lost.loss.sentence(), since = lost.since.sentence(), "it is known what happened to the print");
            let row = entry.row(self.clock.unix_ms());
            self.changed = true;
            self.note(vec![Write::PutJob(row)]).await;
        }
    }
}
