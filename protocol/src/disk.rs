//! Events about the agent's own disk.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{FileId, Sha256Hex};
use crate::raw::Extra;

/// `agent.health`: how the agent's machine does, about once an hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentHealth {
    /// Free on the device of the agent's state, in bytes.
    pub disk_free: u64,
    /// What the agent writes in a day beyond job files, in units of 10^6 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_mb_day: Option<f64>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `file.evicted`: a file that was kept after its job made room for another; a job that needs it has to fetch it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileEvicted {
    /// The file.
    pub file_id: FileId,
    /// Its digest.
    pub sha256: Sha256Hex,
    /// What it took on the agent's disk, in bytes.
    pub bytes: u64,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}
