//! Chooses the next job, reads its file through, and hands it to the printer. A start is written down before its first
//! byte, once for each attempt.

use std::sync::Arc;

use spoolway_agent_core::gcode::{Position, Summary};
use spoolway_agent_core::preflight::{Printer, Report};
use spoolway_protocol::event::EventData;
use spoolway_protocol::job::JobState;
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::{Fault, JobId};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::book::json;
use super::clerk::{Clerk, Done};
use super::follow::Following;
use super::moves::Reason;
use super::permits::Granted;
use super::restore::{BED_EPOCH, BED_JOB, meta};
use crate::attempt::Begun;
use crate::line_journal::Subject;
use crate::printer::feeder::{self, Feed};
use crate::printer::{Known, Order, Ticket};
use crate::spool::{Spool, SpoolError, SpoolReader};
use crate::store::Write;
use crate::telemetry;
use crate::view::Refusal;

/// A job whose file is being read through.
#[derive(Debug)]
pub(super) struct Preflight {
    job_id: JobId,
    attempt: u32,
}

/// A file has been read through.
#[derive(Debug)]
pub(super) struct Read {
    job_id: JobId,
    found: Result<Box<Report>, Refusal>,
}

impl Clerk {
    /// Starts the next job that may start by itself, when the printer is free for it.
    pub(super) async fn choose_start(&mut self) {
        if self.check_printer().is_err() {
            return;
        }
        let now_ms = self.clock.trusted_unix_ms();
        let next = self.book.queue.next_startable(now_ms).map(|next| next.job_id.clone());
        let waits = self.book.first_in(JobState::AwaitingBedClear);
        if let Some(id) = waits.as_ref().filter(|id| next.as_ref() != Some(id)) {
            // Another job is to go first now.
            self.move_job(id, JobState::Queued, Reason::default(), Vec::new()).await;
        }
        let Some(id) = next.filter(|next| waits.as_ref() != Some(next) || self.check_bed().is_ok()) else {
            return;
        };
        let attempt = self.book.entries[&id].job.attempt() + 1;
        self.begin_preflight(&id, attempt).await;
    }

    /// Whether a job could be handed to the printer now.
    pub(super) fn check_printer(&self) -> Result<Arc<Known>, Refusal> {
        self.check_no_update()?;
        let snapshot = self.snapshot.borrow();
        if self.preflight.is_some() || self.following.is_some() {
            return Err(Refusal::new(Fault::Busy, "another job is under way"));
        }
        match &snapshot.known {
            Some(known) if snapshot.state == PrinterState::Idle && !snapshot.unsafe_yet => {
                self.check_trust(&snapshot)?;
                Ok(Arc::clone(known))
            }
            _ => {
                let not_ready = || (Fault::Busy, "the printer is not ready yet".to_owned());
                let (fault, text) = snapshot.fault.clone().unwrap_or_else(not_ready);
                Err(Refusal::new(fault, text))
            }
        }
    }

    pub(super) async fn begin_preflight(&mut self, id: &JobId, attempt: u32) {
        let Some(known) = self.snapshot.borrow().known.clone() else { return };
        if !self.move_job(id, JobState::Preflight, Reason::default(), Vec::new()).await {
            return;
        }
        self.preflight = Some(Preflight { job_id: id.clone(), attempt });
        let (spool, done) = (self.spool.clone(), self.done.clone());
        let (job_id, sha256) = (id.clone(), self.book.entries[id].sha256().to_string());
        let printer = self.printer_for_files(&known);
        let about = telemetry::of_job(id, attempt);
        tokio::spawn(async move {
            let read = tokio::task::spawn_blocking(move || {
                about.in_scope(|| read_through(&spool, &sha256, printer))
            })
            .await;
            let lost = || Err(Refusal::new(Fault::StoreCorrupt, "the file could not be read through"));
            let found = read.unwrap_or_else(|_| lost());
            drop(done.send(Done::Read(Read { job_id, found })).await);
        });
    }

    pub(super) async fn take_read(&mut self, read: Read) {
        let Some(preflight) = self.preflight.take_if(|preflight| preflight.job_id == read.job_id) else {
            return;
        };
        let id = preflight.job_id;
        if self.book.entries[&id].detail.held {
            // It was held while its file was being read.
            let refusal = Refusal::new(Fault::JobHeld, format!("job {id} is held"));
            self.move_job(&id, JobState::Queued, Reason::default(), Vec::new()).await;
            return self.end_start_command(&id, Err(refusal));
        }
        match (read.found, self.check_printer()) {
            (Err(refusal), _) => {
                let reason = Reason::fault(refusal.fault, refusal.text);
                self.end_unstarted(&id, JobState::Failed, reason).await;
            }
            (Ok(report), Ok(known)) if !self.stopping => {
                if !self.pass_preflight(&id, &report).await {
                    return;
                }
                match self.check_bed() {
                    Ok(()) => self.start(&id, preflight.attempt, report.summary, known).await,
                    Err(refusal) => self.await_bed(&id, refusal).await,
                }
            }
            _ => {
                let text = "the printer went away before the job could start";
                self.move_job(&id, JobState::Queued, Reason::fault(Fault::Busy, text), Vec::new()).await;
                self.end_start_command(&id, Err(Refusal::new(Fault::Busy, text)));
            }
        }
    }

