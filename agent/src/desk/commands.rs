//! Commands of the backend: stored, told, carried out at most once, and their results told.

use spoolway_agent_core::Moment;
use spoolway_agent_core::transfer::check_manifest;
use spoolway_protocol::audit::Via;
use spoolway_protocol::bed::BedWord;
use spoolway_protocol::command::{Actor, Command, CommandArgs, CommandStatus, Precondition};
use spoolway_protocol::event::CmdResult;
use spoolway_protocol::job::{JobState, StartArgs};
use spoolway_protocol::offer::OfferArgs;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::session::Nack;
use spoolway_protocol::{CmdId, Fault, FaultCode, JobId, Raw};
use tracing::{info, warn};

use super::clerk::{Clerk, Done};
use super::intake::Turn;
use super::local_jobs::LOCAL_OWNER;
use crate::bus::Outbound;
use crate::rotation::By;
use crate::view::Refusal;

impl Clerk {
    /// Does what the commands want until they wait; gives until when.
    pub(super) async fn work_inbox(&mut self) -> Option<Moment> {
        loop {
            match self.intake.turn().await {
                Turn::Wrote(committed) => drop(self.mind(committed)),
                Turn::Receipt(receipt) => {
                    self.changed = true;
                    // When it is full the backend sends the command again and gets another.
                    drop(self.outbound.try_send(Outbound::Receipt(receipt)));
                }
                Turn::Execute { command, args, write_ahead } => {
                    self.execute(*command, args, write_ahead).await;
                }
                Turn::Nack(code) => {
                    let detail = "the command was not stored; send it again".to_owned();
                    let nack = Nack { code, detail, extra: Extra::default() };
                    drop(self.outbound.try_send(Outbound::Nack(nack)));
                }
                Turn::Wait(wake) => return wake,
            }
        }
    }

    async fn execute(&mut self, command: Command, args: CommandArgs, write_ahead: bool) {
        let cmd_id = command.cmd_id;
        if let Some(refusal) = command.precondition.as_ref().and_then(|wanted| self.check(wanted)) {
            return self.end_command(cmd_id, Err(refusal));
        }
        if write_ahead {
            let begun = self.intake.begin(cmd_id).await;
            if self.mind(begun).is_err() {
                let text = "the command could not be written down, so it was not carried out";
                return self.end_command(cmd_id, Err(Refusal::new(Fault::DiskFull, text)));
            }
        }
        match args {
            CommandArgs::JobOffer(offer) => {
                let (job_id, file_id) = (offer.job_id.clone(), offer.file.file_id.clone());
                let taken = self.take_offer(*offer).await;
                if let Err(refusal) = &taken {
                    self.say_done(file_id, &job_id, Some(refusal));
                }
                self.end_command(cmd_id, taken);
            }
            CommandArgs::JobStart(start) => self.execute_start(cmd_id, start, command.actor.id).await,
            CommandArgs::JobCancel(cancel) => self.execute_cancel(cmd_id, &cancel.job_id).await,
            CommandArgs::JobUpdate(update) => {
                let done = self.update_job(&update).await.map(drop);
                self.end_command(cmd_id, done);
            }
            CommandArgs::JobPause(pause) => {
                let done = self.pause_here(Some(pause.job_id)).await.map(drop);
                self.end_command(cmd_id, done);
            }
            CommandArgs::JobResume(resume) => {
                let done = self.resume_here(Some(resume.job_id), resume.doubt).await.map(drop);
                self.end_command(cmd_id, done);
            }
            CommandArgs::JobOverride(word) => {
                let by = (Via::Cloud, command.actor.id);
                let done = self.override_job(&word.job_id, Some(word.codes), by, word.reason).await.map(drop);
                self.end_command(cmd_id, done);
            }
            CommandArgs::BedClear(clear) => {
                let by = Some(command.actor.id);
                let done = self.clear_bed(clear.bed_epoch, BedWord::Backend, by).await.map(drop);
                self.end_command(cmd_id, done);
            }
            other => self.execute_beside(cmd_id, &command.actor, other).await,
        }
    }

