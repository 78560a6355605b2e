//! Rows about job files, and named values that belong to no table.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoreError;
use super::words::FileRow;

/// Writes a whole file row, new or known.
pub(super) fn put(conn: &Connection, file: &FileRow) -> Result<(), StoreError> {
    conn.prepare_cached(
        "REPLACE INTO file(sha256, size, name, state, durable_bytes, updated_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![file.sha256, file.size, file.name, file.state, file.durable_bytes, file.updated_ms])?;
    Ok(())
}

/// Removes a file row.
pub(super) fn delete(conn: &Connection, sha256: &str) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM file WHERE sha256 = ?1")?.execute([sha256])?;
    Ok(())
}

/// Every file, the longest unused first.
pub(super) fn all(conn: &Connection) -> Result<Vec<FileRow>, StoreError> {
    let mut statement = conn.prepare_cached(&format!("{SELECT} ORDER BY updated_ms, sha256"))?;
    let rows = statement.query_map([], file_row)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// One file.
pub(super) fn find(conn: &Connection, sha256: &str) -> Result<Option<FileRow>, StoreError> {
    let mut statement = conn.prepare_cached(&format!("{SELECT} WHERE sha256 = ?1"))?;
    Ok(statement.query_row([sha256], file_row).optional()?)
}

const SELECT: &str = "SELECT sha256, size, name, state, durable_bytes, updated_ms FROM file";

fn file_row(row: &Row<'_>) -> rusqlite::Result<FileRow> {
    Ok(FileRow {
        sha256: row.get(0)?,
        size: row.get(1)?,
        name: row.get(2)?,
        state: row.get(3)?,
        durable_bytes: row.get(4)?,
        updated_ms: row.get(5)?,
    })
}

/// Writes one named value.
pub(super) fn put_meta(conn: &Connection, key: &str, value: &str) -> Result<(), StoreError> {
    conn.prepare_cached("REPLACE INTO meta(key, value) VALUES(?1, ?2)")?.execute([key, value])?;
    Ok(())
}

/// Reads one named value.
pub(super) fn meta(conn: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}
