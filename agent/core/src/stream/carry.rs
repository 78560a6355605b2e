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
use super::reach::Narrowing;
use super::state::{Mend, Phase, Resuming, Sync, SyncStep, Then, Turn};
use super::window::{CarriedWindow, Progress};
use super::{Stats, Streamer};

/// Lines of a script that are taken over at most.
pub(super) const SCRIPT_LINES_MAX: usize = 64;

/// A conversation as it was written down.
#[derive(Debug)]
pub struct Carried {
    pub(super) phase: CarriedPhase,
    pub(super) turn: Turn,
    pub(super) window: CarriedWindow,
    pub(super) read_to: Position,
    pub(super) scripts: Vec<Vec<u8>>,
    pub(super) modal: Modal,
    pub(super) heat: Option<HeatWait>,
    pub(super) hot_ends: usize,
    pub(super) broken: Option<Vec<u8>>,
    pub(super) flags: Flags,
    pub(super) narrowing: Narrowing,
    pub(super) exact_acks: u32,
    pub(super) has_written: bool,
    pub(super) stats: Stats,
}

/// Whether the counter was ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CarriedPhase {
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
pub(super) struct Flags {
    pub(super) parked: bool,
    pub(super) held: bool,
    pub(super) reset_asked: bool,
    pub(super) person_awaited: bool,
    pub(super) busy_seen: bool,
    pub(super) resync: bool,
    pub(super) swallow: bool,
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
