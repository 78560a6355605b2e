//! The durable memory of the agent: one thread that owns one SQLite database, and a cheap handle to it.
//!
//! A list of writes is one transaction, whole or not at all. Events get gapless sequence numbers in commit
//! order; an epoch never gives the same number twice, whatever crash, power cut or damage comes between.
//! The store knows kinds and states as text and bodies as JSON text; what they mean is the callers' matter.

mod area;
mod epoch;
mod error;
mod files;
mod inbox;
mod jobs;
mod ledger;
mod migrate;
mod open;
mod outbox;
mod owner;
mod thread;
mod trim;
mod words;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use spoolway_protocol::limits::OUTBOX_CAP_BYTES;
use tokio::sync::{mpsc, oneshot, watch};

pub use area::Area;
pub use error::StoreError;
pub use words::{
    AttemptEnd, AttemptRow, CommandRow, Committed, Dropped, Durability, EventClass, FileRow, JobRow,
    NewCommand, NewEvent, OutboxStatus, Position, StoredEvent, Write,
};

use crate::clock::Clock;
use ledger::Ledger;
use thread::{Clerk, Request};

/// Name of the value that says for whom events are kept and whose commands the inbox holds.
pub(crate) const OWNER: &str = "owner";
/// Requests that may wait for the thread; a sender waits when it is full.
const REQUESTS: usize = 64;

/// The bounds of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// Grouped writes that are committed without waiting longer.
    pub group_rows: usize,
    /// How long a grouped write waits for company, ms.
    pub group_ms: u64,
    /// Wire bytes of info events beyond which the oldest are dropped.
    pub info_cap_bytes: u64,
    /// Wire bytes of critical events beyond which the oldest are dropped.
    pub critical_cap_bytes: u64,
    /// How long to wait for another process to let go of the database, ms.
    pub busy_timeout_ms: u64,
    /// Pages of 4 KiB that the database may have; `None` for no limit but the disk.
    pub max_page_count: Option<u32>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            group_rows: 32,
            group_ms: 200,
            info_cap_bytes: 16 << 20,
            critical_cap_bytes: OUTBOX_CAP_BYTES,
            busy_timeout_ms: 5000,
            max_page_count: Some(65_536),
        }
    }
}

/// How the last run ended, as far as the state folder tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// There was nothing; this is the first run.
    Fresh,
    /// The store was closed; the epoch goes on.
    Clean,
    /// The store was not closed, or an older copy was put back; a new epoch began and every event is kept.
    Unclean,
    /// The database is gone but its epoch is remembered; a new epoch began and events may be lost.
    Missing,
    /// The database was damaged; a new epoch began with an empty database and events may be lost.
    Corrupt {
        /// Where the damaged file is now.
        set_aside: PathBuf,
        /// SQLite's own words about the damage.
        detail: String,
    },
}

/// What `Store::open` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The epoch of this run.
    pub epoch: u64,
    /// The number that the next event gets.
    pub next_seq: u64,
    /// How the last run ended. `Missing` and `Corrupt` deserve a `gap` event.
    pub start: Start,
}

/// A handle to the store thread; clones share the thread.
#[derive(Debug, Clone)]
pub struct Store {
    requests: mpsc::Sender<Request>,
    committed: watch::Receiver<Position>,
    area: Arc<Area>,
}

impl Store {
    /// Opens or creates `<dir>/spoolway.db` and starts the thread. It blocks for the integrity check.
    ///
    /// # Errors
    /// `InUse` while another process has it, `NewerSchema`, or a fault of the device. Damage is no error: the
    /// file is set aside and `Opened::start` says so.
    pub fn open(dir: &Path, options: &StoreOptions) -> Result<(Self, Opened), StoreError> {
        Self::open_with(dir, options, None)
    }

