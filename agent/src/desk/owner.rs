//! Another backend owns this agent: what the one before has asked for, and what was to be told to it, goes.
//!
//! A print of the owner before is brought to its end; as long there is no session with the next one.

use spoolway_protocol::event::{EventClass, EventData, Gap};
use spoolway_protocol::job::JobState;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::{Address, Fault, JobId};
use tokio::sync::oneshot;
use tracing::info;

use super::book::Entry;
use super::clerk::Clerk;
use super::events::event;
use super::intake::{CMD_SEQ, Intake};
use super::local_jobs::LOCAL_OWNER;
use super::moves::Reason;
use super::restore::meta;
use crate::bus::Wishes;
use crate::store::Write;

/// Jobs that are forgotten in one transaction.
const AT_ONCE: usize = 256;

/// Who comes next, and who waits for it.
#[derive(Debug)]
pub(super) struct Successor {
    pub(super) owner: Address,
    pub(super) done: oneshot::Sender<()>,
}

pub(super) fn is_a_backends(entry: &Entry) -> bool {
    entry.offer.owner != LOCAL_OWNER
}

impl Clerk {
    /// Lets the next owner in, as soon as nothing of the one before holds the printer.
    pub(super) async fn change_owner(&mut self) {
        let Some(successor) = self.successor.take() else { return };
        if self.is_print_of_a_backend() || !self.drop_owner(&successor.owner).await {
            self.successor = Some(successor);
            return;
        }
        info!(owner = %successor.owner, "another backend owns this agent; what belonged to the one before is dropped");
        self.changed = true;
        // The next hello has the new numbers.
        self.publish();
        // The uplink ends when the agent does.
        let _ = successor.done.send(());
    }

    fn is_print_of_a_backend(&self) -> bool {
        let holds = |entry: &Entry| is_a_backends(entry) && entry.job.state().holds_printer();
        let follows = self.following.as_ref().and_then(|run| self.book.entries.get(&run.job_id));
        self.drafting || follows.is_some_and(is_a_backends) || self.book.entries.values().any(holds)
    }

    /// Whether everything is dropped; what the store refuses is tried again.
    async fn drop_owner(&mut self, owner: &Address) -> bool {
        let theirs = self.book.entries.values().filter(|entry| is_a_backends(entry));
        let theirs: Vec<JobId> = theirs.map(|entry| entry.job.id().clone()).collect();
        for ids in theirs.chunks(AT_ONCE) {
            if !self.drop_jobs(ids).await {
                return false;
            }
        }
        // How many events there were is nobody's business any more.
        let gap = EventData::Gap(Gap { dropped: 0, cls: EventClass::Critical, extra: Extra::default() });
        let writes = vec![
            Write::ChangeOwner { owner: owner.to_string() },
            meta(CMD_SEQ, 0),
            meta(super::telemetry::WISHES, "{}"),
            meta(super::settings::SETTINGS, "null"),
            self.forgotten_update(),
            event(&gap, None, &self.clock.stamp()),
        ];
        if self.promise(writes).await.is_err() {
            return false;
        }
        self.forget_update();
        self.stopped_ahead.clear();
        self.wishes.send_replace(Wishes::default());
        self.forget_settings();
        match Intake::open(&self.store, &self.clock).await {
            Ok(intake) => self.intake = intake,
            Err(error) => return self.mind(Err(error)).is_ok(),
        }
        true
    }

    /// Ends jobs that hold no printer, and forgets them with their files.
    async fn drop_jobs(&mut self, ids: &[JobId]) -> bool {
        for id in ids {
            if !self.book.entries[id].job.state().is_terminal() {
                let reason = Reason::fault(Fault::OwnerChanges, Fault::OwnerChanges.summary());
                self.end_unstarted(id, JobState::Cancelled, reason).await;
            }
        }
        // First the records, then the jobs: nothing of them is left whatever the power does.
        let others = self.book.entries.keys().filter(|id| !ids.contains(id)).cloned();
        self.drop_records_but(others.collect()).await;
        let forget = ids.iter().map(|id| Write::ForgetJob { job_id: id.to_string() }).collect();
        if self.promise(forget).await.is_err() {
            return false;
        }
        let now = self.clock.stamp();
        for id in ids {
            self.book.queue.remove(id);
            let Some(entry) = self.book.entries.remove(id) else { continue };
            if !self.book.needs_file(entry.sha256(), &now) {
                self.delete_file(entry.sha256().to_string());
            }
        }
        true
    }
}
