//! Sets the firmware's line counter and proves it.
//!
//! Marlin applies `M110` when it parses it and once more when it executes it (`queue.cpp`, `M110.cpp`): lines behind it
//! would be accepted and then asked for again for ever. So it goes alone. Its `ok` alone proves nothing, since damage to
//! the `N` turns the line into an unknown command that is acknowledged as well; only a refusal that names our number
//! does.

use crate::Moment;
use crate::reply::Reply;

use super::event::{Event, StopReason};
use super::history::Pace;
use super::options::FIRST_NUMBER;
use super::plan::PROBE;
use super::state::{Mend, Phase, Sync, SyncStep};
use super::{Streamer, Turn};

/// How often the counter is set before it is given up. On a line that damages every third byte sequence this is reached
/// once in millions of jobs.
const TRIES_MAX: u32 = 25;
/// So many are told of: a firmware that is well is asked twice at most, on a cable that is not too bad.
const TRIES_TOLD: u32 = 3;

impl Streamer {
    /// Begins to set the counter; whatever was on its way is forgotten.
    pub(super) fn begin_sync(&mut self, now: Moment) {
        self.window.restart();
        self.highest_sent = FIRST_NUMBER;
        self.resync = false;
        self.swallow = false;
        self.query_out = false;
        self.asides_out.clear();
        self.suspicion.clear();
        self.refusals = 0;
        self.last_ack = None;
        if !self.options.framing.numbered {
            self.finish_sync(now);
            return;
        }
        self.phase = Phase::Syncing(Sync { step: SyncStep::Quiet { until: now }, tries: 0 });
    }

    pub(super) fn handle_while_syncing(&mut self, now: Moment, sync: Sync, reply: &Reply) {
        let settle = now + self.options.waits.settle;
        match (sync.step, reply) {
            (SyncStep::Barrier, Reply::Ok(_)) => {
                self.step_sync(sync.tries, SyncStep::Settling { until: settle });
            }
            (SyncStep::Proof { .. }, Reply::Resend(asked)) if *asked == FIRST_NUMBER + 1 => {
                self.step_sync(sync.tries, SyncStep::Proven { until: settle });
            }
            (SyncStep::Barrier | SyncStep::Proof { .. }, Reply::Resend(_)) => self.retry_sync(settle, sync),
            // Damage made it a command that nobody knows; the `ok` that follows is not about the counter.
            (SyncStep::Barrier, Reply::Other(text)) if text.contains("nknown") && text.contains("M110") => {
                self.retry_sync(settle, sync);
            }
            (SyncStep::Quiet { .. }, Reply::Ok(_)) => {
                self.step_sync(sync.tries, SyncStep::Quiet { until: settle });
            }
            (SyncStep::Settling { .. }, Reply::Ok(_)) => {
                self.step_sync(sync.tries, SyncStep::Settling { until: settle });
            }
            (SyncStep::Proven { .. }, Reply::Ok(_)) => {
                self.step_sync(sync.tries, SyncStep::Proven { until: settle });
            }
            _ => {}
        }
    }

    /// Sends what is due; gives the time to look again.
    pub(super) fn plan_sync(&mut self, now: Moment, sync: Sync) -> Option<Moment> {
        match sync.step {
            SyncStep::Quiet { until } if now >= until => self.send_barrier(now, sync),
            SyncStep::Settling { until } if now >= until && self.options.verified => {
                self.send_proof(now, sync)
            }
            SyncStep::Settling { until } | SyncStep::Proven { until } if now >= until => {
                self.finish_sync(now);
                return Some(now);
            }
            SyncStep::Barrier if now >= self.watch.deadline(Pace::Quick) => self.sync_unanswered(now, sync),
            SyncStep::Proof { sent_at } if now >= sent_at + self.options.waits.silence => {
                self.sync_unanswered(now, sync);
            }
            _ => {}
        }
        match self.phase {
            Phase::Syncing(Sync { step, .. }) => Some(match step {
                SyncStep::Quiet { until } | SyncStep::Settling { until } | SyncStep::Proven { until } => {
                    until
                }
                SyncStep::Barrier => self.watch.deadline(Pace::Quick),
                SyncStep::Proof { sent_at } => sent_at + self.options.waits.silence,
            }),
            _ => Some(now),
        }
    }

    fn send_barrier(&mut self, now: Moment, sync: Sync) {
        // Half a line of a former host, or of damage, must not become the head of ours.
        self.out.push(b'\n');
        let command = format!("M110 N{FIRST_NUMBER}");
        self.options.framing.write(&mut self.out, FIRST_NUMBER, command.as_bytes());
        self.watch.progress(now);
        self.step_sync(sync.tries, SyncStep::Barrier);
    }

    fn send_proof(&mut self, now: Moment, sync: Sync) {
        self.out.extend_from_slice(PROBE);
        self.step_sync(sync.tries, SyncStep::Proof { sent_at: now });
    }

    fn sync_unanswered(&mut self, now: Moment, sync: Sync) {
        let silent = self.watch.probe(now);
        if silent > self.options.max_silent_probes {
            self.stop(StopReason::Silent { probes: silent - 1 });
        } else {
            self.retry_sync(now, sync);
        }
    }

    fn retry_sync(&mut self, until: Moment, sync: Sync) {
        if sync.tries >= TRIES_MAX {
            self.stop(StopReason::NotSynchronised { tries: sync.tries });
        } else {
            let tries = sync.tries + 1;
            if tries == TRIES_TOLD {
                self.emit(Event::Unproven { tries });
            }
            self.step_sync(tries, SyncStep::Quiet { until });
        }
    }

    fn step_sync(&mut self, tries: u32, step: SyncStep) {
        self.phase = Phase::Syncing(Sync { step, tries });
    }

    fn finish_sync(&mut self, now: Moment) {
        self.phase = Phase::Streaming(Mend::Flowing);
        self.watch.progress(now);
        if self.turn == Turn::Idle || self.stats.job_lines_sent == 0 {
            self.emit(Event::Synchronised);
        }
    }
}
