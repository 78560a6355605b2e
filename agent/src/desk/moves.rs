//! Moves a job: the state machine, one row and one event, in one transaction.

use std::time::Duration;

use spoolway_protocol::event::{EventData, JobStateChanged};
use spoolway_protocol::job::{JobState, LineSpan};
use spoolway_protocol::raw::Extra;
use spoolway_protocol::{Fault, JobId};
use tracing::{error, warn};

use super::book::json;
use super::clerk::Clerk;
use super::events::event;
use crate::printer::Cause;
use crate::store::{Durability, StoreError, Write};
use crate::view::FaultView;

/// After a refused write no new job is taken in hand for so long.
const STORE_REST: Duration = Duration::from_secs(5);

/// Why a job moves.
#[derive(Debug, Clone, Default)]
pub(super) struct Reason {
    pub(super) fault: Option<Fault>,
    pub(super) text: Option<String>,
    /// Lines of the file of which nobody knows whether they were carried out.
    pub(super) doubt: Option<LineSpan>,
}

impl Reason {
    pub(super) fn fault(fault: Fault, text: impl Into<String>) -> Self {
        Self { fault: Some(fault), text: Some(text.into()), doubt: None }
    }

    /// Why the printer thread holds a job or gave it up.
    pub(super) fn of_cause(cause: Option<&Cause>) -> Self {
        let Some(cause) = cause else { return Self::default() };
        let doubt = match cause {
            Cause::Doubt { first, last } => {
                Some(LineSpan { first: *first, last: *last, extra: Extra::default() })
            }
            Cause::Printer(_) | Cause::Guard(..) => None,
        };
        Self { doubt, ..Self::fault(cause.fault(), cause.text()) }
    }
}

impl Clerk {
    /// Moves a job and commits the move, with `also` in the same transaction. Gives whether it moved.
    pub(super) async fn move_job(
        &mut self,
        id: &JobId,
        to: JobState,
        reason: Reason,
        also: Vec<Write>,
    ) -> bool {
        let Some(before) = self.book.entries.get(id).cloned() else { return false };
        let Some(writes) = self.plan_move(id, to, &reason) else { return false };
        let all = writes.into_iter().chain(also).collect();
        let moved = self.promise(all).await.is_ok();
        if !moved {
            // What is not written down has not happened.
            self.book.queue.set_state(id, before.job.state());
            self.book.entries.insert(id.clone(), before);
        }
        moved
    }

    /// Moves a job in memory; gives what has to be committed.
    pub(super) fn plan_move(&mut self, id: &JobId, to: JobState, reason: &Reason) -> Option<Vec<Write>> {
        let entry = self.book.entries.get_mut(id)?;
        let expected_rev = entry.job.rev();
        let changed = match entry.job.move_to(to, reason.fault.map(Fault::code)) {
            Ok(changed) => JobStateChanged {
                doubt: reason.doubt.clone(),
                loss: (to == JobState::Interrupted).then(|| entry.detail.loss_word()).flatten(),
                ..changed
            },
            Err(unlawful) => {
                warn!(%unlawful, "a job was not moved");
                return None;
            }
        };
        Some(self.write_move(id, expected_rev, EventData::JobState(changed), reason))
    }

    /// The row and the event of a move that has been made in memory.
    pub(super) fn write_move(
        &mut self,
        id: &JobId,
        expected_rev: u64,
        changed: EventData,
        reason: &Reason,
    ) -> Vec<Write> {
        let stamp = self.clock.stamp();
        let updated_ms = self.clock.unix_ms();
        let entry = self.book.entries.get_mut(id).expect("the job was found by the caller");
        entry.detail.because(reason.fault, reason.text.clone());
        entry.detail.attempt = entry.job.attempt();
        let state = entry.job.state();
        entry.detail.story.step(state, entry.job.attempt(), reason.fault, &stamp);
        entry.detail.ended_ms = if state.is_terminal() { updated_ms } else { 0 };
        entry.detail.ended = state.is_terminal().then(|| stamp.clone());
        self.book.queue.set_state(id, state);
        self.changed = true;
        self.moved = true;
        vec![
            Write::MoveJob {
                job_id: id.to_string(),
                expected_rev,
                state: state.as_str().to_owned(),
                detail_json: Some(json(&entry.detail)),
                updated_ms,
            },
            event(&changed, Some((id, entry.job.attempt())), &stamp),
        ]
    }

    /// Commits what must not be forgotten.
    pub(super) async fn promise(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        let committed = self.store.commit(writes, Durability::Promise).await.map(drop);
        self.mind(committed)
    }

    /// No new job is taken in hand for a while after the store has refused a write, and `status` says why.
    pub(super) fn mind(&mut self, committed: Result<(), StoreError>) -> Result<(), StoreError> {
        match &committed {
            Ok(()) => self.storage_fault = None,
            Err(error) => {
                let fault = match error {
                    StoreError::Corrupt { .. } => Fault::StoreCorrupt,
                    _ => Fault::DiskFull,
                };
                error!(%error, code = fault.code(), help = fault.help(), "the store refused a write");
                self.storage_fault = Some(FaultView::new(fault, error.to_string()));
                self.rest_until = Some(self.clock.now() + STORE_REST);
            }
        }
        committed
    }

    /// Commits what may be repeated.
    pub(super) async fn note(&self, writes: Vec<Write>) {
        if let Err(error) = self.store.commit(writes, Durability::Grouped).await {
            warn!(%error, "an event was not stored");
        }
    }
}
