//! Keys of agents that were replaced, in the registry's file: with when, and until when they are good.

use rusqlite::{OptionalExtension, Transaction, params};
use spoolway_protocol::AgentId;
use spoolway_protocol::identity::Lineage;

use crate::keys::{KeyRefused, Keys, OldKey, PublicKey, Taken, kid_of};
use crate::pairings::{PairError, standing_of};
use crate::sqlite::quarantine;
use crate::{RegistryError, SqliteRegistry};

pub(crate) const OLD_KEYS: &str = "
CREATE TABLE old_key (
    agent TEXT NOT NULL REFERENCES agent (id), public_key BLOB NOT NULL, replaced_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL, PRIMARY KEY (agent, public_key)
) STRICT, WITHOUT ROWID;
";

/// Why a new key was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeKeyError {
    /// By the rules.
    #[error(transparent)]
    Refused(#[from] KeyRefused),
    /// The agent is not one that may change anything.
    #[error(transparent)]
    Agent(#[from] PairError),
    /// There is no such agent, or the store failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl From<rusqlite::Error> for TakeKeyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Registry(error.into())
    }
}

/// The keys of agents.
pub trait AgentKeys {
    /// All keys of an agent.
    ///
    /// # Errors
    /// The store failed.
    fn keys(&self, id: &AgentId) -> Result<Option<Keys>, RegistryError>;

    /// A new key follows another one; see [`Keys::take`]. Returns until when the old one is good, if it is known.
    ///
    /// # Errors
    /// Nothing has changed.
    fn take_key(
        &mut self,
        id: &AgentId,
        now_ms: u64,
        old: &PublicKey,
        new: &PublicKey,
    ) -> Result<(Taken, Option<u64>), TakeKeyError>;

    /// Locks an agent out until it is released, and ends the overlap of its keys: then only its newest one is good.
    ///
    /// # Errors
    /// The agent is unknown.
    fn lock_agent(&mut self, id: &AgentId, now_ms: u64) -> Result<(), RegistryError>;
}

impl AgentKeys for SqliteRegistry {
    fn keys(&self, id: &AgentId) -> Result<Option<Keys>, RegistryError> {
        Ok(keys_of(&self.connection, id)?)
    }

    fn take_key(
        &mut self,
        id: &AgentId,
        now_ms: u64,
        old: &PublicKey,
        new: &PublicKey,
    ) -> Result<(Taken, Option<u64>), TakeKeyError> {
        let actor = format!("a:{id}");
        let audit = ("agent.rotate", &*actor, &*format!("{} to {}", kid_of(old), kid_of(new)));
        let change = self.begin()?;
        let mut keys = keys_of(&change, id)?.ok_or_else(|| RegistryError::Unknown(format!("agent {id}")))?;
        standing_of(&change, id)?;
        let taken = keys.take(now_ms, old, new)?;
        let until_ms = keys.old_key(old).map(|old| old.until_ms);
        if taken == Taken::Changed {
            keep(&change, id, &keys)?;
            crate::audit::note(&change, &actor, audit.0, audit.1, audit.2)?;
            change.commit()?;
        }
        Ok((taken, until_ms))
    }

    fn lock_agent(&mut self, id: &AgentId, now_ms: u64) -> Result<(), RegistryError> {
        self.change(("agent.lock", &format!("a:{id}"), ""), |change, revision| {
            let sql = "UPDATE old_key SET until_ms = MIN(until_ms, ?2) WHERE agent = ?1";
            change.execute(sql, params![id.to_string(), now_ms])?;
            quarantine(change, id, Some(now_ms), revision)
        })
    }
}

/// All keys of an agent.
pub(crate) fn keys_of(connection: &rusqlite::Connection, id: &AgentId) -> rusqlite::Result<Option<Keys>> {
    let id = id.to_string();
    let sql = "SELECT public_key FROM agent WHERE id = ?1";
    let current = connection.prepare_cached(sql)?.query_row([&id], |row| row.get(0)).optional()?;
    let Some(current) = current else { return Ok(None) };
    let sql = "SELECT public_key, replaced_ms, until_ms FROM old_key WHERE agent = ?1 ORDER BY replaced_ms";
    let mut statement = connection.prepare_cached(sql)?;
    let old = statement.query_map([&id], |row| {
        Ok(OldKey { key: row.get(0)?, replaced_ms: row.get(1)?, until_ms: row.get(2)? })
    })?;
    Ok(Some(Keys { current, old: old.collect::<Result<_, _>>()? }))
}

/// Keeps what has become of an agent's keys.
pub(crate) fn keep(change: &Transaction<'_>, id: &AgentId, keys: &Keys) -> rusqlite::Result<()> {
    let id = id.to_string();
    change.execute("UPDATE agent SET public_key = ?2 WHERE id = ?1", params![id, keys.current])?;
    change.execute("DELETE FROM old_key WHERE agent = ?1", [&id])?;
    for old in &keys.old {
        let sql = "INSERT INTO old_key VALUES (?1, ?2, ?3, ?4)";
        change.execute(sql, params![id, old.key, old.replaced_ms, old.until_ms])?;
    }
    Ok(())
}

