//! A relay within the test, with one backend and nobody else, and a folder for an agent that it does not know.

use std::path::{Path, PathBuf};

use spoolway_agent::identity::Identity;
use spoolway_agent::pairing::Kept;
use spoolway_relay::auth;
use spoolway_relay::config::Config;
use spoolway_relay::paths::Directories;
use spoolway_relay::run::{Bound, Outside, run_from};
use spoolway_relay::tail::Tail;
use spoolway_relay_registry::{AgentRecord, BackendRecord, Registry, SqliteRegistry};
use spoolway_relay_tools::certs;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// It ends when it is dropped. Its backend logs in with `farm.secret`.
pub(crate) struct LoneRelay {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) bound: Bound,
    host: String,
    stop: CancellationToken,
}

impl LoneRelay {
    /// One that goes by this host name.
    pub(crate) async fn start(host: &str) -> Self {
        Self::start_with(host, |_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn start_with(host: &str, change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let directories = Directories::at(dir.path().join("relay"));
        certs::init(&directories.tls(), &[host.into()]).unwrap();
        let mut config = Config::default();
        config.listen.address = "127.0.0.1:0".into();
        config.admin.address = String::new();
        config.relay.hosts = vec![host.into()];
        change(&mut config);
        let mut registry = SqliteRegistry::open(&config.registry_file(&directories)).unwrap();
        let backend = BackendRecord {
            id: "farm".parse().unwrap(),
            organisation: "lab".into(),
            name: String::new(),
            secret_hash: auth::hash_of_secret("secret"),
            revoked_ms: None,
        };
        registry.add_backend(&backend).unwrap();
        let (ready, bound) = oneshot::channel();
        let stop = CancellationToken::new();
        let token = stop.clone();
        tokio::spawn(async move {
            let (_, reloads) = tokio::sync::mpsc::channel(1);
            let outside =
                Outside { reloads, tail: Tail::default(), more: Some(spoolway_relay_gateway::routes) };
            run_from(config, &directories, token, Some(ready), outside).await
        });
        Self { bound: bound.await.unwrap(), dir, host: host.to_owned(), stop }
    }

    /// Ends it, and waits until nobody listens any more.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        while tokio::net::TcpStream::connect(self.bound.public).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("wss://{}:{}", self.host, self.bound.public.port())
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.path().join("relay/tls/ca.pem")
    }

    pub(crate) fn registry(&self) -> SqliteRegistry {
        SqliteRegistry::open(&self.dir.path().join("relay/registry.db")).unwrap()
    }

    pub(crate) fn agent(&self) -> PathBuf {
        self.dir.path().join("agent")
    }

    /// Makes the agent of that folder known, as one of `farm`; it gets its key if it has none.
    pub(crate) fn know_agent(&self) -> Identity {
        self.know_agent_in(&self.agent())
    }

    /// The same for an agent of another folder.
    pub(crate) fn know_agent_in(&self, folder: &Path) -> Identity {
        let identity = Identity::open(folder).unwrap();
        let agent = AgentRecord {
            id: identity.agent_id(),
            public_key: identity.public_key(),
            backend: "farm".parse().unwrap(),
            name: String::new(),
            hello_ctr: 0,
            revoked_ms: None,
            quarantined_ms: None,
        };
        self.registry().add_agent(&agent).unwrap();
        identity
    }

    /// The same, and the agent keeps the pairing, so that it finds its relay by itself.
    pub(crate) fn pair_agent(&self) -> Identity {
        let identity = self.know_agent();
        let kept = Kept {
            relay: self.url().parse().unwrap(),
            owner: "farm".parse().unwrap(),
            organisation: "lab".into(),
            keys: Vec::new(),
            ca_file: None,
        };
        kept.keep(&self.agent(), Some(&std::fs::read_to_string(self.ca()).unwrap())).unwrap();
        identity
    }
}

impl Drop for LoneRelay {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
