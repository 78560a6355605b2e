//! The bed: how often it was used, and who says that it is free again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::raw::Extra;

/// `bed.clear`: a person has looked at the bed and says that nothing is on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BedClearArgs {
    /// The bed epoch that the person saw; when a print has begun since, the word means nothing and is refused.
    pub bed_epoch: u64,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

open_words!(
    /// Where it was said that the bed is clear.
    BedWord {
        /// At the owning backend.
        Backend = "backend",
        /// At the agent's own command line.
        Local = "local",
        /// At a button of the printer.
        Button = "button",
    }
);

/// `bed.cleared`: from now on the bed counts as clear, until the next start is sent to the printer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BedCleared {
    /// The bed epoch after which it was cleared.
    pub bed_epoch: u64,
    /// Where it was said.
    pub via: BedWord,
    /// On whose behalf, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}
