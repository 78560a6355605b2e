//! What a backend has to hear of its relay's defences: events of security, live and never stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::Address;
use crate::raw::Extra;

open_words!(
    /// What happened.
    SecurityKind {
        /// Somebody could not prove who he is: a wrong secret, a wrong signature, a key that was revoked.
        AuthFailure = "auth_failure",
        /// Somebody sends or tries more than he may, and is slowed down or closed.
        RateTrip = "rate_trip",
        /// Two machines use one key, or an older copy of one.
        CloneSuspected = "clone_suspected",
        /// An agent has another key, or uses one that was replaced.
        KeyChanged = "key_changed",
        /// A frame was larger than any may be.
        OversizeFrame = "oversize_frame",
        /// A frame was dropped because its TTL ran out while it waited.
        TtlDrop = "ttl_drop",
        /// The relay's certificate ends soon.
        CertificateEnds = "certificate_ends",
    }
);

open_words!(
    /// How urgent it is.
    Severity {
        /// Worth knowing when it comes often.
        Info = "info",
        /// Somebody should look at it.
        Warning = "warning",
        /// Somebody has to act.
        Critical = "critical",
    }
);

impl SecurityKind {
    /// How urgent events of this kind are.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::CloneSuspected => Severity::Critical,
            Self::AuthFailure | Self::KeyChanged | Self::CertificateEnds => Severity::Warning,
            Self::RateTrip | Self::OversizeFrame | Self::TtlDrop | Self::Unknown(_) => Severity::Info,
        }
    }
}

/// `security`: relay to a backend that it concerns. It is told when it happens to who is connected then, and lost for others: a relay
/// stores nothing. The first of a kind about one peer is told at once, and those that follow together, at most once a minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecurityEvent {
    /// What happened.
    pub kind: SecurityKind,
    /// How urgent it is.
    pub severity: Severity,
    /// When it happened last, unix ms of the relay.
    pub at_ms: u64,
    /// Whom it concerns: an agent or a backend; absent when it concerns the relay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<Address>,
    /// The network it came from, without the part that names a host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// How often it happened since it was told last.
    pub count: u64,
    /// For a person; names no secret.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}
