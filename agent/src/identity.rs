//! Who this agent is: an Ed25519 key in a folder of its own, and a counter that tells a copied key apart.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::process::{Gid, Uid, geteuid};
use sha2::{Digest, Sha256};
use spoolway_protocol::AgentId;
use spoolway_protocol::ids::KeyId;

/// The folder of key and pairing, within the state folder.
pub(crate) const FOLDER: &str = "identity";
/// PKCS#8 (RFC 8410) in DER.
const KEY: &str = "agent.p8";
const COUNTER: &str = "hello_ctr";
/// A PKCS#8 document of an Ed25519 key has less than 100 bytes; more than this is another kind of file.
const MAX_KEY_BYTES: u64 = 4096;

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
            Self::NoRandom => "Try again once the machine is fully up.".to_owned(),
        }
    }
}

/// The agent's key. No `Debug`: it holds a secret.
pub struct Identity {
    pair: Ed25519KeyPair,
    folder: PathBuf,
    counter: Mutex<u64>,
}

impl Identity {
    /// Opens the identity in the state folder; the first time it is made.
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
        let key = match read_key(&path) {
            Err(OpenIdentityError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                make_folder(state_dir, &folder).map_err(at(&folder))?;
                make_key(&path)?;
                read_key(&path)?
            }
            key => key?,
        };
        let pair = Ed25519KeyPair::from_pkcs8(&key)
            .map_err(|reason| OpenIdentityError::BadKey { path: path.clone(), reason })?;
        let counter = read_counter(&folder.join(COUNTER)).map_err(at(&folder.join(COUNTER)))?;
        Ok(Self { pair, folder, counter: Mutex::new(counter) })
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

    /// First 128 bits of the SHA-256 of the public key.
    #[must_use]
    pub fn agent_id(&self) -> AgentId {
        let digest = self.digest();
        AgentId::from_bytes(std::array::from_fn(|at| digest[at]))
    }

    /// The key's 32 public bytes.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The public bytes in base64 with padding.
    #[must_use]
    pub fn public_key_b64(&self) -> String {
        STANDARD.encode(self.public_key())
    }

    /// The name of this key: `k` and the first 16 hexadecimal digits of its SHA-256.
    #[must_use]
    pub fn kid(&self) -> KeyId {
        key_id(self.public_key())
    }

    /// Ed25519 signature, 64 bytes (RFC 8032).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
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
        if let Err(error) = replace(&path, next.to_string().as_bytes()) {
            tracing::warn!(path = %path.display(), %error, "the login counter could not be written");
        }
        next
    }

    fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.public_key()).into()
    }
}

/// The name of a public key: `k` and the first 16 hexadecimal digits of its SHA-256.
#[must_use]
pub fn key_id(public_key: &[u8]) -> KeyId {
    let digits: String = Sha256::digest(public_key)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    KeyId::new(format!("k{digits}")).expect("17 ASCII letters and digits are a name")
}

/// Makes the folder, for its owner only. When root makes it in another user's state folder, it is that user's.
fn make_folder(state_dir: &Path, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(state_dir)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            give_to_owner_of(state_dir, folder)?;
            sync_folder(state_dir)
        }
    }
}

fn make_key(path: &Path) -> Result<(), OpenIdentityError> {
    let key =
        Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| OpenIdentityError::NoRandom)?;
    // A name of its own, so that two processes that start at once do not write into one file.
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let made = write_new(&new, key.as_ref()).and_then(|()| {
        // Two that start at once agree on one key: the second finds the first one's in place.
        match renameat_with(CWD, &new, CWD, path, RenameFlags::NOREPLACE) {
            Err(rustix::io::Errno::EXIST) => fs::remove_file(&new),
            Err(error) => Err(error.into()),
            Ok(()) => sync_folder(folder_of(path)),
        }
    });
    made.map_err(|source| OpenIdentityError::Io { path: path.to_owned(), source })
}

fn read_key(path: &Path) -> Result<Vec<u8>, OpenIdentityError> {
    let failed = |source| OpenIdentityError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // Asked of the open file, so that it cannot be exchanged in between.
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(OpenIdentityError::TooOpen { path: path.to_owned(), mode });
    }
    let mut key = Vec::new();
    file.take(MAX_KEY_BYTES).read_to_end(&mut key).map_err(failed)?;
    Ok(key)
}

/// A counter that is missing or was damaged begins anew; the time lifts it to where it was.
fn read_counter(path: &Path) -> io::Result<u64> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().parse().unwrap_or(0)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Writes a file for its owner only, whole or not at all; it is on the disk afterwards.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    write_new(&new, bytes)?;
    fs::rename(&new, path)?;
    sync_folder(folder_of(path))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a crash left behind may have other rights or another owner.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    give_to_owner_of(folder_of(path), path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// So that `sudo spoolway-agent id` before the first start leaves a key that the agent's user can read.
pub(crate) fn give_to_owner_of(model: &Path, path: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let owner = fs::metadata(model)?;
    let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    Ok(rustix::fs::chown(path, Some(user), Some(group))?)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().expect("every file here is joined to a folder")
}

pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn an_identity_is_made_once_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let first = Identity::open(&dir.path().join("deep/state")).unwrap();
        let again = Identity::open(&dir.path().join("deep/state")).unwrap();
        assert_eq!(first.agent_id(), again.agent_id());
        assert_eq!(first.kid(), again.kid());
        assert_eq!(STANDARD.decode(first.public_key_b64()).unwrap(), first.public_key());
        let other = Identity::open(dir.path()).unwrap();
        assert_ne!(first.agent_id(), other.agent_id());
        let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(dir.path().join(FOLDER)), 0o700);
        assert_eq!(mode(dir.path().join(FOLDER).join(KEY)), 0o600);
    }

    #[test]
    fn the_id_is_the_head_of_the_digest_and_signatures_fit() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::open(dir.path()).unwrap();
        assert_eq!(identity.agent_id().as_bytes()[..], Sha256::digest(identity.public_key())[..16]);
        let signature = identity.sign(b"hello");
        UnparsedPublicKey::new(&ED25519, identity.public_key()).verify(b"hello", &signature).unwrap();
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        Identity::open(dir.path()).unwrap();
        let path = dir.path().join(FOLDER).join(KEY);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Identity::open(dir.path()).err().unwrap();
        assert!(matches!(error, OpenIdentityError::TooOpen { mode: 0o640, .. }));
        assert!(error.to_string().contains("0640") && error.help().contains("chmod 600"));
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        Identity::open(dir.path()).unwrap();
        let path = dir.path().join(FOLDER).join(KEY);
        fs::write(&path, "nonsense").unwrap();
        assert!(matches!(Identity::open(dir.path()), Err(OpenIdentityError::BadKey { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"nonsense");
    }

    #[test]
    fn counters_rise_over_restarts_whatever_the_clock_says() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::open(dir.path()).unwrap();
        assert_eq!(identity.next_hello_ctr(1_000), 1_000);
        assert_eq!(identity.next_hello_ctr(1_000), 1_001);
        assert_eq!(identity.next_hello_ctr(5), 1_002);
        let again = Identity::open(dir.path()).unwrap();
        assert_eq!(again.last_hello_ctr(), 1_002);
        assert_eq!(again.next_hello_ctr(5), 1_003);
        fs::write(dir.path().join(FOLDER).join(COUNTER), "junk").unwrap();
        assert_eq!(Identity::open(dir.path()).unwrap().next_hello_ctr(7), 7);
    }
}
