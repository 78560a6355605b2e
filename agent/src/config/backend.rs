//! The public keys of the owning backend, which say whose permits are taken, and whether its starts need one.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use spoolway_protocol::ids::KeyId;

use crate::identity::key_id;

/// Bytes of an Ed25519 public key (RFC 8032).
const KEY_BYTES: usize = 32;

/// The owning backend's keys, and whether its starts need them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backend {
    /// The key that signs permits.
    pub key: Option<BackendKey>,
    /// The one that will take its place: both are taken until the first is removed.
    pub next_key: Option<BackendKey>,
    /// Whether a start of the backend needs a permit.
    pub permits: PermitRule,
    /// Whether it may have the records of its prints that failed.
    pub records: bool,
}

impl Backend {
    /// The keys that are set.
    pub fn keys(&self) -> impl Iterator<Item = BackendKey> {
        self.key.into_iter().chain(self.next_key)
    }

    /// Whether a start of the backend is refused without a permit.
    #[must_use]
    pub fn requires_permits(&self) -> bool {
        match self.permits {
            PermitRule::Auto => self.keys().next().is_some(),
            PermitRule::Required => true,
            PermitRule::Optional => false,
        }
    }
}

/// Whether a start of the backend needs a permit. One that is given has to be good in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PermitRule {
    /// Once a key of the backend is known.
    #[default]
    Auto,
    /// Always.
    Required,
    /// Never.
    Optional,
}

impl PermitRule {
    /// Every rule with its word.
    pub const WORDS: [(&'static str, Self); 3] =
        [("auto", Self::Auto), ("required", Self::Required), ("optional", Self::Optional)];

    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Required => "required",
            Self::Optional => "optional",
        }
    }
}

/// An Ed25519 public key in base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackendKey([u8; KEY_BYTES]);

impl BackendKey {
    /// The name by which a permit says that this key signed it.
    #[must_use]
    pub fn kid(&self) -> KeyId {
        key_id(&self.0)
    }

    /// Whether the signature of these bytes is this key's.
    #[must_use]
    pub fn verifies(&self, bytes: &[u8], sig: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(bytes, sig).is_ok()
    }
}

impl From<[u8; KEY_BYTES]> for BackendKey {
    fn from(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }
}

/// A text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an Ed25519 public key: {KEY_BYTES} bytes in base64")]
pub struct BackendKeyError;

impl FromStr for BackendKey {
    type Err = BackendKeyError;

    fn from_str(text: &str) -> Result<Self, BackendKeyError> {
        let bytes = STANDARD.decode(text).map_err(|_| BackendKeyError)?;
        bytes.try_into().map(Self).map_err(|_| BackendKeyError)
    }
}

impl fmt::Display for BackendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    #[test]
    fn a_key_is_read_written_and_verifies() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
        let text = STANDARD.encode(pair.public_key().as_ref());
        let key: BackendKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        let sig = pair.sign(b"bytes");
        assert!(key.verifies(b"bytes", sig.as_ref()) && !key.verifies(b"Bytes", sig.as_ref()));
        assert!(!key.verifies(b"bytes", &[]));
        assert!(key.kid().as_str().starts_with('k') && key.kid().as_str().len() == 17);
    }

    #[test]
    fn permits_are_required_once_a_key_is_set_unless_somebody_says_otherwise() {
        let key = Some(BackendKey([1; KEY_BYTES]));
        let with =
            |key, next_key, permits| Backend { key, next_key, permits, records: false }.requires_permits();
        assert!(!with(None, None, PermitRule::Auto));
        assert!(with(key, None, PermitRule::Auto) && with(None, key, PermitRule::Auto));
        assert!(with(None, None, PermitRule::Required));
        assert!(!with(key, key, PermitRule::Optional));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "k1", "AAAA", &"A".repeat(200)] {
            assert_eq!(text.parse::<BackendKey>(), Err(BackendKeyError), "{text}");
        }
    }
}
