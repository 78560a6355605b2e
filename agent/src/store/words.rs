//! The words of the store: what one transaction can write, and the rows that come back.

/// How safe a commit has to be when it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// `synchronous=FULL`, at once: it survives a power cut when `commit` has answered.
    Promise,
    /// `synchronous=NORMAL`, at most `group_rows` writes or `group_ms` together: it survives a crash of the
    /// process when `commit` has answered, and may be lost in a power cut.
    Grouped,
}

/// Where an event stands in the outbox: ordered by epoch, then by sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Rises whenever it is not certain that every sequence number of the last one is known.
    pub epoch: u64,
    /// From 1, without gaps, in commit order. 0 stands before the first event.
    pub seq: u64,
}

/// Bits of the packed position that hold the sequence number; 22 are left for the epoch.
const SEQ_BITS: u32 = 40;
const SEQ_MAX: u64 = (1 << SEQ_BITS) - 1;
/// The highest epoch that can be stored.
pub(super) const EPOCH_MAX: u64 = (1 << 22) - 1;

impl Position {
    /// The position as one integer key, so that events append to the right edge of one table. A position
    /// that came from outside and is out of range packs to the nearest one in range.
    pub(super) fn packed(self) -> i64 {
        let (epoch, seq) = if self.epoch > EPOCH_MAX { (EPOCH_MAX, SEQ_MAX) } else { (self.epoch, self.seq) };
        let packed = (epoch << SEQ_BITS) | seq.min(SEQ_MAX);
        i64::try_from(packed).expect("62 bits fit into i64")
    }

    pub(super) fn unpacked(packed: i64) -> Self {
        let packed = u64::try_from(packed).unwrap_or(0);
        Self { epoch: packed >> SEQ_BITS, seq: packed & SEQ_MAX }
    }
}

/// Which events may be dropped when the outbox is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventClass {
    /// Kept up to the hard cap.
    Critical,
    /// Dropped oldest first beyond its own, smaller cap.
    Info,
}

impl EventClass {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Info => "info",
        }
    }
}

/// An event that has no place in the outbox yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Critical or info.
    pub cls: EventClass,
    /// Kind, for example `job.state`.
    pub kind: String,
    /// Printer it is about.
    pub printer_id: Option<String>,
    /// Job it is about.
    pub job_id: Option<String>,
    /// Attempt of that job.
    pub attempt: Option<u32>,
    /// Time stamp as JSON text.
    pub ts_json: String,
    /// Data as JSON text.
    pub data_json: String,
}

impl NewEvent {
    /// About what the event takes on the wire, in bytes; the unit of every cap of the outbox.
    pub fn wire_bytes(&self) -> u64 {
        /// Names of the fields, punctuation and numbers.
        const FRAME_BYTES: usize = 128;
        let ids =
            self.printer_id.as_ref().map_or(0, String::len) + self.job_id.as_ref().map_or(0, String::len);
        (FRAME_BYTES + self.kind.len() + ids + self.ts_json.len() + self.data_json.len()) as u64
    }
}

/// An event of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place.
    pub position: Position,
    /// What was written.
    pub event: NewEvent,
}

/// What the outbox holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxStatus {
    /// The current epoch.
    pub epoch: u64,
    /// The sequence number that the next event of this epoch gets.
    pub next_seq: u64,
    /// The oldest event that is still here, possibly of an earlier epoch.
    pub oldest_unacked: Option<Position>,
    /// Wire bytes of all critical events.
    pub critical_bytes: u64,
    /// Wire bytes of all info events.
    pub info_bytes: u64,
    /// Events that had to be dropped.
    pub dropped: Dropped,
}

/// How many events were dropped since the database began; a `gap` stands in the place of each run of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Critical events beyond the hard cap.
    pub critical: u64,
    /// Info events beyond their cap.
    pub info: u64,
}

/// A command as it arrived. Its first status is `received`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommand {
    /// Unique for ever.
    pub cmd_id: String,
    /// The backend's number; none for a command that was given at the machine.
    pub seq: Option<u64>,
    /// Printer it is for.
    pub printer_id: Option<String>,
    /// Kind, for example `job.start`.
    pub kind: String,
    /// The whole command as JSON text.
    pub body_json: String,
    /// When it arrived, unix ms.
    pub received_ms: u64,
}

/// A command of the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRow {
    /// What arrived.
    pub command: NewCommand,
    /// Status as text.
    pub status: String,
    /// Result as JSON text, when there is one.
    pub result_json: Option<String>,
    /// When it was stored, on every clock, as JSON text.
    pub received_stamp_json: Option<String>,
}

