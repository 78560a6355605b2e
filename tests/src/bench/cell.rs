//! One cell of the table: several senders print the same part on the same kind of board in turn, and medians count.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::Site;
use super::board::Model;
use super::part::Part;
use super::raw::Frames;
use super::sender::{Job, Sender, Turn};

/// Turns of each sender, as a rule.
pub(super) const TURNS: usize = 3;
/// Below this the machine itself was too busy to fill the wire, and the round is repeated.
const QUIET: f64 = 0.97;
/// Repetitions of a round.
const REPETITIONS: u32 = 2;

/// What is to be measured.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) title: String,
    pub(super) model: Model,
    /// How long a print that fills the wire takes.
    pub(super) should_take: Duration,
    pub(super) columns: Vec<PlannedColumn>,
    /// The sender without which the wire would not be full: when it does not fill it, the machine was too busy.
    pub(super) fills_the_wire: Option<&'static str>,
    /// Turns of the senders that take seconds; other hosts take their usual ones.
    pub(super) turns: usize,
}

/// One sender and what it prints. Slow hosts print less of the same part.
#[derive(Debug)]
pub(super) struct PlannedColumn {
    pub(super) name: &'static str,
    pub(super) sender: Sender,
    pub(super) part: Part,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Cell {
    pub(super) title: String,
    /// Bits per second; without one the board is never the limit.
    pub(super) wire_baud: Option<u32>,
    /// Whether the board's planner took its time.
    pub(super) has_planner: bool,
    /// Rounds that were done again because the machine was too busy to fill the wire.
    pub(super) repeated: u32,
    pub(super) columns: Vec<Column>,
}

/// One sender's figures: medians of its turns, and sums of what must not be.
#[derive(Debug, Serialize)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) commands: u64,
    pub(super) link_use: Option<f64>,
    pub(super) lines_per_s: f64,
    /// Over all turns together.
    pub(super) cpu_s_per_million_lines: f64,
    pub(super) gap_p999_us: f64,
    /// Share of the time in which the planner was empty.
    pub(super) empty: f64,
    pub(super) underruns: f64,
    pub(super) dropped_bytes: u64,
    pub(super) resends: u64,
    pub(super) peak_bytes: Option<f64>,
    /// Turns in which bytes were dropped.
    pub(super) turns_with_drops: u64,
    /// Turns in which bytes were dropped and the agent did not say that it narrowed its window.
    pub(super) turns_not_narrowed: u64,
}

#[cfg(test)]
impl Column {
    /// A sender that fills its wire and loses nothing.
    pub(super) fn good(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            commands: 1_000,
            link_use: Some(0.99),
            lines_per_s: 300.0,
            cpu_s_per_million_lines: 20.0,
            gap_p999_us: 5_000.0,
            empty: 0.0,
            underruns: 0.0,
            dropped_bytes: 0,
            resends: 0,
            peak_bytes: None,
            turns_with_drops: 0,
            turns_not_narrowed: 0,
        }
    }
}

impl Plan {
    /// All senders in turn, several times.
    ///
    /// # Errors
    /// Something did not run, or a board did anything else than the file says.
    pub(super) async fn measure(&self, site: &Site) -> anyhow::Result<Cell> {
        let frames: Vec<_> =
            self.columns.iter().map(|column| Arc::new(Frames::of(column.part.commands()))).collect();
        let mut turns: Vec<Vec<Turn>> = self.columns.iter().map(|_| Vec::new()).collect();
        let mut repeated = 0;
        for turn in 1..=self.turns.max(TURNS) {
            let mut left = REPETITIONS;
            loop {
                let round = self.round(site, &frames, turn).await?;
                if self.was_quiet(&round) || left == 0 {
                    turns.iter_mut().zip(round).for_each(|(turns, turn)| turns.extend(turn));
                    break;
                }
                left -= 1;
                repeated += 1;
            }
        }
        let columns = self.columns.iter().zip(&turns).map(|(column, turns)| Column::of(column, turns));
        Ok(Cell {
            title: self.title.clone(),
            wire_baud: self.model.wire,
            has_planner: self.model.planner,
            repeated,
            columns: columns.collect(),
        })
    }

    /// One turn of each sender that has one left.
    async fn round(
        &self,
        site: &Site,
        frames: &[Arc<Frames>],
        turn: usize,
    ) -> anyhow::Result<Vec<Option<Turn>>> {
        let mut round = Vec::new();
        for (column, frames) in self.columns.iter().zip(frames) {
            let turns = if matches!(column.sender, Sender::Peer(_)) { TURNS } else { self.turns };
            if turn > turns {
                round.push(None);
                continue;
            }
            eprintln!("{}: turn {turn} of {turns}, {}", self.title, column.name);
            let job =
                Job { bytes: &column.part.bytes, frames, model: &self.model, should_take: self.should_take };
            let turn = column.sender.print(site, &job).await;
            round.push(Some(turn.with_context(|| format!("{}: {}", self.title, column.name))?));
        }
        Ok(round)
    }

    fn was_quiet(&self, round: &[Option<Turn>]) -> bool {
        let fills = self.columns.iter().position(|column| Some(column.name) == self.fills_the_wire);
        let link_use = fills.and_then(|at| round.get(at)?.as_ref()?.board.link_use);
        link_use.is_none_or(|link_use| link_use >= QUIET)
    }
}

impl Cell {
    /// A sender's figures.
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// One figure of two senders, divided; nothing where either is missing or there is nothing to divide by.
    pub(super) fn ratio(&self, one: &str, other: &str, figure: fn(&Column) -> f64) -> Option<f64> {
        let (one, other) = (figure(self.column(one)?), figure(self.column(other)?));
        (other > 0.0).then(|| one / other)
    }
}

impl Column {
    fn of(planned: &PlannedColumn, turns: &[Turn]) -> Self {
        let moves: u64 = turns.iter().map(|turn| turn.board.moves).sum();
        let cpu_s: f64 = turns.iter().map(|turn| turn.processor_time.as_secs_f64()).sum();
        let of = |figure: &dyn Fn(&Turn) -> Option<f64>| median(turns.iter().filter_map(figure).collect());
        let dropped = || turns.iter().filter(|turn| turn.board.dropped_bytes > 0);
        Self {
            name: planned.name.to_owned(),
            commands: planned.part.commands,
            link_use: of(&|turn| turn.board.link_use),
            lines_per_s: of(&|turn| Some(turn.board.moves as f64 / turn.board.seconds)).unwrap_or(0.0),
            cpu_s_per_million_lines: cpu_s / moves.max(1) as f64 * 1e6,
            gap_p999_us: of(&|turn| Some(turn.board.gap_p999_us as f64)).unwrap_or(0.0),
            empty: of(&|turn| Some(turn.board.empty)).unwrap_or(0.0),
            underruns: of(&|turn| Some(turn.board.underruns as f64)).unwrap_or(0.0),
            dropped_bytes: turns.iter().map(|turn| turn.board.dropped_bytes).sum(),
            resends: turns.iter().map(|turn| turn.board.resends).sum(),
            peak_bytes: of(&|turn| Some(turn.peak_bytes? as f64)),
            turns_with_drops: dropped().count() as u64,
            turns_not_narrowed: dropped().filter(|turn| !turn.narrowed).count() as u64,
        }
    }
}

/// The middle one; the lower of two.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![2.0, 1.0]), Some(1.0));
        assert_eq!(median(vec![]), None);
    }
}
