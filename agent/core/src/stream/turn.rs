//! Begins, pauses, resumes and gives up a job.

use super::Streamer;
use super::event::{Ending, Event, StopReason};
use super::state::{Phase, Turn};

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
}

impl Streamer {
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
        self.last_ack = None;
        self.request_resync();
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
                self.scripts.extend(self.options.scripts.pause.iter().cloned());
                self.turn = Turn::Pausing;
                Ok(())
            }
            Turn::Pausing | Turn::Paused => Ok(()),
            Turn::Idle | Turn::Ending(_) => Err(TurnError::NoJob),
        }
    }

    /// Goes on with a paused job, after its resume script.
    ///
    /// # Errors
    /// No job is under way.
    pub fn resume(&mut self) -> Result<(), TurnError> {
        match self.turn {
            Turn::Paused | Turn::Pausing => {
                self.scripts.extend(self.options.scripts.resume.iter().cloned());
                self.turn = Turn::Running;
                self.last_ack = None;
                self.emit(Event::Resumed);
                Ok(())
            }
            Turn::Running => Ok(()),
            Turn::Idle | Turn::Ending(_) => Err(TurnError::NoJob),
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
            Turn::Running | Turn::Pausing | Turn::Paused => {}
            Turn::Ending(Ending::Cancelled) => return Ok(()),
            // The last lines are only being proven: the job may still be given up, so that heaters are certainly off.
            Turn::Ending(Ending::Completed) => {}
            Turn::Idle | Turn::Ending(Ending::Script) => return Err(TurnError::NoJob),
        }
        self.lookahead.clear();
        self.window.drop_unwritten(self.highest_sent);
        self.scripts.clear();
        self.scripts.extend(self.options.scripts.cancel.iter().cloned());
        self.turn = Turn::Ending(Ending::Cancelled);
        if self.window.progress().commands > 0 || self.window.lines_in_flight() > 0 {
            self.interrupt();
        }
        Ok(())
    }

    /// Stops the machine at once, ahead of everything that waits; the conversation ends with it.
    pub fn emergency_stop(&mut self) {
        let Some(stop) = self.options.stop.clone() else { return };
        let number = self.window.next_number();
        self.out.push(b'\n');
        self.out.extend_from_slice(&stop);
        self.out.push(b'\n');
        if self.options.framing.numbered {
            // For a firmware that listens to numbered lines only.
            self.options.framing.write(&mut self.out, number, &stop);
        }
        self.stop(StopReason::EmergencyStop);
    }

    /// Cuts short what the machine is doing, ahead of every line that waits: a heater or a person is no longer waited for,
    /// planned moves are dropped.
    fn interrupt(&mut self) {
        let waiting = self.window.oldest().is_some_and(|line| line.blocking);
        let command = if waiting { &self.options.break_wait } else { &self.options.quick_stop };
        if let Some(command) = command {
            self.out.extend_from_slice(command);
            self.out.push(b'\n');
        }
    }

    fn request_resync(&mut self) {
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
