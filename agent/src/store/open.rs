//! Opening: take the file for ourselves, check it, set it aside if it is damaged, and find the epoch.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::epoch::{self, Mark};
use super::ledger::Ledger;
use super::outbox::Tally;
use super::{Opened, Start, StoreError, StoreOptions, migrate};
use crate::clock::Clock;

pub(super) const NAME: &str = "spoolway.db";
/// Damaged databases that are kept for a later look: so many, and the older ones only while all are not larger than this.
const KEEP_SET_ASIDE: usize = 3;
const KEEP_SET_ASIDE_BYTES: u64 = 64 << 20;
const SUFFIXES: [&str; 3] = ["-wal", "-shm", ""];
/// How far the epoch jumps when a damaged database was lost together with the side file: nobody knows the
/// last epoch then, and no device crashes this often between two such losses.
const BLIND_JUMP: u64 = 4096;

/// Opens or creates the database of a state folder.
pub(super) fn open(
    dir: &Path,
    options: &StoreOptions,
    clock: Option<Clock>,
) -> Result<(Ledger, Opened), StoreError> {
    fs::create_dir_all(dir).map_err(|error| StoreError::from_io(&error))?;
    let path = dir.join(NAME);
    let (conn, damage) = match connect(&path, options) {
        Ok(conn) => (conn, None),
        Err(StoreError::Corrupt { detail }) => {
            let salvaged = salvage_epoch(&path);
            let (set_aside, number) = set_aside(dir)?;
            (connect(&path, options)?, Some(Damage { set_aside, number, detail, salvaged }))
        }
        Err(other) => return Err(other),
    };
    let (tally, start) = begin(&conn, dir, damage)?;
    let opened = Opened { epoch: tally.epoch, next_seq: tally.next_seq, start };
    Ok((Ledger::new((conn, dir), tally, options.clone(), clock), opened))
}

struct Damage {
    set_aside: PathBuf,
    number: u64,
    detail: String,
    salvaged: Option<u64>,
}

/// Opens, locks, checks and migrates. `Corrupt` says that the file has to be set aside.
fn connect(path: &Path, options: &StoreOptions) -> Result<Connection, StoreError> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(Duration::from_millis(options.busy_timeout_ms))?;
    conn.set_prepared_statement_cache_capacity(48);
    // Exclusive: a second agent on this folder is refused, and the log needs no shared memory file.
    conn.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA page_size = 4096;
         PRAGMA cache_size = -1024;
         PRAGMA mmap_size = 0;
         PRAGMA temp_store = MEMORY;
         PRAGMA foreign_keys = ON;
         PRAGMA journal_size_limit = 8388608;",
    )?;
    migrate::check_version(&conn).and_then(|()| quick_check(&conn)).map_err(|error| match error {
        // These statements are constant: an error in them is a file that is not shaped like ours.
        StoreError::Database { detail } => StoreError::Corrupt { detail },
        other => other,
    })?;
    conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    migrate::migrate(&conn)?;
    if let Some(pages) = options.max_page_count {
        conn.execute_batch(&format!("PRAGMA max_page_count = {pages}"))?;
    }
    Ok(conn)
}

/// The jobs of a database that nobody has open; its log is read along.
pub(super) fn rows_at_rest(dir: &Path) -> Option<Vec<super::JobRow>> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(dir.join(NAME), flags).ok()?;
    super::jobs::all(&conn).ok()
}

fn quick_check(conn: &Connection) -> Result<(), StoreError> {
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(StoreError::Corrupt { detail: verdict }) }
}

/// The epoch of a damaged database, if that page can still be read.
fn salvage_epoch(path: &Path) -> Option<u64> {
    let conn = Connection::open(path).ok()?;
    let ledger: u64 = conn.query_row("SELECT epoch FROM ledger", [], |row| row.get(0)).ok()?;
    (ledger < super::words::EPOCH_MAX).then_some(ledger)
}

