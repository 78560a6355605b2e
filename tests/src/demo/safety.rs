//! What stands around an agent that is to be broken again and again.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::descriptor_store::DescriptorStore;
use crate::process::ChildProcess;
use crate::way::{Passage, Way};

/// A store that keeps the printer's port open, as systemd has it, and a way of the agent's own to the relay.
#[derive(Debug)]
pub(super) struct Safety {
    store: DescriptorStore,
    way: Way,
}

impl Safety {
    /// A store with its socket in a folder, and an open way to a relay.
    pub(super) fn build(dir: &Path, relay_port: u16) -> io::Result<Self> {
        let (store, way) = (DescriptorStore::open(dir, "printer")?, Way::open()?);
        way.lead_to(relay_port);
        Ok(Self { store, way })
    }

    /// The port by which the agent reaches the relay.
    pub(super) fn port(&self) -> u16 {
        self.way.port()
    }

    /// Makes the way so.
    pub(super) fn set_way(&self, passage: Passage) {
        self.way.set(passage);
    }

    /// Takes what the agent has handed over.
    pub(super) fn attend(&mut self) -> io::Result<()> {
        self.store.attend()
    }

    /// Starts the agent with what is kept.
    pub(super) fn start(
        &mut self,
        program: &Path,
        words: &[String],
        log: PathBuf,
    ) -> io::Result<ChildProcess> {
        let mut command = self.store.command(program, words)?;
        command.stderr(File::options().create(true).append(true).open(&log)?);
        ChildProcess::spawn_command("agent", command, log)
    }
}