    /// The job keeps its turn and starts by itself once somebody says that the bed is clear. One that was told to start by a command
    /// does not: whoever gave the command is told, and gives it again.
    async fn await_bed(&mut self, id: &JobId, refusal: Refusal) {
        let is_told = self.book.entries[id].started_by.is_some();
        let to = if is_told { JobState::Queued } else { JobState::AwaitingBedClear };
        info!(job = %id, bed_epoch = self.bed.epoch(), "the bed has to be cleared first");
        let reason = Reason::fault(refusal.fault, refusal.text.clone());
        self.move_job(id, to, reason, Vec::new()).await;
        self.end_start_command(id, Err(refusal));
    }

    async fn start(&mut self, id: &JobId, attempt: u32, summary: Summary, known: Arc<Known>) {
        let granted = match self.grant(id, attempt) {
            Ok(granted) => granted,
            Err(refusal) => return self.refuse_start(id, refusal).await,
        };
        let sha256 = self.book.entries[id].sha256().to_string();
        let feed =
            self.spool.read(&sha256).map_err(|error| super::fetch::refusal_of(&error, id.as_str())).and_then(
                |body: SpoolReader| {
                    feeder::start(body).map_err(|error| {
                        Refusal::new(Fault::StoreCorrupt, format!("no thread for the job: {error}"))
                    })
                },
            );
        let feed = match feed {
            Ok(feed) => feed,
            Err(refusal) => {
                let reason = Reason::fault(refusal.fault, refusal.text);
                return self.end_unstarted(id, JobState::Failed, reason).await;
            }
        };
        let begun = Begun { started: Some(self.clock.stamp()), permit: granted.permit.clone() };
        if !self.write_start(id, attempt, summary, &begun, granted).await {
            return;
        }
        self.runs += 1;
        let run = self.runs;
        info!(job = %id, attempt, commands = summary.commands, layers = summary.layers, "print starts");
        let subject = Subject {
            run,
            job_id: id.to_string(),
            attempt,
            sha256,
            from: Position::default(),
            commands_before: 0,
            preamble: 0,
        };
        self.send_start(known, id, subject, begun, feed).await;
        self.end_start_command(id, Ok(()));
    }

    /// Hands an attempt that is written down to the printer.
    pub(super) async fn send_start(
        &mut self,
        known: Arc<Known>,
        id: &JobId,
        subject: Subject,
        begun: Begun,
        feed: mpsc::Receiver<Feed>,
    ) {
        let run = subject.run;
        self.journal.begin(subject.clone());
        let ticket = Box::new(self.ticket(id, subject, begun));
        self.following = Some(Following::from((*ticket).clone()));
        drop(self.orders.send(Order::Start { run, known, ticket, feed }).await);
    }

    /// What has to be known of a run that outlives this process.
    fn ticket(&self, id: &JobId, subject: Subject, begun: Begun) -> Ticket {
        let entry = &self.book.entries[id];
        Ticket {
            job_id: id.clone(),
            subject,
            owner: entry.offer.owner.clone(),
            file_id: entry.offer.file.file_id.clone(),
            size: entry.offer.file.size,
            name: entry.offer.file.name.clone(),
            commands: entry.detail.commands_total,
            layers: entry.detail.layers_total,
            started: begun.started.unwrap_or_else(|| self.clock.stamp()),
            permit: begun.permit,
        }
    }

