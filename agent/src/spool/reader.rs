//! Reading a body: a stream of bytes with one packed and one raw frame in memory, seekable by byte and line.

use std::io::{self, Read};

use rusqlite::Connection;

use super::frames::{self, FRAME_BYTES, FrameReader, SpooledBody};
use super::{Spool, SpoolError};

/// Streams a complete body. All calls block. It goes on reading after the body was deleted.
pub struct SpoolReader {
    conn: Connection,
    unpacker: FrameReader,
    body: SpooledBody,
    raw: Vec<u8>,
    /// Offset of `raw` in the body; what is read next stands at `first_byte + at`.
    first_byte: u64,
    at: usize,
}

impl SpoolReader {
    pub(super) fn open(spool: &Spool, sha256: &str) -> Result<Self, SpoolError> {
        let path = spool.body_path(sha256)?;
        if !path.exists() {
            return Err(SpoolError::NotFound(sha256.to_owned()));
        }
        let conn = frames::open_for_reading(&path)?;
        let body = frames::body(&conn)?
            .filter(|body| body.sha256.eq_ignore_ascii_case(sha256))
            .ok_or_else(|| SpoolError::Damaged("its row is missing".to_owned()))?;
        Ok(Self { conn, unpacker: FrameReader::new()?, body, raw: Vec::new(), first_byte: 0, at: 0 })
    }

    /// What is read.
    pub fn body(&self) -> &SpooledBody {
        &self.body
    }

    /// Offset of the next byte.
    pub fn position(&self) -> u64 {
        self.first_byte + self.at as u64
    }

    /// Goes to a byte, from 0; the size itself is the end.
    ///
    /// # Errors
    /// `PastEnd` behind the end, or what reading gives.
    pub fn seek_byte(&mut self, offset: u64) -> Result<(), SpoolError> {
        if offset > self.body.size {
            return Err(SpoolError::PastEnd { wanted: offset });
        }
        self.load(offset / FRAME_BYTES as u64)?;
        self.at = usize::try_from(offset - self.first_byte).expect("an offset in a frame is small");
        Ok(())
    }

    /// Goes to the first byte of a line, from 0, and returns its offset.
    ///
    /// # Errors
    /// `PastEnd` behind the last line, or what reading gives.
    pub fn seek_line(&mut self, line: u64) -> Result<u64, SpoolError> {
        if line >= self.body.lines && line > 0 {
            return Err(SpoolError::PastEnd { wanted: line });
        }
        let frame = self.frame_before_line(line)?;
        let first_line = self.load(frame)?;
        let offset = self.first_byte + nth_line_offset(&self.raw, line - first_line) as u64;
        self.seek_byte(offset)?;
        Ok(offset)
    }

    /// The last frame that begins before the end of line `line - 1`: the line begins in it or right behind.
    fn frame_before_line(&self, line: u64) -> Result<u64, SpoolError> {
        let (mut low, mut high) = (0, frames::count(&self.conn)?);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match frames::head(&self.conn, middle)? {
                Some(head) if head.first_line < line => low = middle,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// Unpacks a frame and returns its first line; behind the last frame there are no bytes.
    fn load(&mut self, frame: u64) -> Result<u64, SpoolError> {
        self.at = 0;
        match self.unpacker.read(&self.conn, frame, &mut self.raw)? {
            Some(head) => {
                self.first_byte = head.first_byte;
                Ok(head.first_line)
            }
            None => {
                let end = frame * FRAME_BYTES as u64;
                if end < self.body.size {
                    return Err(SpoolError::Damaged(format!("frame {frame} is missing")));
                }
                self.raw.clear();
                self.first_byte = end;
                Ok(self.body.lines)
            }
        }
    }
}

/// Offset behind the `n`th line end, 0 for none.
fn nth_line_offset(raw: &[u8], n: u64) -> usize {
    let Some(skip) = n.checked_sub(1) else { return 0 };
    let ends = raw.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    ends.map(|(at, _)| at + 1).nth(usize::try_from(skip).unwrap_or(usize::MAX)).unwrap_or(raw.len())
}

impl Read for SpoolReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.raw.len() {
            let next = self.position();
            if next >= self.body.size {
                return Ok(0);
            }
            self.seek_byte(next).map_err(io::Error::other)?;
        }
        let left = &self.raw[self.at..];
        let len = left.len().min(into.len());
        into[..len].copy_from_slice(&left[..len]);
        self.at += len;
        Ok(len)
    }
}
