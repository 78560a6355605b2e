//! A print ends as it must: whole, unless somebody cancelled it or the board was reset.

use spoolway_agent_core::stream::{Ending, StopReason};

use crate::world::End;

use super::Fault;

/// Holds an ending against what happened to the print.
#[must_use]
pub fn ended_as_it_must(end: &End, was_reset: bool, cancelled: bool) -> Vec<Fault> {
    let wrong = match end {
        End::Hung => true,
        End::Ended(Ending::Completed) => false,
        End::Ended(Ending::Cancelled) => !cancelled,
        End::Ended(Ending::Script) => true,
        // A documented bound, not an accident: the line was refused more often than the profile allows.
        End::Stopped(StopReason::TooManyRefusals { .. }) => false,
        End::Stopped(_) => !was_reset,
    };
    if wrong {
        vec![Fault(format!("ended as {end:?} (reset: {was_reset}, cancelled: {cancelled})"))]
    } else {
        Vec::new()
    }
}
