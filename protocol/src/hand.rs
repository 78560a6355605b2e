//! What a backend may have done to a printer that prints nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::raw::Extra;

/// An axis. Closed: a machine with others is another protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// To the side.
    X,
    /// To the back.
    Y,
    /// Up.
    Z,
}

/// `printer.home`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct HomeArgs {
    /// Which axes; none named are all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub axes: Vec<Axis>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `printer.jog`: moves by so much from where it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct JogArgs {
    /// By how much, in mm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<f64>,
    /// By how much, in mm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<f64>,
    /// By how much, in mm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub z: Option<f64>,
    /// How fast, in mm a minute; absent is the agent's choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feed_mm_min: Option<f64>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `printer.set_temp`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SetTempArgs {
    /// `tool0`, `tool1`, ..., `bed` or `chamber`, as telemetry names them.
    pub heater: String,
    /// Target in degrees Celsius; 0 is off.
    pub celsius: f64,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `printer.heaters_off`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct HeatersOffArgs {
    /// For a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `printer.light`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LightArgs {
    /// On or off.
    pub on: bool,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `printer.identify`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct IdentifyArgs {
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `printer.connect`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ConnectArgs {
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `printer.disconnect`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DisconnectArgs {
    /// For a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `file.evict`: the file of a job that is over goes from the agent's disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EvictArgs {
    /// The file.
    pub file_id: crate::ids::FileId,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `agent.restart`: the agent ends, and its service manager starts it again.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RestartArgs {
    /// For a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}
