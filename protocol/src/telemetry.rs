//! Telemetry: ephemeral, the latest wins, never acked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::PrinterId;
use crate::printer::PrinterState;
use crate::raw::Extra;

/// `telem`: what changed since the last one of this session; everything when `full`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Telemetry {
    /// The printer.
    pub printer_id: PrinterId,
    /// Counts up within the session; a jump tells of one that was dropped.
    pub n: u64,
    /// Whether `d` is everything and not only what changed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub full: bool,
    /// The values.
    pub d: Readings,
    /// Extremes since the last one that was sent, by heater, in degrees Celsius.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub agg: BTreeMap<String, Spread>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `telem.minutes`: telemetry of a time in which the agent had no connection, a row a minute, in order. Its first row is full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TelemMinutes {
    /// The rows. A minute of which nobody measured anything has none.
    pub rows: Vec<TelemMinute>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A minute, or what there was of it when the agent stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TelemMinute {
    /// How long before the event's time it ended, in ms by the monotonic clock.
    pub ago_ms: u64,
    /// Whether `d` is everything and not only what changed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub full: bool,
    /// The values at its end.
    pub d: Readings,
    /// Extremes within it, by heater, in degrees Celsius.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub agg: BTreeMap<String, Spread>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Values of a printer; absent means unchanged or unknown.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Readings {
    /// What it is doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<PrinterState>,
    /// Whether the bed counts as clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bed_clear: Option<bool>,
    /// Percent of the file's bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pct: Option<f64>,
    /// Lines that the printer acked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<u32>,
    /// Height in mm that the job has reached with the lines that were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub z: Option<f64>,
    /// Temperatures by heater (`tool0`, `bed`, `chamber`): actual and target, in degrees Celsius.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub t: BTreeMap<String, [f64; 2]>,
    /// Part fan in percent, as the job has set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fan: Option<f64>,
    /// Speed factor in percent, as the job has set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
    /// Flow factor in percent, as the job has set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<f64>,
    /// Time to go, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_s: Option<u64>,
    /// Free places in the firmware's buffers, where it tells (`ok P15 B3`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buf: Option<Buffers>,
    /// 99th percentile of the time between two acknowledged lines of this job, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_ms_p99: Option<f64>,
    /// 99.9th percentile of the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_ms_p999: Option<f64>,
    /// Median time from a line's last byte to its acknowledgement, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms_p50: Option<f64>,
    /// 99th percentile of the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms_p99: Option<f64>,
    /// How long the planner has stood empty in this job, by estimate, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starved_ms: Option<f64>,
    /// Share of the wire in use over the last second, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_use: Option<f64>,
    /// Lines acknowledged over the last second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines_per_s: Option<f64>,
    /// Lines sent again per line sent, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resend_ratio: Option<f64>,
    /// How much may be on its way to the printer at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowInForce>,
    /// Lines the printer asked for again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resend: Option<u64>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// How much may be on its way to the printer at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WindowInForce {
    /// By which rule of the profile (`bytes`, `advanced-ok`, ...).
    pub rule: String,
    /// Un-acknowledged bytes.
    pub bytes: u64,
    /// Un-acknowledged lines.
    pub lines: u64,
    /// Of which this many are counted on to be in the firmware's own queue; 0 when it is not known.
    #[serde(default)]
    pub queue_lines: u64,
    /// How often it was narrowed because the firmware dropped bytes.
    #[serde(default)]
    pub narrowed: u32,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Free places in the firmware's buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Buffers {
    /// Planner blocks.
    pub planner: u32,
    /// Lines of the queue in front of it.
    pub rx: u32,
}

/// Extremes and mean of a value while telemetry was held back.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spread {
    /// Lowest.
    pub min: f64,
    /// Highest.
    pub max: f64,
    /// Mean.
    pub mean: f64,
}

/// How often telemetry is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TelemConfig {
    /// While nothing is printed, in ms.
    pub idle_ms: u64,
    /// While a job is printed, in ms.
    pub printing_ms: u64,
    /// While somebody watches, in ms.
    pub watch_ms: u64,
    /// How long somebody watches who does not say how long, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch_ttl_ms: Option<u64>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `telem.config`: how often the owner wants telemetry, until it says otherwise. What is not named stays as it was; 0 is what the
/// relay's welcome says again.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TelemConfigArgs {
    /// While nothing is printed, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
    /// While a job is printed, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub printing_ms: Option<u64>,
    /// While somebody watches, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch_ms: Option<u64>,
    /// Somebody watches from now on for so long, in ms, like a `telem.watch`. It is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch_ttl_ms: Option<u64>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What a `telem.config` returns, in `data` of its `cmd.result`: what is wished from now on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TelemWished {
    /// While nothing is printed, in ms; absent is what the relay's welcome says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
    /// While a job is printed, in ms; absent is what the relay's welcome says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub printing_ms: Option<u64>,
    /// While somebody watches, in ms; absent is what the relay's welcome says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch_ms: Option<u64>,
    /// How long somebody watches from now on, in ms, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch_ttl_ms: Option<u64>,
    /// Which of the values asked for were out of bounds; the nearest that is within was taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clamped: Vec<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `telem.watch`: somebody looks on, so telemetry is wanted more often for a while. It is not stored, not acknowledged and gone
/// with the session; whoever watches on says it again before the time is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TelemWatch {
    /// For how long from its arrival, in ms; 0 ends it, absent is what the relay's welcome says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Default for TelemConfig {
    fn default() -> Self {
        Self {
            idle_ms: 10_000,
            printing_ms: 1_000,
            watch_ms: 250,
            watch_ttl_ms: None,
            extra: Extra::default(),
        }
    }
}
