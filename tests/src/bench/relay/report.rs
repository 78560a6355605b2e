//! What was measured, as a table for people, in Markdown, and as JSON for scripts.

use std::fmt;

use serde::Serialize;

use super::Contender;
use super::cells::{Forward, Idle, Overload, Routing, Storm};
use crate::bench::bars::Bar;

/// Everything.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// UTC, as `2026-11-28`.
    pub(super) date: String,
    /// Processor and cores, and which of them was whose.
    pub(super) machine: String,
    pub(super) message_bytes: usize,
    pub(super) seconds: f64,
    pub(super) columns: Vec<Column>,
    pub(super) routing: Option<Routing>,
    /// Servers that could not be had and cells that went wrong: which, and why.
    pub(super) missing: Vec<String>,
    pub(super) bars: Vec<Bar>,
}

/// One server.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Column {
    pub(super) contender: Contender,
    pub(super) version: String,
    pub(super) idle: Option<Idle>,
    /// What the rounds have in common.
    pub(super) forward: Option<Forward>,
    pub(super) coalesced: Option<Forward>,
    /// Each round: one message a write, and several.
    pub(super) rounds: Vec<[Forward; 2]>,
    pub(super) storm: Option<Storm>,
    pub(super) overload: Option<Overload>,
}

impl Column {
    pub(super) fn of(contender: Contender, version: String) -> Self {
        Self {
            contender,
            version,
            idle: None,
            forward: None,
            coalesced: None,
            rounds: Vec::new(),
            storm: None,
            overload: None,
        }
    }

    /// One round more.
    pub(super) fn add(&mut self, round: [Forward; 2]) {
        self.rounds.push(round);
        self.forward = Forward::middle(self.rounds.iter().map(|[forward, _]| forward));
        self.coalesced = Forward::middle(self.rounds.iter().map(|[_, coalesced]| coalesced));
    }
}

type Figure = fn(&Column) -> Option<f64>;

/// Rows of the table: what, digits behind the point, and the figure. Where there is a ratio, less is better.
const ROWS: [(&str, usize, bool, Figure); 17] = [
    ("RSS bytes per idle TLS connection", 0, true, |c| Some(c.idle.as_ref()?.bytes_per_connection)),
    ("CPU us to let one in", 0, true, |c| Some(c.idle.as_ref()?.accept_us)),
    ("CPU with all idle, % of a core", 2, true, |c| Some(c.idle.as_ref()?.cpu_percent)),
    ("the same, heartbeats one by one", 2, true, |c| Some(c.idle.as_ref()?.cpu_even_percent)),
    ("CPU us per message", 1, true, |c| Some(c.forward.as_ref()?.cpu_us)),
    ("p50 us", 0, true, |c| Some(c.forward.as_ref()?.p50_us)),
    ("p99 us", 0, false, |c| Some(c.forward.as_ref()?.p99_us)),
    ("CPU us per message, 16 a write", 2, true, |c| Some(c.coalesced.as_ref()?.cpu_us)),
    ("all back at once: failed", 0, false, |c| Some(c.storm.as_ref()?.failed as f64)),
    ("all back at once: s until all are up", 2, true, |c| Some(c.storm.as_ref()?.all_up_s)),
    ("all back at once: peak RSS, MB", 0, true, |c| Some(c.storm.as_ref()?.peak_bytes as f64 / 1e6)),
    ("all back at once: peak beside steady", 2, false, |c| Some(c.storm.as_ref()?.peak())),
    ("most delivered, thousand/s", 0, false, |c| Some(c.overload.as_ref()?.peak_per_s / 1e3)),
    ("delivered when twice as much is offered, beside that", 2, false, |c| {
        c.overload.as_ref().map(|overload| overload.delivered_per_s / overload.peak_per_s)
    }),
    ("events lost meanwhile", 0, false, |c| Some(c.overload.as_ref()?.events_lost as f64)),
    ("commands lost meanwhile", 0, false, |c| Some(c.overload.as_ref()?.commands_lost as f64)),
    ("RSS meanwhile, MB", 0, false, |c| {
        c.overload.as_ref().map(|overload| overload.rss_bytes.iter().fold(0, |a, b| a.max(*b)) as f64 / 1e6)
    }),
];

impl Report {
    /// A server's figures.
    pub(super) fn column(&self, contender: Contender) -> Option<&Column> {
        self.columns.iter().find(|column| column.contender == contender)
    }

    pub(super) fn meets_bars(&self) -> bool {
        self.bars.iter().all(|bar| bar.is_met)
    }

