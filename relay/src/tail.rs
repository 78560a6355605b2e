//! What passes, live, for an operator who watches: heads of frames and lines of the log, never a body. It costs nothing while nobody does.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use spoolway_protocol::{Address, Route};
use tokio::sync::broadcast::{self, error::RecvError};

/// Lines that a watcher may be behind; then it misses some.
const LINES: usize = 512;

/// Where lines are said and watched.
#[derive(Debug, Clone)]
pub struct Tail(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    lines: broadcast::Sender<Arc<str>>,
    watchers: AtomicUsize,
}

impl Default for Tail {
    fn default() -> Self {
        let (lines, _) = broadcast::channel(LINES);
        Self(Arc::new(Inside { lines, watchers: AtomicUsize::new(0) }))
    }
}

impl Tail {
    /// Whether somebody watches.
    pub fn is_watched(&self) -> bool {
        self.0.watchers.load(Ordering::Relaxed) > 0
    }

    /// A frame passes; `bytes` is its whole length.
    pub(crate) fn frame(&self, at_ms: u64, from: &Address, head: &Route<'_>, bytes: usize) {
        if self.is_watched() {
            let Route { t, to, key, lane, id, .. } = head;
            let line = json!({
                "at_ms": at_ms, "t": t, "from": from, "to": to, "key": key, "lane": lane, "id": id, "bytes": bytes,
            });
            self.say(&line.to_string());
        }
    }

    fn say(&self, line: &str) {
        // Nobody has to watch.
        let _ = self.0.lines.send(line.into());
    }

    /// Watches from now on, until it is dropped.
    pub(crate) fn watch(&self) -> Watcher {
        self.0.watchers.fetch_add(1, Ordering::Relaxed);
        Watcher { lines: self.0.lines.subscribe(), tail: self.clone() }
    }
}

/// For a log that writes a line at a time.
impl io::Write for Tail {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.say(String::from_utf8_lossy(line).trim_end());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Somebody who watches.
#[derive(Debug)]
pub(crate) struct Watcher {
    lines: broadcast::Receiver<Arc<str>>,
    tail: Tail,
}

impl Watcher {
    /// The next line; one about what was missed, if it reads too slowly. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Option<Arc<str>> {
        match self.lines.recv().await {
            Ok(line) => Some(line),
            Err(RecvError::Lagged(missed)) => Some(json!({ "missed": missed }).to_string().into()),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.tail.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_watcher_sees_heads_without_bodies_and_is_told_what_it_missed() {
        let tail = Tail::default();
        let frame = r#"{"v":1,"t":"telem","to":"b:farm","key":"p0","body":{"secret":"x"}}"#;
        let head = Route::parse(frame).unwrap();
        tail.frame(5, &Address::Relay, &head, frame.len());
        let mut watcher = tail.watch();
        assert!(tail.is_watched());
        tail.frame(7, &Address::Relay, &head, frame.len());
        let line: serde_json::Value = serde_json::from_str(&watcher.next().await.unwrap()).unwrap();
        let expected = json!({
            "at_ms": 7, "t": "telem", "from": "relay", "to": "b:farm", "key": "p0", "lane": null, "id": null,
            "bytes": frame.len(),
        });
        assert_eq!(line, expected);
        (0..LINES + 3).for_each(|_| tail.say("x"));
        assert_eq!(&*watcher.next().await.unwrap(), r#"{"missed":3}"#);
        drop(watcher);
        assert!(!tail.is_watched());
    }
}
