//! A new version of the agent: wished by the owner, and taken only from what the machine's administrator has set up and signed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::FaultCode;
use crate::ids::CmdId;
use crate::raw::Extra;

/// `agent.update`: install a version of the agent's package within a window, while nothing is printed. It names no place and carries
/// no file: the package comes from the package sources of the agent's machine. A wish that has not begun gives way to a later one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UpdateArgs {
    /// The version in the words of those sources, such as `0.2.0-1`; absent for the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Not before this time, in unix milliseconds; absent for at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
    /// Not begun after this time, in unix milliseconds.
    pub not_after: u64,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `agent.update_withdraw`: a wished update that has not begun is not wished any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UpdateWithdrawArgs {
    /// The `agent.update` that wished it.
    pub wish: CmdId,
    /// For a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `update.state`: how a wished update does. Its last word comes once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UpdateState {
    /// The `agent.update` that wished it.
    pub cmd_id: CmdId,
    /// What has become of it.
    pub state: UpdateWord,
    /// The version that was wished; absent for the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version that was installed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The version that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The fault, where it is not installed for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<FaultCode>,
    /// For a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

open_words!(
    /// What has become of a wished update; all but `installing` are last words.
    UpdateWord {
        /// Nothing is printed, and no job starts until it is over.
        Installing = "installing",
        /// The chosen version is installed and well.
        Installed = "installed",
        /// It was installed before.
        Unchanged = "unchanged",
        /// The chosen version was not well, and the one from before runs again.
        RolledBack = "rolled_back",
        /// Neither version is well, or nobody knows: somebody has to look.
        Failed = "failed",
        /// Nothing was changed, for the fault in `code`.
        Refused = "refused",
        /// Its window has gone by.
        Expired = "expired",
        /// Somebody at the machine, its owner or a later wish has taken it back.
        Cancelled = "cancelled",
    }
);
