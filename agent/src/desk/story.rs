//! What became of a job: each state with its time, and what each attempt has used. It is part of the job's row, so that it is
//! written in the transactions that there are.

use serde::{Deserialize, Serialize};
use spoolway_protocol::JobId;
use spoolway_protocol::{Fault, JobState, Stamp};

use super::clerk::Clerk;
use super::commands::unknown_job;
use super::usage::RunFacts;
use crate::store::AttemptRow;
use crate::view::Refusal;
use crate::view::history::{AttemptView, HistoryView, Step, Used};

/// Steps that are kept from the beginning.
const FIRST: usize = 8;
/// Steps that are kept in all: beyond them those behind the first go.
const STEPS: usize = 40;
/// Attempts of which it is kept what they used, and which are shown.
const ATTEMPTS: usize = 16;

/// The story of a job, bounded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Story {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<Step>,
    #[serde(skip_serializing_if = "is_none")]
    left_out: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    used: Vec<Used>,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Story {
    /// The job has come into a state.
    pub(super) fn step(&mut self, to: JobState, attempt: u32, fault: Option<Fault>, at: &Stamp) {
        if self.steps.len() >= STEPS {
            self.steps.remove(FIRST);
            self.left_out += 1;
        }
        let unsure = !at.is_trusted();
        let code = fault.map(|fault| fault.code().to_owned());
        self.steps.push(Step { to, at_ms: at.w, unsure, attempt, code });
    }

    /// An attempt has ended.
    pub(super) fn use_up(&mut self, attempt: u32, facts: &RunFacts) {
        self.used.retain(|used| used.attempt != attempt);
        if self.used.len() >= ATTEMPTS {
            self.used.remove(0);
        }
        self.used.push(Used {
            attempt,
            printing_ms: facts.times.printing_ms,
            paused_ms: facts.times.paused_ms,
            filament_mm: facts.filament_mm.clone(),
            resends: facts.stats.job_refusals,
            timeouts: facts.stats.job_probes,
            max_gap_ms: facts.stats.job_max_gap.as_millis() as u64,
        });
    }

    /// What an attempt has used.
    pub(super) fn used(&self, attempt: u32) -> Option<&Used> {
        self.used.iter().find(|used| used.attempt == attempt)
    }

    fn attempt(&self, row: AttemptRow) -> AttemptView {
        let end = row.end;
        AttemptView {
            attempt: row.attempt,
            started_ms: row.started_ms,
            ended_ms: end.as_ref().map(|end| end.ended_ms),
            line: end.as_ref().and_then(|end| end.line),
            reason: end.as_ref().and_then(|end| end.reason.clone()),
            outcome: end.map(|end| end.outcome),
            used: self.used(row.attempt).cloned(),
            record: false,
        }
    }
}

impl Clerk {
    /// What became of a job.
    pub(super) async fn history(&self, id: &JobId) -> Result<HistoryView, Refusal> {
        let entry = self.book.entries.get(id).ok_or_else(|| unknown_job(id))?;
        let rows = self.store.attempts(id.as_str()).await;
        let rows = rows.map_err(|error| Refusal::new(Fault::StoreCorrupt, error.to_string()))?;
        let story = &entry.detail.story;
        let surplus = rows.len().saturating_sub(ATTEMPTS);
        Ok(HistoryView {
            job: self.view(entry),
            owner: entry.offer.owner.clone(),
            steps: story.steps.clone(),
            steps_left_out: story.left_out,
            attempts: rows.into_iter().skip(surplus).map(|row| story.attempt(row)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Begun;
    use crate::clock::Clock;
    use crate::desk::usage::Times;

    #[test]
    fn the_beginning_and_the_latest_are_kept() {
        let stamp = Clock::start().unwrap().stamp();
        let mut story = Story::default();
        for n in 0..200_u32 {
            let at = Stamp { w: u64::from(n), ..stamp.clone() };
            story.step(JobState::Paused, n, Some(Fault::PrinterAsked), &at);
            assert!(story.steps.len() <= STEPS);
        }
        let attempts: Vec<_> = story.steps.iter().map(|step| step.attempt).collect();
        assert_eq!(attempts[..FIRST], [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!((attempts[FIRST], attempts[STEPS - 1]), (200 - (STEPS - FIRST) as u32, 199));
        assert_eq!(story.left_out, 200 - STEPS as u64);
    }

    #[test]
    fn the_latest_attempts_are_kept_each_once() {
        let facts = |ms| RunFacts {
            begun: Begun::default(),
            times: Times::measured(std::time::Duration::from_millis(ms), Default::default()),
            filament_mm: Some(vec![1.5]),
            stats: Default::default(),
        };
        let mut story = Story::default();
        for attempt in 1..=40 {
            story.use_up(attempt, &facts(1));
            story.use_up(attempt, &facts(2));
        }
        assert_eq!(story.used.len(), ATTEMPTS);
        assert_eq!(story.used(24), None);
        assert_eq!(story.used(25).unwrap().printing_ms, 2);
    }

    #[test]
    fn a_row_from_before_has_no_story() {
        let detail: crate::desk::book::Detail = serde_json::from_str("{\"attempt\":3}").unwrap();
        assert_eq!(detail.story, Story::default());
        let text = serde_json::to_string(&Story::default()).unwrap();
        assert_eq!(text, "{}");
    }
}
