//! Wakes up when something is plugged in: watches the folders in which a port can appear.
//!
//! A machine without inotify, or with none to spare, is no worse off than before: whoever waits here also looks now and then.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;
use tracing::{debug, trace};

use super::sys;

/// Where udev puts the nodes and their stable names.
const FOLDERS: [&str; 2] = ["/dev", "/dev/serial/by-path"];
/// Events that are taken at once.
const EVENT_BYTES: usize = 4096;

/// What can make a port appear: a node or a link, a name that moves into place, and udev handing a node over to a group.
const NEWS: WatchFlags = WatchFlags::CREATE.union(WatchFlags::MOVED_TO).union(WatchFlags::ATTRIB);

/// Watches for a port.
#[derive(Debug)]
pub(super) struct Hotplug {
    events: Option<AsyncFd<OwnedFd>>,
    folders: Vec<PathBuf>,
}

impl Hotplug {
    /// Watches for one path, and for whatever USB brings.
    pub(super) fn new(path: Option<&Path>) -> Self {
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
            .map_err(std::io::Error::from)
            .and_then(sys::watch_reading)
            .inspect_err(|error| debug!(%error, "no word when a port appears; it is looked for every second"))
            .ok();
        let mut folders: Vec<PathBuf> = FOLDERS.iter().map(PathBuf::from).collect();
        folders.extend(path.and_then(Path::parent).map(Path::to_owned));
        let hotplug = Self { events, folders };
        hotplug.watch();
        hotplug
    }

    /// Watches the folders that are there by now; udev makes some of them with the first port and removes them with the
    /// last.
    pub(super) fn watch(&self) {
        let Some(events) = &self.events else { return };
        for folder in &self.folders {
            if let Err(error) = inotify::add_watch(events.get_ref(), folder, NEWS | WatchFlags::ONLYDIR) {
                trace!(folder = %folder.display(), %error, "not watched");
            }
        }
    }

    /// Waits until something has changed in one of the folders, and takes all that has.
    pub(super) async fn changed(&mut self) {
        let Some(events) = &self.events else { return std::future::pending().await };
        let Ok(mut ready) = events.readable().await else { return std::future::pending().await };
        let mut buffer = [MaybeUninit::uninit(); EVENT_BYTES];
        let mut reader = inotify::Reader::new(events.get_ref(), &mut buffer);
        while reader.next().is_ok() {}
        ready.clear_ready();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_name_is_seen_in_a_folder_that_came_later_too() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("by-path");
        let mut hotplug = Hotplug::new(Some(&folder.join("printer")));
        std::fs::create_dir(&folder).unwrap();
        hotplug.watch();
        std::os::unix::fs::symlink("/dev/null", folder.join("printer")).unwrap();
        hotplug.changed().await;
    }
}
