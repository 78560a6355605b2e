//! When a version is well: every agent does no worse with it than before, for a while.

use std::time::Duration;

use super::super::machine::{Before, Health, Machine, Seat};
use super::super::order::Order;
use super::Updater;

/// How long a version has until it is well. No look is begun later; one takes as long as agents have to answer.
pub(super) const UNTIL_WELL: Duration = Duration::from_secs(120);
/// For so many looks, one after the other, it has to be well.
const WELL: u32 = 10;
pub(super) const BETWEEN: Duration = Duration::from_secs(1);
/// A version that ends so often by itself is not waited for any longer.
pub(in crate::update) const RESTARTS: u32 = 5;

impl<M: Machine> Updater<'_, M> {
    /// Every agent that ran before runs what is installed, and does no worse, for a while. They may have been started again so often
    /// already (`before`); as often as the first look finds, where that says nothing.
    pub(super) fn wait_until_well(&self, order: &Order, before: Option<u32>) -> Result<(), String> {
        let seats = self.machine.seats();
        let watched: Vec<_> = order
            .before
            .iter()
            .filter_map(|before| Some((seats.iter().find(|seat| seat.unit == before.unit)?, before)))
            .collect();
        let (mut well_for, mut pids, mut first) = (0, Vec::new(), before);
        let mut lacks = String::new();
        let until = self.machine.since_boot() + UNTIL_WELL;
        while self.machine.since_boot() < until {
            let now: Vec<_> =
                watched.iter().map(|(seat, before)| (look(self.machine, seat), *before)).collect();
            let restarts: u32 = now.iter().map(|(health, _)| health.restarts).sum();
            let first = *first.get_or_insert(restarts);
            lacks = now.iter().find_map(|(health, before)| worse(health, before)).unwrap_or_default();
            let seen: Vec<_> = now.iter().map(|(health, _)| health.pid).collect();
            well_for = if lacks.is_empty() && (pids == seen || well_for == 0) { well_for + 1 } else { 0 };
            pids = seen;
            if well_for >= WELL {
                return Ok(());
            }
            if !lacks.is_empty() && restarts.saturating_sub(first) >= RESTARTS {
                return Err(format!("it ends again and again: {lacks}"));
            }
            self.machine.wait(BETWEEN);
        }
        Err(if lacks.is_empty() { "it does not stay up".to_owned() } else { lacks })
    }
}

fn look(machine: &impl Machine, seat: &Seat) -> Health {
    let gone = || Health {
        pid: None,
        restarts: 0,
        linked: false,
        printer: false,
        lacks: format!("{} does not run", seat.unit),
    };
    machine.health(seat).unwrap_or_else(gone)
}

pub(super) fn before(seat: &Seat, health: &Health) -> Before {
    Before { unit: seat.unit.clone(), linked: health.linked, printer: health.printer }
}

/// What an agent lacks that it had.
fn worse(health: &Health, before: &Before) -> Option<String> {
    let unit = &before.unit;
    match () {
        () if health.pid.is_none() => Some(health.lacks.clone()),
        () if before.linked && !health.linked => {
            Some(format!("{unit} has no session with its relay any more"))
        }
        () if before.printer && !health.printer => {
            Some(format!("{unit} does not reach its printer any more"))
        }
        () => None,
    }
}
