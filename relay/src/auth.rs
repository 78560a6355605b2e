//! Proofs of identity: an agent's signature over its hello, a backend's secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, UnparsedPublicKey};
use sha2::{Digest, Sha256};
use spoolway_protocol::hello::signed_bytes;
use spoolway_protocol::pairing::pair_signed_bytes;
use spoolway_protocol::{AgentId, BackendId};
use spoolway_relay_registry::BackendRecord;

use crate::desk::BackendTable;
use crate::session::Claim;

/// Bytes of a backend's secret.
const SECRET_BYTES: usize = 32;

/// What a signature has to cover besides the hello itself.
#[derive(Clone, Copy)]
pub(crate) struct Channel<'a> {
    /// The challenge's nonce.
    pub nonce: &'a [u8],
    /// The host name that the agent dialled.
    pub host: &'a str,
    /// Keying material exported from this TLS session.
    pub exporter: &'a [u8],
}

/// Whether `key` (Ed25519, RFC 8032) signed this hello for this channel.
pub(crate) fn is_signed_by(claim: &Claim, channel: Channel<'_>, key: &[u8; 32]) -> bool {
    let digest: [u8; 32] = Sha256::digest(claim.signed.as_bytes()).into();
    let signed = signed_bytes(channel.nonce, channel.host, Some(channel.exporter), &digest);
    UnparsedPublicKey::new(&ED25519, key).verify(&signed, &claim.sig).is_ok()
}

/// Whether `key` signed this request of a pairing, for this path, host and TLS session.
pub fn is_pairing_signed(
    path: &str,
    host: &str,
    exporter: &[u8],
    body: &str,
    sig: &[u8],
    key: &[u8; 32],
) -> bool {
    let digest: [u8; 32] = Sha256::digest(body.as_bytes()).into();
    let signed = pair_signed_bytes(path, host, exporter, &digest);
    UnparsedPublicKey::new(&ED25519, key).verify(&signed, sig).is_ok()
}

/// The agent that a first public key names: 128 bits of its SHA-256.
pub fn agent_id_of(public_key: &[u8; 32]) -> AgentId {
    let digest: [u8; 32] = Sha256::digest(public_key).into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    AgentId::from_bytes(id)
}

/// Whose secret an `Authorization: Bearer <id>.<secret>` header says that it is.
pub(crate) fn claimed_backend(header: &str) -> Option<BackendId> {
    let (_, token) = header.split_once(' ')?;
    // An id may hold dots, a secret holds none.
    token.trim().rsplit_once('.')?.0.parse().ok()
}

/// The backend that an `Authorization: Bearer <id>.<secret>` header proves, unless it is revoked.
pub(crate) fn backend_of<'a>(header: &str, backends: &'a BackendTable) -> Option<&'a BackendRecord> {
    let (scheme, token) = header.split_once(' ')?;
    let (_, secret) = token.trim().rsplit_once('.')?;
    let backend = claimed_backend(header).and_then(|id| backends.get(&id));
    // An unknown name costs the same time as a wrong secret.
    let expected = backend.map_or([0; 32], |backend| backend.secret_hash);
    let equal = is_equal(&hash_of_secret(secret), &expected);
    backend.filter(|backend| equal && backend.revoked_ms.is_none() && scheme.eq_ignore_ascii_case("bearer"))
}

/// A new secret of 256 random bits, as text.
///
/// # Errors
/// The system has no randomness.
pub fn new_secret() -> Result<String, ring::error::Unspecified> {
    Ok(URL_SAFE_NO_PAD.encode(random::<SECRET_BYTES>()?))
}

/// What the registry keeps of a secret. It has 256 random bits, so a plain hash cannot be searched.
pub fn hash_of_secret(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Random bytes.
///
/// # Errors
/// The system has no randomness.
pub fn random<const N: usize>() -> Result<[u8; N], ring::error::Unspecified> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes)?;
    Ok(bytes)
}

/// Takes the same time wherever the two differ.
fn is_equal(one: &[u8; 32], two: &[u8; 32]) -> bool {
    let differ = one.iter().zip(two).fold(0, |differ, (one, two)| differ | (one ^ two));
    std::hint::black_box(differ) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(revoked_ms: Option<u64>) -> BackendTable {
        let id: BackendId = "farm.north".parse().unwrap();
        let record = BackendRecord {
            id: id.clone(),
            organisation: "org".into(),
            name: String::new(),
            secret_hash: hash_of_secret("s3cret"),
            revoked_ms,
        };
        BackendTable::from([(id, record)])
    }

    #[test]
    fn only_the_right_secret_of_a_known_backend_counts() {
        let backends = table(None);
        assert_eq!(backend_of("Bearer farm.north.s3cret", &backends).unwrap().id.as_str(), "farm.north");
        assert!(backend_of("bearer farm.north.s3cret", &backends).is_some());
        for bad in [
            "",
            "Bearer",
            "Bearer farm.north.",
            "Bearer farm.north.S3cret",
            "Basic farm.north.s3cret",
            "Bearer x.s3cret",
        ] {
            assert!(backend_of(bad, &backends).is_none(), "{bad}");
        }
        assert!(backend_of("Bearer farm.north.s3cret", &table(Some(1))).is_none());
    }

    #[test]
    fn secrets_are_long_and_differ() {
        let (one, two) = (new_secret().unwrap(), new_secret().unwrap());
        assert_eq!(URL_SAFE_NO_PAD.decode(&one).unwrap().len(), SECRET_BYTES);
        assert!(one != two && !one.contains('.'));
    }

    #[test]
    fn the_last_bit_counts() {
        let mut two = [7; 32];
        assert!(is_equal(&[7; 32], &two));
        two[31] ^= 0x80;
        assert!(!is_equal(&[7; 32], &two));
    }
}
