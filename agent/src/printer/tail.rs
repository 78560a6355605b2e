//! What was on the wire, and how the line did, when a run could not go on: kept with the snapshot until the next run.
//!
//! The printer thread only copies it; whoever writes it down does so elsewhere.

use std::sync::Arc;

use spoolway_agent_core::stream::{InForce, Stats, WireFigures};
use tokio::sync::oneshot;

use super::Known;
use super::conversation::Conversation;
use super::handover::Ticket;
use super::tap::WireLine;
use super::task::Bench;
use crate::telemetry;

/// The end of a run that could not go on.
#[derive(Debug, Clone)]
pub struct Tail {
    /// The run.
    pub run: u64,
    /// The last lines, oldest first.
    pub lines: Vec<WireLine>,
    /// Counters since the conversation began.
    pub stats: Stats,
    /// How the wire did.
    pub wire: WireFigures,
    /// How much might be on its way.
    pub window: Option<InForce>,
    /// The printer, if one had answered.
    pub known: Option<Arc<Known>>,
}

impl Bench {
    /// Keeps the end of a run as it stands in the snapshot.
    pub(super) fn keep_tail(&self, run: u64) {
        let lines = self.wirelog.lines();
        self.publish.send_modify(|snapshot| {
            snapshot.tail = Some(Arc::new(Tail {
                run,
                lines,
                stats: snapshot.stats,
                wire: snapshot.wire,
                window: snapshot.window,
                known: snapshot.known.clone(),
            }));
        });
    }

    /// From now on the log is about this job.
    pub(super) fn speak_of(&mut self, ticket: &Ticket) {
        // The one before is left first.
        self.about = None;
        self.about = Some(telemetry::of_job(&ticket.job_id, ticket.subject.attempt).entered());
    }

    /// Whoever asked may have left.
    pub(super) fn tell_wire(&self, answer: oneshot::Sender<Vec<WireLine>>) {
        drop(answer.send(self.wirelog.lines()));
    }
}

impl Conversation<'_> {
    /// The same with the latest figures, while the run is not over.
    pub(super) fn keep_tail(&mut self) {
        if let Some(run) = self.run.as_ref().filter(|run| !run.is_over()).map(|run| run.id) {
            self.publish();
            self.bench.keep_tail(run);
        }
    }
}
