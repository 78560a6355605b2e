//! Pairing from the agent's end: a code for a person, four words to compare, and a backend that is trusted only after a yes.
//!
//! The backend's keys and random number are taken once, before the agent shows its own number, and may not change any more: so
//! whoever sits in between has to commit to what both ends will see before he knows which words it makes.

use std::time::Duration;

use sha2::{Digest, Sha256};
use spoolway_protocol::fault::Fault;
use spoolway_protocol::identity::Lineage;
use spoolway_protocol::ids::{BackendId, Sha256Hex};
use spoolway_protocol::pairing::{
    PAIR_KEYS, PAIR_S, PairInfo, PairOwner, PairSay, PairStart, PairStarted, PairState, PairStep, PairView,
    fingerprint_bytes, words_of,
};
use spoolway_protocol::raw::B64;

use crate::moment::Moment;

/// The shortest and the longest wait between two steps, whatever the relay says, in ms.
const POLL_MS: (u64, u64) = (500, 10_000);
/// How long to wait after a step that did not get through, in ms.
const AGAIN_MS: u64 = 3_000;
/// The longest wait that a relay can ask for, in ms.
const LONGEST_MS: u64 = 60_000;

/// What an agent brings along.
#[derive(Debug, Clone)]
pub struct PairingOptions {
    /// Its public key.
    pub public_key: [u8; 32],
    /// 32 random bytes, drawn for this pairing alone.
    pub nonce: [u8; 32],
    /// What a person at the other end recognises it by.
    pub info: PairInfo,
    /// How its key has followed from its first one, where it is not that one.
    pub lineage: Option<Lineage>,
}

/// What the shell has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum PairingOutput {
    /// Sign it and send it to the relay, then call [`Pairing::handle_answer`].
    Post(PairRequest),
    /// Show code and link to a person.
    ShowCode(PairStarted),
    /// Ask a person whether the other end shows the same words, then call [`Pairing::handle_word`].
    Compare {
        /// Who has taken the code.
        owner: BackendId,
        /// Its organisation.
        organisation: String,
        /// The words.
        words: [&'static str; 4],
    },
    /// Nothing until then, or until something is handled; `None`: until something is handled.
    Wait(Option<Moment>),
    /// Both ends have said yes: keep this.
    Paired(PairedWith),
    /// It is over, without a pairing.
    Failed(PairingFailure),
    /// It is over, and that was said.
    Over,
}

/// A request, without its signature.
#[derive(Debug, Clone, PartialEq)]
pub enum PairRequest {
    /// For the path of a start.
    Start(PairStart),
    /// For the path of a step.
    Step(PairStep),
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum PairAnswer {
    /// The answer to a start.
    Started(PairStarted),
    /// The answer to a step.
    Seen(PairView),
    /// The relay refused, with a code of its own.
    Refused {
        /// Stable word.
        code: String,
        /// For a person.
        detail: String,
        /// How long to wait before the next request, in ms.
        retry_after_ms: Option<u64>,
    },
    /// It did not get through.
    Lost {
        /// Why.
        fault: Fault,
        /// For a person.
        detail: String,
    },
}

/// The backend that owns this agent from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairedWith {
    /// The backend.
    pub owner: BackendId,
    /// Its organisation.
    pub organisation: String,
    /// The keys it signs permits with.
    pub keys: Vec<[u8; 32]>,
}

/// Why there is no pairing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}: {detail}")]
pub struct PairingFailure {
    /// The stable fault.
    pub fault: Fault,
    /// For a person.
    pub detail: String,
}

/// The other end as it was first seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Other {
    with: PairedWith,
    nonce: [u8; 32],
}

/// What the person at this machine has said about the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Awaited,
    Same,
    Different,
    /// Different, and the relay was told.
    Refused,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// There is no code yet.
    Starting,
    /// Nobody has taken the code.
    Waiting { pair_id: String },
    /// A backend has; our number is being shown.
    Revealing { pair_id: String, other: Other },
    /// Both ends have the words.
    Comparing { pair_id: String, other: Other, word: Word },
    /// It is over.
    Over,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Ours, from then on.
    Ours(Moment),
    /// The relay's.
    Relays,
}

