//! What the local socket can have done: the desk's methods, as a seam that a test can stand behind.

use std::future::Future;
use std::path::PathBuf;

use spoolway_agent_core::job::Place;
use spoolway_protocol::{Doubt, JobId, PromptId};

use super::words::PrintWishes;
use crate::local::words::{MaintenanceAction, UpdateAction};
use crate::printer::{Watcher, WireLine};
use crate::view::history::HistoryView;
use crate::view::recovery::{PlanView, RecoverHow};
use crate::view::{BedView, ForgottenView, JobView, MaintenanceView, Refusal, Status, UpdateView};

/// Takes orders and says how things stand.
///
/// Where a job may be left out, the one that holds the printer is meant.
pub trait Counter: Clone + Send + Sync + 'static {
    /// The agent at a glance.
    fn status(&self) -> impl Future<Output = Result<Status, Refusal>> + Send;
    /// Every job that is remembered.
    fn jobs(&self) -> impl Future<Output = Result<Vec<JobView>, Refusal>> + Send;
    /// What became of a job.
    fn history(&self, job: JobId) -> impl Future<Output = Result<HistoryView, Refusal>> + Send;
    /// The last lines of the conversation with the printer, oldest first.
    fn wire(&self) -> impl Future<Output = Result<Vec<WireLine>, Refusal>> + Send;
    /// Takes a file into the spool, queues it, and starts it when the printer is free.
    fn print_file(
        &self,
        path: PathBuf,
        wishes: PrintWishes,
    ) -> impl Future<Output = Result<JobView, Refusal>> + Send;
    /// Puts a job into another place of the queue.
    fn place(&self, job: JobId, place: Place) -> impl Future<Output = Result<JobView, Refusal>> + Send;
    /// Keeps a job from starting by itself.
    fn hold(&self, job: JobId) -> impl Future<Output = Result<JobView, Refusal>> + Send;
    /// Lets a job go on that is held or waits for an operator.
    fn release(&self, job: JobId) -> impl Future<Output = Result<JobView, Refusal>> + Send;
    /// Pauses a job that is printed.
    fn pause(&self, job: Option<JobId>) -> impl Future<Output = Result<JobView, Refusal>> + Send;
    /// Goes on with a job; `doubt` says what became of lines in doubt.
    fn resume(
        &self,
        job: Option<JobId>,
        doubt: Option<Doubt>,
    ) -> impl Future<Output = Result<JobView, Refusal>> + Send;
    /// Ends a job.
    fn cancel(&self, job: Option<JobId>) -> impl Future<Output = Result<JobView, Refusal>> + Send;
    /// Says that the bed was clear when a person saw it in this bed epoch.
    fn clear_bed(&self, epoch: u64) -> impl Future<Output = Result<BedView, Refusal>> + Send;
    /// How an interrupted print would go on; nothing moves.
    fn plan_recovery(
        &self,
        job: JobId,
        how: RecoverHow,
    ) -> impl Future<Output = Result<PlanView, Refusal>> + Send;
    /// Goes on with an interrupted print by the plan that was shown.
    fn recover(
        &self,
        job: JobId,
        how: RecoverHow,
        plan_id: String,
    ) -> impl Future<Output = Result<JobView, Refusal>> + Send;
    /// Gives the part of an interrupted print up.
    fn abandon(&self, job: JobId) -> impl Future<Output = Result<JobView, Refusal>> + Send;
    /// Accepts errors that were found in a job's file: those of the codes, or all; `actor` is who says so.
    fn override_findings(
        &self,
        job: JobId,
        codes: Option<Vec<String>>,
        actor: String,
    ) -> impl Future<Output = Result<JobView, Refusal>> + Send;
    /// Takes the printer that answers for the right one; gives what is now remembered of it.
    fn accept_printer(&self) -> impl Future<Output = Result<String, Refusal>> + Send;
    /// Answers the question of the firmware that is open; another one than `prompt` is not answered.
    fn answer(
        &self,
        prompt: Option<PromptId>,
        choice: u32,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;
    /// Sends a single harmless command; its replies.
    fn send(&self, command: String) -> impl Future<Output = Result<Vec<String>, Refusal>> + Send;
    /// Opens, closes or shows the maintenance window; `by` is who wants it.
    fn maintenance(
        &self,
        action: MaintenanceAction,
        by: String,
    ) -> impl Future<Output = Result<Option<MaintenanceView>, Refusal>> + Send;
    /// Shows a wished update, takes it back, or lets an updater in and out; `by` is who wants it.
    fn update(
        &self,
        action: UpdateAction,
        by: String,
    ) -> impl Future<Output = Result<Option<UpdateView>, Refusal>> + Send;
    /// Forgets everything; the agent ends with it.
    fn forget(&self) -> impl Future<Output = Result<ForgottenView, Refusal>> + Send;
    /// Replaces the agent's key.
    fn rotate(&self, actor: String) -> impl Future<Output = Result<(), Refusal>> + Send;
    /// Watches the conversation with the printer from now on.
    fn watch(&self) -> Watcher;
    /// Stops the printer at once.
    fn emergency_stop(&self) -> impl Future<Output = Result<(), Refusal>> + Send;
}
