//! What people ask for at the machine: print a file, hold a job, go on, give it up.

use std::path::PathBuf;

use spoolway_agent_core::job::Job;
use spoolway_protocol::event::EventData;
use spoolway_protocol::ids::FileId;
use spoolway_protocol::job::JobState;
use spoolway_protocol::limits::CHUNK_PAYLOAD_BYTES;
use spoolway_protocol::offer::{FileSpec, OfferArgs, Retain, StartRule};
use spoolway_protocol::raw::Extra;
use spoolway_protocol::{Doubt, Fault, JobId};
use tracing::info;
use uuid::Uuid;

use super::Answer;
use super::book::{Detail, Entry};
use super::clerk::{Clerk, Done};
use super::commands::unknown_job;
use super::events::event;
use super::moves::Reason;
use super::schedule::COPIES;
use crate::local::PrintWishes;
use crate::printer::{Cause, Order};
use crate::spool::{SpoolError, SpooledBody};
use crate::store::Write;
use crate::view::{JobView, Refusal};

/// Owner of a job that was given at the machine; no backend may say so of its jobs.
pub(super) const LOCAL_OWNER: &str = "local";

/// A local file is in the spool, or not.
#[derive(Debug)]
pub(super) struct Imported {
    name: String,
    wishes: PrintWishes,
    path: PathBuf,
    body: Result<SpooledBody, SpoolError>,
    answer: Answer,
}

impl Clerk {
    /// Copies a file into the spool, away from the desk.
    pub(super) fn import(&mut self, path: PathBuf, wishes: PrintWishes, answer: Answer) {
        self.imports += 1;
        let (spool, done, promised_bytes) = (self.spool.clone(), self.done.clone(), self.promised_bytes());
        let name = wishes.name.clone().unwrap_or_else(|| {
            path.file_name().map_or_else(|| "unnamed".to_owned(), |name| name.to_string_lossy().into_owned())
        });
        tokio::spawn(async move {
            let from = path.clone();
            let copied = tokio::task::spawn_blocking(move || spool.import(&from, promised_bytes)).await;
            let body = copied.unwrap_or(Err(SpoolError::Broken));
            drop(done.send(Done::Imported(Imported { name, wishes, path, body, answer })).await);
        });
    }

    pub(super) async fn take_import(&mut self, imported: Imported) {
        let Imported { name, wishes, path, body, answer } = imported;
        self.imports = self.imports.saturating_sub(1);
        let taken = match body {
            Ok(body) => self.add_local(name, &wishes, &body).await,
            // It was measured before it was copied, so it begins again; without files that may go this ends.
            Err(SpoolError::NoRoom(shortage)) if self.make_room(shortage.needed_bytes).await.is_ok() => {
                return self.import(path, PrintWishes { name: Some(name), ..wishes }, answer);
            }
            Err(error) => Err(super::fetch::refusal_of(&error, &path.display().to_string())),
        };
        drop(answer.send(taken));
    }

    async fn add_local(
        &mut self,
        name: String,
        wishes: &PrintWishes,
        body: &SpooledBody,
    ) -> Result<JobView, Refusal> {
        let id = Uuid::now_v7().to_string();
        let job_id = JobId::new(id.clone()).expect("a UUID is a name");
        let sha256 = body.sha256.parse().expect("the spool names bodies by their digest");
        let offer = OfferArgs {
            job_id: job_id.clone(),
            rev: 1,
            owner: LOCAL_OWNER.to_owned(),
            file: FileSpec {
                file_id: FileId::new(id).expect("a UUID is a name"),
                size: body.size,
                sha256,
                chunk: CHUNK_PAYLOAD_BYTES as u32,
                chunks_sha256: None,
                name,
                ptype: None,
                gtype: None,
                extra: Extra::default(),
            },
            sources: Vec::new(),
            start: StartRule::WhenReady,
            not_before: None,
            not_after: None,
            copies: wishes.copies.clamp(1, COPIES),
            priority: wishes.priority,
            requires: None,
            estimate: None,
            retain: Retain::default(),
            extra: Extra::default(),
        };
        info!(job = %job_id, bytes = body.size, "job accepted");
        self.add_job(offer, wishes.hold).await?;
        self.view_of(&job_id).ok_or_else(|| unknown_job(&job_id))
    }

