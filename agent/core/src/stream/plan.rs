//! Decides what is sent next, and when to look again.

use std::time::Duration;

use crate::Moment;

use super::event::{Event, StopReason};
use super::history::{Pace, Source};
use super::state::{Mend, Phase, Then, Turn};
use super::{Streamer, heat};

/// No line is ever numbered so, and no 8-bit sum is 999; of firmwares that keep the lowest eight bits of a checksum (Repetier
/// `gcode.cpp`) none takes it either, since those are 231 and the sum of ASCII is below 128. The firmware refuses this alone
/// just as it does behind half a line that was left in its buffer, and it refuses it once. A line of the job would not do: Marlin 2.1 drops a
/// repetition of one of the last two lines without a word (`queue.cpp`).
pub(super) const PROBE: &[u8] = b"N500*999\n";

/// What may go out is written in pieces of so many lines: the firmware begins with the first ones while the rest is framed.
/// Where it answers at once, it would else wait for the agent and the agent for it, in turns.
const LINES_A_WRITE: usize = 4;

impl Streamer {
    /// Puts what may be sent now into `out`; gives the time to look again.
    pub(super) fn plan(&mut self, now: Moment) -> Option<Moment> {
        // Each pass either sends, or moves one state on, or ends; the bound only guards against a mistake here.
        for _ in 0..16 {
            let wake = match self.phase {
                Phase::Stopped(_) => return None,
                Phase::Syncing(sync) => self.plan_sync(now, sync),
                Phase::Streaming(mend) => self.plan_stream(now, mend),
            };
            if !self.out.is_empty() || wake.is_none_or(|at| at > now) {
                return wake;
            }
        }
        Some(now + self.options.waits.settle)
    }

    fn plan_stream(&mut self, now: Moment, mend: Mend) -> Option<Moment> {
        if self.is_braking() {
            return self.plan_brake(now);
        }
        let wake = self.plan_mend(now, mend);
        let again = if self.is_sending() { self.plan_cut(now) } else { None };
        [wake, again].into_iter().flatten().min()
    }

    /// Whether what is written now stands behind whole lines, and no verdict is awaited.
    fn is_sending(&self) -> bool {
        matches!(self.phase, Phase::Streaming(Mend::Flowing | Mend::Alone { .. }))
    }

    fn plan_mend(&mut self, now: Moment, mend: Mend) -> Option<Moment> {
        match mend {
            Mend::Flowing => {
                let heat = self.plan_heat(now);
                self.fill_window(now);
                if self.window.is_idle() && self.out.is_empty() && self.turn_over(now) {
                    return Some(now);
                }
                let wake = self.wake_flowing(now);
                [heat, wake].into_iter().flatten().min()
            }
            Mend::Settling { until, then } if now >= until => {
                self.settled(now, then);
                Some(now)
            }
            Mend::Settling { until, .. } => Some(until),
            Mend::Alone { .. } => self.wake_waiting(now),
            Mend::Probing { acknowledged_at, .. } => self.plan_probe(now, acknowledged_at),
            Mend::Resuming(resuming) => self.plan_resuming(now, resuming),
            Mend::InDoubt => None,
        }
    }

    fn fill_window(&mut self, now: Moment) {
        for _ in 0..LINES_A_WRITE {
            let is_there = match self.window.replay_len() {
                Some(length) => self.window.has_room(length),
                None => self.pull(now),
            };
            if !is_there {
                return;
            }
            self.send_line(now);
        }
    }

    pub(super) fn send_line(&mut self, now: Moment) -> u32 {
        if self.window.lines_in_flight() == 0 {
            self.watch.progress(now);
        }
        if self.window.cursor() <= self.highest_sent {
            self.stats.lines_repeated += 1;
        }
        let number = self.window.send(now, &mut self.out);
        self.highest_sent = self.highest_sent.max(number);
        number
    }

