//! Runs that were taken over from the process before: their jobs are followed on, also when the database was lost meanwhile.

use spoolway_agent_core::job::Job;
use spoolway_protocol::event::{EventData, JobStateChanged};
use spoolway_protocol::job::{FileSpec, JobState, OfferArgs, StartRule};
use spoolway_protocol::limits::CHUNK_PAYLOAD_BYTES;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::{Fault, Sha256Hex};
use tracing::{info, warn};

use super::book::{Detail, Entry, json};
use super::clerk::Clerk;
use super::events::event;
use super::follow::Following;
use super::over_time::OverTime;
use crate::attempt::Begun;
use crate::line_journal::Found;
use crate::printer::Ticket;
use crate::store::Write;

impl Clerk {
    /// The printer thread has gone on with a run, or knows how it ended: its job is followed as if nothing had happened.
    pub(super) async fn take_up(&mut self, ticket: Ticket, lost_database: bool, left: &Found) {
        self.runs = self.runs.max(ticket.subject.run);
        if lost_database && !self.book.entries.contains_key(&ticket.job_id) {
            self.adopt(&ticket).await;
        }
        let Some(entry) = self.book.entries.get(&ticket.job_id) else { return };
        let attempt = ticket.subject.attempt;
        if !entry.job.state().holds_printer() || entry.job.attempt() != attempt {
            return;
        }
        let over_time = if self.is_held_over_time(&ticket.job_id) { OverTime::Held } else { OverTime::No };
        let mark = left.of(ticket.job_id.as_str(), attempt).cloned().map(Box::new);
        info!(job = %ticket.job_id, attempt, "the print outlived the process");
        self.journal.begin(ticket.subject.clone());
        self.following = Some(Following { over_time, mark, ..Following::from(ticket) });
    }

    /// The database has forgotten a job that is on the printer: what the journal of the conversation knows of it is written
    /// down anew, so that it is shown, told and ended like any other.
    async fn adopt(&mut self, ticket: &Ticket) {
        let Some(offer) = offer_of(ticket) else { return };
        let (id, attempt, now_ms) = (ticket.job_id.clone(), ticket.subject.attempt, self.clock.unix_ms());
        let entry = Entry {
            job: Job::restore(id.clone(), JobState::Printing, 1, attempt),
            offer,
            detail: Detail {
                attempt,
                commands_total: ticket.commands,
                layers_total: ticket.layers,
                begun_behind: ticket.subject.from.line,
                counted_from: ticket.subject.commands_before,
                ..Detail::default()
            },
            created_ms: ticket.started.w,
            position: self.book.next_position(),
            summary: None,
            cancelled_by: Vec::new(),
            started_by: None,
            told_preflight: None,
        };
        let changed = EventData::JobState(JobStateChanged {
            from: None,
            to: JobState::Printing,
            rev: 1,
            reason: Some(Fault::StoreCorrupt.code().to_owned()),
            doubt: None,
            loss: None,
            extra: Extra::default(),
        });
        let writes = vec![
            Write::PutJob(entry.row(now_ms)),
            Write::InsertAttempt {
                job_id: id.to_string(),
                attempt,
                started_ms: ticket.started.w,
                detail_json: Some(json(&Begun {
                    started: Some(ticket.started.clone()),
                    permit: ticket.permit.clone(),
                })),
            },
            event(&changed, Some((&id, attempt)), &self.clock.stamp()),
        ];
        if !self.book.put(entry) {
            return;
        }
        match self.promise(writes).await {
            Ok(()) => {
                warn!(job = %id, "the database was lost; the print that is under way is known from its journal")
            }
            Err(error) => {
                warn!(job = %id, %error, "the print that is under way could not be written down anew")
            }
        }
    }
}

fn offer_of(ticket: &Ticket) -> Option<OfferArgs> {
    let sha256: Sha256Hex = ticket.subject.sha256.parse().ok()?;
    Some(OfferArgs {
        job_id: ticket.job_id.clone(),
        rev: 1,
        owner: ticket.owner.clone(),
        file: FileSpec {
            file_id: ticket.file_id.clone(),
            size: ticket.size,
            sha256,
            chunk: CHUNK_PAYLOAD_BYTES as u32,
            chunks_sha256: None,
            name: ticket.name.clone(),
            ptype: None,
            gtype: None,
            extra: Extra::default(),
        },
        sources: Vec::new(),
        start: StartRule::Manual,
        not_before: None,
        not_after: None,
        copies: 1,
        priority: 0,
        requires: None,
        estimate: None,
        retain: Default::default(),
        extra: Extra::default(),
    })
}
