//! Turns what the printer thread publishes into states, events and results.

use spoolway_agent_core::Moment;
use spoolway_agent_core::readings::Warmth;
use spoolway_agent_core::recovery::Loss;
use spoolway_protocol::event::{
    CommStats, EventData, JobProgress, JobResult, PrinterError, PrinterStateChanged,
};
use spoolway_protocol::job::{JobState, Outcome};
use spoolway_protocol::raw::Extra;
use spoolway_protocol::{Fault, FaultCode, JobId, Stamp};
use tracing::{info, warn};

use super::book::Entry;
use super::clerk::Clerk;
use super::events::event;
use super::losses::{Heat, Lost, loss_of};
use super::moves::Reason;
use super::over_time::OverTime;
use super::post_mortem::Evidence;
use super::usage::{Measured, RunFacts};
use crate::attempt::{Begun, UsedPermit};
use crate::line_journal::{Mark, Subject};
use crate::printer::{Cause, Run, RunEnd, RunPhase, Snapshot, Ticket};
use crate::store::{AttemptEnd, Write};

/// A milestone each so many percent.
const MILESTONE_PCT: u64 = 10;

/// The run that is under way.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) job_id: JobId,
    pub(super) subject: Subject,
    /// How warm it was when it was seen last.
    pub(super) heat: Heat,
    /// The same with recent extremes, for the record of an end that nobody wanted.
    pub(super) warmth: Warmth,
    pub(super) started: Stamp,
    pub(super) began: Moment,
    pub(super) permit: Option<UsedPermit>,
    pub(super) over_time: OverTime,
    /// Where the process before has seen it last, if it was taken over.
    pub(super) mark: Option<Box<Mark>>,
    pub(super) milestone: u64,
    /// The agent itself gives it up, because it is to end.
    pub(super) stopped_by_agent: bool,
    /// It has ended, and what it used is being measured.
    pub(super) is_over: bool,
}

impl From<Ticket> for Following {
    /// A run that begins, or was taken over from the process before.
    fn from(ticket: Ticket) -> Self {
        let Ticket { job_id, subject, started, permit, .. } = ticket;
        Self {
            job_id,
            subject,
            heat: Heat::default(),
            warmth: Warmth::default(),
            began: Moment::from_millis(started.m),
            started,
            permit,
            over_time: OverTime::No,
            mark: None,
            milestone: 0,
            stopped_by_agent: false,
            is_over: false,
        }
    }
}

impl Clerk {
    pub(super) async fn follow_printer(&mut self) {
        let snapshot = self.snapshot.borrow().clone();
        self.changed = true;
        self.judge(&snapshot).await;
        self.tell_printer(&snapshot).await;
        self.tell_prompt(&snapshot).await;
        self.tell_alarms(&snapshot).await;
        self.tell_sensors(&snapshot).await;
        self.name_losses(&snapshot).await;
        self.follow_run(&snapshot).await;
        self.take_ready(&snapshot).await;
    }

    async fn follow_run(&mut self, snapshot: &Snapshot) {
        let Some(following) = self.following.as_mut().filter(|following| !following.is_over) else { return };
        if let Some(temperatures) = &snapshot.temperatures {
            following.heat = Heat::of(temperatures);
            following.warmth.see(self.clock.now(), super::show::temperatures(snapshot));
        }
        let run = snapshot.run.clone().filter(|run| run.id == following.subject.run);
        let Some(run) = run else { return };
        self.keep_progress(&run);
        match &run.phase {
            RunPhase::Starting => {}
            // What goes ahead of an interrupted print's own lines is its recovery.
            RunPhase::Printing if !self.is_past_preamble(&run) => {}
            RunPhase::Printing => self.reach(JobState::Printing, Reason::default()).await,
            RunPhase::Paused => {
                let reason = self.why_held(&run);
                let is_held = self.book.active().is_some_and(|entry| entry.job.state() == JobState::Paused);
                // It may stand still before it was ever seen printing.
                if !is_held && self.is_past_preamble(&run) {
                    self.reach(JobState::Printing, Reason::default()).await;
                }
                self.reach(JobState::Paused, reason.clone()).await;
                self.explain(reason);
            }
            RunPhase::Ended(end) => {
                let end = end.clone();
                return self.measure(run, end);
            }
        }
        self.tell_progress().await;
    }