    /// A figure, and how many times another server's the relay's is.
    fn figure(&self, column: &Column, (_, digits, has_ratio, figure): (&str, usize, bool, Figure)) -> String {
        let Some(value) = figure(column) else { return "–".to_owned() };
        let relay = self.column(Contender::Spoolway).and_then(figure);
        match relay.filter(|_| has_ratio && column.contender != Contender::Spoolway) {
            Some(relay) => format!("{value:.digits$} ({:.2})", relay / value),
            None => format!("{value:.digits$}"),
        }
    }

    /// How far the rounds lie apart.
    fn rounds(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Column { contender, rounds, .. } in self.columns.iter().filter(|column| column.rounds.len() > 1) {
            let list = |figure: fn(&[Forward; 2]) -> f64, digits| {
                let figures = rounds.iter().map(|round| format!(" {:.digits$}", figure(round)));
                figures.collect::<String>()
            };
            let (one, many) = (list(|round| round[0].cpu_us, 1), list(|round| round[1].cpu_us, 1));
            let p50 = list(|round| round[0].p50_us, 0);
            writeln!(f, "{}, rounds: CPU us{one}; 16 a write{many}; p50 us{p50}", contender.name())?;
        }
        Ok(())
    }

    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.columns.is_empty() {
            return Ok(());
        }
        let names = self.columns.iter().map(|column| format!(" {} |", column.contender.name()));
        writeln!(f, "| |{}", names.collect::<String>())?;
        writeln!(f, "|---|{}", "---|".repeat(self.columns.len()))?;
        for row in ROWS {
            if self.columns.iter().all(|column| row.3(column).is_none()) {
                continue;
            }
            let figures = self.columns.iter().map(|column| format!(" {} |", self.figure(column, row)));
            writeln!(f, "| {} |{}", row.0, figures.collect::<String>())?;
        }
        writeln!(f, "\nin brackets: the relay's figure for each of the server's\n")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: messages of {} bytes, TLS 1.3, {}", self.date, self.message_bytes, self.machine)?;
        for Column { contender, version, idle, forward, .. } in &self.columns {
            write!(f, "{} {version}", contender.name())?;
            idle.iter().try_for_each(|idle| write!(f, ", {} idle", idle.connections))?;
            forward.iter().try_for_each(|Forward { agents, rate_per_s, kept_pace, .. }| {
                write!(f, ", {agents} agents with {rate_per_s} messages/s (sent {:.1} %)", 100.0 * kept_pace)
            })?;
            writeln!(f)?;
        }
        writeln!(f)?;
        self.table(f)?;
        self.rounds(f)?;
        for Column { contender, overload, .. } in &self.columns {
            let Some(overload) = overload else { continue };
            writeln!(
                f,
                "{} in overload: {:.0} events/s offered by {} agents; {} commands, {} refused; half of them within \
                 {:.1} ms, 99 of 100 within {:.1} ms",
                contender.name(),
                overload.offered_per_s,
                overload.agents,
                overload.commands,
                overload.commands_refused,
                overload.command_p50_ms,
                overload.command_p99_ms
            )?;
        }
        if let Some(Routing { small_bytes, large_bytes, small_ns, large_ns, read_ns, .. }) = &self.routing {
            let [small_read_ns, large_read_ns] = read_ns;
            writeln!(
                f,
                "for {small_bytes} and {large_bytes} bytes: routing {small_ns:.0} and {large_ns:.0} ns, reading ahead of it {small_read_ns:.0} and {large_read_ns:.0} ns"
            )?;
        }
        self.missing.iter().try_for_each(|missing| writeln!(f, "MISSING: {missing}"))?;
        writeln!(f)?;
        for Bar { what, measured, wanted, is_met } in &self.bars {
            let verdict = if *is_met { "met" } else { "MISSED" };
            writeln!(f, "{what:<62} {measured:>9.3}  {wanted:<14} {verdict}")?;
        }
        write!(f, "\nmeasured in {:.1} minutes", self.seconds / 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_ratios_and_names_what_is_missing() {
        let idle = |bytes_per_connection| {
            Some(Idle {
                connections: 5,
                bytes_per_connection,
                accept_us: 150.0,
                cpu_even_percent: 2.0,
                cpu_percent: 1.0,
            })
        };
        let columns = [(Contender::Spoolway, 10_000.0), (Contender::Nats, 40_000.0)];
        let columns = columns.map(|(contender, bytes)| Column {
            idle: idle(bytes),
            ..Column::of(contender, "1.0".to_owned())
        });
        let missing = vec!["mosquitto: no apt-get".to_owned()];
        let text = Report { columns: columns.into(), missing, ..Report::default() }.to_string();
        assert!(text.contains("| RSS bytes per idle TLS connection | 10000 | 40000 (0.25) |"), "{text}");
        assert!(text.contains("MISSING: mosquitto: no apt-get") && !text.contains("p99"), "{text}");
    }
}
