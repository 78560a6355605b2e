//! What of a conversation has to outlive the process, so that another one can go on with exactly the next line.
//!
//! Everything that decides which bytes carry which number is written down before those bytes go out: the lines themselves,
//! how many of them count as acknowledged, where the job is read on, its modes, and the turn it is in. What only says how
//! well things go begins anew. The new process has heard every reply that the old one had not yet handled, so it knows how many
//! acknowledgements are still to come; how much of what was framed has arrived it asks the firmware, with a probe that can
//! only be refused, and sends nothing before the verdict: half a line of the old process may stand in front of it.

use std::time::Duration;

use crate::Moment;
use crate::gcode::{Modal, Position};
use crate::pack::{Pack, Unpack};

use super::event::Ending;
use super::heat::HeatWait;
use super::history::{Pace, Sent, Source};
use super::plan::PROBE;
use super::reach::Narrowing;
use super::state::{Mend, Phase, Resuming, Sync, SyncStep, Then, Turn};
use super::window::{CarriedWindow, Progress, Window};
use super::{Stats, StreamOptions, Streamer};

/// Lines of a script that are taken over at most.
const SCRIPT_LINES_MAX: usize = 64;

/// A conversation as it was written down.
#[derive(Debug)]
pub struct Carried {
    phase: CarriedPhase,
    turn: Turn,
    window: CarriedWindow,
    read_to: Position,
    scripts: Vec<Vec<u8>>,
    modal: Modal,
    heat: Option<HeatWait>,
    hot_ends: usize,
    broken: Option<Vec<u8>>,
    flags: Flags,
    narrowing: Narrowing,
    exact_acks: u32,
    has_written: bool,
    stats: Stats,
}

/// Whether the counter was ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CarriedPhase {
    /// It was being set; `M110` was out and nothing had answered it yet, or not.
    Syncing { at_barrier: bool },
    /// Lines flowed, or a fault was being mended: then replies about it may still be on their way.
    Streaming { was_mending: bool, alone: Option<u32> },
    /// The firmware was being asked because acknowledgements seemed to be lost: counting them says nothing.
    Uncounted,
    /// Lines were in doubt.
    InDoubt,
    /// Nothing was sent any more.
    Stopped,
}

#[derive(Debug, Clone, Copy)]
struct Flags {
    parked: bool,
    held: bool,
    reset_asked: bool,
    person_awaited: bool,
    busy_seen: bool,
    resync: bool,
    swallow: bool,
}

/// Why a conversation cannot be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Nothing was under way.
    #[error("nothing was under way")]
    Idle,
    /// The firmware does not check the sequence of lines, so it cannot be asked which of them it has.
    #[error("this firmware cannot be asked which lines it has")]
    Unverified,
    /// Lines that were on their way are not in the journal.
    #[error("the lines that were on their way are not in the journal")]
    Incomplete,
}

