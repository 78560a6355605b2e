//! Who owns this agent: how that comes about, what is kept of it, and how a running agent hears of it.

mod enrol;
mod kept;
mod run;

use std::time::Duration;

use tokio::sync::watch;

use crate::config::{Backend, Config};
use crate::uplink::RelaySettings;

pub use enrol::{EnrolError, TOKEN_FILES, TokenFile, enrol, erase};
pub use kept::{Kept, KeptError};
pub(crate) use run::body_of;
pub use run::{PairError, Scene, pair};

/// Time between two looks at what is kept.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The relay that the agent dials, if there is one: what the configuration says goes first.
#[must_use]
pub fn relay_of(config: &Config, kept: Option<&Kept>) -> Option<RelaySettings> {
    let said = RelaySettings::of(&config.relay);
    let kept = kept.filter(|kept| config.relay.url.as_ref().is_none_or(|url| *url == kept.relay));
    match (said, kept) {
        (said, None) => said,
        (said, Some(kept)) => Some(RelaySettings {
            url: kept.relay.clone(),
            ca_file: config.relay.ca_file.clone().or_else(|| kept.ca_file.clone()),
            ca_only: config.relay.ca_only,
            allow_unbound: said.is_some_and(|said| said.allow_unbound) || config.relay.allow_unbound,
            client: config.relay.client.clone(),
            proxy: config.relay.proxy.clone(),
        }),
    }
}

/// Whose permits are taken: keys of the configuration go first, and those of a pairing count for its own relay only.
#[must_use]
pub fn backend_of(config: &Config, kept: Option<&Kept>) -> Backend {
    let mut backend = config.backend.clone();
    let kept = kept.filter(|kept| config.relay.url.as_ref().is_none_or(|url| *url == kept.relay));
    if let Some(kept) = kept.filter(|_| backend.keys().next().is_none()) {
        let mut keys = kept.keys.iter().copied();
        (backend.key, backend.next_key) = (keys.next(), keys.next());
    }
    backend
}

/// Follows what is kept, and tells whoever dials and whoever judges permits.
pub struct Follower {
    config: Config,
    seen: Option<kept::Stamp>,
    relay: watch::Sender<Option<RelaySettings>>,
    backend: watch::Sender<Backend>,
}

impl Follower {
    /// Reads what is kept now. A pairing that cannot be read is told, and counts as none.
    #[must_use]
    pub fn begin(
        config: &Config,
    ) -> (Self, watch::Receiver<Option<RelaySettings>>, watch::Receiver<Backend>) {
        // The stamp first: what is written in between is then read twice and not missed.
        let seen = Kept::stamp(&config.state_dir);
        let kept = Kept::read(&config.state_dir).unwrap_or_else(|error| {
            tracing::warn!(%error, "the pairing cannot be read");
            None
        });
        let (relay, relay_seen) = watch::channel(relay_of(config, kept.as_ref()));
        let (backend, backend_seen) = watch::channel(backend_of(config, kept.as_ref()));
        (Self { config: config.clone(), seen, relay, backend }, relay_seen, backend_seen)
    }

    /// Looks every two seconds whether a pairing was made, changed or taken away, by whichever process.
    pub async fn follow(mut self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.look();
        }
    }

    fn look(&mut self) {
        let stamp = Kept::stamp(&self.config.state_dir);
        if stamp == self.seen {
            return;
        }
        self.seen = stamp;
        let kept = match Kept::read(&self.config.state_dir) {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(%error, "the pairing cannot be read; it stays as it was");
                return;
            }
        };
        match &kept {
            Some(kept) => tracing::info!(relay = %kept.relay, owner = %kept.owner, "paired"),
            None => tracing::info!("not paired any more"),
        }
        // The keys first: whoever connects may start a job at once.
        let keys = backend_of(&self.config, kept.as_ref());
        self.backend.send_if_modified(|now| std::mem::replace(now, keys.clone()) != keys);
        let settings = relay_of(&self.config, kept.as_ref());
        self.relay.send_if_modified(|now| std::mem::replace(now, settings.clone()) != settings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Paths;

    fn config() -> Config {
        let folder = || "/nowhere".into();
        Config::new(&Paths { config: folder(), state: folder(), runtime: folder() })
    }

    fn kept(relay: &str) -> Kept {
        Kept {
            relay: relay.parse().unwrap(),
            owner: "farm".parse().unwrap(),
            organisation: "lab".into(),
            keys: vec![[1; 32].into(), [2; 32].into()],
            ca_file: Some("/state/ca.pem".into()),
        }
    }

    #[test]
    fn what_the_configuration_says_goes_before_the_pairing() {
        let kept = kept("wss://one.example");
        let mut config = config();
        assert_eq!(relay_of(&config, None), None);
        let relay = relay_of(&config, Some(&kept)).unwrap();
        assert_eq!((relay.url, relay.ca_file), (kept.relay.clone(), kept.ca_file.clone()));
        assert_eq!(backend_of(&config, Some(&kept)).keys().collect::<Vec<_>>(), kept.keys);
        config.backend.key = Some([9; 32].into());
        assert_eq!(backend_of(&config, Some(&kept)).keys().collect::<Vec<_>>(), [[9; 32].into()]);
    }

    #[test]
    fn keys_of_a_pairing_count_for_its_own_relay_only() {
        let kept = kept("wss://one.example");
        let mut config = config();
        config.relay.url = Some("wss://two.example".parse().unwrap());
        let relay = relay_of(&config, Some(&kept)).unwrap();
        assert_eq!((relay.url.host.as_str(), relay.ca_file), ("two.example", None));
        assert!(backend_of(&config, Some(&kept)).keys().next().is_none());
        config.relay.url = Some(kept.relay.clone());
        assert_eq!(relay_of(&config, Some(&kept)).unwrap().ca_file, kept.ca_file);
    }

    #[test]
    fn a_pairing_is_noticed_and_so_is_its_end() {
        let dir = tempfile::tempdir().unwrap();
        crate::identity::Identity::open(dir.path()).unwrap();
        let config = Config { state_dir: dir.path().to_owned(), ..config() };
        let (mut follower, relay, backend) = Follower::begin(&config);
        follower.look();
        assert_eq!(*relay.borrow(), None);
        kept("wss://one.example").keep(dir.path(), None).unwrap();
        follower.look();
        assert_eq!(relay.borrow().as_ref().unwrap().url.host, "one.example");
        assert_eq!(backend.borrow().keys().count(), 2);
        std::fs::remove_file(dir.path().join("identity/pairing.json")).unwrap();
        follower.look();
        assert_eq!((relay.borrow().clone(), backend.borrow().keys().count()), (None, 0));
    }
}
