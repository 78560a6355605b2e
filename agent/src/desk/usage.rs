//! What an attempt has used: its times by a clock that nobody sets, its filament from the file as far as the printer took it.
//!
//! The file is read again at the end, away from the desk: that is exact for a print that was cut short, and needs nothing that
//! would have to survive a crash. The record is written in the transaction that ends the attempt, which happens once. Each
//! command of the file is counted by one attempt at most, however often an interrupted print goes on.

use std::io::Read;
use std::ops::Range;
use std::time::Duration;

use spoolway_agent_core::gcode::FilamentCount;
use spoolway_agent_core::stream::Stats;
use spoolway_protocol::event::EventData;
use spoolway_protocol::job::Outcome;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::usage::{Certainty, JobUsage};
use spoolway_protocol::{JobId, Stamp};
use tracing::{Instrument, warn};

use super::clerk::{Clerk, Done};
use super::events::event;
use super::follow::Following;
use crate::attempt::Begun;
use crate::line_journal::Mark;
use crate::printer::{Run, RunEnd};
use crate::spool::Spool;
use crate::store::Write;
use crate::telemetry;

/// Bytes read from the spool at once.
const PIECE_BYTES: usize = 64 * 1024;

/// A run that has ended, and what it has used.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) run: Run,
    pub(super) end: RunEnd,
    pub(super) times: Times,
    pub(super) filament_mm: Option<Vec<f64>>,
}

/// What is known of an attempt that is over.
pub(super) struct RunFacts {
    pub(super) begun: Begun,
    pub(super) times: Times,
    /// Absent when the file could not be read again.
    pub(super) filament_mm: Option<Vec<f64>>,
    pub(super) stats: Stats,
}

/// How long an attempt took.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Times {
    /// Without the pauses.
    pub(super) printing_ms: u64,
    pub(super) paused_ms: u64,
    pub(super) certainty: Certainty,
}

impl Times {
    fn new(elapsed_ms: u64, paused_ms: u64, certainty: Certainty) -> Self {
        let paused_ms = paused_ms.min(elapsed_ms);
        Self { printing_ms: elapsed_ms - paused_ms, paused_ms, certainty }
    }

    /// Both ends were seen.
    pub(super) fn measured(elapsed: Duration, paused: Duration) -> Self {
        Self::new(elapsed.as_millis() as u64, paused.as_millis() as u64, Certainty::Measured)
    }

    /// Nobody saw the end: the times run until the attempt was last seen. Clocks of two boots have nothing to do with one
    /// another, so without a start and a mark of one boot there is no time to tell.
    pub(super) fn until(started: Option<&Stamp>, mark: Option<&Mark>) -> Self {
        match (started, mark) {
            (Some(started), Some(mark)) if started.b.as_str() == mark.boot && mark.at_ms >= started.m => {
                Self::new(mark.at_ms - started.m, mark.paused_ms, Certainty::AtLeast)
            }
            _ => Self::new(0, 0, Certainty::Uncertain),
        }
    }

    pub(super) fn elapsed_ms(&self) -> u64 {
        self.printing_ms.saturating_add(self.paused_ms)
    }
}

impl Following {
    fn times(&self, run: &Run) -> Times {
        match run.ended {
            Some(ended) => Times::measured(ended - self.began, run.paused),
            None => Times::until(Some(&self.started), self.mark.as_deref()),
        }
    }
}

impl Clerk {
    /// Reads the file up to the last command that was acknowledged, away from the desk; the end is told once that is done.
    pub(super) fn measure(&mut self, run: Run, end: RunEnd) {
        let Some(following) = self.following.as_mut().filter(|following| !following.is_over) else { return };
        following.is_over = true;
        let times = following.times(&run);
        let entry = &self.book.entries[&following.job_id];
        let (sha256, counted) = (entry.sha256().to_string(), entry.detail.counted());
        let (spool, done) = (self.spool.clone(), self.done.clone());
        let about = telemetry::of_job(&following.job_id, following.subject.attempt);
        let measuring = async move {
            let filament_mm = filament_of(spool, sha256, counted).await;
            drop(done.send(Done::Measured(Box::new(Measured { run, end, times, filament_mm }))).await);
        };
        tokio::spawn(measuring.instrument(about));
    }

    /// What it used is part of the job's story, and attempts that go on from this one count its time as well.
    pub(super) fn count_time(&mut self, id: &JobId, facts: &RunFacts) {
        if let Some(entry) = self.book.entries.get_mut(id) {
            let attempt = entry.job.attempt();
            let detail = &mut entry.detail;
            detail.story.use_up(attempt, facts);
            detail.printed_ms = detail.printed_ms.saturating_add(facts.times.printing_ms);
        }
    }

