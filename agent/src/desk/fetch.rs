//! Pulls a job's file through the relay into the spool. The machine decides what to ask for; a thread of its own
//! compresses and writes.

use spoolway_agent_core::Moment;
use spoolway_agent_core::transfer::{Transfer, TransferOptions, TransferOutput};
use spoolway_protocol::event::{EventData, FileVerified};
use spoolway_protocol::job::JobState;
use spoolway_protocol::limits::CHUNK_CREDIT;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::transfer::{Chunk, ChunkDone, ChunkEnd, ChunkErr};
use spoolway_protocol::{Fault, FaultCode, FileId, JobId, Sha256Hex};
use tokio::sync::mpsc;
use tracing::{debug, info};

use super::clerk::{Clerk, Done};
use super::events::event;
use super::moves::Reason;
use crate::bus::Outbound;
use crate::spool::{SpoolError, SpoolWriter};
use crate::view::Refusal;

/// Pieces that may wait for the disk: what can be under way, and as much again.
const WORK: usize = 2 * CHUNK_CREDIT as usize;

/// A transfer and the thread that writes it down.
pub(super) struct Fetch {
    pub(super) job_id: JobId,
    sha256: Sha256Hex,
    size: u64,
    transfer: Transfer,
    work: mpsc::Sender<Work>,
}

enum Work {
    Append(Vec<u8>),
    Finish { sha256: String, size: u64 },
}

/// What became of the written bytes.
#[derive(Debug)]
pub(super) struct Fetched {
    job_id: JobId,
    outcome: Result<(), SpoolError>,
}

impl Clerk {
    /// Takes the next offered job in hand; a file that is already here is not fetched again.
    pub(super) async fn choose_fetch(&mut self) {
        if self.fetch.is_none()
            && let Some(id) = self.book.first_in(JobState::Fetching)
        {
            // It was being fetched when the agent ended.
            self.begin_fetch(&id).await;
        }
        while let Some(id) = self.book.first_in(JobState::Verified) {
            // The agent ended between the two moves.
            if !self.move_job(&id, JobState::Queued, Reason::default(), Vec::new()).await {
                return;
            }
        }
        while self.fetch.is_none() {
            let Some(id) = self.book.first_in(JobState::Offered) else { return };
            let entry = &self.book.entries[&id];
            let sha256 = entry.sha256();
            if self.spool.contains(&sha256.to_string()).unwrap_or(false) {
                self.verify(&id).await;
                continue;
            }
            if !self.move_job(&id, JobState::Fetching, Reason::default(), Vec::new()).await {
                return;
            }
            self.begin_fetch(&id).await;
        }
    }

    pub(super) async fn begin_fetch(&mut self, id: &JobId) {
        let file = self.book.entries[id].offer.file.clone();
        let writer = match self.spool.write(&file.sha256.to_string()) {
            Ok(writer) => writer,
            Err(error) => {
                let refusal = refusal_of(&error, &file.name);
                let reason = Reason::fault(refusal.fault, refusal.text);
                return self.end_unstarted(id, JobState::Failed, reason).await;
            }
        };
        let (work, todo) = mpsc::channel(WORK);
        let (done, job_id) = (self.done.clone(), id.clone());
        tokio::task::spawn_blocking(move || write_down(writer, todo, &job_id, &done));
        let seed = self.clock.now().as_micros();
        let mut transfer = Transfer::new(&file, 0, TransferOptions::default(), seed);
        if self.connected {
            transfer.handle_connected(self.clock.now());
        }
        debug!(job = %id, bytes = file.size, "fetching the file");
        self.fetch = Some(Fetch { job_id: id.clone(), sha256: file.sha256, size: file.size, transfer, work });
    }

    pub(super) fn fetch_connected(&mut self, up: bool) {
        let now = self.clock.now();
        let Some(fetch) = &mut self.fetch else { return };
        if up { fetch.transfer.handle_connected(now) } else { fetch.transfer.handle_disconnected() }
    }

    pub(super) fn fetch_chunk(&mut self, stream: u32, offset: u64, payload: &[u8]) {
        let now = self.clock.now();
        if let Some(fetch) = &mut self.fetch {
            fetch.transfer.handle_chunk(now, &Chunk { to: [0; 16], stream, offset, payload });
        }
    }

    pub(super) fn fetch_end(&mut self, end: &ChunkEnd) {
        let now = self.clock.now();
        if let Some(fetch) = &mut self.fetch {
            fetch.transfer.handle_end(now, end);
        }
    }

    pub(super) fn fetch_err(&mut self, err: &ChunkErr) {
        let now = self.clock.now();
        if let Some(fetch) = &mut self.fetch {
            fetch.transfer.handle_err(now, err);
        }
    }

    pub(super) fn fetch_nack(&mut self) {
        let now = self.clock.now();
        if let Some(fetch) = &mut self.fetch {
            fetch.transfer.handle_nack(now);
        }
    }

    /// Does what the transfer says until it waits; gives until when.
    pub(super) async fn work_fetch(&mut self) -> Option<Moment> {
        loop {
            let now = self.clock.now();
            let fetch = self.fetch.as_mut()?;
            match fetch.transfer.poll_output(now) {
                TransferOutput::Request(get) => drop(self.outbound.try_send(Outbound::ChunkGet(get))),
                TransferOutput::Write { bytes, .. } => drop(fetch.work.send(Work::Append(bytes)).await),
                TransferOutput::Sync { offset } if offset == fetch.size => {
                    let finish = Work::Finish { sha256: fetch.sha256.to_string(), size: fetch.size };
                    drop(fetch.work.send(finish).await);
                }
                // The spool makes bytes durable by itself as they come; only the end is waited for.
                TransferOutput::Sync { .. } => {}
                // A transfer always begins with nothing: the spool gives no half file back.
                TransferOutput::ReadBack { .. } => fetch.transfer.handle_read_back(now, &[]),
                TransferOutput::Complete => self.complete_fetch().await,
                TransferOutput::Failed { fault, detail } => {
                    let id = fetch.job_id.clone();
                    self.end_unstarted(&id, JobState::Failed, Reason::fault(fault, detail)).await;
                }
                TransferOutput::Wait(wake) => return wake,
            }
        }
    }

