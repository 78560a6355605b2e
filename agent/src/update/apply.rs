//! Installs what an agent has asked for, as root, and goes back when the new version is not well.
//!
//! ```text
//!  request ─► Fetching ─────────► Installing ─────────► installed
//!             both packages are    │ not well
//!             here, nobody prints  └─► GoingBack ──────► rolled back
//! ```
//!
//! The step is written down before it is begun. A run that finds one goes on with it: what was being fetched is fetched again, what was
//! being installed is brought to its end and judged, and what was going back goes back once more.

mod begin;
mod well;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use spoolway_protocol::Fault;
use spoolway_protocol::event::UpdateWord;

use super::machine::{Machine, Said, Seat};
use super::order::{BROKEN, Order, Step};
use super::{Found, Request, Verdict, judge, verdict};
use crate::local::words::UpdateAction;
use begin::Halt;
pub(super) use well::RESTARTS;

/// How long a print is left alone that has begun before the way back.
const PRINT: Duration = Duration::from_secs(30);

/// Why an updater could not go on; what it has in hand waits for the next run.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It has no rights.
    #[error("packages are installed by root only")]
    NotRoot,
    /// Its own files cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Where the updater keeps its things.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// What is in hand.
    pub(super) state: PathBuf,
    /// Packages.
    pub(super) cache: PathBuf,
}

/// An updater at work.
pub(super) struct Updater<'a, M> {
    pub(super) machine: &'a M,
    pub(super) places: Places,
}

