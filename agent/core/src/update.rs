//! A wished update of the agent: kept until its time has come and nothing is printed, asked for, and told of once.
//!
//! Nothing is installed here. What is asked for is taken up by an updater with rights of its own, which asks before it touches anything
//! whether it may: from that moment on no job starts until it has given its word, or its time is over.
//!
//! ```text
//!  none ──wished──► Waiting ──window open, printer free──► Asked ──updater may──► Installing ──its word──► none
//!                      ▲ └───── window over: expired ──► none │                        │
//!                      └──── another agent prints ◄───────────┴────────────────────────┘
//! ```
//!
//! Each step is a value: it holds once its caller has written it down together with what is told of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use spoolway_protocol::event::UpdateWord;
use spoolway_protocol::{BootId, CmdId};

use crate::moment::Moment;

/// No job starts for so long after an updater was let, unless it asks again.
pub const HOLD: Duration = Duration::from_secs(15 * 60);
/// So long after an updater found another agent of the machine at work it is asked anew.
pub const AGAIN: Duration = Duration::from_secs(5 * 60);
/// An updater may give its word so long after the window; and so long after it was asked, heard or may have begun anew, whatever the wall
/// clock says. Then nobody is waited for any more.
pub const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// Longest version, in characters.
pub const VERSION_CHARS: usize = 64;

/// Whether a text may be a version of a Debian package (deb-version(7)): it begins with a digit, and no character of it means anything
/// to a program that it is handed to.
#[must_use]
pub fn is_version(text: &str) -> bool {
    let is_lawful = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'~' | b'-' | b':');
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.len() <= VERSION_CHARS
        && text.bytes().all(is_lawful)
}

/// What is wished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The command that wished it.
    pub id: CmdId,
    /// The version; none for the newest.
    pub version: Option<String>,
    /// Not before, in unix ms.
    pub not_before: Option<u64>,
    /// Not begun after, in unix ms.
    pub not_after: u64,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// For its window, and for the printer.
    Waiting,
    /// An updater is asked, and may be fetching the package.
    Asked,
    /// An updater was let, and has not given its word.
    Installing,
}

/// No job starts until then, on the clock of one boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Hold {
    boot: BootId,
    until_ms: u64,
    /// The wish that is carried out, of this agent or of another one.
    #[serde(default)]
    of: Option<CmdId>,
}

/// The machine; what is kept of it outlives the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    order: Option<(Order, Stage)>,
    hold: Option<Hold>,
    #[serde(skip)]
    again_at: Moment,
    /// When its updater was asked or heard last, or was begun anew with this process.
    #[serde(skip)]
    heard_at: Moment,
}

/// The clocks, as they stand.
#[derive(Debug, Clone, Copy)]
pub struct Now<'a> {
    /// Of this boot.
    pub at: Moment,
    /// Which boot that is.
    pub boot: &'a BootId,
    /// The wall clock in ms, where it may be trusted.
    pub unix_ms: Option<u64>,
}

/// What the caller does once a step is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// An updater is to be asked for this.
    Ask(Order),
    /// It is not to be asked any more, if it has not begun.
    Withdraw,
}

/// From one state to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What then holds.
    pub next: Update,
    /// What is told of an order in the same transaction.
    pub told: Option<(Order, UpdateWord)>,
    /// What is done afterwards.
    pub deed: Option<Deed>,
}

/// Why something is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The version is none.
    #[error(
        "the version is not one of a Debian package: 1 to 64 of letters, digits and .+~-:, the first a digit"
    )]
    Version,
    /// The window ends before it begins, or has ended.
    #[error("the window is over before it begins: not_after has to be later than not_before, and than now")]
    Window,
    /// It is being installed.
    #[error("an update is being installed")]
    UnderWay,
    /// There is none.
    #[error("no update is wished")]
    Nothing,
    /// It is another one that is wished.
    #[error("this update is not wished any more")]
    Withdrawn,
}

