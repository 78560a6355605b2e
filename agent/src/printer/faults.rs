//! What an end of a conversation means to an operator.

use spoolway_agent_core::greeting::Unanswered;
use spoolway_agent_core::stream::{StopReason, TurnError};
use spoolway_protocol::Fault;

/// The stable code of why a streamer gave up.
pub(super) fn of_stop(reason: &StopReason) -> Fault {
    match reason {
        StopReason::Restarted | StopReason::Desynchronised { .. } => Fault::FirmwareReset,
        StopReason::Halted(_) => Fault::FirmwareHalted,
        StopReason::Silent { .. } => Fault::FirmwareSilent,
        StopReason::TooManyRefusals { .. } => Fault::CommTooManyRefusals,
        StopReason::NotSynchronised { .. } => Fault::CommSyncFailed,
        StopReason::Uncertain { .. } => Fault::CommUncertain,
        StopReason::LineTooLong { .. } => Fault::JobLineTooLong,
        StopReason::EmergencyStop => Fault::Estop,
    }
}

/// Whether the firmware needs a reset before it listens again.
pub(super) fn is_deaf(reason: &StopReason) -> bool {
    matches!(reason, StopReason::Halted(_) | StopReason::EmergencyStop)
}

/// The stable code of why a streamer does not do what it is asked.
pub(super) fn of_turn(error: TurnError) -> Fault {
    match error {
        TurnError::Busy => Fault::Busy,
        TurnError::NoJob => Fault::JobNotReady,
        TurnError::Stopped => Fault::FirmwareSilent,
        TurnError::InDoubt => Fault::CommUncertain,
        TurnError::TooLong | TurnError::NoPrompts => Fault::CommandNotAllowed,
    }
}

/// The stable code of why nobody answered.
pub(super) fn of_silence(_: Unanswered) -> Fault {
    Fault::FirmwareSilent
}