    /// Moves the job that is followed, unless it is there already.
    async fn reach(&mut self, to: JobState, reason: Reason) {
        let Some(id) = self.following.as_ref().map(|following| following.job_id.clone()) else { return };
        let state = self.book.entries[&id].job.state();
        let wanted = matches!(
            (state, to),
            (JobState::Starting | JobState::Recovering | JobState::Paused, JobState::Printing)
                | (JobState::Recovering | JobState::Printing, JobState::Paused)
        );
        if wanted {
            if state == JobState::Paused || to == JobState::Paused {
                self.let_go(to);
                info!(job = %id, line = self.book.entries[&id].detail.line, "print is now {to}");
            }
            self.move_job(&id, to, reason, Vec::new()).await;
        }
    }

    fn is_past_preamble(&self, run: &Run) -> bool {
        self.following.as_ref().is_none_or(|following| run.progress.commands >= following.subject.preamble)
    }

    /// Why a job is held may change while it is: missing replies may come after all.
    fn explain(&mut self, reason: Reason) {
        let Some(following) = &self.following else { return };
        if let Some(entry) = self.book.entries.get_mut(&following.job_id) {
            entry.detail.because(reason.fault, reason.text);
        }
    }

    fn keep_progress(&mut self, run: &Run) {
        let Some(following) = &self.following else { return };
        let Some(entry) = self.book.entries.get_mut(&following.job_id) else { return };
        let subject = &following.subject;
        entry.detail.stand_at(subject.commands(run), subject.position(run));
    }

    async fn tell_progress(&mut self) {
        let Some(following) = &mut self.following else { return };
        let (id, attempt) = (following.job_id.clone(), following.subject.attempt);
        let detail = &self.book.entries[&id].detail;
        let percent = detail.commands_acked * 100 / detail.commands_total.max(1);
        let milestone = percent / MILESTONE_PCT;
        if milestone <= following.milestone || percent >= 100 {
            return;
        }
        following.milestone = milestone;
        let progress = EventData::JobProgress(JobProgress {
            pct: Some(percent as f64),
            layer: Some(detail.layer),
            line: detail.line,
            bytes: detail.bytes,
            extra: Extra::default(),
        });
        if milestone.is_multiple_of(5) {
            info!(job = %id, percent, layer = detail.layer, line = detail.line, "printing");
        }
        self.note(vec![event(&progress, Some((&id, attempt)), &self.clock.stamp())]).await;
    }

    /// What a run used is known, so its end can be told.
    pub(super) async fn conclude(&mut self, measured: Measured) {
        let Measured { run, end, times, filament_mm } = measured;
        let is_it = |following: &mut Following| following.subject.run == run.id && following.is_over;
        let Some(following) = self.following.take_if(is_it) else { return };
        let id = following.job_id.clone();
        // A short print may be over before it was ever seen printing.
        if end == RunEnd::Completed
            && self.book.entries[&id].job.state() != JobState::Printing
            && !self.move_job(&id, JobState::Printing, Reason::default(), Vec::new()).await
        {
            self.following = Some(Following { is_over: false, ..following });
            return;
        }
        let before = self.book.entries[&id].clone();
        let (to, reason) = self.how_it_ended(&following, &run, end);
        if to == JobState::Interrupted {
            let loss = reason.fault.map_or(Loss::Conversation, loss_of);
            self.judged_with = self.snapshot.borrow().known.clone();
            let lost = Lost::new(loss, following.heat, &self.clock.stamp());
            self.book.entries.get_mut(&id).expect("a job that runs is in the book").detail.lost = Some(lost);
        }
        let evidence = Evidence::of_run(&following, &self.snapshot.borrow());
        let begun = Begun { started: Some(following.started.clone()), permit: following.permit.clone() };
        let facts = RunFacts { begun, times, filament_mm, stats: run.stats };
        self.count_time(&id, &facts);
        let Some(mut writes) = self.plan_move(&id, to, &reason) else { return };
        writes.extend(self.write_result(&id, outcome_of(to), &reason, Some(&facts)));
        if self.promise(writes).await.is_err() {
            return self.follow_again(following, before);
        }
        self.tell_end(&id, to, &reason, &facts);
        self.keep_record(&id, &reason, evidence);
        self.end_cancel_commands(&id);
        self.forget_file(&id);
    }

