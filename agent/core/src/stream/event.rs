//! What the streamer tells its shell.

use thiserror::Error;

use crate::gcode::Position;
use crate::temperature::Temperatures;

use super::ceiling::Excess;
use super::reach::InForce;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The firmware's line counter is ours; for a firmware that verifies it, this was proven.
    Synchronised,
    /// The firmware's line counter could not be set or proven so many times; it is tried again.
    Unproven {
        /// How often it was tried.
        tries: u32,
    },
    /// The firmware has started anew while no job was under way; the conversation begins again by itself.
    Restarted,
    /// The running job stands still and its pause script has run.
    Paused,
    /// The job goes on.
    Resumed,
    /// A job or a script has ended, every line of it acknowledged.
    Ended(Ending),
    /// The streamer has given up and sends nothing more.
    Stopped(StopReason),
    /// A line was refused and is sent again.
    Refused {
        /// Its number on the wire.
        number: u32,
    },
    /// A reply was missing and the firmware was asked where it stands.
    Probed {
        /// Number of the oldest line without a reply.
        from: u32,
    },
    /// Temperatures.
    Temperatures(Temperatures),
    /// An error that leaves the job alone.
    Complaint(String),
    /// A host action (`//action:`).
    Action(String),
    /// No reply came for these lines, and this firmware cannot tell whether it has carried them out. Nothing was guessed:
    /// the job is paused until a person says, or until the replies come after all.
    InDoubt {
        /// First line in doubt, as numbered on the wire.
        first: u32,
        /// Last line in doubt, as numbered on the wire.
        last: u32,
        /// Where the first stands in the file; of a line that is none of the job's, where the job stands.
        from: Position,
        /// Where the last stands in the file.
        to: Position,
    },
    /// The replies for lines in doubt came after all; the job is still paused.
    DoubtResolved,
    /// The firmware showed that it drops bytes, or has been calm for long: the window is another one now.
    Reached(InForce),
    /// A person's command was acknowledged.
    Aside(String),
    /// More heat was asked for than the profile allows, and is not. A job pauses ahead of such a line.
    TooHot {
        /// The line of the file; `None` for a line of a script.
        line: Option<u64>,
        /// What it asks for.
        excess: Excess,
    },
    /// A wait for a temperature that the agent itself waits for begins or is over.
    Heating {
        /// Whether it begins.
        waiting: bool,
    },
}

/// How a job or a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every line of the job was acknowledged.
    Completed,
    /// The job was given up and the cancel script has run.
    Cancelled,
    /// A script of its own has run.
    Script,
}

/// Why nothing more is sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StopReason {
    /// The firmware started anew in the middle of a job.
    #[error("the printer restarted in the middle of the job")]
    Restarted,
    /// The firmware's counter is not where this conversation can have brought it.
    #[error(
        "the printer asks for line {asked} and cannot have lost it: it was reset or another host speaks to it"
    )]
    Desynchronised {
        /// The line that it asks for.
        asked: u32,
    },
    /// The firmware said that it has stopped for good.
    #[error("the printer halted: {0}")]
    Halted(String),
    /// No sign of life.
    #[error("the printer has said nothing, though it was asked {probes} times")]
    Silent {
        /// How often it was asked.
        probes: u32,
    },
    /// One line was refused again and again.
    #[error("the printer refused line {number} {times} times in a row")]
    TooManyRefusals {
        /// Its number on the wire.
        number: u32,
        /// How often.
        times: u32,
    },
    /// The counter could not be set.
    #[error("the printer's line counter could not be set in {tries} tries")]
    NotSynchronised {
        /// How often it was tried.
        tries: u32,
    },
    /// A firmware that does not check numbers may or may not have executed these lines.
    #[error(
        "no reply for lines {first} to {last}, and this firmware cannot tell whether it has executed them"
    )]
    Uncertain {
        /// First line in doubt, on the wire.
        first: u32,
        /// Last line in doubt, on the wire.
        last: u32,
    },
    /// A line that does not fit the firmware's buffer reached the streamer.
    #[error("line {line} of the file is longer than this firmware takes")]
    LineTooLong {
        /// Its number in the file.
        line: u64,
    },
    /// The emergency stop was asked for.
    #[error("emergency stop")]
    EmergencyStop,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Write these bytes; whole lines.
    Write(Vec<u8>),
    /// This happened.
    Event(Event),
    /// Nothing until then, or until something is handed in.
    Wait(Option<crate::Moment>),
}
