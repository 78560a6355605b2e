//! Pairing over HTTPS: how an agent and the backend that shall own it find each other by a code that a person carries.
//!
//! An agent that nobody knows may not open a session, so none of this is a frame. The agent sends `POST` with a signed JSON
//! body to [`START_PATH`], then to [`STEP_PATH`] until it is over; the backend, with its credential, to [`CLAIM_PATH`] and
//! below [`PAIRINGS_PATH`]. `docs/backend-guide.md` has the whole conversation. An agent that ends for good says so at
//! [`FORGET_PATH`], in the same way: no session is needed for it.

mod code;
mod words;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::identity::Lineage;
use crate::ids::{AgentId, BackendId, Sha256Hex};
use crate::raw::{B64, Extra};

pub use code::{PairCode, PairCodeError};
pub use words::{fingerprint_bytes, words_of};

/// Where an agent begins a pairing.
pub const START_PATH: &str = "/pair/v1/start";
/// Where it goes on with it.
pub const STEP_PATH: &str = "/pair/v1/step";
/// Where it pairs by a token instead.
pub const ENROL_PATH: &str = "/pair/v1/enrol";
/// Where it has its key revoked, because everything is forgotten at its end.
pub const FORGET_PATH: &str = "/pair/v1/forget";
/// Where a backend takes a code.
pub const CLAIM_PATH: &str = "/v1/pairings/claim";
/// Below it: `/{pair_id}`, `/{pair_id}/approve`, `/{pair_id}/deny`.
pub const PAIRINGS_PATH: &str = "/v1/pairings";
/// How long a code is good for, in seconds.
pub const PAIR_S: u64 = 900;
/// Largest body of a request, in bytes.
pub const PAIR_BODY_BYTES: usize = 8 * 1024;
/// Longest text of [`PairInfo`], in characters.
pub const PAIR_INFO_CHARS: usize = 64;
/// Keys that a backend may sign with.
pub const PAIR_KEYS: usize = 2;
/// Bytes of the random number of either end.
pub const PAIR_NONCE_BYTES: usize = 32;

/// What is signed begins with it.
const SIGNATURE_DOMAIN: &[u8] = b"spoolway-v1-pair\0";

/// The bytes that an agent signs with the key that is being paired: domain, path, host, exporter, SHA-256 of the body without `sig`.
///
/// `host` is as in a hello; path and host end in a zero byte. The signature is appended to the body with
/// [`attach_signature`](crate::hello::attach_signature).
#[must_use]
pub fn pair_signed_bytes(path: &str, host: &str, exporter: &[u8], body_digest: &[u8; 32]) -> Vec<u8> {
    [SIGNATURE_DOMAIN, path.as_bytes(), b"\0", host.as_bytes(), b"\0", exporter, body_digest].concat()
}

/// What a person at the other end recognises the machine by. Each text is cut to [`PAIR_INFO_CHARS`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PairInfo {
    /// The machine's host name.
    #[serde(default)]
    pub host: String,
    /// The printer.
    #[serde(default)]
    pub printer: String,
    /// The board, such as `Raspberry Pi 4 Model B`.
    #[serde(default)]
    pub model: String,
    /// The agent's version.
    #[serde(default)]
    pub ver: String,
}

impl PairInfo {
    /// The same without characters that could draw on a terminal, and not longer than allowed.
    #[must_use]
    pub fn cleaned(&self) -> Self {
        let clean = |text: &str| {
            text.chars()
                .filter(|c| !c.is_control())
                .take(PAIR_INFO_CHARS)
                .collect::<String>()
                .trim()
                .to_owned()
        };
        Self {
            host: clean(&self.host),
            printer: clean(&self.printer),
            model: clean(&self.model),
            ver: clean(&self.ver),
        }
    }
}

/// Body of a start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairStart {
    /// The agent's public key, 32 bytes.
    pub pubkey: B64,
    /// The machine.
    pub info: PairInfo,
    /// SHA-256 of the agent's random number, which it shows only once the backend has shown its own.
    pub commit: Sha256Hex,
    /// How the key has followed from the agent's first one; absent when it is the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Answer to a start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairStarted {
    /// Names this pairing.
    pub pair_id: String,
    /// What a person carries to the backend.
    pub code: PairCode,
    /// How long the code is good for, in seconds.
    pub expires_s: u64,
    /// How long to wait between two steps, in ms.
    pub poll_ms: u64,
    /// Where a person goes with it.
    pub link: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What an agent says in a step. Saying it twice is the same as once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PairSay {
    /// Only asks how it stands.
    Look,
    /// Shows the random number.
    Reveal,
    /// The person at the machine has seen the same words.
    Yes,
    /// Gives the pairing up.
    No,
}

