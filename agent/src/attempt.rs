//! What is kept of an attempt from its start on, in its row and beside the conversation: when it began, and by which permit.

use serde::{Deserialize, Serialize};
use spoolway_protocol::ids::{KeyId, PermitId};
use spoolway_protocol::{JobId, Permit, Stamp};

use crate::store::{Store, StoreError};

/// How an attempt began. Whoever ends it may be another process than the one that began it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    /// When, on both clocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Stamp>,
    /// The permit; none for a start at the machine, or where none is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit: Option<UsedPermit>,
}

impl Begun {
    /// What the store holds of an attempt; nothing of one that it does not know.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn of(store: &Store, id: &JobId, attempt: u32) -> Result<Self, StoreError> {
        let rows = store.attempts(id.as_str()).await?;
        let row = rows.into_iter().find(|row| row.attempt == attempt);
        let text = row.and_then(|row| row.detail_json);
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }
}

/// A permit that was used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsedPermit {
    /// Its name.
    pub permit_id: PermitId,
    /// The key that signed it.
    pub kid: KeyId,
    /// Who pays.
    pub org: String,
    /// Its fence.
    pub fence: u64,
    /// Seconds for which the job may be printed.
    pub max_seconds: Option<u64>,
    /// Whether it is held when they are over.
    pub pauses_over_time: bool,
}

impl From<&Permit> for UsedPermit {
    fn from(permit: &Permit) -> Self {
        Self {
            permit_id: permit.permit_id.clone(),
            kid: permit.kid.clone(),
            org: permit.org.clone(),
            fence: permit.fence,
            max_seconds: permit.max_seconds,
            pauses_over_time: permit.pauses_over_time(),
        }
    }
}
