//! Pairings under way and enrolment tokens, in the registry's file: a relay and its command line see the same ones.

use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};
use spoolway_protocol::identity::Lineage;
use spoolway_protocol::pairing::{PAIR_S, PairCode};
use spoolway_protocol::{AgentId, BackendId};

use crate::audit::note;
use crate::old_keys::{follow, is_known};
use crate::pairing::{Act, By, Came, Pairing, Refused};
use crate::sqlite::{RELAY, known, parsed};
use crate::{RegistryError, SqliteRegistry};

pub(crate) const PAIRINGS: &str = "
CREATE TABLE pairing (
    id TEXT PRIMARY KEY, code TEXT NOT NULL UNIQUE, agent TEXT NOT NULL UNIQUE, began_ms INTEGER NOT NULL,
    state TEXT NOT NULL
) STRICT;
CREATE TABLE enrolment (
    id TEXT PRIMARY KEY, backend TEXT NOT NULL REFERENCES backend (id), secret_hash BLOB NOT NULL,
    uses_left INTEGER NOT NULL, expires_ms INTEGER NOT NULL
) STRICT;
";

/// How long a pairing that is over is kept, so that both ends hear how it ended.
const KEPT_MS: u64 = 2 * PAIR_S * 1000;

/// A token by which agents pair without a person, as the registry knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolmentRecord {
    /// Its name.
    pub id: String,
    /// Whose the agents become.
    pub backend: BackendId,
    /// SHA-256 of its secret.
    pub secret_hash: [u8; 32],
    /// How many agents may still use it.
    pub uses_left: u32,
    /// Until when, unix ms.
    pub expires_ms: u64,
}

impl std::fmt::Debug for EnrolmentRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrolmentRecord").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a pairing did not go on.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// By its own rules.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// As many as may be are under way.
    #[error("too many pairings are under way")]
    Full,
    /// The agent's key was revoked, for good.
    #[error("the agent's key was revoked")]
    Revoked,
    /// The agent has another key here, which this one does not follow.
    #[error("this agent has another key at this relay")]
    OtherKey,
    /// Two machines use the agent's key; a person has to release it.
    #[error("two machines use the agent's key")]
    Quarantined,
    /// The store failed, or the backend is not there any more.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl From<rusqlite::Error> for PairError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Registry(error.into())
    }
}

/// Pairings under way and enrolment tokens.
pub trait Pairings {
    /// Begins a pairing, in place of one of the same agent; at most `most` are kept.
    ///
    /// # Errors
    /// There are too many, the agent is revoked or quarantined, or the store failed.
    fn add_pairing(
        &mut self,
        id: &str,
        code: PairCode,
        pairing: &Pairing,
        most: usize,
    ) -> Result<(), PairError>;

    /// The pairing of this id.
    ///
    /// # Errors
    /// The store failed.
    fn pairing(&self, id: &str) -> Result<Option<Pairing>, RegistryError>;

    /// The id of the pairing with this code.
    ///
    /// # Errors
    /// The store failed.
    fn pairing_of(&self, code: PairCode) -> Result<Option<String>, RegistryError>;

    /// Every pairing that is kept, with its id, the oldest first.
    ///
    /// # Errors
    /// The store failed.
    fn pairings(&self) -> Result<Vec<(String, Pairing)>, RegistryError>;

    /// Somebody says something in a pairing. When it is over well, the backend owns the agent in the same transaction.
    ///
    /// # Errors
    /// Nothing came of it, and nothing has changed.
    fn act_on_pairing(&mut self, id: &str, now_ms: u64, by: &By, act: Act) -> Result<Pairing, PairError>;

    /// Makes a token.
    ///
    /// # Errors
    /// The name is taken, the backend unknown or revoked, or the store failed.
    fn add_enrolment(&mut self, enrolment: &EnrolmentRecord) -> Result<(), RegistryError>;

    /// Every token, by name.
    ///
    /// # Errors
    /// The store failed.
    fn enrolments(&self) -> Result<Vec<EnrolmentRecord>, RegistryError>;

    /// Takes a token back.
    ///
    /// # Errors
    /// There is none of this name.
    fn remove_enrolment(&mut self, id: &str) -> Result<(), RegistryError>;

    /// An agent uses a token: its backend owns the agent, in the same transaction. The same agent again costs no further use, since the
    /// answer to the first one may have been lost.
    ///
    /// # Errors
    /// No such token, another secret, too late or too often ([`Refused::Unknown`], not told apart); or the agent may not.
    fn enrol(
        &mut self,
        now_ms: u64,
        token: (&str, &[u8; 32]),
        agent: (AgentId, [u8; 32], Option<&Lineage>),
        name: &str,
    ) -> Result<BackendId, PairError>;
}