/// Body of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairStep {
    /// The pairing.
    pub pair_id: String,
    /// What the agent says.
    pub say: PairSay,
    /// With `reveal`: the random number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<B64>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

open_words!(
    /// How a pairing stands.
    PairState {
        /// Nobody has taken the code.
        Open = "open",
        /// A backend has; the agent has not shown its random number yet.
        Claimed = "claimed",
        /// Both ends can make the words; each has to say yes.
        Shown = "shown",
        /// Both have: the backend owns the agent.
        Paired = "paired",
        /// One of them has said no.
        Denied = "denied",
        /// The time is over.
        Expired = "expired",
    }
);

/// The backend that has taken a code, as the agent is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairOwner {
    /// The backend.
    pub backend: BackendId,
    /// Its organisation.
    pub organisation: String,
    /// Its random number.
    pub nonce: B64,
    /// The keys it signs permits with, 32 bytes each; may be none.
    #[serde(default)]
    pub keys: Vec<B64>,
}

/// Answer to a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairView {
    /// How it stands.
    pub state: PairState,
    /// From `claimed` on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<PairOwner>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Body with which a backend takes a code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairClaim {
    /// The code as the person gave it.
    pub code: String,
    /// 32 random bytes, drawn for this pairing alone.
    pub nonce: B64,
    /// The keys it signs permits with, 32 bytes each; none where it signs none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<B64>,
}

/// How a pairing stands, as its backend is told: after a claim, and whenever it asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairSeen {
    /// Names this pairing.
    pub pair_id: String,
    /// How it stands.
    pub state: PairState,
    /// The agent.
    pub agent: AgentId,
    /// Its public key, 32 bytes; the agent's id is the first half of its SHA-256, unless there is a `lineage`.
    pub pubkey: B64,
    /// How the key has followed from the agent's first one, whose SHA-256 then names the agent; the relay has checked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
    /// Its machine.
    pub info: PairInfo,
    /// SHA-256 of the agent's random number.
    pub commit: Sha256Hex,
    /// From `shown` on: the random number; it has to fit `commit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<B64>,
    /// How much longer it may take, in seconds.
    pub expires_s: u64,
}

/// Body of an approval.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairApprove {
    /// A name for the agent.
    #[serde(default)]
    pub name: String,
}

/// Body with which an agent pairs by a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Enrol {
    /// The agent's public key, 32 bytes.
    pub pubkey: B64,
    /// The machine.
    pub info: PairInfo,
    /// The token, `<id>.<secret>`.
    pub token: String,
    /// How the key has followed from the agent's first one; absent when it is the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Answer to an enrolment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Enrolled {
    /// The backend that owns the agent now.
    pub backend: BackendId,
    /// Its organisation.
    pub organisation: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Body with which an agent has its key revoked for good, signed with that key; the answer repeats it. A second time changes
/// nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Forget {
    /// The agent itself.
    pub agent_id: AgentId,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Stable word: `unknown`, `expired`, `conflict`, `bad_field`, `bad_sig`, `unauthorised`, `revoked`,
    /// `retired`, `quarantined`, `cert_required`, `rate_limited`, `busy`.
    pub code: String,
    /// For a person.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_bytes_tell_paths_hosts_and_bodies_apart() {
        let bytes = |path, host, body| pair_signed_bytes(path, host, &[7; 32], &[body; 32]);
        let one = bytes(START_PATH, "relay.example", 1);
        assert!(one.starts_with(b"spoolway-v1-pair\0/pair/v1/start\0relay.example\0\x07"));
        for other in [
            bytes(STEP_PATH, "relay.example", 1),
            bytes(START_PATH, "relay.example", 2),
            bytes(START_PATH, "relay.exampl", 1),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn texts_of_a_machine_cannot_draw_and_have_an_end() {
        let info = PairInfo { host: "a\x1b[2J\nb ".into(), printer: "x".repeat(900), ..PairInfo::default() };
        let cleaned = info.cleaned();
        assert_eq!((cleaned.host.as_str(), cleaned.printer.len()), ("a[2Jb", PAIR_INFO_CHARS));
    }

    #[test]
    fn bodies_of_today_are_read_and_what_is_new_is_left_alone() {
        let step = r#"{"pair_id":"p","say":"reveal","nonce":"AQI=","later":1}"#;
        let step: PairStep = serde_json::from_str(step).unwrap();
        assert_eq!((step.say, step.nonce), (PairSay::Reveal, Some(B64(vec![1, 2]))));
        let view: PairView = serde_json::from_str(r#"{"state":"postponed"}"#).unwrap();
        assert_eq!(view.state, PairState::Unknown("postponed".into()));
        assert!(serde_json::from_str::<PairClaim>(r#"{"code":"K7QX-M4TD"}"#).is_err(), "no nonce");
    }
}
