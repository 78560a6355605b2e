//! Cuts short what the machine is doing, where its firmware listens while it is busy (Marlin `e_parser.h`).
//!
//! A job that is given up is not waited for: planned moves are dropped, and a wait for a heater or a person ends. A pause
//! breaks the wait for a heater only; the same wait begins anew when the job goes on, so that nothing is printed cold.
//!
//! What breaks a wait goes ahead of every line, so it can come before the wait has begun, which then begins all the same:
//! it is said again until the wait is acknowledged. It carries no number, and the firmware may acknowledge it or not, so
//! the lines behind a pause wait until numbering has begun anew.

use std::time::Duration;

use crate::Moment;

use super::Streamer;
use super::brake::Brake;
use super::event::Ending;
use super::history::Pace;
use super::state::Turn;

/// Time between two attempts to break the same wait.
const AGAIN: Duration = Duration::from_secs(1);

/// A wait that is being cut short, and one that was.
#[derive(Debug, Default)]
pub(super) struct Cut {
    /// Number of the line that is being cut short, and when it is tried again.
    under_way: Option<(u32, Moment)>,
    /// What a pause cut short.
    broken: Option<Vec<u8>>,
    /// The machine is being stopped for good.
    pub(super) brake: Brake,
    /// When it was asked where the machine is, because a line has waited for too long.
    pub(super) inquired: Option<Moment>,
}

impl Cut {
    /// What a pause cut short, if it did.
    pub(super) fn broken(&self) -> Option<&[u8]> {
        self.broken.as_deref()
    }

    /// What the pause of another process cut short.
    pub(super) fn restore(&mut self, broken: Option<Vec<u8>>) {
        *self = Self { broken, ..Self::default() };
    }

    /// The wait that has to be done anew before a job goes on.
    pub(super) fn take_broken(&mut self) -> Option<Vec<u8>> {
        self.broken.take()
    }
}

impl Streamer {
    /// Planned moves are dropped, ahead of every line that waits. A wait that stands behind them is broken by
    /// [`Streamer::plan_cut`].
    pub(super) fn drop_moves(&mut self) {
        if self.window.oldest().is_some_and(|line| line.pace.blocks()) {
            return;
        }
        if let Some(signal) = &self.options.quick_stop {
            signal.write(&mut self.out, &self.options.framing.prefix);
        }
    }

    /// Breaks the wait that a pause or the end of the job has come upon; gives the time to try again.
    pub(super) fn plan_cut(&mut self, now: Moment) -> Option<Moment> {
        let signal = self.options.break_wait.as_ref()?;
        let pausing = match self.turn {
            Turn::Pausing => true,
            Turn::Ending(Ending::Cancelled) => false,
            _ => return None,
        };
        // Nothing follows a line that blocks, so it is the last one.
        let (number, line) = self.window.newest()?;
        match line.pace {
            Pace::Heating => {}
            Pace::Person if !pausing => {}
            _ => return None,
        }
        let again = self.cut.under_way.filter(|(cut, _)| *cut == number).map(|(_, at)| at);
        if let Some(at) = again.filter(|at| now < *at) {
            return Some(at);
        }
        if pausing {
            self.cut.broken = Some(self.options.framing.command(&line.frame).to_vec());
        }
        signal.write(&mut self.out, &self.options.framing.prefix);
        self.cut.under_way = Some((number, now + AGAIN));
        if pausing {
            self.request_resync();
        }
        Some(now + AGAIN)
    }
}
