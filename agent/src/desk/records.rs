//! Gives the record of an attempt that failed or was interrupted to the backend whose job it was, if the operator lets it.

use serde_json::{Value, json};
use spoolway_protocol::command::Actor;
use spoolway_protocol::limits::RECORD_BYTES;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::record::{RecordArgs, RecordData};
use spoolway_protocol::{CmdId, Fault, Raw};
use tracing::info;

use super::clerk::{Clerk, Done};
use super::commands::unknown_job;
use super::owner::is_a_backends;
use crate::post_mortem::{Record, Shelf};
use crate::redact::Redactor;
use crate::view::Refusal;

impl Clerk {
    /// Reads the record away from the desk.
    pub(super) fn give_record(&self, cmd_id: CmdId, actor: &Actor, wanted: RecordArgs) {
        let (shelf, redactor, done) = (self.shelf.clone(), self.names(), self.done.clone());
        let allowed = self.allow_record(actor, &wanted);
        tokio::spawn(async move {
            let found = match allowed {
                Ok(()) => tokio::task::spawn_blocking(move || read(&shelf, &redactor, &wanted))
                    .await
                    .unwrap_or_else(|error| Err(Refusal::new(Fault::StoreCorrupt, error.to_string()))),
                Err(refusal) => Err(refusal),
            };
            drop(done.send(Done::RecordRead(cmd_id, found)).await);
        });
    }

    fn allow_record(&self, actor: &Actor, wanted: &RecordArgs) -> Result<(), Refusal> {
        super::hand::check_role(actor, false)?;
        let id = &wanted.job_id;
        if !self.gives_records {
            let text = "the operator of this agent has not allowed it: `backend.records` is false";
            return Err(Refusal::new(Fault::RecordPrivate, text));
        }
        let is_theirs = self.book.entries.get(id).is_some_and(is_a_backends);
        if !is_theirs {
            return Err(unknown_job(id));
        }
        info!(job = %id, role = actor.role, "the backend asks for the record of a print");
        Ok(())
    }

    /// What names a job or a file, and so is taken out wherever it stands.
    fn names(&self) -> Redactor {
        let mut redactor = Redactor::default();
        self.book.entries.values().for_each(|entry| redactor.file(&entry.offer.file.name));
        redactor
    }
}

fn read(shelf: &Shelf, redactor: &Redactor, wanted: &RecordArgs) -> Result<Raw, Refusal> {
    let found = shelf.find(&wanted.job_id, wanted.attempt);
    let found = found.map_err(|error| Refusal::new(Fault::StoreCorrupt, error.to_string()))?;
    let Some(record) = found else {
        let text = format!("there is no record of job {}", wanted.job_id);
        return Err(Refusal::new(Fault::RecordMissing, text));
    };
    let record = fitting(record, redactor);
    Ok(Raw::of(&RecordData { record: Raw::of(&record), extra: Extra::default() }))
}

/// The record without names and secrets, and with so many of the newest lines of the wire that a result has room for it.
fn fitting(record: Record, redactor: &Redactor) -> Value {
    let mut shown = json!(record);
    redactor.value(&mut shown);
    while shown.to_string().len() > RECORD_BYTES {
        let Some(lines) = shown["wire"]["lines"].as_array_mut().filter(|lines| !lines.is_empty()) else {
            break;
        };
        let gone = lines.len().div_ceil(8);
        lines.drain(..gone);
        let before = shown["wire"]["left_out"].as_u64().unwrap_or(0);
        shown["wire"]["left_out"] = json!(before + gone as u64);
    }
    shown
}
