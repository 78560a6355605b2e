//! Makes room for a job's file before a byte of it comes: files that no job needs go, the oldest first, or it is refused.

use spoolway_protocol::command::Actor;
use spoolway_protocol::event::{EventData, FileEvicted};
use spoolway_protocol::job::JobState;
use spoolway_protocol::raw::Extra;
use spoolway_protocol::{Fault, FileId, JobId, Sha256Hex};
use tracing::{info, warn};

use super::book::{Book, Entry};
use super::clerk::Clerk;
use super::events::event;
use crate::spool::{SpoolEntry, SpoolError};
use crate::view::Refusal;

/// A stored file that may go.
#[derive(Debug, PartialEq)]
struct Candidate {
    sha256: Sha256Hex,
    file_bytes: u64,
    /// When the last job that used it was over, unix ms; 0 if none is known.
    ended_ms: u64,
    /// That job; none when it is forgotten, and then nobody asks for its file any more.
    job_id: Option<JobId>,
}

impl Clerk {
    /// Sees to it that a file of `size` bytes fits beside those that are still coming.
    ///
    /// # Errors
    /// It is too large, or would not fit without every file that may go; none of them goes then.
    pub(super) async fn make_room(&mut self, size: u64) -> Result<(), SpoolError> {
        let promised_bytes = self.promised_bytes();
        let shortage = match self.spool.admit(size, promised_bytes) {
            Err(SpoolError::NoRoom(shortage)) => shortage,
            other => return other,
        };
        let candidates = candidates(&self.book, self.spool.bodies()?, self.imports > 0);
        let spare_bytes: u64 = candidates.iter().map(|one| one.file_bytes).sum();
        if shortage.room.left_bytes().saturating_add(spare_bytes) < size.saturating_add(promised_bytes) {
            return Err(SpoolError::NoRoom(shortage));
        }
        for candidate in candidates {
            self.evict(candidate).await;
            if self.spool.admit(size, promised_bytes).is_ok() {
                break;
            }
        }
        self.spool.admit(size, promised_bytes)
    }

    /// The owner wants a file gone; one that is not here is gone already.
    pub(super) async fn evict_file(&mut self, actor: &Actor, file_id: &FileId) -> Result<(), Refusal> {
        super::hand::check_role(actor, false)?;
        let is_it = |entry: &&Entry| entry.file_id() == file_id;
        let entries = self.book.entries.values();
        let Some(sha256) = entries.clone().find(is_it).map(Entry::sha256) else { return Ok(()) };
        let needs = entries.filter(|entry| entry.sha256() == sha256).find(|e| !e.job.state().is_terminal());
        if let Some(entry) = needs {
            let text = format!("job {} is {} and needs the file", entry.job.id(), entry.job.state());
            return Err(Refusal::new(Fault::Busy, text));
        }
        let bodies = self.spool.bodies();
        let bodies = bodies.map_err(|error| Refusal::new(Fault::StoreCorrupt, error.to_string()))?;
        let found = candidates(&self.book, bodies, self.imports > 0);
        if let Some(candidate) = found.into_iter().find(|one| one.sha256 == sha256) {
            self.evict(candidate).await;
        }
        Ok(())
    }

    async fn evict(&mut self, candidate: Candidate) {
        let Candidate { sha256, file_bytes, job_id, .. } = candidate;
        let (spool, name) = (self.spool.clone(), sha256.to_string());
        let removed = tokio::task::spawn_blocking(move || spool.delete(&name)).await;
        match removed {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) | Err(_) => return,
            Ok(Err(error)) => return warn!(%error, "a job's file could not be deleted"),
        }
        info!(%sha256, bytes = file_bytes, "a finished job's file was deleted");
        let Some(entry) = job_id.and_then(|id| self.book.entries.get(&id)) else { return };
        let evicted = EventData::FileEvicted(FileEvicted {
            file_id: entry.file_id().clone(),
            sha256,
            bytes: file_bytes,
            extra: Extra::default(),
        });
        let about = Some((entry.job.id(), 0));
        let told = event(&evicted, about, &self.clock.stamp());
        drop(self.promise(vec![told]).await);
    }

    /// Bytes of files that were accepted and are not complete.
    pub(super) fn promised_bytes(&self) -> u64 {
        let coming = |state| matches!(state, JobState::Offered | JobState::Fetching);
        let offers = self.book.entries.values().filter(|entry| coming(entry.job.state()));
        let mut files: Vec<_> = offers.map(|entry| (entry.sha256(), entry.offer.file.size)).collect();
        files.sort_unstable_by_key(|(sha256, _)| sha256.0);
        files.dedup_by_key(|(sha256, _)| sha256.0);
        let missing = |sha256: &Sha256Hex| !self.spool.contains(&sha256.to_string()).unwrap_or(false);
        files.iter().filter(|(sha256, _)| missing(sha256)).map(|(_, size)| size).sum()
    }
}

