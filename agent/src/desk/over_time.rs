//! A print that takes longer than its permit allows: told once for each attempt, and held where the permit says so.

use spoolway_protocol::event::EventData;
use spoolway_protocol::job::JobState;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::usage::{JobOverTime, JobUsage};
use spoolway_protocol::{Fault, JobId};
use tracing::warn;

use super::clerk::Clerk;
use super::events::event;
use super::moves::Reason;
use super::permits::TOLD_OVER_TIME;
use super::restore::meta;
use crate::attempt::UsedPermit;
use crate::printer::{Order, Run, RunPhase};

/// What a run's permit has done to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum OverTime {
    /// Nothing.
    #[default]
    No,
    /// It is held because its time is over.
    Held,
    /// It was held, and a person has let it go on; they are not asked again.
    LetGo,
}

impl Clerk {
    /// Looks at the time of the run that is under way. While it is held its time stands still.
    pub(super) async fn watch_time(&mut self) {
        let Some((permit, max_seconds, printing_ms)) = self.time_that_is_over() else { return };
        let Some(following) = &mut self.following else { return };
        let (id, attempt) = (following.job_id.clone(), following.subject.attempt);
        let held = permit.pauses_over_time;
        // The hold goes first: who is killed in between tells it when it goes on.
        if held && following.over_time == OverTime::No {
            following.over_time = OverTime::Held;
            drop(self.orders.send(Order::Pause).await);
        }
        let permit_id = permit.permit_id;
        let told = JobOverTime { max_seconds, printing_ms, held, permit_id, extra: Extra::default() };
        let told = event(&EventData::JobOverTime(told), Some((&id, attempt)), &self.clock.stamp());
        let mark = meta(TOLD_OVER_TIME, JobUsage::id_of(&id, attempt));
        if self.promise(vec![told, mark]).await.is_err() {
            return;
        }
        let fault = Fault::PermitOverTime;
        warn!(job = %id, max_seconds, printing_ms, held, code = fault.code(), help = fault.help(), "over time");
        self.permits.note_over_time(&id, attempt);
    }

    /// The permit, its seconds, and for how long the job has been printed by it, in ms: when that is more, and was not told.
    fn time_that_is_over(&self) -> Option<(UsedPermit, u64, u64)> {
        let following = self.following.as_ref().filter(|following| !following.is_over)?;
        let permit = following.permit.as_ref()?;
        let max_seconds = permit.max_seconds?;
        let (id, attempt) = (&following.job_id, following.subject.attempt);
        if self.permits.has_told_over_time(id, attempt) {
            return None;
        }
        let snapshot = self.snapshot.borrow();
        let run = snapshot.run.as_ref().filter(|run| run.id == following.subject.run)?;
        let paused = (run.phase == RunPhase::Printing).then_some(run.paused)?;
        let now_ms = (self.clock.now() - following.began).saturating_sub(paused).as_millis() as u64;
        let printing_ms = now_ms.saturating_add(self.book.entries[id].detail.printed_ms);
        (printing_ms > max_seconds.saturating_mul(1_000)).then(|| (permit.clone(), max_seconds, printing_ms))
    }

    /// Why a run is held.
    pub(super) fn why_held(&self, run: &Run) -> Reason {
        match (&run.cause, self.following.as_ref().map(|following| following.over_time)) {
            (None, Some(OverTime::Held)) => {
                let text = "its permit's time is over: resume it if it may go on";
                Reason::fault(Fault::PermitOverTime, text)
            }
            (cause, _) => Reason::of_cause(cause.as_ref()),
        }
    }

    /// A run that was held goes on.
    pub(super) fn let_go(&mut self, to: JobState) {
        let held = self.following.as_mut().filter(|following| following.over_time == OverTime::Held);
        if let Some(following) = held.filter(|_| to == JobState::Printing) {
            following.over_time = OverTime::LetGo;
        }
    }

    /// Whether a job that another process held is held for its time.
    pub(super) fn is_held_over_time(&self, id: &JobId) -> bool {
        let entry = self.book.entries.get(id);
        entry.is_some_and(|entry| entry.detail.code.as_deref() == Some(Fault::PermitOverTime.code()))
    }
}
