//! What the kills did: a row for each dialect, all of them together, and the bars.

use std::fmt;
use std::time::Instant;

use serde::Serialize;

use super::Arguments;
use super::waits::quantile;

/// Half of the waits are not above this, where the kills are at least so far apart.
const MEDIAN_MS: f64 = 30.0;
/// 99 in 100 are not above this.
const P99_MS: f64 = 80.0;
/// Share of the time in which the planner may be empty, beyond what it is in a print without kills.
const EMPTY: f64 = 0.01;
/// Only kills that are at least so far apart leave time to go on in between.
const APART_MS: u64 = 100;

/// Prints of one dialect.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) profile: String,
    pub(super) kills: u64,
    pub(super) prints: u64,
    /// Lines that were carried out as the files say.
    pub(super) lines: u64,
    /// Events in the outbox, each once.
    pub(super) events: u64,
    /// Usage records among them, one for each print.
    pub(super) usage: u64,
    /// From each kill to the first new line that the printer accepted, the shortest first.
    #[serde(skip)]
    pub(super) waits_us: Vec<u64>,
    /// Kills after which there was nothing left to send.
    pub(super) idle: u64,
    /// The planner while the agent was killed.
    pub(super) killed: Watched,
    /// The planner in a print without any kill.
    pub(super) undisturbed: Watched,
    /// Lines and questions that the firmware refused.
    pub(super) refused: u64,
    /// Bytes that found its receive ring full.
    pub(super) dropped_bytes: u64,
    /// How often the port was opened.
    pub(super) descriptors: u64,
    pub(super) faults: Vec<String>,
}

/// A planner that was watched.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Watched {
    pub(super) printing_us: u64,
    pub(super) empty_us: u64,
}

impl Watched {
    /// From one look at the clock and at the time that the planner had stood empty to another.
    pub(super) fn add(&mut self, from: (Instant, u64), to: (Instant, u64)) {
        self.printing_us += to.0.duration_since(from.0).as_micros() as u64;
        self.empty_us += to.1 - from.1;
    }

    /// The share of the time in which it stood empty; absent where it was not watched.
    fn empty(self) -> Option<f64> {
        (self.printing_us > 0).then(|| self.empty_us as f64 / self.printing_us as f64)
    }
}

impl std::iter::Sum for Watched {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            printing_us: sum.printing_us + one.printing_us,
            empty_us: sum.empty_us + one.empty_us,
        })
    }
}

/// How long it took to go on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct GoneOn {
    pub(super) count: u64,
    pub(super) median_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
    /// Share of the time in which the planner stood empty; absent where it was not watched.
    pub(super) empty: Option<f64>,
    /// The same without kills.
    pub(super) empty_undisturbed: Option<f64>,
}

impl GoneOn {
    fn of(sorted_us: &[u64], killed: Watched, undisturbed: Watched) -> Self {
        let ms = |q: f64| quantile(sorted_us, q) as f64 / 1e3;
        Self {
            count: sorted_us.len() as u64,
            median_ms: ms(0.5),
            p99_ms: ms(0.99),
            max_ms: ms(1.0),
            empty: killed.empty(),
            empty_undisturbed: undisturbed.empty(),
        }
    }

    fn is_within_bars(&self) -> bool {
        self.count > 0 && self.median_ms <= MEDIAN_MS && self.p99_ms <= P99_MS && self.feeds_the_planner()
    }

    /// A window of one line starves such a part whoever sends it, and a planner that is empty anyway has nothing to live on
    /// while the agent is away: there the share is shown and not judged.
    fn feeds_the_planner(&self) -> bool {
        let both = self.empty.zip(self.empty_undisturbed.filter(|&undisturbed| undisturbed < EMPTY));
        both.is_none_or(|(killed, undisturbed)| killed - undisturbed < EMPTY)
    }
}

/// A dialect with its figures.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    pub(super) figures: Figures,
    pub(super) gone_on: GoneOn,
}

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) at_once: u32,
    pub(super) seed: u64,
    pub(super) kills: u64,
    pub(super) min_ms: u64,
    pub(super) max_ms: u64,
    pub(super) rows: Vec<Row>,
    pub(super) gone_on: GoneOn,
    /// Every line once and in order, every event and usage record once, no job begun or accounted twice.
    pub(super) is_whole: bool,
    /// The times hold their bars, or the kills were too close for any.
    pub(super) is_within_bars: bool,
}

