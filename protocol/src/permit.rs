//! The permit of a start: what the owning backend signs, and how it is carried without being written anew.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, JobId, KeyId, PermitId, PrinterId, Sha256Hex};
use crate::raw::{B64, Extra};

/// The version of [`Permit`] that this crate knows.
pub const PERMIT_VERSION: u32 = 1;

/// A permit as it travels: the bytes that were signed, and the signature. Both are handed on as they are, so that nothing
/// depends on how a program writes JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignedPermit {
    /// JSON text of a [`Permit`], byte for byte as it was signed; at most [`PERMIT_BYTES`](crate::limits::PERMIT_BYTES).
    pub raw: B64,
    /// Ed25519 (RFC 8032) over `raw`, 64 bytes.
    pub sig: B64,
}

/// What a permit allows: one attempt at one job, with one file, on one printer, from one bed that somebody has seen clear, within
/// a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Permit {
    /// 1. An agent refuses a version that it does not know.
    pub v: u32,
    /// The key that signed: `k` and the first 16 hexadecimal digits of the SHA-256 of its 32 public bytes.
    pub kid: KeyId,
    /// Unique for ever; a permit is used once.
    pub permit_id: PermitId,
    /// The organisation that pays, for the records.
    pub org: String,
    /// The agent.
    pub agent: AgentId,
    /// Its printer.
    pub printer: PrinterId,
    /// The job.
    pub job: JobId,
    /// The attempt, as in `job.start`.
    pub attempt: u32,
    /// Digest of the job's file.
    pub sha256: Sha256Hex,
    /// Size of the file in bytes.
    pub size: u64,
    /// Seconds for which the attempt may print, pauses not counted, together with the attempts that go on from it; absent: without a
    /// limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<u64>,
    /// The bed epoch for which somebody has said that the bed is clear.
    pub bed_epoch: u64,
    /// Not before, unix ms.
    pub nbf: u64,
    /// The first line goes out until then or never, unix ms.
    pub start_by: u64,
    /// Rises whenever the backend decides anew who may hand out permits; an agent refuses one lower than it has seen.
    pub fence: u64,
    /// What else the agent must do; it refuses a permit with a flag that it does not know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<PermitFlag>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

open_words!(
    /// What a permit asks for besides the print.
    PermitFlag {
        /// Hold the print when `max_seconds` are over; without it they are only told of.
        PauseOverTime = "pause_over_time",
    }
);

impl SignedPermit {
    /// A permit with its signature over the bytes of `raw`.
    #[must_use]
    pub fn new(raw: &[u8], sig: &[u8]) -> Self {
        Self { raw: B64(raw.to_vec()), sig: B64(sig.to_vec()) }
    }
}

impl Permit {
    /// Reads the signed bytes. A member that stands there twice is refused: two readers might take different ones.
    ///
    /// # Errors
    /// The bytes are not the JSON text of a permit.
    pub fn parse(raw: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(raw)
    }

    /// The bytes that a backend signs. Whoever verifies never makes them anew.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a permit has string keys, so it serialises")
    }

    /// Whether the print is to be held when its time is over.
    #[must_use]
    pub fn pauses_over_time(&self) -> bool {
        self.flags.contains(&PermitFlag::PauseOverTime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = concat!(
        r#"{"v":1,"kid":"k0011223344556677","permit_id":"p-1","org":"lab","agent":"7ZZZZZZZZZZZZZZZZZZZZZZZZZ","#,
        r#""printer":"p0","job":"j","attempt":1,"#,
        r#""sha256":"0000000000000000000000000000000000000000000000000000000000000000","size":9,"#,
        r#""max_seconds":3600,"bed_epoch":4,"nbf":1,"start_by":2,"fence":7,"flags":["pause_over_time","dance"],"x":[1]}"#,
    );

    #[test]
    fn permits_are_read_and_written_with_what_is_unknown() {
        let permit = Permit::parse(TEXT.as_bytes()).unwrap();
        assert!(permit.pauses_over_time());
        assert_eq!(permit.flags[1], PermitFlag::Unknown("dance".to_owned()));
        assert_eq!(permit.to_bytes(), TEXT.as_bytes());
    }

    #[test]
    fn a_member_that_stands_twice_is_refused() {
        let doubled = TEXT.replacen(r#""attempt":1"#, r#""attempt":1,"attempt":2"#, 1);
        assert!(Permit::parse(doubled.as_bytes()).is_err());
        assert!(Permit::parse(b"{\"v\":1}").is_err());
    }

    #[test]
    fn what_is_signed_travels_byte_for_byte() {
        let signed = SignedPermit::new(b"{ \"v\" : 1.0 }\n", &[7; 64]);
        let text = serde_json::to_string(&signed).unwrap();
        assert_eq!(serde_json::from_str::<SignedPermit>(&text).unwrap(), signed);
    }
}
