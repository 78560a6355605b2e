//! What was measured, as a table for people and as JSON for scripts.

use std::fmt;

use serde::Serialize;

use super::memory::MemoryFigures;
use super::part::PartFigures;
use super::stream::Turn;

/// The wire at which the bar for link use stands.
const BAR_BAUD: u32 = 115_200;
/// Least link use beside the raw sender's.
const BAR_LINK_USE: f64 = 0.98;
/// Memory that an agent stays under.
const BAR_PEAK_MB: f64 = 25.0;

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) part: PartFigures,
    pub(super) cores: usize,
    /// Whether boards on a wire ran with real-time priority.
    pub(super) board_is_realtime: bool,
    pub(super) cells: Vec<Cell>,
    pub(super) memory: Vec<MemoryFigures>,
    pub(super) bars: Vec<Bar>,
}

/// Both senders on one board.
#[derive(Debug, Serialize)]
pub(super) struct Cell {
    /// Bits per second; without one the board is never the limit.
    pub(super) wire_baud: Option<u32>,
    pub(super) commands: u64,
    /// Turns that were done again because the machine was too busy for the raw sender.
    pub(super) repeated: u32,
    pub(super) raw: Sender,
    pub(super) agent: Sender,
    /// The agent's link use, or lines a second without a wire, divided by the raw sender's.
    pub(super) ratio: f64,
}

/// One sender's figures: medians of its turns, and sums of what must not be.
#[derive(Debug, Serialize)]
pub(super) struct Sender {
    pub(super) link_use: Option<f64>,
    pub(super) lines_per_s: f64,
    /// Over all turns together.
    pub(super) cpu_s_per_million_lines: f64,
    pub(super) gap_p999_us: f64,
    pub(super) dropped_bytes: u64,
    pub(super) resends: u64,
}

/// A figure that is to be reached.
#[derive(Debug, Serialize)]
pub(super) struct Bar {
    pub(super) what: String,
    pub(super) measured: f64,
    pub(super) bar: String,
    pub(super) is_met: bool,
}

impl Sender {
    pub(super) fn of(turns: &[Turn]) -> Self {
        let moves: u64 = turns.iter().map(|turn| turn.board.moves).sum();
        let cpu_s: f64 = turns.iter().map(|turn| turn.processor_time.as_secs_f64()).sum();
        let of = |figure: &dyn Fn(&Turn) -> Option<f64>| median(turns.iter().filter_map(figure).collect());
        Self {
            link_use: of(&|turn| turn.board.link_use),
            lines_per_s: of(&|turn| Some(turn.board.moves as f64 / turn.board.seconds)).unwrap_or(0.0),
            cpu_s_per_million_lines: cpu_s / moves.max(1) as f64 * 1e6,
            gap_p999_us: of(&|turn| Some(turn.board.gap_p999_us as f64)).unwrap_or(0.0),
            dropped_bytes: turns.iter().map(|turn| turn.board.dropped_bytes).sum(),
            resends: turns.iter().map(|turn| turn.board.resends).sum(),
        }
    }
}

/// The middle one; the lower of two.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}

impl Cell {
    pub(super) fn new(
        wire_baud: Option<u32>,
        commands: u64,
        repeated: u32,
        raw: Sender,
        agent: Sender,
    ) -> Self {
        let ratio = match (agent.link_use, raw.link_use) {
            (Some(agent), Some(raw)) => agent / raw,
            _ => agent.lines_per_s / raw.lines_per_s,
        };
        Self { wire_baud, commands, repeated, raw, agent, ratio }
    }
}

