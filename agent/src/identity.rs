//! Who this agent is: an Ed25519 key in a folder of its own, those that it has followed, and a counter that tells a copied key apart.
//!
//! | file | holds |
//! |---|---|
//! | `agent.p8` | the key that signs |
//! | `keys.json` | the first public key and how the others have followed it, and what of a change is still to be done; absent before the first |
//! | `next.p8` | the key that is to follow |
//! | `hello_ctr` | the counter of the last login |

mod files;
mod keys;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha2::{Digest, Sha256};
use spoolway_agent_core::rotation::OnDisk;
use spoolway_protocol::identity::{IdentityChanged, KeyLink, Lineage, Rotate};
use spoolway_protocol::ids::KeyId;
use spoolway_protocol::{AgentId, B64};

use keys::Kept;

pub(crate) use files::{give_to_owner_of, replace, sync_folder};

/// The folder of key and pairing, within the state folder.
pub(crate) const FOLDER: &str = "identity";
/// PKCS#8 (RFC 8410) in DER.
const KEY: &str = "agent.p8";
const NEXT: &str = "next.p8";
const KEYS: &str = "keys.json";
const COUNTER: &str = "hello_ctr";

/// Why the agent's key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenIdentityError {
    /// The folder or file cannot be read or made.
    #[error("{}: {source}", path.display())]
    Io {
        /// What could not be used.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others than the owner can read the key.
    #[error("{}: the agent's private key has mode {mode:04o} and can be read by others than its owner", path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not an Ed25519 key.
    #[error("{}: not an Ed25519 key in PKCS#8: {reason}", path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: ring::error::KeyRejected,
    },
    /// The file that says how the keys have followed one another cannot be used.
    #[error("{}: {reason}", path.display())]
    BadKeys {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The system gave no random bytes.
    #[error("no key could be made: the system gives no random bytes")]
    NoRandom,
}

impl OpenIdentityError {
    /// What to try.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "Run this as the agent's own user, or as root (sudo).".to_owned()
            }
            Self::Io { .. } => "Check that the state folder exists, can be written and has room.".to_owned(),
            Self::TooOpen { path, .. } => format!(
                "If nobody else can have read it, `chmod 600 {}`; else remove it and register the new key at the relay.",
                path.display()
            ),
            Self::BadKey { .. } => {
                "Put the file back from a backup, or remove it and register the new key at the relay."
                    .to_owned()
            }
            Self::BadKeys { .. } => {
                "Put the identity folder back from a backup as a whole, or say `sudo spoolway-agent forget` and pair anew.".to_owned()
            }
            Self::NoRandom => "Try again once the machine is fully up.".to_owned(),
        }
    }
}

