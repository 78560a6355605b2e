//! Keeps a record of each attempt that failed or was interrupted, once its end is committed; what a person has cancelled needs
//! none.
//!
//! It is written away from the desk. A process that dies between the commit and the file owes it: the next one finds the
//! attempt that ended last without a record, and writes what it still knows. So does the one that finds an attempt nobody has
//! ended.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use spoolway_protocol::job::JobState;
use spoolway_protocol::{Fault, JobId, Stamp};
use tracing::{info, warn};

use super::clerk::Clerk;
use super::follow::Following;
use super::losses;
use super::moves::Reason;
use crate::attempt::Begun;
use crate::board;
use crate::line_journal::Mark;
use crate::post_mortem::{BoardFigures, Heat, LineFigures, Record, Usage, Versions, Wire};
use crate::printer::{Known, Snapshot, Tail};
use crate::store::{AttemptRow, StoreError};

/// Why a record has no words of the wire.
const GONE: &str = "the process that had them has ended";
/// A record that is owed is written by the next process if the attempt ended so short a time ago: one that was kept and has
/// gone for its age is not written anew.
const OWED_MS: u64 = 24 * 3_600_000;

/// What is known of an end beyond the job itself.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    started: Option<Stamp>,
    tail: Option<Arc<Tail>>,
    heat: Heat,
}

impl Evidence {
    /// Of a run that this process has followed.
    pub(super) fn of_run(following: &Following, snapshot: &Snapshot) -> Self {
        let tail = snapshot.tail.clone().filter(|tail| tail.run == following.subject.run);
        Self { started: Some(following.started.clone()), tail, heat: Heat::from(&following.warmth) }
    }

    /// Of one that nobody has seen end: what the line journal knows.
    pub(super) fn of_mark(started: Option<Stamp>, mark: Option<&Mark>) -> Self {
        let mut heat = Heat::default();
        let pair = |(actual, target): (f32, Option<f32>)| [f64::from(actual), target.map_or(0.0, f64::from)];
        if let Some(mark) = mark {
            let tools = mark.tools.iter().enumerate().map(|(n, tool)| (format!("tool{n}"), pair(*tool)));
            heat.last = tools.chain(mark.bed.map(|bed| ("bed".to_owned(), pair(bed)))).collect();
        }
        Self { started, tail: None, heat }
    }

    /// Of one that the process before has ended: what is left in its job.
    fn of_job(started: Option<Stamp>, heat: Option<losses::Heat>) -> Self {
        let hot_end = heat.and_then(|heat| Some([heat.hot_end?, heat.hot_end_target.unwrap_or(0.0)]));
        let mut heat = Heat::default();
        heat.last.extend(hot_end.map(|pair| ("tool0".to_owned(), pair.map(f64::from))));
        Self { started, tail: None, heat }
    }
}

/// Whether an attempt that ends in this state gets a record.
fn deserves(to: JobState) -> bool {
    matches!(to, JobState::Interrupted | JobState::Failed)
}

impl Clerk {
    /// Keeps what is known of an attempt whose end is committed.
    pub(super) fn keep_record(&self, id: &JobId, reason: &Reason, evidence: Evidence) {
        let Some(entry) = self.book.entries.get(id) else { return };
        let (detail, state, attempt) = (&entry.detail, entry.job.state(), entry.job.attempt());
        if !deserves(state) || attempt == 0 {
            return;
        }
        let Evidence { started, tail, heat } = evidence;
        let used = detail.story.used(attempt);
        let record = Record {
            v: Record::VERSION,
            job_id: id.clone(),
            attempt,
            outcome: state.as_str().to_owned(),
            code: reason.fault.map(|fault| fault.code().to_owned()),
            text: reason.text.clone(),
            started,
            ended: self.clock.stamp(),
            line: detail.line,
            commands_acked: detail.commands_acked,
            commands_total: detail.commands_total,
            layer: detail.layer,
            usage: used.map_or_else(Usage::default, Usage::from),
            link: tail.as_deref().map(LineFigures::from),
            heat,
            board: BoardFigures::default(),
            versions: versions(tail.as_ref().and_then(|tail| tail.known.as_deref())),
            wire: tail.as_ref().map_or_else(|| Wire::missing(GONE), |tail| Wire::of(&tail.lines)),
        };
        self.write_record(record);
    }

    fn write_record(&self, record: Record) {
        let (shelf, now_ms) = (self.shelf.clone(), self.clock.trusted_unix_ms());
        tokio::task::spawn_blocking(move || {
            let root = Path::new("/");
            let board = BoardFigures { throttled: board::throttled(root), celsius: board::temperature(root) };
            let record = Record { board, ..record }.bounded();
            let (job, attempt) = (&record.job_id, record.attempt);
            let help =
                format!("`spoolway-agent job {job}` and `spoolway-agent logs --wire --job {job}` show it");
            match shelf.put(&record, now_ms) {
                Ok(Some(bytes)) => {
                    info!(job = %job, attempt, bytes, help, "a post-mortem record of the print is kept");
                }
                Ok(None) => {}
                Err(error) => warn!(job = %job, attempt, %error, "no post-mortem record could be kept"),
            }
        });
    }

    /// What the process before has left undone: records of jobs that are not known any more go, and the attempt that ended last
    /// gets the one that it lacks. Where the database was lost, records are all that is left of its jobs.
    pub(super) async fn settle_records(&self, lost_database: bool) -> Result<(), StoreError> {
        if !lost_database {
            self.drop_records_but(self.book.entries.keys().cloned().collect()).await;
        }
        let Some(last) = self.store.last_ended_attempt().await? else { return Ok(()) };
        let Ok(id) = JobId::new(last.job_id.as_str()) else { return Ok(()) };
        let Some(entry) = self.book.entries.get(&id) else { return Ok(()) };
        if entry.job.attempt() != last.attempt || !self.is_recent(&last) {
            return Ok(());
        }
        let detail = &entry.detail;
        let fault = detail.code.as_deref().and_then(Fault::from_code);
        let reason = Reason { fault, text: detail.text.clone(), doubt: None };
        let heat = detail.lost.as_ref().map(|lost| lost.heat);
        let started = Begun::of(&self.store, &id, last.attempt).await?.started;
        // It is written once: one that is there already stays as it is.
        self.keep_record(&id, &reason, Evidence::of_job(started, heat));
        Ok(())
    }

    fn is_recent(&self, last: &AttemptRow) -> bool {
        let ended_ms = last.end.as_ref().map_or(0, |end| end.ended_ms);
        self.clock.unix_ms().saturating_sub(ended_ms) < OWED_MS
    }

    /// Removes the records of all other jobs.
    pub(super) async fn drop_records_but(&self, kept: BTreeSet<JobId>) {
        let shelf = self.shelf.clone();
        let dropped = tokio::task::spawn_blocking(move || shelf.keep_only(|job| kept.contains(job)));
        if let Ok(Err(error)) = dropped.await {
            warn!(%error, "post-mortem records of jobs that are forgotten could not be removed");
        }
    }
}

fn versions(known: Option<&Known>) -> Versions {
    Versions {
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        firmware: known.map(Known::firmware),
        profile: known.map(|known| known.profile.id.clone()),
        port: known.map(|known| known.port.display().to_string()),
        baud: known.map(|known| known.baud),
    }
}