impl Pairings for SqliteRegistry {
    fn add_pairing(
        &mut self,
        id: &str,
        code: PairCode,
        pairing: &Pairing,
        most: usize,
    ) -> Result<(), PairError> {
        let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        standing_of(&change, &pairing.agent)?;
        is_known(&change, &pairing.agent, &pairing.public_key, pairing.lineage.as_ref())?;
        let agent = pairing.agent.to_string();
        let forgotten = pairing.began_ms.saturating_sub(KEPT_MS);
        change.execute("DELETE FROM pairing WHERE agent = ?1 OR began_ms < ?2", params![agent, forgotten])?;
        let count: usize = change.query_row("SELECT COUNT(*) FROM pairing", [], |row| row.get(0))?;
        if count >= most {
            return Err(PairError::Full);
        }
        let sql = "INSERT INTO pairing VALUES (?1, ?2, ?3, ?4, ?5)";
        change.execute(sql, params![id, code.to_string(), agent, pairing.began_ms, json(pairing)])?;
        Ok(change.commit()?)
    }

    fn pairing(&self, id: &str) -> Result<Option<Pairing>, RegistryError> {
        let sql = "SELECT state FROM pairing WHERE id = ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([id], |row| pairing_of_row(row, 0)).optional()?)
    }

    fn pairing_of(&self, code: PairCode) -> Result<Option<String>, RegistryError> {
        let sql = "SELECT id FROM pairing WHERE code = ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([code.to_string()], |row| row.get(0)).optional()?)
    }

