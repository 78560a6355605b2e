//! How a backend signs permits and commands: a key of its own, and a signature over the very bytes that it sends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha2::{Digest, Sha256};
use spoolway_protocol::command::Command;
use spoolway_protocol::hello::attach_signature;
use spoolway_protocol::{AgentId, SignedPermit};

/// A backend's key. No `Debug`: it holds a secret.
pub struct Signer(Ed25519KeyPair);

impl Signer {
    /// A new key.
    ///
    /// # Panics
    /// The system gives no random bytes.
    #[must_use]
    pub fn new() -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("the system has random bytes");
        Self(Ed25519KeyPair::from_pkcs8(key.as_ref()).expect("it was made just now"))
    }

    /// The key of a seed, for examples.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(seed).expect("every 32 bytes are a seed"))
    }

    /// What stands in the agent's configuration.
    #[must_use]
    pub fn public_key(&self) -> String {
        STANDARD.encode(self.0.public_key())
    }

    /// The name of the key.
    #[must_use]
    pub fn kid(&self) -> String {
        let digest = Sha256::digest(self.0.public_key());
        digest[..8].iter().fold("k".to_owned(), |kid, byte| kid + &format!("{byte:02x}"))
    }

    /// The body of a command for an agent, signed.
    ///
    /// # Panics
    /// The body is no object.
    #[must_use]
    pub fn sign_command(&self, agent: &AgentId, unsigned_body: &str) -> String {
        let sig = self.0.sign(&Command::signed_bytes(agent, unsigned_body));
        attach_signature(unsigned_body, sig.as_ref()).expect("a command is an object with members")
    }

    /// A permit as it travels.
    #[must_use]
    pub fn sign(&self, raw: &[u8]) -> SignedPermit {
        SignedPermit::new(raw, self.0.sign(raw).as_ref())
    }
}

impl Default for Signer {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use spoolway_agent::config::BackendKey;
    use spoolway_protocol::command::CommandArgs;
    use spoolway_protocol::hello::split_signature;
    use spoolway_protocol::usage::JobUsage;
    use spoolway_protocol::{Envelope, Message, Permit};

    use super::*;

    const VECTOR: &str = include_str!("../../protocol/vectors/v1/cmd.job.start.json");
    const USAGE: &str = include_str!("../../protocol/vectors/v1/event.job.usage.json");

    #[test]
    fn the_golden_permit_is_signed_by_the_key_of_the_example() {
        let seed: [u8; 32] = std::array::from_fn(|at| at as u8);
        let signer = Signer::from_seed(&seed);
        let Ok(Message::Cmd(command)) = Envelope::parse(VECTOR.trim()).unwrap().message() else { panic!() };
        let Ok(CommandArgs::JobStart(start)) = command.decode() else { panic!() };
        let signed = start.permit.unwrap();
        assert_eq!(signer.sign(&signed.raw.0), signed);
        let permit = Permit::parse(&signed.raw.0).unwrap();
        assert_eq!((permit.kid.as_str(), permit.to_bytes()), (signer.kid().as_str(), signed.raw.0.clone()));
        let key: BackendKey = signer.public_key().parse().unwrap();
        assert_eq!(key.kid(), permit.kid);
        assert!(key.verifies(&signed.raw.0, &signed.sig.0));
    }

    #[test]
    fn the_golden_usage_record_is_signed_by_the_key_that_it_names() {
        let signer = Signer::from_seed(&std::array::from_fn(|at| 32 + at as u8));
        let Ok(Message::Events(events)) = Envelope::parse(USAGE.trim()).unwrap().message() else { panic!() };
        let data = events.items[0].data.get();
        let (unsigned, sig) = split_signature(data).unwrap();
        assert!(unsigned.contains(&format!(r#""kid":"{}""#, signer.kid())));
        let key: BackendKey = signer.public_key().parse().unwrap();
        assert!(key.verifies(&JobUsage::signed_bytes(&unsigned), &sig));
    }
}
