//! Pulls a job's file into the spool, from a server or through the relay. The machine decides what to ask for and whom; a thread
//! of its own writes down, and a task of its own reads from a server.

mod disk;

use spoolway_agent_core::Moment;
use spoolway_agent_core::transfer::{HttpGet, SourceSpec, Transfer, TransferOptions, TransferOutput};
use spoolway_protocol::event::{EventData, FileVerified};
use spoolway_protocol::job::JobState;
use spoolway_protocol::offer::Source;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::transfer::{Chunk, ChunkDone, ChunkEnd, ChunkErr, FileUrl};
use spoolway_protocol::{Fault, FaultCode, FileId, JobId, Sha256Hex};
use tokio::sync::mpsc;
use tracing::{debug, info};

use super::clerk::Clerk;
use super::events::event;
use super::moves::Reason;
use crate::bus::Outbound;
use crate::clock::Clock;
use crate::spool::SpoolError;
use crate::uplink::{Download, DownloadNews, Downloaded};
use crate::view::Refusal;
pub(super) use disk::Fetched;
use disk::{News, Work};

/// A transfer, the thread that writes it down, and the request to a server that is under way.
pub(super) struct Fetch {
    pub(super) job_id: JobId,
    sha256: Sha256Hex,
    size: u64,
    transfer: Transfer,
    work: mpsc::Sender<Work>,
    download: Option<Download>,
    /// The cap that the transfer was told of.
    bytes_per_s: Option<u64>,
}

impl Clerk {
    /// Takes the next offered job in hand; a file that is already here is not fetched again.
    pub(super) async fn choose_fetch(&mut self) {
        while let Some(id) = self.book.first_in(JobState::Verified) {
            // The agent ended between the two moves.
            if !self.move_job(&id, JobState::Queued, Reason::default(), Vec::new()).await {
                return;
            }
        }
        while self.fetch.is_none() {
            // One that was being fetched when the agent ended goes first.
            let begun = self.book.first_in(JobState::Fetching);
            let Some(id) = begun.clone().or_else(|| self.book.first_in(JobState::Offered)) else { return };
            let sha256 = self.book.entries[&id].sha256();
            if self.spool.contains(&sha256.to_string()).unwrap_or(false) {
                if !self.verify(&id).await {
                    return;
                }
                continue;
            }
            if begun.is_none() && !self.move_job(&id, JobState::Fetching, Reason::default(), Vec::new()).await
            {
                return;
            }
            self.begin_fetch(&id);
        }
    }

    fn begin_fetch(&mut self, id: &JobId) {
        let offer = &self.book.entries[id].offer;
        let (file, sources) = (offer.file.clone(), sources_of(&offer.sources, &self.clock));
        let sha256 = file.sha256.to_string();
        let work = disk::start(&self.spool, sha256, id.clone(), &self.writing, self.done.clone());
        let seed = self.clock.now().as_micros();
        let mut transfer = Transfer::new(&file, sources, TransferOptions::default(), seed);
        if self.connected {
            transfer.handle_connected();
        }
        debug!(job = %id, bytes = file.size, "fetching the file");
        self.fetch = Some(Fetch {
            job_id: id.clone(),
            sha256: file.sha256,
            size: file.size,
            transfer,
            work,
            download: None,
            bytes_per_s: None,
        });
    }