    /// What is not about jobs and bed.
    async fn execute_beside(&mut self, cmd_id: CmdId, actor: &Actor, args: CommandArgs) {
        let done = match args {
            CommandArgs::PrinterEstop(_) => {
                warn!(role = actor.role, "emergency stop");
                // The uplink has mostly pulled it already; a second one must not hit a machine that was reset meanwhile.
                if !self.stopped_ahead.contains(&cmd_id) {
                    self.stop.pull();
                }
                super::check_heard(&self.snapshot.borrow())
            }
            CommandArgs::JobRecord(wanted) => return self.give_record(cmd_id, actor, wanted),
            CommandArgs::PrinterGcode(gcode) => return self.send_by_hand(cmd_id, actor, gcode),
            CommandArgs::PrinterConnect(_) => self.connect(actor).await,
            CommandArgs::PrinterDisconnect(_) => self.disconnect(actor).await,
            CommandArgs::FileEvict(evict) => self.evict_file(actor, &evict.file_id).await,
            CommandArgs::AgentRestart(_) => self.begin_restart(actor).await,
            CommandArgs::AgentUpdate(args) => self.wish_update(cmd_id, actor, args).await,
            CommandArgs::AgentUpdateWithdraw(args) => self.withdraw_wish(actor, args.wish).await,
            CommandArgs::ConfigSet(args) => self.set_config(actor, args).await,
            CommandArgs::TelemConfig(wishes) => {
                let told = self.configure_telemetry(&wishes).await;
                let data = told.as_ref().ok().cloned();
                return self.end_command_with(cmd_id, told.map(drop), data);
            }
            CommandArgs::PromptAnswer(answer) => {
                self.answer_prompt(Some(&answer.prompt_id), answer.choice).await
            }
            CommandArgs::IdentityRotate(_) => return self.rotate_key(cmd_id, actor.id.clone()),
            CommandArgs::Unknown { kind, .. } => {
                let text = format!("this agent knows no command {kind:?}");
                Err(Refusal::new(Fault::CommandUnknown, text))
            }
            deed => return self.do_by_hand(cmd_id, actor, &deed),
        };
        self.end_command(cmd_id, done);
    }

    /// Replaces the agent's key, away from the desk.
    fn rotate_key(&self, cmd_id: CmdId, actor: String) {
        let (rotator, done) = (self.rotator.clone(), self.done.clone());
        tokio::spawn(async move {
            let ended = rotator.rotate(By { via: Via::Cloud, actor }).await;
            drop(done.send(Done::Rotated(cmd_id, ended)).await);
        });
    }

    /// What a command presupposes and does not hold.
    fn check(&self, wanted: &Precondition) -> Option<Refusal> {
        let entry = wanted.job_id.as_ref().and_then(|id| self.book.entries.get(id));
        let active = entry.or_else(|| self.book.active());
        let failed = if wanted.job_id.is_some() && entry.is_none() {
            "job_id"
        } else if wanted.attempt.is_some_and(|attempt| active.map(|e| e.job.attempt()) != Some(attempt)) {
            "attempt"
        } else if wanted
            .state_in
            .as_ref()
            .is_some_and(|states| !active.is_some_and(|e| states.contains(&e.job.state())))
        {
            "state_in"
        } else if wanted.state_rev.is_some_and(|rev| rev != self.printer_rev) {
            "state_rev"
        } else if wanted.bed_epoch.is_some_and(|epoch| epoch != self.bed.epoch()) {
            "bed_epoch"
        } else {
            return None;
        };
        let text = format!("`if.{failed}` does not hold any more");
        Some(Refusal::new(Fault::PreconditionFailed, text))
    }

    async fn execute_start(&mut self, cmd_id: CmdId, start: StartArgs, actor: String) {
        // A permit that is not good says nothing about the bed either.
        let checked = self.check_start(&start).and_then(|()| self.hold_permit(&start));
        let checked = match (checked, start.bed_epoch) {
            (Ok(()), Some(seen)) => self.clear_bed(seen, BedWord::Backend, Some(actor)).await.map(drop),
            (Ok(()), None) => self.check_bed(),
            (refused, _) => refused,
        };
        if let Err(refusal) = checked {
            return self.end_command(cmd_id, Err(refusal));
        }
        if let Err(refusal) = self.wait_again(&start.job_id).await {
            return self.end_command(cmd_id, Err(refusal));
        }
        let Some(entry) = self.book.entries.get_mut(&start.job_id) else { return };
        entry.started_by = Some(cmd_id);
        self.begin_preflight(&start.job_id, start.attempt).await;
    }

