//! Whether a key follows another one, by the word of both: what an agent shows of its keys, and nobody has to be believed for.

use ring::signature::{ED25519, UnparsedPublicKey};
use spoolway_protocol::AgentId;
use spoolway_protocol::identity::{KEY_LINKS, KeyLink, Lineage, link_bytes};
use spoolway_relay::auth::agent_id_of;
use spoolway_relay_registry::keys::PublicKey;

/// The key that follows `old`, when both have signed that.
pub fn followed_by(agent: &AgentId, old: &PublicKey, link: &KeyLink) -> Option<PublicKey> {
    let new = PublicKey::try_from(link.pubkey.0.as_slice()).ok()?;
    let signed = link_bytes(agent, old, &new);
    let is_signed =
        |key: &PublicKey, sig: &[u8]| UnparsedPublicKey::new(&ED25519, key).verify(&signed, sig).is_ok();
    (is_signed(old, &link.sig_old.0) && is_signed(&new, &link.sig_new.0)).then_some(new)
}

/// The agent that a key belongs to, and the keys that it has followed: without a lineage it is the agent's first one.
///
/// `None` when the lineage does not lead to the key.
pub fn agent_of(key: &PublicKey, lineage: Option<&Lineage>) -> Option<(AgentId, Vec<PublicKey>)> {
    let Some(lineage) = lineage else { return Some((agent_id_of(key), Vec::new())) };
    let mut last = PublicKey::try_from(lineage.first.0.as_slice()).ok()?;
    let (agent, mut before) = (agent_id_of(&last), Vec::new());
    for link in lineage.links.get(..lineage.links.len().min(KEY_LINKS + 1))? {
        before.push(last);
        last = followed_by(&agent, &last, link)?;
    }
    (last == *key && before.len() <= KEY_LINKS).then_some((agent, before))
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair};
    use spoolway_protocol::B64;

    use super::*;

    #[test]
    fn a_key_belongs_to_the_agent_whose_first_key_it_has_followed() {
        let pair = |seed: u8| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public = |seed: u8| PublicKey::try_from(pair(seed).public_key().as_ref()).unwrap();
        let agent = agent_id_of(&public(1));
        let link = |old: u8, new: u8| {
            let signed = link_bytes(&agent, &public(old), &public(new));
            let sig = |seed| B64(pair(seed).sign(&signed).as_ref().to_vec());
            KeyLink { pubkey: B64(public(new).to_vec()), sig_old: sig(old), sig_new: sig(new) }
        };
        let lineage = |links: &[(u8, u8)]| Lineage {
            first: B64(public(1).to_vec()),
            links: links.iter().map(|(old, new)| link(*old, *new)).collect(),
        };
        assert_eq!(agent_of(&public(1), None), Some((agent, Vec::new())));
        let whole = lineage(&[(1, 2), (2, 3)]);
        assert_eq!(agent_of(&public(3), Some(&whole)), Some((agent, vec![public(1), public(2)])));
        assert_eq!(agent_of(&public(2), Some(&whole)), None, "it leads to another key");
        assert_eq!(agent_of(&public(3), Some(&lineage(&[(2, 3)]))), None, "a link is missing");
        let mut forged = whole.clone();
        forged.links[1].sig_old.0[5] ^= 1;
        assert_eq!(agent_of(&public(3), Some(&forged)), None);
        let mut unproven = whole;
        unproven.links[1].sig_new = unproven.links[1].sig_old.clone();
        assert_eq!(agent_of(&public(3), Some(&unproven)), None, "the new key has not signed");
        let steps: Vec<_> = (1..=KEY_LINKS as u8 + 1).map(|n| (n, n + 1)).collect();
        let longest = lineage(&steps[..KEY_LINKS]);
        assert!(agent_of(&public(KEY_LINKS as u8 + 1), Some(&longest)).is_some());
        assert_eq!(agent_of(&public(KEY_LINKS as u8 + 2), Some(&lineage(&steps))), None, "too long");
    }
}
