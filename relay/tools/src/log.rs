//! Where log lines go: people, JSON or the journal, and to whoever watches. No line ever holds a body or a secret.

use std::io::IsTerminal;

use anyhow::Context;
use spoolway_relay::config::{Log, LogFormat};
use spoolway_relay::tail::Tail;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{Targets, dynamic_filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Installs the process-wide subscriber.
///
/// # Errors
/// The filter is not one, the journal cannot be reached, or a subscriber is installed already.
pub(crate) fn init(log: &Log, tail: &Tail) -> anyhow::Result<()> {
    let filter: Targets = log.level.parse().with_context(|| format!("log.level = {:?}", log.level))?;
    let (lines, watched) = (tail.clone(), tail.clone());
    let tailed =
        tracing_subscriber::fmt::layer().json().log_internal_errors(false).with_writer(move || lines.clone());
    let tailed = tailed.with_filter(dynamic_filter_fn(move |_, _| watched.is_watched()));
    // A line that cannot be written is lost, and nothing else: to complain of it on the same full disk would be a panic.
    let registry = tracing_subscriber::registry().with(filter).with(tailed);
    match format_of(log.format) {
        LogFormat::Journald => {
            registry.with(tracing_journald::layer().context("log.format = journald")?).try_init()?;
        }
        LogFormat::Json => {
            registry
                .with(
                    tracing_subscriber::fmt::layer()
                        .json()
                        .log_internal_errors(false)
                        .with_writer(std::io::stderr),
                )
                .try_init()?;
        }
        LogFormat::Auto | LogFormat::Human => {
            let ansi = std::io::stderr().is_terminal();
            registry
                .with(
                    tracing_subscriber::fmt::layer()
                        .with_ansi(ansi)
                        .log_internal_errors(false)
                        .with_writer(std::io::stderr),
                )
                .try_init()?;
        }
    }
    Ok(())
}

fn format_of(format: LogFormat) -> LogFormat {
    match format {
        LogFormat::Auto if std::io::stderr().is_terminal() => LogFormat::Human,
        LogFormat::Auto if stderr_is_the_journal() => LogFormat::Journald,
        LogFormat::Auto => LogFormat::Json,
        set => set,
    }
}

/// systemd names the journal's stream by device and inode (systemd.exec(5)), also to programs that inherit the variable only.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(std::io::stderr())
        .is_ok_and(|file| stream == format!("{}:{}", file.st_dev, file.st_ino))
}
