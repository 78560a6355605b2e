//! The thread that writes log lines, and the bounded way to it, which never waits.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::files::LogFiles;
use super::{Level, LogLine};

/// Lines on their way to the thread; when it is full, lines are dropped and counted.
const QUEUE_LINES: usize = 1_024;
/// Lines from before the files are there that are kept for them.
const EARLY_LINES: usize = 256;
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
    beside: Arc<Beside>,
}

/// What is not handed over by the queue, because that may be full.
struct Beside {
    dropped: AtomicU64,
    kept: Mutex<Kept>,
}

impl Beside {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// Starts the thread. It ends when the last sink is gone. Where files will be named, they get what was written before, too.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(output: Output, awaits_files: bool) -> io::Result<Self> {
        let (queue, items) = sync_channel(QUEUE_LINES);
        let kept = if awaits_files { Kept::Early(Vec::new()) } else { Kept::Nothing };
        let beside = Arc::new(Beside { dropped: AtomicU64::new(0), kept: Mutex::new(kept) });
        let writer = Writer { output, beside: Arc::clone(&beside) };
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_all(&items))?;
        Ok(Self { queue, beside })
    }

    /// Hands a line over, or drops and counts it.
    pub fn offer(&self, line: Arc<LogLine>) {
        if self.queue.try_send(Item::Line(line)).is_err() {
            self.beside.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Has every line kept in these files, too: what was written, and what comes.
    pub fn keep(&self, files: LogFiles) {
        self.beside.kept().begin_files(files);
    }

    /// Leaves the files alone from here on, whatever is still on its way to them.
    pub fn release(&self) {
        *self.beside.kept() = Kept::Nothing;
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

/// What the thread writes to.
struct Writer {
    output: Output,
    beside: Arc<Beside>,
}

/// What is kept of the log besides.
enum Kept {
    /// Nothing.
    Nothing,
    /// What files that are still to be named will get.
    Early(Vec<Arc<LogLine>>),
    /// Everything.
    Files(LogFiles),
}

impl Kept {
    fn line(&mut self, line: &Arc<LogLine>) {
        match self {
            Self::Early(lines) if lines.len() < EARLY_LINES => lines.push(Arc::clone(line)),
            Self::Nothing | Self::Early(_) => {}
            Self::Files(files) => files.keep(line),
        }
    }

    fn begin_files(&mut self, mut files: LogFiles) {
        if let Self::Early(lines) = self {
            lines.iter().for_each(|line| files.keep(line));
        }
        *self = Self::Files(files);
    }
}

impl Writer {
    fn write_all(mut self, items: &Receiver<Item>) {
        for item in items {
            match item {
                Item::Line(line) => {
                    let lost = self.beside.dropped.swap(0, Ordering::Relaxed);
                    if lost > 0 {
                        let text = "log lines were dropped because they could not be written in time";
                        self.write(&Arc::new(told(lost, line.at_ms, text)));
                    }
                    self.write(&line);
                }
                // Nobody waits any more; then nobody needs the answer.
                Item::Flush(done) => drop(done.try_send(())),
            }
        }
    }

    fn write(&mut self, line: &Arc<LogLine>) {
        // A log that cannot be written has nobody to complain to.
        let _ = self.output.write(line);
        // Behind the output, which may have taken its time.
        self.beside.kept().line(line);
    }
}

/// So many lines are missing before the one of this time.
pub(super) fn told(lost: u64, at_ms: u64, text: &str) -> LogLine {
    LogLine {
        at_ms,
        level: Level::Warn,
        target: module_path!().to_owned(),
        text: text.to_owned(),
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

    /// A sink whose thread hangs at its first line, until something is sent; and what it has written.
    fn stuck(awaits_files: bool) -> (Sink, Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let (open, gate) = channel();
        let (entered, is_stuck) = channel();
        let text = Arc::new(Mutex::new(Vec::new()));
        let stuck = Stuck { gate, entered, passed: false, text: Arc::clone(&text) };
        let sink = Sink::start(Output::Writer(Box::new(stuck)), awaits_files).unwrap();
        sink.offer(line("first"));
        is_stuck.recv().unwrap();
        (sink, open, text)
    }

    #[test]
    fn a_stuck_output_costs_lines_and_no_time() {
        let (sink, open, text) = stuck(false);
        for _ in 0..QUEUE_LINES + 7 {
            sink.offer(line("more"));
        }
        assert_eq!(sink.beside.dropped.load(Ordering::Relaxed), 7);
        open.send(()).unwrap();
        // The queue has room again only once the thread has taken something.
        let (done, written) = sync_channel(1);
        sink.queue.send(Item::Flush(done)).unwrap();
        written.recv().unwrap();
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1 + 1 + QUEUE_LINES);
        assert!(text.contains("\"lines\":\"7\""), "the loss is told");
    }

    #[test]
    fn files_have_what_was_said_before_they_were_named_and_nothing_from_their_release_on() {
        let folder = tempfile::tempdir().unwrap();
        let sink = Sink::start(Output::Writer(Box::new(io::sink())), true).unwrap();
        let kept = |then: &dyn Fn()| {
            then();
            sink.flush(Duration::from_secs(60));
            let lines = super::super::kept(folder.path()).unwrap().into_iter().flatten();
            lines.map(|line| line.text).collect::<Vec<_>>()
        };
        assert!(kept(&|| sink.offer(line("early"))).is_empty());
        assert_eq!(kept(&|| sink.keep(LogFiles::of(folder.path()))), ["early"]);
        assert_eq!(kept(&|| sink.offer(line("late"))), ["early", "late"]);
        let after = kept(&|| {
            sink.release();
            sink.offer(line("after"));
        });
        assert_eq!(after, ["early", "late"]);
    }

    #[test]
    fn a_stuck_output_holds_up_neither_the_naming_of_files_nor_their_release() {
        let folder = tempfile::tempdir().unwrap();
        for is_released in [false, true] {
            let (sink, open, _) = stuck(true);
            for _ in 0..QUEUE_LINES {
                sink.offer(line("waits"));
            }
            sink.keep(LogFiles::of(folder.path()));
            if is_released {
                std::fs::remove_dir_all(folder.path().join(super::super::FOLDER)).unwrap();
                sink.release();
            }
            open.send(()).unwrap();
            let (done, written) = sync_channel(1);
            sink.queue.send(Item::Flush(done)).unwrap();
            written.recv().unwrap();
            let lines = super::super::kept(folder.path()).unwrap().map(Iterator::count);
            assert_eq!(lines, (!is_released).then_some(1 + QUEUE_LINES));
        }
    }
}
