//! The thread that writes log lines, and the bounded way to it, which never waits.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::{Level, LogLine};

/// Lines on their way to the thread; when it is full, lines are dropped and counted.
const QUEUE_LINES: usize = 1_024;
const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";

/// Where lines are written.
pub enum Output {
    /// Standard error, for people.
    Human {
        /// Whether it shows colours.
        colour: bool,
    },
    /// Standard error, one JSON object a line.
    Json,
    /// The journal.
    Journald(UnixDatagram),
    /// Anything else, in JSON.
    Writer(Box<dyn Write + Send>),
}

impl Output {
    /// The journal's socket.
    ///
    /// # Errors
    /// There is no journal.
    pub fn journald() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(JOURNAL_SOCKET)?;
        Ok(Self::Journald(socket))
    }

    fn write(&mut self, line: &LogLine) -> io::Result<()> {
        match self {
            Self::Human { colour } => writeln!(io::stderr().lock(), "{}", line.human(*colour)),
            Self::Json => writeln!(io::stderr().lock(), "{}", line.json()),
            Self::Journald(socket) => socket.send(&line.journal()).map(drop),
            Self::Writer(writer) => writeln!(writer, "{}", line.json()),
        }
    }
}

enum Item {
    Line(Arc<LogLine>),
    /// Answered once everything before it is written.
    Flush(SyncSender<()>),
}

/// The way to the thread; cheap to clone.
#[derive(Clone)]
pub struct Sink {
    queue: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
}

impl Sink {
    /// Starts the thread. It ends when the last sink is gone.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(output: Output) -> io::Result<Self> {
        let (queue, items) = sync_channel(QUEUE_LINES);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(output, &items, &counter))?;
        Ok(Self { queue, dropped })
    }

    /// Hands a line over, or drops and counts it.
    pub fn offer(&self, line: Arc<LogLine>) {
        if self.queue.try_send(Item::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what was handed over is written, but no longer than `most`.
    pub fn flush(&self, most: Duration) {
        let (done, written) = sync_channel(1);
        if self.queue.try_send(Item::Flush(done)).is_ok() {
            // Too late is as good as never: the program ends all the same.
            let _ = written.recv_timeout(most);
        }
    }
}

fn write_all(mut output: Output, items: &Receiver<Item>, dropped: &AtomicU64) {
    for item in items {
        match item {
            Item::Line(line) => {
                let lost = dropped.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    // A log that cannot be written has nobody to complain to.
                    let _ = output.write(&told(lost, line.at_ms));
                }
                let _ = output.write(&line);
            }
            // Nobody waits any more; then nobody needs the answer.
            Item::Flush(done) => drop(done.try_send(())),
        }
    }
}

fn told(lost: u64, at_ms: u64) -> LogLine {
    LogLine {
        at_ms,
        level: Level::Warn,
        target: module_path!().to_owned(),
        text: "log lines were dropped because they could not be written in time".to_owned(),
        fields: vec![("lines".to_owned(), lost.to_string())],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Blocks in its first write until it is let go.
    struct Stuck {
        gate: Receiver<()>,
        entered: Sender<()>,
        passed: bool,
        text: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !self.passed {
                self.entered.send(()).unwrap();
                self.gate.recv().unwrap();
                self.passed = true;
            }
            self.text.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line(text: &str) -> Arc<LogLine> {
        Arc::new(LogLine {
            at_ms: 0,
            level: Level::Info,
            target: "t".into(),
            text: text.into(),
            fields: Vec::new(),
        })
    }

    #[test]
    fn a_stuck_output_costs_lines_and_no_time() {
        let (open, gate) = channel();
        let (entered, is_stuck) = channel();
        let text = Arc::new(Mutex::new(Vec::new()));
        let stuck = Stuck { gate, entered, passed: false, text: Arc::clone(&text) };
        let sink = Sink::start(Output::Writer(Box::new(stuck))).unwrap();
        sink.offer(line("first"));
        is_stuck.recv().unwrap();
        for _ in 0..QUEUE_LINES + 7 {
            sink.offer(line("more"));
        }
        assert_eq!(sink.dropped.load(Ordering::Relaxed), 7);
        open.send(()).unwrap();
        // The queue has room again only once the thread has taken something.
        let (done, written) = sync_channel(1);
        sink.queue.send(Item::Flush(done)).unwrap();
        written.recv().unwrap();
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1 + 1 + QUEUE_LINES);
        assert!(text.contains("\"lines\":\"7\""), "the loss is told");
    }
}
