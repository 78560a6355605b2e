//! How an agent begins, and what is known of the process before it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::BootId;
use crate::raw::Extra;

open_words!(
    /// How the process before this one ended.
    PrevExit {
        /// There was none.
        First = "first",
        /// It was told to stop.
        Clean = "clean",
        /// It was killed, it crashed, or the power went.
        Unclean = "unclean",
        /// It left no database where there was one.
        DatabaseMissing = "database_missing",
        /// It left a damaged database, which was set aside.
        DatabaseDamaged = "database_damaged",
    }
);

/// `agent.started`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentStarted {
    /// How the process before ended.
    pub prev_exit: PrevExit,
    /// This boot of the machine.
    pub boot_id: BootId,
    /// The agent's version.
    pub ver: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}