    fn pairings(&self) -> Result<Vec<(String, Pairing)>, RegistryError> {
        let mut statement = self.connection.prepare("SELECT id, state FROM pairing ORDER BY began_ms")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, pairing_of_row(row, 1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn act_on_pairing(&mut self, id: &str, now_ms: u64, by: &By, act: Act) -> Result<Pairing, PairError> {
        let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let sql = "SELECT state FROM pairing WHERE id = ?1";
        let found = change.query_row(sql, [id], |row| pairing_of_row(row, 0)).optional()?;
        let mut pairing = found.ok_or(Refused::Unknown)?;
        let agent = format!("a:{}", pairing.agent);
        let actor = match by {
            By::Agent => agent.clone(),
            By::Backend(backend) if self.actor == RELAY => format!("b:{backend}"),
            By::Backend(_) => self.actor.clone(),
        };
        let is_approval = matches!((by, &act), (By::Backend(_), Act::Yes(_)));
        let came = pairing.handle(now_ms, by, act)?;
        if came == Came::Unchanged {
            return Ok(pairing);
        }
        if is_approval {
            note(&change, &actor, "pairing.approve", &agent, "")?;
        }
        if let Came::Paired(backend, name) = came {
            let key = (pairing.agent, pairing.public_key, pairing.lineage.as_ref());
            own(&change, now_ms, &backend, key, &name)?;
            note(&change, &actor, "agent.pair", &agent, &format!("backend {backend}"))?;
        }
        change.execute("UPDATE pairing SET state = ?2 WHERE id = ?1", params![id, json(&pairing)])?;
        change.commit()?;
        Ok(pairing)
    }

    fn add_enrolment(&mut self, enrolment: &EnrolmentRecord) -> Result<(), RegistryError> {
        let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let EnrolmentRecord { id, backend, secret_hash, uses_left, expires_ms } = enrolment;
        good_backend(&change, backend)?;
        let sql = "INSERT INTO enrolment VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
        let row = params![id, backend.as_str(), secret_hash, uses_left, expires_ms];
        if change.execute(sql, row)? == 0 {
            return Err(RegistryError::Exists(format!("enrolment token {id}")));
        }
        note(&change, &self.actor, "enrolment.add", id, &format!("backend {backend}, {uses_left} uses"))?;
        Ok(change.commit()?)
    }

    fn enrolments(&self) -> Result<Vec<EnrolmentRecord>, RegistryError> {
        let sql = "SELECT id, backend, secret_hash, uses_left, expires_ms FROM enrolment ORDER BY id";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(EnrolmentRecord {
                id: row.get(0)?,
                backend: parsed(row, 1)?,
                secret_hash: row.get(2)?,
                uses_left: row.get(3)?,
                expires_ms: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn remove_enrolment(&mut self, id: &str) -> Result<(), RegistryError> {
        let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let rows = change.execute("DELETE FROM enrolment WHERE id = ?1", [id])?;
        known(rows, "enrolment token", &id)?;
        note(&change, &self.actor, "enrolment.revoke", id, "")?;
        Ok(change.commit()?)
    }

    fn enrol(
        &mut self,
        now_ms: u64,
        (token, secret_hash): (&str, &[u8; 32]),
        agent: (AgentId, [u8; 32], Option<&Lineage>),
        name: &str,
    ) -> Result<BackendId, PairError> {
        let change = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // By name and digest at once: whoever asks learns nothing from how long it takes.
        let sql =
            "SELECT backend, uses_left FROM enrolment WHERE id = ?1 AND secret_hash = ?2 AND expires_ms > ?3";
        let found = change.query_row(sql, params![token, secret_hash, now_ms], |row| {
            Ok((parsed::<BackendId>(row, 0)?, row.get::<_, u32>(1)?))
        });
        let (backend, uses_left) = found.optional()?.ok_or(Refused::Unknown)?;
        standing_of(&change, &agent.0)?;
        is_known(&change, &agent.0, &agent.1, agent.2)?;
        let sql = "SELECT backend FROM agent WHERE id = ?1";
        let owner: Option<String> =
            change.query_row(sql, [agent.0.to_string()], |row| row.get(0)).optional()?;
        if owner.as_deref() == Some(backend.as_str()) {
            follow(&change, now_ms, &agent.0, &agent.1)?;
            change.commit()?;
            return Ok(backend);
        }
        if uses_left == 0 {
            return Err(Refused::Unknown.into());
        }
        change.execute("UPDATE enrolment SET uses_left = uses_left - 1 WHERE id = ?1", [token])?;
        own(&change, now_ms, &backend, agent, name)?;
        let name = format!("a:{}", agent.0);
        note(&change, &name, "agent.enrol", &name, &format!("backend {backend}, token {token}"))?;
        change.commit()?;
        Ok(backend)
    }
}

/// Makes a backend the owner of an agent, known or not.
fn own(
    change: &Transaction<'_>,
    now_ms: u64,
    backend: &BackendId,
    (agent, public_key, lineage): (AgentId, [u8; 32], Option<&Lineage>),
    name: &str,
) -> Result<(), PairError> {
    good_backend(change, backend)?;
    standing_of(change, &agent)?;
    is_known(change, &agent, &public_key, lineage)?;
    follow(change, now_ms, &agent, &public_key)?;
    let sql = "UPDATE revision SET last = last + 1 RETURNING last";
    let revision: u64 = change.query_row(sql, [], |row| row.get(0))?;
    let sql = "INSERT INTO agent VALUES (?1, ?2, ?3, ?4, 0, NULL, NULL, ?5) ON CONFLICT (id) DO UPDATE SET
        public_key = ?2, backend = ?3, name = CASE WHEN ?4 = '' THEN name ELSE ?4 END, revision = ?5";
    change.execute(sql, params![agent.to_string(), public_key, backend.as_str(), name, revision])?;
    Ok(())
}

/// The backend is there and not revoked.
pub(crate) fn good_backend(change: &Transaction<'_>, backend: &BackendId) -> Result<(), RegistryError> {
    let sql = "SELECT revoked_ms FROM backend WHERE id = ?1";
    match change.query_row(sql, [backend.as_str()], |row| row.get::<_, Option<u64>>(0)).optional()? {
        None => Err(RegistryError::Unknown(format!("backend {backend}"))),
        Some(Some(_)) => Err(RegistryError::Revoked(backend.to_string())),
        Some(None) => Ok(()),
    }
}

/// The agent may be paired, as far as it is known.
pub(crate) fn standing_of(change: &Transaction<'_>, agent: &AgentId) -> Result<(), PairError> {
    let sql = "SELECT revoked_ms, quarantined_ms FROM agent WHERE id = ?1";
    let found = change.query_row(sql, [agent.to_string()], |row| {
        Ok((row.get::<_, Option<u64>>(0)?, row.get::<_, Option<u64>>(1)?))
    });
    match found.optional()? {
        Some((Some(_), _)) => Err(PairError::Revoked),
        Some((None, Some(_))) => Err(PairError::Quarantined),
        Some((None, None)) | None => Ok(()),
    }
}

fn json(pairing: &Pairing) -> String {
    serde_json::to_string(pairing).expect("a pairing has string keys")
}

fn pairing_of_row(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Pairing> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}
