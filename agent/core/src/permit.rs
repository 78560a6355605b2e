//! Judges the permit of a start: whose signature, for what, from when and until when, and whether it was used before.
//!
//! Nothing here verifies a signature by itself: the shell has the keys and answers a question about bytes. Nothing reads a clock:
//! the time comes with how far it can be trusted.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use spoolway_protocol::envelope::ClockSource;
use spoolway_protocol::fault::Fault;
use spoolway_protocol::ids::{AgentId, JobId, KeyId, PermitId, PrinterId, Sha256Hex};
use spoolway_protocol::limits::PERMIT_BYTES;
use spoolway_protocol::permit::{PERMIT_VERSION, Permit, PermitFlag, SignedPermit};

/// How far the clocks of two machines may differ before a permit is refused, in ms, each way.
pub const GRACE_MS: u64 = 90_000;
/// Permits that are remembered as used. An older one is refused all the same: the bed epoch has risen with its start.
pub const USED_PERMITS: usize = 64;

/// What the holder of the keys says of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// It fits.
    Good,
    /// It does not.
    Bad,
    /// There is no key of this name.
    UnknownKey,
}

/// The start that a permit has to be for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// This agent.
    pub agent: AgentId,
    /// Its printer.
    pub printer: PrinterId,
    /// The job.
    pub job: JobId,
    /// The attempt.
    pub attempt: u32,
    /// Digest of the job's file.
    pub sha256: Sha256Hex,
    /// Size of the file in bytes.
    pub size: u64,
    /// The bed epoch now, ahead of the start.
    pub bed_epoch: u64,
}

/// The wall clock, and where its time comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WallTime {
    /// Unix ms.
    pub unix_ms: u64,
    /// How far it can be trusted.
    pub source: ClockSource,
}

impl WallTime {
    /// Whether the time is somebody's who knows it: the network's, or the relay's. A machine without a clock of its own wakes up
    /// anywhere, and may be wrong in both directions.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        matches!(self.source, ClockSource::Ntp | ClockSource::Relay)
    }
}

/// What earlier permits leave behind; it is stored with the start that used one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// The highest fence of a permit that was used.
    #[serde(default)]
    pub fence: u64,
    /// The last permits that were used, the latest last.
    #[serde(default)]
    pub used: VecDeque<PermitId>,
}

impl Past {
    /// The past once this permit has been used as well.
    #[must_use]
    pub fn with(&self, permit: &Permit) -> Self {
        let mut used = self.used.clone();
        used.push_back(permit.permit_id.clone());
        while used.len() > USED_PERMITS {
            used.pop_front();
        }
        Self { fence: self.fence.max(permit.fence), used }
    }
}

/// Why a permit is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}: {detail}")]
pub struct Refused {
    /// The stable fault.
    pub fault: Fault,
    /// For a person.
    pub detail: String,
}

fn refused<T>(fault: Fault, detail: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { fault, detail: detail.into() })
}

/// Judges a permit for a start at this time; gives what it says. `signature` is asked about a key, the signed bytes and the signature.
///
/// # Errors
/// The permit is not good for this start, and why; what is wrong with the permit itself comes before what is wrong with the moment.
pub fn judge(
    signed: &SignedPermit,
    signature: impl FnOnce(&KeyId, &[u8], &[u8]) -> Signature,
    start: &Start,
    now: &WallTime,
    past: &Past,
) -> Result<Permit, Refused> {
    let permit = read(signed)?;
    match signature(&permit.kid, &signed.raw.0, &signed.sig.0) {
        Signature::Good => {}
        Signature::Bad => {
            return refused(
                Fault::PermitBadSignature,
                format!("the signature of key {} does not fit the bytes", permit.kid),
            );
        }
        Signature::UnknownKey => {
            return refused(Fault::PermitUnknownKey, format!("there is no key {} here", permit.kid));
        }
    }
    if let Some(flag) = permit.flags.iter().find(|flag| matches!(flag, PermitFlag::Unknown(_))) {
        return refused(Fault::PermitUnsupported, format!("the flag {:?} is not known here", flag.as_str()));
    }
    if past.used.contains(&permit.permit_id) {
        return refused(Fault::PermitReplayed, format!("permit {} has been used", permit.permit_id));
    }
    check_target(&permit, start)?;
    if permit.fence < past.fence {
        let detail = format!("its fence is {}, a permit with {} has been used", permit.fence, past.fence);
        return refused(Fault::PermitFence, detail);
    }
    if permit.bed_epoch != start.bed_epoch {
        let detail = format!("it is for bed epoch {}, which is {} now", permit.bed_epoch, start.bed_epoch);
        return refused(Fault::PermitBedEpoch, detail);
    }
    check_time(&permit, now)?;
    Ok(permit)
}

/// What the permit says, before anybody knows whether it is true.
fn read(signed: &SignedPermit) -> Result<Permit, Refused> {
    /// The member that every version has.
    #[derive(Deserialize)]
    struct Head {
        v: u32,
    }

    let raw = &signed.raw.0;
    if raw.len() > PERMIT_BYTES {
        let detail = format!("{} bytes, at most {PERMIT_BYTES} are read", raw.len());
        return refused(Fault::PermitMalformed, detail);
    }
    let malformed =
        |error: serde_json::Error| Refused { fault: Fault::PermitMalformed, detail: error.to_string() };
    let head: Head = serde_json::from_slice(raw).map_err(malformed)?;
    if head.v != PERMIT_VERSION {
        let detail = format!("version {} is not known here, only {PERMIT_VERSION}", head.v);
        return refused(Fault::PermitUnsupported, detail);
    }
    Permit::parse(raw).map_err(malformed)
}

fn check_target(permit: &Permit, start: &Start) -> Result<(), Refused> {
    let differs = |what: &str, permits: &dyn std::fmt::Display, wanted: &dyn std::fmt::Display| {
        refused(Fault::PermitForeign, format!("it is for {what} {permits}, not for {wanted}"))
    };
    if permit.agent != start.agent {
        return differs("agent", &permit.agent, &start.agent);
    }
    if permit.printer != start.printer {
        return differs("printer", &permit.printer, &start.printer);
    }
    if permit.job != start.job {
        return differs("job", &permit.job, &start.job);
    }
    if permit.attempt != start.attempt {
        return differs("attempt", &permit.attempt, &start.attempt);
    }
    if permit.sha256 != start.sha256 {
        return differs("a file with SHA-256", &permit.sha256, &start.sha256);
    }
    if permit.size != start.size {
        return differs("a file of bytes:", &permit.size, &start.size);
    }
    Ok(())
}

fn check_time(permit: &Permit, now: &WallTime) -> Result<(), Refused> {
    if !now.is_trusted() {
        let detail = "neither the network nor the relay has told this machine the time";
        return refused(Fault::PermitNoClock, detail);
    }
    if now.unix_ms.saturating_add(GRACE_MS) < permit.nbf {
        let early = permit.nbf - now.unix_ms;
        return refused(Fault::PermitNotYetValid, format!("it begins in {} s", early / 1_000));
    }
    if now.unix_ms > permit.start_by.saturating_add(GRACE_MS) {
        let late = now.unix_ms - permit.start_by;
        return refused(Fault::PermitExpired, format!("its time to start ended {} s ago", late / 1_000));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