    /// The attempt, the state, the event and the bed's new epoch in one transaction; without it nothing is sent.
    async fn write_start(
        &mut self,
        id: &JobId,
        attempt: u32,
        summary: Summary,
        begun: &Begun,
        granted: Granted,
    ) -> bool {
        let before = self.book.entries[id].clone();
        let entry = self.book.entries.get_mut(id).expect("the job was found by the caller");
        entry.summary = Some(summary);
        entry.detail = super::book::Detail {
            commands_total: summary.commands,
            layers_total: summary.layers,
            attempt,
            on_demand: entry.detail.on_demand,
            copies_done: entry.detail.copies_done,
            findings: std::mem::take(&mut entry.detail.findings),
            accepted: std::mem::take(&mut entry.detail.accepted),
            objects: std::mem::take(&mut entry.detail.objects),
            story: std::mem::take(&mut entry.detail.story),
            ..Default::default()
        };
        let expected_rev = entry.job.rev();
        let refused = match entry.job.begin(attempt, None) {
            Ok(changed) => {
                let mut writes =
                    self.write_move(id, expected_rev, EventData::JobState(changed), &Reason::default());
                writes.push(Write::InsertAttempt {
                    job_id: id.to_string(),
                    attempt,
                    started_ms: self.clock.unix_ms(),
                    detail_json: Some(json(begun)),
                });
                writes.extend(granted.write());
                writes.push(meta(BED_EPOCH, self.bed.after_start().epoch()));
                writes.push(meta(BED_JOB, id));
                match self.promise(writes).await {
                    Ok(()) => None,
                    Err(error) => {
                        Some(Refusal::new(Fault::DiskFull, format!("the start was not stored: {error}")))
                    }
                }
            }
            Err(error) => Some(Refusal::new(error.fault(), error.to_string())),
        };
        let Some(refusal) = refused else {
            self.bed = self.bed.after_start();
            self.bed_job = Some(id.clone());
            self.keep_used(id, granted);
            return true;
        };
        // Nothing was sent, so the job is where it was; it fails rather than being tried again for ever.
        self.book.entries.insert(id.clone(), before);
        self.book.queue.set_state(id, JobState::Preflight);
        let reason = Reason::fault(refusal.fault, refusal.text);
        self.end_unstarted(id, JobState::Failed, reason).await;
        false
    }

    pub(super) fn end_start_command(&mut self, id: &JobId, ended: Result<(), Refusal>) {
        let command = self.book.entries.get_mut(id).and_then(|entry| entry.started_by.take());
        if let Some(cmd_id) = command {
            self.end_command(cmd_id, ended);
        }
    }

    /// Ends a job whose first line was never sent.
    pub(super) async fn end_unstarted(&mut self, id: &JobId, to: JobState, reason: Reason) {
        self.drop_fetch(id);
        self.preflight.take_if(|preflight| preflight.job_id == *id);
        let was = self.book.entries.get(id).map(|entry| entry.job.state());
        let Some(mut writes) = self.plan_move(id, to, &reason) else { return };
        let (fault, text) =
            (reason.fault.unwrap_or(Fault::Cancelled), reason.text.clone().unwrap_or_default());
        if matches!(was, Some(JobState::Offered | JobState::Fetching)) {
            let file_id = self.book.entries[id].file_id().clone();
            self.say_done(file_id, id, Some(&Refusal::new(fault, text.clone())));
        }
        info!(job = %id, state = %to, code = fault.code(), text, help = fault.help(), "job ended");
        // An attempt that was interrupted has told its result already.
        if was != Some(JobState::Interrupted) {
            let outcome = super::follow::outcome_of(to);
            writes.extend(self.write_result(id, outcome, &reason, None));
        }
        drop(self.promise(writes).await);
        self.end_start_command(id, Err(Refusal::new(fault, text)));
        self.end_cancel_commands(id);
        self.forget_file(id);
    }
}

/// A file that is found damaged is not kept: an offer of the same content would else find it here again.
fn read_through(spool: &Spool, sha256: &str, printer: Printer) -> Result<Box<Report>, Refusal> {
    let body = spool.read(sha256).map_err(|error| super::fetch::refusal_of(&error, sha256))?;
    crate::preflight::read(body, printer).map(Box::new).map_err(|error| {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
        if matches!(cause, Some(SpoolError::Damaged(_))) {
            let is_deleted = spool.delete(sha256);
            warn!(sha256, ?is_deleted, "a stored file is damaged and is not kept");
        }
        Refusal::new(Fault::StoreCorrupt, error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use sha2::{Digest, Sha256};
    use spoolway_firmware_profiles::Registry;

    use super::*;
    use crate::spool::SpoolOptions;

    #[test]
    fn a_file_that_is_found_damaged_is_not_kept_and_a_good_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let options = SpoolOptions { reserve_bytes: 0, ..SpoolOptions::default() };
        let spool = Spool::open(dir.path(), options).unwrap();
        let mut file = String::new();
        (0..60_000).for_each(|x| writeln!(file, "G1 X{x}").unwrap());
        let sha256: String = Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
        let mut writer = spool.write("part").unwrap();
        writer.append(file.as_bytes()).unwrap();
        writer.finish(&sha256, file.len() as u64).unwrap();
        let registry = Registry::built_in();
        let marlin = &registry.get("marlin").unwrap().profile;
        let read = || read_through(&spool, &sha256, Printer::of_profile(marlin, None));
        read().unwrap();
        assert_eq!(spool.bodies().unwrap().len(), 1);
        let body = dir.path().join(format!("{sha256}.gcode.db"));
        let stored = rusqlite::Connection::open(body).unwrap();
        stored.execute("UPDATE frame SET zstd = x'00' WHERE n = 1", []).unwrap();
        drop(stored);
        assert_eq!(read().unwrap_err().fault, Fault::StoreCorrupt);
        assert!(spool.bodies().unwrap().is_empty(), "it can be fetched anew");
        assert_eq!(read().unwrap_err().fault, Fault::JobFileUnavailable);
    }
}