impl<M: Machine> Updater<'_, M> {
    /// Goes on with what was left, then takes what has been asked for, one after the other.
    pub(super) fn work(&self) -> Result<(), ApplyError> {
        match Order::left(&self.places.state) {
            Ok(None) => {}
            Ok(Some(order)) => {
                self.machine.say("goes on with an update that was broken off");
                if is_judged(&order.state, &order.request) {
                    self.close(&order)?;
                } else {
                    self.carry_out(order)?;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.give_up_what_is_broken(&error)?
            }
            Err(error) => return Err(self.failed()(error)),
        }
        for seat in self.machine.seats() {
            let Some(found) = Found::look(&seat.state) else { continue };
            match &found.request {
                Err(why) => self.machine.say(&format!("{}: a request is not taken: {why}", seat.unit)),
                Ok(request) if is_judged(&seat.state, request) => {}
                Ok(request) => {
                    let order = Order::new(&seat.state, request.clone());
                    order.put(&self.places.state).map_err(self.failed())?;
                    self.machine.say(&format!("{} asks for {}", seat.unit, wished(request)));
                    found.remove().map_err(self.failed())?;
                    self.carry_out(order)?;
                    continue;
                }
            }
            found.remove().map_err(self.failed())?;
        }
        Ok(())
    }

    fn carry_out(&self, mut order: Order) -> Result<(), ApplyError> {
        if order.step == Step::Fetching {
            let ready = self.prepare(&mut order).and_then(|()| self.let_in(&order));
            // Fetching may have taken long.
            match ready.and_then(|()| self.in_time(&order)) {
                Ok(()) => {}
                Err(Halt::Over(word)) => return self.end(&order, *word),
                Err(Halt::NotNow(why)) => {
                    self.machine.say(&format!("not now: {why}"));
                    self.let_out(&order, true);
                    return self.drop_order();
                }
            }
            self.begin(&mut order, Step::Installing)?;
            order.why = order.new.as_deref().and_then(|package| self.machine.install(package).err());
        } else {
            self.wait_for_prints(&order);
            self.machine.repair();
        }
        if order.step == Step::Installing {
            match self.judge_new(&order) {
                Ok(word) => return self.end(&order, word),
                Err(why) => order.why = Some(why),
            }
            self.begin(&mut order, Step::GoingBack)?;
        }
        self.go_back(&order)
    }

    /// Jobs may start again. An agent that cannot be told lets them start after a while.
    fn let_out(&self, order: &Order, again: bool) {
        let id = order.request.id;
        for seat in self.machine.seats() {
            let _ = self.machine.ask(&seat, UpdateAction::LetOut { id, again });
        }
    }

    fn begin(&self, order: &mut Order, step: Step) -> Result<(), ApplyError> {
        order.step = step;
        order.put(&self.places.state).map_err(self.failed())?;
        self.machine.say(match step {
            Step::Fetching => "fetches",
            Step::Installing => "installs the chosen version",
            Step::GoingBack => "goes back to the version from before",
        });
        Ok(())
    }

    /// What is to be said of the version that is installed now; why it is not to stay.
    fn judge_new(&self, order: &Order) -> Result<Verdict, String> {
        let id = order.request.id;
        if let Some(word) = self.by_hand(order) {
            return Ok(word);
        }
        let is = self.machine.installed();
        if is.is_none() {
            return Err(installed_words(None));
        }
        if let Some(why) = order.why.clone().filter(|_| is == order.to) {
            return Err(why);
        }
        // The package has had them counted anew.
        let well = self.wait_until_well(order, Some(0));
        if let Some(word) = self.by_hand(order) {
            return Ok(word);
        }
        well?;
        if is == order.to {
            return Ok(Verdict::new(id, UpdateWord::Installed));
        }
        let text =
            order.why.clone().unwrap_or_else(|| "it was broken off before anything was changed".to_owned());
        Ok(Verdict::new(id, UpdateWord::Refused).because(Fault::UpdateNotInstalled, text))
    }

    /// What somebody at the machine has done meanwhile stays: another version, or none.
    fn by_hand(&self, order: &Order) -> Option<Verdict> {
        let text = match self.machine.installed() {
            Some(is) if order.from.as_ref() != Some(&is) && order.to.as_ref() != Some(&is) => {
                format!("somebody has installed {is} meanwhile")
            }
            None if !self.machine.is_wanted() => "somebody has removed the package meanwhile".to_owned(),
            _ => return None,
        };
        let word = Verdict::new(order.request.id, UpdateWord::Cancelled);
        Some(Verdict { text: Some(text), ..word })
    }

    fn go_back(&self, order: &Order) -> Result<(), ApplyError> {
        self.wait_for_prints(order);
        if let Some(word) = self.by_hand(order) {
            return self.end(order, word);
        }
        let why = order.why.clone().unwrap_or_default();
        let back = order.old.as_deref().map_or(Ok(()), |package| self.machine.install(package));
        let well = back.and_then(|()| self.wait_until_well(order, None)).and_then(|()| {
            match self.machine.installed() {
                is if is == order.from => Ok(()),
                is => Err(installed_words(is.as_deref())),
            }
        });
        let word = match well {
            Ok(()) => {
                Verdict::new(order.request.id, UpdateWord::RolledBack).because(Fault::UpdateUnhealthy, why)
            }
            Err(also) => {
                let text = format!("{why}; and going back: {also}");
                Verdict::new(order.request.id, UpdateWord::Failed).because(Fault::UpdateUnhealthy, text)
            }
        };
        self.end(order, word)
    }

    /// Whoever could not wait for this updater prints by now, and is let. An agent that gives no answer is what is being mended.
    fn wait_for_prints(&self, order: &Order) {
        let id = order.request.id;
        let busy = |seat: &Seat| match self.machine.ask(seat, UpdateAction::LetIn { id, own: false }) {
            Said::No { code, text } if code == Fault::Busy.code() => Some(format!("{}: {text}", seat.unit)),
            _ => None,
        };
        while let Some(why) = self.machine.seats().iter().find_map(busy) {
            self.machine.say(&format!("waits before it goes on: {why}"));
            self.machine.wait(PRINT);
        }
    }

    /// Leaves the verdict, then lets go of the order.
    fn end(&self, order: &Order, word: Verdict) -> Result<(), ApplyError> {
        let word = Verdict { from: order.from.clone(), to: order.to.clone(), ..word };
        let text = word.text.as_deref().unwrap_or_default();
        self.machine.say(&format!("{}: {} {text}", wished(&order.request), word.state));
        judge(&order.state, &word).map_err(self.failed())?;
        if word.state == UpdateWord::Installed {
            self.drop_package(order.old.as_deref());
        } else {
            self.drop_package(order.new.as_deref());
        }
        self.close(order)
    }

    /// Its verdict is there: jobs may start.
    fn close(&self, order: &Order) -> Result<(), ApplyError> {
        self.let_out(order, false);
        self.drop_order()
    }

    fn drop_order(&self) -> Result<(), ApplyError> {
        Order::drop_from(&self.places.state).map_err(self.failed())?;
        self.machine.leave();
        Ok(())
    }

    /// Nobody knows any more what was in hand, nor whose wish it was; its agent says in time that it hears nothing of it. The next wish is
    /// not held up by that.
    fn give_up_what_is_broken(&self, error: &io::Error) -> Result<(), ApplyError> {
        Order::set_aside(&self.places.state).map_err(self.failed())?;
        let text = error.to_string();
        let text = text.lines().next().unwrap_or_default();
        self.machine.say(&format!("what was in hand cannot be read, and is set aside as {BROKEN}: {text}"));
        self.machine.repair();
        self.machine.leave();
        Ok(())
    }

    /// Only the package of the version that stays is kept: the next update goes back to it.
    fn drop_package(&self, package: Option<&Path>) {
        if let Some(package) = package {
            // One that stays takes some megabytes and is in nobody's way.
            let _ = std::fs::remove_file(package);
        }
    }

    fn failed(&self) -> impl FnOnce(io::Error) -> ApplyError {
        let path = self.places.state.clone();
        move |source| ApplyError::Io { path, source }
    }
}

/// An agent that has not heard the verdict yet asks again, and an updater may have been killed right behind it.
fn is_judged(state: &Path, request: &Request) -> bool {
    verdict(state).is_some_and(|last| last.id == request.id)
}

fn installed_words(version: Option<&str>) -> String {
    format!("dpkg says that {} is installed", version.unwrap_or("no version, or one in part,"))
}

fn wished(request: &Request) -> String {
    request
        .version
        .as_deref()
        .map_or_else(|| "the newest version".to_owned(), |version| format!("version {version}"))
}

#[cfg(test)]
mod tests;
