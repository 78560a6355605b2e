//! Pairing by a token on the boot partition: for many cards that are written alike, where nobody compares words.
//!
//! Who has written the card has chosen the relay, its authority, the backend and the backend's keys; so they stand in the file and are not
//! taken from anybody else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use spoolway_agent_core::pairing::fault_of;
use spoolway_protocol::pairing::{ENROL_PATH, Enrol, Enrolled, PairInfo};
use spoolway_protocol::{B64, BackendId, Fault, Raw};

use super::kept::{Kept, KeptError};
use super::run::body_of;
use crate::clock::Clock;
use crate::config::{self, BackendKey, BackendKeyError, RelayUrl};
use crate::identity::{FOLDER, Identity, replace};
use crate::uplink::{Poster, RelaySettings};

/// Where a token may lie, on a Raspberry Pi of today and of before.
pub const TOKEN_FILES: [&str; 2] = ["/boot/firmware/spoolway-enrol.toml", "/boot/spoolway-enrol.toml"];
/// Largest file that is read.
const MAX_BYTES: u64 = 64 * 1024;
/// The authority of the file, for as long as it is tried.
const CA_FILE: &str = "enrol-ca.pem";

/// A token and everything that goes with it. No `Debug`: it holds a secret.
pub struct TokenFile {
    relay: RelayUrl,
    backend: BackendId,
    token: String,
    keys: Vec<BackendKey>,
    ca: Option<String>,
}

/// Why an agent was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The file cannot be read or erased.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not what `spoolway-relay enrol add` prints.
    #[error("{}: not an enrolment file: {detail}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The relay cannot be reached, or does not want this agent.
    #[error("{detail}")]
    Refused {
        /// The stable fault.
        fault: Fault,
        /// What was said.
        detail: String,
    },
    /// It is enrolled and that cannot be kept; the token stays, and the next try costs no further use of it.
    #[error("enrolled, but it cannot be kept: {0}")]
    Keep(#[from] KeptError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    relay: String,
    backend: BackendId,
    token: String,
    #[serde(default)]
    keys: Vec<String>,
    ca: Option<String>,
}

impl TokenFile {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is not one.
    pub fn read(path: &Path) -> Result<Self, EnrolError> {
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
        read.map_err(|source| EnrolError::Io { path: path.to_owned(), source })?;
        // The reader's own words would repeat the line, and with it the token.
        let broken = |detail: String| EnrolError::Broken { path: path.to_owned(), detail };
        let text: Text = toml::from_str(&text).map_err(|error| broken(error.message().to_owned()))?;
        let keys = text.keys.iter().map(|key| key.parse()).collect::<Result<_, _>>();
        Ok(Self {
            relay: text.relay.parse().map_err(|error| broken(format!("relay {error}")))?,
            backend: text.backend,
            token: text.token,
            keys: keys.map_err(|error: BackendKeyError| broken(format!("keys {error}")))?,
            ca: text.ca,
        })
    }

    /// The relay.
    #[must_use]
    pub fn relay(&self) -> &RelayUrl {
        &self.relay
    }
}