    /// A new job, stored before anybody is told that it was taken.
    pub(super) async fn add_job(&mut self, offer: OfferArgs, held: bool) -> Result<(), Refusal> {
        let now_ms = self.clock.unix_ms();
        let (job, changed) = Job::offered(offer.job_id.clone());
        let id = offer.job_id.clone();
        let entry = Entry {
            job,
            offer,
            detail: Detail { held, ..Detail::default() },
            created_ms: now_ms,
            position: self.book.next_position(),
            summary: None,
            told_preflight: None,
            cancelled_by: Vec::new(),
            started_by: None,
        };
        let told = event(&EventData::JobState(changed), Some((&id, 0)), &self.clock.stamp());
        let writes = vec![Write::PutJob(entry.row(now_ms)), told];
        if !self.book.put(entry) {
            return Err(Refusal::new(Fault::Busy, "the queue is full"));
        }
        if let Err(error) = self.promise(writes).await {
            self.book.entries.remove(&id);
            self.book.queue.remove(&id);
            return Err(Refusal::new(Fault::DiskFull, format!("the job could not be stored: {error}")));
        }
        Ok(())
    }

    pub(super) async fn pause_here(&mut self, job: Option<JobId>) -> Result<JobView, Refusal> {
        let id = self.chosen(job)?;
        self.expect_state(&id, &[JobState::Printing, JobState::Recovering, JobState::Paused])?;
        drop(self.orders.send(Order::Pause).await);
        self.view_of(&id).ok_or_else(|| unknown_job(&id))
    }

    /// Lines in doubt are not resumed over by mistake: somebody has to look and to say.
    pub(super) async fn resume_here(
        &mut self,
        job: Option<JobId>,
        doubt: Option<Doubt>,
    ) -> Result<JobView, Refusal> {
        let id = self.chosen(job)?;
        self.expect_state(&id, &[JobState::Printing, JobState::Paused])?;
        let cause = self.snapshot.borrow().run.as_ref().and_then(|run| run.cause.clone());
        if let (Some(cause @ Cause::Doubt { .. }), None) = (&cause, doubt) {
            return Err(Refusal::new(cause.fault(), cause.text()));
        }
        if let Some(doubt) = doubt {
            info!(job = %id, ?doubt, ?cause, "resumed with a word on the lines in doubt");
        }
        drop(self.orders.send(Order::Resume { doubt }).await);
        self.view_of(&id).ok_or_else(|| unknown_job(&id))
    }

    /// A job that is printing ends when the cancel script has run; any other at once.
    pub(super) async fn cancel_here(&mut self, job: Option<JobId>) -> Result<JobView, Refusal> {
        let id = self.chosen(job)?;
        let entry = self.book.entries.get(&id).ok_or_else(|| unknown_job(&id))?;
        let state = entry.job.state();
        if state.is_terminal() {
            let text = format!("job {id} is already {state}");
            return Err(Refusal::new(Fault::JobNotReady, text));
        }
        if self.following.as_ref().is_some_and(|following| following.job_id == id) {
            drop(self.orders.send(Order::Cancel).await);
        } else {
            self.end_unstarted(&id, JobState::Cancelled, Reason::fault(Fault::Cancelled, "cancelled")).await;
        }
        self.view_of(&id).ok_or_else(|| unknown_job(&id))
    }

    /// The job that was named, or the one that holds the printer.
    fn chosen(&self, job: Option<JobId>) -> Result<JobId, Refusal> {
        match job {
            Some(id) if self.book.entries.contains_key(&id) => Ok(id),
            Some(id) => Err(unknown_job(&id)),
            None => match self.book.active() {
                Some(entry) => Ok(entry.job.id().clone()),
                None => Err(Refusal::new(Fault::JobNotReady, "no job is being printed")),
            },
        }
    }

    fn expect_state(&self, id: &JobId, states: &[JobState]) -> Result<(), Refusal> {
        let state = self.book.entries.get(id).ok_or_else(|| unknown_job(id))?.job.state();
        if states.contains(&state) {
            return Ok(());
        }
        Err(Refusal::new(Fault::JobNotReady, format!("job {id} is {state}")))
    }
}
