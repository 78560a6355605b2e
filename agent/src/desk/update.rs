//! A wished update of the agent's package: kept, its updater asked when nothing is printed, its verdict told once.
//!
//! The machine is `update` of the core. Here each of its steps is written down together with what is told of it, and files are read and
//! written away from the desk.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use spoolway_agent_core::Moment;
use spoolway_agent_core::update::{Deed, Now, Order, Stage, Step, Unfit, Update};
use spoolway_protocol::audit::Via;
use spoolway_protocol::command::Actor;
use spoolway_protocol::event::{EventData, UpdateState, UpdateWord};
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::update::UpdateArgs;
use spoolway_protocol::{CmdId, Fault, FaultCode};
use tracing::{info, warn};

use super::book::json;
use super::clerk::{Clerk, Done};
use super::events::event;
use super::hand::check_role;
use super::restore::meta;
use crate::local::words::UpdateAction;
use crate::store::{Store, StoreError, Write};
use crate::update::{self, Request, Verdict};
use crate::view::{Refusal, UpdateView};

/// Name of the update in the store.
pub(super) const UPDATE: &str = "update";
/// An updater's verdict is looked for this often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Between two tries of what the disk does not take are so many looks at most.
const MOST_LOOKS: u32 = 30;

/// What is kept over a restart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Kept {
    #[serde(default)]
    update: Update,
    /// What was told last.
    #[serde(default)]
    last: Option<UpdateState>,
}

/// What the desk knows of updates.
#[derive(Debug)]
pub(super) struct Updates {
    /// Whether the administrator lets a backend wish one.
    allow: bool,
    kept: Kept,
    /// What the updater is still to be told.
    pending: Option<Deed>,
    /// Somebody is at the files.
    is_away: bool,
    look_due: Moment,
    /// How often the updater could not be told, one time after the other.
    failures: u32,
}

/// What came of the files.
#[derive(Debug)]
pub(super) enum Looked {
    /// A deed is done, or was not.
    Did(Deed, std::io::Result<()>),
    /// The last word of an updater.
    Verdict(Option<Verdict>),
}

impl Updates {
    /// What an earlier run has left.
    pub(super) async fn restore(store: &Store, allow: bool, now: Now<'_>) -> Result<Self, StoreError> {
        let kept = store.meta(UPDATE).await?.and_then(|text| serde_json::from_str(&text).ok());
        let Kept { update, last } = kept.unwrap_or_default();
        let (update, pending) = update.restored(now);
        let kept = Kept { update, last };
        Ok(Self { allow, kept, pending, is_away: false, look_due: Moment::ZERO, failures: 0 })
    }

    /// What is kept once nothing is wished any more.
    fn forgotten(&self) -> Kept {
        Kept { update: self.kept.update.forgotten(), last: None }
    }

    /// A deed was not done: it is tried again after a while, if it is still wanted, and complained of once.
    fn put_off(&mut self, deed: Deed, error: &std::io::Error, now: Moment) {
        if self.failures == 0 {
            warn!(%error, ?deed, "the updater cannot be told; it is tried again");
        }
        self.failures = self.failures.saturating_add(1);
        self.look_due = now + LOOK_EVERY * self.failures.min(MOST_LOOKS);
        if self.pending.is_none() && self.kept.update.still_wants(&deed) {
            self.pending = Some(deed);
        }
    }
}

impl Clerk {
    /// The backend wishes an update: it is kept, and told of when something becomes of it.
    pub(super) async fn wish_update(
        &mut self,
        cmd_id: CmdId,
        actor: &Actor,
        args: UpdateArgs,
    ) -> Result<(), Refusal> {
        check_role(actor, true)?;
        self.check_update_allowed()?;
        let UpdateArgs { version, not_before, not_after, .. } = args;
        let order = Order { id: cmd_id, version, not_before, not_after };
        let step = self.updates.kept.update.wish(order, self.clock.trusted_unix_ms());
        let Some(step) = step.map_err(refusal)? else { return Ok(()) };
        let detail = format!("{:?}", step.next.order().map(|(order, _)| order));
        info!(role = actor.role, detail, "the owner wishes an update");
        let text = "another update was wished".to_owned();
        let about = Verdict { text: Some(text), ..Verdict::new(cmd_id, UpdateWord::Cancelled) };
        self.take_step(step, Some(about), None).await
    }

    /// The backend takes a wish back; once more is as good as once.
    pub(super) async fn withdraw_wish(&mut self, actor: &Actor, wish: CmdId) -> Result<(), Refusal> {
        check_role(actor, true)?;
        let Kept { update, last } = &self.updates.kept;
        if update.order().is_none_or(|(order, _)| order.id != wish) {
            let is_cancelled =
                |last: &UpdateState| last.cmd_id == wish && last.state == UpdateWord::Cancelled;
            return if last.as_ref().is_some_and(is_cancelled) {
                Ok(())
            } else {
                Err(refusal(Unfit::Withdrawn))
            };
        }
        let step = update.cancel().map_err(refusal)?;
        info!(role = actor.role, %wish, "the owner takes its wish of an update back");
        let text = Some("taken back by its owner".to_owned());
        let about = Verdict { text, ..Verdict::new(wish, UpdateWord::Cancelled) };
        self.take_step(step, Some(about), None).await
    }