    /// The state that a run leaves its job in, and why.
    fn how_it_ended(&mut self, following: &Following, run: &Run, end: RunEnd) -> (JobState, Reason) {
        let line = following.subject.position(run).line;
        let is_recovery = following.subject.preamble > 0;
        match end {
            RunEnd::Completed => (self.count_copy(&following.job_id), Reason::default()),
            RunEnd::Cancelled if following.stopped_by_agent => {
                let text =
                    format!("the agent was stopped behind line {line}; heaters, fan and motors are off");
                (JobState::Interrupted, Reason::fault(Fault::AgentRestarted, text))
            }
            RunEnd::Cancelled if matches!(run.cause, Some(Cause::Printer(_))) => {
                let asked = run.cause.as_ref().map(Cause::text).unwrap_or_default();
                let text = format!("{asked}; behind line {line}; heaters, fan and motors are off");
                (JobState::Cancelled, Reason::fault(Fault::PrinterAsked, text))
            }
            RunEnd::Cancelled => {
                let text = format!("cancelled behind line {line}; heaters, fan and motors are off");
                (JobState::Cancelled, Reason::fault(Fault::Cancelled, text))
            }
            // Nothing of it is on the bed, unless it was an interrupted print that went on.
            RunEnd::Interrupted(fault, text) if run.stats.job_lines_sent == 0 && !is_recovery => {
                (JobState::Failed, Reason::fault(fault, text))
            }
            RunEnd::Interrupted(fault, text) => {
                (JobState::Interrupted, Reason::fault(fault, format!("{text}; behind line {line}")))
            }
        }
    }

    /// One copy more is done; the job is over when it was the last, and else waits for its turn again.
    fn count_copy(&mut self, id: &JobId) -> JobState {
        let Some(entry) = self.book.entries.get_mut(id) else { return JobState::Completed };
        entry.detail.copies_done = entry.detail.copies_done.saturating_add(1);
        match entry.detail.copies_done < entry.offer.copies {
            // A cancel that came too late for this copy is in time for the next.
            true if !entry.cancelled_by.is_empty() => JobState::Cancelled,
            true => JobState::Queued,
            false => JobState::Completed,
        }
    }

    /// The store has refused the end of a run: it has not ended yet, and is told once the store takes it.
    fn follow_again(&mut self, following: Following, before: Entry) {
        let id = following.job_id.clone();
        self.book.queue.set_state(&id, before.job.state());
        self.book.entries.insert(id, before);
        self.following = Some(Following { is_over: false, ..following });
    }

    /// Tells an end that the store has refused before.
    pub(super) async fn tell_late_end(&mut self) {
        let snapshot = self.snapshot.borrow().clone();
        if snapshot.run.as_ref().is_some_and(Run::is_over) {
            self.follow_run(&snapshot).await;
        }
    }

    fn tell_end(&self, id: &JobId, to: JobState, reason: &Reason, facts: &RunFacts) {
        let detail = &self.book.entries[id].detail;
        let (line, commands) = (detail.line, detail.commands_acked);
        let seconds = facts.times.elapsed_ms() / 1000;
        let refusals = facts.stats.job_refusals;
        match reason.fault {
            None => info!(job = %id, seconds, commands, refusals, "print {to}"),
            Some(fault) => {
                let text = reason.text.as_deref().unwrap_or_default();
                warn!(job = %id, seconds, commands, line, refusals, code = fault.code(), text, help = fault.help(), "print {to}");
            }
        }
    }

