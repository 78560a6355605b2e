//! What can go wrong with a job body, as a caller can act on it.

use std::io::ErrorKind;

use rusqlite::ErrorCode;

use super::Shortage;

/// Why the spool refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The body ended early. What is there stays and can be resumed.
    #[error("the file ends after {found} of {expected} bytes")]
    TruncatedFile {
        /// Size that was promised, bytes.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
    /// The body is not the promised one. Nothing of it is left.
    #[error("the file has sha256 {found}, not {expected}")]
    AlteredFile {
        /// Hash that was promised, lower-case hex.
        expected: String,
        /// Hash of what came, lower-case hex.
        found: String,
    },
    /// The body is above the limit.
    #[error("a file of {size} bytes is above the limit of {max}")]
    TooLarge {
        /// Size so far or as announced, bytes.
        size: u64,
        /// The limit, bytes.
        max: u64,
    },
    /// The body would not fit. Nothing of it was taken.
    #[error("{0}")]
    NoRoom(Shortage),
    /// No room, or less than the reserve would be left. What was durable stays and can be resumed.
    #[error("the disk is full; free some space on the device that holds the spool")]
    DiskFull,
    /// There is no complete body with this hash.
    #[error("there is no file {0} in the spool")]
    NotFound(String),
    /// A hash or a key that cannot be a file name.
    #[error("{0:?} is not a name for a file in the spool")]
    BadName(String),
    /// Somebody else writes this body now.
    #[error("this file is being written already")]
    Busy,
    /// What is stored is damaged.
    #[error("the stored file is damaged: {0}")]
    Damaged(String),
    /// The writer failed before and takes nothing more; open it again to resume.
    #[error("the writer has failed before; open it again to resume")]
    Broken,
    /// A position behind the end of the body.
    #[error("{wanted} is behind the end of the file")]
    PastEnd {
        /// The byte or line that was asked for, from 0.
        wanted: u64,
    },
    /// The device or the system failed.
    #[error("the spool cannot be used: {0}")]
    Io(std::io::Error),
    /// The body's database failed.
    #[error("the spool cannot be used: {0}")]
    Database(rusqlite::Error),
}

impl From<std::io::Error> for SpoolError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io(error),
        }
    }
}

impl From<rusqlite::Error> for SpoolError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            // Our SQL is constant: what SQLite calls an error in it is a file that is not shaped like ours.
            Some(ErrorCode::Unknown) => Self::Damaged(error.to_string()),
            _ => Self::Database(error),
        }
    }
}
