//! `agent` and `backend`: the registry by hand; a running relay notices within a second.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use spoolway_protocol::{AgentId, BackendId};

use super::{CONFIG, Failed, USAGE};
use spoolway_relay::auth;
use spoolway_relay_registry::{AgentKeys, AgentRecord, BackendRecord, Registry, SqliteRegistry, Standing};

#[derive(Debug, Subcommand)]
pub(super) enum AgentCommand {
    /// Let an agent in
    #[command(
        after_help = "Example:\n  spoolway-relay agent add --id 7ZZZZZZZZZZZZZZZZZZZZZZZZZ --key A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg= --backend farm"
    )]
    Add {
        /// The agent's id, as `spoolway-agent id` prints it
        #[arg(long)]
        id: AgentId,
        /// The agent's public key in base64, as `spoolway-agent id` prints it
        #[arg(long)]
        key: String,
        /// The backend that owns it
        #[arg(long)]
        backend: BackendId,
        /// A name for people
        #[arg(long, default_value = "")]
        name: String,
    },
    /// Shut an agent out for good
    #[command(after_help = "Example:\n  spoolway-relay agent revoke 7ZZZZZZZZZZZZZZZZZZZZZZZZZ")]
    Revoke {
        /// The agent's id
        id: AgentId,
    },
    /// Shut an agent out until it is released, and end the keys that it had before its newest one: after a theft
    #[command(after_help = "Example:\n  spoolway-relay agent lock 7ZZZZZZZZZZZZZZZZZZZZZZZZZ")]
    Lock {
        /// The agent's id
        id: AgentId,
    },
    /// Let an agent in again that was locked, or of which a clone was seen
    #[command(after_help = "Example:\n  spoolway-relay agent release 7ZZZZZZZZZZZZZZZZZZZZZZZZZ")]
    Release {
        /// The agent's id
        id: AgentId,
    },
    /// Show every agent
    #[command(after_help = "Example:\n  spoolway-relay agent list")]
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum BackendCommand {
    /// Let a backend in; prints its secret, once
    #[command(
        after_help = "Example:\n  spoolway-relay backend add farm --organisation school --name 'Print farm'"
    )]
    Add {
        /// The backend's id: letters, digits, '.', '_', '-'
        id: BackendId,
        /// Backends of one organisation may watch one another's agents
        #[arg(long, default_value = "default")]
        organisation: String,
        /// A name for people
        #[arg(long, default_value = "")]
        name: String,
    },
    /// Shut a backend out for good
    #[command(after_help = "Example:\n  spoolway-relay backend revoke farm")]
    Revoke {
        /// The backend's id
        id: BackendId,
    },
    /// Show every backend
    #[command(after_help = "Example:\n  spoolway-relay backend list")]
    List,
}

impl AgentCommand {
    pub(super) fn carry_out(self, file: &Path) -> Result<(), Failed> {
        let mut registry = open(file)?;
        match self {
            Self::Add { id, key, backend, name } => {
                let public_key = key_of(id, &key).map_err(Failed::with(USAGE))?;
                let (hello_ctr, revoked_ms, quarantined_ms) = (0, None, None);
                let agent =
                    AgentRecord { id, public_key, backend, name, hello_ctr, revoked_ms, quarantined_ms };
                registry.add_agent(&agent)?;
                println!("agent {id} may connect; backend {} owns it", agent.backend);
            }
            Self::Revoke { id } => {
                registry.revoke_agent(&id, now_ms())?;
                println!("agent {id} is revoked");
            }
            Self::Lock { id } => {
                registry.lock_agent(&id, now_ms())?;
                println!("agent {id} is locked.\nAfter `release` only its newest key is good.");
            }
            Self::Release { id } => {
                registry.quarantine_agent(&id, None)?;
                println!("agent {id} may connect again");
            }
            Self::List => {
                for agent in registry.agents()? {
                    let AgentRecord { id, backend, name, .. } = &agent;
                    let standing = match Standing::of(Some(&agent)) {
                        Standing::Good | Standing::Unknown => "good",
                        Standing::Revoked => "revoked",
                        Standing::Quarantined => "quarantined",
                    };
                    println!("{id}\t{backend}\t{standing}\t{name}");
                }
            }
        }
        Ok(())
    }
}

