//! One pairing from its code to its end. Pure: it is told who says what, and the time.
//!
//! ```text
//! Open ──claim──► Claimed ──reveal──► Shown(nobody) ──yes──► Shown(one end) ──yes of the other──► Paired
//!   └──────────────┴──── no of either end ──► Denied; after 900 s it is expired, unless it is over before
//! ```
//!
//! What has to hold: a code is taken by one claim and by nobody after it; what is over never changes; the agent's random number is
//! taken only after a backend has shown its own, and only if it is the one that the agent is committed to; a backend hears nothing of a
//! pairing that it has not claimed; whatever is said twice has the effect of being said once.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use spoolway_protocol::identity::Lineage;
use spoolway_protocol::pairing::{PAIR_KEYS, PAIR_S, PairInfo, PairOwner, PairSeen, PairState, PairView};
use spoolway_protocol::{AgentId, B64, BackendId, Sha256Hex};

/// How far back the clock of the machine may be set without ending what it began.
const CLOCK_BACK_MS: u64 = 60_000;

/// One pairing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairing {
    /// The agent.
    pub agent: AgentId,
    /// Its public key.
    pub public_key: [u8; 32],
    /// How the key has followed from the agent's first one, where it is not that one.
    #[serde(default)]
    pub lineage: Option<Lineage>,
    /// Its machine.
    pub info: PairInfo,
    /// SHA-256 of its random number.
    pub commit: Sha256Hex,
    /// When it began, unix ms.
    pub began_ms: u64,
    stage: Stage,
}

/// The backend that has taken a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The backend.
    pub backend: BackendId,
    /// Its organisation.
    pub organisation: String,
    /// Its random number.
    pub nonce: [u8; 32],
    /// The keys it signs permits with.
    pub keys: Vec<[u8; 32]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    Open,
    Claimed { claim: Claim },
    Shown { claim: Claim, nonce: [u8; 32], yes: Yes },
    Paired { claim: Claim, nonce: [u8; 32] },
    Denied { claim: Option<Claim> },
}

/// Who has said yes so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Yes {
    Nobody,
    Agent,
    /// With the name that the agent shall have.
    Backend(String),
}

/// Who says something. That it is really them was proven before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The agent, by its signature.
    Agent,
    /// A backend, by its secret.
    Backend(BackendId),
}

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// How does it stand?
    Look,
    /// A backend takes the code.
    Claim(Claim),
    /// The agent shows its random number.
    Reveal([u8; 32]),
    /// The words are the same. A backend gives the agent a name.
    Yes(String),
    /// It shall not be.
    No,
}

/// What an [`Act`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// Nothing that has to be kept.
    Unchanged,
    /// Keep it.
    Changed,
    /// Keep it, and make this backend the owner of the agent, which gets this name.
    Paired(BackendId, String),
}

/// Why nothing came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is none, or none for whoever asks: the two are not told apart.
    #[error("there is no such pairing")]
    Unknown,
    /// Its time is over.
    #[error("the time of this pairing is over")]
    Expired,
    /// Not now, or not any more.
    #[error("this pairing does not stand so that this could be said")]
    Conflict,
    /// The random number is not the one that the agent is committed to.
    #[error("the random number does not fit the commitment")]
    BadNonce,
    /// More keys than a backend may have.
    #[error("a backend signs with at most {PAIR_KEYS} keys")]
    TooManyKeys,
}

impl Pairing {
    /// An agent begins.
    pub fn begin(
        now_ms: u64,
        agent: AgentId,
        public_key: [u8; 32],
        info: &PairInfo,
        commit: Sha256Hex,
    ) -> Self {
        let info = info.cleaned();
        Self { agent, public_key, lineage: None, info, commit, began_ms: now_ms, stage: Stage::Open }
    }

    /// Somebody says something.
    ///
    /// # Errors
    /// Nothing came of it, and nothing has changed.
    pub fn handle(&mut self, now_ms: u64, by: &By, act: Act) -> Result<Came, Refused> {
        if let By::Backend(id) = by
            && !matches!(act, Act::Claim(_))
            && self.claim().is_none_or(|claim| claim.backend != *id)
        {
            return Err(Refused::Unknown);
        }
        if act == Act::Look {
            return Ok(Came::Unchanged);
        }
        if self.state(now_ms) == PairState::Expired {
            return Err(Refused::Expired);
        }
        match (by, act) {
            (By::Backend(id), Act::Claim(claim)) if claim.backend == *id => self.take(claim),
            (By::Agent, Act::Reveal(nonce)) => self.show(nonce),
            (_, Act::Yes(name)) => self.agree(by, name),
            (_, Act::No) => self.deny(),
            _ => Err(Refused::Conflict),
        }
    }

    fn take(&mut self, claim: Claim) -> Result<Came, Refused> {
        if claim.keys.len() > PAIR_KEYS {
            return Err(Refused::TooManyKeys);
        }
        match &self.stage {
            Stage::Open => {
                self.stage = Stage::Claimed { claim };
                Ok(Came::Changed)
            }
            // The answer to the first one was lost.
            Stage::Claimed { claim: taken } | Stage::Shown { claim: taken, .. } if *taken == claim => {
                Ok(Came::Unchanged)
            }
            // Whoever comes late learns nothing, not even that there was a code.
            _ => Err(Refused::Unknown),
        }
    }

