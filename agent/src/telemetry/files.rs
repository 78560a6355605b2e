//! The log's own files, where no journal keeps it: the one that grows and those before it, bounded together.
//!
//! Lines are kept as JSON, each written at once and whole. Nothing is synced: a power cut may take the last seconds.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::LogLine;
use super::sink::told;

/// Where they lie in the state folder.
pub const FOLDER: &str = "log";
/// How large one of them grows.
const FILE_BYTES: u64 = 4 << 20;
/// How many there are, the one that grows included.
const FILES: u32 = 4;
/// What all of them take at most.
pub const KEPT_BYTES: u64 = FILE_BYTES * FILES as u64;
/// A longer line of a file is none of ours.
const LINE_BYTES: u64 = 64 * 1024;

/// The files that are written, by whoever holds the state folder.
#[derive(Debug)]
pub struct LogFiles {
    folder: PathBuf,
    open: Option<Growing>,
    lost: u64,
    file_bytes: u64,
}

/// The file that grows.
#[derive(Debug)]
struct Growing {
    file: File,
    bytes: u64,
}

impl LogFiles {
    /// Those of a state folder. Nothing is opened before the first line.
    #[must_use]
    pub fn of(state_dir: &Path) -> Self {
        Self::sized(state_dir, FILE_BYTES)
    }

    fn sized(state_dir: &Path, file_bytes: u64) -> Self {
        Self { folder: state_dir.join(FOLDER), open: None, lost: 0, file_bytes }
    }

    /// Keeps a line. One that cannot be written is counted, and told of once there is room again.
    pub fn keep(&mut self, line: &LogLine) {
        let lost = match self.lost {
            0 => Ok(()),
            lost => {
                self.append(&told(lost, line.at_ms, "log lines are missing here because the disk took none"))
            }
        };
        match lost.and_then(|()| self.append(line)) {
            Ok(()) => self.lost = 0,
            Err(_) => self.lost += 1,
        }
    }

    fn append(&mut self, line: &LogLine) -> io::Result<()> {
        let mut text = line.json();
        text.push('\n');
        let mut growing = self.growing(text.len() as u64)?;
        // A file that has failed is opened anew, and what it has of the line is ended there.
        growing.file.write_all(text.as_bytes())?;
        growing.bytes += text.len() as u64;
        self.open = Some(growing);
        Ok(())
    }

    /// The file that takes so many bytes more.
    fn growing(&mut self, bytes: u64) -> io::Result<Growing> {
        let is_there = |growing: &Growing| growing.file.metadata().is_ok_and(|file| file.nlink() > 0);
        let growing = match self.open.take().filter(is_there) {
            Some(growing) => growing,
            None => self.open()?,
        };
        if growing.bytes == 0 || growing.bytes + bytes <= self.file_bytes {
            return Ok(growing);
        }
        for age in (1..FILES).rev() {
            match fs::rename(path(&self.folder, age - 1), path(&self.folder, age)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.open()
    }

    fn open(&self) -> io::Result<Growing> {
        match DirBuilder::new().mode(0o750).create(&self.folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut file =
            options.create(true).read(true).append(true).mode(0o640).open(path(&self.folder, 0))?;
        let bytes = file.metadata()?.len();
        if bytes == 0 {
            return Ok(Growing { file, bytes });
        }
        // The last line may be without its end, of a process that was killed or a disk that was full.
        let mut last = [0];
        file.seek(SeekFrom::Start(bytes - 1))?;
        file.read_exact(&mut last)?;
        if last == *b"\n" {
            return Ok(Growing { file, bytes });
        }
        file.write_all(b"\n")?;
        Ok(Growing { file, bytes: bytes + 1 })
    }
}

/// The file that grows is of age 0.
fn path(folder: &Path, age: u32) -> PathBuf {
    folder.join(if age == 0 { "agent.log".to_owned() } else { format!("agent.log.{age}") })
}

/// What they take in a state folder.
#[must_use]
pub fn kept_bytes(state_dir: &Path) -> u64 {
    let folder = state_dir.join(FOLDER);
    let sizes = (0..FILES).filter_map(|age| fs::metadata(path(&folder, age)).ok());
    sizes.map(|file| file.len()).sum()
}

/// Every line that is kept, the oldest first; what is no line is passed over. None without files.
///
/// # Errors
/// There are files, and this user may not read them.
pub fn kept(state_dir: &Path) -> io::Result<Option<impl Iterator<Item = LogLine> + use<>>> {
    let folder = state_dir.join(FOLDER);
    let (mut files, mut seen) = (Vec::new(), HashSet::new());
    // The newest first: one that is moved on meanwhile is met again, and known.
    for age in 0..FILES {
        match File::open(path(&folder, age)) {
            Ok(file) => {
                let of = file.metadata()?;
                if seen.insert((of.dev(), of.ino())) {
                    files.push(file);
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    files.reverse();
    Ok((!files.is_empty()).then(|| files.into_iter().flat_map(|file| Lines(BufReader::new(file)))))
}

/// The lines of one file.
struct Lines(BufReader<File>);

impl Iterator for Lines {
    type Item = LogLine;

    fn next(&mut self) -> Option<LogLine> {
        loop {
            let mut text = Vec::new();
            // A file that can no longer be read ends here.
            let read = self.0.by_ref().take(LINE_BYTES).read_until(b'\n', &mut text).unwrap_or(0);
            if read == 0 {
                return None;
            }
            if let Some(line) = LogLine::of_json(&text) {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests;
