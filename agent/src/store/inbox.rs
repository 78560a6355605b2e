//! Commands on their way in: stored once by their id, open until they have a terminal status.

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::words::{CommandRow, NewCommand};
use super::{StoreError, json};

/// Statuses that are not terminal yet.
const OPEN_STATUSES: [&str; 3] = ["received", "accepted", "executing"];
/// Open commands beyond which new ones are refused.
const MAX_OPEN: u64 = 1024;
/// Terminal commands that are kept to recognise duplicates by their id.
const KEEP_TERMINAL: u64 = 4096;
/// How many arrivals lie between two prunings.
const PRUNE_EVERY: i64 = 64;

/// Adds a command; `false` if it was known.
pub(super) fn insert(
    conn: &Connection,
    command: &NewCommand,
    stamp: Option<&str>,
) -> Result<bool, StoreError> {
    json("body of a command", &command.body_json)?;
    if is_known(conn, &command.cmd_id, command.seq)? {
        return Ok(false);
    }
    let open: u64 = conn
        .prepare_cached("SELECT COUNT(*) FROM command WHERE is_open = 1")?
        .query_row([], |row| row.get(0))?;
    if open >= MAX_OPEN {
        return Err(StoreError::InboxFull { open });
    }
    conn.prepare_cached(
        "INSERT INTO command(cmd_id, seq, printer_id, kind, body, received_ms, status, is_open, received_stamp)
         VALUES(:cmd_id, :seq, :printer_id, :kind, :body, :received_ms, :status, 1, :stamp)",
    )?
    .execute(named_params! {
        ":cmd_id": command.cmd_id, ":seq": command.seq, ":printer_id": command.printer_id, ":kind": command.kind,
        ":body": command.body_json, ":received_ms": command.received_ms, ":status": OPEN_STATUSES[0], ":stamp": stamp,
    })?;
    if conn.last_insert_rowid() % PRUNE_EVERY == 0 {
        prune(conn)?;
    }
    Ok(true)
}

/// Whether a command was stored before, also one that is long forgotten.
pub(super) fn is_known(conn: &Connection, cmd_id: &str, seq: Option<u64>) -> Result<bool, StoreError> {
    if let Some(seq) = seq
        && seq <= floor(conn)?
    {
        return Ok(true);
    }
    Ok(find(conn, cmd_id)?.is_some())
}

/// Forgets the oldest terminal commands. The floor remembers how far, so that a very late duplicate of one
/// of them is still known by its number.
fn prune(conn: &Connection) -> Result<(), StoreError> {
    let newest_to_go: Option<i64> = conn
        .prepare_cached("SELECT id FROM command WHERE is_open = 0 ORDER BY id DESC LIMIT 1 OFFSET ?1")?
        .query_row([KEEP_TERMINAL], |row| row.get(0))
        .optional()?;
    let Some(id) = newest_to_go else { return Ok(()) };
    conn.prepare_cached(
        "UPDATE ledger SET command_floor = MAX(command_floor, (
           SELECT COALESCE(MAX(seq), 0) FROM command WHERE is_open = 0 AND id <= ?1))",
    )?
    .execute([id])?;
    conn.prepare_cached("DELETE FROM command WHERE is_open = 0 AND id <= ?1")?.execute([id])?;
    Ok(())
}

/// Changes a command's status and, if there is one, its result. One that has ended stays as it is, so that nothing ends twice.
pub(super) fn set(
    conn: &Connection,
    cmd_id: &str,
    status: &str,
    result_json: Option<&str>,
) -> Result<(), StoreError> {
    if let Some(result) = result_json {
        json("result of a command", result)?;
    }
    let changed = conn
        .prepare_cached(
            "UPDATE command SET status = ?2, is_open = ?3, result = COALESCE(?4, result)
             WHERE cmd_id = ?1 AND is_open = 1",
        )?
        .execute(params![cmd_id, status, OPEN_STATUSES.contains(&status), result_json])?;
    match changed {
        0 if find(conn, cmd_id)?.is_some() => Err(StoreError::CommandEnded(cmd_id.to_owned())),
        0 => Err(StoreError::NoSuchCommand(cmd_id.to_owned())),
        _ => Ok(()),
    }
}

/// Forgets every command and number.
pub(super) fn reset(conn: &Connection) -> Result<(), StoreError> {
    conn.execute_batch("DELETE FROM command; UPDATE ledger SET command_floor = 0;")?;
    Ok(())
}

/// Commands without a terminal status, in order of arrival.
pub(super) fn open(conn: &Connection) -> Result<Vec<CommandRow>, StoreError> {
    let mut statement = conn.prepare_cached(&format!("{SELECT} WHERE is_open = 1 ORDER BY id"))?;
    let rows = statement.query_map([], command_row)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// One command.
pub(super) fn find(conn: &Connection, cmd_id: &str) -> Result<Option<CommandRow>, StoreError> {
    let mut statement = conn.prepare_cached(&format!("{SELECT} WHERE cmd_id = ?1"))?;
    Ok(statement.query_row([cmd_id], command_row).optional()?)
}

/// The backend's highest number that was ever committed; 0 if there is none.
pub(super) fn highest_seq(conn: &Connection) -> Result<u64, StoreError> {
    let stored: Option<u64> =
        conn.prepare_cached("SELECT MAX(seq) FROM command")?.query_row([], |row| row.get(0))?;
    Ok(stored.unwrap_or(0).max(floor(conn)?))
}

fn floor(conn: &Connection) -> Result<u64, StoreError> {
    Ok(conn.prepare_cached("SELECT command_floor FROM ledger")?.query_row([], |row| row.get(0))?)
}

const SELECT: &str = "SELECT cmd_id, seq, printer_id, kind, body, received_ms, status, result,
  received_stamp FROM command";

fn command_row(row: &Row<'_>) -> rusqlite::Result<CommandRow> {
    Ok(CommandRow {
        command: NewCommand {
            cmd_id: row.get(0)?,
            seq: row.get(1)?,
            printer_id: row.get(2)?,
            kind: row.get(3)?,
            body_json: row.get(4)?,
            received_ms: row.get(5)?,
        },
        status: row.get(6)?,
        result_json: row.get(7)?,
        received_stamp_json: row.get(8)?,
    })
}
