//! What the streamer tells of a conversation, turned into the state of the printer and of the run.

use std::sync::Arc;

use spoolway_agent_core::Moment;
use spoolway_agent_core::stream::{Ending, Event, StopReason};
use spoolway_protocol::Fault;
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::prompt::PromptEnd;
use tracing::{debug, info, warn};

use super::conversation::Conversation;
use super::{Cause, Run, RunEnd, RunPhase, faults};

impl Conversation<'_> {
    pub(super) fn take_event(&mut self, now: Moment, event: Event) {
        match event {
            Event::Synchronised if self.run.as_ref().is_some_and(|run| !run.is_over()) => {
                self.set_phase(RunPhase::Printing);
            }
            Event::Synchronised => self.settle_in(),
            Event::Unproven { tries } => {
                let text = format!(
                    "it answers, and has not proven its line counter in {tries} tries; it is tried on"
                );
                let code = Fault::CommSyncFailed.code();
                warn!(code, firmware = %self.known.firmware(), tries, "the printer does not prove its line counter");
                // A job that begins has a state of its own.
                if self.run.as_ref().is_none_or(Run::is_over) {
                    let fault = Some((Fault::CommSyncFailed, text));
                    self.bench.publish.send_modify(|snapshot| snapshot.fault = fault);
                }
            }
            Event::Restarted => {
                warn!("the printer restarted while it was idle");
                self.set_up = false;
                self.on_guard.guard.handle_restart(now);
                self.bench.end_prompt(PromptEnd::Lost, None);
                self.give_up_plan();
            }
            Event::Paused => self.hold(now),
            Event::Resumed => {
                self.end_pause(now);
                self.person_holds = false;
                if let Some(run) = self.run.as_mut() {
                    run.cause = None;
                }
                self.set_phase(RunPhase::Printing);
            }
            Event::Ended(Ending::Script) => self.end_script(),
            Event::Ended(ending) => self.end_run(now, ending),
            Event::Stopped(reason) => self.stop(now, &reason),
            Event::Refused { number } => debug!(number, "line refused, sent again"),
            Event::Probed { from } => debug!(from, "no reply; asked the printer where it stands"),
            Event::Temperatures(found) => {
                self.on_guard.guard.handle_temperatures(now, &found);
                self.bench.publish.send_modify(|snapshot| snapshot.temperatures = Some(found));
            }
            Event::Complaint(text) => warn!(%text, "the printer complains"),
            Event::Action(text) => self.take_action(now, &text),
            Event::InDoubt { from, to, .. } => self.doubt(now, from.line, to.line),
            Event::DoubtResolved => {
                info!("the missing replies came after all; the job stays paused until it is resumed");
                self.set_cause(None);
            }
            Event::Reached(window) => info!(
                rule = window.rule,
                bytes = window.bytes,
                lines = window.lines,
                narrowed = window.narrowed,
                "the window is another one now"
            ),
            Event::Aside(command) => self.end_aside(&command),
            Event::TooHot { line, excess } => self.hold_back(line, excess),
            Event::Heating { waiting } => debug!(waiting, "the agent waits for a temperature"),
        }
    }

    /// Nothing is under way: first make safe what was left half done, then set up reports, then be idle.
    pub(super) fn settle_in(&mut self) {
        if self.run.as_ref().is_some_and(|run| !run.is_over()) {
            return;
        }
        let script: Vec<Vec<u8>> = if self.bench.make_safe {
            self.streamer.cancel_script()
        } else if self.set_up {
            Vec::new()
        } else {
            let auto = self.known.profile.temperature.auto_report.as_ref();
            let report =
                auto.filter(|auto| self.known.report.has(&auto.capability)).map(|auto| &auto.command);
            let connect = self.known.profile.scripts.connect.iter().chain(report);
            connect.map(|line| line.clone().into_bytes()).collect()
        };
        if script.is_empty() {
            self.set_up |= !self.bench.make_safe;
            self.bench.make_safe = false;
            self.be_idle();
        } else if self.streamer.run_script(&script).is_ok() {
            self.making_safe = self.bench.make_safe;
        } else {
            debug!("a script is already under way");
        }
    }

    fn end_script(&mut self) {
        if std::mem::take(&mut self.making_safe) {
            self.bench.make_safe = false;
            info!("the machine was made safe: heaters, fan and motors are off");
        } else {
            self.set_up = true;
        }
        self.settle_in();
    }

    fn be_idle(&mut self) {
        let known = Arc::clone(&self.known);
        let was = self.bench.publish.borrow().state.clone();
        self.bench.publish.send_modify(|snapshot| {
            snapshot.state = PrinterState::Idle;
            snapshot.fault = None;
            snapshot.known = Some(known);
            snapshot.unsafe_yet = false;
        });
        if was != PrinterState::Idle {
            debug!("printer is ready");
        }
    }

    fn end_run(&mut self, now: Moment, ending: Ending) {
        self.end_pause(now);
        let end = match (ending, self.broken.take()) {
            (Ending::Completed, _) => RunEnd::Completed,
            (_, Some((fault, text))) => RunEnd::Interrupted(fault, text),
            (_, None) => RunEnd::Cancelled,
        };
        self.feed = None;
        if matches!(end, RunEnd::Interrupted(..)) {
            self.keep_tail();
        }
        if let Some(run) = self.run.as_mut().filter(|run| !run.is_over()) {
            run.end(now, end);
        }
        self.publish();
        self.bench.about = None;
        self.be_idle();
    }

    /// A plan that goes on with an interrupted print was made for a printer that stood there. Before its first line went out the
    /// printer has restarted, so that another plan has to be made; a job that begins anew does not mind.
    fn give_up_plan(&mut self) {
        let is_plan = self.bench.ticket.as_ref().is_some_and(|ticket| ticket.subject.preamble > 0);
        if is_plan && self.run.as_ref().is_some_and(|run| !run.is_over()) {
            let fault = Fault::FirmwareReset;
            self.broken = Some((fault, "the printer restarted before the print could go on".to_owned()));
            self.cancel(None);
        }
    }

    /// The conversation is over, and with it the run.
    pub(super) fn stop(&mut self, now: Moment, reason: &StopReason) {
        self.end_pause(now);
        self.feed = None;
        self.halted = faults::is_deaf(reason);
        let fault = faults::of_stop(reason);
        warn!(code = fault.code(), %reason, help = fault.help(), "conversation with the printer ended");
        self.bench.dump_wire(&format!("{fault}: {reason}"));
        self.bench.end_prompt(PromptEnd::Lost, None);
        self.refuse_asides(fault, &reason.to_string());
        self.keep_tail();
        if let Some(run) = self.run.as_mut().filter(|run| !run.is_over()) {
            run.end(now, RunEnd::Interrupted(fault, reason.to_string()));
            self.bench.make_safe |= !self.halted;
        }
        let state = if self.halted { PrinterState::Halted } else { PrinterState::Connecting };
        self.bench.set_state(state, Some((fault, reason.to_string())));
        self.publish();
        self.bench.about = None;
    }

    /// The job stands still, and a person has to say what became of these lines.
    fn doubt(&mut self, now: Moment, first: u64, last: u64) {
        let cause = Cause::Doubt { first, last };
        let (fault, text) = (cause.fault(), cause.text());
        warn!(code = fault.code(), text, help = fault.help(), "the job is paused");
        self.bench.dump_wire(&format!("{fault}: {text}"));
        self.set_cause(Some(cause));
        self.hold(now);
    }

    /// The job stands still.
    fn hold(&mut self, now: Moment) {
        self.paused_since.get_or_insert(now);
        self.set_phase(RunPhase::Paused);
    }

    fn end_pause(&mut self, now: Moment) {
        if let (Some(since), Some(run)) = (self.paused_since.take(), self.run.as_mut()) {
            run.paused += now - since;
        }
    }

    fn set_phase(&mut self, phase: RunPhase) {
        if let Some(run) = self.run.as_mut().filter(|run| !run.is_over()) {
            run.phase = phase;
        }
        self.publish();
    }

    pub(super) fn publish(&mut self) {
        let now = self.bench.clock.now();
        self.published = now;
        let (progress, stats) = (self.streamer.progress(), self.streamer.stats());
        let (window, wire) = (self.streamer.window_in_force(), self.streamer.wire());
        let modal = *self.streamer.modal();
        self.rates.update(now, stats.bytes_sent, progress.commands);
        if let Some(run) = self.run.as_mut() {
            run.progress = progress;
            run.stats = stats;
        }
        let outlives = self.streamer.outlives() && self.bench.memory.outlives();
        let state = self.run.as_ref().and_then(|run| match run.phase {
            RunPhase::Starting | RunPhase::Printing => Some(PrinterState::Printing),
            RunPhase::Paused => Some(PrinterState::Paused),
            RunPhase::Ended(_) => None,
        });
        self.bench.publish.send_modify(|snapshot| {
            snapshot.stats = stats;
            snapshot.window = Some(window);
            snapshot.wire = wire;
            snapshot.height = modal.height();
            snapshot.dials = modal.dials();
            snapshot.link_use = self.rates.link_use;
            snapshot.lines_per_s = self.rates.lines_per_s;
            snapshot.unsafe_yet = self.bench.make_safe;
            snapshot.outlives = outlives;
            if let Some(state) = state {
                snapshot.state = state;
            }
            if self.run.is_some() {
                snapshot.run.clone_from(&self.run);
            }
        });
    }
}
