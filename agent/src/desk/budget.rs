//! The write budget: what this process sends to the card, and what that comes to in a day.

use std::collections::VecDeque;
use std::fs;
use std::time::Duration;

use spoolway_agent_core::Moment;

/// One sample is kept for so long a time, and so many of them: a day.
const SAMPLE_EVERY: Duration = Duration::from_secs(600);
const SAMPLES: usize = 144;
/// A daily figure from less time than this would be a guess.
const SPAN_MIN: Duration = Duration::from_secs(600);
const DAY_S: f64 = 86_400.0;

/// What was written by some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    /// Everything that this process has sent towards a device, in bytes.
    pub(super) bytes: u64,
    /// Job files among it.
    pub(super) files_bytes: u64,
}

impl Written {
    /// What the kernel counts for this process; `None` where it does not tell.
    pub(super) fn now(files_bytes: u64) -> Option<Self> {
        let text = fs::read_to_string("/proc/self/io").ok()?;
        written_bytes(&text).map(|bytes| Self { bytes, files_bytes })
    }

    fn beyond_files(self) -> u64 {
        self.bytes.saturating_sub(self.files_bytes)
    }
}

/// `write_bytes`: pages that were made dirty and that the kernel will write (proc_pid_io(5)).
fn written_bytes(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
}

/// What was written over the last day.
#[derive(Debug, Default)]
pub(super) struct Budget {
    samples: VecDeque<(Moment, Written)>,
}

impl Budget {
    /// Looks at the counter; it may be told more often than is kept.
    pub(super) fn sample(&mut self, now: Moment, written: Written) {
        if self.samples.back().is_some_and(|(at, _)| now - *at < SAMPLE_EVERY) {
            return;
        }
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((now, written));
    }

    /// Units of 10^6 bytes a day beyond job files, over the last day or as long as it is known.
    pub(super) fn mb_a_day(&self, now: Moment, written: Written) -> Option<f64> {
        let (at, before) = self.samples.front()?;
        let span = now - *at;
        let bytes = written.beyond_files().saturating_sub(before.beyond_files());
        (span >= SPAN_MIN).then(|| bytes as f64 / 1e6 * DAY_S / span.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Moment {
        Moment::from_micros(minutes * 60_000_000)
    }

    #[test]
    fn a_day_is_figured_from_the_last_day_and_without_job_files() {
        let mut budget = Budget::default();
        let written =
            |mb: u64, files_mb: u64| Written { bytes: mb * 1_000_000, files_bytes: files_mb * 1_000_000 };
        assert_eq!(budget.mb_a_day(at(0), written(5, 0)), None);
        budget.sample(at(0), written(5, 0));
        assert_eq!(budget.mb_a_day(at(9), written(6, 0)), None, "too early");
        let figure = budget.mb_a_day(at(60), written(37, 30)).unwrap();
        assert!((figure - 48.0).abs() < 1e-9, "{figure}");
        for minute in 0..4_000 {
            budget.sample(at(minute), written(5 + minute, 0));
        }
        assert_eq!(budget.samples.len(), SAMPLES);
        let figure = budget.mb_a_day(at(3_999), written(5 + 3_999, 0)).unwrap();
        assert!((figure - 1_440.0).abs() < 1e-6, "{figure}");
    }

    #[test]
    fn the_kernels_counter_is_read() {
        assert_eq!(written_bytes("rchar: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 7\n"), Some(4096));
        assert_eq!(written_bytes(""), None);
        assert!(Written::now(0).is_some());
    }
}
