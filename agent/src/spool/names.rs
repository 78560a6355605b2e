//! File names in the spool folder: complete bodies, parts, and the journals that SQLite puts beside them.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::SpoolError;

/// Ends the name of a complete body.
pub(super) const BODY: &str = ".gcode.db";
/// Ends the name of a body that is still coming.
pub(super) const PART: &str = ".part.db";
/// Ends the name of SQLite's rollback journal.
pub(super) const JOURNAL: &str = "-journal";
/// Begins the key of a local import, which nobody can resume.
pub(super) const IMPORT: &str = "import-";

/// File name of a complete body.
pub(super) fn body(sha256: &str) -> Result<String, SpoolError> {
    if sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(format!("{}{BODY}", sha256.to_ascii_lowercase()))
    } else {
        Err(SpoolError::BadName(sha256.to_owned()))
    }
}

/// File name of a part. A key comes from outside, so it may neither leave the folder nor hide in it.
pub(super) fn part(key: &str) -> Result<String, SpoolError> {
    let is_plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if is_plain && (1..=128).contains(&key.len()) {
        Ok(format!("{key}{PART}"))
    } else {
        Err(SpoolError::BadName(key.to_owned()))
    }
}

pub(super) fn journal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(JOURNAL);
    PathBuf::from(name)
}

/// Removes a file; one that is not there is as good as removed. Says whether it was there.
pub(super) fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a database and then its journal; a journal alone is cleaned up at the next start.
pub(super) fn remove_with_journal(path: &Path) -> io::Result<bool> {
    let was_there = remove_if_there(path)?;
    remove_if_there(&journal_of(path))?;
    Ok(was_there)
}