    fn check_start(&self, start: &StartArgs) -> Result<(), Refusal> {
        let id = &start.job_id;
        let entry = self.book.entries.get(id).ok_or_else(|| unknown_job(id))?;
        if start.attempt <= entry.job.attempt() {
            let text = format!("attempt {} of job {id} has already begun", start.attempt);
            return Err(Refusal::new(Fault::JobAlreadyStarted, text));
        }
        if entry.detail.held {
            return Err(Refusal::new(Fault::JobHeld, format!("job {id} is held")));
        }
        let state = entry.job.state();
        let waits = [JobState::Queued, JobState::AwaitingBedClear, JobState::AwaitingOperator];
        if state.is_terminal() && !self.spool.contains(&entry.sha256().to_string()).unwrap_or(false) {
            let text = format!("job {id} is {state} and its file is no longer here: offer it as another job");
            return Err(Refusal::new(Fault::JobNotReady, text));
        }
        if !state.is_terminal() && !waits.contains(&state) {
            let text = format!("job {id} is {state} and does not wait to be started");
            return Err(Refusal::new(Fault::JobNotReady, text));
        }
        self.check_printer().map(drop)
    }

    async fn execute_cancel(&mut self, cmd_id: CmdId, job: &JobId) {
        match self.cancel_here(Some(job.clone())).await {
            Ok(view) if !view.state.is_terminal() => {
                if let Some(entry) = self.book.entries.get_mut(job) {
                    entry.cancelled_by.push(cmd_id);
                }
            }
            other => self.end_command(cmd_id, other.map(drop)),
        }
    }

    /// An offer arrives; whether it is a command that is known or a new one is seen later.
    pub(super) fn hear_offer(&mut self, command: &Command) {
        if command.kind == "job.offer"
            && let Ok(CommandArgs::JobOffer(offer)) = command.decode()
        {
            self.fetch_offered_again(&offer.job_id);
        }
    }

    /// Takes a job that the backend offers. The same offer again changes nothing.
    async fn take_offer(&mut self, offer: OfferArgs) -> Result<(), Refusal> {
        if self.book.entries.contains_key(&offer.job_id) {
            return Ok(());
        }
        if offer.owner == LOCAL_OWNER {
            let text = format!("the owner {LOCAL_OWNER:?} is that of jobs given at the machine itself");
            return Err(Refusal::new(Fault::CommandBadArgs, text));
        }
        check_manifest(&offer.file).map_err(|why| Refusal::new(Fault::CommandBadArgs, why))?;
        self.make_room(offer.file.size)
            .await
            .map_err(|error| super::fetch::refusal_of(&error, offer.job_id.as_str()))?;
        info!(job = %offer.job_id, bytes = offer.file.size, "job accepted");
        self.add_job(offer, false).await
    }

    /// A command has come to its end; the inbox then says what is to be stored and told.
    pub(super) fn end_command(&mut self, cmd_id: CmdId, ended: Result<(), Refusal>) {
        self.end_command_with(cmd_id, ended, None);
    }

    /// The same, with what the command returned.
    pub(super) fn end_command_with(&mut self, cmd_id: CmdId, ended: Result<(), Refusal>, data: Option<Raw>) {
        let (status, refusal) = match ended {
            Ok(()) => (CommandStatus::Done, None),
            Err(refusal) => {
                let rejected = matches!(
                    refusal.fault,
                    Fault::PreconditionFailed
                        | Fault::BedNotClear
                        | Fault::BedStale
                        | Fault::JobAlreadyStarted
                        | Fault::JobNotReady
                        | Fault::JobNeedsOverride
                        | Fault::JobHeld
                        | Fault::JobUnknown
                        | Fault::RecordPrivate
                        | Fault::RecordMissing
                        | Fault::CommandUnknown
                        | Fault::CommandNotAllowed
                        | Fault::CommandNeedsMaintenance
                        | Fault::CommandBadArgs
                        | Fault::HeatAboveLimit
                        | Fault::IdentityRotating
                        | Fault::PromptClosed
                        | Fault::CommUncertain
                        | Fault::Busy
                        | Fault::PrinterCannot
                        | Fault::MotionOutside
                        | Fault::AgentUnmanaged
                        | Fault::UpdateNotAllowed
                        | Fault::JobNoObject
                        | Fault::PortReleased
                ) || refusal.fault.is_about_a_permit();
                let status = if rejected { CommandStatus::Rejected } else { CommandStatus::Failed };
                (status, Some(refusal))
            }
        };
        self.intake.end(CmdResult {
            cmd_id,
            status,
            code: refusal.as_ref().map(|refusal| FaultCode(refusal.fault.code().to_owned())),
            detail: refusal.map(|refusal| refusal.text),
            data,
            extra: Extra::default(),
        });
    }
}

pub(super) fn unknown_job(id: &JobId) -> Refusal {
    Refusal::new(Fault::JobUnknown, format!("there is no job {id}"))
}
