//! Jobs and their attempts: moves are checked against the revision, and no attempt begins twice.

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::StoreError;
use super::words::{AttemptEnd, AttemptRow, JobRow};

/// Writes a whole job, new or known.
pub(super) fn put(conn: &Connection, job: &JobRow, stamp: Option<&str>) -> Result<(), StoreError> {
    // An upsert and not REPLACE, which would delete the row under its attempts.
    conn.prepare_cached(
        "INSERT INTO job(job_id, rev, state, detail, printer_id, sha256, priority, position, body, created_ms, updated_ms, stamp)
         VALUES(:job_id, :rev, :state, :detail, :printer_id, :sha256, :priority, :position, :body, :created_ms, :updated_ms, :stamp)
         ON CONFLICT(job_id) DO UPDATE SET rev = :rev, state = :state, detail = :detail, printer_id = :printer_id,
           sha256 = :sha256, priority = :priority, position = :position, body = :body, created_ms = :created_ms,
           updated_ms = :updated_ms, stamp = :stamp",
    )?
    .execute(named_params! {
        ":job_id": job.job_id, ":rev": job.rev, ":state": job.state, ":detail": job.detail_json,
        ":printer_id": job.printer_id, ":sha256": job.sha256, ":priority": job.priority,
        ":position": job.position, ":body": job.body_json, ":created_ms": job.created_ms,
        ":updated_ms": job.updated_ms, ":stamp": stamp,
    })?;
    Ok(())
}

/// Moves a job to another state if its revision is the expected one.
pub(super) fn advance(
    conn: &Connection,
    job_id: &str,
    expected_rev: u64,
    state: &str,
    detail_json: Option<&str>,
    updated_ms: u64,
    stamp: Option<&str>,
) -> Result<(), StoreError> {
    let changed = conn
        .prepare_cached(
            "UPDATE job SET rev = rev + 1, state = ?3, detail = ?4, updated_ms = ?5, stamp = ?6
             WHERE job_id = ?1 AND rev = ?2",
        )?
        .execute(params![job_id, expected_rev, state, detail_json, updated_ms, stamp])?;
    if changed == 1 {
        return Ok(());
    }
    let job_id = job_id.to_owned();
    Err(match find(conn, &job_id)? {
        Some(job) => StoreError::StaleRevision { job_id, expected: expected_rev, found: job.rev },
        None => StoreError::NoSuchJob(job_id),
    })
}

/// Removes a job and its attempts.
pub(super) fn forget(conn: &Connection, job_id: &str) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM attempt WHERE job_id = ?1")?.execute([job_id])?;
    conn.prepare_cached("DELETE FROM job WHERE job_id = ?1")?.execute([job_id])?;
    Ok(())
}

/// Records that an attempt begins.
pub(super) fn begin_attempt(
    conn: &Connection,
    job_id: &str,
    attempt: u32,
    started_ms: u64,
    detail_json: Option<&str>,
    stamp: Option<&str>,
) -> Result<(), StoreError> {
    if find(conn, job_id)?.is_none() {
        return Err(StoreError::NoSuchJob(job_id.to_owned()));
    }
    let inserted = conn
        .prepare_cached(
            "INSERT INTO attempt(job_id, attempt, started_ms, detail, started_stamp) VALUES(?1, ?2, ?3, ?4, ?5)
             ON CONFLICT(job_id, attempt) DO NOTHING",
        )?
        .execute(params![job_id, attempt, started_ms, detail_json, stamp])?;
    if inserted == 0 {
        return Err(StoreError::AlreadyStarted { job_id: job_id.to_owned(), attempt });
    }
    Ok(())
}