    /// Shows it, takes it back, or lets an updater in and out.
    pub(super) async fn update_here(
        &mut self,
        action: UpdateAction,
        by: String,
    ) -> Result<Option<UpdateView>, Refusal> {
        let update = &self.updates.kept.update;
        match action {
            UpdateAction::Show => {}
            UpdateAction::Cancel => {
                let step = update.cancel().map_err(refusal)?;
                let word = step.told.as_ref().map(|(order, word)| Verdict::new(order.id, word.clone()));
                if let Some(word) = word {
                    let audit = self.write_audit(&by, Via::Cli, "update.cancel", &word.id.to_string());
                    let text = Some(format!("taken back at the machine, by {by}"));
                    self.take_step(step, Some(Verdict { text, ..word }), Some(audit)).await?;
                }
            }
            UpdateAction::LetIn { id, own } => {
                self.check_update_allowed()?;
                self.check_nothing_is_printed()?;
                let step = update.let_in(id, own, self.now()).map_err(refusal)?;
                warn!(%id, own, "the package is being changed; no job starts meanwhile");
                self.take_step(step, None, None).await?;
            }
            UpdateAction::LetOut { id, again } => {
                let step = update.let_out(id, again, self.now());
                self.take_step(step, None, None).await?;
            }
        }
        Ok(self.update_view())
    }

    /// Looks whether its time has come, and what its updater says.
    pub(super) async fn watch_update(&mut self) {
        self.attend_updater();
        let is_free = self.check_nothing_is_printed().is_ok();
        let Some(step) = self.updates.kept.update.look(self.now(), is_free) else { return };
        let about = step.told.as_ref().map(|(order, word)| {
            let about = Verdict::new(order.id, word.clone());
            let fault = Fault::UpdateUnattended;
            if *word == UpdateWord::Failed { about.because(fault, fault.summary()) } else { about }
        });
        // What is not written down has not happened; the next look tries again.
        drop(self.take_step(step, about, None).await);
    }

    pub(super) async fn take_looked(&mut self, looked: Looked) {
        self.updates.is_away = false;
        match looked {
            Looked::Did(deed, Err(error)) => {
                let now = self.clock.now();
                self.updates.put_off(deed, &error, now);
            }
            Looked::Did(_, Ok(())) => self.updates.failures = 0,
            Looked::Verdict(None) => {}
            Looked::Verdict(Some(verdict)) => {
                let step = self.updates.kept.update.judged(verdict.id, verdict.state.clone());
                if let Some(step) = step {
                    info!(state = %verdict.state, to = verdict.to, text = verdict.text, "the updater has given its word");
                    drop(self.take_step(step, Some(verdict), None).await);
                }
            }
        }
    }

    /// No job starts while the package is being changed.
    pub(super) fn check_no_update(&self) -> Result<(), Refusal> {
        match self.updates.kept.update.held_for(self.now()) {
            Some(left) => {
                let minutes = left.as_secs().div_ceil(60);
                let text = format!("an update is being installed, for at most {minutes} more minutes");
                Err(Refusal::new(Fault::Busy, text))
            }
            None => Ok(()),
        }
    }

    pub(super) fn update_view(&self) -> Option<UpdateView> {
        let Kept { update, last } = &self.updates.kept;
        let order = update.order();
        if order.is_none() && last.is_none() {
            return None;
        }
        let waits = order.is_some_and(|(_, stage)| stage == Stage::Waiting);
        let why = waits.then(|| self.why_no_update(order?.0)).flatten();
        Some(UpdateView {
            id: order.map(|(order, _)| order.id),
            version: order.and_then(|(order, _)| order.version.clone()),
            stage: order.map(|(_, stage)| stage),
            not_before: order.and_then(|(order, _)| order.not_before),
            not_after: order.map(|(order, _)| order.not_after),
            why,
            last: last.clone(),
        })
    }

    /// Nothing that the owner before has wished holds any more, once this is written down; an updater that was let in is not disturbed.
    pub(super) fn forgotten_update(&self) -> Write {
        meta(UPDATE, json(&self.updates.forgotten()))
    }

    /// It is written down.
    pub(super) fn forget_update(&mut self) {
        self.updates.kept = self.updates.forgotten();
        self.updates.pending = Some(Deed::Withdraw);
    }

