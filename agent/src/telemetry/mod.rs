//! The agent's log: lines are made where something happens and written where nobody waits.
//!
//! A line goes into a ring in memory, which `spoolway-agent logs` reads, and through a bounded channel to a thread that
//! writes it. The thread that logs never waits for a terminal, a pipe or the journal; when the channel is full, lines are
//! dropped and their number is logged.

mod layer;
mod line;
mod ring;
mod sink;

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use spoolway_protocol::JobId;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use layer::RingLayer;
pub(crate) use line::cut;
pub use line::{Level, LogLine};
pub use ring::{Follower, LogRing, Missed, RING_LINES};
pub use sink::{Output, Sink};

use crate::clock::Clock;
use crate::config::{Log, LogFormat};

/// How long the last lines may take on the way out.
const FLUSH: Duration = Duration::from_millis(500);

static RING: OnceLock<LogRing> = OnceLock::new();

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

/// The log of this process; its end writes what is still on its way.
pub struct Telemetry {
    sink: Sink,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
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
    let sink = Sink::start(output_of(log.format)?)?;
    let layer = RingLayer::new(clock.clone(), ring(), Some(sink.clone()));
    tracing_subscriber::registry().with(filter).with(layer).try_init()?;
    Ok(Telemetry { sink })
}

/// The last lines of this process.
#[must_use]
pub fn ring() -> LogRing {
    RING.get_or_init(LogRing::default).clone()
}

/// Around whatever is done for a job: each line of the log in it says for which. It is there at every level.
pub(crate) fn of_job(job: &JobId, attempt: u32) -> tracing::Span {
    tracing::error_span!("job", job = %job, attempt)
}

fn output_of(format: LogFormat) -> std::io::Result<Output> {
    match format {
        LogFormat::Human => Ok(Output::Human { colour: crate::cli::wants_colour(&std::io::stderr()) }),
        LogFormat::Json => Ok(Output::Json),
        LogFormat::Journald => Output::journald(),
        LogFormat::Auto if std::io::stderr().is_terminal() => output_of(LogFormat::Human),
        // systemd sets it when standard error is the journal (systemd.exec(5)); without the socket JSON reaches it too.
        LogFormat::Auto if std::env::var_os("JOURNAL_STREAM").is_some() => {
            Ok(Output::journald().unwrap_or(Output::Json))
        }
        LogFormat::Auto => Ok(Output::Json),
    }
}
