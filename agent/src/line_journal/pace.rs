//! When a mark is written, and when it is flushed: pure, and counted over a day.

use std::time::Duration;

use spoolway_agent_core::Moment;

use super::slot::{Mark, MarkState};

/// A mark is written at least this often while lines flow.
const WRITE: Duration = Duration::from_secs(2);
/// Or after so many lines.
const WRITE_LINES: u64 = 200;
/// What was written is flushed at least this often.
const FLUSH: Duration = Duration::from_secs(15);
/// A new layer is flushed as well, but never sooner than this: layers of a second would else wear the card.
const FLUSH_LAYER: Duration = Duration::from_secs(13);

/// What is to be done with a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Write,
    Flush,
}

/// What was written and flushed last.
#[derive(Debug, Default)]
pub(super) struct Pace {
    written: Option<Last>,
    flushed: Option<Last>,
}

#[derive(Debug, Clone)]
struct Last {
    at: Moment,
    job_id: String,
    attempt: u32,
    state: MarkState,
    line: u64,
    layer: u32,
}

impl Last {
    fn of(at: Moment, mark: &Mark) -> Self {
        let Mark { job_id, attempt, state, line, layer, .. } = mark;
        Self { at, job_id: job_id.clone(), attempt: *attempt, state: *state, line: *line, layer: *layer }
    }

    fn is_as(&self, mark: &Mark) -> bool {
        (self.state, self.line, self.attempt) == (mark.state, mark.line, mark.attempt)
            && self.job_id == mark.job_id
    }

    /// The job began, was held, goes on or ended.
    fn is_turned(&self, mark: &Mark) -> bool {
        (self.state, self.attempt) != (mark.state, mark.attempt) || self.job_id != mark.job_id
    }
}

impl Pace {
    /// What is due now; the caller does it and says so with [`Pace::done`].
    pub(super) fn due(&self, now: Moment, mark: &Mark) -> Due {
        let (Some(written), Some(flushed)) = (&self.written, &self.flushed) else { return Due::Flush };
        if flushed.is_turned(mark) {
            return Due::Flush;
        }
        if flushed.is_as(mark) {
            return Due::Nothing;
        }
        let since = now - flushed.at;
        if since >= FLUSH || since >= FLUSH_LAYER && mark.layer != flushed.layer {
            return Due::Flush;
        }
        let waited = now - written.at >= WRITE || mark.line.saturating_sub(written.line) >= WRITE_LINES;
        if waited && !written.is_as(mark) { Due::Write } else { Due::Nothing }
    }

    /// It was done; after an error it counts as done as well, so that a broken disk is not tried in a frenzy.
    pub(super) fn done(&mut self, now: Moment, mark: &Mark, due: Due) {
        let last = Last::of(now, mark);
        if due == Due::Flush {
            self.flushed = Some(last.clone());
        }
        self.written = Some(last);
    }
}

#[cfg(test)]
mod tests {
    use super::super::slot::SLOT_BYTES;
    use super::super::slot::tests::mark;
    use super::*;

    const LOOK: Duration = Duration::from_millis(500);

    /// Runs a print for a time; gives the writes and the flushes.
    fn print(time: Duration, lines_per_s: u64, layer_s: u64) -> (u64, u64) {
        let (mut pace, mut counts, mut mark) = (Pace::default(), (0, 0), mark(1));
        let looks = time.as_millis() / LOOK.as_millis();
        for look in 0..looks as u64 {
            let ms = look * LOOK.as_millis() as u64;
            let now = Moment::from_millis(ms);
            mark.layer = u32::try_from(ms / 1_000 / layer_s).unwrap();
            mark.line = 1 + ms * lines_per_s / 1_000;
            let due = pace.due(now, &mark);
            match due {
                Due::Nothing => continue,
                Due::Write => counts.0 += 1,
                Due::Flush => counts.1 += 1,
            }
            pace.done(now, &mark, due);
        }
        counts
    }

    #[test]
    fn a_day_of_printing_writes_at_most_28_megabytes() {
        for layer_s in [1, 5, 13, 14, 60] {
            let (_, flushes) = print(Duration::from_secs(86_400), 50, layer_s);
            let bytes = flushes * SLOT_BYTES as u64;
            assert!((23_000_000..28_000_000).contains(&bytes), "{layer_s} s a layer: {bytes} bytes");
        }
    }

    #[test]
    fn a_mark_is_written_every_two_seconds_or_two_hundred_lines() {
        let (writes, flushes) = print(Duration::from_secs(150), 50, 3_600);
        assert_eq!((writes, flushes), (70, 10), "7 between two flushes");
        let (writes, flushes) = print(Duration::from_secs(150), 400, 3_600);
        assert_eq!((writes, flushes), (290, 10), "at every look");
    }

    #[test]
    fn a_pause_and_an_end_are_flushed_at_once_and_then_nothing_is_written() {
        let mut pace = Pace::default();
        let mut at = |ms, state, line| {
            let (now, mark) = (Moment::from_millis(ms), Mark { state, ..mark(line) });
            let due = pace.due(now, &mark);
            if due != Due::Nothing {
                pace.done(now, &mark, due);
            }
            due
        };
        assert_eq!(at(0, MarkState::Printing, 1), Due::Flush);
        assert_eq!(at(500, MarkState::Printing, 20), Due::Nothing);
        assert_eq!(at(1_000, MarkState::Paused, 20), Due::Flush);
        for hour in 1..5 {
            assert_eq!(at(hour * 3_600_000, MarkState::Paused, 20), Due::Nothing);
        }
        assert_eq!(at(20_000_000, MarkState::Printing, 20), Due::Flush);
        assert_eq!(at(20_000_500, MarkState::Ended, 21), Due::Flush);
        assert_eq!(at(20_001_000, MarkState::Ended, 21), Due::Nothing);
    }
}
