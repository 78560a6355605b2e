//! The words of the two files.

use serde::{Deserialize, Serialize};
use spoolway_agent_core::update::{Order, is_version};
use spoolway_protocol::event::UpdateWord;
use spoolway_protocol::{CmdId, Fault};

/// What an agent asks of the updater: a version and until when, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The wish that it comes from.
    pub id: CmdId,
    /// The version; none for the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Not begun after, in unix ms.
    pub not_after: u64,
}

impl From<&Order> for Request {
    fn from(order: &Order) -> Self {
        Self { id: order.id, version: order.version.clone(), not_after: order.not_after }
    }
}

impl Request {
    /// Whether it could be of an agent that is well.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.version.as_deref() {
            Some(version) if !is_version(version) => Err("its version is none".to_owned()),
            _ => Ok(()),
        }
    }
}

/// The updater's last word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The wish that it is about.
    pub id: CmdId,
    /// What has become of it.
    pub state: UpdateWord,
    /// The version that was installed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The version that was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// For a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Verdict {
    /// A word about this wish.
    #[must_use]
    pub fn new(id: CmdId, state: UpdateWord) -> Self {
        Self { id, state, from: None, to: None, code: None, text: None }
    }

    /// The same with why.
    #[must_use]
    pub fn because(self, fault: Fault, text: impl Into<String>) -> Self {
        Self { code: Some(fault.code().to_owned()), text: Some(text.into()), ..self }
    }
}