/// One key. No `Debug`: it holds a secret.
pub struct Key {
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl Key {
    fn read(path: &Path) -> Result<Self, OpenIdentityError> {
        let pair = Ed25519KeyPair::from_pkcs8(&files::read_key(path)?)
            .map_err(|reason| OpenIdentityError::BadKey { path: path.to_owned(), reason })?;
        let public = pair.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes");
        Ok(Self { pair, public })
    }

    /// Its 32 public bytes.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Its name: `k` and the first 16 hexadecimal digits of its SHA-256.
    #[must_use]
    pub fn kid(&self) -> KeyId {
        key_id(&self.public)
    }

    /// Ed25519 signature, 64 bytes (RFC 8032).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

/// The agent's keys. No `Debug`: it holds secrets.
pub struct Identity {
    agent_id: AgentId,
    folder: PathBuf,
    keys: RwLock<Keys>,
    counter: Mutex<u64>,
}

/// The key that signs, and what is kept of all of them.
struct Keys {
    current: Arc<Key>,
    next: Option<Arc<Key>>,
    kept: Kept,
}

impl Identity {
    /// Opens the identity in the state folder; the first time it is made. A change of the key that was cut short is brought to its end.
    ///
    /// # Errors
    /// The key cannot be read or made, is open to others, or is no key.
    pub fn open(state_dir: &Path) -> Result<Self, OpenIdentityError> {
        let folder = state_dir.join(FOLDER);
        let path = folder.join(KEY);
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenIdentityError::Io { path, source }
        };
        let current = match Key::read(&path) {
            Err(OpenIdentityError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                files::make_folder(state_dir, &folder).map_err(at(&folder))?;
                files::make_key(&path)?;
                Key::read(&path)?
            }
            key => key?,
        };
        let counter = files::read_counter(&folder.join(COUNTER)).map_err(at(&folder.join(COUNTER)))?;
        let keys = Keys::open(&folder, current)?;
        let agent_id = agent_id_of(&keys.kept.lineage.first.0);
        Ok(Self { agent_id, folder, keys: RwLock::new(keys), counter: Mutex::new(counter) })
    }

    /// The identity in the state folder, if there is one that can be read; none is made.
    #[must_use]
    pub fn find(state_dir: &Path) -> Option<Self> {
        Self::look(state_dir)?.ok()
    }

    /// The identity in the state folder, or why it cannot be used; nothing when there is none, and none is made.
    #[must_use]
    pub fn look(state_dir: &Path) -> Option<Result<Self, OpenIdentityError>> {
        state_dir.join(FOLDER).join(KEY).exists().then(|| Self::open(state_dir))
    }

    /// First 128 bits of the SHA-256 of the first public key; whatever key follows it, the agent stays the same.
    #[must_use]
    pub const fn agent_id(&self) -> AgentId {
        self.agent_id
    }

    /// The key that signs. Whoever needs its name along with its signature asks once.
    #[must_use]
    pub fn key(&self) -> Arc<Key> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner).current)
    }

    /// Its 32 public bytes.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        *self.key().public()
    }

    /// The public bytes in base64 with padding.
    #[must_use]
    pub fn public_key_b64(&self) -> String {
        STANDARD.encode(self.key().public())
    }

    /// How the key has followed from the first one; nothing when it is that one.
    #[must_use]
    pub fn lineage(&self) -> Option<Lineage> {
        let lineage = &self.keys.read().unwrap_or_else(PoisonError::into_inner).kept.lineage;
        (!lineage.links.is_empty()).then(|| lineage.clone())
    }

    /// How far a change of the key has come.
    #[must_use]
    pub fn on_disk(&self) -> OnDisk {
        let kept = &self.keys.read().unwrap_or_else(PoisonError::into_inner).kept;
        OnDisk {
            links: kept.lineage.links.len(),
            since_ms: kept.since_ms,
            is_prepared: kept.next.is_some(),
            is_untold: kept.is_untold,
        }
    }

    /// Makes the next key, and has both sign that it follows. It is on the disk afterwards.
    ///
    /// # Errors
    /// There is no randomness, or the disk does not take it.
    pub fn prepare(&self) -> Result<(), OpenIdentityError> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).prepare(&self.folder, &self.agent_id)
    }

    /// What is said to a relay of the key that is prepared, and with which key.
    #[must_use]
    pub fn offer_next(&self) -> Option<(Arc<Key>, Rotate)> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let (next, link) = keys.next.clone().zip(keys.kept.next.clone())?;
        Some((next, self.rotate(B64(keys.kept.current().to_vec()), link)))
    }

    /// The same of the last change.
    #[must_use]
    pub fn offer_last(&self) -> Option<(Arc<Key>, Rotate)> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let link = keys.kept.lineage.links.last()?.clone();
        Some((Arc::clone(&keys.current), self.rotate(B64(keys.kept.before()?.to_vec()), link)))
    }

    fn rotate(&self, pubkey_old: B64, link: KeyLink) -> Rotate {
        Rotate { agent_id: self.agent_id, pubkey_old, link, extra: Default::default() }
    }

    /// The key that is prepared is the agent's since this time, unix ms: that is what the disk says afterwards. The one before still signs.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn switch(&self, since_ms: u64) -> io::Result<()> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).switch(&self.folder, since_ms)
    }

    /// What the owner has to be told of the last change.
    #[must_use]
    pub fn changed(&self) -> Option<IdentityChanged> {
        let kept = &self.keys.read().unwrap_or_else(PoisonError::into_inner).kept;
        let (link, before) = (kept.lineage.links.last()?.clone(), kept.before()?);
        Some(IdentityChanged {
            kid_old: key_id(before),
            kid: key_id(&link.pubkey.0),
            pubkey_old: B64(before.to_vec()),
            link,
            extra: Default::default(),
        })
    }

    /// The owner was told: the new key signs from now on.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn adopt(&self) -> Result<(), OpenIdentityError> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).adopt(&self.folder)
    }

    /// The greatest counter that a hello has had; it is about the time of the last login, in unix milliseconds.
    #[must_use]
    pub fn last_hello_ctr(&self) -> u64 {
        *self.counter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counter of the next hello: more than in every one before, and not less than the time.
    ///
    /// It is on the disk before it is given out. A disk that cannot be written does not keep the agent from its
    /// relay: the counter then still rises in memory, and the time carries it over a restart.
    #[must_use]
    pub fn next_hello_ctr(&self, now_unix_ms: u64) -> u64 {
        let mut counter = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        let next = counter.saturating_add(1).max(now_unix_ms);
        *counter = next;
        let path = self.folder.join(COUNTER);
        if let Err(error) = files::replace(&path, next.to_string().as_bytes()) {
            tracing::warn!(path = %path.display(), %error, "the login counter could not be written");
        }
        next
    }
}

fn agent_id_of(first: &[u8]) -> AgentId {
    let digest = Sha256::digest(first);
    AgentId::from_bytes(std::array::from_fn(|at| digest[at]))
}

/// The name of a public key: `k` and the first 16 hexadecimal digits of its SHA-256.
#[must_use]
pub fn key_id(public_key: &[u8]) -> KeyId {
    let digits: String = Sha256::digest(public_key)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    KeyId::new(format!("k{digits}")).expect("17 ASCII letters and digits are a name")
}

#[cfg(test)]
mod tests;
