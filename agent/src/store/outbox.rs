//! Events on their way out: appended in order, read in windows, removed by cumulative acks.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::words::{Dropped, EventClass, NewEvent, OutboxStatus, Position, StoredEvent};
use super::{StoreError, json};

/// An event has to fit into one text frame of the wire (64 KiB) with its envelope.
pub(super) const MAX_EVENT_BYTES: u64 = 60 * 1024;

/// `event.info` of an info event.
pub(super) const INFO: i64 = 1;
/// `event.info` of a gap, which counts against no cap: there is at most one between two events that stay.
pub(super) const GAP: i64 = 2;

/// What the outbox knows by heart; it is copied before a transaction and put back if that fails.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally {
    pub(super) epoch: u64,
    pub(super) next_seq: u64,
    critical_bytes: u64,
    info_bytes: u64,
    pub(super) dropped: Dropped,
    /// No info event stands before this packed position.
    pub(super) info_from: i64,
}

impl Tally {
    /// Reads the sums of an opened database.
    pub(super) fn load(conn: &Connection, epoch: u64, next_seq: u64) -> Result<Self, StoreError> {
        let dropped = conn.query_row("SELECT gap_critical, gap_info FROM ledger", [], |row| {
            Ok(Dropped { critical: row.get(0)?, info: row.get(1)? })
        })?;
        let (critical_bytes, info_bytes) = sums(conn, i64::MAX)?;
        Ok(Self { epoch, next_seq, critical_bytes, info_bytes, dropped, info_from: 0 })
    }

    /// The last position that was given away in this epoch; sequence 0 if there is none.
    pub(super) fn highest(&self) -> Position {
        Position { epoch: self.epoch, seq: self.next_seq - 1 }
    }

    pub(super) fn bytes(&self, cls: EventClass) -> u64 {
        match cls {
            EventClass::Critical => self.critical_bytes,
            EventClass::Info => self.info_bytes,
        }
    }

    /// Events of a class were dropped.
    pub(super) fn forget(&mut self, cls: EventClass, bytes: u64, events: u64) {
        let (held_bytes, dropped) = match cls {
            EventClass::Critical => (&mut self.critical_bytes, &mut self.dropped.critical),
            EventClass::Info => (&mut self.info_bytes, &mut self.dropped.info),
        };
        *held_bytes = held_bytes.saturating_sub(bytes);
        *dropped += events;
    }
}

/// Appends one event and gives it the next sequence number.
pub(super) fn append(conn: &Connection, tally: &mut Tally, event: &NewEvent) -> Result<Position, StoreError> {
    let bytes = event.wire_bytes();
    if bytes > MAX_EVENT_BYTES {
        return Err(StoreError::EventTooLarge { bytes, limit: MAX_EVENT_BYTES });
    }
    json("time stamp of an event", &event.ts_json)?;
    json("data of an event", &event.data_json)?;
    let position = Position { epoch: tally.epoch, seq: tally.next_seq };
    conn.prepare_cached(
        "INSERT INTO event(pos, info, bytes, kind, printer_id, job_id, attempt, ts, data)
         VALUES(:pos, :info, :bytes, :kind, :printer_id, :job_id, :attempt, :ts, :data)",
    )?
    .execute(named_params! {
        ":pos": position.packed(), ":info": event.cls == EventClass::Info, ":bytes": bytes, ":kind": event.kind,
        ":printer_id": event.printer_id, ":job_id": event.job_id, ":attempt": event.attempt,
        ":ts": event.ts_json, ":data": event.data_json,
    })?;
    tally.next_seq += 1;
    match event.cls {
        EventClass::Critical => tally.critical_bytes += bytes,
        EventClass::Info => tally.info_bytes += bytes,
    }
    Ok(position)
}

/// Removes everything up to `upto`, also of earlier epochs. Returns how many events went.
pub(super) fn ack(conn: &Connection, tally: &mut Tally, upto: Position) -> Result<usize, StoreError> {
    let (critical, info) = sums(conn, upto.packed())?;
    let removed = conn.prepare_cached("DELETE FROM event WHERE pos <= ?1")?.execute([upto.packed()])?;
    tally.critical_bytes = tally.critical_bytes.saturating_sub(critical);
    tally.info_bytes = tally.info_bytes.saturating_sub(info);
    Ok(removed)
}

/// Events behind a position, at most `max_items` and `max_bytes`, but at least one if there is one.
pub(super) fn after(
    conn: &Connection,
    from: Position,
    max_items: usize,
    max_bytes: u64,
) -> Result<Vec<StoredEvent>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT pos, info, bytes, kind, printer_id, job_id, attempt, ts, data
         FROM event WHERE pos > ?1 ORDER BY pos",
    )?;
    let mut rows = statement.query([from.packed()])?;
    let (mut events, mut sum_bytes) = (Vec::new(), 0);
    while events.len() < max_items {
        let Some(row) = rows.next()? else { break };
        sum_bytes += row.get::<_, u64>(2)?;
        if sum_bytes > max_bytes && !events.is_empty() {
            break;
        }
        events.push(stored(row)?);
    }
    Ok(events)
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    let cls = if row.get::<_, i64>(1)? == INFO { EventClass::Info } else { EventClass::Critical };
    Ok(StoredEvent {
        position: Position::unpacked(row.get(0)?),
        event: NewEvent {
            cls,
            kind: row.get(3)?,
            printer_id: row.get(4)?,
            job_id: row.get(5)?,
            attempt: row.get(6)?,
            ts_json: row.get(7)?,
            data_json: row.get(8)?,
        },
    })
}

/// What the outbox holds now.
pub(super) fn status(conn: &Connection, tally: &Tally) -> Result<OutboxStatus, StoreError> {
    let oldest: Option<i64> = conn
        .prepare_cached("SELECT pos FROM event ORDER BY pos LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(OutboxStatus {
        epoch: tally.epoch,
        next_seq: tally.next_seq,
        oldest_unacked: oldest.map(Position::unpacked),
        critical_bytes: tally.critical_bytes,
        info_bytes: tally.info_bytes,
        dropped: tally.dropped,
    })
}

/// Wire bytes of the critical and of the info events up to a packed position.
fn sums(conn: &Connection, upto: i64) -> Result<(u64, u64), StoreError> {
    let sums = conn
        .prepare_cached(
            "SELECT COALESCE(SUM(bytes) FILTER (WHERE info = 0), 0), COALESCE(SUM(bytes) FILTER (WHERE info = 1), 0)
             FROM event WHERE pos <= ?1",
        )?
        .query_row([upto], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(sums)
}
