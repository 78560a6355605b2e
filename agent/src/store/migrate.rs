//! The schema and its history: one step per version of `PRAGMA user_version`.

use rusqlite::Connection;

use super::StoreError;

/// Step `n` leads from version `n` to `n + 1`. A step that was released is never edited.
const STEPS: &[&str] = &[V1, V2];

/// A version above this was never written by a release; the header is damaged.
const PLAUSIBLE: i64 = 9999;

/// `ledger` has exactly one row. `event.pos` is the packed position, so that an event is one append to one
/// table. `command.id` is the order of arrival.
const V1: &str = "
CREATE TABLE ledger(
  id INTEGER PRIMARY KEY CHECK (id = 1),
  epoch INTEGER NOT NULL, opens INTEGER NOT NULL, clean INTEGER NOT NULL, next_seq INTEGER NOT NULL,
  gap_critical INTEGER NOT NULL, gap_info INTEGER NOT NULL, command_floor INTEGER NOT NULL);
INSERT INTO ledger VALUES(1, 0, 0, 0, 1, 0, 0, 0);
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE event(
  pos INTEGER PRIMARY KEY, info INTEGER NOT NULL, bytes INTEGER NOT NULL, kind TEXT NOT NULL,
  printer_id TEXT, job_id TEXT, attempt INTEGER, ts TEXT NOT NULL, data TEXT NOT NULL);
CREATE TABLE command(
  id INTEGER PRIMARY KEY AUTOINCREMENT, cmd_id TEXT NOT NULL UNIQUE, seq INTEGER, printer_id TEXT,
  kind TEXT NOT NULL, body TEXT NOT NULL, received_ms INTEGER NOT NULL,
  status TEXT NOT NULL, is_open INTEGER NOT NULL, result TEXT);
CREATE INDEX command_seq ON command(seq);
CREATE INDEX command_open ON command(id) WHERE is_open = 1;
CREATE TABLE job(
  job_id TEXT PRIMARY KEY, rev INTEGER NOT NULL, state TEXT NOT NULL, detail TEXT, printer_id TEXT,
  sha256 TEXT, priority INTEGER NOT NULL, position INTEGER NOT NULL, body TEXT NOT NULL,
  created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL);
CREATE TABLE attempt(
  job_id TEXT NOT NULL REFERENCES job(job_id), attempt INTEGER NOT NULL, started_ms INTEGER NOT NULL,
  detail TEXT, outcome TEXT, line INTEGER, reason TEXT, ended_ms INTEGER,
  UNIQUE(job_id, attempt));
CREATE TABLE file(
  sha256 TEXT PRIMARY KEY, size INTEGER NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
  durable_bytes INTEGER NOT NULL, updated_ms INTEGER NOT NULL);
";

/// Stamps as JSON text, of the boot, its clock and the wall clock with its confidence: the columns in ms of V1 say only what
/// the wall clock showed. A row from before has none.
const V2: &str = "
ALTER TABLE job ADD COLUMN stamp TEXT;
ALTER TABLE attempt ADD COLUMN started_stamp TEXT;
ALTER TABLE attempt ADD COLUMN ended_stamp TEXT;
ALTER TABLE command ADD COLUMN received_stamp TEXT;
";

/// Refuses a database that a newer release wrote, without a change to it.
pub(super) fn check_version(conn: &Connection) -> Result<(), StoreError> {
    let known = i64::try_from(STEPS.len()).expect("the steps are few");
    match version(conn)? {
        found if !(0..=PLAUSIBLE).contains(&found) => {
            Err(StoreError::Corrupt { detail: format!("its header claims schema {found}") })
        }
        found if found > known => Err(StoreError::NewerSchema { found, known }),
        _ => Ok(()),
    }
}

/// Brings the schema to the newest version, one transaction per step.
pub(super) fn migrate(conn: &Connection) -> Result<(), StoreError> {
    let from = usize::try_from(version(conn)?).unwrap_or(0);
    for (done, step) in STEPS.iter().enumerate().skip(from) {
        conn.execute_batch(&format!("BEGIN IMMEDIATE; {step} PRAGMA user_version = {}; COMMIT;", done + 1))?;
    }
    Ok(())
}

fn version(conn: &Connection) -> Result<i64, StoreError> {
    Ok(conn.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_first_schema_are_kept() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(&format!("{V1} PRAGMA user_version = 1;")).unwrap();
        conn.execute_batch("INSERT INTO job VALUES('j', 3, 'queued', NULL, NULL, NULL, 0, 0, '{}', 1, 2)")
            .unwrap();
        migrate(&conn).unwrap();
        let row = conn.query_row("SELECT rev, stamp FROM job", [], |row| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, Option<String>>(1)?))
        });
        assert_eq!(row.unwrap(), (3, None));
        assert_eq!(version(&conn).unwrap(), STEPS.len() as i64);
        migrate(&conn).unwrap();
    }
}