/// Makes the token's backend the owner of this agent, and keeps that. The token may be erased afterwards.
///
/// # Errors
/// It did not come about; or it did and cannot be kept.
pub async fn enrol(
    (state_dir, identity, clock): (&Path, &Identity, &Clock),
    (file, relay): (&TokenFile, &config::Relay),
    info: PairInfo,
) -> Result<Kept, EnrolError> {
    let ca_file = place(state_dir, file.ca.as_deref())?;
    let relay = RelaySettings {
        url: file.relay.clone(),
        ca_file: ca_file.clone(),
        ca_only: relay.ca_only,
        allow_unbound: false,
        client: relay.client.clone(),
        proxy: relay.proxy.clone(),
    };
    let key = identity.key();
    let body = Enrol {
        pubkey: B64(key.public().to_vec()),
        lineage: identity.lineage(),
        info: info.cleaned(),
        token: file.token.clone(),
        extra: Default::default(),
    };
    let answered = Poster::new(relay, clock.clone(), key).post(ENROL_PATH, Raw::of(&body).get()).await;
    if let Some(ca_file) = ca_file {
        // What is left over is written over by the next try.
        let _ = fs::remove_file(ca_file);
    }
    let answered =
        answered.map_err(|error| EnrolError::Refused { fault: error.fault, detail: error.text })?;
    let enrolled: Enrolled = body_of(&answered).map_err(|problem| {
        let fault = match problem.code.as_str() {
            "unknown" | "unauthorised" => Fault::EnrolRefused,
            "busy" | "rate_limited" => Fault::RelayUnreachable,
            code => fault_of(code),
        };
        EnrolError::Refused { fault, detail: problem.detail }
    })?;
    if enrolled.backend != file.backend {
        let detail = format!("the token is one of {}, and the file says {}", enrolled.backend, file.backend);
        return Err(EnrolError::Refused { fault: Fault::EnrolRefused, detail });
    }
    let kept = Kept {
        relay: file.relay.clone(),
        owner: enrolled.backend,
        organisation: enrolled.organisation,
        keys: file.keys.clone(),
        ca_file: None,
    };
    kept.keep(state_dir, file.ca.as_deref())?;
    Ok(kept)
}

fn place(state_dir: &Path, ca: Option<&str>) -> Result<Option<PathBuf>, EnrolError> {
    let Some(ca) = ca else { return Ok(None) };
    let path = state_dir.join(FOLDER).join(CA_FILE);
    match replace(&path, ca.as_bytes()) {
        Ok(()) => Ok(Some(path)),
        Err(source) => Err(EnrolError::Io { path, source }),
    }
}

/// Writes over a token and removes it. A card may keep what was written before; the token's end does the rest.
///
/// # Errors
/// The system refuses.
pub fn erase(path: &Path) -> Result<(), EnrolError> {
    let erased = OpenOptions::new().write(true).open(path).and_then(|mut file| {
        let len = usize::try_from(file.metadata()?.len().min(MAX_BYTES)).unwrap_or(0);
        file.write_all(&vec![0; len])?;
        file.sync_all()?;
        fs::remove_file(path)?;
        File::open(folder_of(path))?.sync_all()
    });
    erased.map_err(|source| EnrolError::Io { path: path.to_owned(), source })
}

/// Of a mere name it is where we stand.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "relay = \"wss://relay.example:8443\"\nbackend = \"farm\"\ntoken = \"a1.s3cret\"\nkeys = []\n";

    fn read(text: &str) -> Result<TokenFile, EnrolError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spoolway-enrol.toml");
        fs::write(&path, text).unwrap();
        TokenFile::read(&path)
    }

    #[test]
    fn a_file_is_read_and_mistakes_do_not_repeat_the_token() {
        let file = read(GOOD).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            (file.relay.port, file.backend.as_str(), file.token.as_str()),
            (8443, "farm", "a1.s3cret")
        );
        for text in [
            GOOD.replace("wss://", "https://"),
            GOOD.replace("[]", "[\"AAAA\"]"),
            GOOD.replace("\"a1.s3cret\"", "a1.s3cret"),
            format!("{GOOD}more = 1\n"),
            // What stands behind the first 64 KiB is not read.
            format!("# {}\n{GOOD}", "x".repeat(64 * 1024)),
            String::new(),
        ] {
            let error = read(&text).err().unwrap().to_string();
            assert!(error.contains("spoolway-enrol.toml") && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn an_erased_token_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spoolway-enrol.toml");
        fs::write(&path, GOOD).unwrap();
        let twin = dir.path().join("twin");
        fs::hard_link(&path, &twin).unwrap();
        assert_eq!(folder_of(&path), dir.path());
        assert_eq!(folder_of(Path::new("token.toml")), Path::new("."));
        erase(&path).unwrap();
        assert!(!path.exists());
        assert_eq!(fs::read(&twin).unwrap(), vec![0; GOOD.len()], "what was written is written over");
        assert!(erase(&path).unwrap_err().to_string().contains("spoolway-enrol.toml"));
    }
}