/// Whether an agent that is paired anew may have this key: it is its own, or has followed it as the lineage shows, which was checked.
pub(crate) fn is_known(
    change: &Transaction<'_>,
    id: &AgentId,
    key: &PublicKey,
    lineage: Option<&Lineage>,
) -> Result<(), PairError> {
    let Some(keys) = keys_of(change, id)? else { return Ok(()) };
    let before = lineage.into_iter().flat_map(|lineage| {
        std::iter::once(&lineage.first).chain(lineage.links.iter().map(|link| &link.pubkey))
    });
    let is_behind = || before.map(|key| key.0.as_slice()).any(|before| *before == keys.current);
    let is_known = *key == keys.current || (keys.old_key(key).is_none() && is_behind());
    if is_known { Ok(()) } else { Err(PairError::OtherKey) }
}

/// A key takes the place of the one that it has followed; that one is no good any more.
pub(crate) fn follow(
    change: &Transaction<'_>,
    now_ms: u64,
    id: &AgentId,
    key: &PublicKey,
) -> rusqlite::Result<()> {
    match keys_of(change, id)? {
        Some(mut keys) if keys.current != *key => {
            keys.replace(now_ms, key, 0);
            keep(change, id, &keys)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;
    use spoolway_protocol::identity::OVERLAP_MS;

    use super::*;
    use crate::{AgentRecord, BackendRecord, Registry};

    fn registry(file: &std::path::Path) -> SqliteRegistry {
        let mut registry = SqliteRegistry::open(file).unwrap();
        let backend = BackendRecord {
            id: "farm".parse().unwrap(),
            organisation: "org".into(),
            name: String::new(),
            secret_hash: [7; 32],
            revoked_ms: None,
        };
        registry.add_backend(&backend).unwrap();
        let agent = AgentRecord {
            id: AgentId::from_bytes([1; 16]),
            public_key: [1; 32],
            backend: backend.id,
            name: String::new(),
            hello_ctr: 5,
            revoked_ms: None,
            quarantined_ms: None,
        };
        registry.add_agent(&agent).unwrap();
        registry
    }

    #[test]
    fn a_new_key_is_kept_with_the_one_before_and_written_down() {
        let dir = tempfile::tempdir().unwrap();
        let (file, id) = (dir.path().join("r.db"), AgentId::from_bytes([1; 16]));
        let mut registry = registry(&file);
        let until = Some(9 + OVERLAP_MS);
        assert_eq!(registry.take_key(&id, 9, &[1; 32], &[2; 32]).unwrap(), (Taken::Changed, until));
        assert_eq!(registry.take_key(&id, 99, &[1; 32], &[2; 32]).unwrap(), (Taken::Known, until));
        let again = SqliteRegistry::open(&file).unwrap();
        let keys = again.keys(&id).unwrap().unwrap();
        assert_eq!((keys.current, keys.old.len()), ([2; 32], 1));
        let record = again.agent(&id).unwrap().unwrap();
        assert_eq!((record.public_key, record.hello_ctr), ([2; 32], 5));
        let rows = again.audit(9).unwrap();
        let rotations: Vec<_> = rows.iter().filter(|row| row.action == "agent.rotate").collect();
        assert_eq!(rotations.len(), 1, "the same again is not written down");
        assert!(rotations[0].actor == format!("a:{id}") && rotations[0].detail.contains(" to k"));
        let other = AgentId::from_bytes([2; 16]);
        assert_eq!(again.keys(&other).unwrap(), None);
        assert!(matches!(registry.take_key(&other, 9, &[1; 32], &[2; 32]), Err(TakeKeyError::Registry(_))));
    }

    #[test]
    fn who_was_revoked_or_is_locked_out_changes_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let (mut registry, id) = (registry(&dir.path().join("r.db")), AgentId::from_bytes([1; 16]));
        registry.quarantine_agent(&id, Some(1)).unwrap();
        let locked = registry.take_key(&id, 9, &[1; 32], &[2; 32]).unwrap_err();
        assert!(matches!(locked, TakeKeyError::Agent(PairError::Quarantined)), "{locked}");
        registry.revoke_agent(&id, 1).unwrap();
        let revoked = registry.take_key(&id, 9, &[1; 32], &[2; 32]).unwrap_err();
        assert!(matches!(revoked, TakeKeyError::Agent(PairError::Revoked)), "{revoked}");
        assert_eq!(registry.keys(&id).unwrap().unwrap().current, [1; 32]);
    }

    #[test]
    fn a_registry_from_before_gets_the_table() {
        let dir = tempfile::tempdir().unwrap();
        let (file, id) = (dir.path().join("r.db"), AgentId::from_bytes([1; 16]));
        drop(registry(&file));
        let old = Connection::open(&file).unwrap();
        old.execute_batch("DROP TABLE old_key; PRAGMA user_version = 3").unwrap();
        drop(old);
        let mut registry = SqliteRegistry::open(&file).unwrap();
        assert_eq!(registry.keys(&id).unwrap().unwrap().old, []);
        assert_eq!(registry.take_key(&id, 9, &[1; 32], &[2; 32]).unwrap().0, Taken::Changed);
    }
}
