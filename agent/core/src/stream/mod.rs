//! Streams numbered lines to a printer so that each is executed once and in order, at the pace of the wire.
//!
//! The firmware's own sequence check carries the guarantee: a number always names the same line, nothing is sent without
//! one while a job is under way, and `M110` is only ever sent with nothing on its way. The accounting of replies decides
//! how fast lines flow, never whether one is lost: replies may be lost, doubled or damaged, and the worst that follows
//! is that the firmware is asked where it stands.
//!
//! * `plan` decides what is sent next, and when to look again.
//! * `replies` takes what the printer says while lines flow; **a resend is handled there**.
//! * `sync` sets the firmware's line counter and proves it.
//! * `turn` begins, pauses, resumes and gives up a job.

mod event;
mod history;
mod options;
mod plan;
mod replies;
mod state;
mod stats;
mod sync;
mod turn;
mod watch;
mod window;

use std::collections::VecDeque;

use crate::Moment;
use crate::gcode::Batch;
use crate::reply::{Acknowledged, Reply, ReplyParser};

pub use event::{Ending, Event, Output, StopReason};
pub use options::{FIRST_NUMBER, Query, Reach, Scripts, StreamOptions, Waits};
pub use stats::Stats;
pub use turn::TurnError;
pub use window::Progress;

use state::{Lookahead, Mend, Phase, Suspicion, Turn, Witness};
use watch::Watch;
use window::Window;

/// Lines of a job that are wanted ahead of time.
const LOOKAHEAD_LINES: usize = 512;
/// Events that wait for the shell; a shell polls after every input, so only a flood of replies comes near.
const EVENTS_MAX: usize = 1024;

/// One conversation with one firmware, from the moment it is known to the moment it is lost.
#[derive(Debug)]
pub struct Streamer {
    options: StreamOptions,
    parser: Option<ReplyParser>,
    window: Window,
    watch: Watch,
    phase: Phase,
    turn: Turn,
    lookahead: Lookahead,
    /// Lines of scripts, ahead of the job's.
    scripts: VecDeque<Vec<u8>>,
    /// Numbering is to begin anew as soon as nothing is on its way.
    resync: bool,
    /// The next line is the `ok` that belongs to a request.
    swallow: bool,
    suspicion: Suspicion,
    witness: Witness,
    refusals: u32,
    /// Highest number ever written; what is at or below it is a repetition.
    highest_sent: u32,
    query_due: Moment,
    query_out: bool,
    last_ack: Option<Moment>,
    out: Vec<u8>,
    events: VecDeque<Event>,
    stats: Stats,
}

impl Streamer {
    /// A conversation that begins now, with a firmware that has been identified.
    #[must_use]
    pub fn new(options: StreamOptions, now: Moment) -> Self {
        let window = Window::new(options.reach, options.history_lines);
        let mut streamer = Self {
            parser: Some(ReplyParser::new(options.replies.clone())),
            window,
            watch: Watch::new(options.waits, now),
            phase: Phase::Streaming(Mend::Flowing),
            turn: Turn::Idle,
            lookahead: Lookahead::default(),
            scripts: VecDeque::new(),
            resync: false,
            swallow: false,
            suspicion: Suspicion::default(),
            witness: Witness::default(),
            refusals: 0,
            highest_sent: FIRST_NUMBER,
            query_due: now,
            query_out: false,
            last_ack: None,
            out: Vec::new(),
            events: VecDeque::new(),
            stats: Stats::default(),
            options,
        };
        streamer.begin_sync(now);
        streamer
    }

    /// Takes what the printer sent.
    pub fn handle_bytes(&mut self, now: Moment, mut bytes: &[u8]) {
        let Some(mut parser) = self.parser.take() else { return };
        while let Some(reply) = parser.next(&mut bytes) {
            self.handle_reply(now, reply);
        }
        self.parser = Some(parser);
    }

    /// Gives the next thing to do; call it until it says wait, after every input and at the time that it named.
    pub fn poll_output(&mut self, now: Moment) -> Output {
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        let wake = self.plan(now);
        if !self.out.is_empty() {
            return Output::Write(std::mem::take(&mut self.out));
        }
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        Output::Wait(wake)
    }

