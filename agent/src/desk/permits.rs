//! Permits of the backend: verified when a start is asked for and again when it is made, and remembered with the attempt.

use std::collections::BTreeMap;

use spoolway_agent_core::permit::{self, Past, Signature, Start, WallTime};
use spoolway_protocol::ids::KeyId;
use spoolway_protocol::job::{JobState, StartArgs};
use spoolway_protocol::usage::JobUsage;
use spoolway_protocol::{Fault, JobId, Permit, PrinterId, SignedPermit};
use tokio::sync::watch;
use tracing::{info, warn};

use super::book::json;
use super::clerk::Clerk;
use super::local_jobs::LOCAL_OWNER;
use super::moves::Reason;
use super::restore::meta;
use crate::attempt::UsedPermit;
use crate::config::Backend;
use crate::store::{Store, StoreError, Write};
use crate::view::{PermitsView, Refusal};

/// Name of what earlier permits left behind, in the store.
const PAST: &str = "permits";
/// Name of the last attempt that was told to be over time.
pub(super) const TOLD_OVER_TIME: &str = "over_time";

/// The keys, the rule and the memory.
#[derive(Debug)]
pub(super) struct Permits {
    /// Changes when the agent is paired.
    backend: watch::Receiver<Backend>,
    past: Past,
    /// Permits of starts that were asked for and are not made yet, by job and attempt.
    held: BTreeMap<(JobId, u32), SignedPermit>,
    /// The last attempt that was told to be over time, as `<job>/<attempt>`.
    over_time: Option<String>,
}

impl Permits {
    pub(super) async fn open(backend: watch::Receiver<Backend>, store: &Store) -> Result<Self, StoreError> {
        let past = store.meta(PAST).await?.and_then(|text| serde_json::from_str(&text).ok());
        let is_keyless = backend.borrow().requires_permits() && backend.borrow().keys().next().is_none();
        if is_keyless {
            warn!(
                "backend.permits is \"required\" and no key is set: every start of a backend will be refused"
            );
        }
        let over_time = store.meta(TOLD_OVER_TIME).await?;
        Ok(Self { backend, past: past.unwrap_or_default(), held: BTreeMap::new(), over_time })
    }

    /// Whether it was told already that this attempt is over its time.
    pub(super) fn has_told_over_time(&self, id: &JobId, attempt: u32) -> bool {
        self.over_time.as_ref().is_some_and(|told| *told == JobUsage::id_of(id, attempt))
    }

    pub(super) fn note_over_time(&mut self, id: &JobId, attempt: u32) {
        self.over_time = Some(JobUsage::id_of(id, attempt));
    }

    pub(super) fn are_required(&self) -> bool {
        self.backend.borrow().requires_permits()
    }

    pub(super) fn knows_a_key(&self) -> bool {
        self.backend.borrow().keys().next().is_some()
    }

    /// Whether one of the backend's keys has signed this.
    pub(super) fn verifies(&self, bytes: &[u8], sig: &[u8]) -> bool {
        self.backend.borrow().keys().any(|key| key.verifies(bytes, sig))
    }

    pub(super) fn view(&self) -> PermitsView {
        let keys = self.backend.borrow().keys().map(|key| key.kid().to_string()).collect();
        PermitsView { required: self.are_required(), keys }
    }

    fn signature(&self, kid: &KeyId, bytes: &[u8], sig: &[u8]) -> Signature {
        match self.backend.borrow().keys().find(|key| key.kid() == *kid) {
            Some(key) if key.verifies(bytes, sig) => Signature::Good,
            Some(_) => Signature::Bad,
            None => Signature::UnknownKey,
        }
    }
}

/// A start that may be made now, with what is to be stored beside it.
#[derive(Debug, Default)]
pub(super) struct Granted {
    /// The permit that is used up by it.
    pub(super) permit: Option<UsedPermit>,
    past: Option<Past>,
}

