//! The format of a body: one database file, a table of independent zstd frames and one row when complete.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::compress_bound;

use super::{SpoolError, digest};

/// Raw bytes of every frame but the last.
pub(super) const FRAME_BYTES: usize = 256 * 1024;
/// A level above costs the Pi more time than the card gains.
const LEVEL: i32 = 3;

/// `first_line` is the number of line ends before the frame; a frame's `n` is `first_byte / FRAME_BYTES`.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS frame(
  n INTEGER PRIMARY KEY, first_byte INTEGER NOT NULL, first_line INTEGER NOT NULL, raw_len INTEGER NOT NULL,
  zstd BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS body(
  sha256 TEXT NOT NULL, size INTEGER NOT NULL, lines INTEGER NOT NULL, complete INTEGER NOT NULL);
";

/// A complete body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpooledBody {
    /// Lower-case hex.
    pub sha256: String,
    /// Raw size, bytes.
    pub size: u64,
    /// Lines, counting a last one without a line end.
    pub lines: u64,
}

/// One frame, without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) first_byte: u64,
    pub(super) first_line: u64,
    pub(super) raw_len: usize,
}

/// Opens a body for writing, alone. TRUNCATE and not DELETE: SQLite syncs the emptied journal, so that a power cut cannot
/// bring it back and undo a commit that was reported as durable. Frames are appended and not read again, so a small cache
/// does; what does not fit is written ahead of the commit, which syncs it like everything else.
pub(super) fn open_for_writing(path: &Path, max_page_count: Option<u32>) -> Result<Connection, SpoolError> {
    let conn = Connection::open(path)?;
    conn.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA page_size = 4096;
         PRAGMA journal_mode = TRUNCATE;
         PRAGMA synchronous = FULL;
         PRAGMA cache_size = -256;
         PRAGMA mmap_size = 0;
         PRAGMA temp_store = MEMORY;",
    )?;
    conn.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} {} COMMIT;", digest::SCHEMA))?;
    if let Some(pages) = max_page_count {
        conn.execute_batch(&format!("PRAGMA max_page_count = {pages}"))?;
    }
    Ok(conn)
}

/// Opens a complete body for reading.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, SpoolError> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.execute_batch("PRAGMA cache_size = -64; PRAGMA mmap_size = 0;")?;
    Ok(conn)
}

/// The row of a complete body.
pub(super) fn body(conn: &Connection) -> Result<Option<SpooledBody>, SpoolError> {
    let row = conn.query_row("SELECT sha256, size, lines FROM body WHERE complete = 1", [], |row| {
        Ok(SpooledBody { sha256: row.get(0)?, size: row.get(1)?, lines: row.get(2)? })
    });
    Ok(row.optional()?)
}

/// Marks the body as complete.
pub(super) fn put_body(conn: &Connection, body: &SpooledBody) -> Result<(), SpoolError> {
    conn.execute(
        "INSERT INTO body(sha256, size, lines, complete) VALUES(?1, ?2, ?3, 1)",
        params![body.sha256, body.size, body.lines],
    )?;
    Ok(())
}

/// Frames in a file.
pub(super) fn count(conn: &Connection) -> Result<u64, SpoolError> {
    let last: Option<u64> = conn.query_row("SELECT MAX(n) FROM frame", [], |row| row.get(0))?;
    Ok(last.map_or(0, |last| last + 1))
}

/// One frame without its bytes.
pub(super) fn head(conn: &Connection, n: u64) -> Result<Option<FrameHead>, SpoolError> {
    let mut statement =
        conn.prepare_cached("SELECT first_byte, first_line, raw_len FROM frame WHERE n = ?1")?;
    let head = statement.query_row([n], |row| {
        Ok(FrameHead { first_byte: row.get(0)?, first_line: row.get(1)?, raw_len: row.get(2)? })
    });
    Ok(head.optional()?)
}

/// Compresses frames with one context.
pub(super) struct FrameWriter {
    compressor: Compressor<'static>,
    /// Kept from frame to frame: an allocation of this size for each would leave holes in the heap.
    packed: Vec<u8>,
}

impl FrameWriter {
    pub(super) fn new() -> Result<Self, SpoolError> {
        let mut compressor = Compressor::new(LEVEL)?;
        // Four bytes a frame find what the card changed before it reaches a printer.
        compressor.include_checksum(true)?;
        Ok(Self { compressor, packed: Vec::with_capacity(compress_bound(FRAME_BYTES)) })
    }

    /// Inserts one frame and gives its packed size; the caller has begun the transaction.
    pub(super) fn insert(
        &mut self,
        conn: &Connection,
        n: u64,
        head: FrameHead,
        raw: &[u8],
    ) -> Result<u64, SpoolError> {
        self.packed.clear();
        self.compressor.compress_to_buffer(raw, &mut self.packed)?;
        conn.prepare_cached(
            "INSERT INTO frame(n, first_byte, first_line, raw_len, zstd) VALUES(?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![n, head.first_byte, head.first_line, head.raw_len, self.packed])?;
        Ok(self.packed.len() as u64)
    }
}

/// Unpacks frames with one context.
pub(super) struct FrameReader {
    decompressor: Decompressor<'static>,
}

impl FrameReader {
    pub(super) fn new() -> Result<Self, SpoolError> {
        Ok(Self { decompressor: Decompressor::new()? })
    }

    /// Unpacks frame `n` into `raw`, replacing what it held. `None` behind the last frame.
    pub(super) fn read(
        &mut self,
        conn: &Connection,
        n: u64,
        raw: &mut Vec<u8>,
    ) -> Result<Option<FrameHead>, SpoolError> {
        let Some(head) = head(conn, n)? else { return Ok(None) };
        if head.raw_len > FRAME_BYTES {
            return Err(SpoolError::Damaged(format!("frame {n} claims {} bytes", head.raw_len)));
        }
        raw.clear();
        raw.reserve_exact(FRAME_BYTES);
        let mut statement = conn.prepare_cached("SELECT zstd FROM frame WHERE n = ?1")?;
        let mut rows = statement.query([n])?;
        let row = rows.next()?.ok_or_else(|| SpoolError::Damaged(format!("frame {n} is missing")))?;
        let packed = row.get_ref(0)?.as_blob().map_err(|error| SpoolError::Damaged(error.to_string()))?;
        let len = self
            .decompressor
            .decompress_to_buffer(packed, raw)
            .map_err(|error| SpoolError::Damaged(format!("frame {n}: {error}")))?;
        if len != head.raw_len {
            return Err(SpoolError::Damaged(format!("frame {n} has {len} bytes and not {}", head.raw_len)));
        }
        Ok(Some(head))
    }
}

/// Line ends in some bytes.
pub(super) fn line_ends(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