    /// The same with a clock: every job, attempt and command is then written with a stamp of all clocks there are.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_with(
        dir: &Path,
        options: &StoreOptions,
        clock: Option<Clock>,
    ) -> Result<(Self, Opened), StoreError> {
        let (ledger, opened) = open::open(dir, options, clock)?;
        let highest = ledger.tally().highest();
        let (requests, inbound) = mpsc::channel(REQUESTS);
        let (news, committed) = watch::channel(highest);
        let clerk = Clerk::new(ledger, news, options);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| StoreError::from_io(&error))?;
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || runtime.block_on(clerk.serve(inbound)))
            .map_err(|error| StoreError::from_io(&error))?;
        let area = Arc::new(Area { dir: dir.to_owned(), max_pages: options.max_page_count });
        Ok((Self { requests, committed, area }, opened))
    }

    /// Commits a list of writes as one transaction and answers when it is as safe as `durability` says.
    /// A caller that stops waiting does not stop the write.
    ///
    /// # Errors
    /// The list is undone as a whole, and the error names the write that was refused or the fault.
    pub async fn commit(&self, writes: Vec<Write>, durability: Durability) -> Result<Committed, StoreError> {
        self.ask(|answer| Request::Commit { writes, durability, answer }).await
    }

    /// Removes every event up to (epoch, seq), also of earlier epochs. A stale ack changes nothing.
    ///
    /// # Errors
    /// `AckAhead` if that event was never written, or a fault of the device.
    pub async fn ack(&self, upto: Position) -> Result<(), StoreError> {
        self.ask(|answer| Request::Ack { upto, answer }).await
    }

    /// Flushes, notes the clean stop and closes the database. Every later request answers `Closed`.
    ///
    /// # Errors
    /// If the clean stop could not be noted; the next open then begins a new epoch.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.ask(|answer| Request::Close { answer }).await
    }

    /// Looks into the database of a state folder that no agent has open: the first job that is wanted by its state. Nothing
    /// where there is no database, or none that can be read.
    #[must_use]
    pub fn job_at_rest(dir: &Path, is_wanted: impl Fn(&str) -> bool) -> Option<JobRow> {
        open::rows_at_rest(dir)?.into_iter().find(|row| is_wanted(&row.state))
    }

    /// What the database takes on the disk, and what is kept of damaged ones.
    #[must_use]
    pub fn area(&self) -> &Area {
        &self.area
    }

    /// The position of the newest committed event; it changes with every commit that holds one.
    pub fn subscribe(&self) -> watch::Receiver<Position> {
        self.committed.clone()
    }

    /// Events behind a position in order of delivery, at most `max_items` and `max_bytes` (wire bytes), but
    /// at least one if there is one. `Position::default()` stands before all of them.
    ///
    /// # Errors
    /// `Closed` or a fault of the device, as for every read below.
    pub async fn events_after(
        &self,
        from: Position,
        max_items: usize,
        max_bytes: u64,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.read(move |ledger| outbox::after(ledger.conn(), from, max_items, max_bytes)).await
    }

    /// What the outbox holds.
    ///
    /// # Errors
    /// As `events_after`.
    pub async fn outbox_status(&self) -> Result<OutboxStatus, StoreError> {
        self.read(|ledger| outbox::status(ledger.conn(), ledger.tally())).await
    }

    /// Commands without a terminal status, in order of arrival.
    ///
    /// # Errors
    /// As `events_after`.
    pub async fn open_commands(&self) -> Result<Vec<CommandRow>, StoreError> {
        self.read(|ledger| inbox::open(ledger.conn())).await
    }

    /// One command.
    ///
    /// # Errors
    /// As `events_after`.
    pub async fn command(&self, cmd_id: &str) -> Result<Option<CommandRow>, StoreError> {
        let cmd_id = cmd_id.to_owned();
        self.read(move |ledger| inbox::find(ledger.conn(), &cmd_id)).await
    }

    /// Whether a command was stored before, also one that ended so long ago that only its number is remembered.
    ///
    /// # Errors
    /// As `events_after`.
    pub async fn knows_command(&self, cmd_id: &str, seq: u64) -> Result<bool, StoreError> {
        let cmd_id = cmd_id.to_owned();
        self.read(move |ledger| inbox::is_known(ledger.conn(), &cmd_id, Some(seq))).await
    }

    /// The highest command number that was ever committed; 0 before the first.
    ///
    /// # Errors
    /// As `events_after`.
    pub async fn highest_command_seq(&self) -> Result<u64, StoreError> {
        self.read(|ledger| inbox::highest_seq(ledger.conn())).await
    }

    /// Every job, in the order of the queue: priority, position, age.
    ///
    /// # Errors
    /// As `events_after`.
    pub async fn jobs(&self) -> Result<Vec<JobRow>, StoreError> {
        self.read(|ledger| jobs::all(ledger.conn())).await
    }

    /// One job.
    ///
    /// # Errors
    /// As `events_after`.
    pub async fn job(&self, job_id: &str) -> Result<Option<JobRow>, StoreError> {
        let job_id = job_id.to_owned();
        self.read(move |ledger| jobs::find(ledger.conn(), &job_id)).await
    }

    /// When a job was last written, on every clock, as JSON text.
    ///
    /// # Errors
    /// As `events_after`.
    pub async fn job_stamp(&self, job_id: &str) -> Result<Option<String>, StoreError> {
        let job_id = job_id.to_owned();
        self.read(move |ledger| jobs::stamp(ledger.conn(), &job_id)).await
    }

    /// The attempts of a job, first to last.
    ///
    /// # Errors
    /// As `events_after`.
    pub async fn attempts(&self, job_id: &str) -> Result<Vec<AttemptRow>, StoreError> {
        let job_id = job_id.to_owned();
        self.read(move |ledger| jobs::attempts(ledger.conn(), &job_id)).await
    }

    /// The attempt that has ended last: one printer makes one attempt after the other.
    ///
    /// # Errors
    /// As `events_after`.
    pub async fn last_ended_attempt(&self) -> Result<Option<AttemptRow>, StoreError> {
        self.read(|ledger| jobs::last_ended_attempt(ledger.conn())).await
    }

    /// Every job file, the longest unchanged first.
    ///
    /// # Errors
    /// As `events_after`.
    pub async fn files(&self) -> Result<Vec<FileRow>, StoreError> {
        self.read(|ledger| files::all(ledger.conn())).await
    }

    /// One job file.
    ///
    /// # Errors
    /// As `events_after`.
    pub async fn file(&self, sha256: &str) -> Result<Option<FileRow>, StoreError> {
        let sha256 = sha256.to_owned();
        self.read(move |ledger| files::find(ledger.conn(), &sha256)).await
    }

    /// One named value.
    ///
    /// # Errors
    /// As `events_after`.
    pub async fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        let key = key.to_owned();
        self.read(move |ledger| files::meta(ledger.conn(), &key)).await
    }

    async fn read<T, Q>(&self, query: Q) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Q: FnOnce(&Ledger) -> Result<T, StoreError> + Send + 'static,
    {
        self.ask(|answer: thread::Answer<T>| {
            Request::Read(Box::new(move |ledger| drop(answer.send(query(ledger)))))
        })
        .await
    }

    async fn ask<T>(&self, request: impl FnOnce(thread::Answer<T>) -> Request) -> Result<T, StoreError> {
        let (answer, reply) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| StoreError::Closed)?;
        reply.await.map_err(|_| StoreError::Closed)?
    }
}

/// Refuses a text that is not JSON before it is stored: it could never be sent, and would block what is
/// behind it for ever.
fn json(field: &'static str, text: &str) -> Result<(), StoreError> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(StoreError::NotJson { field, detail: error.to_string() }),
    }
}