impl Update {
    /// What an earlier process has left. After another boot an updater that had been let gets its time anew: it goes on as well. One that was
    /// asked is asked again, because nobody knows whether it was; and what is not wished any more is not asked for, for the same reason.
    #[must_use]
    pub fn restored(mut self, now: Now<'_>) -> (Self, Option<Deed>) {
        if let Some(hold) = self.hold.as_mut().filter(|hold| hold.boot != *now.boot) {
            *hold = Hold { of: hold.of, ..Hold::from(now) };
        }
        self.heard_at = now.at;
        let deed = match &self.order {
            Some((order, Stage::Asked)) => Some(Deed::Ask(order.clone())),
            Some((_, Stage::Installing)) => None,
            Some((_, Stage::Waiting)) | None => Some(Deed::Withdraw),
        };
        (self, deed)
    }

    /// What is wished, and how far it is.
    #[must_use]
    pub fn order(&self) -> Option<(&Order, Stage)> {
        self.order.as_ref().map(|(order, stage)| (order, *stage))
    }

    /// Whether something is still to be done, after some time.
    #[must_use]
    pub fn still_wants(&self, deed: &Deed) -> bool {
        match deed {
            Deed::Ask(order) => self.order() == Some((order, Stage::Asked)),
            Deed::Withdraw => !self.is_asked(),
        }
    }

