//! From one key of the agent to the next, so that whoever dies in between leaves an agent that can log in.
//!
//! ```text
//! Settled ──wish, or a year──► Preparing ──the next key is on the disk──► Prepared ──the relay has it──► Switching
//!    ▲                                                                      ▲  │ refused, or no answer: later again
//!    └── Adopting ◄──the owner's event is stored── Telling ◄──on the disk──┘  └── (the agent goes on with the key that it has)
//! ```
//!
//! What has to hold: a key is offered only once it is on the disk, and never given up afterwards, since the relay may have taken it
//! although nobody has heard its answer; the owner is told of a key before anything is signed with it; the key before is good at the
//! relay while all this happens. A relay that knows only the key before (its registry came from a backup) is told of the last change again.

use std::time::Duration;

use spoolway_protocol::Fault;
use spoolway_protocol::identity::{KEY_LINKS, OVERLAP_MS};

use crate::backoff::{Backoff, BackoffOptions, Jitter};
use crate::moment::Moment;

/// By itself a key is replaced after this time, less up to [`SPREAD_MS`].
const YEAR_MS: u64 = 365 * 24 * 3_600_000;
/// Machines that were set up on one day do not all change their keys on one day.
const SPREAD_MS: u64 = 30 * 24 * 3_600_000;
/// How long to wait after the relay has said no, or the disk.
const AFTER_NO: Duration = Duration::from_secs(6 * 3_600);
/// How long to wait before the disk is tried again.
const AFTER_DISK: Duration = Duration::from_secs(60);

/// What lies on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnDisk {
    /// Keys that have followed the first one.
    pub links: usize,
    /// When the key became the agent's, unix ms.
    pub since_ms: u64,
    /// The next key is there.
    pub is_prepared: bool,
    /// The owner has still to be told of the last change.
    pub is_untold: bool,
}

/// How the relay stands to this agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link {
    /// There is one to talk to.
    pub is_named: bool,
    /// A session stands.
    pub is_up: bool,
    /// It does not take the agent's key.
    pub is_key_refused: bool,
}

/// Which change the relay is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// From the agent's key to the one that is prepared.
    Next,
    /// The last one, which it seems to have forgotten.
    Last,
}

/// What the relay has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfferAnswer {
    /// The new key is the agent's there.
    Taken,
    /// It is not.
    Refused {
        /// The relay's word.
        code: String,
        /// For a person.
        detail: String,
        /// How long to wait, in ms.
        retry_after_ms: Option<u64>,
    },
    /// There was no answer: it may be or not.
    Lost {
        /// The stable fault.
        fault: Fault,
        /// For a person.
        detail: String,
    },
}

/// Why a key is not replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct RotationRefusal {
    /// The stable fault.
    pub fault: Fault,
    /// For a person.
    pub detail: String,
}

/// What the shell has to do, each answered by its `handle_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RotationOutput {
    /// Make the next key and have both keys sign for it; it has to be on the disk afterwards.
    Prepare,
    /// Tell the relay.
    Post(Offer),
    /// The next key is the agent's from now on, on the disk.
    Switch,
    /// Put the event for the owner into the outbox.
    Tell,
    /// Sign with the new key from now on.
    Adopt,
    /// Whoever wished for it hears this.
    Said(Result<(), RotationRefusal>),
    /// Nothing until then, or until something is handed in.
    Wait(Option<Moment>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Settled,
    Preparing,
    Prepared,
    Switching,
    Telling,
    Adopting,
    CatchingUp,
}

/// See the module.
#[derive(Debug)]
pub struct Rotation {
    disk: OnDisk,
    state: State,
    /// What this state asks for is being done.
    is_asked: bool,
    /// Not before.
    not_before: Moment,
    link: Link,
    due_after_ms: u64,
    backoff: Backoff,
    is_wished: bool,
    said: Option<Result<(), RotationRefusal>>,
}

