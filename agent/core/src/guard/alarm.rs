//! What can be wrong, what is done about it, and how it is said.

use spoolway_protocol::Fault;

use crate::gcode::target::Heater;

/// What is wrong; what is told once stays told until it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// A heater is hotter than the profile allows.
    TooHot(Heater),
    /// A heater gets hotter and hotter, far above what was asked for.
    RunsAway(Heater),
    /// A heater does not get warmer though it should.
    StaysCold(Heater),
    /// Something is heated and no temperature is reported.
    NoReports,
    /// Something is heated and no job is under way.
    LeftOn(Heater),
    /// A job that is printed does not move.
    Stalled,
}

impl Wrong {
    /// Its stable code.
    #[must_use]
    pub const fn fault(self) -> Fault {
        match self {
            Self::TooHot(_) => Fault::HeatTooHot,
            Self::RunsAway(_) => Fault::HeatRunaway,
            Self::StaysCold(_) => Fault::HeatStaysCold,
            Self::NoReports => Fault::HeatNoReports,
            Self::LeftOn(_) => Fault::HeatLeftOn,
            Self::Stalled => Fault::PrintStalled,
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing but telling it.
    Tell,
    /// The job is held.
    Pause,
    /// The job is given up, and the profile's cancel script switches the heaters off.
    MakeSafe,
}

/// Something is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// What.
    pub wrong: Wrong,
    /// What is to be done.
    pub act: Act,
    /// The same for a person, with the figures.
    pub text: String,
}

/// A heater as people call it.
#[must_use]
pub fn name_of(heater: Heater) -> String {
    match heater {
        Heater::HotEnd(None | Some(0)) => "the hot end".to_owned(),
        Heater::HotEnd(Some(number)) => format!("hot end {number}"),
        Heater::Bed => "the bed".to_owned(),
        Heater::Chamber => "the chamber".to_owned(),
    }
}
