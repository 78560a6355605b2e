//! Who may connect to a relay: agents, backends, revocations, and pairings under way; behind one trait.
//!
//! A relay that runs, what pairs agents over HTTP and the commands of an operator all see the registry through this crate, each in its own
//! process or thread.

mod audit;
pub mod keys;
mod old_keys;
pub mod pairing;
mod pairings;
mod sqlite;

use spoolway_protocol::{AgentId, BackendId};

pub use audit::AuditRow;
pub use old_keys::{AgentKeys, TakeKeyError};
pub use pairings::{EnrolmentRecord, PairError, Pairings};
pub use sqlite::SqliteRegistry;

/// One agent as the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRecord {
    /// The agent.
    pub id: AgentId,
    /// Its current Ed25519 public key, 32 bytes.
    pub public_key: [u8; 32],
    /// The backend that owns it.
    pub backend: BackendId,
    /// A name for people; may be empty.
    pub name: String,
    /// Highest hello counter that was stored.
    pub hello_ctr: u64,
    /// When it was revoked, unix ms.
    pub revoked_ms: Option<u64>,
    /// When a clone of it was seen, unix ms.
    pub quarantined_ms: Option<u64>,
}

/// One backend as the registry knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct BackendRecord {
    /// The backend.
    pub id: BackendId,
    /// Backends of one organisation may watch one another's agents.
    pub organisation: String,
    /// A name for people; may be empty.
    pub name: String,
    /// SHA-256 of its secret.
    pub secret_hash: [u8; 32],
    /// When it was revoked, unix ms.
    pub revoked_ms: Option<u64>,
}

impl std::fmt::Debug for BackendRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackendRecord").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Whether an agent may be connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Good,
    /// It is not registered.
    Unknown,
    /// It was revoked.
    Revoked,
    /// A clone was seen; a person has to release it.
    Quarantined,
}

impl Standing {
    /// The standing of a record.
    pub fn of(record: Option<&AgentRecord>) -> Self {
        match record {
            None => Self::Unknown,
            Some(AgentRecord { revoked_ms: Some(_), .. }) => Self::Revoked,
            Some(AgentRecord { quarantined_ms: Some(_), .. }) => Self::Quarantined,
            Some(_) => Self::Good,
        }
    }
}

/// What changed since a revision.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The newest revision.
    pub revision: u64,
    /// Agents whose record changed.
    pub agents: Vec<AgentId>,
    /// Whether any backend's record changed.
    pub backends: bool,
}

/// Why the registry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The database failed.
    #[error("registry: {0}")]
    Database(#[from] rusqlite::Error),
    /// The folder of the database cannot be made.
    #[error("registry folder: {0}")]
    Folder(#[from] std::io::Error),
    /// The database was written by a newer relay.
    #[error("registry has schema {found}, this relay knows up to {known}: update the relay")]
    Newer {
        /// Schema of the file.
        found: i64,
        /// Newest schema this relay knows.
        known: i64,
    },
    /// The name is taken.
    #[error("{0} is registered already")]
    Exists(String),
    /// Nobody has that name.
    #[error("{0} is not registered")]
    Unknown(String),
    /// The owner of a new agent is revoked.
    #[error("backend {0} is revoked")]
    Revoked(String),
}

/// Agents, backends and revocations. One thread uses it at a time; other processes may use the same store.
pub trait Registry: Pairings + AgentKeys + Send {
    /// The agent, revoked or not.
    ///
    /// # Errors
    /// The store failed.
    fn agent(&self, id: &AgentId) -> Result<Option<AgentRecord>, RegistryError>;

    /// Every agent, by id.
    ///
    /// # Errors
    /// The store failed.
    fn agents(&self) -> Result<Vec<AgentRecord>, RegistryError>;

    /// Every backend, by id.
    ///
    /// # Errors
    /// The store failed.
    fn backends(&self) -> Result<Vec<BackendRecord>, RegistryError>;

    /// Registers an agent whose owner is registered.
    ///
    /// # Errors
    /// The agent exists, or its owner does not or is revoked.
    fn add_agent(&mut self, agent: &AgentRecord) -> Result<(), RegistryError>;

    /// Registers a backend.
    ///
    /// # Errors
    /// The backend exists.
    fn add_backend(&mut self, backend: &BackendRecord) -> Result<(), RegistryError>;

    /// Revokes an agent for good.
    ///
    /// # Errors
    /// The agent is unknown.
    fn revoke_agent(&mut self, id: &AgentId, now_ms: u64) -> Result<(), RegistryError>;

    /// Revokes an agent for good, by its own word.
    ///
    /// # Errors
    /// The agent is unknown.
    fn forget_agent(&mut self, id: &AgentId, now_ms: u64) -> Result<(), RegistryError>;

    /// Revokes a backend for good.
    ///
    /// # Errors
    /// The backend is unknown.
    fn revoke_backend(&mut self, id: &BackendId, now_ms: u64) -> Result<(), RegistryError>;

    /// Sets (`Some`) or lifts (`None`) an agent's quarantine.
    ///
    /// # Errors
    /// The agent is unknown.
    fn quarantine_agent(&mut self, id: &AgentId, since_ms: Option<u64>) -> Result<(), RegistryError>;

    /// Raises hello counters, all in one transaction; a lower value changes nothing.
    ///
    /// # Errors
    /// The store failed.
    fn raise_hello_ctrs(&mut self, counters: &[(AgentId, u64)]) -> Result<(), RegistryError>;

    /// A number that differs once another process has written.
    ///
    /// # Errors
    /// The store failed.
    fn data_version(&self) -> Result<i64, RegistryError>;

    /// What changed after `revision`.
    ///
    /// # Errors
    /// The store failed.
    fn changed_since(&self, revision: u64) -> Result<Changed, RegistryError>;
}