impl Granted {
    /// What is to be committed with the start, so that the permit is used up by it.
    pub(super) fn write(&self) -> Option<Write> {
        self.past.as_ref().map(|past| meta(PAST, json(past)))
    }
}

impl Clerk {
    /// Judges the permit of a start that is asked for, and keeps it until the start is made.
    pub(super) fn hold_permit(&mut self, start: &StartArgs) -> Result<(), Refusal> {
        let place = (start.job_id.clone(), start.attempt);
        let entries = &self.book.entries;
        self.permits.held.retain(|(job_id, _), _| *job_id != start.job_id && entries.contains_key(job_id));
        match &start.permit {
            Some(signed) => {
                self.judge_permit(&start.job_id, start.attempt, signed)?;
                self.permits.held.insert(place, signed.clone());
                Ok(())
            }
            None if self.permits.are_required() => {
                let text = format!("attempt {} of job {} came without a permit", start.attempt, start.job_id);
                Err(Refusal::new(Fault::PermitRequired, text))
            }
            None => Ok(()),
        }
    }

    /// Whether a start may be made now. The permit is judged once more: a file may take long to be read, and a person to come.
    pub(super) fn grant(&mut self, id: &JobId, attempt: u32) -> Result<Granted, Refusal> {
        match self.permits.held.get(&(id.clone(), attempt)).cloned() {
            Some(signed) => {
                let permit = self.judge_permit(id, attempt, &signed)?;
                info!(job = %id, attempt, permit = %permit.permit_id, key = %permit.kid, fence = permit.fence, "permit taken");
                let past = Some(self.permits.past.with(&permit));
                Ok(Granted { permit: Some(UsedPermit::from(&permit)), past })
            }
            None if self.needs_permit(id) => {
                Err(Refusal::new(Fault::PermitRequired, format!("job {id} has no permit to start")))
            }
            None => Ok(Granted::default()),
        }
    }

    /// A job of a backend, where its starts need permits.
    pub(super) fn needs_permit(&self, id: &JobId) -> bool {
        let is_local = self.book.entries.get(id).is_some_and(|entry| entry.offer.owner == LOCAL_OWNER);
        self.permits.are_required() && !is_local
    }

    /// The start that used the permit is committed.
    pub(super) fn keep_used(&mut self, id: &JobId, granted: Granted) {
        self.permits.held.retain(|(job_id, _), _| job_id != id);
        if let Some(past) = granted.past {
            self.permits.past = past;
        }
    }

    /// A start was not made: its job waits again as it did before, and its command is refused.
    pub(super) async fn refuse_start(&mut self, id: &JobId, refusal: Refusal) {
        self.permits.held.retain(|(job_id, _), _| job_id != id);
        let reason = Reason::fault(refusal.fault, refusal.text.clone());
        self.move_job(id, JobState::Queued, reason, Vec::new()).await;
        self.end_start_command(id, Err(refusal));
    }

    fn judge_permit(&self, id: &JobId, attempt: u32, signed: &SignedPermit) -> Result<Permit, Refusal> {
        let entry = self.book.entries.get(id).ok_or_else(|| super::commands::unknown_job(id))?;
        let start = Start {
            agent: self.identity.agent_id(),
            printer: PrinterId::new(super::show::PRINTER_ID).expect("the name is a constant"),
            job: id.clone(),
            attempt,
            sha256: entry.sha256(),
            size: entry.offer.file.size,
            bed_epoch: self.bed.epoch(),
        };
        let stamp = self.clock.stamp();
        let now = WallTime { unix_ms: stamp.w, source: stamp.c };
        let signature = |kid: &KeyId, bytes: &[u8], sig: &[u8]| self.permits.signature(kid, bytes, sig);
        permit::judge(signed, signature, &start, &now, &self.permits.past)
            .map_err(|refused| Refusal::new(refused.fault, refused.detail))
    }
}