impl Rotation {
    /// From what lies on the disk; the seed is of every random wait, and should be the same for one agent.
    #[must_use]
    pub fn new(disk: OnDisk, seed: u64) -> Self {
        let state = match disk {
            OnDisk { is_untold: true, .. } => State::Telling,
            OnDisk { is_prepared: true, .. } => State::Prepared,
            _ => State::Settled,
        };
        let mut jitter = Jitter::new(seed);
        Self {
            disk,
            state,
            is_asked: false,
            not_before: Moment::ZERO,
            link: Link::default(),
            due_after_ms: YEAR_MS - jitter.between(0, SPREAD_MS),
            backoff: Backoff::new(BackoffOptions::RECONNECT, jitter.draw()),
            is_wished: false,
            said: None,
        }
    }

    /// Somebody wishes for a new key; `unix_ms` is the time, if it is known. How it ends is [`RotationOutput::Said`].
    ///
    /// # Errors
    /// It cannot be now.
    pub fn handle_wish(&mut self, now: Moment, unix_ms: Option<u64>) -> Result<(), RotationRefusal> {
        if self.is_wished {
            return Err(refusal(Fault::IdentityRotating, "the key is being changed already"));
        }
        match self.state {
            State::Settled => self.may_begin(unix_ms)?,
            State::Prepared if self.is_asked => {}
            State::Prepared => self.not_before = now,
            _ => {
                return Err(refusal(Fault::IdentityRotating, "the last change of the key is being finished"));
            }
        }
        self.is_wished = true;
        if self.state == State::Settled {
            self.enter(State::Preparing);
        }
        Ok(())
    }

    /// The relay is another one, came, went, or has said something of the key.
    pub fn handle_link(&mut self, now: Moment, link: Link) {
        // A key that it refuses may have been replaced by the one that is prepared, whose answer was lost.
        if link.is_key_refused && !self.link.is_key_refused && self.state == State::Prepared {
            self.not_before = now;
        }
        self.link = link;
    }

    /// The next key is on the disk, or why not.
    pub fn handle_prepared(&mut self, prepared: Result<(), String>) {
        match prepared {
            Ok(()) => {
                self.disk.is_prepared = true;
                self.backoff.reset();
                self.enter(State::Prepared);
            }
            Err(why) => {
                self.say(Err(refusal(Fault::DiskFull, format!("the next key cannot be kept: {why}"))));
                self.enter(State::Settled);
            }
        }
    }

    /// The relay has answered, or has not.
    pub fn handle_answer(&mut self, now: Moment, answer: OfferAnswer) {
        let is_catching_up = self.state == State::CatchingUp;
        let wait = match answer {
            OfferAnswer::Taken if is_catching_up => AFTER_DISK,
            OfferAnswer::Taken => return self.enter(State::Switching),
            OfferAnswer::Refused { code, detail, retry_after_ms } => {
                let is_later = retry_after_ms.is_some();
                self.say(Err(refusal(Fault::IdentityRefused, format!("{code}: {detail}"))));
                // It may know neither: its registry came from a backup of before the last change.
                if !is_catching_up && self.link.is_key_refused && self.disk.links > 0 {
                    return self.enter(State::CatchingUp);
                }
                if is_later { self.backoff.fail(now, retry_after_ms) } else { AFTER_NO }
            }
            OfferAnswer::Lost { fault, detail } => {
                let detail =
                    format!("the new key is made, and the relay is told of it again by itself: {detail}");
                self.say(Err(refusal(fault, detail)));
                self.backoff.fail(now, None)
            }
        };
        self.enter(if self.disk.is_prepared { State::Prepared } else { State::Settled });
        self.not_before = now + wait;
    }

    /// The next key is the agent's, on the disk, since this time; or why not.
    pub fn handle_switched(&mut self, now: Moment, switched: Result<u64, String>) {
        let Ok(since_ms) = switched else { return self.again(now) };
        self.disk = OnDisk { links: self.disk.links + 1, since_ms, is_prepared: false, is_untold: true };
        self.enter(State::Telling);
    }

