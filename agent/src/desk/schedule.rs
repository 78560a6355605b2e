//! What a person changes of a job that waits: its order, its times, its copies, and whether it is held.
//!
//! Each change is one row and one event with a revision, as a move is; several jobs change in one transaction or not at all.

use spoolway_agent_core::job::{Place, Placed};
use spoolway_protocol::event::EventData;
use spoolway_protocol::job::JobState;
use spoolway_protocol::queue::{JobUpdateArgs, JobUpdated};
use spoolway_protocol::raw::Extra;
use spoolway_protocol::{Fault, JobId};
use tracing::info;

use super::book::Entry;
use super::clerk::Clerk;
use super::commands::unknown_job;
use super::events::event;
use super::moves::Reason;
use crate::store::Write;
use crate::view::{JobView, Refusal};

/// Copies of one job at most; a plate for each.
pub(super) const COPIES: u32 = 1_000;

/// What is to change; what is not named stays.
#[derive(Debug, Clone, Default)]
pub(super) struct Change {
    /// The revision that was seen.
    rev: Option<u64>,
    priority: Option<i32>,
    place: Option<Place>,
    /// `Some(None)` takes the bound away.
    not_before: Option<Option<u64>>,
    not_after: Option<Option<u64>>,
    hold: Option<bool>,
    copies: Option<u32>,
}

impl Change {
    pub(super) fn place(place: Place) -> Self {
        Self { place: Some(place), ..Self::default() }
    }

    pub(super) fn hold(hold: bool) -> Self {
        Self { hold: Some(hold), ..Self::default() }
    }
}

impl From<&JobUpdateArgs> for Change {
    fn from(args: &JobUpdateArgs) -> Self {
        let bound = |ms: Option<u64>| ms.map(|ms| (ms > 0).then_some(ms));
        Self {
            rev: args.rev,
            priority: args.priority,
            place: args.position.map(Place::Nth),
            not_before: bound(args.not_before),
            not_after: bound(args.not_after),
            hold: args.hold,
            copies: args.copies,
        }
    }
}

impl Clerk {
    pub(super) async fn change_job(&mut self, id: &JobId, change: Change) -> Result<JobView, Refusal> {
        let before = self.book.entries.get(id).cloned().ok_or_else(|| unknown_job(id))?;
        check_change(&before, &change)?;
        let mut changed = before.clone();
        change.apply(&mut changed);
        let mut all = Vec::new();
        if let Some(place) = &change.place {
            let placed = self.book.queue.place(&changed.queued(), place).map_err(|error| {
                let fault = Fault::JobNotReady;
                Refusal::new(fault, error.to_string())
            })?;
            all.extend(placed.into_iter().filter_map(|placed| self.placed(&changed, placed)));
        } else {
            all.push(changed);
        }
        let old = |entry: &Entry| self.book.entries[entry.job.id()].clone();
        let old: Vec<Entry> = all.iter().map(old).collect();
        // Said twice, it is said once.
        let news = all.into_iter().zip(old).filter(|(new, old)| !new.stands_as(old));
        self.write_changes(news.map(|(new, _)| new).collect()).await?;
        self.view_of(id).ok_or_else(|| unknown_job(id))
    }

    /// `job.update` of a backend: the same, and the job may be held and released.
    pub(super) async fn update_job(&mut self, args: &JobUpdateArgs) -> Result<JobView, Refusal> {
        let view = self.change_job(&args.job_id, Change::from(args)).await?;
        if args.hold == Some(true) { self.hold_job(&args.job_id).await } else { Ok(view) }
    }

    /// An entry with the numbers of its new place.
    fn placed(&self, changed: &Entry, placed: Placed) -> Option<Entry> {
        let known = if placed.job_id == *changed.job.id() {
            changed.clone()
        } else {
            self.book.entries.get(&placed.job_id)?.clone()
        };
        let mut entry = known;
        entry.offer.priority = placed.priority;
        entry.position = placed.position;
        Some(entry)
    }

    /// Commits entries that have changed, each with its event, and then holds them to be true.
    async fn write_changes(&mut self, entries: Vec<Entry>) -> Result<(), Refusal> {
        let (stamp, now_ms) = (self.clock.stamp(), self.clock.unix_ms());
        let mut revised = Vec::new();
        let mut writes = Vec::new();
        for mut entry in entries {
            let rev = entry.job.revise();
            let told = EventData::JobUpdated(entry.standing(rev));
            let id = entry.job.id().clone();
            writes.push(Write::PutJob(entry.row(now_ms)));
            writes.push(event(&told, Some((&id, entry.job.attempt())), &stamp));
            revised.push(entry);
        }
        if writes.is_empty() {
            return Ok(());
        }
        self.promise(writes).await.map_err(|error| {
            Refusal::new(Fault::DiskFull, format!("the change could not be stored: {error}"))
        })?;
        for entry in revised {
            info!(
                job = %entry.job.id(), priority = entry.offer.priority, position = entry.position,
                held = entry.detail.held, copies = entry.offer.copies, "job changed"
            );
            // It is in the queue, so there is room for it.
            let _ = self.book.put(entry);
        }
        self.changed = true;
        self.moved = true;
        Ok(())
    }