    pub(super) async fn take_fetched(&mut self, fetched: Fetched) {
        let Some(fetch) = self.fetch.as_mut().filter(|fetch| fetch.job_id == fetched.job_id) else { return };
        match fetched.outcome {
            Ok(()) => fetch.transfer.handle_durable(fetch.size),
            Err(error) => {
                let name = &self.book.entries[&fetched.job_id].offer.file.name;
                let refusal = refusal_of(&error, name);
                let reason = Reason::fault(refusal.fault, refusal.text);
                self.end_unstarted(&fetched.job_id, JobState::Failed, reason).await;
            }
        }
    }

    async fn complete_fetch(&mut self) {
        let Some(fetch) = self.fetch.take() else { return };
        self.verify(&fetch.job_id).await;
    }

    /// The whole file is here and is the one that was announced: the job waits for its turn.
    pub(super) async fn verify(&mut self, id: &JobId) {
        let entry = &self.book.entries[id];
        let verified = EventData::FileVerified(FileVerified {
            file_id: entry.file_id().clone(),
            sha256: entry.sha256(),
            extra: Extra::default(),
        });
        info!(job = %id, bytes = entry.offer.file.size, "file verified");
        let (told, file_id) = (event(&verified, Some((id, 0)), &self.clock.stamp()), entry.file_id().clone());
        if self.move_job(id, JobState::Verified, Reason::default(), vec![told]).await {
            self.say_done(file_id, id, None);
            self.move_job(id, JobState::Queued, Reason::default(), Vec::new()).await;
        }
    }

    /// A job is offered again: whoever sends its file is asked at once, or told that it is not wanted.
    pub(super) fn fetch_offered_again(&mut self, id: &JobId) {
        let now = self.clock.now();
        let Some(entry) = self.book.entries.get(id) else { return };
        let file_id = entry.file_id().clone();
        match entry.job.state() {
            JobState::Offered => {}
            JobState::Fetching => {
                let fetch = self.fetch.as_mut().filter(|fetch| fetch.job_id == *id);
                fetch.into_iter().for_each(|fetch| fetch.transfer.handle_offered_again(now));
            }
            state @ (JobState::Cancelled | JobState::Failed) => {
                let text = format!("the job is {state} already; offer another one");
                let refusal = Refusal::new(Fault::JobFileUnavailable, text);
                self.say_done(file_id, id, Some(&refusal));
            }
            _ => self.say_done(file_id, id, None),
        }
    }

    /// Tells whoever sends a file that no more of it is wanted. It is said again when the job is offered again.
    pub(super) fn say_done(&self, file_id: FileId, id: &JobId, refusal: Option<&Refusal>) {
        let done = ChunkDone {
            file_id,
            job_id: id.clone(),
            code: refusal.map(|refusal| FaultCode(refusal.fault.code().to_owned())),
            detail: refusal.map(|refusal| refusal.text.clone()).unwrap_or_default(),
            extra: Extra::default(),
        };
        drop(self.outbound.try_send(Outbound::ChunkDone(done)));
    }

    /// Stops to fetch for a job that is over; what has come is thrown away.
    pub(super) fn drop_fetch(&mut self, id: &JobId) {
        if self.fetch.as_ref().is_some_and(|fetch| fetch.job_id == *id) {
            self.fetch = None;
        }
    }
}

fn write_down(
    writer: SpoolWriter,
    mut todo: mpsc::Receiver<Work>,
    job_id: &JobId,
    done: &mpsc::Sender<Done>,
) {
    let mut writer = Some(writer);
    while let Some(work) = todo.blocking_recv() {
        let outcome = match work {
            Work::Append(bytes) => match writer.as_mut().map(|writer| writer.append(&bytes)) {
                None | Some(Ok(())) => continue,
                Some(Err(error)) => Err(error),
            },
            Work::Finish { sha256, size } => {
                writer.take().map_or(Err(SpoolError::Broken), |writer| writer.finish(&sha256, size).map(drop))
            }
        };
        let failed = outcome.is_err();
        drop(done.blocking_send(Done::Fetched(Fetched { job_id: job_id.clone(), outcome })));
        if failed {
            break;
        }
    }
    // Given up on the way: nothing half done stays.
    drop(writer.map(SpoolWriter::discard));
}

/// What an operator is told about a file that cannot be kept.
pub(super) fn refusal_of(error: &SpoolError, name: &str) -> Refusal {
    let fault = match error {
        SpoolError::TruncatedFile { .. } => Fault::JobFileTruncated,
        SpoolError::AlteredFile { .. } => Fault::JobFileCorrupt,
        SpoolError::TooLarge { .. } => Fault::JobFileTooLarge,
        SpoolError::DiskFull | SpoolError::NoRoom(_) => Fault::DiskFull,
        SpoolError::NotFound(_) | SpoolError::BadName(_) | SpoolError::Busy | SpoolError::Io(_) => {
            Fault::JobFileUnavailable
        }
        SpoolError::Damaged(_)
        | SpoolError::Broken
        | SpoolError::PastEnd { .. }
        | SpoolError::Database(_) => Fault::StoreCorrupt,
    };
    Refusal::new(fault, format!("{name}: {error}"))
}