impl BackendCommand {
    pub(super) fn carry_out(self, file: &Path) -> Result<(), Failed> {
        // On an empty machine a backend comes first: all else belongs to one.
        let mut registry = if matches!(self, Self::Add { .. }) { begin(file)? } else { open(file)? };
        match self {
            Self::Add { id, organisation, name } => {
                let secret =
                    auth::new_secret().map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
                let secret_hash = auth::hash_of_secret(&secret);
                let backend = BackendRecord { id, organisation, name, secret_hash, revoked_ms: None };
                registry.add_backend(&backend)?;
                eprintln!("This is shown once. The backend sends it as `Authorization: Bearer <token>`:");
                println!("{}.{secret}", backend.id);
            }
            Self::Revoke { id } => {
                registry.revoke_backend(&id, now_ms())?;
                println!("backend {id} is revoked");
            }
            Self::List => {
                for BackendRecord { id, organisation, name, revoked_ms, .. } in registry.backends()? {
                    let standing = if revoked_ms.is_some() { "revoked" } else { "good" };
                    println!("{id}\t{organisation}\t{standing}\t{name}");
                }
            }
        }
        Ok(())
    }
}

/// The key, when it is the one that the id was made of.
fn key_of(id: AgentId, base64: &str) -> anyhow::Result<[u8; 32]> {
    let bytes = STANDARD.decode(base64.trim()).context("--key is not base64")?;
    let Ok(key) = <[u8; 32]>::try_from(bytes.as_slice()) else {
        bail!("--key holds {} bytes, an Ed25519 public key has 32", bytes.len());
    };
    let made = auth::agent_id_of(&key);
    if made != id {
        bail!("--key belongs to agent {made}, not to {id}");
    }
    Ok(key)
}

/// The registry that is there: whoever has mistyped a folder is not given an empty one that no relay reads.
pub(super) fn open(file: &Path) -> Result<SqliteRegistry, Failed> {
    let why = match file.try_exists() {
        Ok(true) => return Ok(begin(file)?),
        Ok(false) => format!("there is no registry at {}", file.display()),
        Err(error) => format!("no registry can be looked for at {}: {error}", file.display()),
    };
    let error = anyhow!(
        "{why}; name the relay's folder with --folder, or say it as its user: `sudo -u spoolway-relay \
        spoolway-relay ...` (`backend add` makes the one of a new relay)"
    );
    Err(Failed { code: CONFIG, error })
}

/// The registry, or a new one, changed in the name of whoever has typed this.
fn begin(file: &Path) -> anyhow::Result<SqliteRegistry> {
    let named = || file.display().to_string();
    hand_over(file).with_context(named)?;
    let registry = SqliteRegistry::open(file).with_context(named)?;
    let uid = rustix::process::getuid().as_raw();
    // Also behind `sudo -u`: whoever may act as the relay's user could write into the file itself.
    let sudo = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse::<u32>().ok());
    let actor = sudo.map_or(format!("uid {uid}"), |sudo| format!("uid {uid}, by sudo of uid {sudo}"));
    Ok(registry.acting_as(actor))
}

/// What root begins in a folder of the relay's user belongs to that user, who could not open it otherwise. SQLite gives its own files beside it
/// to the same.
fn hand_over(file: &Path) -> std::io::Result<()> {
    let Some(folder) = file.parent().and_then(|folder| folder.metadata().ok()) else { return Ok(()) };
    if !rustix::process::geteuid().is_root() || folder.uid() == 0 {
        return Ok(());
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(made) => fchown(&made, Some(folder.uid()), Some(folder.gid())),
        // It has its owner, and to touch it would end the locks of others.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

pub(super) fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_registry_belongs_to_whom_its_folder_belongs() {
        let dir = tempfile::tempdir().unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(dir.path(), Some(4321), Some(4322)).unwrap();
        }
        let owner = |file: &Path| file.metadata().map(|file| (file.uid(), file.gid(), file.mode() & 0o777));
        let (file, folder) = (dir.path().join("registry.db"), owner(dir.path()).unwrap());
        let registry = begin(&file).unwrap();
        for name in ["registry.db", "registry.db-wal", "registry.db-shm"] {
            assert_eq!(owner(&dir.path().join(name)).unwrap(), (folder.0, folder.1, 0o600), "{name}");
        }
        drop((begin(&file).unwrap(), registry));
        assert_eq!(owner(&file).unwrap(), (folder.0, folder.1, 0o600));
    }

    #[test]
    fn a_key_has_to_belong_to_its_id() {
        let key = [7; 32];
        let id = auth::agent_id_of(&key);
        let text = STANDARD.encode(key);
        assert_eq!(key_of(id, &text).unwrap(), key);
        let other = key_of(AgentId::from_bytes([0; 16]), &text).unwrap_err().to_string();
        assert!(other.contains(&id.to_string()), "{other}");
        assert!(key_of(id, "!").is_err());
        assert!(key_of(id, "AAAA").unwrap_err().to_string().contains("3 bytes"));
    }
}
