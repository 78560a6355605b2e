//! From what happened to a row of the outbox.

use spoolway_protocol::event::{EventClass, EventData};
use spoolway_protocol::{JobId, Stamp};

use super::book::json;
use crate::store::{self, NewEvent, Write};

/// An event about a job, its attempt, or the agent itself.
pub(crate) fn event(data: &EventData, job: Option<(&JobId, u32)>, stamp: &Stamp) -> Write {
    let cls = match data.class() {
        EventClass::Critical => store::EventClass::Critical,
        EventClass::Info => store::EventClass::Info,
    };
    Write::Event(NewEvent {
        cls,
        kind: data.kind().to_owned(),
        printer_id: Some(super::show::PRINTER_ID.to_owned()),
        job_id: job.map(|(id, _)| id.to_string()),
        attempt: job.map(|(_, attempt)| attempt).filter(|&attempt| attempt > 0),
        ts_json: json(stamp),
        data_json: data.encode().get().to_owned(),
    })
}
