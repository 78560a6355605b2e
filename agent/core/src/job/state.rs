//! The one table of lawful moves.

use spoolway_protocol::job::JobState;

/// Whether a job may go from one state to another.
#[must_use]
pub const fn lawful(from: JobState, to: JobState) -> bool {
    use JobState::{
        AwaitingBedClear, AwaitingOperator, Cancelled, Completed, Failed, Fetching, Interrupted, Offered,
        Paused, Preflight, Printing, Queued, Recovering, Starting, Verified,
    };
    match from {
        // The file may be stored already, then nothing is fetched.
        Offered => matches!(to, Fetching | Verified | Cancelled | Failed),
        Fetching => matches!(to, Verified | Cancelled | Failed),
        Verified => matches!(to, Queued | Cancelled | Failed),
        Queued => matches!(to, Preflight | Cancelled | Failed),
        // Whoever waits goes back to the queue when the printer goes away, and through preflight again.
        Preflight => {
            matches!(to, AwaitingBedClear | AwaitingOperator | Starting | Queued | Cancelled | Failed)
        }
        AwaitingBedClear | AwaitingOperator => matches!(to, Preflight | Queued | Cancelled | Failed),
        Starting => matches!(to, Printing | Interrupted | Cancelled | Failed),
        // One copy is done and another is to follow: it waits for its turn, and for the bed.
        Printing => matches!(to, Paused | Queued | Completed | Interrupted | Cancelled | Failed),
        Paused => matches!(to, Printing | Interrupted | Cancelled | Failed),
        // Its part is on the bed, so it never fails: somebody goes on with it or gives it up.
        Interrupted => matches!(to, Recovering | Cancelled),
        Recovering => matches!(to, Printing | Paused | Interrupted | Cancelled),
        // A new attempt of the same job: it goes through the queue and preflight like the first.
        Completed | Cancelled | Failed => matches!(to, Queued),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_state_can_be_reached_and_left() {
        let mut reached = BTreeSet::from([JobState::Offered]);
        for _ in JobState::ALL {
            let next: Vec<_> = reached
                .iter()
                .flat_map(|from| JobState::ALL.into_iter().filter(|to| lawful(*from, *to)))
                .collect();
            reached.extend(next);
        }
        assert_eq!(reached.len(), JobState::ALL.len());
        assert!(JobState::ALL.into_iter().all(|from| JobState::ALL.into_iter().any(|to| lawful(from, to))));
    }

    #[test]
    fn every_job_that_is_not_over_can_be_cancelled_and_fails_unless_its_part_is_on_the_bed() {
        for from in JobState::ALL.into_iter().filter(|state| !state.is_terminal()) {
            let keeps_its_part = matches!(from, JobState::Interrupted | JobState::Recovering);
            assert!(lawful(from, JobState::Cancelled), "{from}");
            assert_eq!(lawful(from, JobState::Failed), !keeps_its_part, "{from}");
        }
    }

    #[test]
    fn nothing_starts_without_a_check_of_its_own() {
        let before = JobState::ALL.into_iter().filter(|from| lawful(*from, JobState::Starting));
        assert_eq!(before.collect::<Vec<_>>(), [JobState::Preflight]);
    }

    #[test]
    fn lines_only_go_out_after_starting_or_recovering() {
        let into = |to| JobState::ALL.into_iter().filter(move |from| lawful(*from, to)).collect::<Vec<_>>();
        assert_eq!(into(JobState::Printing), [JobState::Starting, JobState::Paused, JobState::Recovering]);
        assert_eq!(into(JobState::Completed), [JobState::Printing]);
        assert_eq!(into(JobState::Recovering), [JobState::Interrupted]);
    }

    #[test]
    fn nothing_moves_to_itself() {
        assert!(JobState::ALL.into_iter().all(|state| !lawful(state, state)));
    }
}
