//! The papers of a house: certificates, keys, and who may connect.

use std::path::{Path, PathBuf};

use anyhow::Context;
use spoolway_agent::identity::Identity;
use spoolway_protocol::AgentId;
use spoolway_relay::config::Config;
use spoolway_relay::paths::Directories;
use spoolway_relay_registry::{AgentRecord, BackendRecord, Registry, SqliteRegistry};

/// The name under which everybody dials the relay.
pub(crate) const HOST: &str = "localhost";
/// The backend that owns the agent.
const BACKEND: &str = "farm";

/// What the backend logs in with.
pub(crate) fn new_token() -> anyhow::Result<String> {
    let secret = spoolway_relay::auth::new_secret().ok().context("the system has no randomness")?;
    Ok(format!("{BACKEND}.{secret}"))
}

/// Certificates, the backend and the agent with a new key.
pub(crate) fn register(dir: &Path, token: &str) -> anyhow::Result<AgentId> {
    let directories = Directories::at(dir.join("relay"));
    spoolway_relay_tools::certs::init(&directories.tls(), &[HOST.to_owned()])?;
    let identity = Identity::open(&dir.join("agent"))?;
    let mut registry = SqliteRegistry::open(&Config::default().registry_file(&directories))?;
    let secret = token.rsplit('.').next().unwrap_or_default();
    registry.add_backend(&BackendRecord {
        id: BACKEND.parse()?,
        organisation: "demo".to_owned(),
        name: String::new(),
        secret_hash: spoolway_relay::auth::hash_of_secret(secret),
        revoked_ms: None,
    })?;
    registry.add_agent(&AgentRecord {
        id: identity.agent_id(),
        public_key: identity.public_key(),
        backend: BACKEND.parse()?,
        name: String::new(),
        hello_ctr: 0,
        revoked_ms: None,
        quarantined_ms: None,
    })?;
    Ok(identity.agent_id())
}

/// The authority of the relay's certificate.
pub(crate) fn authority(dir: &Path) -> PathBuf {
    Directories::at(dir.join("relay")).tls().join("ca.pem")
}
