//! Changes of a job that has not begun: its order, its times, its copies, and whether it is held.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::JobId;
use crate::raw::Extra;

/// `job.update`: only what is named changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobUpdateArgs {
    /// The job.
    pub job_id: JobId,
    /// The job's `rev` that was seen; when the job has changed since, nothing is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rev: Option<u64>,
    /// Higher goes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// So many of the jobs that wait with its priority stand before it; a number beyond the last means last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// Not before, unix ms; 0 takes the bound away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
    /// Not after, unix ms; 0 takes the bound away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<u64>,
    /// Whether it stays where it is until it is released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<bool>,
    /// How often it is printed in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copies: Option<u32>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `job.updated`: how a job stands in the queue now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobUpdated {
    /// Rises by one with every change of this job, as in `job.state`.
    pub rev: u64,
    /// Higher goes first.
    pub priority: i32,
    /// Lower goes first among equals; only the order of these numbers means something.
    pub position: i64,
    /// Whether it stays where it is until it is released.
    pub hold: bool,
    /// Not before, unix ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
    /// Not after, unix ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<u64>,
    /// How often it is printed in all.
    pub copies: u32,
    /// How many of these are done.
    pub copies_done: u32,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `job.skip_object`: one of several objects of the print under way is left out from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SkipObjectArgs {
    /// The job.
    pub job_id: JobId,
    /// Its label, as the check of the file lists it (`summary.objects` of `job.preflight`).
    pub object: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}
