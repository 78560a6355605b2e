//! What a post-mortem record holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spoolway_agent_core::readings::Warmth;
use spoolway_protocol::{JobId, Stamp};

use crate::printer::{Speaker, Tail, WireLine};
use crate::view::WireLineView;
use crate::view::history::Used;

/// The version of the form.
const VERSION: u32 = 1;
/// Words on the wire that are kept, in bytes; more of the oldest is left out.
const WIRE_BYTES: usize = 48 * 1024;
/// Lines on the wire that are kept.
const WIRE_LINES: usize = 600;
/// Longest reason that is kept, in bytes.
const TEXT_BYTES: usize = 1024;

/// What was known of an attempt that could not go on. Only ids name job, file and people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The form.
    pub v: u32,
    /// The job.
    pub job_id: JobId,
    /// The attempt.
    pub attempt: u32,
    /// `interrupted` or `failed`.
    pub outcome: String,
    /// The stable code of the end.
    #[serde(default)]
    pub code: Option<String>,
    /// The same for a person.
    #[serde(default)]
    pub text: Option<String>,
    /// When it began.
    #[serde(default)]
    pub started: Option<Stamp>,
    /// When its end was written down.
    pub ended: Stamp,
    /// Line of the file that was acknowledged last.
    pub line: u64,
    /// Commands acknowledged.
    pub commands_acked: u64,
    /// Commands in the file.
    pub commands_total: u64,
    /// Layer.
    pub layer: u32,
    /// What the attempt has used.
    pub usage: Usage,
    /// How the line to the printer did; nothing when the process that knew has ended before.
    #[serde(default)]
    pub link: Option<LineFigures>,
    /// How warm it was.
    #[serde(default)]
    pub heat: Heat,
    /// How the computer did.
    #[serde(default)]
    pub board: BoardFigures,
    /// What was running.
    pub versions: Versions,
    /// The last words on the wire.
    #[serde(default)]
    pub wire: Wire,
}

/// How long an attempt took, and what of the material.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Without pauses.
    pub printing_ms: u64,
    /// Pauses.
    pub paused_ms: u64,
    /// By tool; nothing when the file could not be read again.
    #[serde(default)]
    pub filament_mm: Option<Vec<f64>>,
}

/// Figures of the line, since the conversation or the job began.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LineFigures {
    /// Lines of the job that were written.
    pub lines_sent: u64,
    /// Lines that were written once more.
    pub lines_repeated: u64,
    /// Lines of the job that the firmware refused.
    pub refusals: u64,
    /// How often a reply was missing and the firmware was asked where it stands.
    pub probes: u64,
    /// Acknowledgements that belonged to nothing.
    pub stray_acks: u64,
    /// How often the firmware said that it is busy.
    pub busy: u64,
    /// Longest time between two acknowledged lines, in ms.
    pub max_gap_ms: u64,
    /// From writing a line to its acknowledgement, in ms: half are not above.
    pub rtt_ms_p50: f64,
    /// The same: 99 of 100 are not above.
    pub rtt_ms_p99: f64,
    /// Between two acknowledged lines, in ms: 999 of 1000 are not above.
    pub gap_ms_p999: f64,
    /// How long the planner was probably empty, in ms.
    pub starved_ms: f64,
    /// How often.
    pub starvations: u64,
    /// Lines written again, of all.
    pub resend_ratio: f32,
    /// Bytes that might be on their way; 0 while unknown.
    pub window_bytes: u64,
    /// How often another process went on with the print.
    pub takeovers: u64,
}

/// Temperatures in degrees Celsius, by heater.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Heat {
    /// Temperature and target as they were seen last.
    pub last: BTreeMap<String, [f64; 2]>,
    /// The lowest and the highest of the last minutes.
    #[serde(default)]
    pub extremes: BTreeMap<String, (f64, f64)>,
    /// Of how long a time, in seconds.
    #[serde(default)]
    pub extremes_s: u64,
}

/// The computer beside the printer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BoardFigures {
    /// The bits of `get_throttled`, where there is such a file.
    #[serde(default)]
    pub throttled: Option<u32>,
    /// The processor's temperature.
    #[serde(default)]
    pub celsius: Option<f64>,
}

/// What was running.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Versions {
    /// The agent.
    pub agent: String,
    /// What the firmware calls itself, if it had answered.
    #[serde(default)]
    pub firmware: Option<String>,
    /// The profile.
    #[serde(default)]
    pub profile: Option<String>,
    /// The port.
    #[serde(default)]
    pub port: Option<String>,
    /// Bits per second.
    #[serde(default)]
    pub baud: Option<u32>,
}

/// The last words on the wire.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Wire {
    /// Oldest first; times are those of the clock since the machine's boot, as `m` of the stamps.
    pub lines: Vec<WireLineView>,
    /// Lines that were left out for their size.
    #[serde(default)]
    pub left_out: u64,
    /// Why there are none.
    #[serde(default)]
    pub missing: Option<String>,
}

impl Record {
    /// The form that is written today.
    pub const VERSION: u32 = VERSION;

