//! What a sensor of a printer has said.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::raw::Extra;

open_words!(
    /// Which sensor.
    SensorKind {
        /// Filament at a tool.
        Filament = "filament",
    }
);

/// `sensor`: a sensor has changed. What the agent does about it is told by `job.state`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sensor {
    /// Which.
    pub kind: SensorKind,
    /// What it says: of filament `out`.
    pub value: String,
    /// The firmware's own words, where it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}
