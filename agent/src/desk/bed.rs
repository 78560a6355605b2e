//! The bed: nothing starts on one that may hold a part, and only a person who has looked makes it clear.

use spoolway_protocol::bed::{BedCleared, BedWord};
use spoolway_protocol::event::EventData;
use spoolway_protocol::job::JobState;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::{Fault, JobId};
use tracing::{info, warn};

use super::book::Entry;
use super::clerk::Clerk;
use super::events::event;
use super::moves::Reason;
use super::restore::{BED_CLEAR, meta};
use crate::config::BedConfirm;
use crate::printer::Snapshot;
use crate::view::{BedView, Refusal};

impl Clerk {
    /// Whether a part may be put on the bed.
    pub(super) fn check_bed(&self) -> Result<(), Refusal> {
        if self.bed_confirm == BedConfirm::NotRequired || self.bed.is_clear() {
            return Ok(());
        }
        let part = self.last_job().map_or_else(String::new, |entry| {
            format!(" after job {} ({})", entry.job.id(), entry.job.state())
        });
        let text = format!(
            "nobody has said that the bed is clear{part}: clear it, then `spoolway-agent bed clear` (bed epoch {})",
            self.bed.epoch()
        );
        Err(Refusal::new(Fault::BedNotClear, text))
    }

    /// What is told of the bed; nothing where nobody is asked.
    pub(super) fn bed_clear(&self) -> Option<bool> {
        (self.bed_confirm == BedConfirm::Required).then(|| self.bed.is_clear())
    }

    /// A person who saw the bed in the epoch `seen` says that it is clear. Said twice, it is said once.
    ///
    /// A part that was interrupted is then gone, so its job ends: taking it up again would print into the air.
    pub(super) async fn clear_bed(
        &mut self,
        seen: u64,
        via: BedWord,
        actor: Option<String>,
    ) -> Result<BedView, Refusal> {
        if let Some(active) = self.book.active() {
            let text = format!("job {} is on the bed", active.job.id());
            return Err(Refusal::new(Fault::Busy, text));
        }
        let cleared =
            self.bed.confirm(seen).map_err(|error| Refusal::new(Fault::BedStale, error.to_string()))?;
        for id in self.interrupted() {
            let text = "the bed was cleared, so the part cannot be taken up again";
            self.end_unstarted(&id, JobState::Cancelled, Reason::fault(Fault::Cancelled, text)).await;
        }
        if !self.bed.is_clear() {
            let told = EventData::BedCleared(BedCleared {
                bed_epoch: seen,
                via: via.clone(),
                actor: actor.clone(),
                extra: Extra::default(),
            });
            let writes = vec![meta(BED_CLEAR, seen), event(&told, None, &self.clock.stamp())];
            self.promise(writes).await.map_err(|error| {
                Refusal::new(Fault::DiskFull, format!("the word could not be stored: {error}"))
            })?;
            info!(bed_epoch = seen, %via, "the bed is clear");
            self.bed = cleared;
            self.changed = true;
            self.moved = true;
        }
        Ok(self.bed_view())
    }

    /// A button of the printer says that it is ready for the next part. It counts for the print that was over when it was
    /// pressed, and says nothing about a part that was interrupted: giving that up takes plain words.
    pub(super) async fn take_ready(&mut self, snapshot: &Snapshot) {
        if snapshot.readied == self.readied {
            return;
        }
        self.readied = snapshot.readied;
        let Some(pressed) = snapshot.readied.filter(|pressed| pressed.run == self.runs) else { return };
        if self.following.is_some() || self.bed.is_clear() {
            return;
        }
        if let Some(id) = self.interrupted().first() {
            return warn!(job = %id, "a button says ready, but a part was interrupted: `bed clear` or `cancel` gives it up");
        }
        info!(presses = pressed.count, "somebody has said at the printer that it is ready");
        if let Err(refusal) = self.clear_bed(self.bed.epoch(), BedWord::Button, None).await {
            warn!(%refusal, code = refusal.fault.code(), "the bed is not clear");
        }
    }

    pub(super) fn interrupted(&self) -> Vec<JobId> {
        let entries = self.book.entries.values();
        let interrupted = entries.filter(|entry| entry.job.state() == JobState::Interrupted);
        interrupted.map(|entry| entry.job.id().clone()).collect()
    }

    fn last_job(&self) -> Option<&Entry> {
        self.bed_job.as_ref().and_then(|id| self.book.entries.get(id))
    }

    /// The part that was begun last, in words.
    fn last_part(&self) -> Option<String> {
        let entry = self.last_job()?;
        Some(format!("{} ({}, {})", entry.offer.file.name, entry.job.id(), entry.job.state()))
    }

    pub(super) fn bed_view(&self) -> BedView {
        BedView {
            epoch: self.bed.epoch(),
            clear: self.bed.is_clear(),
            confirm_required: self.bed_confirm == BedConfirm::Required,
            part: self.last_part(),
            interrupted: self.interrupted(),
        }
    }
}