impl Carried {
    /// Reads what [`Streamer::pack`] wrote; `line` gives the bytes of a line by numbering and number, as
    /// [`Streamer::pack_line`] wrote them, and `has_written` says whether all that was decided has gone out.
    #[must_use]
    pub fn unpack<'l>(
        from: &mut Unpack<'_>,
        line: impl FnMut(u32, u32) -> Option<&'l [u8]>,
        lines_max: u32,
        has_written: bool,
    ) -> Option<Self> {
        let phase = match from.u8()? {
            0 => CarriedPhase::Streaming { was_mending: false, alone: None },
            1 => CarriedPhase::Streaming { was_mending: true, alone: None },
            2 => CarriedPhase::Syncing { at_barrier: false },
            3 => CarriedPhase::Syncing { at_barrier: true },
            4 => CarriedPhase::InDoubt,
            5 => CarriedPhase::Stopped,
            6 => CarriedPhase::Uncounted,
            7 => CarriedPhase::Streaming { was_mending: false, alone: Some(from.u32()?) },
            _ => return None,
        };
        let turn = turn(from.u8()?)?;
        let window = CarriedWindow::unpack(from, line, lines_max)?;
        let read_to = from.position()?;
        let count = usize::from(from.u8()?);
        let scripts = (0..count).map(|_| from.bytes().map(<[u8]>::to_vec)).collect::<Option<_>>()?;
        let modal = Modal::unpack(from)?;
        let heat = if from.bool()? { Some(HeatWait::unpack(from)?) } else { None };
        let hot_ends = from.u32()? as usize;
        let broken = if from.bool()? { Some(from.bytes()?.to_vec()) } else { None };
        let flags = Flags {
            parked: from.bool()?,
            held: from.bool()?,
            reset_asked: from.bool()?,
            person_awaited: from.bool()?,
            busy_seen: from.bool()?,
            resync: from.bool()?,
            swallow: from.bool()?,
        };
        let narrowing = Narrowing::unpack(from)?;
        let exact_acks = from.u32()?;
        let stats = Stats::unpack(from)?;
        Some(Self {
            phase,
            turn,
            window,
            read_to,
            scripts,
            modal,
            heat,
            hot_ends,
            broken,
            flags,
            narrowing,
            exact_acks,
            has_written,
            stats,
        })
    }

    /// Whether a job or a script was under way.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.phase != CarriedPhase::Stopped && self.turn != Turn::Idle
    }

    /// How much of the job counts as acknowledged.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.window.progress
    }

    /// Where the job is read on: behind its last line that was framed.
    #[must_use]
    pub fn read_to(&self) -> Position {
        self.read_to
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// First and last line of the job that were on their way.
    #[must_use]
    pub fn in_flight(&self) -> Option<(Position, Position)> {
        let mut places = self.window.in_flight().filter_map(|line| match line.source {
            Source::Job(position) => Some(position),
            _ => None,
        });
        let first = places.next()?;
        Some((first, places.last().unwrap_or(first)))
    }
}

impl Streamer {
    /// Writes down what another process needs to go on.
    pub fn pack(&self, to: &mut Pack<'_>) {
        to.u8(match self.phase {
            Phase::Streaming(Mend::Flowing) => 0,
            Phase::Streaming(Mend::Alone { .. }) => 7,
            Phase::Streaming(Mend::Resuming(Resuming { quiet: false, counted: true, .. })) => 0,
            Phase::Streaming(
                Mend::Probing { counted: false, .. }
                | Mend::Resuming(Resuming { counted: false, .. })
                | Mend::Settling { then: Then::Probe, .. },
            ) => 6,
            Phase::Streaming(Mend::Settling { .. } | Mend::Probing { .. } | Mend::Resuming(_)) => 1,
            Phase::Syncing(Sync { step: SyncStep::Barrier, .. }) => 3,
            Phase::Syncing(_) => 2,
            Phase::Streaming(Mend::InDoubt) => 4,
            Phase::Stopped(_) => 5,
        });
        if let Phase::Streaming(Mend::Alone { number }) = self.phase {
            to.u32(number);
        }
        to.u8(turn_tag(self.turn));
        self.window.pack(to);
        to.position(self.read_to);
        // More lines than are taken over do not happen; if they did, nothing would be.
        to.u8(u8::try_from(self.scripts.len().min(SCRIPT_LINES_MAX + 1)).unwrap_or(u8::MAX));
        self.scripts.iter().take(SCRIPT_LINES_MAX + 1).for_each(|line| to.bytes(line));
        self.modal.pack(to);
        to.bool(self.heat.is_some());
        if let Some(heat) = &self.heat {
            heat.pack(to);
        }
        to.u32(u32::try_from(self.hot_ends).unwrap_or(1));
        to.bool(self.cut.broken().is_some());
        if let Some(broken) = self.cut.broken() {
            to.bytes(broken);
        }
        let flags = [
            self.parked,
            self.held,
            self.reset_asked,
            self.awaited.is_person(),
            self.watch.busy_seen(),
            self.resync,
            self.swallow,
        ];
        flags.into_iter().for_each(|flag| to.bool(flag));
        self.narrowing.pack(to);
        to.u32(self.exact_acks);
        self.stats.pack(to);
    }

