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
//! * `reach` says how much may be on its way, and narrows it when bytes are dropped.
//! * `doubt` is what happens to a firmware that cannot be asked where it stands.
//! * `cut` breaks a wait of the firmware, for a pause or for good.
//! * `heat` waits for temperatures in the firmware's place.
//! * `aside` takes a person's commands and answers prompts.
//! * `carry` is what has to outlive the process, `journal` the memory that it is kept in, and `resume` how another goes on.
//! * `ceiling` holds back what is hotter than the profile allows.
//! * `standstill` says what a job that does not move waits for.

mod aside;
mod brake;
mod carry;
mod ceiling;
mod commands;
mod cut;
mod doubt;
mod event;
mod figures;
mod heat;
mod history;
mod inquiry;
pub mod journal;
mod options;
mod plan;
mod reach;
mod replies;
mod resume;
mod standstill;
mod state;
mod stats;
mod sync;
mod turn;
mod watch;
mod window;

use std::collections::VecDeque;

use crate::Moment;
use crate::gcode::{Batch, Modal, Position};
use crate::reply::{Acknowledged, Reply, ReplyParser};

pub use brake::BrakeOptions;
pub use carry::Carried;
pub use ceiling::Excess;
pub use commands::Commands;
pub use doubt::Doubt;
pub use event::{Ending, Event, Output, StopReason};
pub use figures::WireFigures;
pub use options::{FIRST_NUMBER, Query, Scripts, Signal, StreamOptions, Waits};
pub use reach::{InForce, Reach};
pub use resume::Unfit;
pub use standstill::Awaits;
pub use stats::Stats;
pub use turn::TurnError;
pub use window::Progress;