/// One pairing.
#[derive(Debug)]
pub struct Pairing {
    options: PairingOptions,
    state: State,
    turn: Turn,
    poll_ms: u64,
    deadline: Moment,
    output: Option<PairingOutput>,
}

impl Pairing {
    /// It begins.
    #[must_use]
    pub fn new(now: Moment, options: PairingOptions) -> Self {
        let deadline = now + Duration::from_secs(PAIR_S);
        let (state, turn) = (State::Starting, Turn::Ours(now));
        Self { options, state, turn, poll_ms: POLL_MS.0, deadline, output: None }
    }

    /// What to do now.
    pub fn poll_output(&mut self, now: Moment) -> PairingOutput {
        if let Some(output) = self.output.take() {
            return output;
        }
        if self.state == State::Over {
            return PairingOutput::Over;
        }
        if now >= self.deadline {
            self.fail(Fault::PairExpired, "nobody has used the code in time, or not to the end");
            return self.output.take().unwrap_or(PairingOutput::Over);
        }
        match self.turn {
            Turn::Relays => PairingOutput::Wait(Some(self.deadline)),
            Turn::Ours(at) if now < at => PairingOutput::Wait(Some(at.min(self.deadline))),
            Turn::Ours(_) => {
                self.turn = Turn::Relays;
                let request = self.request();
                if let State::Comparing { word: word @ Word::Different, .. } = &mut self.state {
                    *word = Word::Refused;
                }
                PairingOutput::Post(request)
            }
        }
    }

    fn request(&self) -> PairRequest {
        let (pair_id, say) = match &self.state {
            State::Starting | State::Over => return PairRequest::Start(self.start()),
            State::Waiting { pair_id } => (pair_id, PairSay::Look),
            State::Revealing { pair_id, .. } => (pair_id, PairSay::Reveal),
            State::Comparing { pair_id, word, .. } => match word {
                Word::Awaited => (pair_id, PairSay::Look),
                Word::Same => (pair_id, PairSay::Yes),
                Word::Different | Word::Refused => (pair_id, PairSay::No),
            },
        };
        let nonce = (say == PairSay::Reveal).then(|| B64(self.options.nonce.to_vec()));
        PairRequest::Step(PairStep { pair_id: pair_id.clone(), say, nonce, extra: Default::default() })
    }

    fn start(&self) -> PairStart {
        PairStart {
            pubkey: B64(self.options.public_key.to_vec()),
            info: self.options.info.cleaned(),
            commit: Sha256Hex(Sha256::digest(self.options.nonce).into()),
            lineage: self.options.lineage.clone(),
            extra: Default::default(),
        }
    }

    /// What became of the last request.
    pub fn handle_answer(&mut self, now: Moment, answer: PairAnswer) {
        if self.turn != Turn::Relays || self.state == State::Over {
            return;
        }
        if let State::Comparing { word: Word::Refused, .. } = self.state {
            // Whether the no has arrived makes no difference here.
            return self.fail(Fault::PairWordsDiffer, "the words were not the same");
        }
        let after = |ms| Turn::Ours(now + Duration::from_millis(ms));
        self.turn = after(self.poll_ms);
        match answer {
            PairAnswer::Started(started) if self.state == State::Starting => self.started(now, started),
            PairAnswer::Seen(view) => self.seen(now, view),
            PairAnswer::Started(_) => self.fail(Fault::PairRefused, "a second code that nobody asked for"),
            PairAnswer::Refused { code, detail, retry_after_ms } => match code.as_str() {
                "rate_limited" | "busy" => {
                    self.turn = after(retry_after_ms.unwrap_or(AGAIN_MS).clamp(AGAIN_MS, LONGEST_MS));
                }
                code => self.fail(fault_of(code), detail),
            },
            // Whoever cannot begin is told so at once; what has begun is worth some patience.
            PairAnswer::Lost { fault, detail } if self.state == State::Starting => self.fail(fault, detail),
            PairAnswer::Lost { .. } => self.turn = after(AGAIN_MS),
        }
    }

    /// The person at this machine has compared the words.
    pub fn handle_word(&mut self, now: Moment, is_same: bool) {
        let State::Comparing { word, .. } = &mut self.state else { return };
        if *word == Word::Awaited {
            *word = if is_same { Word::Same } else { Word::Different };
            if matches!(self.turn, Turn::Ours(_)) {
                self.turn = Turn::Ours(now);
            }
        }
    }

