//! The spool: job bodies on disk, one SQLite file per body, written once and streamed frame by frame.
//!
//! A body under its final name is complete and verified. A part holds what is durable of a body that is
//! still coming. Everything here blocks: call it from a thread of its own or from `spawn_blocking`.

mod digest;
mod error;
mod frames;
mod names;
mod reader;
mod room;
mod writer;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use error::SpoolError;
pub use frames::SpooledBody;
pub use reader::SpoolReader;
pub use room::{Megabytes, Room, Shortage};
pub use writer::SpoolWriter;

/// The bounds of the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolOptions {
    /// The most that all job bodies may take together, in bytes of the device.
    pub max_bytes: u64,
    /// Free bytes of the device that job bodies must leave to the database and the system.
    pub reserve_bytes: u64,
    /// Largest body, raw bytes.
    pub max_body_bytes: u64,
    /// Pages of 4 KiB that one body may have; `None` for no limit but the disk.
    pub max_page_count: Option<u32>,
}

impl Default for SpoolOptions {
    fn default() -> Self {
        Self { max_bytes: 4 << 30, reserve_bytes: 64 << 20, max_body_bytes: 2 << 30, max_page_count: None }
    }
}

/// A file of the spool folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolEntry {
    /// The sha256 of a complete body, or the key of a part.
    pub name: String,
    /// Bytes that it takes in the file system.
    pub file_bytes: u64,
}

/// A handle to the spool folder; clones share the folder.
#[derive(Debug, Clone)]
pub struct Spool {
    dir: PathBuf,
    options: SpoolOptions,
    /// Packed bytes that this process has written, of all bodies.
    written_bytes: Arc<AtomicU64>,
}

impl Spool {
    /// Opens or creates the folder, and removes journals without a body and imports that a crash left.
    ///
    /// # Errors
    /// If the folder cannot be made, read or cleaned.
    pub fn open(dir: &Path, options: SpoolOptions) -> Result<Self, SpoolError> {
        fs::create_dir_all(dir)?;
        let spool = Self { dir: dir.to_owned(), options, written_bytes: Arc::default() };
        spool.clean()?;
        Ok(spool)
    }

    fn clean(&self) -> Result<(), SpoolError> {
        for name in self.file_names()? {
            let path = self.dir.join(&name);
            if name.starts_with(names::IMPORT) && name.ends_with(names::PART) {
                names::remove_with_journal(&path)?;
            }
            // The journal of a part that exists may be needed to undo its last transaction.
            if let Some(database) = name.strip_suffix(names::JOURNAL)
                && !self.dir.join(database).exists()
            {
                names::remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    /// Whether a body of this size may be accepted now, beside others of `promised_bytes` that are still coming.
    ///
    /// # Errors
    /// `TooLarge` above the limit; `NoRoom` if it would not fit even uncompressed.
    pub fn admit(&self, size: u64, promised_bytes: u64) -> Result<(), SpoolError> {
        let max = self.options.max_body_bytes;
        if size > max {
            return Err(SpoolError::TooLarge { size, max });
        }
        let room = self.room()?;
        let needed_bytes = size.saturating_add(promised_bytes);
        if room.left_bytes() < needed_bytes {
            return Err(SpoolError::NoRoom(Shortage { needed_bytes: size, promised_bytes, room }));
        }
        Ok(())
    }

    /// How the room for job bodies stands.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn room(&self) -> Result<Room, SpoolError> {
        let device = rustix::fs::statvfs(&self.dir).map_err(std::io::Error::from)?;
        let mut used_bytes = 0;
        for entry in self.bodies()?.into_iter().chain(self.parts()?) {
            used_bytes += entry.file_bytes;
        }
        Ok(Room {
            used_bytes,
            max_bytes: self.options.max_bytes,
            free_bytes: device.f_bavail.saturating_mul(device.f_frsize),
            device_bytes: device.f_blocks.saturating_mul(device.f_frsize),
            reserve_bytes: self.options.reserve_bytes,
        })
    }

    /// Packed bytes of bodies that were written since the spool was opened.
    #[must_use]
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::Relaxed)
    }

    /// While a body is written: whether the reserve is still there.
    fn check_reserve(&self) -> Result<(), SpoolError> {
        let device = rustix::fs::statvfs(&self.dir).map_err(std::io::Error::from)?;
        let free_bytes = device.f_bavail.saturating_mul(device.f_frsize);
        if free_bytes < self.options.reserve_bytes { Err(SpoolError::DiskFull) } else { Ok(()) }
    }

