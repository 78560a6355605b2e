//! What an attempt has used, signed by its agent: the one record of it that a bill may be built on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, JobId, KeyId, PermitId};
use crate::job::Outcome;
use crate::raw::{B64, Extra, Raw};

/// Stands ahead of what is signed, so that the signature can never be taken for one of a login.
const DOMAIN: &[u8] = b"spoolway-v1-usage\0";

/// `job.usage`: told once for each attempt that began, in the same transaction as its `job.result`. All times are measured with a
/// clock that nobody can set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobUsage {
    /// Job and attempt as `<job>/<attempt>`: whoever has it twice has copies of one record.
    pub usage_id: String,
    /// The agent.
    pub agent: AgentId,
    /// The agent's key that signed.
    pub kid: KeyId,
    /// How the attempt ended.
    pub outcome: Outcome,
    /// From start to end without the pauses, in ms.
    pub printing_ms: u64,
    /// Paused, in ms.
    pub paused_ms: u64,
    /// How well these two are known; absent when both ends were seen.
    #[serde(default, skip_serializing_if = "Certainty::is_measured")]
    pub times: Certainty,
    /// Filament by tool in mm, for the lines that are counted here; absent when the file could not be read again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filament_mm: Option<Vec<f64>>,
    /// Lines of the file that the printer acked in this attempt, and in none before.
    pub lines_acked: u64,
    /// Lines of the file ahead of those: they count for the attempts that this one went on from, or for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lines_before: u64,
    /// Lines of the file that are sent to the printer.
    pub lines_total: u64,
    /// The permit of the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permit_id: Option<PermitId>,
    /// The organisation that the permit named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
    /// The agent's Ed25519 over [`JobUsage::signed_bytes`]; the last member, absent only while it is being made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sig: Option<B64>,
}

open_words!(
    /// How well the times of an attempt are known.
    #[derive(Default)]
    Certainty {
        /// Both ends were seen, with one clock.
        #[default]
        Measured = "measured",
        /// The agent was away at the end: they run until the attempt was last seen.
        AtLeast = "at_least",
        /// There is no clock that was running at both ends: they are 0 and say nothing.
        Uncertain = "uncertain",
    }
);

impl Certainty {
    fn is_measured(&self) -> bool {
        *self == Self::Measured
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(lines: &u64) -> bool {
    *lines == 0
}

/// `job.over_time`: told once for an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobOverTime {
    /// What the permit allows, in seconds.
    pub max_seconds: u64,
    /// How long the job has been printed by it, pauses not counted, in ms.
    pub printing_ms: u64,
    /// Whether it is held for that.
    pub held: bool,
    /// The permit.
    pub permit_id: PermitId,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl JobUsage {
    /// The name of an attempt's record.
    #[must_use]
    pub fn id_of(job: &JobId, attempt: u32) -> String {
        format!("{job}/{attempt}")
    }

    /// The same record, signed; `sign` is given the bytes.
    #[must_use]
    pub fn signed(self, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Self {
        let unsigned = Self { sig: None, ..self };
        let sig = sign(&Self::signed_bytes(Raw::of(&unsigned).get()));
        Self { sig: Some(B64(sig)), ..unsigned }
    }

    /// The bytes that are signed: a word for the purpose, then the data's JSON text without its last member `sig`, as
    /// [`split_signature`](crate::hello::split_signature) gives it.
    #[must_use]
    pub fn signed_bytes(unsigned_data: &str) -> Vec<u8> {
        [DOMAIN, unsigned_data.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hello::split_signature;

    #[test]
    fn what_was_signed_can_be_had_from_the_text_that_travels() {
        let usage = JobUsage {
            usage_id: JobUsage::id_of(&"job-1".parse().unwrap(), 2),
            agent: AgentId::from_bytes([1; 16]),
            kid: "k1".parse().unwrap(),
            outcome: Outcome::Cancelled,
            printing_ms: 5,
            paused_ms: 0,
            times: Certainty::Measured,
            filament_mm: Some(vec![0.1, 2.5]),
            lines_acked: 7,
            lines_before: 0,
            lines_total: 9,
            permit_id: None,
            org: None,
            extra: Extra::default(),
            sig: None,
        };
        let mut given = Vec::new();
        let signed = usage.signed(|bytes| {
            given = bytes.to_vec();
            vec![1, 2, 3]
        });
        let (unsigned, sig) = split_signature(Raw::of(&signed).get()).unwrap();
        assert_eq!((JobUsage::signed_bytes(&unsigned), sig), (given, vec![1, 2, 3]));
        assert!(unsigned.contains(r#""usage_id":"job-1/2""#) && !unsigned.contains("times"));
    }
}
