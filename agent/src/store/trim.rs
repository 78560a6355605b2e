//! What a full outbox drops, and the `gap` that stands in its place, so that a cumulative ack can pass the hole.

use rusqlite::{Connection, Row, params};
use spoolway_protocol::Extra;
use spoolway_protocol::event::{EventClass as Word, EventData, Gap};

use super::StoreError;
use super::outbox::{GAP, INFO, Tally};
use super::words::{EventClass, NewEvent, Position};

/// Drops the oldest events of a class beyond its cap. It goes a sixteenth below the cap, so that a full outbox does not
/// pay for a deletion with every event. Info events go from between the critical ones; critical ones take with them what
/// stands before them, so that one gap is left and not one for each.
pub(super) fn trim(
    conn: &Connection,
    tally: &mut Tally,
    cls: EventClass,
    cap_bytes: u64,
) -> Result<(), StoreError> {
    let held_bytes = tally.bytes(cls);
    if held_bytes <= cap_bytes {
        return Ok(());
    }
    let excess_bytes = held_bytes - (cap_bytes - cap_bytes / 16);
    let from = if cls == EventClass::Info { tally.info_from } else { 0 };
    let runs = find(conn, cls, from, excess_bytes)?;
    for run in &runs {
        run.replace(conn)?;
        tally.forget(EventClass::Critical, run.critical_bytes, run.critical);
        tally.forget(EventClass::Info, run.info_bytes, run.info);
    }
    if let Some(last) = runs.last().filter(|_| cls == EventClass::Info) {
        // The gap itself is looked at again, so that the next run can join it.
        tally.info_from = last.last;
    }
    conn.prepare_cached("UPDATE ledger SET gap_critical = ?1, gap_info = ?2")?
        .execute([tally.dropped.critical, tally.dropped.info])?;
    Ok(())
}

/// The runs of neighbours to drop, until `excess_bytes` of the class are found.
fn find(conn: &Connection, cls: EventClass, from: i64, excess_bytes: u64) -> Result<Vec<Run>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT pos, info, bytes, CASE info WHEN 2 THEN data END FROM event WHERE pos >= ?1 ORDER BY pos",
    )?;
    let mut rows = statement.query([from])?;
    let (mut runs, mut open, mut freed_bytes) = (Vec::new(), None::<Run>, 0);
    while let Some(row) = rows.next()? {
        let one = Run::of(row)?;
        let drops = one.is_gap() || cls == EventClass::Critical || one.info > 0;
        if !one.is_gap() && freed_bytes >= excess_bytes {
            break;
        }
        if drops {
            freed_bytes += if cls == EventClass::Critical { one.critical_bytes } else { one.info_bytes };
            if let Some(open) = &mut open
                && open.joins(&one)
            {
                open.extend(&one);
                continue;
            }
            runs.extend(open.replace(one));
        } else {
            runs.extend(open.take());
        }
    }
    runs.extend(open);
    // A gap that found no company stays as it is.
    runs.retain(|run| run.first < run.last || !run.is_gap());
    Ok(runs)
}

/// Neighbours that become one gap. They are of one epoch: an ack says nothing about another.
struct Run {
    first: i64,
    last: i64,
    /// Numbers that the run covers.
    covers: u64,
    /// Whether a critical event is or was among them.
    lost_critical: bool,
    critical: u64,
    info: u64,
    critical_bytes: u64,
    info_bytes: u64,
}

impl Run {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (pos, class, bytes): (i64, i64, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let empty = Self {
            first: pos,
            last: pos,
            covers: 1,
            lost_critical: false,
            critical: 0,
            info: 0,
            critical_bytes: 0,
            info_bytes: 0,
        };
        Ok(match class {
            GAP => {
                let gap =
                    row.get::<_, String>(3).ok().and_then(|data| serde_json::from_str::<Gap>(&data).ok());
                let (covers, lost_critical) =
                    gap.map_or((1, true), |gap| (gap.dropped, gap.cls == Word::Critical));
                Self { covers, lost_critical, ..empty }
            }
            INFO => Self { info: 1, info_bytes: bytes, ..empty },
            _ => Self { critical: 1, critical_bytes: bytes, lost_critical: true, ..empty },
        })
    }

    fn is_gap(&self) -> bool {
        self.critical + self.info == 0
    }

    fn joins(&self, next: &Self) -> bool {
        Position::unpacked(self.last).epoch == Position::unpacked(next.first).epoch
    }

    fn extend(&mut self, next: &Self) {
        self.last = next.last;
        self.covers += next.covers;
        self.lost_critical |= next.lost_critical;
        self.critical += next.critical;
        self.info += next.info;
        self.critical_bytes += next.critical_bytes;
        self.info_bytes += next.info_bytes;
    }

    /// The last row becomes the gap, with its own number and time; those before it go.
    fn replace(&self, conn: &Connection) -> Result<(), StoreError> {
        let cls = if self.lost_critical { Word::Critical } else { Word::Info };
        let gap = EventData::Gap(Gap { dropped: self.covers, cls, extra: Extra::default() });
        let event = NewEvent {
            cls: EventClass::Critical,
            kind: gap.kind().to_owned(),
            printer_id: None,
            job_id: None,
            attempt: None,
            ts_json: String::new(),
            data_json: gap.encode().get().to_owned(),
        };
        conn.prepare_cached("DELETE FROM event WHERE pos >= ?1 AND pos < ?2")?
            .execute([self.first, self.last])?;
        conn.prepare_cached(
            "UPDATE event SET info = ?2, kind = ?3, data = ?4, bytes = ?5 + LENGTH(ts),
               printer_id = NULL, job_id = NULL, attempt = NULL WHERE pos = ?1",
        )?
        .execute(params![self.last, GAP, event.kind, event.data_json, event.wire_bytes()])?;
        Ok(())
    }
}