    /// Whether another process could go on with what is under way.
    #[must_use]
    pub fn outlives(&self) -> bool {
        self.options.verified && !matches!(self.phase, Phase::Stopped(_)) && self.turn != Turn::Idle
    }

    /// How lines are numbered just now, and the number that the next line gets.
    #[must_use]
    pub fn numbering(&self) -> (u32, u32) {
        (self.window.numbering(), self.window.next_number())
    }

    /// Writes down one line that was framed; false when it is no longer known.
    pub fn pack_line(&self, number: u32, to: &mut Pack<'_>) -> bool {
        let Some(line) = self.window.line(number) else { return false };
        line.pack(to);
        true
    }

    /// Bytes of a reply whose end has not come yet.
    #[must_use]
    pub fn unfinished_bytes(&self) -> usize {
        self.parser.as_ref().map_or(0, crate::reply::ReplyParser::unfinished_bytes)
    }

    /// Goes on with a conversation that another process began, on the same line. What that process had not handled of the
    /// printer's words is to be handed in next. `is_whole` says whether no reply can have been lost in between.
    ///
    /// # Errors
    /// There is nothing to go on with, or nobody can tell which lines the firmware has.
    pub fn take_over(
        options: StreamOptions,
        now: Moment,
        carried: Carried,
        is_whole: bool,
    ) -> Result<Self, Unfit> {
        if !carried.is_live() {
            return Err(Unfit::Idle);
        }
        if !options.verified || carried.phase == CarriedPhase::InDoubt {
            return Err(Unfit::Unverified);
        }
        if carried.scripts.len() > SCRIPT_LINES_MAX {
            return Err(Unfit::Incomplete);
        }
        let has_written = carried.has_written;
        let mut streamer = Self::new(options, now);
        streamer.narrowing = carried.narrowing;
        let reach = streamer.narrowing.reach();
        streamer.window = Window::take_over(carried.window, reach, streamer.options.history_lines)
            .ok_or(Unfit::Incomplete)?;
        streamer.highest_sent = streamer.window.next_number() - 1;
        streamer.query_out = streamer.window.in_flight().any(|line| line.source == Source::Query);
        streamer.turn = carried.turn;
        streamer.read_to = carried.read_to;
        streamer.scripts = carried.scripts.into();
        streamer.modal = carried.modal;
        streamer.heat = carried.heat;
        streamer.hot_ends = carried.hot_ends.max(streamer.hot_ends);
        streamer.cut.restore(carried.broken);
        let flags = carried.flags;
        (streamer.parked, streamer.held, streamer.reset_asked) =
            (flags.parked, flags.held, flags.reset_asked);
        streamer.awaited.restore(flags.person_awaited);
        streamer.watch.restore(flags.busy_seen);
        (streamer.resync, streamer.swallow) = (flags.resync, flags.swallow);
        streamer.exact_acks = carried.exact_acks;
        streamer.stats = carried.stats;
        streamer.stats.takeovers += 1;
        if let CarriedPhase::Streaming { alone, .. } = carried.phase {
            streamer.alone_before = alone;
        }
        streamer.phase = streamer.resumed(now, carried.phase, is_whole, has_written);
        Ok(streamer)
    }

    /// Asks the firmware where it stands as soon as the question has room behind what is on its way: a question that is cut
    /// gets no answer. All acknowledgements so far are counted, so room comes with those that are still to come; only lines
    /// that the other process wrote down and did not send are never acknowledged.
    pub(super) fn plan_resuming(&mut self, now: Moment, resuming: Resuming) -> Option<Moment> {
        let Resuming { from, until, .. } = resuming;
        if now < from {
            return Some(from);
        }
        if now < until && !self.window.has_ring_room(PROBE.len()) {
            return Some(until);
        }
        self.probe_where_it_stands(now, resuming.counted);
        Some(now)
    }

