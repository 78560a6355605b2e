//! Another owner: nothing that was kept for the one before is left, and no number that it knows is given again.

use std::path::Path;

use rusqlite::Connection;

use super::epoch::{self, Mark};
use super::outbox::Tally;
use super::{OWNER, StoreError, files, inbox};

/// Drops every event and command, and begins the next epoch for this owner. As at a start, the side file goes first: a crash in
/// between only costs one more epoch.
pub(super) fn change(
    conn: &Connection,
    dir: &Path,
    tally: &mut Tally,
    owner: &str,
) -> Result<(), StoreError> {
    conn.execute("DELETE FROM event", [])?;
    inbox::reset(conn)?;
    files::put_meta(conn, OWNER, owner)?;
    let opens = conn.query_row("SELECT opens FROM ledger", [], |row| row.get(0))?;
    let epoch = tally.epoch + 1;
    epoch::write(dir, Mark { epoch, opens })?;
    conn.execute("UPDATE ledger SET epoch = ?1, next_seq = 1", [epoch])?;
    *tally = Tally::load(conn, epoch, 1)?;
    Ok(())
}
