//! Every job in memory, and its row in the store.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use spoolway_agent_core::gcode::{Position, Summary};
use spoolway_agent_core::job::{Job, JobQueue, Queued, STEP};
use spoolway_protocol::event::Interruption;
use spoolway_protocol::ids::FileId;
use spoolway_protocol::job::JobState;
use spoolway_protocol::offer::{OfferArgs, Retain, StartRule};
use spoolway_protocol::preflight::PreflightFinding;
use spoolway_protocol::{CmdId, Fault, JobId, Raw, Sha256Hex, Stamp};

use super::losses::Lost;
use super::story::Story;
use crate::store::JobRow;

/// What belongs to a job's state; it is written beside it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Detail {
    /// Stable code of why it stands where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
    /// The same for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    /// Number of the last attempt.
    #[serde(default)]
    pub(super) attempt: u32,
    /// Commands that the printer acknowledged.
    #[serde(default)]
    pub(super) commands_acked: u64,
    /// Line of the file that it acknowledged last.
    #[serde(default)]
    pub(super) line: u64,
    /// Bytes of the file up to there.
    #[serde(default)]
    pub(super) bytes: u64,
    /// Layer there.
    #[serde(default)]
    pub(super) layer: u32,
    /// The last line in front of where the present attempt begins; 0 at the beginning of the file.
    #[serde(default)]
    pub(super) begun_behind: u64,
    /// Commands in the file, once it has been read through.
    #[serde(default)]
    pub(super) commands_total: u64,
    /// Layers in the file.
    #[serde(default)]
    pub(super) layers_total: u32,
    /// What interrupted it, while it is interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lost: Option<Lost>,
    /// Interruptions that it went on from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) interruptions: Vec<Interruption>,
    /// What was found in its file, without what is merely worth knowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) findings: Vec<PreflightFinding>,
    /// Objects of the file that have labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) objects: Vec<String>,
    /// Codes of findings that a person has accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) accepted: Vec<String>,
    /// Somebody holds it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) held: bool,
    /// It was over once and is printed again: from then on each attempt is asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) on_demand: bool,
    /// Copies that were printed to their end.
    #[serde(default)]
    pub(super) copies_done: u32,
    /// Commands of the file that do not count for the present attempt: those of the attempts that it goes on from, and those
    /// that were left out.
    #[serde(default)]
    pub(super) counted_from: u64,
    /// How long those attempts have printed, in ms.
    #[serde(default)]
    pub(super) printed_ms: u64,
    /// When the job was over, unix ms; 0 before.
    #[serde(default)]
    pub(super) ended_ms: u64,
    /// The same on every clock there was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<Stamp>,
    /// What became of it, with times.
    #[serde(default)]
    pub(super) story: Story,
}

impl Detail {
    pub(super) fn because(&mut self, fault: Option<Fault>, text: Option<String>) {
        self.code = fault.map(|fault| fault.code().to_owned());
        self.text = text;
    }

    /// So much of the file was acknowledged.
    pub(super) fn stand_at(&mut self, commands: u64, position: Position) {
        self.commands_acked = commands;
        (self.line, self.bytes, self.layer) = (position.line, position.byte, position.layer);
    }

    /// Commands of the file that count for the present attempt.
    pub(super) fn counted(&self) -> Range<u64> {
        self.counted_from..self.commands_acked.max(self.counted_from)
    }

    /// Another attempt goes on behind so many commands of the file. What was acknowledged before and is sent again counts once.
    pub(super) fn go_on_behind(&mut self, commands: u64, position: Position) {
        self.counted_from = self.counted().end.max(commands);
        self.begun_behind = position.line;
        self.stand_at(commands, position);
    }
}

/// One job.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) job: Job,
    pub(super) offer: OfferArgs,
    pub(super) detail: Detail,
    pub(super) created_ms: u64,
    pub(super) position: i64,
    pub(super) summary: Option<Summary>,
    /// What was told of its file last.
    pub(super) told_preflight: Option<Raw>,
    /// Commands that are answered when the job has ended.
    pub(super) cancelled_by: Vec<CmdId>,
    /// The command that started the present attempt, until its first line goes out.
    pub(super) started_by: Option<CmdId>,
}