/// Renames the database and its log to the next free `.corrupt-<n>`, and removes old ones.
fn set_aside(dir: &Path) -> Result<(PathBuf, u64), StoreError> {
    let name = |number: u64, suffix: &str| dir.join(format!("{NAME}.corrupt-{number}{suffix}"));
    let rename = || -> std::io::Result<(PathBuf, u64)> {
        let mut numbers = set_aside_numbers(dir)?;
        let number = numbers.last().map_or(1, |last| last + 1);
        for suffix in SUFFIXES {
            let from = dir.join(format!("{NAME}{suffix}"));
            if from.exists() {
                fs::rename(from, name(number, suffix))?;
            }
        }
        numbers.push(number);
        let mut sum_bytes = 0;
        for (age, old) in numbers.into_iter().rev().enumerate() {
            let files = SUFFIXES.map(|suffix| name(old, suffix));
            sum_bytes +=
                files.iter().map(|file| fs::metadata(file).map_or(0, |file| file.len())).sum::<u64>();
            if age >= KEEP_SET_ASIDE || (age > 0 && sum_bytes > KEEP_SET_ASIDE_BYTES) {
                // One that is not there is as good as removed.
                files.iter().for_each(|file| drop(fs::remove_file(file)));
            }
        }
        File::open(dir)?.sync_all()?;
        Ok((name(number, ""), number))
    };
    rename().map_err(|error| StoreError::from_io(&error))
}

/// The numbers of what was set aside, in order.
fn set_aside_numbers(dir: &Path) -> std::io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let (number, suffix) = name.to_str().and_then(set_aside_name).unwrap_or_default();
        numbers.extend(number.filter(|_| suffix.is_empty()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Number and suffix, if this is the name of something that was set aside.
pub(super) fn set_aside_name(name: &str) -> Option<(Option<u64>, &str)> {
    let rest = name.strip_prefix(NAME)?.strip_prefix(".corrupt-")?;
    let (number, suffix) = rest.split_at(rest.find('-').unwrap_or(rest.len()));
    Some((number.parse().ok(), suffix))
}

/// Goes on in the stored epoch after a clean stop, and begins the next one otherwise. The side file is
/// written first: a crash in between makes the two differ, which only costs one more epoch.
fn begin(conn: &Connection, dir: &Path, damage: Option<Damage>) -> Result<(Tally, Start), StoreError> {
    let side = epoch::read(dir)?;
    let (mark, is_clean, next_seq) =
        conn.query_row("SELECT epoch, opens, clean, next_seq FROM ledger", [], |row| {
            let mark = Mark { epoch: row.get(0)?, opens: row.get(1)? };
            Ok((mark, row.get::<_, bool>(2)?, row.get::<_, u64>(3)?))
        })?;
    let mut last_epoch = mark.epoch.max(side.map_or(0, |side| side.epoch));
    let start = match damage {
        Some(Damage { set_aside, number, detail, salvaged }) => {
            let known = side.map(|side| side.epoch).max(salvaged);
            last_epoch = known.unwrap_or(number * BLIND_JUMP);
            Start::Corrupt { set_aside, detail }
        }
        None if mark.opens == 0 && side.is_none() => Start::Fresh,
        None if mark.opens == 0 => Start::Missing,
        None if is_clean && side == Some(mark) => Start::Clean,
        None => Start::Unclean,
    };
    let opens = mark.opens.max(side.map_or(0, |side| side.opens)) + 1;
    let (epoch, next_seq) = if start == Start::Clean { (mark.epoch, next_seq) } else { (last_epoch + 1, 1) };
    epoch::write(dir, Mark { epoch, opens })?;
    conn.execute(
        "UPDATE ledger SET epoch = ?1, opens = ?2, clean = 0, next_seq = ?3",
        [epoch, opens, next_seq],
    )?;
    Ok((Tally::load(conn, epoch, next_seq)?, start))
}
