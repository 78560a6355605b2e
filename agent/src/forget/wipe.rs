//! What of an agent lies on the disk, and how it goes: the key first, then all that was written under it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::identity::{FOLDER, give_to_owner_of, sync_folder};
use crate::{post_mortem, telemetry, update};

/// Where key, counter and pairing lie from the moment at which they are given up until nothing else is left.
const GRAVE: &str = "forgotten";
/// Bodies of jobs.
const SPOOL: &str = "spool";
/// Files of the state folder, with whatever else begins with such a name and a dot or a dash: logs of the database, copies of
/// damaged ones, the last words on the wire, records of prints that failed, what an updater is asked, the log's own files.
const STATE: [&str; 7] = [
    "spoolway.db",
    "spoolway.epoch",
    "line-journal",
    "wire.log",
    post_mortem::FOLDER,
    update::FOLDER,
    telemetry::FOLDER,
];
/// Files beside the socket: the conversation with the printer, and where its print stands.
const RUNTIME: [&str; 2] = ["print.journal", "print.mark"];
/// A larger file is no key and no pairing, and is not written over.
const OVERWRITTEN_BYTES: u64 = 64 * 1024;

/// A file or folder cannot be removed.
#[derive(Debug, thiserror::Error)]
#[error("{}: it cannot be removed: {source}", path.display())]
pub struct WipeError {
    pub(super) path: PathBuf,
    source: io::Error,
}

/// The folders of an agent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a> {
    /// What outlives a power cut.
    pub(super) state: &'a Path,
    /// What a boot takes.
    pub(super) runtime: &'a Path,
}

impl Places<'_> {
    /// Where the key lies once it is given up.
    pub(super) fn grave(self) -> PathBuf {
        self.state.join(GRAVE)
    }

    /// The point of no return. An agent that never had a key gets an empty grave, so that the rest goes all the same.
    pub(super) fn begin(self) -> Result<(), WipeError> {
        let (identity, grave) = (self.state.join(FOLDER), self.grave());
        let begun = match fs::rename(&identity, &grave) {
            Err(error) if error.kind() == ErrorKind::NotFound => DirBuilder::new()
                .mode(0o700)
                .create(&grave)
                .and_then(|()| give_to_owner_of(self.state, &grave)),
            renamed => renamed,
        };
        begun.and_then(|()| sync_folder(self.state)).map_err(failed(&identity))
    }

    /// Removes what was given up, the grave last; whether there was one. A file that cannot be removed keeps no other.
    pub(super) fn finish(self) -> Result<bool, WipeError> {
        let grave = self.grave();
        if !grave.exists() {
            return Ok(false);
        }
        let mut kept = Vec::new();
        clear(&grave, |_| true, erase, &mut kept);
        clear(self.state, is_of_state, remove, &mut kept);
        // The folder itself may be a link to another disk, which is a setting.
        let spool = self.state.join(SPOOL);
        clear(&spool, |_| true, remove, &mut kept);
        drop(fs::remove_dir(&spool));
        clear(self.runtime, |name| RUNTIME.contains(&name), remove, &mut kept);
        if let Some(error) = kept.into_iter().next() {
            return Err(error);
        }
        // First it is certain that all is gone, then that nothing is left to do.
        let buried = sync_folder(self.state).and_then(|()| fs::remove_dir(&grave));
        buried.and_then(|()| sync_folder(self.state)).map_err(failed(&grave))?;
        Ok(true)
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> WipeError {
    let path = path.to_owned();
    |source| WipeError { path, source }
}

fn is_of_state(name: &str) -> bool {
    let goes_on = |rest: &str| rest.is_empty() || rest.starts_with(['.', '-']);
    STATE.iter().any(|head| name.strip_prefix(head).is_some_and(goes_on))
}

/// Removes what a folder holds, as far as it is chosen by its name. What cannot be removed keeps nothing else.
fn clear(
    folder: &Path,
    chosen: impl Fn(&str) -> bool,
    remove: fn(&Path) -> io::Result<()>,
    kept: &mut Vec<WipeError>,
) {
    match entries(folder) {
        Err(error) => kept.push(failed(folder)(error)),
        Ok(files) => {
            let name_of = |file: &Path| file.file_name().map(|name| name.to_string_lossy().into_owned());
            for file in files.into_iter().filter(|file| name_of(file).is_some_and(|name| chosen(&name))) {
                kept.extend(remove(&file).err().map(failed(&file)));
            }
        }
    }
}

/// What is in a folder; nothing in one that is not there.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Writes over a secret before it is removed. A card may keep what was written before: that the relay has revoked it is what
/// counts.
fn erase(path: &Path) -> io::Result<()> {
    let bytes = fs::symlink_metadata(path)?;
    if bytes.is_file() && bytes.len() <= OVERWRITTEN_BYTES {
        let zeros = vec![0; usize::try_from(bytes.len()).unwrap_or(0)];
        // One that cannot be written over is removed all the same.
        drop(OpenOptions::new().write(true).open(path).and_then(|mut file: File| {
            file.write_all(&zeros)?;
            file.sync_all()
        }));
    }
    remove(path)
}

/// Removes a file or a folder; one that is not there is as good as removed.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
