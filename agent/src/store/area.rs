//! What the database takes on the disk.

use std::fs;
use std::path::{Path, PathBuf};

use super::open::{NAME, set_aside_name};

/// Size of a page of the database.
const PAGE_BYTES: u64 = 4096;

/// The folder of the database, and its bound.
#[derive(Debug)]
pub struct Area {
    pub(super) dir: PathBuf,
    pub(super) max_pages: Option<u32>,
}

impl Area {
    /// The state folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes of the database and its log.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        ["", "-wal"].iter().map(|suffix| size(&self.dir.join(format!("{NAME}{suffix}")))).sum()
    }

    /// The most that the database may have, in bytes; none if only the disk bounds it. Its log comes beside it.
    #[must_use]
    pub fn max_bytes(&self) -> Option<u64> {
        self.max_pages.map(|pages| u64::from(pages) * PAGE_BYTES)
    }

    /// Bytes of damaged databases that were set aside.
    #[must_use]
    pub fn set_aside_bytes(&self) -> u64 {
        let Ok(entries) = fs::read_dir(&self.dir) else { return 0 };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| set_aside_name(name).is_some()).map(|name| size(&self.dir.join(name))).sum()
    }
}

/// A file that is not there takes nothing.
fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}