impl Report {
    pub(super) fn new(arguments: &Arguments, figures: Vec<Figures>) -> Self {
        let mut all: Vec<_> = figures.iter().flat_map(|figures| figures.waits_us.iter().copied()).collect();
        all.sort_unstable();
        let sum = |of: fn(&Figures) -> u64| figures.iter().map(of).sum::<u64>();
        let (killed, undisturbed) =
            (figures.iter().map(|f| f.killed).sum(), figures.iter().map(|f| f.undisturbed).sum());
        let gone_on = GoneOn::of(&all, killed, undisturbed);
        let kills = sum(|f| f.kills);
        let is_whole = figures.iter().all(|figures| figures.faults.is_empty());
        let row = |figures: Figures| {
            let gone_on = GoneOn::of(&figures.waits_us, figures.killed, figures.undisturbed);
            Row { figures, gone_on }
        };
        let rows: Vec<_> = figures.into_iter().map(row).collect();
        // Times are those of all kills together; a part that is starved by one firmware is no better for the others.
        let holds = gone_on.is_within_bars() && rows.iter().all(|row| row.gone_on.feeds_the_planner());
        Self {
            at_once: arguments.at_once,
            seed: arguments.seed,
            kills,
            min_ms: arguments.min_ms,
            max_ms: arguments.max_ms,
            rows,
            gone_on,
            is_whole,
            is_within_bars: arguments.min_ms < APART_MS || holds,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} kills, {} to {} ms apart, {} boards at once, seed {}\n",
            self.kills, self.min_ms, self.max_ms, self.at_once, self.seed
        )?;
        let head = ["kills", "idle", "prints", "lines", "events", "usage", "opened", "refused", "dropped"];
        write!(f, "{:<15}", "profile")?;
        head.iter().try_for_each(|name| write!(f, "{name:>8}"))?;
        writeln!(
            f,
            "{:>10}{:>9}{:>9}{:>8}{:>14}",
            "median ms", "p99 ms", "max ms", "empty", "without kills"
        )?;
        for Row { figures, gone_on } in &self.rows {
            let Figures {
                kills,
                idle,
                prints,
                lines,
                events,
                usage,
                descriptors,
                refused,
                dropped_bytes,
                ..
            } = figures;
            write!(
                f,
                "{:<15}{kills:>8}{idle:>8}{prints:>8}{lines:>8}{events:>8}{usage:>8}",
                figures.profile
            )?;
            writeln!(f, "{descriptors:>8}{refused:>8}{dropped_bytes:>8}{gone_on}")?;
        }
        writeln!(f, "{:<87}{}\n", "all", self.gone_on)?;
        for (row, fault) in self.rows.iter().flat_map(|row| row.figures.faults.iter().map(move |f| (row, f)))
        {
            writeln!(f, "FAILED {}: {fault}", row.figures.profile)?;
        }
        let verdict = match (self.is_whole, self.is_within_bars) {
            (true, true) if self.min_ms < APART_MS => {
                "Every line once and in order, every event and usage record once."
            }
            (true, true) => {
                "Every line once and in order, every event and usage record once, within the bars."
            }
            (true, false) => {
                "Every line once and in order, every event and usage record once, but NOT within the bars."
            }
            (false, _) => "NOT whole.",
        };
        let bars = format!(
            "median {MEDIAN_MS} ms, p99 {P99_MS} ms, planner empty {} % beyond a print without kills",
            EMPTY * 100.0
        );
        write!(f, "{verdict} The bars for kills {APART_MS} ms apart: {bars}.")
    }
}

impl fmt::Display for GoneOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10.1}{:>9.1}{:>9.1}", self.median_ms, self.p99_ms, self.max_ms)?;
        for (share, width) in [(self.empty, 7), (self.empty_undisturbed, 13)] {
            match share {
                Some(share) => write!(f, "{:>width$.2}%", share * 100.0)?,
                None => write!(f, "{:>width$} ", "-")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_held_by_what_was_measured_and_by_nothing_less() {
        let second = |empty_us| Watched { printing_us: 1_000_000, empty_us };
        let gone_on = |waits: &[u64], empty_us| GoneOn::of(waits, second(empty_us), second(0));
        let quick: Vec<u64> = (0..100).map(|n| 10_000 + n * 100).collect();
        assert!(gone_on(&quick, 9_000).is_within_bars());
        assert!(!gone_on(&quick, 10_000).is_within_bars());
        let beyond =
            |undisturbed: u64, empty| GoneOn::of(&quick, second(undisturbed + empty), second(undisturbed));
        assert!(beyond(5_000, 9_000).is_within_bars() && !beyond(5_000, 10_100).is_within_bars());
        assert!(beyond(130_000, 110_000).is_within_bars(), "it was starved before");
        assert!(GoneOn::of(&quick, second(260_000), Watched::default()).is_within_bars());
        assert!(!gone_on(&[], 0).is_within_bars());
        assert!(!gone_on(&[31_000; 3], 0).is_within_bars());
        assert!(!gone_on(&[10_000, 10_000, 81_000], 0).is_within_bars());
    }
}