    /// Frames the next new line, if there is one and it fits: what is framed is also sent, so that whatever comes first
    /// the next time gets the next number.
    fn pull(&mut self, now: Moment) -> bool {
        if self.resync || self.window.next_number() >= self.options.max_line_number {
            self.resync = true;
            return false;
        }
        if let Some(command) = self.scripts.front() {
            return self.fits(command) && self.pull_script(now);
        }
        if let Some(command) = self.asides.front() {
            return self.fits(command) && self.pull_aside();
        }
        if self.pull_query(now) {
            return true;
        }
        self.turn == Turn::Running && self.heat.is_none() && !self.holds_back(now) && self.pull_job(now)
    }

    /// Whether a command may follow now; its checksum counts as three digits.
    fn fits(&self, command: &[u8]) -> bool {
        let number = self.window.next_number();
        self.window.has_room(self.options.framing.framed_len(number, command.len()) + 1)
    }

    fn pull_script(&mut self, now: Moment) -> bool {
        let Some(command) = self.scripts.pop_front() else { return false };
        if self.drops(now, &command) {
            return self.pull(now);
        }
        self.push_line(&command, Source::Script);
        true
    }

    fn pull_query(&mut self, now: Moment) -> bool {
        let Some(query) = self.due_query(now) else { return false };
        if !self.fits(&query) {
            return false;
        }
        self.note_query(now);
        self.push_line(&query, Source::Query);
        true
    }

    fn pull_job(&mut self, now: Moment) -> bool {
        let Some((command, position)) = self.lookahead.peek() else { return false };
        let number = self.window.next_number();
        if !self.window.has_room(self.options.framing.framed_len(number, command.len()) + 1) {
            return false;
        }
        let mut frame = self.window.take_buffer();
        let waits = self.options.host_waits.is_some() && command[0].eq_ignore_ascii_case(&b'M');
        let rewritten = if waits { heat::rewrite(command, self.modal.tool()) } else { None };
        let sent = rewritten.as_ref().map_or(command, |(asked, _)| asked.as_slice());
        self.options.framing.write(&mut frame, number, sent);
        if frame.len() > self.options.framing.max_line_bytes + 1 {
            self.stop(StopReason::LineTooLong { line: position.line });
            return false;
        }
        let pace = self.options.blocking.pace(sent);
        let lasts = self.modal.follow(command);
        self.lookahead.advance();
        self.read_to = position;
        self.stats.job_lines_sent += 1;
        self.push_frame(frame, Source::Job(position), pace, lasts);
        if let Some((_, wanted)) = rewritten {
            self.begin_heat(now, wanted, number);
        }
        true
    }

    pub(super) fn push_line(&mut self, command: &[u8], source: Source) {
        self.push_line_at(command, source, self.options.blocking.pace(command));
    }

    pub(super) fn push_line_at(&mut self, command: &[u8], source: Source, pace: Pace) {
        let number = self.window.next_number();
        let mut frame = self.window.take_buffer();
        self.options.framing.write(&mut frame, number, command);
        self.push_frame(frame, source, pace, Duration::ZERO);
    }

    fn push_frame(&mut self, frame: Vec<u8>, source: Source, pace: Pace, lasts: Duration) {
        self.stats.lines_sent += 1;
        self.window.push(frame, source, pace, lasts);
    }

    /// The question that is due: of a wait for a temperature, or the usual one.
    fn due_query(&self, now: Moment) -> Option<Vec<u8>> {
        if self.query_out || matches!(self.turn, Turn::Ending(_)) {
            return None;
        }
        if let Some(query) = self.heat_query(now) {
            return Some(query);
        }
        let query = self.options.query.as_ref().filter(|_| now >= self.query_due)?;
        Some(query.command.clone())
    }

    fn note_query(&mut self, now: Moment) {
        self.query_out = true;
        self.note_heat_query(now);
        if let Some(query) = &self.options.query {
            self.query_due = now + query.interval;
        }
    }