impl Entry {
    pub(super) fn sha256(&self) -> Sha256Hex {
        self.offer.file.sha256
    }

    pub(super) fn file_id(&self) -> &FileId {
        &self.offer.file.file_id
    }

    /// Whether its file is still to be kept after its end; a word that is not known keeps nothing. While nobody knows how
    /// long ago the end was, the file stays, and goes when another needs the room.
    fn is_kept(&self, now: &Stamp) -> bool {
        match self.offer.retain {
            Retain::Keep { hours } => {
                let age_ms = self.detail.ended.as_ref().and_then(|ended| now.ms_since(ended));
                age_ms.is_none_or(|age_ms| age_ms < u64::from(hours) * 3_600_000)
            }
            Retain::Delete | Retain::Unknown(_) => false,
        }
    }

    pub(super) fn queued(&self) -> Queued {
        Queued {
            state: self.job.state(),
            position: self.position,
            held: self.detail.held,
            ..Queued::from_offer(&self.offer)
        }
    }

    pub(super) fn row(&self, now_ms: u64) -> JobRow {
        JobRow {
            job_id: self.job.id().to_string(),
            rev: self.job.rev(),
            state: self.job.state().as_str().to_owned(),
            detail_json: Some(json(&self.detail)),
            printer_id: None,
            sha256: Some(self.sha256().to_string()),
            priority: i64::from(self.offer.priority),
            position: self.position,
            body_json: json(&self.offer),
            created_ms: self.created_ms,
            updated_ms: now_ms,
        }
    }

    /// A job from its row; `None` when the row is of a kind that this version does not understand.
    pub(super) fn from_row(row: &JobRow) -> Option<Self> {
        let state: JobState = serde_json::from_value(serde_json::Value::String(row.state.clone())).ok()?;
        let offer: OfferArgs = serde_json::from_str(&row.body_json).ok()?;
        let detail: Detail =
            row.detail_json.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Some(Self {
            job: Job::restore(offer.job_id.clone(), state, row.rev, detail.attempt),
            offer,
            detail,
            created_ms: row.created_ms,
            position: row.position,
            summary: None,
            told_preflight: None,
            cancelled_by: Vec::new(),
            started_by: None,
        })
    }
}

/// All jobs, and their order.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// Jobs of a backend wait for a start with a permit, whatever their offer says.
    permits_required: bool,
    pub(super) entries: BTreeMap<JobId, Entry>,
    pub(super) queue: JobQueue,
}

impl Book {
    pub(super) fn new(permits_required: bool) -> Self {
        Self { permits_required, ..Self::default() }
    }

    pub(super) fn put(&mut self, entry: Entry) -> bool {
        let mut queued = entry.queued();
        let needs_permit = self.permits_required && entry.offer.owner != super::local_jobs::LOCAL_OWNER;
        if needs_permit || entry.detail.on_demand {
            queued.start = StartRule::Manual;
        }
        let taken = self.queue.put(queued).is_ok();
        if taken {
            self.entries.insert(entry.job.id().clone(), entry);
        }
        taken
    }

    pub(super) fn next_position(&self) -> i64 {
        self.entries.values().map(|entry| entry.position.saturating_add(STEP)).max().unwrap_or(0)
    }

    /// The job that holds the printer.
    pub(super) fn active(&self) -> Option<&Entry> {
        self.entries.values().find(|entry| entry.job.state().holds_printer())
    }

    /// The job that is being fetched.
    pub(super) fn first_in(&self, state: JobState) -> Option<JobId> {
        let in_order = self.queue.iter().find(|queued| queued.state == state);
        in_order.map(|queued| queued.job_id.clone())
    }

    /// Whether a job still needs this file: one that is not over, or one whose offer asked that it be kept.
    pub(super) fn needs_file(&self, sha256: Sha256Hex, now: &Stamp) -> bool {
        let needs = |entry: &Entry| !entry.job.state().is_terminal() || entry.is_kept(now);
        self.entries.values().any(|entry| entry.sha256() == sha256 && needs(entry))
    }
}

/// Text of plain data.
pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("plain data has a text form")
}
