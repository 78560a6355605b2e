//! Settings of an agent that its owner may set.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::raw::Extra;

/// `config.set`: sets some keys, by the same rules as the agent's own file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigSetArgs {
    /// The revision that this makes: one more than the last that was applied, so that nobody overwrites what he has not seen.
    pub rev: u64,
    /// Dotted keys and their values; `null` gives a key back to the agent's own configuration.
    pub patch: BTreeMap<String, Value>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `config.applied`: what has become of a `config.set`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigApplied {
    /// The revision that is in force.
    pub rev: u64,
    /// Whether it is the one that was asked for.
    pub ok: bool,
    /// Why not: the key, its value and what is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// All that the owner has set by now.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, Value>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}
