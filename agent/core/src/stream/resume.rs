//! Goes on with a conversation that another process has begun: takes over what it wrote down, asks the firmware where it
//! stands, and sends the line that it expects.

use std::time::Duration;

use crate::Moment;

use super::carry::{Carried, CarriedPhase, SCRIPT_LINES_MAX};
use super::history::Source;
use super::plan::PROBE;
use super::state::{Mend, Phase, Resuming, Sync, SyncStep, Then};
use super::window::Window;
use super::{StreamOptions, Streamer};

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

impl Streamer {
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

    /// How long replies to the process before have to be quiet. Where every acknowledgement is counted an answer that comes
    /// later does no harm: it names the line that is expected anyway. An agent that is killed again and again has to get on.
    pub(super) fn quiet_of(&self, resuming: Resuming) -> Duration {
        if resuming.counted { self.options.waits.settle / 4 } else { self.options.waits.settle }
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
                let until = now + patience;
                let mut resuming = Resuming { from: now, until, quiet, counted };
                if quiet {
                    resuming.from = now + self.quiet_of(resuming);
                }
                Phase::Streaming(Mend::Resuming(resuming))
            }
        }
    }
}