    pub(super) fn fetch_connected(&mut self, up: bool) {
        let Some(fetch) = &mut self.fetch else { return };
        if up { fetch.transfer.handle_connected() } else { fetch.transfer.handle_disconnected() }
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

    /// The owner has given another URL for a file.
    pub(super) fn fetch_url(&mut self, given: FileUrl) {
        let Some(fetch) = &mut self.fetch else { return };
        let entry = self.book.entries.get(&fetch.job_id);
        if entry.is_some_and(|entry| *entry.file_id() == given.file_id) {
            let expires_at = moment_of(given.expires_ms, &self.clock);
            fetch.transfer.handle_url(given.url, expires_at);
        }
    }

    /// What a server has said, or why it says nothing.
    pub(super) fn take_downloaded(&mut self, downloaded: Downloaded) {
        let now = self.clock.now();
        let Some(fetch) = &mut self.fetch else { return };
        let Downloaded { attempt, news } = downloaded;
        let transfer = &mut fetch.transfer;
        match news {
            DownloadNews::Head(head) => {
                debug!(job = %fetch.job_id, status = head.status, "a server answers");
                transfer.handle_head(now, attempt, &head);
            }
            DownloadNews::Body(bytes) => transfer.handle_body(now, attempt, &bytes),
            DownloadNews::End => transfer.handle_body_end(now, attempt),
            DownloadNews::Lost { wish_ms, why } => {
                info!(job = %fetch.job_id, why, "a server cannot be had or broke off");
                transfer.handle_lost(now, attempt, wish_ms, &why);
            }
            DownloadNews::Unusable(why) => {
                info!(job = %fetch.job_id, why, "a URL is not used");
                transfer.handle_unusable(attempt, why);
            }
        }
    }

    /// Does what the transfer says until it waits; gives until when.
    pub(super) async fn work_fetch(&mut self) -> Option<Moment> {
        let cap = self.transfer_settings.printing_bytes_per_s.filter(|_| self.following.is_some());
        loop {
            let now = self.clock.now();
            let fetch = self.fetch.as_mut()?;
            if fetch.bytes_per_s != cap {
                fetch.bytes_per_s = cap;
                fetch.transfer.handle_rate(now, cap);
            }
            match fetch.transfer.poll_output(now) {
                TransferOutput::Request(get) => drop(self.outbound.try_send(Outbound::ChunkGet(get))),
                TransferOutput::AskUrl(ask) => drop(self.outbound.try_send(Outbound::FileUrlRequest(ask))),
                TransferOutput::Fetch(get) => self.download(get),
                TransferOutput::Grant { attempt, bytes } => {
                    if let Some(download) = fetch.download.as_ref().filter(|one| one.attempt() == attempt) {
                        download.grant(bytes);
                    }
                }
                TransferOutput::Abandon { attempt } => {
                    fetch.download.take_if(|download| download.attempt() == attempt);
                }
                TransferOutput::Write { bytes, .. } => drop(fetch.work.send(Work::Append(bytes)).await),
                TransferOutput::Finish => drop(fetch.work.send(Work::Finish { size: fetch.size }).await),
                TransferOutput::StartOver => {
                    info!(job = %fetch.job_id, "another file came than was announced; it is fetched anew");
                    drop(fetch.work.send(Work::StartOver).await);
                }
                TransferOutput::Complete => self.complete_fetch().await,
                TransferOutput::Failed { fault, detail } => {
                    let id = fetch.job_id.clone();
                    self.end_unstarted(&id, JobState::Failed, Reason::fault(fault, detail)).await;
                }
                TransferOutput::Wait(wake) => return wake,
            }
        }
    }

    /// Goes the way to a server as the way to the relay is gone: by the same proxy, authorities and clock.
    fn download(&mut self, get: HttpGet) {
        let relay = self.relay.borrow().clone();
        let Some(fetch) = &mut self.fetch else { return };
        debug!(job = %fetch.job_id, url = %get.url, offset = get.offset, "asking a server");
        match relay {
            Some(relay) => {
                fetch.download = Some(Download::start(relay, self.clock.clone(), get, self.done.clone()));
            }
            None => {
                let why = "no relay is set any more, and with it how servers are reached";
                fetch.transfer.handle_lost(self.clock.now(), get.attempt, None, why);
            }
        }
    }

    pub(super) async fn take_fetched(&mut self, fetched: Fetched) {
        let Some(fetch) = self.fetch.as_mut().filter(|fetch| fetch.job_id == fetched.job_id) else { return };
        match fetched.news {
            News::Opened { durable, read_back } => {
                if durable > 0 {
                    info!(job = %fetch.job_id, durable, read_back, bytes = fetch.size, "the file is here in part; going on behind it");
                }
                fetch.transfer.handle_opened(durable);
            }
            News::Written(offset) => fetch.transfer.handle_written(offset),
            News::Finished(is_announced) => fetch.transfer.handle_finished(is_announced),
            News::Failed(error) => {
                let refusal = refusal_of(&error, fetched.job_id.as_str());
                let reason = Reason::fault(refusal.fault, refusal.text);
                self.end_unstarted(&fetched.job_id, JobState::Failed, reason).await;
            }
        }
    }

    async fn complete_fetch(&mut self) {
        let Some(fetch) = self.fetch.take() else { return };
        self.verify(&fetch.job_id).await;
    }

    /// The whole file is here and is the one that was announced: the job waits for its turn. Gives whether that was stored.
    pub(super) async fn verify(&mut self, id: &JobId) -> bool {
        let entry = &self.book.entries[id];
        let verified = EventData::FileVerified(FileVerified {
            file_id: entry.file_id().clone(),
            sha256: entry.sha256(),
            extra: Extra::default(),
        });
        info!(job = %id, bytes = entry.offer.file.size, "file verified");
        let (told, file_id) = (event(&verified, Some((id, 0)), &self.clock.stamp()), entry.file_id().clone());
        if !self.move_job(id, JobState::Verified, Reason::default(), vec![told]).await {
            return false;
        }
        self.say_done(file_id, id, None);
        self.move_job(id, JobState::Queued, Reason::default(), Vec::new()).await
    }

    /// A job is offered again: whoever sends its file is asked at once, or told that it is not wanted.
    pub(super) fn fetch_offered_again(&mut self, id: &JobId) {
        let Some(entry) = self.book.entries.get(id) else { return };
        let file_id = entry.file_id().clone();
        match entry.job.state() {
            JobState::Offered => {}
            JobState::Fetching => {
                let fetch = self.fetch.as_mut().filter(|fetch| fetch.job_id == *id);
                fetch.into_iter().for_each(|fetch| fetch.transfer.handle_offered_again());
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

    /// Stops to fetch for a job that is over. What has come is thrown away, unless another job waits for the same file.
    pub(super) fn drop_fetch(&mut self, id: &JobId) {
        let Some(fetch) = self.fetch.take_if(|fetch| fetch.job_id == *id) else { return };
        let waits = |entry: &super::book::Entry| {
            entry.job.state() == JobState::Offered && entry.sha256() == fetch.sha256
        };
        if !self.book.entries.values().any(waits) {
            // A thread that has ended has nothing to throw away; one that is busy finds it behind its work.
            drop(fetch.work.try_send(Work::Discard));
        }
    }

    /// Parts of files that no job waits for go.
    pub(super) fn sweep_parts(&self) {
        let coming = |state| matches!(state, JobState::Offered | JobState::Fetching);
        let wanted = self.book.entries.values().filter(|entry| coming(entry.job.state()));
        let wanted: Vec<_> = wanted.map(|entry| entry.sha256().to_string()).collect();
        for part in self.spool.parts().unwrap_or_default() {
            if !wanted.contains(&part.name) {
                drop(self.spool.delete_part(&part.name));
            }
        }
    }
}

/// The sources of an offer that this agent knows, best first.
fn sources_of(sources: &[Source], clock: &Clock) -> Vec<SourceSpec> {
    let known = sources.iter().filter_map(|source| match source {
        Source::Https { url, expires_ms, .. } => {
            Some(SourceSpec::Https { url: url.clone(), expires_at: moment_of(*expires_ms, clock) })
        }
        Source::Relay { .. } => Some(SourceSpec::Relay),
        Source::Unknown { .. } => None,
    });
    known.take(SOURCES).collect()
}

/// Sources of one file that are tried.
const SOURCES: usize = 8;

/// When that is, if this machine knows what time it is.
fn moment_of(unix_ms: Option<u64>, clock: &Clock) -> Option<Moment> {
    let left_ms = unix_ms?.saturating_sub(clock.trusted_unix_ms()?);
    Some(clock.now() + std::time::Duration::from_millis(left_ms))
}

/// What an operator is told about a file that cannot be kept.
pub(super) fn refusal_of(error: &SpoolError, what: &str) -> Refusal {
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
    Refusal::new(fault, format!("{what}: {error}"))
}
