//! What was said on the wire before a fault, kept for whoever has to find out: in the log, and in a file of bounded size.
//!
//! A thread of its own writes the file, because the printer thread waits for no disk.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use tracing::{info, warn};

/// Name of the file in the state folder; the one before it ends in `.1`.
const FILE: &str = "wire.log";
/// A file that has grown beyond this is set aside, in place of the one before it.
const FILE_BYTES: u64 = 512 * 1024;
/// Lines that go to the log as well.
const LOGGED_LINES: usize = 20;
/// Faults that may wait for the disk; more of them are only logged.
const WAITING: usize = 4;

/// Takes the last words of a conversation to log and file.
#[derive(Debug, Clone, Default)]
pub(super) struct Dump {
    file: Option<(PathBuf, SyncSender<String>)>,
}

impl Dump {
    /// Begins to write into this folder; without one only the log is told.
    pub(super) fn start(folder: Option<&Path>) -> std::io::Result<Self> {
        let Some(folder) = folder else { return Ok(Self { file: None }) };
        let path = folder.join(FILE);
        let (sender, texts) = sync_channel(WAITING);
        let to = path.clone();
        std::thread::Builder::new().name("wire-dump".to_owned()).spawn(move || write_all(&to, &texts))?;
        Ok(Self { file: Some((path, sender)) })
    }

    /// Logs the last lines, and has all of them written; `heading` says what happened.
    pub(super) fn take(&self, heading: &str, lines: &str) {
        let count = lines.lines().count();
        let mut place = "nowhere: the disk is too slow".to_owned();
        if let Some((path, sender)) = &self.file {
            match sender.try_send(format!("# {heading}\n{lines}\n")) {
                Ok(()) => place = path.display().to_string(),
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            }
        }
        warn!(lines = count, file = place, "the last words on the wire:");
        for line in lines.lines().skip(count.saturating_sub(LOGGED_LINES)) {
            info!(target: "wire", "{line}");
        }
    }
}

fn write_all(path: &Path, texts: &Receiver<String>) {
    for text in texts {
        if let Err(error) = append(path, &text) {
            warn!(%error, file = %path.display(), "the last words on the wire could not be kept");
        }
    }
}

fn append(path: &Path, text: &str) -> std::io::Result<()> {
    if fs::metadata(path).is_ok_and(|file| file.len() > FILE_BYTES) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_stays_bounded_and_the_newest_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let text = format!("{}\n", "x".repeat(100_000));
        for n in 0..30 {
            append(&path, &format!("# fault {n}\n{text}")).unwrap();
        }
        let old = fs::read_to_string(dir.path().join("wire.log.1")).unwrap();
        let new = fs::read_to_string(&path).unwrap();
        assert!(new.contains("# fault 29\n") && old.contains("# fault 2"));
        assert!((old.len() + new.len()) as u64 <= 2 * (FILE_BYTES + 101_000));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_fault_is_written_by_another_thread() {
        let dir = tempfile::tempdir().unwrap();
        let dump = Dump::start(Some(dir.path())).unwrap();
        dump.take("firmware.halted: the printer halted", "     1.000 > N5 G28*22\n     1.010 < ok\n");
        let path = dir.path().join(FILE);
        let written = std::iter::repeat_with(|| {
            std::thread::yield_now();
            fs::read_to_string(&path).unwrap_or_default()
        });
        let written = written.into_iter().find(|text| text.contains("< ok")).unwrap();
        assert!(written.starts_with("# firmware.halted") && written.contains("> N5 G28*22"));
    }
}
