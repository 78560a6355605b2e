//! How an agent changes its key: a statement that both keys have signed, to the relay over HTTPS and to the owner as an event.
//!
//! An agent's id is that of its first key and stays; its keys follow one another by [`KeyLink`]s. `docs/backend-guide.md` says what a
//! backend does with them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, KeyId};
use crate::raw::{B64, Extra};

/// Where an agent tells its relay of a new key, in the way of [`pairing`](crate::pairing): a signed body by `POST`.
pub const ROTATE_PATH: &str = "/pair/v1/rotate";
/// How long the key before is still good, in ms.
pub const OVERLAP_MS: u64 = 7 * 24 * 3_600_000;
/// Keys that may follow the first one.
pub const KEY_LINKS: usize = 24;

/// What both keys sign begins with it.
const DOMAIN: &[u8] = b"spoolway-v1-rotate\0";

/// The bytes that the old and the new key sign: domain, agent, old key, new key.
#[must_use]
pub fn link_bytes(agent: &AgentId, old: &[u8; 32], new: &[u8; 32]) -> Vec<u8> {
    [DOMAIN, agent.as_bytes(), old, new].concat()
}

/// A key that follows another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyLink {
    /// The new public key (Ed25519), 32 bytes.
    pub pubkey: B64,
    /// Signature of the old key over [`link_bytes`].
    pub sig_old: B64,
    /// Signature of the new key over the same.
    pub sig_new: B64,
}

/// An agent's keys from the first one on. The agent's id is the head of the first one's SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lineage {
    /// The first public key, 32 bytes.
    pub first: B64,
    /// Those that have followed, each signed by the one before; at most [`KEY_LINKS`].
    pub links: Vec<KeyLink>,
}

/// Body with which an agent tells its relay of a new key, signed with the new one. A second time changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rotate {
    /// The agent.
    pub agent_id: AgentId,
    /// The key until now, 32 bytes.
    pub pubkey_old: B64,
    /// The new key.
    pub link: KeyLink,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Answer: the new key is the agent's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rotated {
    /// The agent.
    pub agent_id: AgentId,
    /// Until when the old key is good, unix ms of the relay; absent when it is not known there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_until_ms: Option<u64>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `identity.rotate`: make a new key. Not idempotent. The private key never leaves the device, so it needs no signature.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RotateArgs {
    /// For a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `identity.changed`: the agent signs with another key from here on. It may be told twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IdentityChanged {
    /// The name of the key until now.
    pub kid_old: KeyId,
    /// The name of the new one, as it stands in `hello` and in `job.usage`.
    pub kid: KeyId,
    /// The key until now, 32 bytes.
    pub pubkey_old: B64,
    /// The new key, signed by both: whoever knows the old one need not believe anybody else.
    pub link: KeyLink,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_names_the_agent_and_both_keys_in_their_order() {
        let agent = AgentId::from_bytes([1; 16]);
        let bytes = link_bytes(&agent, &[2; 32], &[3; 32]);
        assert_eq!(bytes, [b"spoolway-v1-rotate\0".as_slice(), &[1; 16], &[2; 32], &[3; 32]].concat());
        assert_ne!(bytes, link_bytes(&agent, &[3; 32], &[2; 32]));
    }

    #[test]
    fn the_longest_lineage_has_room_in_a_request() {
        let link = KeyLink { pubkey: B64(vec![1; 32]), sig_old: B64(vec![2; 64]), sig_new: B64(vec![3; 64]) };
        let lineage = Lineage { first: B64(vec![0; 32]), links: vec![link; KEY_LINKS] };
        let bytes = serde_json::to_vec(&lineage).map(|text| text.len()).unwrap_or(usize::MAX);
        // What else stands in it is the machine's description, a key, a digest and the signature.
        assert!(bytes + 1_200 < crate::pairing::PAIR_BODY_BYTES, "{bytes}");
    }
}
