//! Who has changed the registry, when, and what: rows that are only added to, in the transaction of the change itself.

use rusqlite::{Transaction, params};
use serde::Serialize;

use crate::{RegistryError, SqliteRegistry};

/// So many rows are kept; each is a hundred bytes or so.
const KEPT: u32 = 100_000;

pub(crate) const AUDIT: &str = "
CREATE TABLE audit (
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit WHEN OLD.id > (SELECT MAX(id) FROM audit) - 100000
BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
";

/// One change of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditRow {
    /// When, unix ms.
    pub at_ms: u64,
    /// The same for people, in UTC.
    pub time: String,
    /// Who: a user of this machine, a backend, an agent, or the relay itself.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To whom or what.
    pub subject: String,
    /// What else there is to know.
    pub detail: String,
}

/// Adds a row; it is kept when the transaction is.
pub(crate) fn note(
    change: &Transaction<'_>,
    actor: &str,
    action: &str,
    subject: &str,
    detail: &str,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO audit (at_ms, actor, action, subject, detail)
        VALUES (CAST(unixepoch('subsec') * 1000 AS INTEGER), ?1, ?2, ?3, ?4)";
    change.prepare_cached(sql)?.execute(params![actor, action, subject, detail])?;
    let sql = "DELETE FROM audit WHERE id <= (SELECT MAX(id) FROM audit) - ?1";
    change.prepare_cached(sql)?.execute([KEPT])?;
    Ok(())
}

impl SqliteRegistry {
    /// The last changes, the oldest of them first.
    ///
    /// # Errors
    /// The store failed.
    pub fn audit(&self, last: u32) -> Result<Vec<AuditRow>, RegistryError> {
        let sql = "SELECT at_ms, strftime('%Y-%m-%d %H:%M:%S', at_ms / 1000, 'unixepoch'), actor, action, subject, detail
            FROM (SELECT * FROM audit ORDER BY id DESC LIMIT ?1) ORDER BY id";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([last], |row| {
            Ok(AuditRow {
                at_ms: row.get(0)?,
                time: row.get(1)?,
                actor: row.get(2)?,
                action: row.get(3)?,
                subject: row.get(4)?,
                detail: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_only_added_and_the_oldest_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let mut registry = SqliteRegistry::open(&dir.path().join("r.db")).unwrap();
        for (id, subject) in [(1, "first"), (KEPT, "last but one")] {
            let sql = "INSERT INTO audit VALUES (?1, 0, 'relay', 'x', ?2, '')";
            registry.connection.execute(sql, params![id, subject]).unwrap();
        }
        for sql in ["UPDATE audit SET actor = 'y'", "DELETE FROM audit"] {
            let error = registry.connection.execute(sql, []).unwrap_err().to_string();
            assert!(error.contains("only added to"), "{sql}: {error}");
        }
        let change = registry.connection.transaction().unwrap();
        note(&change, "uid 7", "agent.add", "a:X", "backend farm").unwrap();
        change.commit().unwrap();
        let rows = registry.audit(10).unwrap();
        let subjects: Vec<_> = rows.iter().map(|row| row.subject.as_str()).collect();
        assert_eq!(subjects, ["last but one", "a:X"]);
        assert_eq!((rows[0].time.as_str(), rows[1].actor.as_str()), ("1970-01-01 00:00:00", "uid 7"));
        assert!(rows[1].at_ms > 1_700_000_000_000);
        assert_eq!(registry.audit(1).unwrap(), rows[1..]);
    }
}