    /// The same with texts of bounded length.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.text = self.text.map(|text| crate::telemetry::cut(text, TEXT_BYTES));
        self
    }

    /// Wall clock of a moment, by the clock as it was when the end was written down.
    #[must_use]
    pub fn wall_ms(&self, at_ms: u64) -> u64 {
        (self.ended.w.saturating_add(at_ms)).saturating_sub(self.ended.m)
    }
}

impl From<&Used> for Usage {
    fn from(used: &Used) -> Self {
        let Used { printing_ms, paused_ms, .. } = *used;
        Self { printing_ms, paused_ms, filament_mm: used.filament_mm.clone() }
    }
}

impl From<&Warmth> for Heat {
    fn from(warmth: &Warmth) -> Self {
        let (last, extremes) = (warmth.last().clone(), warmth.extremes());
        Self { last, extremes, extremes_s: Warmth::SPAN.as_secs() }
    }
}

impl From<&Tail> for LineFigures {
    fn from(tail: &Tail) -> Self {
        let (stats, wire) = (&tail.stats, &tail.wire);
        let ms = |us: u64| us as f64 / 1e3;
        Self {
            lines_sent: stats.job_lines_sent,
            lines_repeated: stats.lines_repeated,
            refusals: stats.job_refusals,
            probes: stats.job_probes,
            stray_acks: stats.stray_acks,
            busy: stats.busy_heard,
            max_gap_ms: stats.job_max_gap.as_millis() as u64,
            rtt_ms_p50: ms(wire.rtt_p50_us),
            rtt_ms_p99: ms(wire.rtt_p99_us),
            gap_ms_p999: ms(wire.gap_p999_us),
            starved_ms: ms(wire.starved_us),
            starvations: wire.starvations,
            resend_ratio: wire.resend_ratio,
            window_bytes: tail.window.as_ref().map_or(0, |window| window.bytes as u64),
            takeovers: stats.takeovers,
        }
    }
}

impl Wire {
    /// The newest lines, as many as fit.
    #[must_use]
    pub fn of(lines: &[WireLine]) -> Self {
        let mut room = WIRE_BYTES;
        let newest = lines.iter().rev().take(WIRE_LINES).take_while(|line| {
            let fits = line.text.len() <= room;
            room = room.saturating_sub(line.text.len());
            fits
        });
        let mut kept: Vec<_> = newest.map(WireLineView::from).collect();
        kept.reverse();
        Self { left_out: (lines.len() - kept.len()) as u64, lines: kept, missing: None }
    }

    /// There are none.
    #[must_use]
    pub fn missing(why: &str) -> Self {
        Self { missing: Some(why.to_owned()), ..Self::default() }
    }
}

impl From<&WireLine> for WireLineView {
    fn from(line: &WireLine) -> Self {
        let from = if line.speaker == Speaker::Agent { "agent" } else { "printer" };
        Self { at_ms: line.at.as_millis(), from: from.to_owned(), text: line.text.clone() }
    }
}

/// What the bits of `get_throttled` say (raspberrypi.com, `vcgencmd get_throttled`).
#[must_use]
pub fn throttled_words(bits: u32) -> Vec<&'static str> {
    let words = [
        (0, "under-voltage now"),
        (1, "clock capped now"),
        (2, "throttled now"),
        (3, "soft temperature limit now"),
        (16, "under-voltage since it was switched on"),
        (17, "clock capped since it was switched on"),
        (18, "throttled since it was switched on"),
        (19, "soft temperature limit since it was switched on"),
    ];
    words.into_iter().filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, word)| word).collect()
}

#[cfg(test)]
mod tests {
    use spoolway_agent_core::Moment;

    use super::*;

    fn line(n: usize, bytes: usize) -> WireLine {
        let text = format!("{n:06}{}", "x".repeat(bytes - 6));
        WireLine { at: Moment::from_millis(n as u64), speaker: Speaker::Agent, text }
    }

    #[test]
    fn the_newest_lines_are_kept_within_both_bounds() {
        let many: Vec<_> = (0..1_000).map(|n| line(n, 10)).collect();
        let wire = Wire::of(&many);
        assert_eq!((wire.lines.len(), wire.left_out), (WIRE_LINES, 400));
        assert_eq!(wire.lines.last().unwrap().at_ms, 999);
        let long: Vec<_> = (0..400).map(|n| line(n, 500)).collect();
        let wire = Wire::of(&long);
        assert_eq!(wire.lines.len(), WIRE_BYTES / 500);
        assert_eq!(wire.lines.len() as u64 + wire.left_out, 400);
        assert_eq!(wire.lines.last().unwrap().at_ms, 399);
    }

    #[test]
    fn throttling_is_told_in_words() {
        assert!(throttled_words(0).is_empty());
        let words = throttled_words(0x5_0001);
        let since = ["under-voltage since it was switched on", "throttled since it was switched on"];
        assert_eq!(words, [["under-voltage now"].as_slice(), &since].concat());
    }
}