    /// The job stays where it is until it is released. One that waits for an operator makes way for others.
    pub(super) async fn hold_job(&mut self, id: &JobId) -> Result<JobView, Refusal> {
        self.change_job(id, Change::hold(true)).await?;
        if self.book.entries[id].job.state() == JobState::AwaitingOperator {
            self.move_job(id, JobState::Queued, Reason::default(), Vec::new()).await;
        }
        self.view_of(id).ok_or_else(|| unknown_job(id))
    }

    /// A job that is held goes on waiting for its turn.
    pub(super) async fn release_job(&mut self, id: &JobId) -> Result<JobView, Refusal> {
        self.change_job(id, Change::hold(false)).await
    }

    /// A job that is over waits once more, for the further attempt that somebody has just asked for. By itself it starts no more:
    /// whoever wants another attempt says so each time.
    pub(super) async fn wait_again(&mut self, id: &JobId) -> Result<(), Refusal> {
        let before = self.book.entries.get(id).cloned().ok_or_else(|| unknown_job(id))?;
        if !before.job.state().is_terminal() {
            return Ok(());
        }
        let detail = &mut self.book.entries.get_mut(id).expect("the job was found above").detail;
        detail.on_demand = true;
        if detail.copies_done >= before.offer.copies {
            detail.copies_done = 0;
        }
        let moved = self.move_job(id, JobState::Queued, Reason::default(), Vec::new()).await;
        let entry = if moved { self.book.entries[id].clone() } else { before };
        // It is in the queue, so there is room for it.
        let _ = self.book.put(entry);
        if moved {
            return Ok(());
        }
        Err(Refusal::new(Fault::DiskFull, "the new attempt could not be stored"))
    }

    /// Jobs whose time is over before they could start. Without a clock to trust nothing is over.
    pub(super) async fn expire_jobs(&mut self) {
        let Some(now_ms) = self.clock.trusted_unix_ms() else { return };
        let over: Vec<JobId> = self.book.queue.overdue(now_ms).map(|job| job.job_id.clone()).collect();
        for id in over {
            let text = "its time was over before it could start";
            self.end_unstarted(&id, JobState::Failed, Reason::fault(Fault::JobExpired, text)).await;
        }
    }
}

impl Change {
    fn apply(&self, entry: &mut Entry) {
        let offer = &mut entry.offer;
        offer.priority = self.priority.unwrap_or(offer.priority);
        offer.not_before = self.not_before.unwrap_or(offer.not_before);
        offer.not_after = self.not_after.unwrap_or(offer.not_after);
        offer.copies = self.copies.unwrap_or(offer.copies);
        entry.detail.held = self.hold.unwrap_or(entry.detail.held);
    }
}

impl Entry {
    fn standing(&self, rev: u64) -> JobUpdated {
        JobUpdated {
            rev,
            priority: self.offer.priority,
            position: self.position,
            hold: self.detail.held,
            not_before: self.offer.not_before,
            not_after: self.offer.not_after,
            copies: self.offer.copies,
            copies_done: self.detail.copies_done,
            extra: Extra::default(),
        }
    }

    fn stands_as(&self, other: &Self) -> bool {
        self.standing(0) == other.standing(0)
    }
}

fn check_change(entry: &Entry, change: &Change) -> Result<(), Refusal> {
    let id = entry.job.id();
    if let Some(seen) = change.rev.filter(|seen| *seen != entry.job.rev()) {
        let text = format!("job {id} has changed since: its rev is {}, not {seen}", entry.job.rev());
        return Err(Refusal::new(Fault::PreconditionFailed, text));
    }
    let state = entry.job.state();
    if state.is_terminal() {
        return Err(Refusal::new(Fault::JobNotReady, format!("job {id} is already {state}")));
    }
    let least = entry.detail.copies_done + u32::from(state.holds_printer());
    let fits = |copies: &u32| (least.max(1)..=COPIES).contains(copies);
    match change.copies.filter(|copies| !fits(copies)) {
        Some(copies) => {
            let text = format!(
                "job {id} cannot be printed {copies} times: {} are done, and {COPIES} is the most",
                entry.detail.copies_done
            );
            Err(Refusal::new(Fault::CommandBadArgs, text))
        }
        None => Ok(()),
    }
}
