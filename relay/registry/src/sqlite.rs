//! The registry in one SQLite file, shared between a running relay and the command line.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use spoolway_protocol::{AgentId, BackendId};

use crate::audit::{AUDIT, note};
use crate::old_keys::OLD_KEYS;
use crate::pairings::{PAIRINGS, good_backend};
use crate::{AgentRecord, BackendRecord, Changed, Registry, RegistryError};

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// From each schema to the next; a new one is added at the end. The first makes a registry of an empty file.
const STEPS: [&str; 4] = [CREATE, PAIRINGS, AUDIT, OLD_KEYS];
/// The newest schema.
const SCHEMA: i64 = STEPS.len() as i64;

const CREATE: &str = "
CREATE TABLE revision (last INTEGER NOT NULL) STRICT;
INSERT INTO revision VALUES (0);
CREATE TABLE backend (
    id TEXT PRIMARY KEY, organisation TEXT NOT NULL, name TEXT NOT NULL,
    secret_hash BLOB NOT NULL, revoked_ms INTEGER, revision INTEGER NOT NULL
) STRICT;
CREATE TABLE agent (
    id TEXT PRIMARY KEY, public_key BLOB NOT NULL, backend TEXT NOT NULL REFERENCES backend (id),
    name TEXT NOT NULL, hello_ctr INTEGER NOT NULL, revoked_ms INTEGER, quarantined_ms INTEGER,
    revision INTEGER NOT NULL
) STRICT;
CREATE INDEX agent_revision ON agent (revision);
";

const AGENT_COLUMNS: &str = "id, public_key, backend, name, hello_ctr, revoked_ms, quarantined_ms";

/// [`Registry`] in a SQLite file (WAL).
#[derive(Debug)]
pub struct SqliteRegistry {
    pub(crate) connection: Connection,
    /// Who changes something through it, for the audit.
    pub(crate) actor: String,
}

/// The actor where nobody else is named.
pub(crate) const RELAY: &str = "relay";

/// Makes the file for its owner only, as secrets are compared with what it holds; SQLite's own files beside it get the same rights. One that
/// is there is not touched: to close it would end the locks that this process may have on it (fcntl(2)).
fn make_private(file: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

impl SqliteRegistry {
    /// Opens the file, or makes it and its folder.
    ///
    /// # Errors
    /// The file is not a registry, is newer than this program, or cannot be made.
    pub fn open(file: &Path) -> Result<Self, RegistryError> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        make_private(file)?;
        let mut connection = Connection::open(file)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found: i64 = change.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let done = usize::try_from(found).ok().filter(|done| *done <= STEPS.len());
        for step in &STEPS[done.ok_or(RegistryError::Newer { found, known: SCHEMA })?..] {
            change.execute_batch(step)?;
        }
        if found != SCHEMA {
            change.pragma_update(None, "user_version", SCHEMA)?;
        }
        change.commit()?;
        Ok(Self { connection, actor: RELAY.to_owned() })
    }

    /// The same for somebody whose name the audit keeps.
    #[must_use]
    pub fn acting_as(self, actor: impl Into<String>) -> Self {
        Self { actor: actor.into(), ..self }
    }

    /// A transaction that may write.
    pub(crate) fn begin(&mut self) -> rusqlite::Result<Transaction<'_>> {
        self.connection.transaction_with_behavior(TransactionBehavior::Immediate)
    }

    /// One transaction under a new revision, with a row of the audit; nothing is kept when `change` fails.
    pub(crate) fn change(
        &mut self,
        audit: (&str, &str, &str),
        change: impl FnOnce(&Transaction<'_>, u64) -> Result<(), RegistryError>,
    ) -> Result<(), RegistryError> {
        let actor = self.actor.clone();
        self.change_by(&actor, audit, change)
    }

    fn change_by(
        &mut self,
        actor: &str,
        (action, subject, detail): (&str, &str, &str),
        change: impl FnOnce(&Transaction<'_>, u64) -> Result<(), RegistryError>,
    ) -> Result<(), RegistryError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let sql = "UPDATE revision SET last = last + 1 RETURNING last";
        let revision = transaction.query_row(sql, [], |row| row.get(0))?;
        change(&transaction, revision)?;
        note(&transaction, actor, action, subject, detail)?;
        Ok(transaction.commit()?)
    }
}

impl Registry for SqliteRegistry {
    fn agent(&self, id: &AgentId) -> Result<Option<AgentRecord>, RegistryError> {
        let sql = format!("SELECT {AGENT_COLUMNS} FROM agent WHERE id = ?1");
        Ok(self.connection.prepare_cached(&sql)?.query_row([id.to_string()], agent_of).optional()?)
    }

