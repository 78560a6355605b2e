//! The file of two slots: opened, read, and written in place.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::slot::{self, Found, Mark, SLOT_BYTES};

const NAME: &str = "line-journal";
const SLOTS: usize = 2;
const FILE_BYTES: usize = SLOTS * SLOT_BYTES;

/// The journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct OpenJournalError {
    /// The file.
    path: PathBuf,
    /// What the system says.
    source: io::Error,
}

impl OpenJournalError {
    pub(super) fn new(folder: &Path, source: io::Error) -> Self {
        Self { path: folder.join(NAME), source }
    }
}

/// The open file.
#[derive(Debug)]
pub(super) struct JournalFile {
    file: File,
    /// Number of the newest mark.
    seq: u64,
    /// The slot that is written: never the one that was flushed last.
    open: usize,
    /// Something was written since the last flush.
    unflushed: bool,
}

impl JournalFile {
    /// Opens or makes the file in a folder, and says what it held.
    pub(super) fn open(folder: &Path) -> Result<(Self, Found), OpenJournalError> {
        let path = folder.join(NAME);
        Self::open_at(folder, &path).map_err(|source| OpenJournalError::new(folder, source))
    }

    fn open_at(folder: &Path, path: &Path) -> io::Result<(Self, Found)> {
        let open = || File::options().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open()?;
        let mut bytes = Vec::with_capacity(FILE_BYTES);
        (&mut file).take(FILE_BYTES as u64).read_to_end(&mut bytes)?;
        let mut slots: Vec<_> = bytes.chunks(SLOT_BYTES).map(slot::decode).collect();
        let found = slot::judge(&slots);
        if let Found::OtherVersion(version) = found {
            // A newer program that was taken back may want it again.
            fs::rename(path, folder.join(format!("{NAME}.v{version}")))?;
            file = open()?;
            (bytes, slots) = (Vec::new(), Vec::new());
        }
        if bytes.len() < FILE_BYTES {
            // Real zeros: space that is only reserved would cost the file system a journal entry at each first write.
            file.write_all_at(&vec![0; FILE_BYTES - bytes.len()], bytes.len() as u64)?;
            file.sync_all()?;
            File::open(folder)?.sync_all()?;
        }
        let (newest, seq) = slot::newest(&slots).map_or((SLOTS - 1, 0), |(at, seq, _)| (at, seq));
        Ok((Self { file, seq, open: (newest + 1) % SLOTS, unflushed: false }, found))
    }

    /// Writes a mark where it survives the end of this process.
    pub(super) fn write(&mut self, mark: &Mark) -> io::Result<()> {
        let bytes = slot::encode(self.seq + 1, mark)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the mark does not fit its slot"))?;
        self.unflushed = true;
        self.file.write_all_at(&bytes, (self.open * SLOT_BYTES) as u64)?;
        self.seq += 1;
        Ok(())
    }

    /// Makes what was written survive a power cut; the other slot is written next.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.unflushed {
            self.file.sync_data()?;
            self.unflushed = false;
            self.open = (self.open + 1) % SLOTS;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::slot::tests::mark;
    use super::*;

    fn line(found: &Found) -> Option<u64> {
        found.of("job-7731", 1).map(|mark| mark.line)
    }

    fn reopened(folder: &Path) -> Found {
        JournalFile::open(folder).unwrap().1
    }

    #[test]
    fn what_was_written_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, found) = JournalFile::open(folder.path()).unwrap();
        assert_eq!(found, Found::Nothing);
        for n in 1..=5 {
            file.write(&mark(n)).unwrap();
            if n % 2 == 0 {
                file.flush().unwrap();
            }
            assert_eq!(line(&reopened(folder.path())), Some(n));
        }
        let (mut file, _) = JournalFile::open(folder.path()).unwrap();
        file.write(&mark(6)).unwrap();
        assert_eq!(line(&reopened(folder.path())), Some(6));
        assert_eq!(fs::metadata(folder.path().join(NAME)).unwrap().len(), FILE_BYTES as u64);
    }

    /// A power cut leaves of what was not flushed what it likes: here each beginning of it, over what was there before.
    #[test]
    fn a_write_that_is_torn_at_any_byte_leaves_the_mark_that_was_flushed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let (mut file, _) = JournalFile::open(folder.path()).unwrap();
        for n in [1, 2] {
            file.write(&mark(n)).unwrap();
            file.flush().unwrap();
        }
        let flushed = fs::read(&path).unwrap();
        file.write(&mark(3)).unwrap();
        file.write(&mark(4)).unwrap();
        let written = fs::read(&path).unwrap();
        let last = (0..FILE_BYTES).rfind(|&at| flushed[at] != written[at]).unwrap();
        let first = (0..FILE_BYTES).find(|&at| flushed[at] != written[at]).unwrap();
        for cut in first..=last {
            let torn = [&written[..cut], &flushed[cut..]].concat();
            fs::write(&path, torn).unwrap();
            assert_eq!(line(&reopened(folder.path())), Some(2), "cut at {cut}");
            let torn = [&flushed[..=cut], &written[cut + 1..]].concat();
            fs::write(&path, torn).unwrap();
            let expected = if cut == last { 2 } else { line(&reopened(folder.path())).unwrap() };
            assert!(expected == 2 || expected == 4, "cut at {cut}");
        }
    }

    #[test]
    fn a_file_that_is_cut_short_keeps_its_whole_slot_and_grows_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let (mut file, _) = JournalFile::open(folder.path()).unwrap();
        for n in [1, 2] {
            file.write(&mark(n)).unwrap();
            file.flush().unwrap();
        }
        let whole = fs::read(&path).unwrap();
        for length in (0..FILE_BYTES).step_by(61).chain([SLOT_BYTES, SLOT_BYTES + 1]) {
            fs::write(&path, &whole[..length]).unwrap();
            let found = reopened(folder.path());
            // A slot is whole as soon as all but its zeros are there.
            match line(&found) {
                Some(found) => assert_eq!(found, if length <= SLOT_BYTES { 1 } else { 2 }.min(found)),
                None => assert_eq!(found, if length == 0 { Found::Nothing } else { Found::Damaged }),
            }
            let (mut file, _) = JournalFile::open(folder.path()).unwrap();
            file.write(&mark(9)).unwrap();
            assert_eq!(line(&reopened(folder.path())), Some(9), "{length}");
            assert_eq!(fs::metadata(&path).unwrap().len(), FILE_BYTES as u64);
        }
    }

    #[test]
    fn the_file_of_another_version_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let mut other = slot::encode(7, &mark(1)).unwrap();
        other[8] = 3;
        fs::write(&path, &other).unwrap();
        let (mut file, found) = JournalFile::open(folder.path()).unwrap();
        assert_eq!(found, Found::OtherVersion(3));
        assert_eq!(fs::read(folder.path().join("line-journal.v3")).unwrap(), other);
        file.write(&mark(2)).unwrap();
        assert_eq!(line(&reopened(folder.path())), Some(2));
    }
}
