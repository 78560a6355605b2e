//! A print ends as it must: whole, unless somebody cancelled it or the board was reset.

use spoolway_agent_core::stream::{Ending, StopReason};

use crate::world::End;

use super::Fault;

/// What the world knows of a print beside its end.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// The reset line was pulled, or the supply sagged.
    pub was_reset: bool,
    /// The last reset came when lines of the job had been carried out, and not all of them.
    pub reset_in_job: bool,
    /// Somebody cancelled.
    pub cancelled: bool,
    /// The plug is pulled at some time.
    pub unplugged: bool,
    /// The firmware checks the sequence, so that it can be asked where it stands.
    pub is_checked: bool,
    /// Damage that got past the firmware made it kill itself (`M112`), wait for a person (`M0`), or wait for longer than the
    /// agent's patience (`M109` with another temperature, `G4` with another time).
    pub stuck_by_damage: bool,
}

/// Holds an ending against what happened to the print.
#[must_use]
pub fn ended_as_it_must(end: &End, known: Circumstances) -> Vec<Fault> {
    let wrong = match end {
        // What was accepted and not carried out is gone, and the rest was printed cold and beside the part.
        End::Ended(Ending::Completed) => known.reset_in_job,
        End::Ended(Ending::Cancelled) => !known.cancelled,
        End::Ended(Ending::Script) => true,
        End::Unplugged => !known.unplugged,
        // A documented bound, not an accident: the line was refused more often than the profile allows.
        End::Stopped(StopReason::TooManyRefusals { .. }) => false,
        // Lines outside of a job that no reply came for, of a firmware that cannot be asked.
        End::Stopped(StopReason::Uncertain { .. }) => known.is_checked,
        End::Hung | End::Stopped(StopReason::Halted(_) | StopReason::Silent { .. }) => {
            !known.was_reset && !known.stuck_by_damage
        }
        End::Stopped(_) => !known.was_reset,
    };
    if wrong { vec![Fault(format!("ended as {end:?} ({known:?})"))] } else { Vec::new() }
}