    fn show(&mut self, nonce: [u8; 32]) -> Result<Came, Refused> {
        let digest: [u8; 32] = Sha256::digest(nonce).into();
        if digest != self.commit.0 {
            return Err(Refused::BadNonce);
        }
        match &self.stage {
            Stage::Claimed { claim } => {
                self.stage = Stage::Shown { claim: claim.clone(), nonce, yes: Yes::Nobody };
                Ok(Came::Changed)
            }
            // What it was given up for stands in the view.
            Stage::Shown { .. } | Stage::Paired { .. } | Stage::Denied { .. } => Ok(Came::Unchanged),
            Stage::Open => Err(Refused::Conflict),
        }
    }

    fn agree(&mut self, by: &By, name: String) -> Result<Came, Refused> {
        let (claim, nonce, yes) = match &self.stage {
            Stage::Shown { claim, nonce, yes } => (claim.clone(), *nonce, yes.clone()),
            Stage::Paired { .. } => return Ok(Came::Unchanged),
            Stage::Denied { .. } if *by == By::Agent => return Ok(Came::Unchanged),
            Stage::Open | Stage::Claimed { .. } | Stage::Denied { .. } => return Err(Refused::Conflict),
        };
        let name = match (by, yes) {
            (By::Agent, Yes::Agent) | (By::Backend(_), Yes::Backend(_)) => return Ok(Came::Unchanged),
            (By::Agent, Yes::Nobody) => {
                self.stage = Stage::Shown { claim, nonce, yes: Yes::Agent };
                return Ok(Came::Changed);
            }
            (By::Backend(_), Yes::Nobody) => {
                self.stage = Stage::Shown { claim, nonce, yes: Yes::Backend(name) };
                return Ok(Came::Changed);
            }
            (By::Agent, Yes::Backend(given)) => given,
            (By::Backend(_), Yes::Agent) => name,
        };
        let owner = claim.backend.clone();
        self.stage = Stage::Paired { claim, nonce };
        Ok(Came::Paired(owner, name))
    }

    fn deny(&mut self) -> Result<Came, Refused> {
        match &self.stage {
            Stage::Denied { .. } => Ok(Came::Unchanged),
            Stage::Paired { .. } => Err(Refused::Conflict),
            Stage::Open | Stage::Claimed { .. } | Stage::Shown { .. } => {
                self.stage = Stage::Denied { claim: self.claim().cloned() };
                Ok(Came::Changed)
            }
        }
    }

    /// How it stands.
    pub fn state(&self, now_ms: u64) -> PairState {
        let is_live = self.began_ms <= now_ms.saturating_add(CLOCK_BACK_MS) && self.left_ms(now_ms) > 0;
        match &self.stage {
            Stage::Paired { .. } => PairState::Paired,
            Stage::Denied { .. } => PairState::Denied,
            _ if !is_live => PairState::Expired,
            Stage::Open => PairState::Open,
            Stage::Claimed { .. } => PairState::Claimed,
            Stage::Shown { .. } => PairState::Shown,
        }
    }

    fn left_ms(&self, now_ms: u64) -> u64 {
        self.began_ms.saturating_add(PAIR_S * 1000).saturating_sub(now_ms)
    }

    /// The backend that has taken the code.
    pub fn claim(&self) -> Option<&Claim> {
        match &self.stage {
            Stage::Open => None,
            Stage::Claimed { claim } | Stage::Shown { claim, .. } | Stage::Paired { claim, .. } => {
                Some(claim)
            }
            Stage::Denied { claim } => claim.as_ref(),
        }
    }

    /// The agent's random number, once it was shown.
    pub fn nonce(&self) -> Option<&[u8; 32]> {
        match &self.stage {
            Stage::Shown { nonce, .. } | Stage::Paired { nonce, .. } => Some(nonce),
            Stage::Open | Stage::Claimed { .. } | Stage::Denied { .. } => None,
        }
    }

    /// What the agent is told.
    pub fn view(&self, now_ms: u64) -> PairView {
        let owner = self.claim().map(|claim| PairOwner {
            backend: claim.backend.clone(),
            organisation: claim.organisation.clone(),
            nonce: B64(claim.nonce.to_vec()),
            keys: claim.keys.iter().map(|key| B64(key.to_vec())).collect(),
        });
        PairView { state: self.state(now_ms), owner, extra: Default::default() }
    }

