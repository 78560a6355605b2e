//! Who did something that is kept for later, and by which way.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::raw::Extra;

/// `audit`: somebody did something that is kept for later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// Who: in the backend's words, or a user of the agent's machine (`uid 1000`).
    pub actor: String,
    /// By which way.
    pub via: Via,
    /// What, as a word with a dot (`maintenance.open`).
    pub action: String,
    /// Whether it was done.
    pub ok: bool,
    /// For a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

open_words!(
    /// By which way something was done.
    Via {
        /// By the backend.
        Cloud = "cloud",
        /// Over the local network.
        Lan = "lan",
        /// By a command at the agent's machine.
        Cli = "cli",
        /// By a button at the agent's machine.
        Gpio = "gpio",
        /// By the agent itself.
        Agent = "agent",
    }
);
