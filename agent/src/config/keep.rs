//! Puts a new text in the place of a file: whole or not at all, on the disk afterwards, with the owner and mode it had.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use crate::identity::{give_to_owner_of, sync_folder};

/// A configuration that did not exist is read by the agent's group and written by its owner.
const NEW_MODE: u32 = 0o640;
/// Bits of a mode that are kept.
const MODE_BITS: u32 = 0o7777;
/// Largest file that is taken for a configuration.
const MAX_BYTES: u64 = 256 * 1024;

/// Why a file was not replaced. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Somebody has changed it since it was read.
    #[error("{}: somebody has changed it meanwhile", .0.display())]
    Changed(PathBuf),
    /// Another command is at it.
    #[error("{}: another command is changing it", .0.display())]
    Held(PathBuf),
    /// The system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Keeps other commands from changing a file while the answer lives: two at once would write over each other. A folder that is not there
/// yet has nothing to write over, and a file system without locks is no reason to refuse.
///
/// # Errors
/// [`KeepError::Held`].
pub fn lock(path: &Path) -> Result<Option<File>, KeepError> {
    let Some(folder) = path.parent().and_then(|folder| File::open(folder).ok()) else { return Ok(None) };
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(KeepError::Held(path.to_owned())),
        _ => Ok(Some(folder)),
    }
}

/// Makes a folder with the owner and mode of another one, unless it is there. Without that other one it is made as the system likes.
///
/// # Errors
/// [`KeepError::Io`].
pub fn make_folder(folder: &Path, model: &Path) -> Result<(), KeepError> {
    if folder.exists() {
        return Ok(());
    }
    let made = fs::create_dir_all(folder).and_then(|()| match fs::metadata(model) {
        Ok(was) => {
            give_to_owner_of(model, folder)?;
            fs::set_permissions(folder, fs::Permissions::from_mode(was.mode() & MODE_BITS))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    });
    made.map_err(|source| KeepError::Io { path: folder.to_owned(), source })
}

/// Replaces a file by a text. `before` is what it was when the text was made; none where it was not there.
///
/// A link is followed, so that it still leads to the file.
///
/// # Errors
/// [`KeepError`].
pub fn keep(path: &Path, before: Option<&str>, text: &str) -> Result<(), KeepError> {
    let failed = |source| KeepError::Io { path: path.to_owned(), source };
    let real = match fs::canonicalize(path) {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(source) => return Err(failed(source)),
    };
    if read(&real).map_err(failed)?.as_deref() != before {
        return Err(KeepError::Changed(path.to_owned()));
    }
    write(&real, text).map_err(failed)
}

fn read(path: &Path) -> io::Result<Option<String>> {
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(MAX_BYTES + 1).read_to_string(&mut text).map(|_| Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.join(format!(".{name}.{}.new", std::process::id()));
    let done =
        fill(&new, path, text).and_then(|()| fs::rename(&new, path)).and_then(|()| sync_folder(folder));
    if done.is_err() {
        // Whatever is left of it is in nobody's way.
        let _ = fs::remove_file(&new);
    }
    done
}

fn fill(new: &Path, model: &Path, text: &str) -> io::Result<()> {
    // What a run before left behind when it was killed.
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    let mode = match fs::metadata(model) {
        Ok(was) => {
            let now = file.metadata()?;
            if (was.uid(), was.gid()) != (now.uid(), now.gid()) {
                let owner = (Uid::from_raw(was.uid()), Gid::from_raw(was.gid()));
                rustix::fs::fchown(&file, Some(owner.0), Some(owner.1))?;
            }
            was.mode() & MODE_BITS
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            give_to_owner_of(new.parent().unwrap_or(Path::new("/")), new)?;
            NEW_MODE
        }
        Err(error) => return Err(error),
    };
    // Behind the owner: a change of owner takes bits away.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & MODE_BITS
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn mode_and_link_are_kept_and_nothing_is_left_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("real.toml");
        fs::write(&file, "a = 1\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o604)).unwrap();
        let link = dir.path().join("agent.toml");
        std::os::unix::fs::symlink("real.toml", &link).unwrap();
        let left = dir.path().join(format!(".real.toml.{}.new", std::process::id()));
        fs::write(&left, "of a run that was killed").unwrap();
        keep(&link, Some("a = 1\n"), "a = 2\n").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "a = 2\n");
        assert_eq!(mode(&file), 0o604);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(dir.path()), ["agent.toml", "real.toml"]);
    }

    #[test]
    fn a_new_file_is_made_with_its_folder_and_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("etc/spoolway/agent.toml");
        keep(&file, None, "a = 1\n").unwrap();
        assert_eq!((fs::read_to_string(&file).unwrap().as_str(), mode(&file)), ("a = 1\n", NEW_MODE));
    }

    #[test]
    fn what_somebody_has_changed_meanwhile_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("agent.toml");
        assert!(matches!(keep(&file, Some("a = 1\n"), "a = 2\n"), Err(KeepError::Changed(_))));
        fs::write(&file, "a = 3\n").unwrap();
        for before in [None, Some("a = 1\n")] {
            let error = keep(&file, before, "a = 2\n").unwrap_err();
            assert!(error.to_string().contains("agent.toml: somebody has changed it"), "{error}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "a = 3\n");
        assert_eq!(names(dir.path()), ["agent.toml"]);
    }

    #[test]
    fn a_folder_is_made_like_another_one_and_one_that_is_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (model, folder) = (dir.path().join("spoolway"), dir.path().join("spoolway@left"));
        make_folder(&folder, &dir.path().join("none")).unwrap();
        fs::remove_dir(&folder).unwrap();
        fs::create_dir(&model).unwrap();
        fs::set_permissions(&model, fs::Permissions::from_mode(0o710)).unwrap();
        make_folder(&folder, &model).unwrap();
        assert_eq!(mode(&folder), 0o710);
        fs::set_permissions(&model, fs::Permissions::from_mode(0o750)).unwrap();
        make_folder(&folder, &model).unwrap();
        assert_eq!(mode(&folder), 0o710);
    }

    #[test]
    fn two_at_once_do_not_write_over_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("agent.toml");
        let first = lock(&file).unwrap();
        assert!(first.is_some());
        assert!(lock(&file).unwrap_err().to_string().contains("agent.toml: another command is changing it"));
        drop(first);
        assert!(lock(&file).unwrap().is_some());
        assert!(lock(&dir.path().join("not/there.toml")).unwrap().is_none());
    }

    #[test]
    fn a_folder_that_may_not_be_written_leaves_the_file_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a");
        fs::write(&folder, "a file where the folder would be").unwrap();
        let error = keep(&folder.join("agent.toml"), None, "a = 2\n").unwrap_err();
        assert!(matches!(error, KeepError::Io { .. }), "{error}");
    }
}
