//! What the printer says while lines flow: acknowledgements are counted, refusals are mended.
//!
//! After `Resend: n` the firmware has flushed its receive ring (Marlin `queue.cpp`, `flush_and_request_resend`), sends
//! one `ok` for the request itself right behind it, and later one for each accepted, unacknowledged line below n; none
//! for lines from n on.

use std::time::Duration;

use crate::Moment;
use crate::reply::{Acknowledged, Reply};

use super::Streamer;
use super::event::{Event, StopReason};
use super::history::{Pace, Source};
use super::state::{Mend, Phase, Resuming, Then, Trust, Turn};

/// An acknowledgement's number is believed beyond the next line once so many have named just that: old Marlins name the line
/// that they received last (MarlinFirmware/Marlin#2952).
const EXACT_ACKS_MIN: u32 = 8;

impl Streamer {
    pub(super) fn handle_while_streaming(&mut self, now: Moment, mend: Mend, reply: &Reply) {
        let own_ok = std::mem::take(&mut self.swallow);
        match reply {
            // It belongs to a request, which was progress or was not.
            Reply::Ok(_) if own_ok => {}
            Reply::Ok(acknowledged) => self.handle_ok(now, mend, acknowledged),
            Reply::Resend(number) => self.handle_resend(now, mend, *number),
            Reply::Wait => self.handle_wait(now, mend),
            Reply::Skip(number) => self.handle_skip(mend, *number),
            Reply::Other(text) => self.handle_other(now, mend, text),
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
                // Where every acknowledgement was counted none can be late.
                let until = if std::mem::take(&mut self.counted_alone) { now } else { settled };
                self.mend(Mend::Settling { until, then: Then::Open });
            }
            // One that nobody waits for shows that the count was ahead: let the others pass as well.
            Mend::Settling { then: Then::Open, .. } => {
                self.mend(Mend::Settling { until: settled, then: Then::Open });
            }
            Mend::Probing { counted, .. } => {
                self.mend(Mend::Probing { acknowledged_at: Some(now), counted });
            }
            Mend::Resuming(resuming) if resuming.quiet => {
                let from = now + self.quiet_of(resuming);
                self.mend(Mend::Resuming(Resuming { from, ..resuming }));
            }
            Mend::InDoubt => self.ease_doubt(),
            _ => {}
        }
    }

    /// Counts one acknowledgement, or all up to the line that it names.
    fn count_ok(&mut self, now: Moment, named: Option<u32>) -> bool {
        let due = self.window.acked() + 1;
        let last = match named.filter(|_| self.options.numbered_acks) {
            // Late, or doubled: it was counted before.
            Some(line) if line < due && self.exact_acks >= EXACT_ACKS_MIN => return true,
            Some(line) if line == due => {
                self.exact_acks = self.exact_acks.saturating_add(1);
                due
            }
            Some(line) if line < self.window.cursor() && self.exact_acks >= EXACT_ACKS_MIN => line,
            _ => due,
        };
        while self.window.acked() < last {
            if !self.acknowledge(now) {
                return false;
            }
        }
        true
    }

    /// Counts the oldest line on its way as acknowledged; gives whether there was one.
    pub(super) fn acknowledge(&mut self, now: Moment) -> bool {
        let Some(line) = self.window.acknowledge() else { return false };
        self.asked = None;
        let (source, pace, lasts, sent_at) = (line.source, line.pace, line.lasts, line.sent_at);
        match source {
            Source::Query => self.query_out = false,
            Source::Script => {}
            Source::Aside => self.note_aside(),
            Source::Job(_) => self.note_job_line(now, pace, lasts),
        }
        if !pace.blocks() {
            self.figures.add_round_trip(now - sent_at);
        }
        self.arm_heat(self.window.acked());
        if self.narrowing.hear_ack() {
            self.reach_anew();
        }
        true
    }

    fn note_job_line(&mut self, now: Moment, pace: Pace, lasts: Duration) {
        let flows = !pace.blocks() && self.turn == Turn::Running && self.heat.is_none();
        if let Some(last) = self.last_ack.filter(|_| flows) {
            self.stats.job_max_gap = self.stats.job_max_gap.max(now - last);
            self.figures.add_gap(now - last);
        }
        self.figures.plan(now, flows.then_some(lasts));
        self.last_ack = Some(now);
    }

    /// Repetier drops lines whose number does not follow, and says which (`gcode.cpp`). One that was sent alone and is dropped
    /// is one that the firmware has already: then its `ok` counts.
    fn handle_skip(&mut self, mend: Mend, number: Option<u32>) {
        let alone = match mend {
            Mend::Alone { number } => Some(number),
            Mend::Resuming(_) | Mend::Probing { counted: true, .. } => self.alone_before,
            _ => None,
        };
        self.swallow = number.is_none() || alone != number;
    }

    /// A line that lost its `N` on the way is a command that nobody knows, and is acknowledged all the same: `echo:Unknown
    /// command: "1306 G1 X10"` (Marlin `gcode.cpp`). A firmware that checks the sequence refuses the next line; with any
    /// other this one would be missing.
    fn handle_other(&mut self, now: Moment, mend: Mend, text: &str) {
        self.hear_standing(text);
        self.hear_whereabouts(now, text);
        if self.options.verified || self.window.lines_in_flight() != 1 {
            return;
        }
        let line = self.window.acked() + 1;
        let named = text.split_once('"').is_some_and(|(_, quoted)| {
            let digits = quoted.trim_start_matches(|c: char| !c.is_ascii_digit());
            digits.split(' ').next().is_some_and(|number| number.parse() == Ok(line))
        });
        if named {
            // Its `ok` follows.
            self.swallow = true;
            self.note_refusal(mend, line);
            self.ask_again_for(now, line);
        }
    }

    /// The firmware names the line that it expects, because it refused another.
    fn handle_resend(&mut self, now: Moment, mend: Mend, number: u32) {
        // One that is said again and again, as Repetier says it until the line comes, is no progress.
        if self.asked.replace(number) != Some(number) {
            self.watch.progress(now);
        }
        self.swallow = self.options.replies.ok_after_resend;
        if !self.options.verified {
            return self.handle_request(now, mend, number);
        }
        if let Mend::Resuming(resuming) = mend {
            // Of the process before. Half a line may still stand in the buffer: only the answer to a question counts.
            let from = (now + self.quiet_of(resuming)).min(resuming.until);
            return self.mend(Mend::Resuming(Resuming { from, quiet: true, ..resuming }));
        }
        let trust = self.witness.judge(number);
        if !self.is_credible(now, number, trust) {
            return;
        }
        self.counted_alone = false;
        if matches!(mend, Mend::Probing { counted: true, .. }) {
            return self.go_on_from(now, number, trust == Trust::Sure);
        }
        if number < self.window.next_number() {
            self.note_refusal(mend, number);
        }
        self.window.rewind(number, trust == Trust::Sure);
        if matches!(mend, Mend::Probing { .. }) {
            // The lines below were accepted; whether their acknowledgements were lost or are still to come, they no longer
            // lie in the ring, which was just flushed. Late ones are strays.
            while self.acknowledge(now) {}
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

    pub(super) fn note_refusal(&mut self, mend: Mend, number: u32) {
        if !matches!(mend, Mend::Settling { .. }) {
            self.stats.job_refusals += 1;
            self.emit(Event::Refused { number });
            if self.narrowing.hear_refusal() {
                self.reach_anew();
            }
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
            Mend::Settling { .. } | Mend::Resuming(_) | Mend::InDoubt => false,
        };
        if overdue && self.options.verified {
            self.probe(now);
        }
    }

    pub(super) fn mend(&mut self, mend: Mend) {
        self.phase = Phase::Streaming(mend);
    }
}
