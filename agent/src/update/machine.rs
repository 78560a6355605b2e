//! What an updater does to its machine, as a seam that a test can stand behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::local::words::UpdateAction;

/// One of the agents of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seat {
    /// Its unit.
    pub(super) unit: String,
    /// Its state folder.
    pub(super) state: PathBuf,
    /// Its socket.
    pub(super) socket: PathBuf,
    /// Whether its configuration lets it be updated.
    pub(super) allows: bool,
}

/// How an agent does at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Health {
    /// The process, when it runs what is installed and answers.
    pub(super) pid: Option<u32>,
    /// How often it was started again by itself.
    pub(super) restarts: u32,
    /// Whether it has a session with its relay.
    pub(super) linked: bool,
    /// Whether its printer answers.
    pub(super) printer: bool,
    /// What it lacks, for a person.
    pub(super) lacks: String,
}

/// How an agent did before anything was changed: it has to do no worse afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    pub(super) unit: String,
    pub(super) linked: bool,
    pub(super) printer: bool,
}

/// What an agent says to an updater.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// It may.
    Yes,
    /// It may not now, and why.
    No {
        /// The fault.
        code: String,
        /// For a person.
        text: String,
    },
    /// It runs and gives no answer, and why.
    Nothing(String),
    /// This agent does not run, and so prints nothing.
    Away,
}

/// The machine. What goes wrong is said in words for a person.
pub(super) trait Machine {
    /// Every agent that there may be.
    fn seats(&self) -> Vec<Seat>;
    /// What an agent says to this.
    fn ask(&self, seat: &Seat, action: UpdateAction) -> Said;
    /// How it does; nothing for one that is not to run.
    fn health(&self, seat: &Seat) -> Option<Health>;
    /// The version that is installed, whole.
    fn installed(&self) -> Option<String>;
    /// Whether it is to be installed: not, once somebody has removed it.
    fn is_wanted(&self) -> bool;
    /// Looks what the package sources have by now.
    fn refresh(&self) -> Result<(), String>;
    /// The newest version that they have.
    fn newest(&self) -> Option<String>;
    /// Whether one version is newer than another.
    fn is_newer(&self, version: &str, than: &str) -> bool;
    /// Has a version's package in a folder, from there or from the sources.
    fn fetch(&self, version: &str, folder: &Path) -> Result<PathBuf, String>;
    /// Installs a package, over a newer one as well.
    fn install(&self, package: &Path) -> Result<(), String>;
    /// Brings to its end what was installed in part.
    fn repair(&self);
    /// Leaves a copy of this very program for the next run, because the one that is installed may not run then.
    fn stay(&self) -> Result<(), String>;
    /// Takes it away.
    fn leave(&self);
    /// The wall clock.
    fn unix_ms(&self) -> u64;
    /// A clock that nobody sets.
    fn since_boot(&self) -> Duration;
    /// Waits.
    fn wait(&self, time: Duration);
    /// Says something to whoever reads the log.
    fn say(&self, text: &str);
}
