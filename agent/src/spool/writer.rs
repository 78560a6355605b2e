//! Writing a body: frames in large transactions, resumable at the last one, complete or nothing.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use rusqlite::Connection;
use sha2::Digest;
use spoolway_protocol::limits::DURABLE_EVERY_BYTES;

use super::digest::{self, SoFar};
use super::frames::{self, FRAME_BYTES, FrameHead, FrameReader, FrameWriter, SpooledBody};
use super::{Spool, SpoolError, hex, names};

/// Writes one body. All calls block: use it on a thread of its own or in `spawn_blocking`.
///
/// It may be kept while a link is down and goes on at `received`. After a restart of the process `Spool::write` goes on at
/// `durable`, and reads back only what the digest that is kept beside the frames does not cover. Dropping it keeps what is durable.
pub struct SpoolWriter {
    spool: Spool,
    path: PathBuf,
    conn: Connection,
    packer: FrameWriter,
    /// Of the frames that were inserted.
    so_far: SoFar,
    /// Bytes behind the last whole frame.
    tail: Vec<u8>,
    durable_bytes: u64,
    read_back_bytes: u64,
    /// A failed transaction leaves frames missing, so nothing may follow it.
    is_broken: bool,
}

impl SpoolWriter {
    pub(super) fn open(spool: Spool, path: PathBuf) -> Result<Self, SpoolError> {
        let conn = frames::open_for_writing(&path, spool.options.max_page_count)?;
        let mut writer = Self {
            spool,
            path,
            conn,
            packer: FrameWriter::new()?,
            so_far: SoFar::default(),
            tail: Vec::with_capacity(FRAME_BYTES),
            durable_bytes: 0,
            read_back_bytes: 0,
            is_broken: false,
        };
        let is_kept = writer.take_up()?;
        writer.rehash(is_kept)?;
        writer.durable_bytes = writer.stored_bytes();
        Ok(writer)
    }

    /// Takes up the digest that is kept, if the frames that it covers are here. Says whether it did.
    fn take_up(&mut self) -> Result<bool, SpoolError> {
        let Some(kept) = SoFar::load(&self.conn)? else { return Ok(false) };
        if let Some(last) = kept.frames.checked_sub(1) {
            let fits = |head: FrameHead| {
                (head.first_byte, head.raw_len) == (last * FRAME_BYTES as u64, FRAME_BYTES)
                    && head.first_line <= kept.line_ends
            };
            if !frames::head(&self.conn, last)?.is_some_and(fits) {
                return Ok(false);
            }
        }
        self.so_far = kept;
        Ok(true)
    }

    /// Reads back what is stored behind that, up to the first frame that is short or damaged, and drops the rest. A
    /// `body` row is left here only by a crash just before the rename; it is earned again.
    fn rehash(&mut self, is_kept: bool) -> Result<(), SpoolError> {
        let mut reader = FrameReader::new()?;
        let mut raw = Vec::new();
        loop {
            let head = match reader.read(&self.conn, self.so_far.frames, &mut raw) {
                Ok(Some(head)) => head,
                Ok(None) | Err(SpoolError::Damaged(_)) => break,
                Err(other) => return Err(other),
            };
            if head != self.next_head(FRAME_BYTES) {
                break;
            }
            self.so_far.hash.update(&raw);
            self.so_far.line_ends += frames::line_ends(&raw);
            self.so_far.frames += 1;
            self.read_back_bytes += FRAME_BYTES as u64;
        }
        self.guarded(|writer| {
            writer.begin()?;
            writer.conn.execute("DELETE FROM frame WHERE n >= ?1", [writer.so_far.frames])?;
            writer.conn.execute("DELETE FROM body", [])?;
            if writer.read_back_bytes > 0 {
                writer.so_far.save(&writer.conn)?;
            } else if !is_kept {
                digest::forget(&writer.conn)?;
            }
            Ok(writer.conn.execute_batch("COMMIT")?)
        })
    }

    /// Bytes from the start that survive a power cut; a transfer resumes here after a restart.
    pub fn durable(&self) -> u64 {
        self.durable_bytes
    }

    /// Bytes that had to be read back when it was opened, because no digest of them was kept.
    pub fn read_back(&self) -> u64 {
        self.read_back_bytes
    }

