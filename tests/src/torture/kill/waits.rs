//! How long it took from each kill until the printer accepted a new line.

use std::time::{Duration, Instant};

/// Times from kills to new lines.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// Kills since which no new line was accepted.
    open: Vec<Instant>,
    over: Vec<Duration>,
    /// Kills after which there was nothing to send.
    idle: u64,
}

impl Waits {
    /// A kill.
    pub(super) fn begin(&mut self, at: Instant) {
        self.open.push(at);
    }

    /// A line was accepted that was written after the last kill: it ends the waits of all that came before, too.
    pub(super) fn end(&mut self, accepted: Option<Instant>) {
        if let Some(accepted) = accepted {
            self.over.extend(self.open.drain(..).map(|killed| accepted.saturating_duration_since(killed)));
        }
    }

    /// The printer has carried out everything: who is killed now, or has had no line accepted since, has none to send.
    pub(super) fn nothing_is_left(&mut self) {
        self.idle += self.open.drain(..).len() as u64;
    }

    /// Kills after which there was nothing to send.
    pub(super) fn idle(&self) -> u64 {
        self.idle + self.open.len() as u64
    }

    /// All waits in microseconds, the shortest first.
    pub(super) fn sorted_us(&self) -> Vec<u64> {
        let mut all: Vec<_> = self.over.iter().map(|wait| wait.as_micros() as u64).collect();
        all.sort_unstable();
        all
    }
}

/// The value that the share `q` of sorted values does not exceed; 0 when there are none.
pub(super) fn quantile(sorted: &[u64], q: f64) -> u64 {
    let rank = (sorted.len() as f64 * q).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_before_the_print_went_on_makes_the_wait_longer() {
        let (mut waits, start) = (Waits::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        waits.begin(at(0));
        waits.end(Some(at(10)));
        waits.begin(at(100));
        waits.end(None);
        waits.begin(at(105));
        waits.end(Some(at(120)));
        waits.begin(at(200));
        assert_eq!((waits.sorted_us(), waits.idle()), (vec![10_000, 15_000, 20_000], 1));
        waits.nothing_is_left();
        waits.end(Some(at(900)));
        assert_eq!((waits.sorted_us().len(), waits.idle()), (3, 1));
    }

    #[test]
    fn quantiles_are_values_that_were_there() {
        let sorted: Vec<u64> = (1..=100).collect();
        assert_eq!((quantile(&sorted, 0.5), quantile(&sorted, 0.99), quantile(&sorted, 1.0)), (50, 99, 100));
        assert_eq!((quantile(&[7], 0.5), quantile(&[], 0.5)), (7, 0));
    }
}
