//! What was measured, as tables for people, of which the first is Markdown, and as JSON for scripts.

use std::fmt;

use serde::Serialize;

use super::bars::Bar;
use super::cell::{Cell, Column};
use super::memory::MemoryFigures;
use super::part::PartFigures;
use super::plans::{RAW, WIRES};

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// UTC, as `2026-11-28`.
    pub(super) date: String,
    pub(super) part: PartFigures,
    pub(super) cores: usize,
    /// Whether boards on a wire ran with real-time priority.
    pub(super) board_is_realtime: bool,
    /// Whether the agent was its own program, and not this one's copy of it.
    pub(super) agent_is_itself: bool,
    pub(super) seconds: f64,
    pub(super) cells: Vec<Cell>,
    pub(super) memory: Vec<MemoryFigures>,
    pub(super) start_ms: Option<f64>,
    pub(super) bars: Vec<Bar>,
}

impl Report {
    pub(super) fn meets_bars(&self) -> bool {
        self.bars.iter().all(|bar| bar.is_met)
    }

    fn cell(&self, is_it: impl Fn(&Cell) -> bool) -> Option<&Cell> {
        self.cells.iter().find(|cell| is_it(cell))
    }

    /// One row a sender, as far as there are cells to fill it.
    fn summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = self.cell(|cell| cell.wire_baud.is_none());
        let wires = WIRES.map(|baud| self.cell(|cell| cell.wire_baud == Some(baud) && !cell.has_planner));
        let planner = self.cell(|cell| cell.has_planner);
        let mut names: Vec<&str> = Vec::new();
        for column in
            [instant, wires[0], wires[1], planner].into_iter().flatten().flat_map(|cell| &cell.columns)
        {
            if !names.contains(&column.name.as_str())
                && !column.name.contains(' ')
                && column.name != "ADVANCED_OK"
            {
                names.push(&column.name);
            }
        }
        if names.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "| sender | no wire: lines/s | CPU s per million lines: no wire | 115200 | 250000 | peak MB | link use 115200 | 250000 | planner empty at 222 moves/s |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|")?;
        for name in names {
            let cpu = |cell| with_ratio(cell, name, |column| column.cpu_s_per_million_lines);
            let link = |cell: Option<&Cell>| {
                let link_use = cell.and_then(|cell| cell.column(name)?.link_use);
                link_use.map_or_else(missing, |link_use| format!("{:.1} %", 100.0 * link_use))
            };
            let peak = instant.and_then(|cell| cell.column(name)?.peak_bytes);
            let peak = peak.map_or_else(missing, |bytes| format!("{:.1}", bytes / 1e6));
            let empty = planner.and_then(|cell| cell.column(name));
            let empty = empty.map_or_else(missing, |column| {
                format!("{:.2} % ({:.0} times)", 100.0 * column.empty, column.underruns)
            });
            let lines = with_ratio(instant, name, |column| column.lines_per_s);
            let (cpu, link) =
                ([cpu(instant), cpu(wires[0]), cpu(wires[1])].join(" | "), wires.map(link).join(" | "));
            writeln!(f, "| {name} | {lines} | {cpu} | {peak} | {link} | {empty} |")?;
        }
        writeln!(f)
    }
}

fn missing() -> String {
    "–".to_owned()
}

