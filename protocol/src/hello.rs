//! The handshake: challenge, hello, welcome, reject, what is signed and how it is cut out of the text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{Address, AgentId, BootId, Epoch, KeyId, Seq, SessionId, Sha256Hex};
use crate::printer::PrinterSummary;
use crate::raw::{B64, Extra};
pub use crate::session::{Bye, Drain, Heartbeat, HeartbeatAck, Nack, NackCode, Presence, Subscribe, close};
use crate::telemetry::TelemConfig;

/// The label under which both ends export keying material of the TLS session (RFC 5705, RFC 8446 section 7.5); no context.
pub const EXPORTER_LABEL: &str = "EXPORTER-spoolway-v1";
/// Bytes of exported keying material.
pub const EXPORTER_BYTES: usize = 32;
/// What every signed hello begins with.
pub const SIGNATURE_DOMAIN: &[u8] = b"spoolway-v1-hello\0";

open_words!(
    /// What binds the signature to the connection. An agent refuses a word that it does not know.
    Binding {
        /// Keying material exported from the TLS session.
        Exporter = "exporter",
        /// Nothing; only lawful when the pairing recorded it.
        None = "none",
    }
);

open_words!(
    /// Why a relay does not let a peer in.
    RejectCode {
        /// The relay does not know this agent.
        Unpaired = "unpaired",
        /// The agent's key was revoked.
        Revoked = "revoked",
        /// The key was replaced by a newer one, and its time is over.
        KeyRetired = "key_retired",
        /// Two machines use one key.
        CloneSuspected = "clone_suspected",
        /// The signature does not fit.
        BadSig = "bad_sig",
        /// Whoever logs in here has to show a client certificate, and none was shown.
        CertRequired = "cert_required",
        /// The client certificate is not the agent's.
        BadCert = "bad_cert",
        /// No common protocol.
        ProtoUnsupported = "proto_unsupported",
        /// The agent is too old.
        UpdateRequired = "update_required",
        /// The relay is about to go.
        Draining = "draining",
        /// Too many attempts.
        RateLimited = "rate_limited",
    }
);

/// `challenge`: relay to agent, the first message of a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Challenge {
    /// 32 random bytes.
    pub nonce: B64,
    /// The relay's name, for logs.
    pub relay_id: String,
    /// The relay's clock, unix ms.
    pub relay_time_ms: u64,
    /// Protocols the relay speaks.
    pub proto: Vec<String>,
    /// What has to bind the signature to this connection.
    pub binding: Binding,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `hello`: agent to relay. `sig` is the last member of the body, so that the signed text can be cut out without parsing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hello {
    /// The agent.
    pub agent_id: AgentId,
    /// The key that signs.
    pub kid: KeyId,
    /// The protocol the agent chose from the challenge.
    pub proto: String,
    /// Greater than in every hello before: max(stored + 1, unix ms). It detects clones.
    pub hello_ctr: u64,
    /// This boot of the machine.
    pub boot_id: BootId,
    /// SHA-256 of what identifies the machine.
    pub machine_hash: Sha256Hex,
    /// The agent's software and machine.
    pub agent: AgentInfo,
    /// What the agent can do.
    #[serde(default)]
    pub caps: Vec<String>,
    /// Where its events stand.
    pub outbox: OutboxCursor,
    /// The highest command it has stored.
    pub cmd_seq: Seq,
    /// Its printers; one in v1.
    #[serde(default)]
    pub printers: Vec<PrinterSummary>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
    /// Ed25519 over [`signed_bytes`]; absent only while it is being made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sig: Option<B64>,
}

