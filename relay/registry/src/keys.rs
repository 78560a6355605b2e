//! The keys of one agent: the one it has, and those before. Pure: what was signed is checked before, and the time is told.
//!
//! What has to hold: a key that was replaced never becomes the agent's again by its own word; only the key that the agent has can be
//! followed by another one; whoever says the same twice hears the same.

use sha2::{Digest, Sha256};
use spoolway_protocol::identity::{KEY_LINKS, OVERLAP_MS};

/// A public key (Ed25519).
pub type PublicKey = [u8; 32];

/// The name of a public key, as a hello says it: `k` and the first 16 hexadecimal digits of its SHA-256.
pub fn kid_of(public_key: &PublicKey) -> String {
    let digits: String = Sha256::digest(public_key)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("k{digits}")
}

/// A key that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldKey {
    /// The key.
    pub key: PublicKey,
    /// When it was replaced, unix ms.
    pub replaced_ms: u64,
    /// Until when it is good, unix ms.
    pub until_ms: u64,
}

/// All keys of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The one it has.
    pub current: PublicKey,
    /// Those before, the oldest first.
    pub old: Vec<OldKey>,
}

/// What a key is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// It is the agent's.
    Current,
    /// It was replaced and is still good.
    Overlap,
    /// It was replaced, and its time is over.
    Retired,
    /// It is none of the agent's.
    Foreign,
}

/// What became of a new key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is the agent's from now on.
    Changed,
    /// It was before.
    Known,
}

/// Why a new key was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    /// It follows a key that was replaced by another one.
    #[error("this key was replaced by another one; only the agent's newest key can be followed by a new one")]
    Replaced,
    /// It was the agent's before.
    #[error("a key that was replaced does not come back")]
    Used,
    /// It follows a key that is none of the agent's.
    #[error("the new key follows one that is not known here")]
    Foreign,
}

impl Keys {
    /// What a key is worth now.
    pub fn worth(&self, key: &PublicKey, now_ms: u64) -> Worth {
        match self.old_key(key) {
            _ if *key == self.current => Worth::Current,
            Some(old) if now_ms < old.until_ms => Worth::Overlap,
            Some(_) => Worth::Retired,
            None => Worth::Foreign,
        }
    }

    /// A key that was replaced.
    pub fn old_key(&self, key: &PublicKey) -> Option<&OldKey> {
        self.old.iter().find(|old| old.key == *key)
    }

    /// `new` follows `old`: both have signed that, and `new` this request.
    ///
    /// # Errors
    /// Nothing has changed.
    pub fn take(&mut self, now_ms: u64, old: &PublicKey, new: &PublicKey) -> Result<Taken, KeyRefused> {
        if *new == self.current {
            return Ok(Taken::Known);
        }
        if self.old_key(new).is_some() {
            return Err(KeyRefused::Used);
        }
        if *old != self.current {
            return Err(if self.old_key(old).is_some() { KeyRefused::Replaced } else { KeyRefused::Foreign });
        }
        self.replace(now_ms, new, OVERLAP_MS);
        Ok(Taken::Changed)
    }

    /// Another key is the agent's; the one before is good for so long.
    pub fn replace(&mut self, now_ms: u64, new: &PublicKey, overlap_ms: u64) {
        let until_ms = now_ms.saturating_add(overlap_ms);
        self.old.push(OldKey { key: self.current, replaced_ms: now_ms, until_ms });
        self.old.drain(..self.old.len().saturating_sub(KEY_LINKS));
        self.current = *new;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 24 * 3_600_000;

    fn keys(current: u8) -> Keys {
        Keys { current: [current; 32], old: Vec::new() }
    }

    #[test]
    fn both_keys_are_good_for_seven_days_and_then_one() {
        let mut keys = keys(1);
        assert_eq!(keys.take(DAY_MS, &[1; 32], &[2; 32]), Ok(Taken::Changed));
        assert_eq!(keys.take(9 * DAY_MS, &[1; 32], &[2; 32]), Ok(Taken::Known), "the answer was lost");
        let worth = |now_ms| [1, 2, 3].map(|key| keys.worth(&[key; 32], now_ms));
        assert_eq!(worth(8 * DAY_MS - 1), [Worth::Overlap, Worth::Current, Worth::Foreign]);
        assert_eq!(worth(8 * DAY_MS), [Worth::Retired, Worth::Current, Worth::Foreign]);
    }

    #[test]
    fn a_key_that_was_replaced_is_followed_by_none_and_does_not_come_back() {
        let mut keys = keys(1);
        keys.take(0, &[1; 32], &[2; 32]).unwrap();
        let before = keys.clone();
        // In the overlap as well: it may have been stolen.
        assert_eq!(keys.take(1, &[1; 32], &[9; 32]), Err(KeyRefused::Replaced));
        assert_eq!(keys.take(1, &[2; 32], &[1; 32]), Err(KeyRefused::Used));
        assert_eq!(keys.take(1, &[8; 32], &[9; 32]), Err(KeyRefused::Foreign));
        assert_eq!(keys, before);
    }

    #[test]
    fn so_many_old_keys_are_kept() {
        let mut keys = keys(0);
        for n in 1..100_u8 {
            keys.take(u64::from(n), &[n - 1; 32], &[n; 32]).unwrap();
        }
        assert_eq!((keys.old.len(), keys.old[0].key), (KEY_LINKS, [99 - KEY_LINKS as u8; 32]));
        assert_eq!(keys.worth(&[3; 32], 100), Worth::Foreign);
    }
}