    fn why_no_update(&self, order: &Order) -> Option<String> {
        match (self.clock.trusted_unix_ms(), order.not_before) {
            (None, _) => Some("this machine does not know what time it is".to_owned()),
            (Some(now_ms), Some(begin)) if now_ms < begin => {
                Some(format!("its window opens at {}", crate::clock::utc(begin)))
            }
            _ => match self.updates.kept.update.asked_again_in(self.clock.now()) {
                Some(left) => {
                    let minutes = left.as_secs().div_ceil(60);
                    Some(format!(
                        "another agent of this machine was at work; it is asked again in {minutes} min"
                    ))
                }
                None => self.check_nothing_is_printed().err().map(|refusal| refusal.text),
            },
        }
    }

    fn check_update_allowed(&self) -> Result<(), Refusal> {
        if self.updates.allow {
            return Ok(());
        }
        let fault = Fault::UpdateNotAllowed;
        Err(Refusal::new(fault, fault.summary()))
    }

    /// Nothing is printed, about to be, waits to be gone on with, or is done at the machine by a person.
    fn check_nothing_is_printed(&self) -> Result<(), Refusal> {
        if let Some(refusal) = self.in_hand() {
            return Err(Refusal::new(Fault::Busy, refusal.text));
        }
        let busy = |text: String| Err(Refusal::new(Fault::Busy, text));
        if self.preflight.is_some() || self.drafting {
            return busy("a job is about to start".to_owned());
        }
        if let Some(id) = self.interrupted().first() {
            return busy(format!("job {id} was interrupted, and waits to be gone on with or given up"));
        }
        if self.window.is_some() {
            return busy("the maintenance window is open".to_owned());
        }
        match &self.snapshot.borrow().state {
            PrinterState::Idle | PrinterState::Offline | PrinterState::Halted | PrinterState::Error => Ok(()),
            state => busy(format!("the printer is {state}")),
        }
    }

    fn now(&self) -> Now<'_> {
        Now { at: self.clock.now(), boot: self.clock.boot_id(), unix_ms: self.clock.trusted_unix_ms() }
    }

    /// Has the files written or read, one thing at a time.
    fn attend_updater(&mut self) {
        let now = self.clock.now();
        let updates = &mut self.updates;
        if updates.is_away || updates.failures > 0 && now < updates.look_due {
            return;
        }
        let state = self.store.area().dir().to_owned();
        let work: Box<dyn FnOnce() -> Looked + Send> = if let Some(deed) = updates.pending.take() {
            Box::new(move || {
                let did = match &deed {
                    Deed::Ask(order) => update::ask(&state, &Request::from(order)),
                    Deed::Withdraw => update::withdraw(&state),
                };
                Looked::Did(deed, did)
            })
        } else if updates.kept.update.is_asked() && now >= updates.look_due {
            updates.look_due = now + LOOK_EVERY;
            Box::new(move || Looked::Verdict(update::verdict(&state)))
        } else {
            return;
        };
        updates.is_away = true;
        let done = self.done.clone();
        tokio::spawn(async move {
            let looked = tokio::task::spawn_blocking(work).await.unwrap_or(Looked::Verdict(None));
            drop(done.send(Done::Updated(Box::new(looked))).await);
        });
    }

    /// Writes a step down together with what is told of it, and then lets it hold.
    async fn take_step(
        &mut self,
        step: Step,
        about: Option<Verdict>,
        more: Option<Write>,
    ) -> Result<(), Refusal> {
        let Step { next, told, deed } = step;
        let told = told.map(|(order, word)| {
            let about = about.unwrap_or_else(|| Verdict::new(order.id, word.clone()));
            state_of(order, word, about)
        });
        let last = told.clone().or_else(|| self.updates.kept.last.clone());
        let kept = Kept { update: next, last };
        let mut writes = vec![meta(UPDATE, json(&kept))];
        writes.extend(more);
        if let Some(told) = told {
            writes.push(event(&EventData::UpdateState(Box::new(told)), None, &self.clock.stamp()));
        }
        let stored = self.promise(writes).await;
        stored.map_err(|error| Refusal::new(Fault::DiskFull, format!("not written down: {error}")))?;
        self.updates.kept = kept;
        self.updates.pending = deed.or(self.updates.pending.take());
        self.changed = true;
        Ok(())
    }
}

fn state_of(order: Order, state: UpdateWord, about: Verdict) -> UpdateState {
    let Verdict { from, to, code, text, .. } = about;
    let code = code.map(FaultCode);
    UpdateState {
        cmd_id: order.id,
        state,
        version: order.version,
        from,
        to,
        code,
        text,
        extra: Extra::default(),
    }
}

fn refusal(unfit: Unfit) -> Refusal {
    let fault = match unfit {
        Unfit::Version | Unfit::Window => Fault::CommandBadArgs,
        Unfit::UnderWay => Fault::Busy,
        Unfit::Nothing | Unfit::Withdrawn => Fault::PreconditionFailed,
    };
    Refusal::new(fault, unfit.to_string())
}