    /// Whether the complete body is here, so that no transfer is needed.
    ///
    /// # Errors
    /// `BadName` if that is no sha256.
    pub fn contains(&self, sha256: &str) -> Result<bool, SpoolError> {
        Ok(self.body_path(sha256)?.exists())
    }

    /// Size and lines of a complete body.
    ///
    /// # Errors
    /// `NotFound`, `BadName` or `Damaged`.
    pub fn body(&self, sha256: &str) -> Result<SpooledBody, SpoolError> {
        Ok(self.read(sha256)?.body().clone())
    }

    /// Streams a complete body.
    ///
    /// # Errors
    /// `NotFound`, `BadName` or `Damaged`.
    pub fn read(&self, sha256: &str) -> Result<SpoolReader, SpoolError> {
        SpoolReader::open(self, sha256)
    }

    /// Begins a body or resumes it at `SpoolWriter::durable`. `key` names the part: letters, digits, `-` and
    /// `_`, at most 128. A part that is damaged beyond reading begins anew.
    ///
    /// # Errors
    /// `Busy` while another writer has it, `BadName`, `DiskFull`.
    pub fn write(&self, key: &str) -> Result<SpoolWriter, SpoolError> {
        let path = self.dir.join(names::part(key)?);
        self.check_reserve()?;
        match SpoolWriter::open(self.clone(), path.clone()) {
            Err(SpoolError::Damaged(_)) => {
                names::remove_with_journal(&path)?;
                SpoolWriter::open(self.clone(), path)
            }
            other => other,
        }
    }

    /// Takes a local file into the spool, beside others of `promised_bytes` that are still coming.
    ///
    /// # Errors
    /// If it cannot be read, is too large or does not fit; nothing of it is left then.
    pub fn import(&self, path: &Path, promised_bytes: u64) -> Result<SpooledBody, SpoolError> {
        /// Sets imports apart that run at the same time.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut source = File::open(path)?;
        self.admit(source.metadata()?.len(), promised_bytes)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let key = format!("{}{}-{number}", names::IMPORT, std::process::id());
        let mut writer = self.write(&key)?;
        let result = copy(&mut source, &mut writer).and_then(|()| writer.finish_as_found());
        if result.is_err() {
            self.delete_part(&key)?;
        }
        result
    }

    /// Complete bodies, without opening them.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn bodies(&self) -> Result<Vec<SpoolEntry>, SpoolError> {
        self.entries(names::BODY)
    }

    /// Bodies that are still coming.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn parts(&self) -> Result<Vec<SpoolEntry>, SpoolError> {
        self.entries(names::PART)
    }

    /// Removes a complete body; says whether it was there. Who reads it now can read on.
    ///
    /// # Errors
    /// `BadName`, or if it cannot be removed.
    pub fn delete(&self, sha256: &str) -> Result<bool, SpoolError> {
        Ok(names::remove_with_journal(&self.body_path(sha256)?)?)
    }

    /// Removes a part; says whether it was there.
    ///
    /// # Errors
    /// `BadName`, or if it cannot be removed.
    pub fn delete_part(&self, key: &str) -> Result<bool, SpoolError> {
        Ok(names::remove_with_journal(&self.dir.join(names::part(key)?))?)
    }

    fn body_path(&self, sha256: &str) -> Result<PathBuf, SpoolError> {
        Ok(self.dir.join(names::body(sha256)?))
    }

    fn entries(&self, suffix: &str) -> Result<Vec<SpoolEntry>, SpoolError> {
        let mut entries = Vec::new();
        for file in self.file_names()? {
            if let Some(name) = file.strip_suffix(suffix) {
                // One that was removed meanwhile takes nothing.
                let Ok(found) = fs::metadata(self.dir.join(&file)) else { continue };
                entries.push(SpoolEntry { name: name.to_owned(), file_bytes: found.len() });
            }
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn file_names(&self) -> Result<Vec<String>, SpoolError> {
        let mut file_names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            file_names.extend(entry?.file_name().into_string());
        }
        Ok(file_names)
    }
}

fn copy(source: &mut File, writer: &mut SpoolWriter) -> Result<(), SpoolError> {
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match source.read(&mut chunk)? {
            0 => return Ok(()),
            len => writer.append(&chunk[..len])?,
        }
    }
}

/// Lower-case hex.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
