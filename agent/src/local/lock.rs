//! One agent per state folder: a lock that the kernel lets go of when its holder dies.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::identity::give_to_owner_of;

const LOCK: &str = "agent.lock";

/// Why the state folder is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockStateError {
    /// Another agent has it.
    #[error("another agent ({holder}) uses the state folder {}", state_dir.display())]
    Taken {
        /// The folder.
        state_dir: PathBuf,
        /// What the other one wrote about itself, such as `process 812`.
        holder: String,
    },
    /// The folder or the lock file cannot be made.
    #[error("{}: the lock cannot be taken: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Holds the state folder for as long as it lives.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Makes the folder if need be, and takes it.
    ///
    /// # Errors
    /// Another process holds it, or it cannot be written.
    pub fn take(state_dir: &Path) -> Result<Self, LockStateError> {
        let path = state_dir.join(LOCK);
        let failed = |source| LockStateError::Io { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o750).create(state_dir).map_err(failed)?;
        let options = OpenOptions::new().read(true).write(true).create(true).mode(0o640).clone();
        let mut file = options.open(&path).map_err(failed)?;
        // A command of root's must not keep the agent's own user out.
        give_to_owner_of(state_dir, &path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let holder = read_holder(&mut file);
                return Err(LockStateError::Taken { state_dir: state_dir.to_owned(), holder });
            }
            Err(error) => return Err(failed(error.into())),
        }
        write_holder(&mut file).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "process {}", std::process::id())
}

/// The holder may be writing this very moment, so that nothing is read; the lock counts, not the text.
fn read_holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(64).read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "an unknown process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("new/state");
        let first = StateLock::take(&state).unwrap();
        let refused = StateLock::take(&state).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        assert!(StateLock::take(&state).is_ok());
    }
}