    /// The verdict on what a process that has died had sent. The lines below are in the firmware, and those among them that are
    /// not acknowledged will be; the line itself goes at once, and nothing behind it before its own acknowledgement.
    pub(super) fn go_on_from(&mut self, now: Moment, number: u32, sure: bool) {
        self.window.rewind(number, sure);
        self.query_out = self.window.in_flight().any(|line| line.source == Source::Query);
        self.mend(Mend::Settling { until: now, then: Then::SendAlone });
        self.counted_alone = true;
    }

    /// Where the new process stands. A verdict that the old one asked for, or a request that it has seen, has a while to come:
    /// a second probe on top of it would be answered as well.
    fn resumed(&self, now: Moment, phase: CarriedPhase, is_whole: bool, has_written: bool) -> Phase {
        let settle = now + self.options.waits.settle;
        match phase {
            CarriedPhase::Syncing { at_barrier: true } if is_whole => {
                Phase::Syncing(Sync { step: SyncStep::Barrier, tries: 0 })
            }
            CarriedPhase::Syncing { .. } => {
                Phase::Syncing(Sync { step: SyncStep::Quiet { until: settle }, tries: 0 })
            }
            CarriedPhase::Streaming { .. }
            | CarriedPhase::Uncounted
            | CarriedPhase::InDoubt
            | CarriedPhase::Stopped => {
                let counted = is_whole && phase != CarriedPhase::Uncounted;
                let flowed = matches!(phase, CarriedPhase::Streaming { was_mending: false, .. });
                let quiet = !counted || !flowed;
                let waits = &self.options.waits;
                let patience = if has_written && counted { waits.silence } else { waits.settle * 4 };
                let from = if quiet { settle } else { now };
                Phase::Streaming(Mend::Resuming(Resuming { from, until: now + patience, quiet, counted }))
            }
        }
    }
}

impl Sent {
    fn pack(&self, to: &mut Pack<'_>) {
        let position = match self.source {
            Source::Job(position) => {
                to.u8(0);
                position
            }
            Source::Script => {
                to.u8(1);
                Position::default()
            }
            Source::Query => {
                to.u8(2);
                Position::default()
            }
            // Whoever sent it is told that the agent went away; nobody waits for its answer any more.
            Source::Aside => {
                to.u8(1);
                Position::default()
            }
        };
        to.position(position);
        to.u8(match self.pace {
            Pace::Quick => 0,
            Pace::Blocking => 1,
            Pace::Heating => 2,
            Pace::Person => 3,
        });
        to.duration(self.lasts);
        to.bytes(&self.frame);
    }

    pub(super) fn unpack(from: &mut Unpack<'_>) -> Option<Self> {
        let source = from.u8()?;
        let position = from.position()?;
        let source = match source {
            0 => Source::Job(position),
            1 => Source::Script,
            2 => Source::Query,
            _ => return None,
        };
        let pace = match from.u8()? {
            0 => Pace::Quick,
            1 => Pace::Blocking,
            2 => Pace::Heating,
            3 => Pace::Person,
            _ => return None,
        };
        let lasts: Duration = from.duration()?;
        Some(Self { frame: from.bytes()?.to_vec(), source, pace, lasts, sent_at: Moment::ZERO })
    }
}

const TURNS: [Turn; 8] = [
    Turn::Idle,
    Turn::Running,
    Turn::Pausing,
    Turn::Parking,
    Turn::Paused,
    Turn::Ending(Ending::Completed),
    Turn::Ending(Ending::Cancelled),
    Turn::Ending(Ending::Script),
];

fn turn_tag(turn: Turn) -> u8 {
    TURNS.iter().position(|&known| known == turn).expect("every turn is in the table") as u8
}

fn turn(tag: u8) -> Option<Turn> {
    TURNS.get(usize::from(tag)).copied()
}