    /// The record of an attempt, signed.
    pub(super) fn write_usage(&self, id: &JobId, outcome: Outcome, facts: &RunFacts) -> Write {
        let entry = &self.book.entries[id];
        let (detail, attempt) = (&entry.detail, entry.job.attempt());
        let (counted, permit) = (detail.counted(), facts.begun.permit.as_ref());
        // One key for its name and its signature, whatever becomes of it meanwhile.
        let key = self.identity.key();
        let usage = JobUsage {
            usage_id: JobUsage::id_of(id, attempt),
            agent: self.identity.agent_id(),
            kid: key.kid(),
            outcome,
            printing_ms: facts.times.printing_ms,
            paused_ms: facts.times.paused_ms,
            times: facts.times.certainty.clone(),
            filament_mm: facts.filament_mm.clone(),
            lines_acked: counted.end - counted.start,
            lines_before: counted.start,
            lines_total: detail.commands_total,
            permit_id: permit.map(|permit| permit.permit_id.clone()),
            org: permit.map(|permit| permit.org.clone()),
            extra: Extra::default(),
            sig: None,
        };
        let signed = usage.signed(|bytes| key.sign(bytes));
        event(&EventData::JobUsage(Box::new(signed)), Some((id, attempt)), &self.clock.stamp())
    }
}

/// Filament by tool in mm of these commands of a body.
pub(super) async fn filament_of(spool: Spool, sha256: String, counted: Range<u64>) -> Option<Vec<f64>> {
    let measured = tokio::task::spawn_blocking(move || {
        let body = spool.read(&sha256).map_err(std::io::Error::other)?;
        count(body, counted)
    });
    measured
        .await
        .ok()?
        .inspect_err(|error| warn!(%error, "the file could not be read again; its filament is not known"))
        .ok()
}

fn count(mut body: impl Read, counted: Range<u64>) -> std::io::Result<Vec<f64>> {
    let mut count = FilamentCount::new(counted);
    let mut piece = vec![0; PIECE_BYTES];
    while count.wants_more() {
        let read = body.read(&mut piece)?;
        if read == 0 {
            break;
        }
        count.push(&piece[..read]);
    }
    Ok(count.finish())
}

#[cfg(test)]
mod tests {
    use spoolway_protocol::envelope::ClockSource;

    use super::*;
    use crate::line_journal::MarkState;

    #[test]
    fn a_body_is_read_as_far_as_it_was_acknowledged() {
        let text: String = std::iter::once("M83 ; relative\n".to_owned())
            .chain((0..20_000).map(|n| format!("; {n}\nG1 X{n} E0.5\n")))
            .collect();
        let used = |counted| count(text.as_bytes(), counted).unwrap();
        assert_eq!(used(0..0), [0.0; 0]);
        assert_eq!(used(0..1), [0.0; 0]);
        assert_eq!(used(0..2), [0.5]);
        assert_eq!(used(0..10_001), [5_000.0]);
        assert_eq!(used(10_001..u64::MAX), [5_000.0]);
        assert_eq!(used(0..u64::MAX), [10_000.0]);
    }

    fn started(boot: &str) -> Stamp {
        Stamp { w: 9, m: 1_000, b: boot.parse().unwrap(), c: ClockSource::None }
    }

    fn mark(at_ms: u64) -> Mark {
        Mark {
            job_id: "j".to_owned(),
            attempt: 1,
            sha256: "ab".repeat(32),
            state: MarkState::Printing,
            commands: 3,
            line: 3,
            byte: 30,
            layer: 0,
            boot: "boot-1".to_owned(),
            at_ms,
            paused_ms: 200,
            wall_ms: 7,
            tools: Vec::new(),
            bed: None,
        }
    }

    #[test]
    fn times_are_only_told_of_one_clock() {
        let until = |started: Option<&Stamp>, mark: Option<&Mark>| {
            let times = Times::until(started, mark);
            (times.printing_ms, times.paused_ms, times.certainty)
        };
        let (one, other, seen) = (started("boot-1"), started("boot-2"), mark(5_000));
        assert_eq!(until(Some(&one), Some(&seen)), (3_800, 200, Certainty::AtLeast));
        let nothing = (0, 0, Certainty::Uncertain);
        assert_eq!(until(Some(&other), Some(&seen)), nothing, "clocks of two boots");
        assert_eq!(until(Some(&one), Some(&mark(999))), nothing, "before it began");
        assert_eq!(until(None, Some(&seen)), nothing);
        assert_eq!(until(Some(&one), None), nothing);
        let all = Times::measured(Duration::from_millis(9), Duration::from_millis(4));
        assert_eq!((all.printing_ms, all.paused_ms, all.elapsed_ms()), (5, 4, 9));
    }
}