    fn started(&mut self, now: Moment, started: PairStarted) {
        self.deadline = now + Duration::from_secs(started.expires_s.min(PAIR_S));
        self.poll_ms = started.poll_ms.clamp(POLL_MS.0, POLL_MS.1);
        self.turn = Turn::Ours(now + Duration::from_millis(self.poll_ms));
        self.state = State::Waiting { pair_id: started.pair_id.clone() };
        self.output = Some(PairingOutput::ShowCode(started));
    }

    fn seen(&mut self, now: Moment, view: PairView) {
        match &view.state {
            PairState::Denied => return self.fail(Fault::PairDenied, "the other end has said no"),
            PairState::Expired => return self.fail(Fault::PairExpired, "the code's time is over"),
            _ => {}
        }
        let other = match view.owner.map(other_of).transpose() {
            Ok(other) => other,
            Err(why) => return self.fail(Fault::PairRefused, why),
        };
        match (std::mem::replace(&mut self.state, State::Over), view.state, other) {
            (state @ State::Waiting { .. }, PairState::Open, None) => self.state = state,
            (State::Waiting { pair_id }, PairState::Claimed, Some(other)) => {
                self.state = State::Revealing { pair_id, other };
                self.turn = Turn::Ours(now);
            }
            (State::Revealing { pair_id, other }, PairState::Claimed, Some(seen)) if seen == other => {
                self.state = State::Revealing { pair_id, other };
            }
            (State::Revealing { pair_id, other }, PairState::Shown, Some(seen)) if seen == other => {
                self.output = Some(self.comparison(&other));
                self.state = State::Comparing { pair_id, other, word: Word::Awaited };
            }
            (State::Comparing { pair_id, other, word }, PairState::Shown, Some(seen)) if seen == other => {
                self.state = State::Comparing { pair_id, other, word };
            }
            (State::Comparing { other, word: Word::Same, .. }, PairState::Paired, Some(seen))
                if seen == other =>
            {
                self.output = Some(PairingOutput::Paired(other.with));
            }
            (_, state, _) => self.fail(
                Fault::PairRefused,
                format!(
                    "the relay says {state} where that cannot be, or has put another backend in its place"
                ),
            ),
        }
    }

    fn comparison(&self, other: &Other) -> PairingOutput {
        let agent = (&self.options.public_key, &self.options.nonce);
        let bytes = fingerprint_bytes(agent, (&other.with.owner, &other.nonce), &other.with.keys);
        PairingOutput::Compare {
            owner: other.with.owner.clone(),
            organisation: other.with.organisation.clone(),
            words: words_of(&Sha256::digest(bytes).into()),
        }
    }

    fn fail(&mut self, fault: Fault, detail: impl Into<String>) {
        self.state = State::Over;
        self.output = Some(PairingOutput::Failed(PairingFailure { fault, detail: detail.into() }));
    }
}

fn other_of(owner: PairOwner) -> Result<Other, &'static str> {
    let bytes =
        |bytes: B64| <[u8; 32]>::try_from(bytes.0).map_err(|_| "a key or random number is not 32 bytes");
    if owner.keys.len() > PAIR_KEYS {
        return Err("the backend brings more keys than there may be");
    }
    let keys = owner.keys.into_iter().map(bytes).collect::<Result<_, _>>()?;
    let organisation = PairInfo { host: owner.organisation, ..PairInfo::default() }.cleaned().host;
    Ok(Other { with: PairedWith { owner: owner.backend, organisation, keys }, nonce: bytes(owner.nonce)? })
}

/// The fault for a relay's refusal.
#[must_use]
pub fn fault_of(code: &str) -> Fault {
    match code {
        "revoked" => Fault::RelayRevoked,
        "quarantined" => Fault::RelayCloneSuspected,
        "bad_sig" => Fault::RelayBadSignature,
        "retired" => Fault::RelayKeyRetired,
        "expired" | "unknown" => Fault::PairExpired,
        _ => Fault::PairRefused,
    }
}

#[cfg(test)]
mod tests;