    /// How an attempt ended, as an event and as a row.
    pub(super) fn write_result(
        &self,
        id: &JobId,
        outcome: Outcome,
        reason: &Reason,
        facts: Option<&RunFacts>,
    ) -> Vec<Write> {
        let entry = &self.book.entries[id];
        let (detail, attempt) = (&entry.detail, entry.job.attempt());
        let ended = self.clock.stamp();
        let several = entry.offer.copies > 1;
        // One that was printed to its end is counted already.
        let copy = detail.copies_done + u32::from(outcome != Outcome::Completed);
        let comm = facts.map_or_else(CommStats::default, |facts| CommStats {
            resends: facts.stats.job_refusals,
            timeouts: facts.stats.job_probes,
            max_gap_ms: facts.stats.job_max_gap.as_millis() as u64,
            extra: Extra::default(),
        });
        let result = EventData::JobResult(Box::new(JobResult {
            outcome,
            code: reason.fault.map(|fault| FaultCode(fault.code().to_owned())),
            started: facts.and_then(|facts| facts.begun.started.clone()),
            ended: ended.clone(),
            elapsed_ms: facts.map_or(0, |facts| facts.times.elapsed_ms()),
            paused_ms: facts.map_or(0, |facts| facts.times.paused_ms),
            filament_mm: facts.and_then(|facts| facts.filament_mm.clone()).unwrap_or_default(),
            line_acked: detail.commands_acked,
            lines_total: detail.commands_total,
            bytes: detail.bytes,
            copy: several.then_some(copy),
            copies: several.then_some(entry.offer.copies),
            comm,
            interrupted: detail.interruptions.clone(),
            extra: Extra::default(),
        }));
        let result = event(&result, Some((id, attempt)), &ended);
        let Some(facts) = facts.filter(|_| attempt > 0) else { return vec![result] };
        let word = serde_json::to_value(outcome).expect("an outcome is a word");
        let end = AttemptEnd {
            outcome: word.as_str().unwrap_or_default().to_owned(),
            line: Some(detail.line),
            reason: reason.text.clone(),
            ended_ms: self.clock.unix_ms(),
        };
        let finish = Write::FinishAttempt { job_id: id.to_string(), attempt, end };
        // Whoever has the result has the usage.
        vec![self.write_usage(id, outcome, facts), result, finish]
    }

    pub(super) fn end_cancel_commands(&mut self, id: &JobId) {
        let commands = self.book.entries.get_mut(id).map(|entry| std::mem::take(&mut entry.cancelled_by));
        for cmd_id in commands.into_iter().flatten() {
            self.end_command(cmd_id, Ok(()));
        }
    }

    async fn tell_printer(&mut self, snapshot: &Snapshot) {
        let (state, fault) = self.shown_state(snapshot);
        if state == self.printer_state {
            return;
        }
        let from = std::mem::replace(&mut self.printer_state, state.clone());
        self.printer_rev += 1;
        let stamp = self.clock.stamp();
        let cause = fault.as_ref().map_or("", |(fault, _)| fault.code());
        let changed = EventData::PrinterState(PrinterStateChanged {
            from,
            to: state,
            rev: self.printer_rev,
            bed_epoch: self.bed.epoch(),
            bed_clear: self.bed_clear(),
            cause: cause.to_owned(),
            extra: Extra::default(),
        });
        let mut writes = vec![event(&changed, None, &stamp)];
        if let Some((fault, text)) = &fault {
            let error = EventData::PrinterError(PrinterError {
                code: FaultCode(fault.code().to_owned()),
                text: text.clone(),
                resend_ratio: None,
                extra: Extra::default(),
            });
            writes.push(event(&error, None, &stamp));
        }
        drop(self.promise(writes).await);
    }
}

/// The outcome that a last state stands for.
pub(super) fn outcome_of(state: JobState) -> Outcome {
    match state {
        // Another copy is to follow.
        JobState::Completed | JobState::Queued => Outcome::Completed,
        JobState::Cancelled => Outcome::Cancelled,
        JobState::Interrupted => Outcome::Interrupted,
        _ => Outcome::Failed,
    }
}
