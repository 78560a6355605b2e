//! The small file beside the database that remembers the epoch when the database is lost.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use super::StoreError;
use super::words::EPOCH_MAX;

const NAME: &str = "spoolway.epoch";

/// What both the side file and the database say; when they differ, the database is not the one that was
/// opened last (an old copy was put back), and its sequence numbers cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) epoch: u64,
    /// How often the store was opened.
    pub(super) opens: u64,
}

/// The mark, or `None` if the file is missing or not ours.
pub(super) fn read(dir: &Path) -> Result<Option<Mark>, StoreError> {
    let text = match fs::read(dir.join(NAME)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::from_io(&error)),
    };
    Ok(parse(&text))
}

fn parse(text: &str) -> Option<Mark> {
    let (epoch, opens) = text.strip_suffix('\n')?.split_once(' ')?;
    let mark = Mark { epoch: epoch.parse().ok()?, opens: opens.parse().ok()? };
    // A damaged number must not push the epoch to where it cannot rise any more.
    (mark.epoch < EPOCH_MAX && mark.opens < u64::from(u32::MAX)).then_some(mark)
}

/// Replaces the file so that a power cut leaves either the old or the new mark.
pub(super) fn write(dir: &Path, mark: Mark) -> Result<(), StoreError> {
    let replace = || -> std::io::Result<()> {
        let fresh = dir.join(format!("{NAME}.new"));
        let mut file = File::create(&fresh)?;
        writeln!(file, "{} {}", mark.epoch, mark.opens)?;
        file.sync_all()?;
        fs::rename(&fresh, dir.join(NAME))?;
        File::open(dir)?.sync_all()
    };
    replace().map_err(|error| StoreError::from_io(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_and_junk_does_not() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        let mark = Mark { epoch: 7, opens: 12 };
        write(dir.path(), mark).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Some(mark));
        for junk in ["", "7", "7 12", "x y\n", "99999999999 1\n"] {
            fs::write(dir.path().join(NAME), junk).unwrap();
            assert_eq!(read(dir.path()).unwrap(), None, "{junk:?}");
        }
    }
}