    /// Whether an updater may have given its word.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.order().is_some_and(|(_, stage)| stage != Stage::Waiting)
    }

    /// How long no job starts; nothing when jobs may.
    #[must_use]
    pub fn held_for(&self, now: Now<'_>) -> Option<Duration> {
        let hold = self.hold.as_ref().filter(|hold| hold.boot == *now.boot)?;
        let left = Moment::from_millis(hold.until_ms) - now.at;
        (!left.is_zero()).then_some(left)
    }

    /// How long the updater, which found another agent of the machine at work, is not asked anew.
    #[must_use]
    pub fn asked_again_in(&self, now: Moment) -> Option<Duration> {
        let left = self.again_at - now;
        (matches!(self.order, Some((_, Stage::Waiting))) && !left.is_zero()).then_some(left)
    }

    /// Takes a wish; one before it gives way unless it is being installed. The same wish again changes nothing.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn wish(&self, order: Order, unix_ms: Option<u64>) -> Result<Option<Step>, Unfit> {
        if self.order().is_some_and(|(current, _)| current.id == order.id) {
            return Ok(None);
        }
        if order.version.as_deref().is_some_and(|version| !is_version(version)) {
            return Err(Unfit::Version);
        }
        let begins = order.not_before.max(unix_ms);
        if begins.is_some_and(|begins| order.not_after <= begins) {
            return Err(Unfit::Window);
        }
        let (told, deed) = match self.order() {
            Some((_, Stage::Installing)) => return Err(Unfit::UnderWay),
            Some((before, stage)) => (
                Some((before.clone(), UpdateWord::Cancelled)),
                (stage == Stage::Asked).then_some(Deed::Withdraw),
            ),
            None => (None, None),
        };
        let next = Self { order: Some((order, Stage::Waiting)), again_at: Moment::ZERO, ..self.clone() };
        Ok(Some(Step { next, told, deed }))
    }

    /// Takes a wish back.
    ///
    /// # Errors
    /// There is none, or it is being installed.
    pub fn cancel(&self) -> Result<Step, Unfit> {
        match self.order() {
            None => Err(Unfit::Nothing),
            Some((_, Stage::Installing)) => Err(Unfit::UnderWay),
            Some((order, _)) => Ok(self.end(order, UpdateWord::Cancelled)),
        }
    }

    /// What the time asks for; `is_free` says that nothing is printed or about to be.
    #[must_use]
    pub fn look(&self, now: Now<'_>, is_free: bool) -> Option<Step> {
        // One that is over is forgotten: another boot would give it its time anew.
        if self.hold.is_some() && self.held_for(now).is_none() {
            return Some(Step { next: Self { hold: None, ..self.clone() }, told: None, deed: None });
        }
        let (order, stage) = self.order()?;
        let unix_ms = now.unix_ms?;
        match stage {
            Stage::Waiting if unix_ms > order.not_after => Some(self.end(order, UpdateWord::Expired)),
            Stage::Waiting => {
                let is_time =
                    order.not_before.is_none_or(|begin| unix_ms >= begin) && now.at >= self.again_at;
                (is_time && is_free).then(|| Step {
                    deed: Some(Deed::Ask(order.clone())),
                    told: None,
                    next: Self {
                        order: Some((order.clone(), Stage::Asked)),
                        heard_at: now.at,
                        ..self.clone()
                    },
                })
            }
            _ => {
                let last_ms = Duration::from_millis(order.not_after).saturating_add(PATIENCE).as_millis();
                let is_late = u128::from(unix_ms) > last_ms && now.at - self.heard_at >= PATIENCE;
                is_late.then(|| self.end(order, UpdateWord::Failed))
            }
        }
    }

    /// An updater wants to install: the update of this agent's own wish, or of another agent of the machine. Whether the printer is free
    /// is the caller's to say; nothing starts from here on.
    ///
    /// # Errors
    /// It is not this agent's wish any more.
    pub fn let_in(&self, id: CmdId, is_own: bool, now: Now<'_>) -> Result<Step, Unfit> {
        let hold = Some(Hold { of: Some(id), ..Hold::from(now) });
        let heard = Self { hold, heard_at: self.heard(id, now), ..self.clone() };
        if !is_own {
            return Ok(Step { next: heard, told: None, deed: None });
        }
        match self.order() {
            Some((order, stage)) if order.id == id && stage != Stage::Waiting => {
                let is_new = stage == Stage::Asked;
                let next = Self { order: Some((order.clone(), Stage::Installing)), ..heard };
                let told = is_new.then(|| (order.clone(), UpdateWord::Installing));
                Ok(Step { next, told, deed: None })
            }
            _ => Err(Unfit::Withdrawn),
        }
    }

    /// An updater leaves: jobs may start again. Where it could not begin it is asked anew later (`again`).
    #[must_use]
    pub fn let_out(&self, id: CmdId, again: bool, now: Now<'_>) -> Step {
        let mut next = Self { hold: None, heard_at: self.heard(id, now), ..self.clone() };
        if let Some((_, stage)) = next.order.as_mut().filter(|(order, _)| again && order.id == id) {
            *stage = Stage::Waiting;
            next.again_at = now.at + AGAIN;
        }
        Step { next, told: None, deed: None }
    }

    /// An updater has given its word on an update; nothing where that is over already.
    #[must_use]
    pub fn judged(&self, id: CmdId, word: UpdateWord) -> Option<Step> {
        let (order, _) = self.order().filter(|(order, stage)| order.id == id && *stage != Stage::Waiting)?;
        let step = self.end(order, word);
        let hold = step.next.hold.clone().filter(|hold| hold.of.is_some_and(|of| of != id));
        Some(Step { next: Self { hold, ..step.next }, ..step })
    }

    /// Without what was wished; an updater that was let in still is.
    #[must_use]
    pub fn forgotten(&self) -> Self {
        Self { order: None, ..self.clone() }
    }

    /// When the updater of what is wished was heard last, now that it says something about a wish.
    fn heard(&self, id: CmdId, now: Now<'_>) -> Moment {
        if self.order().is_some_and(|(order, _)| order.id == id) { now.at } else { self.heard_at }
    }

    /// Nothing is wished any more. What holds jobs up is let be: it may be the update of another agent of the machine.
    fn end(&self, order: &Order, word: UpdateWord) -> Step {
        let deed = self.is_asked().then_some(Deed::Withdraw);
        let next = Self { order: None, again_at: Moment::ZERO, ..self.clone() };
        Step { next, told: Some((order.clone(), word)), deed }
    }
}

impl Hold {
    fn from(now: Now<'_>) -> Self {
        Self { boot: now.boot.clone(), until_ms: (now.at + HOLD).as_millis(), of: None }
    }
}

#[cfg(test)]
mod tests;
