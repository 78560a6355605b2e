//! What is said once a connection stands: presence, subscriptions, heartbeats, drain, refusals and goodbye.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hello::{AgentInfo, OutboxCursor};
use crate::ids::{AgentId, Seq, SessionId};
use crate::printer::PrinterSummary;
use crate::raw::Extra;

/// Websocket close codes.
pub mod close {
    /// The peer broke the protocol.
    pub const PROTOCOL: u16 = 4000;
    /// A newer connection of the same peer took over.
    pub const SUPERSEDED: u16 = 4001;
    /// The peer's key was revoked.
    pub const REVOKED: u16 = 4003;
    /// The peer did not read.
    pub const SLOW_CONSUMER: u16 = 4008;
    /// The relay is about to go.
    pub const DRAIN: u16 = 4010;
    /// Too many frames or bytes.
    pub const RATE_LIMITED: u16 = 4029;
    /// Two machines use one key.
    pub const CLONE_SUSPECTED: u16 = 4090;
    /// The peer is too old.
    pub const UPGRADE_REQUIRED: u16 = 4426;
}

open_words!(
    /// Why a frame could not be taken.
    NackCode {
        /// The receiver does not know the kind.
        UnknownType = "unknown_type",
        /// A field is missing or wrong.
        BadField = "bad_field",
        /// The frame is too large.
        TooLarge = "too_large",
        /// The sender may not do that.
        Unauthorised = "unauthorised",
        /// A queue is full; try again later.
        Busy = "busy",
        /// The receiver is not connected.
        Offline = "offline",
        /// The frame's TTL ran out on the way.
        Expired = "expired",
    }
);

open_words!(
    /// Whether an agent is connected.
    PresenceState {
        /// Connected.
        Up = "up",
        /// Not connected.
        Down = "down",
    }
);

/// `presence`: relay to backend; when up, with the cursors of the agent's hello.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Presence {
    /// The agent.
    pub agent: AgentId,
    /// Up or down.
    pub state: PresenceState,
    /// The session that began or ended.
    pub session_id: SessionId,
    /// Since when, unix ms of the relay.
    pub since_ms: u64,
    /// Where the agent's events stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbox: Option<OutboxCursor>,
    /// The highest command the agent has stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd_seq: Option<Seq>,
    /// The agent's software and machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<AgentInfo>,
    /// The agent's printers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub printers: Vec<PrinterSummary>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `subscribe`: backend to relay; agents by name, or all of an organisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Subscribe {
    /// The agents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentId>,
    /// The organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `hb`: a sign of life when nothing else was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Heartbeat {
    /// Counts up within the session.
    pub n: u64,
    /// The relay's clock, when the relay sends it; unix ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay_time_ms: Option<u64>,
    /// The last round trip the sender measured, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<u64>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `hb.ack`: the answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeartbeatAck {
    /// The heartbeat's `n`.
    pub n: u64,
    /// The relay's clock, when the relay sends it; unix ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay_time_ms: Option<u64>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `drain`: the relay goes; reconnect at a random time within `spread_ms`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Drain {
    /// The connection ends within this time, in ms.
    pub within_ms: u64,
    /// Over how long the reconnects are spread, in ms.
    pub spread_ms: u64,
    /// Another relay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alt_url: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `nack`: the frame that the envelope's `re` names was not taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Nack {
    /// Why.
    pub code: NackCode,
    /// For a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `bye`: the peer leaves on purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bye {
    /// Why.
    pub reason: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}
