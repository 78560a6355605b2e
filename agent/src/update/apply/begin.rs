//! What has to hold before anything is changed: it is allowed and in its window, there is a way back, and nobody prints.

use std::time::Duration;

use spoolway_agent_core::update::AGAIN;
use spoolway_protocol::Fault;
use spoolway_protocol::event::UpdateWord;

use super::super::Verdict;
use super::super::machine::{Machine, Said, Seat};
use super::super::order::Order;
use super::Updater;
use super::well::before;
use crate::local::words::UpdateAction;

/// Why nothing is begun.
pub(super) enum Halt {
    /// For good.
    Over(Box<Verdict>),
    /// For now: the agent asks again.
    NotNow(String),
}

impl Halt {
    fn over(word: Verdict) -> Self {
        Self::Over(Box::new(word))
    }
}

impl<M: Machine> Updater<'_, M> {
    /// Chooses a version and has both packages here, so that going back needs no network.
    pub(super) fn prepare(&self, order: &mut Order) -> Result<(), Halt> {
        let id = order.request.id;
        let refused = |fault: Fault, text: String| {
            Halt::over(Verdict::new(id, UpdateWord::Refused).because(fault, text))
        };
        let seats = self.machine.seats();
        // The one that has asked is among them, whether it runs by now or not.
        let has_a_say = |seat: &&Seat| seat.state == order.state || self.machine.health(seat).is_some();
        if let Some(seat) = seats.iter().filter(has_a_say).find(|seat| !seat.allows) {
            return Err(refused(Fault::UpdateNotAllowed, format!("{} does not allow it", seat.unit)));
        }
        self.in_time(order)?;
        let Some(from) = self.machine.installed() else {
            let text = "the package is not installed, or only in part: see dpkg --audit".to_owned();
            return Err(refused(Fault::UpdateNoWayBack, text));
        };
        let stale = self.machine.refresh().err();
        let complaint = stale.as_ref().map_or_else(String::new, |said| format!(" ({said})"));
        // What apt knows may be of yesterday then, and the next time it may know better.
        let is_last = self.machine.unix_ms().saturating_add(millis(AGAIN)) > order.request.not_after;
        let of_what_is_known = |halt| match &stale {
            Some(said) if !is_last => Halt::NotNow(said.clone()),
            _ => halt,
        };
        let Some(to) = order.request.version.clone().or_else(|| self.machine.newest()) else {
            let text = format!("the sources have no version{complaint}");
            return Err(of_what_is_known(refused(Fault::UpdateNotFound, text)));
        };
        order.from = Some(from.clone());
        order.to = Some(to.clone());
        let unchanged = Verdict::new(id, UpdateWord::Unchanged);
        if order.request.version.is_none() && !self.machine.is_newer(&to, &from) {
            return Err(of_what_is_known(Halt::over(Verdict { text: stale.clone(), ..unchanged })));
        }
        if to == from {
            return Err(Halt::over(unchanged));
        }
        if !self.machine.is_newer(&to, &from) {
            return Err(refused(
                Fault::UpdateOlder,
                format!("{to} is older than {from}, which is installed"),
            ));
        }
        let cache = &self.places.cache;
        let new = self.machine.fetch(&to, cache);
        let not_found = |said| of_what_is_known(refused(Fault::UpdateNotFound, format!("{said}{complaint}")));
        order.new = Some(new.map_err(not_found)?);
        let old = self.machine.fetch(&from, cache);
        order.old = Some(old.map_err(|said| refused(Fault::UpdateNoWayBack, said))?);
        self.machine.stay().map_err(|said| refused(Fault::UpdateNoWayBack, said))?;
        order.before =
            seats.iter().filter_map(|seat| Some(before(seat, &self.machine.health(seat)?))).collect();
        Ok(())
    }

    /// Nothing is begun behind the window.
    pub(super) fn in_time(&self, order: &Order) -> Result<(), Halt> {
        if self.machine.unix_ms() <= order.request.not_after {
            return Ok(());
        }
        Err(Halt::over(Verdict::new(order.request.id, UpdateWord::Expired)))
    }

    /// Asks every agent of the machine, because the package is that of all; the one that wishes it comes last.
    pub(super) fn let_in(&self, order: &Order) -> Result<(), Halt> {
        let id = order.request.id;
        let mut seats = self.machine.seats();
        seats.sort_by_key(|seat| seat.state == order.state);
        for seat in seats {
            let own = seat.state == order.state;
            match self.machine.ask(&seat, UpdateAction::LetIn { id, own }) {
                Said::Yes | Said::Away => {}
                Said::No { code, text } if code == Fault::UpdateNotAllowed.code() => {
                    let word = Verdict::new(id, UpdateWord::Refused);
                    return Err(Halt::over(
                        word.because(Fault::UpdateNotAllowed, format!("{}: {text}", seat.unit)),
                    ));
                }
                Said::No { text, .. } | Said::Nothing(text) => {
                    return Err(Halt::NotNow(format!("{}: {text}", seat.unit)));
                }
            }
        }
        Ok(())
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
