//! Begins, pauses, resumes and gives up a job.

use crate::Moment;
use crate::gcode::{Modal, Position};

use super::Streamer;
use super::cut::Cut;
use super::doubt::Doubt;
use super::event::{Ending, Event, StopReason};
use super::options::Signal;
use super::state::{Mend, Phase, Then, Turn};

/// Stands for the number of a hot end in a cancel script.
const TOOL: &str = "{tool}";

/// The streamer has no room for this now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TurnError {
    /// A job or a script is under way.
    #[error("a job is under way")]
    Busy,
    /// There is no job that this could concern.
    #[error("no job is under way")]
    NoJob,
    /// The conversation has ended.
    #[error("the printer is not connected")]
    Stopped,
    /// Nobody has said yet what became of lines that no reply came for.
    #[error(
        "it is not known whether the last lines were carried out: say whether they were executed or lost"
    )]
    InDoubt,
    /// The command does not fit the firmware's line buffer.
    #[error("the command is longer than this firmware takes")]
    TooLong,
    /// The firmware has no prompts.
    #[error("this firmware takes no answers to prompts")]
    NoPrompts,
}

impl Streamer {
    /// The modes that the job is in behind its last line that was framed.
    #[must_use]
    pub fn modal(&self) -> &Modal {
        &self.modal
    }

    /// Begins a job: numbering begins anew, then the lines that are fed are sent.
    ///
    /// # Errors
    /// Another job is under way, or the conversation has ended.
    pub fn begin_job(&mut self) -> Result<(), TurnError> {
        self.check_free()?;
        self.turn = Turn::Running;
        self.lookahead.clear();
        self.stats.begin_job();
        self.window.begin_job();
        self.modal = Modal::default();
        self.read_to = Position::default();
        self.figures.begin_job();
        (self.parked, self.held, self.cut) = (false, false, Cut::default());
        self.last_ack = None;
        self.request_resync();
        if !self.options.framing.numbered {
            // There is nothing to be set.
            self.emit(Event::Synchronised);
        }
        Ok(())
    }

    /// Sends commands of the agent's own; [`Event::Ended`] tells when all were acknowledged.
    ///
    /// # Errors
    /// A job is under way, or the conversation has ended.
    pub fn run_script(&mut self, commands: &[Vec<u8>]) -> Result<(), TurnError> {
        self.check_free()?;
        self.scripts.extend(commands.iter().cloned());
        self.turn = Turn::Ending(Ending::Script);
        Ok(())
    }

    /// Sends no new line of the job; [`Event::Paused`] tells when the lines on their way and the pause script are done.
    ///
    /// # Errors
    /// No job is under way.
    pub fn pause(&mut self) -> Result<(), TurnError> {
        match self.turn {
            Turn::Running => {
                self.turn = Turn::Pausing;
                self.hold();
                Ok(())
            }
            Turn::Pausing | Turn::Parking | Turn::Paused => Ok(()),
            Turn::Idle | Turn::Ending(_) => Err(TurnError::NoJob),
        }
    }

    /// Goes on with a paused job, after its resume script. A person has to say what became of lines in doubt, if there are any.
    ///
    /// # Errors
    /// No job is under way, or lines are in doubt and nothing was said of them.
    pub fn resume(&mut self, now: Moment, doubt: Option<Doubt>) -> Result<(), TurnError> {
        match self.turn {
            Turn::Pausing | Turn::Parking | Turn::Paused => {
                self.decide(now, doubt)?;
                self.release();
                // A pause that has not come to its script yet needs none to be undone.
                self.scripts.extend(self.cut.take_broken());
                if self.turn != Turn::Pausing {
                    self.unpark();
                    self.scripts.extend(self.options.scripts.resume.iter().cloned());
                }
                self.turn = Turn::Running;
                self.last_ack = None;
                self.figures.plan(now, None);
                self.watch.progress(now);
                self.emit(Event::Resumed);
                Ok(())
            }
            Turn::Running => Ok(()),
            Turn::Idle | Turn::Ending(_) => Err(TurnError::NoJob),
        }
    }

    /// Motion stops at once where the firmware has a feed hold; the lines on their way stay where they are.
    fn hold(&mut self) {
        let Some((hold, _)) = &self.options.hold else { return };
        hold.write(&mut self.out, &self.options.framing.prefix);
        self.held = true;
        self.turn = Turn::Paused;
        self.emit(Event::Paused);
    }

