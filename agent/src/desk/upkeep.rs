//! Keeps the desk tidy: files and jobs that are long over are forgotten, and what had to be dropped is told of.

use spoolway_protocol::JobId;
use spoolway_protocol::offer::Retain;
use tracing::warn;

use super::book::Entry;
use super::clerk::Clerk;
use crate::store::Write;

/// Jobs that are over and still listed.
const JOBS_REMEMBERED: usize = 200;

impl Clerk {
    pub(super) async fn keep_up(&mut self) {
        self.forget_old_files();
        self.forget_old_jobs().await;
        self.tell_dropped().await;
        self.watch_writes().await;
    }

    /// A file that no job needs any more goes; one of an interrupted job stays.
    pub(super) fn forget_file(&mut self, id: &JobId) {
        let entry = &self.book.entries[id];
        if entry.job.state().is_terminal() && !self.book.needs_file(entry.sha256(), &self.clock.stamp()) {
            self.delete_file(entry.sha256().to_string());
        }
    }

    /// Files whose time is over go as well.
    fn forget_old_files(&mut self) {
        let now = self.clock.stamp();
        let kept =
            self.book.entries.values().filter(|entry| matches!(entry.offer.retain, Retain::Keep { .. }));
        let over = kept.filter(|entry| entry.job.state().is_terminal());
        let old = over.map(Entry::sha256).filter(|sha256| !self.book.needs_file(*sha256, &now));
        for sha256 in old.collect::<Vec<_>>() {
            self.delete_file(sha256.to_string());
        }
    }

    /// Jobs that are long over are forgotten, so that the queue has room for ever. Their commands are still known.
    async fn forget_old_jobs(&mut self) {
        let over = self.book.entries.values().filter(|entry| entry.job.state().is_terminal());
        let mut over: Vec<_> = over.map(|entry| (entry.detail.ended_ms, entry.job.id().clone())).collect();
        over.sort_unstable();
        let surplus = over.len().saturating_sub(JOBS_REMEMBERED);
        if surplus == 0 {
            return;
        }
        for (_, id) in over.drain(..surplus) {
            let forget = Write::ForgetJob { job_id: id.to_string() };
            if self.promise(vec![forget]).await.is_err() {
                return;
            }
            self.forget_file(&id);
            self.book.queue.remove(&id);
            self.book.entries.remove(&id);
        }
        self.forget_records().await;
    }

    /// Records of jobs that are forgotten go with them.
    async fn forget_records(&self) {
        self.drop_records_but(self.book.entries.keys().cloned().collect()).await;
    }

    pub(super) fn delete_file(&self, sha256: String) {
        let spool = self.spool.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = spool.delete(&sha256) {
                warn!(%error, "a job's file could not be deleted");
            }
        });
    }

    /// Whoever reads the log hears of dropped events; the backend finds a `gap` in the place of each run of them.
    async fn tell_dropped(&mut self) {
        let Ok(status) = self.store.outbox_status().await else { return };
        let before = std::mem::replace(&mut self.dropped, status.dropped);
        let (critical, info) = (status.dropped.critical, status.dropped.info);
        if (critical, info) != (before.critical, before.info) {
            warn!(
                critical,
                info, "the outbox was full; so many of the oldest events are dropped since it began"
            );
        }
    }
}
