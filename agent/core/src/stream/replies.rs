//! What the printer says while lines flow: acknowledgements are counted, refusals are mended.
//!
//! After `Resend: n` the firmware has flushed its receive ring (Marlin `queue.cpp`, `flush_and_request_resend`), sends
//! one `ok` for the request itself right behind it, and later one for each accepted, unacknowledged line below n; none
//! for lines from n on.

use crate::Moment;
use crate::reply::{Acknowledged, Reply};

use super::Streamer;
use super::event::{Event, StopReason};
use super::history::Source;
use super::state::{Mend, Phase, Then, Trust, Turn};

impl Streamer {
    pub(super) fn handle_while_streaming(&mut self, now: Moment, mend: Mend, reply: &Reply) {
        let own_ok = std::mem::take(&mut self.swallow);
        match reply {
            Reply::Ok(_) if own_ok => self.watch.progress(now),
            Reply::Ok(acknowledged) => self.handle_ok(now, mend, acknowledged),
            Reply::Resend(number) => self.handle_resend(now, mend, *number),
            Reply::Wait => self.handle_wait(now, mend),
            _ => {}
        }
    }

    fn handle_ok(&mut self, now: Moment, mend: Mend, acknowledged: &Acknowledged) {
        self.watch.progress(now);
        let counted = self.count_ok(now, acknowledged.line);
        if !counted {
            self.stats.stray_acks += 1;
        }
        let settled = now + self.options.waits.settle;
        match mend {
            Mend::Alone { number } if self.window.acked() >= number => {
                self.refusals = 0;
                self.mend(Mend::Settling { until: settled, then: Then::Open });
            }
            // One that nobody waits for shows that the count was ahead: let the others pass as well.
            Mend::Settling { then: Then::Open, .. } => {
                self.mend(Mend::Settling { until: settled, then: Then::Open });
            }
            Mend::Probing { .. } => self.mend(Mend::Probing { acknowledged_at: Some(now) }),
            _ => {}
        }
    }

    /// Counts one acknowledgement, or all up to the line that it names.
    fn count_ok(&mut self, now: Moment, named: Option<u32>) -> bool {
        let last = match named.filter(|_| self.options.numbered_acks) {
            Some(line) if line <= self.window.acked() => return true,
            Some(line) if line < self.window.cursor() => line,
            _ => self.window.acked() + 1,
        };
        while self.window.acked() < last {
            let Some(line) = self.window.acknowledge() else { return false };
            let (source, blocking) = (line.source, line.blocking);
            self.note_ack(now, source, blocking);
        }
        true
    }

    fn note_ack(&mut self, now: Moment, source: Source, blocking: bool) {
        match source {
            Source::Query => self.query_out = false,
            Source::Script => {}
            Source::Job(_) => {
                if let Some(last) = self.last_ack.filter(|_| !blocking && self.turn == Turn::Running) {
                    self.stats.job_max_gap = self.stats.job_max_gap.max(now - last);
                }
                self.last_ack = Some(now);
            }
        }
    }

    /// The firmware names the line that it expects, because it refused another.
    fn handle_resend(&mut self, now: Moment, mend: Mend, number: u32) {
        self.watch.progress(now);
        self.swallow = self.options.replies.ok_after_resend;
        let trust = self.witness.judge(number);
        if !self.is_credible(now, number, trust) {
            return;
        }
        if number < self.window.next_number() {
            self.note_refusal(mend, number);
        }
        self.window.rewind(number, trust == Trust::Sure);
        if matches!(mend, Mend::Probing { .. }) {
            // The lines below were accepted; whether their acknowledgements were lost or are still to come, they no longer
            // lie in the ring, which was just flushed. Late ones are strays.
            self.window.accept_all();
            self.query_out = false;
        }
        if !matches!(self.phase, Phase::Stopped(_)) {
            let until = now + self.options.waits.settle;
            self.mend(Mend::Settling { until, then: Then::SendAlone });
        }
    }

    /// Whether a request can be acted upon. One that cannot be honest is asked about; heard often enough it is the truth: the
    /// counter is where the firmware says, or far from where this conversation can have brought it.
    fn is_credible(&mut self, now: Moment, number: u32, trust: Trust) -> bool {
        let until = now + self.options.waits.settle;
        if trust == Trust::Contradiction {
            self.mend(Mend::Settling { until, then: Then::Probe });
            return false;
        }
        if self.window.can_ask_for(number) {
            self.suspicion.clear();
            return true;
        }
        if !self.suspicion.raise(number) {
            self.mend(Mend::Settling { until, then: Then::Probe });
            return false;
        }
        self.suspicion.clear();
        if self.window.distrust_proof(number) {
            return true;
        }
        if self.turn == Turn::Idle {
            self.begin_again(now);
        } else {
            self.stop(StopReason::Desynchronised { asked: number });
        }
        false
    }

    fn note_refusal(&mut self, mend: Mend, number: u32) {
        if !matches!(mend, Mend::Settling { .. }) {
            self.stats.job_refusals += 1;
            self.emit(Event::Refused { number });
        }
        if matches!(mend, Mend::Alone { number: alone } if alone == number) {
            self.refusals += 1;
            if self.refusals > self.options.max_refusals {
                self.stop(StopReason::TooManyRefusals { number, times: self.refusals });
            }
        }
    }

    /// The command queue is empty: what is still unacknowledged will never be, and a verdict will not come any more.
    fn handle_wait(&mut self, now: Moment, mend: Mend) {
        let resend = self.options.waits.resend;
        let overdue = match mend {
            Mend::Flowing | Mend::Alone { .. } => {
                self.window.oldest().is_some_and(|line| now >= line.sent_at + resend)
            }
            Mend::Probing { .. } => self.watch.has_rested(now, resend),
            Mend::Settling { .. } => false,
        };
        if overdue && self.options.verified {
            self.probe(now);
        }
    }

    pub(super) fn mend(&mut self, mend: Mend) {
        self.phase = Phase::Streaming(mend);
    }
}
