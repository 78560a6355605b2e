//! The file of two slots on the disk and a third one in memory: opened, read, and written in place.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::Advice;
use tracing::warn;

use super::slot::{self, Found, Mark, SLOT_BYTES, Slot};

const NAME: &str = "line-journal";
/// The slot in the runtime folder.
const MEMORY_NAME: &str = "print.mark";
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

/// The open files.
#[derive(Debug)]
pub(super) struct JournalFile {
    file: File,
    /// What has only to outlive the process stands here: in the file it would be a page for the card now and then, and
    /// a new time of change for the file system's journal. Without one the open slot has to do.
    memory: Option<File>,
    /// Number of the newest mark.
    seq: u64,
    /// The slot that is written: never the one that was flushed last.
    open: usize,
}

impl JournalFile {
    /// Opens or makes the file in the state folder, and the slot in the runtime folder, and says what they held.
    pub(super) fn open(state: &Path, runtime: &Path) -> Result<(Self, Found), OpenJournalError> {
        let path = state.join(NAME);
        let (mut opened, mut slots) =
            Self::open_at(state, &path).map_err(|source| OpenJournalError::new(state, source))?;
        let mut found = slot::judge(&slots);
        let path = runtime.join(MEMORY_NAME);
        match open_memory(&path) {
            Ok((memory, slot)) => {
                opened.memory = Some(memory);
                // Only a whole one says anything: a boot has taken it, or the process had just begun to write.
                if matches!(slot, Slot::Whole { .. }) {
                    slots.push(slot);
                    found = slot::judge(&slots);
                }
            }
            Err(error) => {
                warn!(path = %path.display(), %error, "where the print stands is only written to the disk");
            }
        }
        opened.seq = slot::newest(&slots).map_or(0, |(_, seq, _)| seq);
        Ok((opened, found))
    }

    fn open_at(folder: &Path, path: &Path) -> io::Result<(Self, Vec<Slot>)> {
        let (mut file, mut bytes) = open_and_read(path, FILE_BYTES)?;
        let mut slots: Vec<_> = bytes.chunks(SLOT_BYTES).map(slot::decode).collect();
        if let Found::OtherVersion(version) = slot::judge(&slots) {
            // A newer program that was taken back may want it again.
            fs::rename(path, folder.join(format!("{NAME}.v{version}")))?;
            (file, bytes) = open_and_read(path, FILE_BYTES)?;
            slots = vec![Slot::OtherVersion(version)];
        }
        if bytes.len() < FILE_BYTES {
            fill(&file, bytes.len(), FILE_BYTES)?;
            file.sync_all()?;
            File::open(folder)?.sync_all()?;
        }
        let newest = slot::newest(&slots).map_or(SLOTS - 1, |(at, ..)| at);
        Ok((Self { file, memory: None, seq: 0, open: (newest + 1) % SLOTS }, slots))
    }

    /// Writes a mark where it survives the end of this process.
    pub(super) fn write(&mut self, mark: &Mark) -> io::Result<()> {
        let bytes = self.encode(mark)?;
        match &self.memory {
            Some(memory) => memory.write_all_at(&bytes, 0)?,
            None => self.file.write_all_at(&bytes, (self.open * SLOT_BYTES) as u64)?,
        }
        self.seq += 1;
        Ok(())
    }

    /// Writes a mark where it survives a power cut; the other slot is written next.
    pub(super) fn flush(&mut self, mark: &Mark) -> io::Result<()> {
        self.file.write_all_at(&self.encode(mark)?, (self.open * SLOT_BYTES) as u64)?;
        self.seq += 1;
        self.file.sync_data()?;
        self.open = (self.open + 1) % SLOTS;
        Ok(())
    }

    fn encode(&self, mark: &Mark) -> io::Result<Vec<u8>> {
        slot::encode(self.seq + 1, mark)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the mark does not fit its slot"))
    }
}

/// Opens or makes a file, and reads as many bytes.
fn open_and_read(path: &Path, length: usize) -> io::Result<(File, Vec<u8>)> {
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    // Slot by slot in the kernel's memory as well: what it holds as one it counts as written as one.
    rustix::fs::fadvise(&file, 0, None, Advice::Random)?;
    let mut bytes = Vec::with_capacity(length);
    (&mut file).take(length as u64).read_to_end(&mut bytes)?;
    Ok((file, bytes))
}

/// Real zeros: space that is only reserved would cost the file system a journal entry at each first write. Slot by slot, as
/// they are written later.
fn fill(file: &File, mut from: usize, to: usize) -> io::Result<()> {
    while from < to {
        let end = (from / SLOT_BYTES + 1) * SLOT_BYTES;
        file.write_all_at(&vec![0; end - from], from as u64)?;
        from = end;
    }
    Ok(())
}