    fn agents(&self) -> Result<Vec<AgentRecord>, RegistryError> {
        let mut statement =
            self.connection.prepare(&format!("SELECT {AGENT_COLUMNS} FROM agent ORDER BY id"))?;
        let rows = statement.query_map([], agent_of)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn backends(&self) -> Result<Vec<BackendRecord>, RegistryError> {
        let sql = "SELECT id, organisation, name, secret_hash, revoked_ms FROM backend ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([], backend_of)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn add_agent(&mut self, agent: &AgentRecord) -> Result<(), RegistryError> {
        let audit = ("agent.add", &*format!("a:{}", agent.id), &*format!("backend {}", agent.backend));
        self.change(audit, |transaction, revision| {
            good_backend(transaction, &agent.backend)?;
            let sql = "INSERT INTO agent VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";
            let id = agent.id.to_string();
            let added = transaction.execute(
                sql,
                params![
                    id,
                    agent.public_key,
                    agent.backend.as_str(),
                    agent.name,
                    agent.hello_ctr,
                    agent.revoked_ms,
                    agent.quarantined_ms,
                    revision
                ],
            )?;
            if added == 1 { Ok(()) } else { Err(RegistryError::Exists(format!("agent {id}"))) }
        })
    }

    fn add_backend(&mut self, backend: &BackendRecord) -> Result<(), RegistryError> {
        let audit = (
            "backend.add",
            &*format!("b:{}", backend.id),
            &*format!("organisation {}", backend.organisation),
        );
        self.change(audit, |transaction, revision| {
            let sql = "INSERT INTO backend VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
            let BackendRecord { id, organisation, name, secret_hash, revoked_ms } = backend;
            let row = params![id.as_str(), organisation, name, secret_hash, revoked_ms, revision];
            let added = transaction.execute(sql, row)?;
            if added == 1 { Ok(()) } else { Err(RegistryError::Exists(format!("backend {id}"))) }
        })
    }

    fn revoke_agent(&mut self, id: &AgentId, now_ms: u64) -> Result<(), RegistryError> {
        let audit = ("agent.revoke", &*format!("a:{id}"), "");
        self.change(audit, |transaction, revision| revoke(transaction, id, now_ms, revision))
    }

    fn forget_agent(&mut self, id: &AgentId, now_ms: u64) -> Result<(), RegistryError> {
        let actor = &*format!("a:{id}");
        let audit = ("agent.forget", actor, "");
        self.change_by(actor, audit, |transaction, revision| revoke(transaction, id, now_ms, revision))
    }

    fn revoke_backend(&mut self, id: &BackendId, now_ms: u64) -> Result<(), RegistryError> {
        self.change(("backend.revoke", &format!("b:{id}"), ""), |transaction, revision| {
            let sql = "UPDATE backend SET revoked_ms = COALESCE(revoked_ms, ?2), revision = ?3 WHERE id = ?1";
            known(transaction.execute(sql, params![id.as_str(), now_ms, revision])?, "backend", id)
        })
    }

    fn quarantine_agent(&mut self, id: &AgentId, since_ms: Option<u64>) -> Result<(), RegistryError> {
        let action = if since_ms.is_some() { "agent.quarantine" } else { "agent.release" };
        self.change((action, &format!("a:{id}"), ""), |transaction, revision| {
            quarantine(transaction, id, since_ms, revision)
        })
    }

    fn raise_hello_ctrs(&mut self, counters: &[(AgentId, u64)]) -> Result<(), RegistryError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let sql = "UPDATE agent SET hello_ctr = MAX(hello_ctr, ?2) WHERE id = ?1";
            let mut raise = transaction.prepare_cached(sql)?;
            for (id, counter) in counters {
                raise.execute(params![id.to_string(), counter])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn data_version(&self) -> Result<i64, RegistryError> {
        Ok(self.connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
    }

    fn changed_since(&self, revision: u64) -> Result<Changed, RegistryError> {
        let newest = self.connection.query_row("SELECT last FROM revision", [], |row| row.get(0))?;
        let sql = "SELECT id FROM agent WHERE revision > ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let agents = statement.query_map([revision], |row| parsed(row, 0))?.collect::<Result<_, _>>()?;
        let sql = "SELECT EXISTS (SELECT 1 FROM backend WHERE revision > ?1)";
        let backends = self.connection.query_row(sql, [revision], |row| row.get(0))?;
        Ok(Changed { revision: newest, agents, backends })
    }
}

fn revoke(change: &Transaction<'_>, id: &AgentId, now_ms: u64, revision: u64) -> Result<(), RegistryError> {
    let sql = "UPDATE agent SET revoked_ms = COALESCE(revoked_ms, ?2), revision = ?3 WHERE id = ?1";
    known(change.execute(sql, params![id.to_string(), now_ms, revision])?, "agent", id)
}

pub(crate) fn quarantine(
    change: &Transaction<'_>,
    id: &AgentId,
    since_ms: Option<u64>,
    revision: u64,
) -> Result<(), RegistryError> {
    let sql = "UPDATE agent SET quarantined_ms = ?2, revision = ?3 WHERE id = ?1";
    known(change.execute(sql, params![id.to_string(), since_ms, revision])?, "agent", id)
}

pub(crate) fn known(rows: usize, kind: &str, id: &impl std::fmt::Display) -> Result<(), RegistryError> {
    if rows == 1 { Ok(()) } else { Err(RegistryError::Unknown(format!("{kind} {id}"))) }
}

fn agent_of(row: &Row<'_>) -> rusqlite::Result<AgentRecord> {
    Ok(AgentRecord {
        id: parsed(row, 0)?,
        public_key: row.get(1)?,
        backend: parsed(row, 2)?,
        name: row.get(3)?,
        hello_ctr: row.get(4)?,
        revoked_ms: row.get(5)?,
        quarantined_ms: row.get(6)?,
    })
}

fn backend_of(row: &Row<'_>) -> rusqlite::Result<BackendRecord> {
    Ok(BackendRecord {
        id: parsed(row, 0)?,
        organisation: row.get(1)?,
        name: row.get(2)?,
        secret_hash: row.get(3)?,
        revoked_ms: row.get(4)?,
    })
}

pub(crate) fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn backend(id: &str) -> BackendRecord {
        BackendRecord {
            id: id.parse().unwrap(),
            organisation: "org".into(),
            name: String::new(),
            secret_hash: [7; 32],
            revoked_ms: None,
        }
    }

    fn agent(byte: u8, backend: &str) -> AgentRecord {
        AgentRecord {
            id: AgentId::from_bytes([byte; 16]),
            public_key: [byte; 32],
            backend: backend.parse().unwrap(),
            name: "left".into(),
            hello_ctr: 0,
            revoked_ms: None,
            quarantined_ms: None,
        }
    }

    #[test]
    fn records_survive_a_second_process_and_changes_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/registry.db");
        let one = SqliteRegistry::open(&file).unwrap();
        let mut two = SqliteRegistry::open(&file).unwrap();
        let others = |name: &str| file.with_file_name(name).metadata().unwrap().permissions().mode() & 0o077;
        assert_eq!([others("registry.db"), others("registry.db-wal")], [0, 0]);
        let before = one.data_version().unwrap();
        two.add_backend(&backend("farm")).unwrap();
        two.add_agent(&agent(1, "farm")).unwrap();
        assert_ne!(one.data_version().unwrap(), before);
        assert_eq!(one.agents().unwrap(), [agent(1, "farm")]);
        let changed = one.changed_since(0).unwrap();
        assert_eq!((changed.agents.as_slice(), changed.backends), ([agent(1, "farm").id].as_slice(), true));
        two.revoke_agent(&agent(1, "farm").id, 5).unwrap();
        two.revoke_agent(&agent(1, "farm").id, 9).unwrap();
        assert_eq!(one.agent(&agent(1, "farm").id).unwrap().unwrap().revoked_ms, Some(5));
        let later = one.changed_since(changed.revision).unwrap();
        assert_eq!((later.agents.len(), later.backends), (1, false));
    }

    #[test]
    fn doubles_and_strangers_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut registry = SqliteRegistry::open(&dir.path().join("r.db")).unwrap();
        assert!(matches!(registry.add_agent(&agent(1, "farm")), Err(RegistryError::Unknown(_))));
        registry.add_backend(&backend("farm")).unwrap();
        assert!(matches!(registry.add_backend(&backend("farm")), Err(RegistryError::Exists(_))));
        registry.add_agent(&agent(1, "farm")).unwrap();
        assert!(matches!(registry.add_agent(&agent(1, "farm")), Err(RegistryError::Exists(_))));
        assert!(matches!(
            registry.revoke_agent(&AgentId::from_bytes([9; 16]), 1),
            Err(RegistryError::Unknown(_))
        ));
        registry.revoke_backend(&"farm".parse().unwrap(), 1).unwrap();
        assert!(matches!(registry.add_agent(&agent(2, "farm")), Err(RegistryError::Revoked(_))));
    }

    #[test]
    fn hello_counters_only_rise() {
        let dir = tempfile::tempdir().unwrap();
        let mut registry = SqliteRegistry::open(&dir.path().join("r.db")).unwrap();
        registry.add_backend(&backend("farm")).unwrap();
        registry.add_agent(&agent(1, "farm")).unwrap();
        let id = agent(1, "farm").id;
        let revision = registry.changed_since(0).unwrap().revision;
        registry.raise_hello_ctrs(&[(id, 8), (id, 3)]).unwrap();
        assert_eq!(registry.agent(&id).unwrap().unwrap().hello_ctr, 8);
        assert_eq!(
            registry.changed_since(0).unwrap().revision,
            revision,
            "a counter is not a change of standing"
        );
    }

    #[test]
    fn a_newer_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("r.db");
        Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(SqliteRegistry::open(&file), Err(RegistryError::Newer { found: 99, .. })));
    }
}
