//! The log of every block write (the format of the kernel's dm-log-writes), and what a cut leaves of it.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::ensure;

use crate::rng::Rng;

/// `WRITE_LOG_MAGIC`: the first eight bytes of a log (Documentation/admin-guide/device-mapper/log-writes.rst).
const MAGIC: u64 = 0x6a_7366_7773_6872;
/// The smallest unit that lands whole.
const SECTOR: usize = 512;
const FLUSH: u64 = 1;
/// Force unit access: this write itself is on the medium when it is answered.
const FUA: u64 = 2;
const DISCARD: u64 = 4;

/// One write or flush.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Where it goes on the device, in bytes.
    to: u64,
    /// Where its data stands in the log, in bytes.
    from: u64,
    len: usize,
    flags: u64,
    /// Where the log ends with this entry.
    pub(super) end: u64,
}

/// A log that is complete.
#[derive(Debug)]
pub(super) struct WriteLog {
    file: File,
    pub(super) entries: Vec<Entry>,
}

impl WriteLog {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path)?;
        let mut head = [0; 28];
        file.read_exact_at(&mut head, 0)?;
        ensure!(word(&head, 0) == MAGIC, "{} is not a log of block writes", path.display());
        let count = word(&head, 16);
        let sector = u64::from(u32::from_le_bytes(head[24..28].try_into().expect("four bytes")));
        let (mut entries, mut at) = (Vec::new(), sector);
        for _ in 0..count {
            let mut head = [0; 32];
            file.read_exact_at(&mut head, at)?;
            let (to, sectors, flags) = (word(&head, 0), word(&head, 8), word(&head, 16));
            let from = at + sector;
            let len = if flags & DISCARD == 0 { sectors * sector } else { 0 };
            at = from + len;
            entries.push(Entry { to: to * sector, from, len: usize::try_from(len)?, flags, end: at });
        }
        Ok(Self { file, entries })
    }

    fn land(&self, entry: &Entry, image: &mut [u8], mut lands: impl FnMut() -> bool) -> anyhow::Result<()> {
        let mut data = vec![0; entry.len];
        self.file.read_exact_at(&mut data, entry.from)?;
        let start = usize::try_from(entry.to)?;
        ensure!(start + entry.len <= image.len(), "a write goes beyond the device");
        for (n, sector) in data.chunks(SECTOR).enumerate() {
            if lands() {
                let to = start + n * SECTOR;
                image[to..to + sector.len()].copy_from_slice(sector);
            }
        }
        Ok(())
    }
}

/// A device on which the log is played, up to one cut after the other.
#[derive(Debug)]
pub(super) struct Medium<'a> {
    log: &'a WriteLog,
    /// What is certainly there.
    flushed: Vec<u8>,
    /// Entries that were written since the last flush.
    pending: Vec<Entry>,
    next: usize,
}

impl<'a> Medium<'a> {
    pub(super) fn new(log: &'a WriteLog, base: Vec<u8>) -> Self {
        Self { log, flushed: base, pending: Vec::new(), next: 0 }
    }

    /// Plays the log before entry `cut`. Cuts only go forward.
    pub(super) fn play_to(&mut self, cut: usize) -> anyhow::Result<()> {
        for entry in &self.log.entries[self.next..cut] {
            if entry.flags & FLUSH != 0 {
                for pending in self.pending.drain(..) {
                    self.log.land(&pending, &mut self.flushed, || true)?;
                }
            }
            if entry.flags & FUA != 0 {
                self.log.land(entry, &mut self.flushed, || true)?;
            } else if entry.len > 0 {
                self.pending.push(*entry);
            }
        }
        self.next = cut;
        Ok(())
    }

    /// The device as a cut here leaves it: every sector that was not flushed has landed or not. Gives how many have not.
    pub(super) fn cut(&self, rng: &mut Rng) -> anyhow::Result<(Vec<u8>, u64)> {
        let (mut image, mut lost) = (self.flushed.clone(), 0);
        for entry in &self.pending {
            self.log.land(entry, &mut image, || {
                let lands = rng.below(2) == 0;
                lost += u64::from(!lands);
                lands
            })?;
        }
        Ok((image, lost))
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log as a device would write it: sectors, data, flags.
    fn log(entries: &[(u64, &[u8], u64)]) -> (tempfile::TempDir, WriteLog) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut bytes = Vec::new();
        for number in [MAGIC, 1, entries.len() as u64] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(512_u32.to_le_bytes());
        bytes.resize(512, 0);
        for (sector, data, flags) in entries {
            let head = bytes.len();
            for number in [*sector, data.len() as u64 / 512, *flags, 0] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.resize(head + 512, 0);
            bytes.extend(*data);
        }
        std::fs::write(&path, bytes).unwrap();
        let log = WriteLog::open(&path).unwrap();
        (dir, log)
    }

    #[test]
    fn what_was_flushed_stays_and_the_rest_lands_sector_by_sector() {
        let many = [7; 64 * 512];
        let (_dir, log) = log(&[(0, &[1; 512], 0), (0, &[], FLUSH), (2, &many, 0), (1, &[3; 512], FUA)]);
        assert_eq!(log.entries.len(), 4);
        let mut medium = Medium::new(&log, vec![0; 128 * 512]);
        medium.play_to(1).unwrap();
        let seeds = || (0..20).map(Rng::new);
        let landed = seeds().filter(|rng| medium.cut(&mut rng.clone()).unwrap().0[0] == 1).count();
        assert!((1..20).contains(&landed), "{landed}");

        medium.play_to(4).unwrap();
        for mut rng in seeds() {
            let (image, lost) = medium.cut(&mut rng).unwrap();
            assert_eq!((image[0], image[511], image[512], image[1023]), (1, 1, 3, 3), "flushed, and forced");
            let sectors: Vec<_> = image[1024..66 * 512].chunks(512).collect();
            assert!(sectors.iter().all(|sector| sector.iter().all(|byte| *byte == sector[0])));
            assert_eq!(sectors.iter().filter(|sector| sector[0] == 0).count() as u64, lost);
            assert!((8..56).contains(&lost), "{lost}");
        }
    }

    #[test]
    fn another_file_is_no_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, [5; 4096]).unwrap();
        assert!(WriteLog::open(&path).is_err());
    }
}
