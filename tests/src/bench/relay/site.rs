//! What all cells share: folder, certificates, the registry with its agents, names, cores.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use ring::signature::KeyPair;
use rustls::ClientConfig;
use spoolway_protocol::limits::HB_MS;
use spoolway_relay::auth;
use spoolway_relay::paths::Directories;
use spoolway_relay_registry::{AgentRecord, BackendRecord, Registry, SqliteRegistry};
use spoolway_relay_tools::certs;

use super::Contender;
use super::load::client_config;
use super::server::Cores;
use super::talk::{Mqtt, Nats, Node, Party, Spoolway, Talk, agent_key};

/// The backend that owns every agent.
pub(super) const BACKEND: &str = "b:bench";
/// A file of many small transactions is made in memory, where they cost nothing.
const MEMORY: &str = "/dev/shm";
/// The file's name, here and where the relay looks for it.
const REGISTRY: &str = "registry.db";

/// See the module.
pub(super) struct Site {
    pub(super) program: PathBuf,
    pub(super) cores: Cores,
    dir: tempfile::TempDir,
    tls: Arc<ClientConfig>,
    token: Arc<str>,
    /// What agents are addressed by.
    agents: Vec<String>,
}

impl Site {
    /// Makes certificates and registers so many agents.
    pub(super) fn build(agents: u32, cores: Cores) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("spoolway-bench-").tempdir()?;
        let hosts = ["localhost", "127.0.0.1"].map(str::to_owned);
        let certificates = certs::init(&Directories::at(dir.path()).tls(), &hosts)?;
        let secret = auth::new_secret().ok().context("no randomness")?;
        let agents = register(dir.path(), agents, &secret).context("the registry")?;
        Ok(Self {
            program: std::env::current_exe()?,
            cores,
            tls: client_config(&certificates.server)?,
            token: format!("bench.{secret}").into(),
            agents,
            dir,
        })
    }

    /// The folder of configurations, registry and logs.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Certificate and key, as text for arguments and configurations.
    pub(super) fn certificate(&self) -> [String; 2] {
        let tls = Directories::at(self.dir()).tls();
        ["server.pem", "server.key"].map(|name| tls.join(name).display().to_string())
    }

    /// Where a server's words go.
    pub(super) fn log(&self, contender: Contender) -> PathBuf {
        self.dir().join(format!("{contender:?}.log"))
    }

    /// TLS of the clients.
    pub(super) fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.tls)
    }

    /// What an agent is addressed by.
    pub(super) fn name_of(&self, agent: u32) -> &str {
        &self.agents[agent as usize]
    }

    /// A new client of a server.
    pub(super) fn client(&self, contender: Contender, party: Party) -> Box<dyn Talk> {
        let keepalive_s = u16::try_from(HB_MS / 1_000).unwrap_or(u16::MAX);
        match contender {
            Contender::Spoolway => Box::new(Spoolway::new(party, Arc::clone(&self.token))),
            Contender::Mosquitto => Box::new(Mqtt::new(party, 0, keepalive_s)),
            Contender::MosquittoQos1 => Box::new(Mqtt::new(party, 1, keepalive_s)),
            Contender::Nats => Box::new(Nats::new(party)),
            Contender::Node => Box::new(Node::new(match party {
                Party::Backend => BACKEND,
                Party::Agent(agent) => self.name_of(agent),
            })),
        }
    }
}

/// Writes the registry and returns what its agents are addressed by.
fn register(dir: &Path, agents: u32, secret: &str) -> anyhow::Result<Vec<String>> {
    let builder = |folder| tempfile::Builder::new().prefix("spoolway-bench-").tempdir_in(folder);
    let memory = builder(Path::new(MEMORY)).or_else(|_| builder(dir))?;
    let file = memory.path().join(REGISTRY);
    let mut registry = SqliteRegistry::open(&file)?;
    let backend = BackendRecord {
        id: BACKEND.trim_start_matches("b:").parse()?,
        organisation: "bench".to_owned(),
        name: String::new(),
        secret_hash: auth::hash_of_secret(secret),
        revoked_ms: None,
    };
    registry.add_backend(&backend)?;
    let mut names = Vec::new();
    for agent in 0..agents {
        let public_key: [u8; 32] = agent_key(agent).public_key().as_ref().try_into()?;
        let id = auth::agent_id_of(&public_key);
        registry.add_agent(&AgentRecord {
            id,
            public_key,
            backend: backend.id.clone(),
            name: String::new(),
            hello_ctr: 0,
            revoked_ms: None,
            quarantined_ms: None,
        })?;
        names.push(format!("a:{id}"));
    }
    drop(registry);
    std::fs::copy(&file, dir.join(REGISTRY))?;
    Ok(names)
}
