//! What may be asked of a machine while it prints nothing, each in the words of its firmware.

use serde::Deserialize;

/// Commands for what a person wants done by hand. What is left out cannot be asked of this firmware.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hand {
    /// Homes: `{axes}` stands for those that are named (` X Y`), and for nothing when all are. Without `{axes}` all are homed
    /// at once (`$H`).
    #[serde(default)]
    pub home: Vec<String>,
    /// Moves by so much: `{move}` stands for axes and distances (` X10 Z-0.5`), `{feed}` for millimetres a minute.
    #[serde(default)]
    pub jog: Vec<String>,
    /// Asks where the head is; the answer has `X:`, `Y:` and `Z:` (`M114`).
    #[serde(default)]
    pub position: Option<String>,
    /// Heats a hot end: `{tool}` is its number, `{celsius}` the temperature.
    #[serde(default)]
    pub hotend: Option<String>,
    /// Heats the bed to `{celsius}`.
    #[serde(default)]
    pub bed: Option<String>,
    /// Heats the chamber to `{celsius}`.
    #[serde(default)]
    pub chamber: Option<String>,
    /// Switches all heaters off. A line with `{tool}` is sent once for each hot end, and not at all where there is only one.
    #[serde(default)]
    pub heaters_off: Vec<String>,
    /// Makes the machine known to whoever stands before a row of them.
    #[serde(default)]
    pub identify: Vec<String>,
    /// Leaves an object of the print under way out; `{object}` is its label.
    #[serde(default)]
    pub skip_object: Option<String>,
    /// The light of the machine.
    #[serde(default)]
    pub light: Option<Light>,
}

impl Hand {
    /// Stands for the axes that are homed.
    pub const AXES: &'static str = "axes";
    /// Stands for axes and distances of a move.
    pub const MOVE: &'static str = "move";
    /// Stands for millimetres a minute.
    pub const FEED: &'static str = "feed";
    /// Stands for the number of a hot end.
    pub const TOOL: &'static str = "tool";
    /// Stands for a temperature.
    pub const CELSIUS: &'static str = "celsius";
    /// Stands for the label of an object.
    pub const OBJECT: &'static str = "object";
    /// Lines of one key.
    pub const LINES_MAX: usize = 8;
}

/// How a light is switched.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Light {
    /// Capability by which the firmware says that there is one.
    #[serde(default)]
    pub capability: Option<String>,
    /// On.
    pub on: Vec<String>,
    /// Off.
    pub off: Vec<String>,
}