/// A figure, and how many times the raw sender's it is.
fn with_ratio(cell: Option<&Cell>, name: &str, figure: fn(&Column) -> f64) -> String {
    let Some((cell, column)) = cell.and_then(|cell| Some((cell, cell.column(name)?))) else {
        return missing();
    };
    let value = figure(column);
    let digits = usize::from(value < 1_000.0);
    let value = format!("{value:.digits$}");
    match cell.ratio(name, RAW, figure) {
        Some(ratio) if name != RAW => format!("{value} ({ratio:.3})"),
        _ => value,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p10, p50, p90] = self.part.command_bytes;
        let board = if self.board_is_realtime { "with" } else { "without" };
        let agent = if self.agent_is_itself { "its own program" } else { "a copy within this program" };
        writeln!(
            f,
            "{}: {}, {} bytes, {} commands of {p10} / {p50} / {p90} bytes (p10 / p50 / p90); {} cores, boards {board} \
             real-time priority, the agent is {agent}\n",
            self.date, self.part.name, self.part.bytes, self.part.commands, self.cores
        )?;
        self.summary(f)?;
        self.cells.iter().try_for_each(|cell| writeln!(f, "{cell}"))?;
        if !self.memory.is_empty() {
            writeln!(
                f,
                "{:<40}{:>14}{:>14}{:>14}",
                "from a backend through a relay", "arrival s", "commands", "peak MB"
            )?;
        }
        for figures in &self.memory {
            let (what, peak_mb) = (format!("{} bytes", figures.file_bytes), figures.peak_bytes as f64 / 1e6);
            writeln!(
                f,
                "  {what:<38}{:>14.1}{:>14}{peak_mb:>14.2}",
                figures.arrival_s, figures.commands_acked
            )?;
        }
        if let Some(start_ms) = self.start_ms {
            writeln!(f, "\nprocess start to first line on the wire: {start_ms:.1} ms")?;
        }
        if !self.bars.is_empty() {
            writeln!(f, "\n{:<66}{:>10}  {:<16}", "bar", "measured", "wanted")?;
        }
        for bar in &self.bars {
            let met = if bar.is_met { "met" } else { "NOT MET" };
            writeln!(f, "{:<66}{:>10.3}  {:<16}{met}", bar.what, bar.measured, bar.wanted)?;
        }
        write!(f, "\nmeasured in {:.1} minutes", self.seconds / 60.0)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<40}", self.title)?;
        self.columns.iter().try_for_each(|column| write!(f, "{:>13}", column.name))?;
        writeln!(f)?;
        let mut row = |what: &str, figure: &dyn Fn(&Column) -> String| {
            write!(f, "  {what:<38}")?;
            self.columns.iter().try_for_each(|column| write!(f, "{:>13}", figure(column)))?;
            writeln!(f)
        };
        row("commands", &|column| column.commands.to_string())?;
        if self.wire_baud.is_some() {
            row("link use", &|column| format!("{:.4}", column.link_use.unwrap_or(0.0)))?;
        }
        row("lines/s", &|column| format!("{:.0}", column.lines_per_s))?;
        row("  beside raw", &|column| self.beside_raw(column, |column| column.lines_per_s))?;
        row("CPU s per million lines", &|column| format!("{:.1}", column.cpu_s_per_million_lines))?;
        row("  beside raw", &|column| self.beside_raw(column, |column| column.cpu_s_per_million_lines))?;
        row("peak MB", &|column| {
            column.peak_bytes.map_or_else(missing, |bytes| format!("{:.1}", bytes / 1e6))
        })?;
        row("line gap p99.9, us", &|column| format!("{:.0}", column.gap_p999_us))?;
        if self.has_planner {
            row("planner empty, %", &|column| format!("{:.3}", 100.0 * column.empty))?;
            row("times it ran empty", &|column| format!("{:.0}", column.underruns))?;
        }
        row("dropped bytes", &|column| column.dropped_bytes.to_string())?;
        row("resend requests", &|column| column.resends.to_string())?;
        if self.columns.iter().any(|column| column.turns_with_drops > 0) {
            row("turns with drops", &|column| column.turns_with_drops.to_string())?;
            row("  of these without narrowing", &|column| column.turns_not_narrowed.to_string())?;
        }
        if self.repeated > 0 {
            writeln!(f, "  (busy machine: {} rounds repeated because the wire was not full)", self.repeated)?;
        }
        Ok(())
    }
}

impl Cell {
    fn beside_raw(&self, column: &Column, figure: fn(&Column) -> f64) -> String {
        self.ratio(&column.name, RAW, figure).map_or_else(missing, |ratio| format!("{ratio:.3}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sender_has_a_row_and_what_was_not_measured_is_left_open() {
        let column = |name: &str, lines_per_s| Column { link_use: None, lines_per_s, ..Column::good(name) };
        let columns = vec![column("raw", 50_000.0), column("agent", 60_000.0)];
        let cell =
            Cell { title: "no wire".to_owned(), wire_baud: None, has_planner: false, repeated: 1, columns };
        let part = PartFigures { name: "p".to_owned(), bytes: 1, commands: 1, command_bytes: [1; 3] };
        let bar =
            Bar { what: "speed".to_owned(), measured: 0.5, wanted: "at least 1".to_owned(), is_met: false };
        let report = Report {
            date: "2026-01-01".to_owned(),
            part,
            cores: 2,
            board_is_realtime: false,
            agent_is_itself: true,
            seconds: 60.0,
            cells: vec![cell],
            memory: Vec::new(),
            start_ms: Some(40.0),
            bars: vec![bar],
        };
        assert!(!report.meets_bars());
        let text = report.to_string();
        for found in [
            "| raw | 50000 | 20.0 | – |",
            "| agent | 60000 (1.200) | 20.0 (1.000) | – |",
            "NOT MET",
            "1 rounds",
            "40.0 ms",
        ] {
            assert!(text.contains(found), "{found}: {text}");
        }
    }
}