/// Records how an attempt ended, once.
pub(super) fn finish_attempt(
    conn: &Connection,
    job_id: &str,
    attempt: u32,
    end: &AttemptEnd,
    stamp: Option<&str>,
) -> Result<(), StoreError> {
    let changed = conn
        .prepare_cached(
            "UPDATE attempt SET outcome = ?3, line = ?4, reason = ?5, ended_ms = ?6, ended_stamp = ?7
             WHERE job_id = ?1 AND attempt = ?2 AND outcome IS NULL",
        )?
        .execute(params![job_id, attempt, end.outcome, end.line, end.reason, end.ended_ms, stamp])?;
    if changed == 1 {
        return Ok(());
    }
    let job_id = job_id.to_owned();
    let is_known = attempts(conn, &job_id)?.iter().any(|row| row.attempt == attempt);
    Err(if is_known {
        StoreError::AlreadyFinished { job_id, attempt }
    } else {
        StoreError::NoSuchAttempt { job_id, attempt }
    })
}

/// Every job, in the order of the queue: priority, position, age.
pub(super) fn all(conn: &Connection) -> Result<Vec<JobRow>, StoreError> {
    let order = "ORDER BY priority DESC, position, created_ms, job_id";
    let mut statement = conn.prepare_cached(&format!("{SELECT_JOB} {order}"))?;
    let rows = statement.query_map([], job_row)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// One job.
pub(super) fn find(conn: &Connection, job_id: &str) -> Result<Option<JobRow>, StoreError> {
    let mut statement = conn.prepare_cached(&format!("{SELECT_JOB} WHERE job_id = ?1"))?;
    Ok(statement.query_row([job_id], job_row).optional()?)
}

/// The stamp of a job's last change, if it has one.
pub(super) fn stamp(conn: &Connection, job_id: &str) -> Result<Option<String>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT stamp FROM job WHERE job_id = ?1")?;
    Ok(statement.query_row([job_id], |row| row.get(0)).optional()?.flatten())
}

/// The attempts of a job, first to last.
pub(super) fn attempts(conn: &Connection, job_id: &str) -> Result<Vec<AttemptRow>, StoreError> {
    let mut statement =
        conn.prepare_cached(&format!("{SELECT_ATTEMPT} WHERE job_id = ?1 ORDER BY attempt"))?;
    let rows = statement.query_map([job_id], attempt_row)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// The attempt that has ended last; rows are in the order in which attempts began.
pub(super) fn last_ended_attempt(conn: &Connection) -> Result<Option<AttemptRow>, StoreError> {
    let newest = "WHERE outcome IS NOT NULL ORDER BY rowid DESC LIMIT 1";
    let mut statement = conn.prepare_cached(&format!("{SELECT_ATTEMPT} {newest}"))?;
    Ok(statement.query_row([], attempt_row).optional()?)
}

const SELECT_ATTEMPT: &str = "SELECT job_id, attempt, started_ms, detail, outcome, line, reason, ended_ms,
  started_stamp, ended_stamp FROM attempt";

const SELECT_JOB: &str = "SELECT job_id, rev, state, detail, printer_id, sha256, priority, position, body,
  created_ms, updated_ms FROM job";

fn job_row(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    Ok(JobRow {
        job_id: row.get(0)?,
        rev: row.get(1)?,
        state: row.get(2)?,
        detail_json: row.get(3)?,
        printer_id: row.get(4)?,
        sha256: row.get(5)?,
        priority: row.get(6)?,
        position: row.get(7)?,
        body_json: row.get(8)?,
        created_ms: row.get(9)?,
        updated_ms: row.get(10)?,
    })
}

fn attempt_row(row: &Row<'_>) -> rusqlite::Result<AttemptRow> {
    let outcome: Option<String> = row.get(4)?;
    let end = match outcome {
        Some(outcome) => {
            Some(AttemptEnd { outcome, line: row.get(5)?, reason: row.get(6)?, ended_ms: row.get(7)? })
        }
        None => None,
    };
    Ok(AttemptRow {
        job_id: row.get(0)?,
        attempt: row.get(1)?,
        started_ms: row.get(2)?,
        detail_json: row.get(3)?,
        end,
        started_stamp_json: row.get(8)?,
        ended_stamp_json: row.get(9)?,
    })
}