/// Complete files that no job needs, in the order in which they go. One without a job may be an import that is not a job
/// yet.
fn candidates(book: &Book, stored: Vec<SpoolEntry>, is_importing: bool) -> Vec<Candidate> {
    let mut found = Vec::new();
    for SpoolEntry { name, file_bytes } in stored {
        let Ok(sha256) = name.parse::<Sha256Hex>() else { continue };
        let users = || book.entries.values().filter(|entry| entry.sha256() == sha256);
        if users().any(|entry| !entry.job.state().is_terminal()) {
            continue;
        }
        let last = users().max_by_key(|entry| (entry.detail.ended_ms, entry.position));
        if last.is_none() && is_importing {
            continue;
        }
        found.push(Candidate {
            sha256,
            file_bytes,
            ended_ms: last.map_or(0, |entry| entry.detail.ended_ms),
            job_id: last.map(|entry| entry.job.id().clone()),
        });
    }
    found.sort_by_key(|one| one.ended_ms);
    found
}

#[cfg(test)]
mod tests {
    use spoolway_agent_core::job::Job;
    use spoolway_protocol::Stamp;
    use spoolway_protocol::envelope::ClockSource;
    use spoolway_protocol::offer::OfferArgs;

    use super::super::book::Detail;
    use super::*;

    fn file(n: u8) -> Sha256Hex {
        Sha256Hex([n; 32])
    }

    fn entry(id: &str, file_n: u8, state: JobState, ended_ms: u64) -> Entry {
        let offer = format!(
            r#"{{"job_id":"{id}","rev":1,"owner":"o","file":{{"file_id":"f-{id}","size":9,"sha256":"{}","chunk":65536,"name":"n"}},"sources":[],"start":"manual","copies":1,"priority":0,"retain":"keep:24"}}"#,
            file(file_n)
        );
        let offer: OfferArgs = serde_json::from_str(&offer).unwrap();
        Entry {
            job: Job::restore(offer.job_id.clone(), state, 3, 1),
            offer,
            detail: Detail { ended_ms, ..Detail::default() },
            created_ms: 1,
            position: 0,
            summary: None,
            told_preflight: None,
            cancelled_by: Vec::new(),
            started_by: None,
        }
    }

    /// However far the wall clock jumps, a file is kept as long as was asked: by the time since boot, or by clocks that
    /// can be trusted, and else until there is no room.
    #[test]
    fn a_kept_file_outlives_a_jump_of_ten_years() {
        const TEN_YEARS_MS: u64 = 3_652 * 86_400_000;
        let at = |w: u64, m: u64, boot: &str, c: ClockSource| Stamp { w, m, b: boot.parse().unwrap(), c };
        let ended = at(20 * TEN_YEARS_MS, 1_000, "boot-1", ClockSource::Floor);
        let mut done = entry("a", 1, JobState::Completed, ended.w);
        done.detail.ended = Some(ended);
        let mut book = Book::default();
        assert!(book.put(done));
        let hours = |hours: u64| 1_000 + hours * 3_600_000;
        for w in [10 * TEN_YEARS_MS, 20 * TEN_YEARS_MS, 30 * TEN_YEARS_MS] {
            assert!(book.needs_file(file(1), &at(w, hours(23), "boot-1", ClockSource::Ntp)));
            assert!(!book.needs_file(file(1), &at(w, hours(24), "boot-1", ClockSource::None)));
            assert!(
                book.needs_file(file(1), &at(w, 1, "boot-2", ClockSource::Ntp)),
                "its end is not certain"
            );
        }
        let end = at(20 * TEN_YEARS_MS, 1_000, "boot-1", ClockSource::Relay);
        book.entries.values_mut().for_each(|entry| entry.detail.ended = Some(end.clone()));
        let later = |c| at(20 * TEN_YEARS_MS + 25 * 3_600_000, 1, "boot-2", c);
        assert!(!book.needs_file(file(1), &later(ClockSource::Ntp)));
        assert!(book.needs_file(file(1), &later(ClockSource::Floor)));
    }

    #[test]
    fn the_oldest_finished_file_goes_first_and_a_needed_one_never() {
        let mut book = Book::default();
        for one in [
            entry("a", 1, JobState::Completed, 300),
            entry("b", 2, JobState::Cancelled, 100),
            entry("c", 3, JobState::Completed, 50),
            entry("d", 3, JobState::Queued, 0),
            entry("e", 4, JobState::Interrupted, 0),
            entry("f", 2, JobState::Failed, 200),
        ] {
            assert!(book.put(one));
        }
        let stored = |n: u8| SpoolEntry { name: file(n).to_string(), file_bytes: u64::from(n) };
        let order = |is_importing| {
            let found = candidates(&book, (1..=5).map(stored).collect(), is_importing);
            found
                .into_iter()
                .map(|one| (one.file_bytes, one.job_id.map(|id| id.to_string())))
                .collect::<Vec<_>>()
        };
        let named = |n, id: &str| (n, Some(id.to_owned()));
        assert_eq!(order(false), [(5, None), named(2, "f"), named(1, "a")]);
        assert_eq!(order(true), [named(2, "f"), named(1, "a")]);
    }
}
