//! The record of an attempt that failed or was interrupted, where the operator lets the backend have it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::JobId;
use crate::raw::{Extra, Raw};

/// `job.record`: what is known of an attempt that failed or was interrupted. It comes with the command's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordArgs {
    /// The job.
    pub job_id: JobId,
    /// The attempt; without one, the last that has a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What the result of `job.record` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordData {
    /// The record as the agent keeps it, without secrets and names; its `v` says in which form.
    pub record: Raw,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}
