//! The keys of an agent as they lie on the disk. One file says which key is the agent's, and is replaced as a whole; everything else
//! follows from it after a power cut.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use spoolway_protocol::identity::{KeyLink, Lineage, link_bytes};
use spoolway_protocol::{AgentId, B64};

use super::{KEY, KEYS, Key, Keys, NEXT, OpenIdentityError, files};

/// What is kept of the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) lineage: Lineage,
    /// When the key became the agent's, unix ms.
    pub(super) since_ms: u64,
    /// How the key follows that is prepared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<KeyLink>,
    /// The owner has still to be told of the last change.
    #[serde(default)]
    pub(super) is_untold: bool,
}

impl Kept {
    /// The public key of the agent.
    pub(super) fn current(&self) -> &[u8] {
        self.lineage.links.last().map_or(&self.lineage.first.0, |link| &link.pubkey.0)
    }

    /// The one before.
    pub(super) fn before(&self) -> Option<&[u8]> {
        let links = &self.lineage.links;
        match links.len() {
            0 => None,
            1 => Some(&self.lineage.first.0),
            many => Some(&links[many - 2].pubkey.0),
        }
    }

    /// Nothing, when there was no change yet.
    fn read(folder: &Path) -> Result<Option<Self>, OpenIdentityError> {
        let path = folder.join(KEYS);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(OpenIdentityError::Io { path, source }),
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(kept) => Ok(Some(kept)),
                Err(error) => Err(OpenIdentityError::BadKeys { path, reason: error.to_string() }),
            },
        }
    }

    fn keep(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).expect("a lineage has string keys, so it serialises");
        files::replace(&folder.join(KEYS), &text)
    }
}

impl Keys {
    /// From what lies in the folder. The rename that ends a change is made up for.
    pub(super) fn open(folder: &Path, mut current: Key) -> Result<Self, OpenIdentityError> {
        let first = || Kept {
            lineage: Lineage { first: B64(current.public.to_vec()), links: Vec::new() },
            since_ms: written_ms(&folder.join(KEY)),
            next: None,
            is_untold: false,
        };
        let mut kept = Kept::read(folder)?.unwrap_or_else(first);
        let next = Key::read(&folder.join(NEXT)).ok();
        if kept.current() != current.public {
            let path = folder.join(KEYS);
            let reason = format!("it names another key than {KEY}");
            let strange = || OpenIdentityError::BadKeys { path, reason };
            current = next.filter(|next| kept.current() == next.public).ok_or_else(strange)?;
            become_current(folder)?;
            return Ok(Self { current: Arc::new(current), next: None, kept });
        }
        // A key that nobody has signed for was never shown to anybody.
        let next = next.filter(|next| kept.next.as_ref().is_some_and(|link| link.pubkey.0 == next.public));
        if next.is_none() {
            kept.next = None;
        }
        Ok(Self { current: Arc::new(current), next: next.map(Arc::new), kept })
    }

    pub(super) fn prepare(&mut self, folder: &Path, agent: &AgentId) -> Result<(), OpenIdentityError> {
        if self.next.is_some() {
            return Ok(());
        }
        let path = folder.join(NEXT);
        let failed = |source| OpenIdentityError::Io { path: path.clone(), source };
        files::replace(&path, files::new_key()?.as_ref()).map_err(failed)?;
        let next = Key::read(&path)?;
        let statement = link_bytes(agent, &self.current.public, &next.public);
        let link = KeyLink {
            pubkey: B64(next.public.to_vec()),
            sig_old: B64(self.current.sign(&statement)),
            sig_new: B64(next.sign(&statement)),
        };
        let kept = Kept { next: Some(link), ..self.kept.clone() };
        kept.keep(folder).map_err(failed)?;
        (self.next, self.kept) = (Some(Arc::new(next)), kept);
        Ok(())
    }

    pub(super) fn switch(&mut self, folder: &Path, since_ms: u64) -> io::Result<()> {
        let mut kept = Kept { since_ms, is_untold: true, ..self.kept.clone() };
        let Some(link) = kept.next.take() else { return Ok(()) };
        kept.lineage.links.push(link);
        kept.keep(folder)?;
        self.kept = kept;
        Ok(())
    }

    pub(super) fn adopt(&mut self, folder: &Path) -> Result<(), OpenIdentityError> {
        if self.kept.current() != self.current.public {
            let renamed = become_current(folder);
            let key = Key::read(&folder.join(KEY))?;
            // Another command of this program may have made up for the rename meanwhile.
            if self.kept.current() != key.public {
                renamed?;
            }
            (self.current, self.next) = (Arc::new(key), None);
        }
        let kept = Kept { is_untold: false, ..self.kept.clone() };
        kept.keep(folder).map_err(|source| OpenIdentityError::Io { path: folder.join(KEYS), source })?;
        self.kept = kept;
        Ok(())
    }
}

/// The key before is gone afterwards, as far as a card forgets anything.
fn become_current(folder: &Path) -> Result<(), OpenIdentityError> {
    let renamed = fs::rename(folder.join(NEXT), folder.join(KEY)).and_then(|()| files::sync_folder(folder));
    renamed.map_err(|source| OpenIdentityError::Io { path: folder.join(KEY), source })
}

/// When a file was written, unix ms.
fn written_ms(path: &Path) -> u64 {
    let written = fs::metadata(path).and_then(|file| file.modified()).ok();
    let age = written.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    age.map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}