    /// The event is stored, or not.
    pub fn handle_told(&mut self, now: Moment, is_told: bool) {
        if is_told { self.enter(State::Adopting) } else { self.again(now) }
    }

    /// The new key signs from now on, and the disk knows that the owner was told; or not.
    pub fn handle_adopted(&mut self, now: Moment, is_adopted: bool) {
        if !is_adopted {
            return self.again(now);
        }
        self.disk.is_untold = false;
        self.say(Ok(()));
        self.enter(State::Settled);
    }

    /// What to do now.
    pub fn poll_output(&mut self, now: Moment, unix_ms: Option<u64>) -> RotationOutput {
        if let Some(said) = self.said.take() {
            return RotationOutput::Said(said);
        }
        if self.is_asked {
            return RotationOutput::Wait(None);
        }
        if self.state == State::Settled {
            match self.settled(now, unix_ms) {
                Some(state) => self.enter(state),
                None => return RotationOutput::Wait(None),
            }
        }
        let needs_relay = matches!(self.state, State::Prepared | State::CatchingUp);
        if needs_relay && !self.link.is_named {
            return RotationOutput::Wait(None);
        }
        if now < self.not_before {
            return RotationOutput::Wait(Some(self.not_before));
        }
        self.is_asked = true;
        match self.state {
            State::Preparing | State::Settled => RotationOutput::Prepare,
            State::Prepared => RotationOutput::Post(Offer::Next),
            State::CatchingUp => RotationOutput::Post(Offer::Last),
            State::Switching => RotationOutput::Switch,
            State::Telling => RotationOutput::Tell,
            State::Adopting => RotationOutput::Adopt,
        }
    }

    /// What begins by itself.
    fn settled(&self, now: Moment, unix_ms: Option<u64>) -> Option<State> {
        let age_ms = unix_ms.map_or(0, |unix_ms| unix_ms.saturating_sub(self.disk.since_ms));
        if age_ms >= self.due_after_ms && self.may_begin(unix_ms).is_ok() && now >= self.not_before {
            return Some(State::Preparing);
        }
        let may_have_forgotten = self.link.is_key_refused && self.disk.links > 0;
        (may_have_forgotten && now >= self.not_before).then_some(State::CatchingUp)
    }

    fn may_begin(&self, unix_ms: Option<u64>) -> Result<(), RotationRefusal> {
        if !self.link.is_up {
            return Err(refusal(Fault::RelayUnreachable, "there is no session with the relay"));
        }
        if self.disk.links >= KEY_LINKS {
            let text =
                format!("{KEY_LINKS} keys have followed the first one, and more cannot be shown to a relay");
            return Err(refusal(Fault::IdentityRotating, text));
        }
        let since_ms = self.disk.since_ms;
        let left_ms = match unix_ms {
            _ if self.disk.links == 0 => 0,
            None => return Err(refusal(Fault::IdentityRotating, "this machine does not know the time yet")),
            // A change in the future was written down by a clock that was wrong.
            Some(unix_ms) if unix_ms < since_ms => 0,
            Some(unix_ms) => since_ms.saturating_add(OVERLAP_MS).saturating_sub(unix_ms),
        };
        if left_ms > 0 {
            let hours = left_ms.div_ceil(3_600_000);
            let text = format!("the key was changed a short while ago: it can be again in {hours} h");
            return Err(refusal(Fault::IdentityRotating, text));
        }
        Ok(())
    }

    fn enter(&mut self, state: State) {
        (self.state, self.is_asked, self.not_before) = (state, false, Moment::ZERO);
    }

    /// The disk does not take it; nothing else goes on before it does.
    fn again(&mut self, now: Moment) {
        (self.is_asked, self.not_before) = (false, now + AFTER_DISK);
    }

    fn say(&mut self, said: Result<(), RotationRefusal>) {
        if std::mem::take(&mut self.is_wished) {
            self.said = Some(said);
        }
    }
}

fn refusal(fault: Fault, detail: impl Into<String>) -> RotationRefusal {
    RotationRefusal { fault, detail: detail.into() }
}

#[cfg(test)]
mod tests;
