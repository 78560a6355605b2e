//! The open database: lists of writes become transactions, each list whole or not at all.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::outbox::{self, Tally};
use super::words::{Committed, Durability, EventClass, Position, Write};
use super::{StoreError, StoreOptions, files, inbox, jobs, owner, trim};
use crate::clock::Clock;

/// Writes that one list may hold.
pub(super) const MAX_WRITES: usize = 1024;

/// The connection and what is known of it by heart. It lives on the store thread.
pub(super) struct Ledger {
    conn: Connection,
    /// The state folder.
    dir: PathBuf,
    tally: Tally,
    options: StoreOptions,
    /// Without one, rows carry no stamp.
    clock: Option<Clock>,
    /// What `PRAGMA synchronous` is set to, if it is known.
    synchronous: Option<Durability>,
}

impl Ledger {
    pub(super) fn new(
        (conn, dir): (Connection, &Path),
        tally: Tally,
        options: StoreOptions,
        clock: Option<Clock>,
    ) -> Self {
        Self { conn, dir: dir.to_owned(), tally, options, clock, synchronous: None }
    }

    pub(super) fn conn(&self) -> &Connection {
        &self.conn
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Applies an ack and then the lists, in one transaction. A list that is refused is undone alone. If the
    /// device fails the transaction, every part is tried once more in a transaction of its own, so that a
    /// small promise does not fail for a large event that happened to wait before it.
    pub(super) fn commit(
        &mut self,
        ack: Option<Position>,
        lists: &[Vec<Write>],
        durability: Durability,
    ) -> Outcome {
        match self.transaction(ack, lists, durability) {
            Ok(done) => done,
            Err(error) if lists.len() + usize::from(ack.is_some()) == 1 => {
                Outcome::failed(lists.len(), error)
            }
            Err(_) => self.commit_apart(ack, lists, durability),
        }
    }

    fn commit_apart(
        &mut self,
        ack: Option<Position>,
        lists: &[Vec<Write>],
        durability: Durability,
    ) -> Outcome {
        let mut all = Outcome { acked: Ok(0), lists: Vec::with_capacity(lists.len()) };
        if ack.is_some() {
            all.acked = self.transaction(ack, &[], durability).and_then(|one| one.acked);
        }
        for list in lists {
            let one = self.transaction(None, std::slice::from_ref(list), durability);
            all.lists.extend(one.unwrap_or_else(|error| Outcome::failed(1, error)).lists);
        }
        all
    }

    /// One transaction; after an error nothing of it is left, neither on disk nor in the tally.
    fn transaction(
        &mut self,
        ack: Option<Position>,
        lists: &[Vec<Write>],
        durability: Durability,
    ) -> Result<Outcome, StoreError> {
        let before = self.tally;
        let outcome = self.try_transaction(ack, lists, durability);
        if outcome.is_err() {
            self.tally = before;
            if !self.conn.is_autocommit() {
                self.conn.execute_batch("ROLLBACK")?;
            }
        }
        outcome
    }

    fn try_transaction(
        &mut self,
        ack: Option<Position>,
        lists: &[Vec<Write>],
        durability: Durability,
    ) -> Result<Outcome, StoreError> {
        self.set_synchronous(durability)?;
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        let acked = match ack {
            Some(upto) => outbox::ack(&self.conn, &mut self.tally, upto)?,
            None => 0,
        };
        let mut answers = Vec::with_capacity(lists.len());
        for list in lists {
            answers.push(self.apply_list(list)?);
        }
        trim::trim(&self.conn, &mut self.tally, EventClass::Info, self.options.info_cap_bytes)?;
        trim::trim(&self.conn, &mut self.tally, EventClass::Critical, self.options.critical_cap_bytes)?;
        self.conn.execute_batch("COMMIT")?;
        Ok(Outcome { acked: Ok(acked), lists: answers })
    }

    /// The outer error ends the transaction, the inner one only this list.
    fn apply_list(&mut self, list: &[Write]) -> Result<Result<Committed, StoreError>, StoreError> {
        let before = self.tally;
        self.conn.execute_batch("SAVEPOINT list")?;
        match self.apply_writes(list) {
            Ok(committed) => {
                self.conn.execute_batch("RELEASE list")?;
                Ok(Ok(committed))
            }
            Err(error) if error.is_storage() => Err(error),
            Err(error) => {
                self.tally = before;
                self.conn.execute_batch("ROLLBACK TO list; RELEASE list")?;
                Ok(Err(error))
            }
        }
    }

    fn apply_writes(&mut self, list: &[Write]) -> Result<Committed, StoreError> {
        if list.len() > MAX_WRITES {
            return Err(StoreError::TooManyWrites { found: list.len(), limit: MAX_WRITES });
        }
        let mut committed = Committed::default();
        let stamp = self.clock.as_ref().and_then(|clock| serde_json::to_string(&clock.stamp()).ok());
        for write in list {
            self.apply(write, stamp.as_deref(), &mut committed)?;
        }
        Ok(committed)
    }

    fn apply(
        &mut self,
        write: &Write,
        stamp: Option<&str>,
        committed: &mut Committed,
    ) -> Result<(), StoreError> {
        let conn = &self.conn;
        match write {
            Write::Event(event) => {
                committed.positions.push(outbox::append(conn, &mut self.tally, event)?);
                Ok(())
            }
            Write::InsertCommand(command) => {
                if !inbox::insert(conn, command, stamp)? {
                    committed.duplicates.push(command.cmd_id.clone());
                }
                Ok(())
            }
            Write::SetCommand { cmd_id, status, result_json } => {
                inbox::set(conn, cmd_id, status, result_json.as_deref())
            }
            Write::ChangeOwner { owner } => owner::change(conn, &self.dir, &mut self.tally, owner),
            Write::ResetCommands => inbox::reset(conn),
            Write::PutJob(job) => jobs::put(conn, job, stamp),
            Write::MoveJob { job_id, expected_rev, state, detail_json, updated_ms } => {
                jobs::advance(conn, job_id, *expected_rev, state, detail_json.as_deref(), *updated_ms, stamp)
            }
            Write::ForgetJob { job_id } => jobs::forget(conn, job_id),
            Write::InsertAttempt { job_id, attempt, started_ms, detail_json } => {
                jobs::begin_attempt(conn, job_id, *attempt, *started_ms, detail_json.as_deref(), stamp)
            }
            Write::FinishAttempt { job_id, attempt, end } => {
                jobs::finish_attempt(conn, job_id, *attempt, end, stamp)
            }
            Write::PutFile(file) => files::put(conn, file),
            Write::DeleteFile { sha256 } => files::delete(conn, sha256),
            Write::PutMeta { key, value } => files::put_meta(conn, key, value),
        }
    }

    /// One connection serves both: a FULL commit syncs the whole log, also the NORMAL commits before it, so
    /// that the order of the sequence numbers is the order on disk.
    fn set_synchronous(&mut self, durability: Durability) -> Result<(), StoreError> {
        if self.synchronous != Some(durability) {
            self.conn.execute_batch(match durability {
                Durability::Promise => "PRAGMA synchronous = FULL",
                Durability::Grouped => "PRAGMA synchronous = NORMAL",
            })?;
            self.synchronous = Some(durability);
        }
        Ok(())
    }

    /// Notes that everything is known, so that the next open goes on in this epoch, and closes the file.
    pub(super) fn close(mut self) -> Result<(), StoreError> {
        self.set_synchronous(Durability::Promise)?;
        self.conn.execute("UPDATE ledger SET clean = 1, next_seq = ?1", [self.tally.next_seq])?;
        // The mark is durable with the line above; folding the log into the file is only tidiness.
        drop(self.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"));
        self.conn.close().map_err(|(_, error)| StoreError::from(error))
    }
}

/// What a transaction came to, part by part.
pub(super) struct Outcome {
    /// Events that the ack removed.
    pub(super) acked: Result<usize, StoreError>,
    /// One answer for each list, in order.
    pub(super) lists: Vec<Result<Committed, StoreError>>,
}

impl Outcome {
    fn failed(lists: usize, error: StoreError) -> Self {
        Self { acked: Err(error.clone()), lists: vec![Err(error); lists] }
    }
}