    /// Whether more of the job is wanted.
    #[must_use]
    pub fn wants_lines(&self) -> bool {
        matches!(self.turn, Turn::Running | Turn::Pausing | Turn::Paused)
            && !self.lookahead.complete
            && self.lookahead.lines() < LOOKAHEAD_LINES
    }

    /// Takes the next commands of the job, in order.
    pub fn feed(&mut self, batch: Batch) {
        if matches!(self.turn, Turn::Running | Turn::Pausing | Turn::Paused) {
            self.lookahead.push(batch);
        }
    }

    /// No more commands follow.
    pub fn feed_end(&mut self) {
        self.lookahead.complete = true;
    }

    /// How much of the job has been acknowledged.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.window.progress()
    }

    /// Counters of this conversation.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Un-acknowledged bytes right now, everything counted.
    #[must_use]
    pub fn bytes_in_flight(&self) -> usize {
        self.window.bytes_in_flight()
    }

    /// Why it has given up, if it has.
    #[must_use]
    pub fn stopped(&self) -> Option<&StopReason> {
        match &self.phase {
            Phase::Stopped(reason) => Some(reason),
            _ => None,
        }
    }

    fn handle_reply(&mut self, now: Moment, reply: Reply) {
        self.watch.life(now);
        let reply = match self.handle_anywhere(now, reply) {
            Some(reply) => reply,
            None => return,
        };
        match self.phase {
            Phase::Stopped(_) => {}
            Phase::Syncing(sync) => self.handle_while_syncing(now, sync, &reply),
            Phase::Streaming(mend) => self.handle_while_streaming(now, mend, &reply),
        }
    }

    /// What means the same in every state; gives the rest back.
    fn handle_anywhere(&mut self, now: Moment, reply: Reply) -> Option<Reply> {
        match reply {
            Reply::Temperatures(found) => self.emit(Event::Temperatures(found)),
            Reply::Action(text) => self.emit(Event::Action(text)),
            Reply::Error { text, harmless, acknowledges } => {
                self.witness.hear_error(&text);
                if !harmless {
                    self.emit(Event::Complaint(text));
                }
                return acknowledges.then(|| Reply::Ok(Acknowledged::default()));
            }
            Reply::Fatal(text) => self.stop(StopReason::Halted(text)),
            Reply::Busy => self.watch.busy(now),
            Reply::Start => self.handle_start(now),
            Reply::Ok(acknowledged) => {
                if let Some(found) = acknowledged.temperatures {
                    self.emit(Event::Temperatures(found));
                }
                self.witness.forget_error();
                return Some(Reply::Ok(acknowledged));
            }
            other => return Some(other),
        }
        None
    }

    /// The counter is lost, and with it everything on its way; a job that has begun cannot go on.
    fn handle_start(&mut self, now: Moment) {
        if matches!(self.phase, Phase::Stopped(_)) {
            return;
        }
        let begun = match self.turn {
            Turn::Idle => false,
            Turn::Running | Turn::Pausing | Turn::Paused => self.stats.job_lines_sent > 0,
            Turn::Ending(_) => true,
        };
        if begun {
            self.stop(StopReason::Restarted);
        } else {
            self.begin_again(now);
        }
    }

    /// The firmware forgot the conversation while nothing was at stake.
    fn begin_again(&mut self, now: Moment) {
        self.emit(Event::Restarted);
        self.begin_sync(now);
    }

    fn stop(&mut self, reason: StopReason) {
        if matches!(self.phase, Phase::Stopped(_)) {
            return;
        }
        self.emit(Event::Stopped(reason.clone()));
        self.phase = Phase::Stopped(reason);
        self.turn = Turn::Idle;
        self.lookahead.clear();
        self.scripts.clear();
    }

    fn emit(&mut self, event: Event) {
        let newest_wins = matches!(event, Event::Temperatures(_));
        if newest_wins {
            self.events.retain(|old| !matches!(old, Event::Temperatures(_)));
        }
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(event);
        } else {
            self.stats.events_dropped += 1;
        }
    }
}