    fn release(&mut self) {
        if let Some((_, release)) = self.options.hold.as_ref().filter(|_| std::mem::take(&mut self.held)) {
            release.write(&mut self.out, &self.options.framing.prefix);
        }
    }

    /// The lines on their way are done: the pause script, and the head away from the part where it is known how it gets back.
    pub(super) fn run_pause_script(&mut self) {
        self.scripts.extend(self.options.scripts.pause.iter().cloned());
        let (park, back) = (&self.options.scripts.park, &self.options.scripts.unpark);
        let fill = |lines: &[String]| -> Option<Vec<Vec<u8>>> {
            lines.iter().map(|line| self.modal.fill(line).map(String::into_bytes)).collect()
        };
        if let (Some(park), Some(_)) = (fill(park), fill(back)) {
            self.parked = !park.is_empty();
            self.scripts.extend(park);
        }
    }

    fn unpark(&mut self) {
        if std::mem::take(&mut self.parked) {
            let back = self.options.scripts.unpark.iter();
            self.scripts.extend(back.filter_map(|line| self.modal.fill(line)).map(String::into_bytes));
        }
    }

    /// Gives the job up: no new line of it is sent, the cancel script follows the lines on their way, and
    /// [`Event::Ended`] tells when it has run. What the machine is doing is cut short where the firmware listens while it is
    /// busy.
    ///
    /// # Errors
    /// No job is under way.
    pub fn cancel(&mut self) -> Result<(), TurnError> {
        match self.turn {
            Turn::Running | Turn::Pausing | Turn::Parking | Turn::Paused => {}
            Turn::Ending(Ending::Cancelled) => return Ok(()),
            // The last lines are only being proven: the job may still be given up, so that heaters are certainly off.
            Turn::Ending(Ending::Completed) => {}
            Turn::Idle | Turn::Ending(Ending::Script) => return Err(TurnError::NoJob),
        }
        self.lookahead.clear();
        if self.is_in_doubt() {
            self.window.forget_in_flight();
            self.mend(Mend::Flowing);
        }
        self.scripts.clear();
        self.cut = Cut::default();
        self.end_heat();
        self.scripts.extend(self.cancel_script());
        self.turn = Turn::Ending(Ending::Cancelled);
        let may_move = self.window.progress().commands > 0 || self.window.lines_in_flight() > 0;
        // A machine that is held stays so.
        if may_move && self.brake() {
            return Ok(());
        }
        self.release();
        if may_move {
            self.drop_moves();
        }
        Ok(())
    }

    /// What makes the machine safe: the cancel script, with the lines that are meant for each hot end.
    #[must_use]
    pub fn cancel_script(&self) -> Vec<Vec<u8>> {
        let mut script = Vec::new();
        for line in &self.options.scripts.cancel {
            if !line.contains(TOOL) {
                script.push(line.clone().into_bytes());
            } else if self.hot_ends > 1 {
                let each = (0..self.hot_ends).map(|tool| line.replace(TOOL, &tool.to_string()));
                script.extend(each.map(String::into_bytes));
            }
        }
        script
    }

    /// Stops the machine at once, ahead of everything that waits; the conversation ends with it.
    pub fn emergency_stop(&mut self) {
        let Some(stop) = self.options.stop.clone() else { return };
        let number = self.window.next_number();
        match &stop {
            Signal::Byte(byte) => self.out.push(*byte),
            Signal::Line(line) => {
                self.out.push(b'\n');
                stop.write(&mut self.out, &self.options.framing.prefix);
                if self.options.framing.numbered {
                    // For a firmware that listens to numbered lines only.
                    self.options.framing.write(&mut self.out, number, line);
                }
            }
        }
        self.stop(StopReason::EmergencyStop);
    }

    /// The reset that a cancel asked for: nothing is on its way any more, and the cancel script follows.
    pub(super) fn begin_again_cancelled(&mut self, now: Moment) {
        self.window.forget_in_flight();
        (self.query_out, self.cut) = (false, Cut::default());
        let until = now + self.options.waits.settle;
        self.mend(Mend::Settling { until, then: Then::Open });
    }

    pub(super) fn request_resync(&mut self) {
        if self.options.framing.numbered {
            self.resync = true;
        }
    }

    fn check_free(&self) -> Result<(), TurnError> {
        match (&self.phase, self.turn) {
            (Phase::Stopped(_), _) => Err(TurnError::Stopped),
            (_, Turn::Idle) => Ok(()),
            _ => Err(TurnError::Busy),
        }
    }
}
