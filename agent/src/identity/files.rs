//! Files of the identity folder: for their owner only, whole or not at all, and on the disk before anything relies on them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::process::{Gid, Uid, geteuid};

use super::OpenIdentityError;

/// A PKCS#8 document of an Ed25519 key has less than 100 bytes; more than this is another kind of file.
const MAX_KEY_BYTES: u64 = 4096;

/// Makes the folder, for its owner only. When root makes it in another user's state folder, it is that user's.
pub(super) fn make_folder(state_dir: &Path, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(state_dir)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            give_to_owner_of(state_dir, folder)?;
            sync_folder(state_dir)
        }
    }
}

/// A new key, in PKCS#8.
pub(super) fn new_key() -> Result<ring::pkcs8::Document, OpenIdentityError> {
    Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| OpenIdentityError::NoRandom)
}

/// Makes the first key.
pub(super) fn make_key(path: &Path) -> Result<(), OpenIdentityError> {
    let key = new_key()?;
    // A name of its own, so that two processes that start at once do not write into one file.
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let made = write_new(&new, key.as_ref()).and_then(|()| {
        // Two that start at once agree on one key: the second finds the first one's in place.
        match renameat_with(CWD, &new, CWD, path, RenameFlags::NOREPLACE) {
            Err(rustix::io::Errno::EXIST) => fs::remove_file(&new),
            Err(error) => Err(error.into()),
            Ok(()) => sync_folder(folder_of(path)),
        }
    });
    made.map_err(|source| OpenIdentityError::Io { path: path.to_owned(), source })
}

pub(super) fn read_key(path: &Path) -> Result<Vec<u8>, OpenIdentityError> {
    let failed = |source| OpenIdentityError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // Asked of the open file, so that it cannot be exchanged in between.
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(OpenIdentityError::TooOpen { path: path.to_owned(), mode });
    }
    let mut key = Vec::new();
    file.take(MAX_KEY_BYTES).read_to_end(&mut key).map_err(failed)?;
    Ok(key)
}

/// A counter that is missing or was damaged begins anew; the time lifts it to where it was.
pub(super) fn read_counter(path: &Path) -> io::Result<u64> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().parse().unwrap_or(0)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Writes a file for its owner only, whole or not at all; it is on the disk afterwards.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    write_new(&new, bytes)?;
    fs::rename(&new, path)?;
    sync_folder(folder_of(path))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a crash left behind may have other rights or another owner.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    give_to_owner_of(folder_of(path), path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// So that `sudo spoolway-agent id` before the first start leaves a key that the agent's user can read.
pub(crate) fn give_to_owner_of(model: &Path, path: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let owner = fs::metadata(model)?;
    let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    Ok(rustix::fs::chown(path, Some(user), Some(group))?)
}

pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().expect("every file here is joined to a folder")
}

pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
