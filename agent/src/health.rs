//! What the service manager is told of the agent: that it is ready, and that it stops (`sd_notify(3)`).

use sd_notify::NotifyState;
use tracing::warn;

/// The local socket answers and the printer is looked after: who waits for the agent may go on.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// From now on it only tidies up.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Without a service manager nothing happens.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, state) {
        warn!(%error, "service manager");
    }
}
