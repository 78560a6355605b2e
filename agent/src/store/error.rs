//! What can go wrong in the store, as a caller can act on it.

use rusqlite::ErrorCode;

/// Why the store refused or failed. It is `Clone` because one failed group commit answers several callers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store thread has ended, after `close` or by a panic; nothing more can be written.
    #[error("the store is closed")]
    Closed,
    /// Another process holds the database of this state folder.
    #[error("the database is in use by another process; only one agent may run on a state folder")]
    InUse,
    /// The database was written by a newer release; it is left as it is.
    #[error("the database has schema {found}, this release knows {known}; install the newer release again")]
    NewerSchema {
        /// `PRAGMA user_version` of the file.
        found: i64,
        /// The highest version that this build can read.
        known: i64,
    },
    /// No room for the write. Nothing of the transaction was kept; reads and later writes go on.
    #[error("the disk is full; free some space on the device that holds the state folder")]
    DiskFull,
    /// The device failed a read, a write or a sync. Nothing of the transaction was kept.
    #[error("the device that holds the state folder fails: {detail}")]
    DiskFault {
        /// SQLite's or the system's own words.
        detail: String,
    },
    /// The database is damaged; the next `open` sets it aside.
    #[error("the database is damaged: {detail}")]
    Corrupt {
        /// SQLite's own words.
        detail: String,
    },
    /// `InsertAttempt` for an attempt that has begun: a start is never repeated.
    #[error("attempt {attempt} of job {job_id} has already begun")]
    AlreadyStarted {
        /// The job.
        job_id: String,
        /// The attempt that exists.
        attempt: u32,
    },
    /// `FinishAttempt` for an attempt that has its outcome.
    #[error("attempt {attempt} of job {job_id} has already ended")]
    AlreadyFinished {
        /// The job.
        job_id: String,
        /// The attempt that has ended.
        attempt: u32,
    },
    /// `MoveJob` with a revision that is not the stored one.
    #[error("job {job_id} is at revision {found}, not {expected}")]
    StaleRevision {
        /// The job.
        job_id: String,
        /// The revision that the caller had read.
        expected: u64,
        /// The revision in the database.
        found: u64,
    },
    /// A write names a job that is not there.
    #[error("there is no job {0}")]
    NoSuchJob(String),
    /// `FinishAttempt` for an attempt that never began.
    #[error("job {job_id} has no attempt {attempt}")]
    NoSuchAttempt {
        /// The job.
        job_id: String,
        /// The attempt that was looked for.
        attempt: u32,
    },
    /// `SetCommand` for a command that is not in the inbox.
    #[error("there is no command {0}")]
    NoSuchCommand(String),
    /// `SetCommand` for a command that has its terminal status: a result is never told twice.
    #[error("command {0} has already ended")]
    CommandEnded(String),
    /// Too many commands are open; the sender should be told `busy`.
    #[error("{open} commands are open, which is the limit")]
    InboxFull {
        /// How many are open.
        open: u64,
    },
    /// An event would not fit into one frame of the wire.
    #[error("an event of {bytes} bytes is above the limit of {limit}")]
    EventTooLarge {
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// One list holds more writes than a transaction may have.
    #[error("a list of {found} writes is above the limit of {limit}")]
    TooManyWrites {
        /// Writes in the list.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A text that has to be JSON is not.
    #[error("the {field} is not JSON: {detail}")]
    NotJson {
        /// Which field.
        field: &'static str,
        /// The parser's words.
        detail: String,
    },
    /// An ack for an event that was never written; it is ignored.
    #[error("ack of event {epoch}/{seq}, which was never written")]
    AckAhead {
        /// Epoch of the ack.
        epoch: u64,
        /// Sequence number of the ack.
        seq: u64,
    },
    /// Any other failure of the database.
    #[error("the database failed: {detail}")]
    Database {
        /// SQLite's own words.
        detail: String,
    },
}

impl StoreError {
    /// Whether the device and not the request is at fault, so that the same write may succeed later.
    pub fn is_storage(&self) -> bool {
        matches!(self, Self::DiskFull | Self::DiskFault { .. } | Self::Corrupt { .. } | Self::Database { .. })
    }

    pub(super) fn from_io(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::DiskFault { detail: error.to_string() },
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let detail = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
                Self::DiskFault { detail }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt { detail },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse,
            _ => Self::Database { detail },
        }
    }
}
