//! What an end of a conversation means to an operator.

use spoolway_agent_core::greeting::Unanswered;
use spoolway_agent_core::stream::StopReason;
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

/// The stable code of why nobody answered.
pub(super) fn of_silence(_: Unanswered) -> Fault {
    Fault::FirmwareSilent
}
