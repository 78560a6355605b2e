//! What agent and updater say to each other: a request the one way, a verdict the other, a file each.
//!
//! The agent runs without rights and installs nothing. It leaves a request in its own state folder; the updater, which is root's, takes it
//! from there and trusts nothing of it. The verdict lies in a folder of root's, so that root writes into none that somebody else owns.

mod apply;
mod debian;
mod machine;
mod order;
mod words;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, open, openat, unlinkat};
use serde::de::DeserializeOwned;

use crate::identity::replace;

pub use apply::ApplyError;
pub use debian::run;
pub use words::{Request, Verdict};

/// The agent's folder of requests, in its state folder.
pub const FOLDER: &str = "update";
const REQUEST: &str = "request.toml";
const VERDICT: &str = "verdict.toml";
/// Largest file that either of them reads of the other.
const MAX_BYTES: u64 = 4 * 1024;
/// Largest file of the updater's own: it grows with the agents of the machine.
const MAX_OWN_BYTES: u64 = 256 * 1024;

/// The updater's folder for the agent of this state folder: beside it, with `-update` behind the name.
#[must_use]
pub fn answers(state: &Path) -> PathBuf {
    let mut name = state.file_name().unwrap_or_default().to_owned();
    name.push("-update");
    state.with_file_name(name)
}

/// Asks an updater: whole or not at all.
///
/// # Errors
/// The disk does not take it.
pub fn ask(state: &Path, request: &Request) -> io::Result<()> {
    let folder = state.join(FOLDER);
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    replace(&folder.join(REQUEST), text_of(request)?.as_bytes())
}

/// Asks no more; nothing happens where nobody was asked.
///
/// # Errors
/// The file cannot be removed.
pub fn withdraw(state: &Path) -> io::Result<()> {
    match std::fs::remove_file(state.join(FOLDER).join(REQUEST)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The last word of an updater; none where there is none that can be read.
#[must_use]
pub fn verdict(state: &Path) -> Option<Verdict> {
    let file = File::open(answers(state).join(VERDICT)).ok()?;
    parse(file, MAX_BYTES).ok()
}

/// A request as it was found by root in somebody else's folder.
#[derive(Debug)]
pub struct Found {
    /// What it says, or why nothing of it is taken.
    pub request: Result<Request, String>,
    folder: OwnedFd,
}

impl Found {
    /// Looks for a request. Whoever owns the folders may put anything there at any moment, so each step holds on to what it has opened,
    /// no link in them is followed, and only a small regular file of the folder's owner is read.
    #[must_use]
    pub fn look(state: &Path) -> Option<Self> {
        let is_folder = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // The state folder's own place is root's: a link there is a setting, that it lies on another disk.
        let outer = open(state, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let folder = openat(&outer, FOLDER, is_folder, Mode::empty()).ok()?;
        // A pipe or a device is opened without waiting, and then not read.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let request = match openat(&folder, REQUEST, flags | OFlags::RDONLY, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => return None,
            Err(error) => Err(error.to_string()),
            Ok(file) => File::from(outer).metadata().map_err(|error| error.to_string()).and_then(|owner| {
                let file = File::from(file);
                check(&file, owner.uid())?;
                let request: Request = parse(file, MAX_BYTES)?;
                request.check().map(|()| request)
            }),
        };
        Some(Self { request, folder })
    }

    /// Takes it away, so that it is not found again.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        match unlinkat(&self.folder, REQUEST, AtFlags::empty()) {
            Err(rustix::io::Errno::NOENT) | Ok(()) => Ok(()),
            // A folder of that name is nobody's request.
            Err(_) => Ok(unlinkat(&self.folder, REQUEST, AtFlags::REMOVEDIR)?),
        }
    }
}

fn check(file: &File, owner: u32) -> Result<(), String> {
    let about = file.metadata().map_err(|error| error.to_string())?;
    match () {
        () if !about.is_file() => Err("it is no regular file".to_owned()),
        () if about.uid() != owner => Err(format!("it belongs to user {}, not {owner}", about.uid())),
        () if about.nlink() != 1 => Err("it has more than one name".to_owned()),
        () if about.len() > MAX_BYTES => Err(format!("it is larger than {MAX_BYTES} bytes")),
        () => Ok(()),
    }
}

/// Leaves a verdict for the agent of this state folder. The folder is root's and everybody may read it.
///
/// # Errors
/// The disk does not take it.
pub fn judge(state: &Path, verdict: &Verdict) -> io::Result<()> {
    let folder = answers(state);
    DirBuilder::new().recursive(true).mode(0o755).create(&folder)?;
    keep(&folder.join(VERDICT), &text_of(verdict)?)
}

/// Writes a file of root's that others may read, whole or not at all; it is on the disk afterwards.
fn keep(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&new)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

fn text_of(value: &impl serde::Serialize) -> io::Result<String> {
    toml::to_string(value).map_err(io::Error::other)
}

fn parse<T: DeserializeOwned>(file: File, most_bytes: u64) -> Result<T, String> {
    let mut text = String::new();
    file.take(most_bytes).read_to_string(&mut text).map_err(|error| error.to_string())?;
    toml::from_str(&text).map_err(|error| error.message().to_owned())
}

#[cfg(test)]
mod tests;
