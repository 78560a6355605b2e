//! What people are shown of an interrupted print and of the plan to go on with it.

use serde::{Deserialize, Serialize};
use spoolway_agent_core::recovery::{Height, Loss, ResumeFrom, Since};
use spoolway_protocol::JobId;

/// How an interrupted print shall go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoverHow {
    /// Where in the file.
    #[serde(default)]
    pub from: ResumeFrom,
    /// How the height of the nozzle is known; `None` for the machine's own way.
    #[serde(default)]
    pub height: Option<Height>,
}

/// What interrupted a print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossView {
    /// Its name.
    pub loss: Loss,
    /// What the printer did since.
    pub since: Since,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// What is done.
    pub title: String,
    /// Why.
    pub why: String,
    /// The lines that do it.
    pub lines: Vec<String>,
}

/// A plan to go on with an interrupted print.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView {
    /// Names just this plan; only what was shown is run.
    pub plan_id: String,
    /// The job.
    pub job_id: JobId,
    /// Name of its file.
    pub name: String,
    /// What happened.
    pub loss: LossView,
    /// What was asked for.
    pub how: RecoverHow,
    /// Line of the file behind which it goes on.
    pub behind_line: u64,
    /// Layer there.
    pub layer: u32,
    /// Line that the printer acknowledged last, as far as it was written down.
    pub acknowledged_line: u64,
    /// In order.
    pub steps: Vec<StepView>,
    /// What may go wrong, and what to do about it beforehand.
    pub risks: Vec<String>,
}
