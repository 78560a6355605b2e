//! Counters of one printer's life and the histogram of gaps between its lines.

use serde::Serialize;

/// What happened so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Bytes that reached the receiver.
    pub bytes_received: u64,
    /// Bytes that found the receive ring full.
    pub rx_dropped: u64,
    /// Bytes that the firmware threw away itself when it asked for a resend.
    pub rx_flushed: u64,
    /// Bytes that came while the board was dead or in its bootloader.
    pub rx_unheard: u64,
    /// Lines that entered the command queue.
    pub lines_accepted: u64,
    /// Lines carried out.
    pub lines_executed: u64,
    /// Lines dropped without a word: duplicates, or damaged ones.
    pub lines_ignored: u64,
    /// Acknowledged lines that the firmware took back and asked for again.
    pub lines_taken_back: u64,
    /// Moves taken by the planner.
    pub moves: u64,
    /// `Resend:` lines printed.
    pub resends: u64,
    /// `ok`s that were due, lost ones included.
    pub oks: u64,
    /// `ok`s lost by fault.
    pub oks_lost: u64,
    /// Times a move came to a planner that had run empty during a print.
    pub underruns: u64,
    /// How long the planner stood empty in those cases, together.
    pub starved_us: u64,
    /// Resets, by hand or by fault.
    pub resets: u64,
    /// When the last of them was.
    pub last_reset_us: Option<u64>,
    /// Kills.
    pub kills: u64,
    /// When the first and the last move were taken.
    pub first_move_us: Option<u64>,
    /// See `first_move_us`.
    pub last_move_us: Option<u64>,
    /// `bytes_received` at those two times.
    pub bytes_at_first_move: u64,
    /// See `bytes_at_first_move`.
    pub bytes_at_last_move: u64,
}

impl Statistics {
    /// Share of the time between the first and the last move in which the wire towards the printer was busy.
    #[must_use]
    pub fn link_use(&self, baud: u32) -> Option<f64> {
        let elapsed_us = self.last_move_us?.checked_sub(self.first_move_us?).filter(|us| *us > 0)?;
        let bytes = self.bytes_at_last_move - self.bytes_at_first_move;
        Some(bytes as f64 * 10e6 / f64::from(baud) / elapsed_us as f64)
    }

    /// A move was taken.
    pub(crate) fn moved(&mut self, now_us: u64) {
        self.moves += 1;
        if self.first_move_us.is_none() {
            self.first_move_us = Some(now_us);
            self.bytes_at_first_move = self.bytes_received;
        }
        self.last_move_us = Some(now_us);
        self.bytes_at_last_move = self.bytes_received;
    }
}

/// Sub-buckets for each power of two: values are kept within 1/32.
const FINE: u64 = 32;

/// Times in microseconds, kept in buckets that are at most 3 % wide.
#[derive(Debug, Clone)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max_us: u64,
}

/// The usual figures of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// How many values.
    pub count: u64,
    /// Half the values are not above this.
    pub p50_us: u64,
    /// 99 in 100.
    pub p99_us: u64,
    /// 999 in 1,000.
    pub p999_us: u64,
    /// The largest.
    pub max_us: u64,
}

impl Histogram {
    /// An empty histogram.
    #[must_use]
    pub fn new() -> Self {
        Self { buckets: vec![0; (FINE * 60) as usize], count: 0, max_us: 0 }
    }

    /// Adds a value.
    pub fn add(&mut self, value_us: u64) {
        self.buckets[bucket(value_us)] += 1;
        self.count += 1;
        self.max_us = self.max_us.max(value_us);
    }

    /// The value that the share `q` of all values does not exceed, rounded up to its bucket's end.
    #[must_use]
    pub fn quantile_us(&self, q: f64) -> u64 {
        let wanted = ((self.count as f64 * q).ceil() as u64).max(1);
        let mut seen = 0;
        for (at, held) in self.buckets.iter().enumerate() {
            seen += held;
            if seen >= wanted {
                return bucket_end(at as u64).min(self.max_us);
            }
        }
        self.max_us
    }

    /// The usual figures.
    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        Percentiles {
            count: self.count,
            p50_us: self.quantile_us(0.5),
            p99_us: self.quantile_us(0.99),
            p999_us: self.quantile_us(0.999),
            max_us: self.max_us,
        }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// Values below 64 have a bucket each; above, the five bits behind the leading one choose it.
fn bucket(value: u64) -> usize {
    let shift = (64 - value.leading_zeros()).saturating_sub(6);
    (u64::from(shift) * FINE + (value >> shift)) as usize
}

fn bucket_end(at: u64) -> u64 {
    let shift = (at / FINE).saturating_sub(1);
    ((u128::from(at - shift * FINE + 1) << shift) - 1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_their_values_within_a_thirtieth() {
        for value in (0..200).chain([1_000, 4_095, 4_096, 65_537, 1 << 40, (1 << 50) + 12_345]) {
            let end = bucket_end(bucket(value) as u64);
            assert!(end >= value && end - value <= value / 30 + 1, "{value} in a bucket that ends at {end}");
        }
        let mut last = 0;
        for value in 0..100_000 {
            assert!(bucket(value) == last || bucket(value) == last + 1, "{value}");
            last = bucket(value);
        }
    }

    #[test]
    fn quantiles_of_a_straight_line() {
        let mut histogram = Histogram::new();
        (1..=1_000).for_each(|value| histogram.add(value));
        let p = histogram.percentiles();
        assert!((500..=516).contains(&p.p50_us), "{p:?}");
        assert!((990..=1_000).contains(&p.p99_us), "{p:?}");
        assert_eq!((p.count, p.max_us), (1_000, 1_000));
        assert_eq!(Histogram::new().quantile_us(0.5), 0);
    }
}
