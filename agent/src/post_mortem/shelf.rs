//! The folder of post-mortem records: bounded in number and bytes, each written whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use spoolway_protocol::JobId;

use super::Record;

/// Name of the folder in the state folder.
pub const FOLDER: &str = "post-mortem";
/// Bytes of all records together, at most.
pub const TOTAL_BYTES: u64 = 4 << 20;
/// Records that are kept; the oldest goes.
const RECORDS: usize = 24;
/// A larger file is no record of ours.
const RECORD_BYTES: u64 = 256 * 1024;
/// A record that is older goes, where the clock is trusted.
const AGE: Duration = Duration::from_secs(90 * 24 * 3600);
/// The name under which one is written.
const UNFINISHED: &str = "unfinished";
const SUFFIX: &str = ".json";

/// Where records lie; clones are the same place.
#[derive(Debug, Clone)]
pub struct Shelf {
    dir: PathBuf,
    writing: Arc<Mutex<()>>,
}

/// A record that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Rises from one record to the next, whatever the clock shows.
    number: u64,
    /// The job.
    pub job_id: JobId,
    /// The attempt.
    pub attempt: u32,
    /// Its size.
    pub bytes: u64,
    /// When it was written, unix ms.
    pub written_ms: u64,
    path: PathBuf,
}

impl Shelf {
    /// The records of a state folder. The folder is made with the first of them.
    #[must_use]
    pub fn of(state_dir: &Path) -> Self {
        Self { dir: state_dir.join(FOLDER), writing: Arc::default() }
    }

    /// Writes a record, once for each attempt; gives its size, or nothing where there is one already. When the disk is full
    /// the older half makes room.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put(&self, record: &Record, now_ms: Option<u64>) -> io::Result<Option<u64>> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = self.list()?;
        let is_there = |kept: &Kept| kept.job_id == record.job_id && kept.attempt == record.attempt;
        if kept.iter().any(is_there) {
            return Ok(None);
        }
        let bytes = serde_json::to_vec(record)?;
        if bytes.len() as u64 > RECORD_BYTES {
            return Err(io::Error::new(ErrorKind::FileTooLarge, "the record is larger than records may be"));
        }
        self.make_room(&mut kept, bytes.len() as u64, now_ms)?;
        let number = kept.last().map_or(1, |last| last.number + 1);
        let name = format!("{number:08}-{}.{}{SUFFIX}", record.job_id, record.attempt);
        if let Err(error) = self.write(&name, &bytes) {
            if error.kind() != ErrorKind::StorageFull || kept.is_empty() {
                return Err(error);
            }
            for old in &kept[..kept.len().div_ceil(2)] {
                fs::remove_file(&old.path)?;
            }
            self.write(&name, &bytes)?;
        }
        Ok(Some(bytes.len() as u64))
    }

    /// The oldest go until there is room for one more.
    fn make_room(&self, kept: &mut Vec<Kept>, bytes: u64, now_ms: Option<u64>) -> io::Result<()> {
        let is_old = |old: &Kept| {
            now_ms.is_some_and(|now| now.saturating_sub(old.written_ms) > AGE.as_millis() as u64)
        };
        while let Some(oldest) = kept.first() {
            let total: u64 = kept.iter().map(|kept| kept.bytes).sum();
            if kept.len() < RECORDS && total + bytes <= TOTAL_BYTES && !is_old(oldest) {
                break;
            }
            fs::remove_file(&oldest.path)?;
            kept.remove(0);
        }
        Ok(())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.dir) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let unfinished = self.dir.join(UNFINISHED);
        let written = (|| {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            file.write_all(bytes)?;
            // Prints fail when the power does.
            file.sync_data()?;
            fs::rename(&unfinished, self.dir.join(name))?;
            File::open(&self.dir)?.sync_all()
        })();
        if written.is_err() {
            // What could not be written takes no room.
            drop(fs::remove_file(&unfinished));
        }
        written
    }

    /// All records, the oldest first.
    ///
    /// # Errors
    /// The folder cannot be read; one that is not there is empty.
    pub fn list(&self) -> io::Result<Vec<Kept>> {
        let files = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            files => files?,
        };
        let mut kept = Vec::new();
        for file in files {
            let file = file?;
            let Some((number, job_id, attempt)) = file.file_name().to_str().and_then(named) else { continue };
            let found = file.metadata()?;
            let age = found.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let written_ms = age.map_or(0, |age| age.as_millis() as u64);
            kept.push(Kept { number, job_id, attempt, bytes: found.len(), written_ms, path: file.path() });
        }
        kept.sort_by_key(|kept| kept.number);
        Ok(kept)
    }

    /// The record of an attempt, or of the last one of the job that has one.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn find(&self, job: &JobId, attempt: Option<u32>) -> io::Result<Option<Record>> {
        let is_it =
            |kept: &Kept| kept.job_id == *job && attempt.is_none_or(|attempt| kept.attempt == attempt);
        let Some(kept) = self.list()?.into_iter().filter(is_it).max_by_key(|kept| kept.attempt) else {
            return Ok(None);
        };
        self.read(&kept).map(Some)
    }

    /// A record that is there.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn read(&self, kept: &Kept) -> io::Result<Record> {
        let mut bytes = Vec::new();
        File::open(&kept.path)?.take(RECORD_BYTES).read_to_end(&mut bytes)?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Removes the records of jobs that are not to be kept. What cannot be removed keeps no other.
    ///
    /// # Errors
    /// The first that cannot be removed.
    pub fn keep_only(&self, is_kept: impl Fn(&JobId) -> bool) -> io::Result<()> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        drop(fs::remove_file(self.dir.join(UNFINISHED)));
        let mut failed = Ok(());
        for kept in self.list()?.iter().filter(|kept| !is_kept(&kept.job_id)) {
            failed = failed.and(fs::remove_file(&kept.path));
        }
        failed
    }

    /// What all records take.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.list().unwrap_or_default().iter().map(|kept| kept.bytes).sum()
    }
}

/// Number, job and attempt of a file's name.
fn named(name: &str) -> Option<(u64, JobId, u32)> {
    let (number, rest) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let (job, attempt) = rest.rsplit_once('.')?;
    Some((number.parse().ok()?, JobId::new(job).ok()?, attempt.parse().ok()?))
}

#[cfg(test)]
mod tests;