impl Report {
    pub(super) fn new(part: PartFigures, board_is_realtime: bool) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { part, cores, board_is_realtime, cells: Vec::new(), memory: Vec::new(), bars: Vec::new() }
    }

    /// Holds what was measured against the bars; what was not measured has none.
    pub(super) fn set_bars(&mut self) {
        let mut bars = Vec::new();
        let wires = || self.cells.iter().filter(|cell| cell.wire_baud.is_some());
        if let Some(cell) = wires().find(|cell| cell.wire_baud == Some(BAR_BAUD)) {
            bars.push(Bar {
                what: format!("link use beside the raw sender at {BAR_BAUD}"),
                measured: cell.ratio,
                bar: format!("at least {BAR_LINK_USE}"),
                is_met: cell.ratio >= BAR_LINK_USE,
            });
        }
        if wires().count() > 0 {
            let dropped: u64 = wires().map(|cell| cell.agent.dropped_bytes).sum();
            bars.push(Bar {
                what: "bytes that the agent's sending made the board drop".to_owned(),
                measured: dropped as f64,
                bar: "none".to_owned(),
                is_met: dropped == 0,
            });
        }
        if let Some(peak_bytes) = self.memory.iter().map(|figures| figures.peak_bytes).max() {
            let peak_mb = peak_bytes as f64 / 1e6;
            bars.push(Bar {
                what: "peak memory of the agent, MB".to_owned(),
                measured: peak_mb,
                bar: format!("under {BAR_PEAK_MB}"),
                is_met: peak_mb < BAR_PEAK_MB,
            });
        }
        self.bars = bars;
    }

    pub(super) fn meets_bars(&self) -> bool {
        self.bars.iter().all(|bar| bar.is_met)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p10, p50, p90] = self.part.command_bytes;
        let board = if self.board_is_realtime { "with" } else { "without" };
        writeln!(
            f,
            "{}: {} bytes, {} commands of {p10} / {p50} / {p90} bytes (p10 / p50 / p90); {} cores, boards {board} real-time priority",
            self.part.name, self.part.bytes, self.part.commands, self.cores
        )?;
        self.cells.iter().try_for_each(|cell| write!(f, "\n{cell}"))?;
        if !self.memory.is_empty() {
            writeln!(f, "\n{:<44}{:>11}{:>11}", "file from a backend through a relay", "lines/s", "peak MB")?;
        }
        for figures in &self.memory {
            let what = format!("{} bytes, {} commands", figures.file_bytes, figures.commands);
            let peak_mb = figures.peak_bytes as f64 / 1e6;
            writeln!(f, "{what:<44}{:>11.0}{peak_mb:>11.1}", figures.lines_per_s)?;
        }
        if !self.bars.is_empty() {
            writeln!(f, "\n{:<52}{:>10}  {:<16}", "bar", "measured", "wanted")?;
        }
        for bar in &self.bars {
            let met = if bar.is_met { "met" } else { "NOT MET" };
            writeln!(f, "{:<52}{:>10.3}  {:<16}{met}", bar.what, bar.measured, bar.bar)?;
        }
        Ok(())
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = match self.wire_baud {
            Some(baud) => format!("wire at {baud} baud, {} commands", self.commands),
            None => format!("no wire, 8 lines in flight, {} commands", self.commands),
        };
        writeln!(f, "{title:<44}{:>11}{:>11}{:>11}", "raw", "agent", "agent/raw")?;
        let (raw, agent) = (&self.raw, &self.agent);
        let mut row = |what: &str, raw: f64, agent: f64, digits: usize| {
            let ratio = if raw > 0.0 { format!("{:.3}", agent / raw) } else { String::new() };
            writeln!(f, "  {what:<42}{raw:>11.digits$}{agent:>11.digits$}{ratio:>11}")
        };
        if let (Some(raw), Some(agent)) = (raw.link_use, agent.link_use) {
            row("link use", raw, agent, 4)?;
        }
        row("lines/s", raw.lines_per_s, agent.lines_per_s, 0)?;
        row("CPU s per million lines", raw.cpu_s_per_million_lines, agent.cpu_s_per_million_lines, 1)?;
        row("line gap p99.9, us", raw.gap_p999_us, agent.gap_p999_us, 0)?;
        row("dropped bytes", raw.dropped_bytes as f64, agent.dropped_bytes as f64, 0)?;
        row("resend requests", raw.resends as f64, agent.resends as f64, 0)?;
        if self.repeated > 0 {
            writeln!(
                f,
                "  (busy machine: {} turns repeated because the raw sender did not fill the wire)",
                self.repeated
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(link_use: f64, dropped_bytes: u64) -> Sender {
        Sender {
            link_use: Some(link_use),
            lines_per_s: 288.0,
            cpu_s_per_million_lines: 30.0,
            gap_p999_us: 5_000.0,
            dropped_bytes,
            resends: 0,
        }
    }

    fn report(agent: f64, dropped: u64, peak_bytes: u64) -> Report {
        let part = PartFigures { name: "p".to_owned(), bytes: 1, commands: 1, command_bytes: [1; 3] };
        let mut report = Report::new(part, false);
        report.cells.push(Cell::new(Some(115_200), 10, 1, sender(0.999, 0), sender(agent, dropped)));
        report.memory.push(MemoryFigures { file_bytes: 1, commands: 1, lines_per_s: 1.0, peak_bytes });
        report.set_bars();
        report
    }

    #[test]
    fn each_bar_is_held_against_its_own_figure() {
        let met = |report: &Report| report.bars.iter().map(|bar| bar.is_met).collect::<Vec<_>>();
        assert_eq!(met(&report(0.995, 0, 24_900_000)), [true, true, true]);
        assert_eq!(met(&report(0.97, 0, 24_900_000)), [false, true, true]);
        assert_eq!(met(&report(0.995, 1, 24_900_000)), [true, false, true]);
        assert_eq!(met(&report(0.995, 0, 25_000_000)), [true, true, false]);
        assert!(report(0.995, 0, 1).meets_bars() && !report(0.995, 1, 1).meets_bars());
        let text = report(0.97, 0, 1).to_string();
        assert!(text.contains("NOT MET") && text.contains("1 turns repeated"), "{text}");
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![2.0, 1.0]), Some(1.0));
        assert_eq!(median(vec![]), None);
    }
}
