//! Four words for two people to compare, from the keys and random numbers of both ends.

use crate::ids::BackendId;

/// 2,048 English words of three to eight letters, of which no two begin with the same four: the list of BIP-39 (MIT licence).
const WORDS: &str = include_str!("words.txt");
/// Bits that choose a word.
const BITS: usize = 11;
const DOMAIN: &[u8] = b"spoolway-v1-words\0";

/// The bytes whose SHA-256 chooses the words: domain, agent's key, agent's random number, backend's random number, the number of its
/// keys as one byte, the keys, the backend's id.
///
/// Everything before the keys has a fixed length (32 bytes each), so no two sets of values give the same bytes.
#[must_use]
pub fn fingerprint_bytes(
    agent: (&[u8; 32], &[u8; 32]),
    backend: (&BackendId, &[u8; 32]),
    keys: &[[u8; 32]],
) -> Vec<u8> {
    let (agent_key, agent_nonce) = agent;
    let (id, backend_nonce) = backend;
    let count = [u8::try_from(keys.len()).unwrap_or(u8::MAX)];
    [DOMAIN, agent_key, agent_nonce, backend_nonce, &count, keys.as_flattened(), id.as_str().as_bytes()]
        .concat()
}

/// The words that the first 44 bits of a digest choose.
#[must_use]
pub fn words_of(digest: &[u8; 32]) -> [&'static str; 4] {
    let bits = digest[..8].iter().fold(0_u64, |bits, &byte| bits << 8 | u64::from(byte));
    std::array::from_fn(|at| {
        let index = bits >> (64 - BITS * (at + 1)) & ((1 << BITS) - 1);
        WORDS.lines().nth(index as usize).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_list_is_whole_and_its_words_cannot_be_mistaken() {
        let words: Vec<_> = WORDS.lines().collect();
        assert_eq!(words.len(), 1 << BITS);
        assert!(words.is_sorted() && words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase())));
        let heads: BTreeSet<_> = words.iter().map(|word| &word[..word.len().min(4)]).collect();
        assert_eq!(heads.len(), words.len());
    }

    #[test]
    fn each_word_comes_from_eleven_bits() {
        let mut digest = [0; 32];
        assert_eq!(words_of(&digest), ["abandon"; 4]);
        digest.fill(0xff);
        assert_eq!(words_of(&digest), ["zoo"; 4]);
        // 00000000001 00000000010 00000000011 00000000100, and what follows does not matter.
        let head: u64 = 0b00000000001_00000000010_00000000011_00000000100 << 20 | 0xfffff;
        digest[..8].copy_from_slice(&head.to_be_bytes());
        assert_eq!(words_of(&digest), ["ability", "able", "about", "above"]);
    }

    #[test]
    fn every_value_is_part_of_the_fingerprint() {
        let id: BackendId = "farm".parse().unwrap();
        let other: BackendId = "farn".parse().unwrap();
        let base = fingerprint_bytes((&[1; 32], &[2; 32]), (&id, &[3; 32]), &[[4; 32]]);
        for changed in [
            fingerprint_bytes((&[9; 32], &[2; 32]), (&id, &[3; 32]), &[[4; 32]]),
            fingerprint_bytes((&[1; 32], &[9; 32]), (&id, &[3; 32]), &[[4; 32]]),
            fingerprint_bytes((&[1; 32], &[2; 32]), (&other, &[3; 32]), &[[4; 32]]),
            fingerprint_bytes((&[1; 32], &[2; 32]), (&id, &[9; 32]), &[[4; 32]]),
            fingerprint_bytes((&[1; 32], &[2; 32]), (&id, &[3; 32]), &[[9; 32]]),
            fingerprint_bytes((&[1; 32], &[2; 32]), (&id, &[3; 32]), &[]),
        ] {
            assert_ne!(base, changed);
        }
    }
}
