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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_of_a_conversation_has_its_code_and_two_leave_the_firmware_deaf() {
        for (reason, fault, deaf) in [
            (StopReason::Restarted, Fault::FirmwareReset, false),
            (StopReason::Desynchronised { asked: 1 }, Fault::FirmwareReset, false),
            (StopReason::Halted("kill() called".to_owned()), Fault::FirmwareHalted, true),
            (StopReason::Silent { probes: 15 }, Fault::FirmwareSilent, false),
            (StopReason::TooManyRefusals { number: 7, times: 11 }, Fault::CommTooManyRefusals, false),
            (StopReason::NotSynchronised { tries: 25 }, Fault::CommSyncFailed, false),
            (StopReason::Uncertain { first: 7, last: 9 }, Fault::CommUncertain, false),
            (StopReason::LineTooLong { line: 3 }, Fault::JobLineTooLong, false),
            (StopReason::EmergencyStop, Fault::Estop, true),
        ] {
            assert_eq!((of_stop(&reason), is_deaf(&reason)), (fault, deaf), "{reason}");
        }
    }

    #[test]
    fn each_thing_that_a_streamer_does_not_do_has_its_code() {
        for (error, fault) in [
            (TurnError::Busy, Fault::Busy),
            (TurnError::NoJob, Fault::JobNotReady),
            (TurnError::Stopped, Fault::FirmwareSilent),
            (TurnError::InDoubt, Fault::CommUncertain),
            (TurnError::TooLong, Fault::CommandNotAllowed),
            (TurnError::NoPrompts, Fault::CommandNotAllowed),
        ] {
            assert_eq!(of_turn(error), fault, "{error}");
        }
        assert_eq!(of_silence(Unanswered::Deaf), Fault::FirmwareSilent);
    }
}
