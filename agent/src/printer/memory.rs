//! The journal of a conversation in its memory: behind a file that outlives the process, or of this process alone.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FallocateFlags, Mode, OFlags};
use spoolway_agent_core::stream::Streamer;
use spoolway_agent_core::stream::journal::{self, JOURNAL_BYTES, Journal};
use tracing::warn;

use super::beside::BesideNow;
use super::sys::SharedMemory;

/// Memory with a journal in it.
#[derive(Debug)]
pub(super) struct Memory {
    area: Area,
    journal: Option<Journal>,
}

#[derive(Debug)]
enum Area {
    Shared(SharedMemory),
    /// Nobody goes on with it.
    Own(Vec<u8>),
}

impl Memory {
    /// Memory that ends with the process.
    pub(super) fn of_this_process() -> Self {
        Self { area: Area::Own(vec![0; JOURNAL_BYTES]), journal: None }
    }

    /// Memory behind a file, which is made if it is not there. It lies in the runtime folder, which is memory itself.
    pub(super) fn open(path: &Path) -> Self {
        match map(path) {
            Ok(shared) => Self { area: Area::Shared(shared), journal: None },
            Err(error) => {
                warn!(path = %path.display(), %error, "a print cannot outlive this process: no journal");
                Self::of_this_process()
            }
        }
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        self.area.bytes()
    }

    /// Whether another process can go on with it.
    pub(super) fn outlives(&self) -> bool {
        matches!(self.area, Area::Shared(_)) && self.journal.as_ref().is_some_and(Journal::fits)
    }

    /// Begins an empty journal of a new conversation.
    pub(super) fn begin(&mut self, talk: &[u8]) {
        self.journal = Some(Journal::begin(self.area.bytes(), talk));
    }

    /// Goes on with a journal that was found in it.
    pub(super) fn go_on(&mut self, journal: Journal) {
        self.journal = Some(journal);
    }

    /// Says anew what the conversation is about.
    pub(super) fn set_talk(&mut self, talk: &[u8]) {
        if let Some(journal) = &mut self.journal {
            journal.set_text(self.area.bytes(), talk);
        }
    }

    /// Keeps how the last run has ended, over the conversations that follow.
    pub(super) fn keep_end(&mut self, end: &[u8]) {
        journal::keep_end(self.area.bytes(), end);
    }

    /// Another run begins.
    pub(super) fn forget_end(&mut self) {
        journal::forget_end(self.area.bytes());
    }

    /// Where the next reply is to be read to.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let Some(journal) = &self.journal else { return &mut [] };
        &mut self.area.bytes()[journal.room()]
    }

    /// So many bytes were read there; gives them.
    pub(super) fn heard(&mut self, count: usize) -> &[u8] {
        let Some(journal) = &mut self.journal else { return &[] };
        let room = journal.room();
        journal.heard(count);
        &self.area.bytes()[room.start..room.start + count]
    }

    /// Writes down where the conversation stands.
    pub(super) fn note(&mut self, streamer: &Streamer, beside: BesideNow<'_>) {
        if let Some(journal) = &mut self.journal {
            journal.note(self.area.bytes(), streamer, |to| beside.pack(to));
        }
    }

    /// All that was decided has gone out.
    pub(super) fn wrote(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.wrote(self.area.bytes());
        }
    }
}

impl Area {
    fn bytes(&mut self) -> &mut [u8] {
        match self {
            Self::Shared(shared) => shared.bytes(),
            Self::Own(bytes) => bytes,
        }
    }
}

fn map(path: &Path) -> io::Result<SharedMemory> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
    let length = JOURNAL_BYTES as u64;
    if file.metadata()?.len() != length {
        file.set_len(length)?;
    }
    // All blocks are there from now on: a full file system must not be met in the middle of a store.
    rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, length)?;
    Ok(SharedMemory::map(&file, JOURNAL_BYTES)?)
}
