//! The agent's log: lines are made where something happens and written where nobody waits.
//!
//! A line goes into a ring in memory, which `spoolway-agent logs` reads, and through a bounded channel to a thread that
//! writes it, where no journal keeps it into files as well. The thread that logs never waits for a terminal, a pipe or the journal; when the channel is full, lines are
//! dropped and their number is logged. Before all of them stands a measure of how much one place in the program may say.

mod files;
mod layer;
mod limit;
mod line;
mod ring;
mod sink;

use std::convert::Infallible;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use spoolway_protocol::JobId;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use files::{FOLDER, KEPT_BYTES, LogFiles, kept, kept_bytes};
pub use layer::RingLayer;
pub(crate) use line::cut;
pub use line::{Level, LogLine};
pub use ring::{Follower, LogRing, Missed, RING_LINES};
pub use sink::{Output, Sink};

use crate::clock::Clock;
use crate::config::{Log, LogFormat, LogKeep};

/// How long the last lines may take on the way out.
const FLUSH: Duration = Duration::from_millis(500);

static RING: OnceLock<LogRing> = OnceLock::new();
/// The way out, where files are to be kept.
static AWAITS_FILES: OnceLock<Sink> = OnceLock::new();

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum StartLogError {
    /// `log.level` is no filter.
    #[error("log.level = {level:?}: {source}")]
    Level {
        /// What it holds.
        level: String,
        /// Why it is none.
        source: ParseError,
    },
    /// The thread or the journal's socket is not to be had.
    #[error("the log cannot be started: {0}")]
    Io(#[from] std::io::Error),
    /// Somebody else logs for this process.
    #[error("the log cannot be started: {0}")]
    Taken(#[from] tracing_subscriber::util::TryInitError),
}

/// The log of this process; its end writes what was held back and is still on its way.
pub struct Telemetry {
    layer: RingLayer,
    sink: Sink,
}

impl Telemetry {
    /// Sees to it that the end of a burst of lines is told though its place says nothing more. It never ends.
    pub async fn tell_late(&self) -> Infallible {
        loop {
            tokio::time::sleep(limit::EVERY).await;
            self.layer.tell_late();
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.layer.tell_rest();
        self.sink.flush(FLUSH);
    }
}

/// Starts the log of this process.
///
/// # Errors
/// The level is none, a thread or socket is missing, or there is a log already.
pub fn start(log: &Log, clock: &Clock) -> Result<Telemetry, StartLogError> {
    let filter: Targets =
        log.level.parse().map_err(|source| StartLogError::Level { level: log.level.clone(), source })?;
    let is_kept = is_kept(log, stderr_is_the_journal());
    let sink = Sink::start(output_of(log.format)?, is_kept)?;
    if is_kept {
        // Another log of this process fails below.
        let _ = AWAITS_FILES.set(sink.clone());
    }
    let layer = RingLayer::new(clock.clone(), ring(), Some(sink.clone()));
    tracing_subscriber::registry().with(filter).with(layer.clone()).try_init()?;
    Ok(Telemetry { layer, sink })
}

/// The last lines of this process.
#[must_use]
pub fn ring() -> LogRing {
    RING.get_or_init(LogRing::default).clone()
}

/// Keeps the log in files of this state folder, if it is to be kept; for whoever has locked the folder.
pub(crate) fn keep_in(state_dir: &Path) {
    if let Some(sink) = AWAITS_FILES.get() {
        sink.keep(LogFiles::of(state_dir));
    }
}

/// No file of the state folder is written from here on: they go, and lines that come after them are of nobody's concern.
pub(crate) fn keep_no_more() {
    if let Some(sink) = AWAITS_FILES.get() {
        sink.release();
    }
}

/// Around whatever is done for a job: each line of the log in it says for which. It is there at every level.
pub(crate) fn of_job(job: &JobId, attempt: u32) -> tracing::Span {
    tracing::error_span!("job", job = %job, attempt)
}

/// Whether the log is kept in files. Where standard error is the journal, it has every line, in whatever format.
const fn is_kept(log: &Log, is_journal: bool) -> bool {
    match log.files {
        LogKeep::Always => true,
        LogKeep::Never => false,
        LogKeep::Auto => !is_journal && !matches!(log.format, LogFormat::Journald),
    }
}

/// Whether systemd has given the journal for standard error (systemd.exec(5)). A program that inherits the variable and not the stream is
/// told apart by device and inode.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(std::io::stderr())
        .is_ok_and(|file| stream == format!("{}:{}", file.st_dev, file.st_ino))
}

fn output_of(format: LogFormat) -> std::io::Result<Output> {
    match format {
        LogFormat::Human => Ok(Output::Human { colour: crate::cli::wants_colour(&std::io::stderr()) }),
        LogFormat::Json => Ok(Output::Json),
        LogFormat::Journald => Output::journald(),
        LogFormat::Auto if std::io::stderr().is_terminal() => output_of(LogFormat::Human),
        // Without the socket JSON reaches the journal too.
        LogFormat::Auto if stderr_is_the_journal() => Ok(Output::journald().unwrap_or(Output::Json)),
        LogFormat::Auto => Ok(Output::Json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_kept_where_no_journal_is() {
        let log = |files, format| Log { level: "info".to_owned(), format, files };
        for format in [LogFormat::Auto, LogFormat::Human, LogFormat::Json] {
            assert!(
                is_kept(&log(LogKeep::Auto, format), false) && !is_kept(&log(LogKeep::Auto, format), true)
            );
        }
        assert!(!is_kept(&log(LogKeep::Auto, LogFormat::Journald), false));
        assert!(is_kept(&log(LogKeep::Always, LogFormat::Journald), true));
        assert!(!is_kept(&log(LogKeep::Never, LogFormat::Auto), false));
    }
}
