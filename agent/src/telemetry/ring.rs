//! The last lines of the log in memory, for whoever asks; a slow reader loses lines and never holds anybody up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use super::{Level, LogLine};

/// Lines that are kept.
pub const RING_LINES: usize = 2_000;
/// Lines that a follower may be behind before it loses some.
const FOLLOW_LINES: usize = 1_024;

/// The last [`RING_LINES`] lines; cheap to clone.
#[derive(Debug, Clone)]
pub struct LogRing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lines: Mutex<VecDeque<Arc<LogLine>>>,
    follow: broadcast::Sender<Arc<LogLine>>,
}

impl Default for LogRing {
    fn default() -> Self {
        let follow = broadcast::Sender::new(FOLLOW_LINES);
        Self(Arc::new(Inner { lines: Mutex::new(VecDeque::with_capacity(RING_LINES)), follow }))
    }
}

impl LogRing {
    /// Adds a line; the oldest makes room. It waits for nothing but a reader that is copying pointers.
    pub fn push(&self, line: Arc<LogLine>) {
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == RING_LINES {
            lines.pop_front();
        }
        lines.push_back(Arc::clone(&line));
        // Sent under the lock, so that a new follower sees each line once: in the ring or as news. It fails
        // when nobody follows, which is no harm.
        let _ = self.0.follow.send(line);
    }

    /// The last `most` lines that matter at least as much as `level`, oldest first.
    #[must_use]
    pub fn last(&self, most: usize, level: Level) -> Vec<Arc<LogLine>> {
        self.follow(most, level).0
    }

    /// The same, and whatever comes after them.
    #[must_use]
    pub fn follow(&self, most: usize, level: Level) -> (Vec<Arc<LogLine>>, Follower) {
        let lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = lines.iter().rev().filter(|line| line.level <= level);
        let mut last: Vec<_> = fitting.take(most).cloned().collect();
        let follower = Follower { news: self.0.follow.subscribe(), level };
        drop(lines);
        last.reverse();
        (last, follower)
    }
}

/// Somebody who reads along.
#[derive(Debug)]
pub struct Follower {
    news: broadcast::Receiver<Arc<LogLine>>,
    level: Level,
}

/// Lines that a slow follower did not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed(
    /// How many, of whatever level.
    pub u64,
);

impl Follower {
    /// The next line of the follower's level; `None` once there can be no more.
    ///
    /// # Errors
    /// [`Missed`] tells how many lines were lost before the next one.
    pub async fn next(&mut self) -> Option<Result<Arc<LogLine>, Missed>> {
        loop {
            match self.news.recv().await {
                Ok(line) if line.level <= self.level => return Some(Ok(line)),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(lines)) => return Some(Err(Missed(lines))),
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize, level: Level) -> Arc<LogLine> {
        Arc::new(LogLine {
            at_ms: 0,
            level,
            target: "t".into(),
            text: number.to_string(),
            fields: Vec::new(),
        })
    }

    #[test]
    fn the_ring_keeps_the_newest_and_filters_by_level() {
        let ring = LogRing::default();
        for number in 0..RING_LINES + 10 {
            ring.push(line(number, if number % 2 == 0 { Level::Info } else { Level::Debug }));
        }
        let all = ring.last(usize::MAX, Level::Trace);
        assert_eq!((all.len(), all[0].text.as_str()), (RING_LINES, "10"));
        let texts: Vec<_> = ring.last(2, Level::Info).iter().map(|line| line.text.clone()).collect();
        assert_eq!(texts, ["2006", "2008"]);
    }

    #[tokio::test]
    async fn a_slow_follower_is_told_how_much_it_missed() {
        let ring = LogRing::default();
        ring.push(line(0, Level::Info));
        let (last, mut follower) = ring.follow(10, Level::Info);
        assert_eq!(last.len(), 1);
        for number in 0..FOLLOW_LINES + 5 {
            ring.push(line(number, Level::Info));
        }
        assert_eq!(follower.next().await, Some(Err(Missed(5))));
        assert_eq!(follower.next().await.unwrap().unwrap().text, "5");
    }
}