    /// Bytes that `append` has taken; a transfer goes on here while the writer lives.
    pub fn received(&self) -> u64 {
        self.stored_bytes() + self.tail.len() as u64
    }

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// `TooLarge` above the limit, `DiskFull` without room, then `Broken`.
    pub fn append(&mut self, mut bytes: &[u8]) -> Result<(), SpoolError> {
        if self.is_broken {
            return Err(SpoolError::Broken);
        }
        let size = self.received().saturating_add(bytes.len() as u64);
        if size > self.spool.options.max_body_bytes {
            return Err(SpoolError::TooLarge { size, max: self.spool.options.max_body_bytes });
        }
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(FRAME_BYTES - self.tail.len()));
            self.tail.extend_from_slice(now);
            bytes = later;
            if self.tail.len() == FRAME_BYTES {
                self.guarded(|writer| {
                    writer.insert_tail()?;
                    if writer.stored_bytes() - writer.durable_bytes >= DURABLE_EVERY_BYTES {
                        writer.commit()?;
                    }
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// Makes every whole frame durable and lets go; returns where a transfer resumes.
    ///
    /// # Errors
    /// `DiskFull` or a fault of the device.
    pub fn suspend(mut self) -> Result<u64, SpoolError> {
        if self.is_broken {
            return Err(SpoolError::Broken);
        }
        self.guarded(Self::commit)?;
        Ok(self.durable_bytes)
    }

    /// Completes the body if it is the promised one. When this returns, the body survives a power cut.
    ///
    /// # Errors
    /// `TruncatedFile` keeps what came, to be resumed; `AlteredFile` leaves nothing; `DiskFull` keeps what is
    /// durable.
    pub fn finish(mut self, expected_sha256: &str, expected_size: u64) -> Result<SpooledBody, SpoolError> {
        if self.is_broken {
            return Err(SpoolError::Broken);
        }
        let found = self.received();
        if found < expected_size {
            self.guarded(Self::commit)?;
            return Err(SpoolError::TruncatedFile { expected: expected_size, found });
        }
        let found_sha256 = self.sha256();
        if found != expected_size || found_sha256 != expected_sha256.to_ascii_lowercase() {
            self.discard()?;
            return Err(SpoolError::AlteredFile {
                expected: expected_sha256.to_owned(),
                found: found_sha256,
            });
        }
        self.complete(found_sha256)
    }

    /// Completes the body as whatever it is.
    pub(super) fn finish_as_found(self) -> Result<SpooledBody, SpoolError> {
        let sha256 = self.sha256();
        self.complete(sha256)
    }

    /// Of all that was taken.
    fn sha256(&self) -> String {
        let mut hash = self.so_far.hash.clone();
        hash.update(&self.tail);
        hex(&hash.finalize())
    }

    /// Removes everything that was stored.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn discard(self) -> Result<(), SpoolError> {
        let Self { conn, path, .. } = self;
        drop(conn);
        names::remove_with_journal(&path)?;
        Ok(())
    }

    fn complete(mut self, sha256: String) -> Result<SpooledBody, SpoolError> {
        let size = self.received();
        let has_open_line = self.tail.last().is_some_and(|last| *last != b'\n')
            || (self.tail.is_empty() && self.ends_inside_a_line()?);
        let lines = self.so_far.line_ends + frames::line_ends(&self.tail) + u64::from(has_open_line);
        let body = SpooledBody { sha256, size, lines };
        self.guarded(|writer| {
            writer.begin()?;
            // Of whole frames: a short last one is dropped again if a crash comes before the rename.
            writer.so_far.save(&writer.conn)?;
            if !writer.tail.is_empty() {
                writer.insert_tail()?;
            }
            frames::put_body(&writer.conn, &body)?;
            writer.make_durable()
        })?;
        let Self { conn, path, spool, .. } = self;
        conn.close().map_err(|(_, error)| error)?;
        // The body is committed, so its journal is empty; it must not stand beside another body later.
        names::remove_if_there(&names::journal_of(&path))?;
        fs::rename(&path, spool.body_path(&body.sha256)?)?;
        File::open(&spool.dir)?.sync_all()?;
        Ok(body)
    }

    /// Whether the last stored frame ends without a line end.
    fn ends_inside_a_line(&self) -> Result<bool, SpoolError> {
        let Some(last) = self.so_far.frames.checked_sub(1) else { return Ok(false) };
        let mut raw = Vec::new();
        FrameReader::new()?.read(&self.conn, last, &mut raw)?;
        Ok(raw.last().is_some_and(|last| *last != b'\n'))
    }

    fn stored_bytes(&self) -> u64 {
        self.so_far.frames * FRAME_BYTES as u64
    }

    fn next_head(&self, raw_len: usize) -> FrameHead {
        FrameHead { first_byte: self.stored_bytes(), first_line: self.so_far.line_ends, raw_len }
    }

    fn insert_tail(&mut self) -> Result<(), SpoolError> {
        self.begin()?;
        let head = self.next_head(self.tail.len());
        let packed_bytes = self.packer.insert(&self.conn, self.so_far.frames, head, &self.tail)?;
        self.spool.written_bytes.fetch_add(packed_bytes, Ordering::Relaxed);
        self.so_far.hash.update(&self.tail);
        self.so_far.line_ends += frames::line_ends(&self.tail);
        self.so_far.frames += 1;
        self.tail.clear();
        Ok(())
    }

    fn begin(&self) -> Result<(), SpoolError> {
        if self.conn.is_autocommit() {
            self.conn.execute_batch("BEGIN IMMEDIATE")?;
        }
        Ok(())
    }

    /// Makes the whole frames durable, and in the same step the digest of them.
    fn commit(&mut self) -> Result<(), SpoolError> {
        if self.conn.is_autocommit() {
            return Ok(());
        }
        self.so_far.save(&self.conn)?;
        self.make_durable()
    }

    fn make_durable(&mut self) -> Result<(), SpoolError> {
        self.spool.check_reserve()?;
        self.conn.execute_batch("COMMIT")?;
        self.durable_bytes = self.stored_bytes();
        Ok(())
    }

    /// Runs a step that writes; if it fails, the transaction is undone and the writer takes nothing more.
    fn guarded(&mut self, step: impl FnOnce(&mut Self) -> Result<(), SpoolError>) -> Result<(), SpoolError> {
        let result = step(self);
        if result.is_err() {
            self.is_broken = true;
            if !self.conn.is_autocommit() {
                self.conn.execute_batch("ROLLBACK")?;
            }
        }
        result
    }
}
