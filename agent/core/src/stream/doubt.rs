//! Lines in doubt: a firmware that does not check the sequence of numbers cannot be asked whether it has carried out a line.
//!
//! Sending such a line again could carry it out twice, leaving it out could lose it. So a time-out with lines on their way
//! pauses the job, and a person decides.

use crate::Moment;
use crate::gcode::Position;

use super::event::{Event, StopReason};
use super::history::Source;
use super::state::{Mend, Phase, Then, Turn};
use super::{Streamer, TurnError};

/// What a person says of lines in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The printer has carried them out: go on behind them.
    Executed,
    /// The printer has not carried out any of them: send them again.
    Lost,
}

impl Streamer {
    /// Whether a job is paused because of lines in doubt.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        matches!(self.phase, Phase::Streaming(Mend::InDoubt))
    }

    /// The oldest line on its way has waited for too long, and the firmware cannot be asked.
    pub(super) fn doubt(&mut self, now: Moment) {
        if self.window.in_flight().all(|line| line.source == Source::Query) {
            return self.lose_query(now);
        }
        let (first, last) = (self.window.acked() + 1, self.window.cursor() - 1);
        if !self.turn.holds_job() {
            return self.stop(StopReason::Uncertain { first, last });
        }
        let stands = self.window.progress().position;
        let mut places = self.window.in_flight().filter_map(|line| match line.source {
            Source::Job(position) => Some(position),
            _ => None,
        });
        let from = places.next().unwrap_or(stands);
        let to: Position = places.last().unwrap_or(from);
        self.turn = Turn::Paused;
        self.mend(Mend::InDoubt);
        self.emit(Event::InDoubt { first, last, from, to });
    }

    /// A question that may be asked twice, or not at all.
    fn lose_query(&mut self, now: Moment) {
        let silent = self.watch.probe(now);
        if silent > self.options.max_silent_probes {
            return self.stop(StopReason::Silent { probes: silent - 1 });
        }
        if self.options.framing.numbered {
            // Should the firmware count lines after all, a number left out would be asked for again and again.
            self.window.repeat_in_flight();
        } else {
            self.window.forget_in_flight();
            self.query_out = false;
        }
    }

    /// A request of a firmware that checks sums and no sequence: whatever number it names, which may itself be damaged, it can
    /// only be about a single line on its way. If there are more, those behind it may have been carried out.
    pub(super) fn handle_request(&mut self, now: Moment, mend: Mend, number: u32) {
        let line = self.window.acked() + 1;
        match self.window.lines_in_flight() {
            0 => {}
            // The one before it, which counts as acknowledged, may have been refused, and a doubled reply counted for it.
            1 if number < line && self.window.has(number) => {
                self.note_refusal(mend, number);
                self.window.take_back(number);
                self.doubt(now);
            }
            1 if number != line && self.suspicion.raise(number) => self.believe_request(now, line, number),
            1 => {
                self.note_refusal(mend, line);
                self.ask_again_for(now, line);
            }
            _ if matches!(mend, Mend::InDoubt) => {}
            _ => {
                self.emit(Event::Refused { number });
                self.doubt(now);
            }
        }
    }

    /// It names the same other line again and again: it counts lines after all, and this is where it stands.
    fn believe_request(&mut self, now: Moment, line: u32, number: u32) {
        self.suspicion.clear();
        self.refusals = 0;
        if number == line + 1 {
            self.acknowledge(now);
            let until = now + self.options.waits.settle;
            self.mend(Mend::Settling { until, then: Then::Open });
        } else if self.window.has(number) {
            self.ask_again_for(now, number);
        } else if self.turn == Turn::Idle {
            self.begin_again(now);
        } else {
            self.stop(StopReason::Desynchronised { asked: number });
        }
    }

    pub(super) fn ask_again_for(&mut self, now: Moment, line: u32) {
        self.window.rewind(line, false);
        if self.stopped().is_none() {
            let until = now + self.options.waits.settle;
            self.mend(Mend::Settling { until, then: Then::SendAlone });
        }
    }

    /// A reply came while lines were in doubt.
    pub(super) fn ease_doubt(&mut self) {
        if self.window.lines_in_flight() == 0 {
            self.mend(Mend::Flowing);
            self.emit(Event::DoubtResolved);
        }
    }

    /// A person has decided.
    pub(super) fn decide(&mut self, now: Moment, doubt: Option<Doubt>) -> Result<(), TurnError> {
        if !self.is_in_doubt() {
            return Ok(());
        }
        match doubt.ok_or(TurnError::InDoubt)? {
            // Whatever waits for one of these lines, a heater or a person's command, has its answer as well.
            Doubt::Executed => while self.acknowledge(now) {},
            Doubt::Lost => self.window.repeat_in_flight(),
        }
        self.query_out = false;
        self.watch.progress(now);
        self.mend(Mend::Flowing);
        Ok(())
    }
}