/// Software and machine of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentInfo {
    /// Version.
    pub ver: String,
    /// Build: commit or date.
    pub build: String,
    /// Operating system.
    pub os: String,
    /// Processor architecture.
    pub arch: String,
    /// Board, such as `Raspberry Pi 4 Model B`.
    pub model: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Where an outbox stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutboxCursor {
    /// The epoch in which new events are written.
    pub epoch: Epoch,
    /// The seq of the next new event.
    pub next_seq: Seq,
    /// The oldest event of this epoch that was not acked; equals `next_seq` when there is none.
    pub oldest_unacked: Seq,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// `welcome`: relay to agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Welcome {
    /// The session.
    pub session_id: SessionId,
    /// The owning backend: where events, results and telemetry go.
    pub owner: Address,
    /// Heartbeat interval when nothing else was sent, in ms.
    pub hb_ms: u64,
    /// Silence after which the peer counts as gone, in ms.
    pub dead_ms: u64,
    /// How many un-acked events may be under way.
    pub window: Window,
    /// How often telemetry is wanted.
    pub telem: TelemConfig,
    /// The relay's clock, unix ms.
    pub relay_time_ms: u64,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A bound on un-acked events under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Items.
    pub events: u32,
    /// Bytes.
    pub bytes: u64,
}

/// `reject`: relay to agent, instead of a welcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reject {
    /// Why.
    pub code: RejectCode,
    /// How long to stay away, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// For a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

const SIG_MEMBER: &str = ",\"sig\":\"";

/// Cuts the signature out of a body whose last member is `sig`: the text that was signed, and the signature.
///
/// `None` when there is no such member at the end or it is not base64. A string inside the body cannot be
/// mistaken for the member, because its quotes would be escaped.
#[must_use]
pub fn split_signature(raw_body: &str) -> Option<(String, Vec<u8>)> {
    let (front, sig) = raw_body.strip_suffix("\"}")?.rsplit_once(SIG_MEMBER)?;
    let sig = STANDARD.decode(sig).ok()?;
    Some((format!("{front}}}"), sig))
}

/// Appends a signature to a body without one as its last member; the inverse of [`split_signature`].
///
/// `None` when the body is not an object with at least one member.
#[must_use]
pub fn attach_signature(unsigned_body: &str, sig: &[u8]) -> Option<String> {
    let front = unsigned_body.strip_suffix('}').filter(|front| front.len() > 1)?;
    Some(format!("{front}{SIG_MEMBER}{}\"}}", STANDARD.encode(sig)))
}

/// The bytes an agent signs: domain, nonce, relay host, exporter if the challenge asked for it, SHA-256 of the unsigned body.
///
/// `host` is the host of the URL as the agent dialled it, without port, as the relay sees it in the `Host` header.
#[must_use]
pub fn signed_bytes(nonce: &[u8], host: &str, exporter: Option<&[u8]>, body_digest: &[u8; 32]) -> Vec<u8> {
    [SIGNATURE_DOMAIN, nonce, host.as_bytes(), exporter.unwrap_or_default(), body_digest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_cut_out_and_put_back() {
        let unsigned = r#"{"a":",\"sig\":\"x","n":{"sig":"eA=="}}"#;
        let signed = attach_signature(unsigned, &[1, 2, 3]).unwrap();
        assert_eq!(split_signature(&signed), Some((unsigned.to_owned(), vec![1, 2, 3])));
        for bad in [unsigned, "{}", "", r#"{"a":1,"sig":"!"}"#, r#"{"a":1,"sig":"AQID","b":"c"}"#] {
            assert_eq!(split_signature(bad), None, "{bad}");
        }
        assert_eq!(attach_signature("{}", &[1]), None);
    }

    #[test]
    fn signed_bytes_stand_in_order() {
        let bytes = signed_bytes(&[1; 32], "relay.example", Some(&[2; 32]), &[3; 32]);
        let expected =
            [b"spoolway-v1-hello\0".as_slice(), &[1; 32], b"relay.example", &[2; 32], &[3; 32]].concat();
        assert_eq!(bytes, expected);
        assert_eq!(signed_bytes(&[], "", None, &[3; 32]).len(), SIGNATURE_DOMAIN.len() + 32);
    }
}
