//! Temperatures that may be asked for.

use serde::Deserialize;

/// Highest temperatures that may be asked for, in degrees Celsius.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemperatureLimits {
    /// Any hot end.
    pub hotend_max: f32,
    /// The bed.
    pub bed_max: f32,
    /// The chamber, where there is one.
    #[serde(default)]
    pub chamber_max: Option<f32>,
}