use aside::Awaited;
use ceiling::Ceiling;
use cut::Cut;
use figures::Figures;
use heat::HeatWait;
use reach::Narrowing;
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
    /// Commands of a person.
    asides: VecDeque<Vec<u8>>,
    /// Those of them that are on their way.
    asides_out: VecDeque<Vec<u8>>,
    /// Where the job stands once everything that was framed has been carried out.
    modal: Modal,
    /// Where its last line that was framed stands in the file.
    read_to: Position,
    heat: Option<HeatWait>,
    /// How many the firmware has named so far.
    hot_ends: usize,
    cut: Cut,
    /// The line that a process that has died had sent alone.
    alone_before: Option<u32>,
    /// The line that is sent alone follows a verdict before which every acknowledgement was counted.
    counted_alone: bool,
    /// The head was taken away from the part.
    parked: bool,
    /// Feed hold is on.
    held: bool,
    /// A realtime reset was sent: the banner that follows is no accident.
    reset_asked: bool,
    awaited: Awaited,
    ceiling: Ceiling,
    narrowing: Narrowing,
    figures: Figures,
    /// How often in a row an acknowledgement named just the line that was due.
    exact_acks: u32,
    /// Numbering is to begin anew as soon as nothing is on its way.
    resync: bool,
    /// The next line is the `ok` that belongs to a request.
    swallow: bool,
    /// The line that was asked for last, since an acknowledgement.
    asked: Option<u32>,
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
        let narrowing = Narrowing::new(options.reach);
        let window = Window::new(narrowing.reach(), options.history_lines);
        let mut streamer = Self {
            parser: Some(ReplyParser::new(options.replies.clone())),
            window,
            watch: Watch::new(options.waits, now),
            phase: Phase::Streaming(Mend::Flowing),
            turn: Turn::Idle,
            lookahead: Lookahead::default(),
            scripts: VecDeque::new(),
            asides: VecDeque::new(),
            asides_out: VecDeque::new(),
            modal: Modal::default(),
            read_to: Position::default(),
            heat: None,
            hot_ends: options.hot_ends,
            cut: Cut::default(),
            alone_before: None,
            counted_alone: false,
            parked: false,
            held: false,
            reset_asked: false,
            awaited: Awaited::default(),
            ceiling: Ceiling::new(options.limits),
            narrowing,
            figures: Figures::default(),
            exact_acks: 0,
            resync: false,
            swallow: false,
            asked: None,
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
        // What was decided is told before it is done: whoever writes down what was heard and decided has it all when bytes go out.
        let wake = self.plan(now);
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        if !self.out.is_empty() {
            self.stats.bytes_sent += self.out.len() as u64;
            return Output::Write(std::mem::take(&mut self.out));
        }
        Output::Wait(wake)
    }

    /// Takes back the buffer of an [`Output::Write`] whose bytes are written, to be used again.
    pub fn take_back(&mut self, mut buffer: Vec<u8>) {
        if self.out.is_empty() && buffer.capacity() > self.out.capacity() {
            buffer.clear();
            self.out = buffer;
        }
    }

    /// Whether more of the job is wanted.
    #[must_use]
    pub fn wants_lines(&self) -> bool {
        self.turn.holds_job() && !self.lookahead.complete && self.lookahead.lines() < LOOKAHEAD_LINES
    }

    /// Takes the next commands of the job, in order.
    pub fn feed(&mut self, batch: Batch) {
        if self.turn.holds_job() {
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

    /// The window in force.
    #[must_use]
    pub fn window_in_force(&self) -> InForce {
        self.narrowing.in_force()
    }

    /// How well the wire is used.
    #[must_use]
    pub fn wire(&self) -> WireFigures {
        let written = self.stats.lines_sent + self.stats.lines_repeated;
        self.figures.figures(self.stats.lines_repeated as f32 / written.max(1) as f32)
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
            Reply::Temperatures(found) => self.hear_temperatures(now, found),
            Reply::Action(text) => self.hear_action(text),
            Reply::Error { text, harmless, acknowledges } => {
                return self.hear_error(text, harmless, acknowledges);
            }
            Reply::Overrun => {
                if self.narrowing.hear_overrun() {
                    self.reach_anew();
                }
            }
            Reply::Fatal(text) => self.stop(StopReason::Halted(text)),
            Reply::Busy => {
                self.stats.busy_heard += 1;
                self.watch.busy(now);
            }
            Reply::Start => self.handle_start(now),
            Reply::Ok(acknowledged) => {
                if let Some(found) = acknowledged.temperatures {
                    self.hear_temperatures(now, found);
                }
                self.figures.hear_room(&acknowledged);
                if acknowledged.queue_free.is_some_and(|free| self.narrowing.hear_slots(free)) {
                    self.reach_anew();
                }
                self.witness.forget_error();
                self.awaited.answered();
                return Some(Reply::Ok(acknowledged));
            }
            other => return Some(other),
        }
        None
    }

    fn hear_error(&mut self, text: String, harmless: bool, acknowledges: bool) -> Option<Reply> {
        self.witness.hear_error(&text);
        if !harmless {
            self.emit(Event::Complaint(text));
            if acknowledges && self.turn == Turn::Running {
                // A line of the job was not carried out, and those behind it are already on their way.
                self.turn = Turn::Pausing;
            }
        }
        acknowledges.then(|| Reply::Ok(Acknowledged::default()))
    }

    fn reach_anew(&mut self) {
        self.window.set_reach(self.narrowing.reach());
        self.emit(Event::Reached(self.narrowing.in_force()));
    }

    /// The counter is lost, and with it everything on its way; a job that has begun cannot go on.
    fn handle_start(&mut self, now: Moment) {
        if matches!(self.phase, Phase::Stopped(_)) {
            return;
        }
        if std::mem::take(&mut self.reset_asked) && matches!(self.turn, Turn::Ending(Ending::Cancelled)) {
            return self.begin_again_cancelled(now);
        }
        let begun = match self.turn {
            Turn::Idle => false,
            Turn::Ending(_) => true,
            _ => self.stats.job_lines_sent > 0,
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
        self.asides.clear();
        self.heat = None;
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
