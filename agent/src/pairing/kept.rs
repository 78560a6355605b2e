//! What is kept of a pairing: a file beside the key, so that whatever takes the key away takes this along.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use spoolway_protocol::BackendId;

use crate::config::{BackendKey, RelayUrl};
use crate::identity::{FOLDER, replace};

const FILE: &str = "pairing.json";
const CA_FILE: &str = "relay-ca.pem";
const VERSION: u32 = 1;

/// The relay and the backend that this agent was paired with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The relay.
    pub relay: RelayUrl,
    /// The backend that owns this agent.
    pub owner: BackendId,
    /// Its organisation.
    pub organisation: String,
    /// The keys it signs permits with.
    pub keys: Vec<BackendKey>,
    /// The relay's authority, where it came with the pairing.
    pub ca_file: Option<PathBuf>,
}

/// Why a pairing cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what this version writes.
    #[error("{}: not a pairing: {detail}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

/// When the file was written, and which one it is.
pub(super) type Stamp = (i64, i64, u64);

#[derive(Serialize, Deserialize)]
struct Text {
    v: u32,
    relay: String,
    owner: BackendId,
    organisation: String,
    keys: Vec<String>,
    /// Whether the authority lies beside this file.
    ca: bool,
}

impl Kept {
    /// What is kept, if there is anything.
    ///
    /// # Errors
    /// The file cannot be read, or is no pairing.
    pub fn read(state_dir: &Path) -> Result<Option<Self>, KeptError> {
        let path = file(state_dir, FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(KeptError::Io { path, source }),
        };
        let broken = |detail: String| KeptError::Broken { path: path.clone(), detail };
        let text: Text = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
        if text.v != VERSION {
            return Err(broken(format!("version {}; this program knows {VERSION}", text.v)));
        }
        let keys = text.keys.iter().map(|key| key.parse()).collect::<Result<_, _>>();
        Ok(Some(Self {
            relay: text.relay.parse().map_err(|error| broken(format!("relay {error}")))?,
            owner: text.owner,
            organisation: text.organisation,
            keys: keys.map_err(|error: crate::config::BackendKeyError| broken(error.to_string()))?,
            ca_file: text.ca.then(|| file(state_dir, CA_FILE)),
        }))
    }

    /// Keeps a pairing, whole or not at all; `ca` is the text of the authority that came with it. It is on the disk afterwards.
    ///
    /// # Errors
    /// The system refuses.
    pub fn keep(&self, state_dir: &Path, ca: Option<&str>) -> Result<(), KeptError> {
        let write = |name: &str, bytes: &[u8]| {
            let path = file(state_dir, name);
            replace(&path, bytes).map_err(|source| KeptError::Io { path, source })
        };
        if let Some(ca) = ca {
            write(CA_FILE, ca.as_bytes())?;
        }
        let text = Text {
            v: VERSION,
            relay: self.relay.to_string(),
            owner: self.owner.clone(),
            organisation: self.organisation.clone(),
            keys: self.keys.iter().map(ToString::to_string).collect(),
            ca: ca.is_some(),
        };
        write(FILE, &serde_json::to_vec(&text).expect("the text has string keys"))
    }

    /// Differs once the file was written anew or is gone.
    pub(super) fn stamp(state_dir: &Path) -> Option<Stamp> {
        let found = fs::metadata(file(state_dir, FILE)).ok()?;
        Some((found.mtime(), found.mtime_nsec(), found.ino()))
    }
}

fn file(state_dir: &Path, name: &str) -> PathBuf {
    state_dir.join(FOLDER).join(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::identity::Identity;

    #[test]
    fn a_pairing_is_kept_beside_the_key_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        Identity::open(dir.path()).unwrap();
        assert_eq!(Kept::read(dir.path()).unwrap(), None);
        assert_eq!(Kept::stamp(dir.path()), None);
        let mut kept = Kept {
            relay: "wss://relay.example:8443".parse().unwrap(),
            owner: "farm".parse().unwrap(),
            organisation: "lab".into(),
            keys: vec![[7; 32].into()],
            ca_file: None,
        };
        kept.keep(dir.path(), None).unwrap();
        assert_eq!(Kept::read(dir.path()).unwrap().as_ref(), Some(&kept));
        let mode = fs::metadata(file(dir.path(), FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let stamp = Kept::stamp(dir.path());
        kept.keep(dir.path(), Some("PEM")).unwrap();
        assert_ne!(Kept::stamp(dir.path()), stamp);
        kept.ca_file = Some(file(dir.path(), CA_FILE));
        assert_eq!(Kept::read(dir.path()).unwrap(), Some(kept));
        assert_eq!(fs::read_to_string(file(dir.path(), CA_FILE)).unwrap(), "PEM");
    }

    #[test]
    fn a_file_that_is_none_is_named() {
        let dir = tempfile::tempdir().unwrap();
        Identity::open(dir.path()).unwrap();
        for text in
            ["", "{}", r#"{"v":2,"relay":"wss://a","owner":"b","organisation":"","keys":[],"ca":false}"#]
        {
            fs::write(file(dir.path(), FILE), text).unwrap();
            let error = Kept::read(dir.path()).unwrap_err().to_string();
            assert!(error.contains("pairing.json"), "{error}");
        }
    }
}
