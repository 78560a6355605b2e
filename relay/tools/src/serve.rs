//! The process around a relay: log, runtime, signals, service manager.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::Context;
use sd_notify::NotifyState;
use spoolway_relay::config::Config;
use spoolway_relay::paths::Directories;
use spoolway_relay::run::{Bound, LoadTlsError, Outside, run_from};
use spoolway_relay::tail::Tail;
use spoolway_relay::web::More;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::settings::LoadConfigError;

/// Why a relay does not run; the texts say which part and why.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration or a certificate cannot be used.
    #[error("{0:#}")]
    Setting(anyhow::Error),
    /// An address cannot be listened on.
    #[error("{0:#}")]
    Address(anyhow::Error),
    /// Anything else.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

/// Runs until SIGTERM or SIGINT; at SIGHUP the settings are loaded anew. `more` is answered by the public port besides. One thread carries all peers: that is faster than spreading them.
///
/// # Errors
/// It could not be started, or has failed.
pub fn run(
    config: Config,
    directories: &Directories,
    load: impl Fn() -> Result<Config, LoadConfigError> + Send + 'static,
    more: Option<More>,
) -> Result<(), ServeError> {
    let tail = Tail::default();
    crate::log::init(&config.log, &tail).map_err(ServeError::Setting)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("runtime")?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
        tokio::spawn({
            let stop = stop.clone();
            async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                notify(&[NotifyState::Stopping]);
                stop.cancel();
            }
        });
        let (ready, bound) = oneshot::channel();
        tokio::spawn(report(bound));
        let (changes, reloads) = mpsc::channel(1);
        let hangup = signal(SignalKind::hangup()).context("SIGHUP")?;
        tokio::spawn(reload(hangup, load, changes));
        let outside = Outside { reloads, tail, more };
        run_from(config, directories, stop, Some(ready), outside).await.map_err(failure)
    })
}

async fn reload(
    mut hangup: Signal,
    load: impl Fn() -> Result<Config, LoadConfigError>,
    changes: mpsc::Sender<Config>,
) {
    while hangup.recv().await.is_some() {
        match load() {
            // It ends with the relay.
            Ok(config) => drop(changes.send(config).await),
            Err(error) => tracing::error!(%error, "the settings in force stay"),
        }
    }
}

fn failure(error: anyhow::Error) -> ServeError {
    match error.root_cause().downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        _ if error.is::<LoadTlsError>() => ServeError::Setting(error),
        Some(ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable) => ServeError::Address(error),
        _ => ServeError::Failed(error),
    }
}

/// Tells the service manager when the relay is up, and that it is alive for as long as this runtime turns.
async fn report(bound: oneshot::Receiver<Bound>) {
    let Ok(bound) = bound.await else { return };
    notify(&[NotifyState::Ready, NotifyState::Status(&format!("listening on {}", bound.public))]);
    let mut timeout_us = 0;
    if !sd_notify::watchdog_enabled(false, &mut timeout_us) {
        return;
    }
    let mut beat = tokio::time::interval(Duration::from_micros(timeout_us / 2).max(Duration::from_millis(1)));
    loop {
        beat.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, state) {
        tracing::warn!(%error, "service manager");
    }
}