/// A job as the agent knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Unique.
    pub job_id: String,
    /// Rises by one with every change of state.
    pub rev: u64,
    /// State as text.
    pub state: String,
    /// What belongs to the state, as JSON text.
    pub detail_json: Option<String>,
    /// Printer it is for.
    pub printer_id: Option<String>,
    /// Its file in the spool, lower-case hex.
    pub sha256: Option<String>,
    /// Higher goes first.
    pub priority: i64,
    /// Order among equals, lower goes first.
    pub position: i64,
    /// The offer as JSON text.
    pub body_json: String,
    /// Unix ms.
    pub created_ms: u64,
    /// Unix ms.
    pub updated_ms: u64,
}

/// One attempt to print a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// The job.
    pub job_id: String,
    /// From 1.
    pub attempt: u32,
    /// Unix ms.
    pub started_ms: u64,
    /// What the start was allowed by, as JSON text.
    pub detail_json: Option<String>,
    /// How it ended.
    pub end: Option<AttemptEnd>,
    /// When it was written that it began, on every clock, as JSON text.
    pub started_stamp_json: Option<String>,
    /// When it was written how it ended, on every clock, as JSON text.
    pub ended_stamp_json: Option<String>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptEnd {
    /// Outcome as text.
    pub outcome: String,
    /// Last line that the printer took, if it is known.
    pub line: Option<u64>,
    /// Why, if there is more to say.
    pub reason: Option<String>,
    /// Unix ms.
    pub ended_ms: u64,
}

/// A job file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// Lower-case hex.
    pub sha256: String,
    /// Size of the whole file in bytes.
    pub size: u64,
    /// The name that people know it by.
    pub name: String,
    /// State as text.
    pub state: String,
    /// Bytes from the start that are durable in the spool.
    pub durable_bytes: u64,
    /// Unix ms.
    pub updated_ms: u64,
}

/// One write of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Appends to the outbox; the store assigns the position.
    Event(NewEvent),
    /// Adds to the inbox; a known `cmd_id` changes nothing and is listed in `Committed::duplicates`.
    InsertCommand(NewCommand),
    /// Changes a command's status.
    SetCommand {
        /// The command.
        cmd_id: String,
        /// `received`, `accepted` and `executing` are open, every other status is terminal.
        status: String,
        /// Result as JSON text; `None` keeps what is there.
        result_json: Option<String>,
    },
    /// Empties the inbox and forgets the backend's numbers.
    ResetCommands,
    /// Empties outbox and inbox, and begins the next epoch, for another owner. Events behind it in the list belong to that one.
    ChangeOwner {
        /// The new one, as [`Store::meta`](super::Store::meta) then gives it.
        owner: String,
    },
    /// Writes a whole job, new or known.
    PutJob(JobRow),
    /// Moves a job to another state; its revision rises by one.
    MoveJob {
        /// The job.
        job_id: String,
        /// The revision that the decision was made on.
        expected_rev: u64,
        /// The new state as text.
        state: String,
        /// What belongs to the new state, as JSON text; it replaces what was there.
        detail_json: Option<String>,
        /// Unix ms.
        updated_ms: u64,
    },
    /// Removes a job and its attempts, once no command for it can arrive any more.
    ForgetJob {
        /// The job.
        job_id: String,
    },
    /// Records that an attempt begins, before its first byte; `AlreadyStarted` if it has begun.
    InsertAttempt {
        /// The job.
        job_id: String,
        /// From 1.
        attempt: u32,
        /// Unix ms.
        started_ms: u64,
        /// What the start was allowed by, as JSON text.
        detail_json: Option<String>,
    },
    /// Records how an attempt ended, once.
    FinishAttempt {
        /// The job.
        job_id: String,
        /// The attempt.
        attempt: u32,
        /// How it ended.
        end: AttemptEnd,
    },
    /// Writes a whole file row, new or known.
    PutFile(FileRow),
    /// Removes a file row; an unknown one is no error.
    DeleteFile {
        /// Lower-case hex.
        sha256: String,
    },
    /// Writes one named value.
    PutMeta {
        /// The name.
        key: String,
        /// The value.
        value: String,
    },
}

/// What a committed list came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// Positions of the list's events, in the list's order.
    pub positions: Vec<Position>,
    /// `cmd_id` of every command that was known before.
    pub duplicates: Vec<String>,
}
