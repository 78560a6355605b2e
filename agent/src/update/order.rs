//! What the updater has taken in hand, in a file of root's: whatever kills it, the next run goes on from there.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::machine::Before;
use super::{MAX_OWN_BYTES, Request, keep, parse, text_of};

const FILE: &str = "order.toml";
/// One that could not be read.
pub(super) const BROKEN: &str = "order.broken";

/// How far an update is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// Packages are fetched; nothing was changed.
    Fetching,
    /// The new version may be installed, in part or whole.
    Installing,
    /// The version from before is to be installed again.
    GoingBack,
}

/// An update in hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    /// State folder of the agent that has asked.
    pub(super) state: PathBuf,
    pub(super) step: Step,
    /// Version and package that are installed.
    pub(super) from: Option<String>,
    pub(super) old: Option<PathBuf>,
    /// Version and package that were chosen.
    pub(super) to: Option<String>,
    pub(super) new: Option<PathBuf>,
    /// Why it goes back.
    pub(super) why: Option<String>,
    pub(super) request: Request,
    /// How the agents of the machine did before anything was changed.
    #[serde(default)]
    pub(super) before: Vec<Before>,
}

impl Order {
    pub(super) fn new(state: &Path, request: Request) -> Self {
        Self {
            state: state.to_owned(),
            step: Step::Fetching,
            from: None,
            old: None,
            to: None,
            new: None,
            why: None,
            request,
            before: Vec::new(),
        }
    }

    /// The one that an earlier run has left. What is none is `InvalidData`: a disk has lost it.
    pub(super) fn left(folder: &Path) -> io::Result<Option<Self>> {
        let is_none = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        match fs::File::open(folder.join(FILE)) {
            Ok(file) => parse(file, MAX_OWN_BYTES).map(Some).map_err(is_none),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it down: what is done next may be done in part when the next run reads this.
    pub(super) fn put(&self, folder: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        keep(&folder.join(FILE), &text_of(self)?)
    }

    /// Keeps what cannot be read for a person, out of the way.
    pub(super) fn set_aside(folder: &Path) -> io::Result<()> {
        fs::rename(folder.join(FILE), folder.join(BROKEN))?;
        fs::File::open(folder)?.sync_all()
    }

    /// It is over.
    pub(super) fn drop_from(folder: &Path) -> io::Result<()> {
        fs::remove_file(folder.join(FILE))?;
        fs::File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_of_a_machine_with_many_agents_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let id = "0199c7a2-3b1e-7c44-8a11-5e0d9b7c2f61".parse().unwrap();
        let request = Request { id, version: None, not_after: 1 };
        let mut order = Order::new(Path::new("/var/lib/spoolway"), request);
        let unit = |number| format!("spoolway-agent@printer-{number}.service");
        order.before = (0..200).map(|n| Before { unit: unit(n), linked: true, printer: true }).collect();
        assert_eq!(Order::left(dir.path()).unwrap(), None);
        order.put(dir.path()).unwrap();
        assert_eq!(Order::left(dir.path()).unwrap().as_ref(), Some(&order));
        Order::drop_from(dir.path()).unwrap();
        assert_eq!(Order::left(dir.path()).unwrap(), None);
    }
}
