//! `run`: the process around a relay: log, runtime, signals, service manager.

use std::time::Duration;

use anyhow::Context;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{CONFIG, Failed, UNAVAILABLE};
use crate::config::Config;
use crate::paths::Directories;
use crate::run::{Bound, run_with};
use crate::tls::LoadTlsError;

/// Runs until SIGTERM or SIGINT. One thread carries all peers: that is faster than spreading them.
pub(super) fn run(config: Config, directories: &Directories) -> Result<(), Failed> {
    crate::log::init(&config.log).map_err(Failed::with(CONFIG))?;
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
        run_with(config, directories, stop, Some(ready)).await.map_err(failure)
    })
}

fn failure(error: anyhow::Error) -> Failed {
    let code = match error.root_cause().downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        _ if error.is::<LoadTlsError>() => CONFIG,
        Some(std::io::ErrorKind::AddrInUse | std::io::ErrorKind::AddrNotAvailable) => UNAVAILABLE,
        _ => return Failed::from(error),
    };
    Failed { code, error }
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