    /// What the backend is told that has taken the code.
    pub fn seen(&self, now_ms: u64, pair_id: &str) -> PairSeen {
        PairSeen {
            pair_id: pair_id.to_owned(),
            state: self.state(now_ms),
            agent: self.agent,
            pubkey: B64(self.public_key.to_vec()),
            lineage: self.lineage.clone(),
            info: self.info.clone(),
            commit: self.commit,
            nonce: self.nonce().map(|nonce| B64(nonce.to_vec())),
            expires_s: self.left_ms(now_ms) / 1000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; 32] = [5; 32];
    const LONG_MS: u64 = PAIR_S * 1000;

    fn begun() -> Pairing {
        let commit = Sha256Hex(Sha256::digest(NONCE).into());
        Pairing::begin(1_000, AgentId::from_bytes([1; 16]), [2; 32], &PairInfo::default(), commit)
    }

    fn by(backend: &str) -> By {
        By::Backend(backend.parse().unwrap())
    }

    fn claim(backend: &str) -> Act {
        let (backend, organisation) = (backend.parse().unwrap(), "org".to_owned());
        Act::Claim(Claim { backend, organisation, nonce: [3; 32], keys: vec![[4; 32]] })
    }

    fn shown() -> Pairing {
        let mut pairing = begun();
        assert_eq!(pairing.handle(1_000, &by("farm"), claim("farm")), Ok(Came::Changed));
        assert_eq!(pairing.handle(1_000, &By::Agent, Act::Reveal(NONCE)), Ok(Came::Changed));
        pairing
    }

    #[test]
    fn both_ends_have_to_say_yes_in_whatever_order() {
        let yes = || Act::Yes("left".into());
        for (first, second) in [(By::Agent, by("farm")), (by("farm"), By::Agent)] {
            let mut pairing = shown();
            assert_eq!(pairing.handle(2_000, &first, yes()), Ok(Came::Changed));
            assert_eq!(pairing.handle(2_000, &first, yes()), Ok(Came::Unchanged), "said twice");
            assert_eq!(pairing.state(2_000), PairState::Shown);
            let paired = Ok(Came::Paired("farm".parse().unwrap(), "left".into()));
            assert_eq!(pairing.handle(2_000, &second, yes()), paired);
            let done = pairing.clone();
            assert_eq!(pairing.handle(2_000, &second, yes()), Ok(Came::Unchanged), "its answer was lost");
            assert_eq!(pairing.handle(2_000, &first, Act::No), Err(Refused::Conflict), "too late");
            assert_eq!((pairing.state(LONG_MS * 9), pairing), (PairState::Paired, done));
        }
    }

    #[test]
    fn a_code_is_taken_once_and_only_its_taker_hears_more() {
        let mut pairing = begun();
        assert_eq!(pairing.handle(1_000, &by("farm"), Act::Look), Err(Refused::Unknown));
        pairing.handle(1_000, &by("farm"), claim("farm")).unwrap();
        assert_eq!(pairing.handle(1_000, &by("farm"), claim("farm")), Ok(Came::Unchanged), "lost answer");
        assert_eq!(pairing.handle(1_000, &by("other"), claim("other")), Err(Refused::Unknown));
        for act in [Act::Look, Act::Yes(String::new()), Act::No] {
            assert_eq!(pairing.handle(1_000, &by("other"), act), Err(Refused::Unknown));
        }
        assert_eq!(
            pairing.handle(1_000, &by("other"), claim("farm")),
            Err(Refused::Conflict),
            "in another's name"
        );
    }

    #[test]
    fn the_agents_number_is_shown_after_the_backends_and_fits() {
        let mut pairing = begun();
        assert_eq!(
            pairing.handle(1_000, &By::Agent, Act::Reveal(NONCE)),
            Err(Refused::Conflict),
            "too early"
        );
        pairing.handle(1_000, &by("farm"), claim("farm")).unwrap();
        assert_eq!(pairing.handle(1_000, &By::Agent, Act::Reveal([6; 32])), Err(Refused::BadNonce));
        assert_eq!(pairing.handle(1_000, &by("farm"), Act::Yes(String::new())), Err(Refused::Conflict));
        assert_eq!(pairing.seen(1_000, "p").nonce, None);
        pairing.handle(1_000, &By::Agent, Act::Reveal(NONCE)).unwrap();
        assert_eq!(pairing.seen(1_000, "p").nonce, Some(B64(NONCE.to_vec())));
    }

    #[test]
    fn a_no_of_either_end_is_the_end() {
        for no in [By::Agent, by("farm")] {
            let mut pairing = shown();
            pairing.handle(1_000, &By::Agent, Act::Yes(String::new())).unwrap();
            assert_eq!(pairing.handle(1_000, &no, Act::No), Ok(Came::Changed));
            assert_eq!(pairing.handle(1_000, &by("farm"), Act::Yes(String::new())), Err(Refused::Conflict));
            assert_eq!(pairing.state(1_000), PairState::Denied);
        }
    }

    #[test]
    fn time_runs_out_and_a_clock_that_is_set_does_not_stretch_it() {
        let mut pairing = shown();
        assert_eq!(pairing.state(LONG_MS + 999), PairState::Shown);
        assert_eq!(pairing.state(LONG_MS + 1_000), PairState::Expired);
        assert_eq!(
            pairing.handle(LONG_MS + 1_000, &By::Agent, Act::Yes(String::new())),
            Err(Refused::Expired)
        );
        assert_eq!(pairing.handle(LONG_MS + 1_000, &By::Agent, Act::Look), Ok(Came::Unchanged));
        pairing.began_ms = 10 * LONG_MS;
        assert_eq!(pairing.state(1_000), PairState::Expired, "began in the future");
    }
}