    fn settled(&mut self, now: Moment, then: Then) {
        match then {
            Then::Open => self.mend(Mend::Flowing),
            Then::Probe => self.probe(now),
            Then::SendAlone if self.window.has_replay() || self.pull(now) => {
                let number = self.send_line(now);
                self.mend(Mend::Alone { number });
            }
            Then::SendAlone => self.mend(Mend::Flowing),
        }
    }

    /// When to look again while lines flow freely.
    fn wake_flowing(&mut self, now: Moment) -> Option<Moment> {
        let answer = self.wake_waiting(now);
        let query = self.options.query.as_ref().filter(|_| !self.query_out).map(|_| self.query_due);
        // A query that is due and does not fit waits for an acknowledgement, not for time.
        [answer, query.filter(|&due| due > now)].into_iter().flatten().min()
    }

    /// When the oldest line on its way has waited for too long; asks at once if that is now.
    fn wake_waiting(&mut self, now: Moment) -> Option<Moment> {
        if self.held {
            return None;
        }
        self.window.oldest()?;
        let pace = self.pace();
        let deadline =
            if self.options.verified { self.watch.deadline(pace) } else { self.watch.last_deadline(pace) };
        if now < deadline {
            self.cut.inquired = None;
            return Some(deadline);
        }
        if self.options.verified {
            self.probe(now);
        } else if let Some(at) = self.inquire(now) {
            return Some(at);
        } else {
            self.doubt(now);
        }
        Some(now)
    }

    /// Asks the firmware where it stands, with a line that it can only refuse: the refusal names the line it expects, which
    /// proves all before it.
    pub(super) fn probe(&mut self, now: Moment) {
        self.probe_where_it_stands(now, false);
    }

    pub(super) fn probe_where_it_stands(&mut self, now: Moment, counted: bool) {
        let silent = self.watch.probe(now);
        if silent > self.options.max_silent_probes {
            self.stop(StopReason::Silent { probes: silent - 1 });
            return;
        }
        self.out.extend_from_slice(PROBE);
        if !self.window.is_idle() {
            self.stats.job_probes += 1;
            self.emit(Event::Probed { from: self.window.acked() + 1 });
        }
        self.mend(Mend::Probing { acknowledged_at: None, counted });
    }

    /// The verdict is awaited. Replies that come ahead of it show that the firmware works through its queue, so the verdict
    /// is near; if it still does not come it was lost.
    fn plan_probe(&mut self, now: Moment, acknowledged_at: Option<Moment>) -> Option<Moment> {
        let patience = self.watch.verdict_deadline(self.pace());
        let idle = self.window.lines_in_flight() == 0;
        let deadline = match acknowledged_at.filter(|_| idle) {
            Some(at) => patience.min(at + self.options.waits.resend),
            None => patience,
        };
        if now >= deadline {
            self.probe(now);
            return Some(now);
        }
        Some(deadline)
    }

    /// Nothing is on its way and nothing waits: the job turns. Gives whether anything changed.
    fn turn_over(&mut self, now: Moment) -> bool {
        if self.resync {
            // What was only counted, and not proven, would be lost with the old numbers.
            if self.is_proven() {
                self.begin_sync(now);
            } else {
                self.probe(now);
            }
            return true;
        }
        match self.turn {
            Turn::Running if self.lookahead.is_done() && self.heat.is_none() => {
                self.turn = Turn::Ending(super::Ending::Completed);
                true
            }
            Turn::Pausing => {
                self.run_pause_script();
                self.turn = Turn::Parking;
                true
            }
            Turn::Parking => {
                self.turn = Turn::Paused;
                self.emit(Event::Paused);
                true
            }
            Turn::Ending(_) if !self.is_proven() => {
                self.probe(now);
                true
            }
            Turn::Ending(ending) => {
                self.turn = Turn::Idle;
                self.emit(Event::Ended(ending));
                true
            }
            _ => false,
        }
    }

    /// Whether the firmware has itself said that it accepted the last line; acknowledgements can be mistaken for others.
    fn is_proven(&self) -> bool {
        let last = self.window.next_number() - 1;
        !self.options.verified || self.window.proven() >= last || last == super::FIRST_NUMBER
    }
}