fn open_memory(path: &Path) -> io::Result<(File, Slot)> {
    let (file, bytes) = open_and_read(path, SLOT_BYTES)?;
    fill(&file, bytes.len(), SLOT_BYTES)?;
    Ok((file, slot::decode(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::super::slot::tests::mark;
    use super::*;

    fn line(found: &Found) -> Option<u64> {
        found.of("job-7731", 1).map(|mark| mark.line)
    }

    /// Both folders are one.
    fn open(folder: &Path) -> (JournalFile, Found) {
        JournalFile::open(folder, folder).unwrap()
    }

    fn reopened(folder: &Path) -> Found {
        open(folder).1
    }

    /// A runtime folder that cannot be used.
    fn open_without_memory(folder: &Path) -> (JournalFile, Found) {
        JournalFile::open(folder, &folder.join("not-there")).unwrap()
    }

    fn what_was_written_is_found_again(open: fn(&Path) -> (JournalFile, Found)) {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, found) = open(folder.path());
        assert_eq!(found, Found::Nothing);
        for n in 1..=5 {
            if n % 2 == 0 {
                file.flush(&mark(n)).unwrap();
            } else {
                file.write(&mark(n)).unwrap();
            }
            assert_eq!(line(&open(folder.path()).1), Some(n));
        }
        let (mut file, _) = open(folder.path());
        file.write(&mark(6)).unwrap();
        assert_eq!(line(&open(folder.path()).1), Some(6));
        assert_eq!(fs::metadata(folder.path().join(NAME)).unwrap().len(), FILE_BYTES as u64);
    }

    #[test]
    fn what_was_written_is_found_again_with_memory() {
        what_was_written_is_found_again(open);
    }

    #[test]
    fn what_was_written_is_found_again_without_memory() {
        what_was_written_is_found_again(open_without_memory);
    }

    #[test]
    fn what_has_only_to_outlive_the_process_does_not_touch_the_disk() {
        let (state, runtime) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut file, _) = JournalFile::open(state.path(), runtime.path()).unwrap();
        file.flush(&mark(1)).unwrap();
        let path = state.path().join(NAME);
        let flushed = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().modified().unwrap());
        for n in 2..=9 {
            file.write(&mark(n)).unwrap();
        }
        assert_eq!((fs::read(&path).unwrap(), fs::metadata(&path).unwrap().modified().unwrap()), flushed);
        let found = JournalFile::open(state.path(), runtime.path()).unwrap().1;
        assert_eq!(line(&found), Some(9));
        // A boot takes the memory.
        let found = JournalFile::open(state.path(), tempfile::tempdir().unwrap().path()).unwrap().1;
        assert_eq!(line(&found), Some(1));
        file.flush(&mark(10)).unwrap();
        let found = JournalFile::open(state.path(), tempfile::tempdir().unwrap().path()).unwrap().1;
        assert_eq!(line(&found), Some(10));
    }

    #[test]
    fn a_slot_of_memory_that_is_torn_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, _) = open(folder.path());
        file.flush(&mark(1)).unwrap();
        file.write(&mark(2)).unwrap();
        let path = folder.path().join(MEMORY_NAME);
        let mut bytes = fs::read(&path).unwrap();
        bytes[40] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(line(&reopened(folder.path())), Some(1));
        fs::write(&path, &bytes[..100]).unwrap();
        let (mut file, found) = open(folder.path());
        assert_eq!(line(&found), Some(1));
        file.write(&mark(3)).unwrap();
        assert_eq!(line(&reopened(folder.path())), Some(3));
    }

    /// A power cut leaves of what was not flushed what it likes: here each beginning of it, over what was there before.
    #[test]
    fn a_write_that_is_torn_at_any_byte_leaves_the_mark_that_was_flushed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let (mut file, _) = open_without_memory(folder.path());
        for n in [1, 2] {
            file.flush(&mark(n)).unwrap();
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
        let (mut file, _) = open_without_memory(folder.path());
        for n in [1, 2] {
            file.flush(&mark(n)).unwrap();
        }
        let whole = fs::read(&path).unwrap();
        for length in (0..FILE_BYTES).step_by(61).chain([SLOT_BYTES, SLOT_BYTES + 1]) {
            fs::write(&path, &whole[..length]).unwrap();
            let found = open_without_memory(folder.path()).1;
            // A slot is whole as soon as all but its zeros are there.
            match line(&found) {
                Some(found) => assert_eq!(found, if length <= SLOT_BYTES { 1 } else { 2 }.min(found)),
                None => assert_eq!(found, if length == 0 { Found::Nothing } else { Found::Damaged }),
            }
            let (mut file, _) = open_without_memory(folder.path());
            file.write(&mark(9)).unwrap();
            assert_eq!(line(&open_without_memory(folder.path()).1), Some(9), "{length}");
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
        let (mut file, found) = open(folder.path());
        assert_eq!(found, Found::OtherVersion(3));
        assert_eq!(fs::read(folder.path().join("line-journal.v3")).unwrap(), other);
        file.write(&mark(2)).unwrap();
        assert_eq!(line(&reopened(folder.path())), Some(2));
    }
}
