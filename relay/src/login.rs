//! From a hello to a verdict: registry, signature, counter.

use spoolway_protocol::hello::RejectCode;
use spoolway_protocol::security::SecurityKind;
use spoolway_protocol::version::PROTO;
use spoolway_relay_registry::keys::{Worth, kid_of};
use spoolway_relay_registry::{AgentRecord, Standing};

use crate::auth::{Channel, is_signed_by};
use crate::desk::DeskError;
use crate::hub::Hub;
use crate::security::Alarm;
use crate::session::{Claim, Verdict};
use spoolway_relay_tls::Shown;

/// How long an agent stays away when the relay is too busy to look at it.
const BUSY_RETRY_MS: u64 = 5_000;

/// What an agent is told that has to show a certificate and has not.
pub(crate) const NO_CERTIFICATE: Verdict =
    reject(RejectCode::CertRequired, None, "this relay asks its agents for a client certificate");

/// Looks at a claim. The signature is checked before anything is said about the agent's standing that
/// only its owner should know, and before its counter is touched.
pub(crate) async fn judge(hub: &Hub, claim: &Claim, channel: Channel<'_>, shown: Option<&Shown>) -> Verdict {
    let hello = &claim.hello;
    if hub.is_draining() {
        return reject(RejectCode::Draining, Some(BUSY_RETRY_MS), "this relay is about to go");
    }
    if hello.proto != PROTO {
        return reject(RejectCode::ProtoUnsupported, None, "this relay speaks spoolway.v1");
    }
    let busy = || reject(RejectCode::RateLimited, Some(BUSY_RETRY_MS), "the registry is busy");
    let Ok(record) = hub.desk.agent(hello.agent_id).await else { return busy() };
    let Some(record) = record else {
        return reject(RejectCode::Unpaired, None, "this agent is not registered here");
    };
    let alarm = |kind: SecurityKind, detail: &'static str| {
        hub.alarm(Alarm::of_agent(kind, record.id, record.backend.clone(), detail));
        detail
    };
    if !is_signed_by(claim, channel, &record.public_key) {
        match worth_of_another(hub, claim, channel).await {
            Err(_) => return busy(),
            Ok(Worth::Overlap) => {
                alarm(SecurityKind::KeyChanged, "a login with a key that was replaced");
            }
            Ok(Worth::Retired) => {
                let text = "this key was replaced by a newer one, and its time is over";
                return reject(RejectCode::KeyRetired, None, alarm(SecurityKind::AuthFailure, text));
            }
            Ok(Worth::Current | Worth::Foreign) => {
                let text = alarm(SecurityKind::AuthFailure, "the signature does not fit the registered key");
                return reject(RejectCode::BadSig, None, text);
            }
        }
    }
    match Standing::of(Some(&record)) {
        Standing::Good => {}
        Standing::Unknown | Standing::Revoked => {
            let text = alarm(SecurityKind::AuthFailure, "the key was revoked");
            return reject(RejectCode::Revoked, None, text);
        }
        Standing::Quarantined => {
            let text = "two machines use this key; a person has to release it";
            return reject(RejectCode::CloneSuspected, None, alarm(SecurityKind::CloneSuspected, text));
        }
    }
    match is_its_own(hub, &record, shown).await {
        Err(_) => return busy(),
        Ok(true) => {}
        Ok(false) => {
            let text = alarm(SecurityKind::AuthFailure, "the client certificate is of another key");
            return reject(RejectCode::BadCert, None, text);
        }
    }
    if let Err(wait_ms) = hub.admission.login(&hello.agent_id, hub.clock.ms()) {
        return reject(RejectCode::RateLimited, Some(wait_ms), "this agent logs in too often");
    }
    match hub.desk.raise_hello_ctr(hello.agent_id, hello.hello_ctr).await {
        Err(_) => busy(),
        Ok(false) => {
            let text = "the hello counter went back: an older copy of the key";
            reject(RejectCode::CloneSuspected, None, alarm(SecurityKind::CloneSuspected, text))
        }
        Ok(true) => Verdict::Welcome { owner: record.backend },
    }
}

/// What the key is worth that has signed, when it is not the one that the agent has. It is asked for by its name, so that a
/// forged hello costs one check more and not one for each key.
async fn worth_of_another(hub: &Hub, claim: &Claim, channel: Channel<'_>) -> Result<Worth, DeskError> {
    let (agent, kid) = (claim.hello.agent_id, claim.hello.kid.to_string());
    let Ok(Some(keys)) = hub.desk.with(move |registry| registry.keys(&agent)).await? else {
        return Err(DeskError::Failed);
    };
    let named = keys.old.iter().find(|old| kid_of(&old.key) == kid);
    let signed = named.filter(|old| is_signed_by(claim, channel, &old.key));
    Ok(signed.map_or(Worth::Foreign, |old| keys.worth(&old.key, hub.clock.now().unix_ms)))
}

/// Whether a certificate of a single key is of one of the agent's that are good: in the overlap it may be the other one than has signed.
async fn is_its_own(hub: &Hub, agent: &AgentRecord, shown: Option<&Shown>) -> Result<bool, DeskError> {
    let Some(&Shown::Key(key)) = shown else { return Ok(true) };
    if key == agent.public_key {
        return Ok(true);
    }
    let id = agent.id;
    let keys = hub.desk.with(move |registry| registry.keys(&id)).await?.map_err(|_| DeskError::Failed)?;
    let now_ms = hub.clock.now().unix_ms;
    Ok(keys.is_some_and(|keys| matches!(keys.worth(&key, now_ms), Worth::Current | Worth::Overlap)))
}

const fn reject(code: RejectCode, retry_after_ms: Option<u64>, message: &'static str) -> Verdict {
    Verdict::Reject { code, retry_after_ms, message }
}
