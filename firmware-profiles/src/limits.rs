//! What may be asked of a printer: temperatures, and what a file has to be like.

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

/// What a file is held against before it is printed. What is left out is not judged.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Flavours that this firmware takes, in the words of slicers (`gcode_flavor`, `FLAVOR`).
    #[serde(default)]
    pub flavours: Vec<String>,
    /// Commands of its own, besides those that are generally known.
    #[serde(default)]
    pub commands: Vec<String>,
    /// Whether words that are no `G`, `M` or `T` command may be macros of its own.
    #[serde(default)]
    pub macros: bool,
    /// Whether the `M862` checks of a file are meant for it.
    #[serde(default)]
    pub model_checks: bool,
    /// Whether it may have more tools than it reports (filament changers).
    #[serde(default)]
    pub virtual_tools: bool,
    /// Size of the printer in X, Y and Z, in millimetres; for profiles of one model.
    #[serde(default)]
    pub volume_mm: Vec<u32>,
    /// How many tools it has; for profiles of one model.
    #[serde(default)]
    pub tools: Option<u32>,
    /// Diameter of its nozzle, in millimetres; for profiles of one model.
    #[serde(default)]
    pub nozzle_mm: Option<f32>,
}
