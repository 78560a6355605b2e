//! The socket file: bound under its final rights, a dead agent's one replaced, a living agent's one respected.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Owner and group may speak with the agent.
const MODE: u32 = 0o660;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum BindSocketError {
    /// An agent answers there.
    #[error("another agent is listening at {}", .0.display())]
    Taken(PathBuf),
    /// Something else is there.
    #[error("{}: there is a file that is no socket, and it is left alone", .0.display())]
    NotASocket(PathBuf),
    /// It cannot be made.
    #[error("{}: the socket cannot be made: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A bound socket; its file goes with it.
#[derive(Debug)]
pub struct Doorway {
    pub(super) listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl Drop for Doorway {
    fn drop(&mut self) {
        // Only our own file: a successor may have put its own in this place.
        if fs::metadata(&self.path).is_ok_and(|data| data.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Binds the socket, within a tokio runtime.
///
/// # Errors
/// An agent is listening there, the place is taken by another file, or it cannot be written.
pub fn bind(path: &Path) -> Result<Doorway, BindSocketError> {
    let failed = |source| BindSocketError::Io { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o750).create(folder).map_err(failed)?;
    }
    check_place(path)?;
    // Bound under another name first: the rights are right before anybody can connect, and the rename replaces a
    // dead agent's socket without a moment in between.
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let new = PathBuf::from(name);
    let _ = fs::remove_file(&new);
    let listener = UnixListener::bind(&new).map_err(failed)?;
    let placed = fs::set_permissions(&new, Permissions::from_mode(MODE))
        .and_then(|()| fs::rename(&new, path))
        .and_then(|()| fs::metadata(path));
    match placed {
        Ok(data) => Ok(Doorway { listener, path: path.to_owned(), inode: data.ino() }),
        Err(source) => {
            let _ = fs::remove_file(&new);
            Err(failed(source))
        }
    }
}

fn check_place(path: &Path) -> Result<(), BindSocketError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(BindSocketError::Io { path: path.to_owned(), source }),
        Ok(data) if !data.file_type().is_socket() => Err(BindSocketError::NotASocket(path.to_owned())),
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            // Whoever it is that we may not speak to, it is somebody.
            _ => Err(BindSocketError::Taken(path.to_owned())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_living_agents_socket_is_respected_and_a_dead_ones_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/agent.sock");
        let first = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, MODE);
        assert!(matches!(bind(&path), Err(BindSocketError::Taken(_))));
        drop(first);
        assert!(!path.exists());

        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a process that dies leaves its file");
        let second = bind(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(second);
        assert_eq!(fs::read_dir(dir.path().join("run")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn another_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(bind(&path), Err(BindSocketError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[tokio::test]
    async fn a_successors_socket_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        let first = bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _second = bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
    }
}
