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
    /// The processor's temperature in degrees Celsius.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temp: Option<f64>,
    /// Whether a Raspberry Pi has been slowed down since it was switched on, as its firmware tells (`get_throttled`): bit 16
    /// for too little voltage, 17 and 18 for a slower clock, 19 for heat; bits 0 to 3 for the same now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled: Option<u32>,
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
