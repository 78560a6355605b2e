//! Forgets: the relay revokes the key, and whatever is about an owner, about people or about jobs leaves this machine.
//!
//! One rename is the point of no return: it takes key, counter and pairing out of their place. Whatever the power does after
//! it, the next start brings the rest to its end before it looks at anything.

mod wipe;

use std::path::{Path, PathBuf};
use std::time::Duration;

use spoolway_protocol::pairing::{FORGET_PATH, Forget};
use spoolway_protocol::raw::Extra;
use spoolway_protocol::{Fault, Raw};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::Config;
use crate::identity::{FOLDER, Identity};
use crate::pairing::{Kept, body_of, relay_of};
use crate::run::runtime;
use crate::uplink::{Poster, RelaySettings};
use crate::view::ForgottenView;
use wipe::Places;

pub use wipe::WipeError;

/// How long a relay may take to answer. A person waits, and what is to be forgotten lies there all the time.
const TELL: Duration = Duration::from_secs(20);

/// Forgets, for whoever holds the state folder while nobody has any of its files open. Where nothing is left nothing happens.
///
/// # Errors
/// A file cannot be removed; the next try goes on with the others that are left.
pub async fn forget(config: &Config, clock: &Clock) -> Result<ForgottenView, WipeError> {
    let places = places(config);
    // What was begun before belongs to another key.
    places.finish()?;
    let identity = Identity::look(&config.state_dir);
    let relay = relay_of(config, Kept::read(&config.state_dir).unwrap_or_default().as_ref());
    places.begin()?;
    let mut view = ForgottenView::default();
    match identity {
        None => {}
        Some(Err(error)) => view.untold = Some(format!("the key could not be read: {error}")),
        Some(Ok(identity)) => {
            view.agent_id = Some(identity.agent_id().to_string());
            if let Some(relay) = relay {
                view.relay = Some(relay.url.to_string());
                view.untold = tell(moved(relay, places), &identity, clock).await.err();
            }
        }
    }
    places.finish()?;
    info!(agent = view.agent_id, untold = view.untold, "everything is forgotten");
    Ok(view)
}

/// Brings to its end what a power cut or a crash has left of a `forget`; nothing without one.
///
/// # Errors
/// A file cannot be removed: what is left may not be used.
pub fn finish(config: &Config) -> Result<(), WipeError> {
    if places(config).finish()? {
        let help =
            "whether the relay was told is not known; `spoolway-relay agent list` names it if it was not";
        warn!(help, "what was being forgotten when the agent ended is gone now");
    }
    Ok(())
}

fn places(config: &Config) -> Places<'_> {
    Places { state: &config.state_dir, runtime: runtime(config) }
}

/// The authority of a pairing has been moved along with the key.
fn moved(relay: RelaySettings, places: Places<'_>) -> RelaySettings {
    let at = |file: PathBuf| match file.strip_prefix(places.state.join(FOLDER)) {
        Ok(name) => places.grave().join(name),
        Err(_) => file,
    };
    RelaySettings { ca_file: relay.ca_file.map(at), ..relay }
}

/// Has the relay revoke the key; why it was not told, for a person. A relay that does not know the agent has nothing to revoke.
async fn tell(relay: RelaySettings, identity: &Identity, clock: &Clock) -> Result<(), String> {
    let wish = Raw::of(&Forget { agent_id: identity.agent_id(), extra: Extra::default() });
    let mut poster = Poster::new(relay, clock.clone(), identity.key());
    let answered = timeout(TELL, poster.post(FORGET_PATH, wish.get())).await;
    let answered = answered.map_err(|_| format!("it did not answer within {} s", TELL.as_secs()))?;
    match body_of::<Forget>(&answered.map_err(|error| error.to_string())?) {
        Ok(_) => Ok(()),
        Err(problem) if problem.code == "unknown" => Ok(()),
        Err(problem) => Err(problem.detail),
    }
}

impl WipeError {
    /// The stable fault.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        Fault::ForgetIncomplete
    }

    /// What could not be removed.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests;
