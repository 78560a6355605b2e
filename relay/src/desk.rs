//! The thread that owns the registry: it answers logins, groups counter writes and notices other processes' changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use spoolway_protocol::{AgentId, BackendId};
use spoolway_relay_registry::{AgentRecord, BackendRecord, Registry, RegistryError, Standing};
use tokio::sync::{mpsc, oneshot, watch};

const QUESTIONS: usize = 1024;
const CHANGES: usize = 1024;
const POLL_EVERY: Duration = Duration::from_millis(250);
/// Counters are written after this many or this long, whichever comes first.
const GROUP_COUNTERS: usize = 32;
const GROUP_FOR: Duration = Duration::from_millis(200);

/// Every backend by name; small enough to be looked at during an upgrade without asking the thread.
pub(crate) type BackendTable = HashMap<BackendId, BackendRecord>;

/// What a running relay has to act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// This agent may not be connected any longer.
    Agent(AgentId, Standing),
    /// This agent may be connected, and this backend owns it.
    Owner(AgentId, BackendId),
    /// Some backend's record changed; the new table is in place.
    Backends,
}

/// Why a question was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// Too many questions wait already.
    #[error("the registry is busy")]
    Busy,
    /// The store failed; the thread has logged why.
    #[error("the registry failed")]
    Failed,
}

/// Something to be done with the registry on its thread.
type Work = Box<dyn FnOnce(&mut dyn Registry) + Send>;

enum Question {
    Do(Work),
    Agent(AgentId, oneshot::Sender<Result<Option<AgentRecord>, DeskError>>),
    Raise(AgentId, u64, oneshot::Sender<Result<bool, DeskError>>),
    Quarantine(AgentId, u64),
    Close,
}

/// The handle on the registry's thread.
#[derive(Debug)]
pub(crate) struct Desk {
    questions: SyncSender<Question>,
    backends: watch::Receiver<Arc<BackendTable>>,
    thread: Option<JoinHandle<()>>,
}

impl Desk {
    /// Starts the thread. Changes come out of the receiver; it must be read, or the thread waits.
    ///
    /// # Errors
    /// The store failed, or the thread cannot be started.
    pub(crate) fn open(registry: Box<dyn Registry>) -> Result<(Self, mpsc::Receiver<Change>), RegistryError> {
        let (questions, inbox) = sync_channel(QUESTIONS);
        let (changes, changed) = mpsc::channel(CHANGES);
        let (table, backends) = watch::channel(Arc::new(table_of(registry.as_ref())?));
        // The version first: a change in between is then seen twice and not lost.
        let data_version = registry.data_version()?;
        let revision = registry.changed_since(u64::MAX >> 1)?.revision;
        let clerk =
            Clerk { registry, inbox, changes, table, revision, data_version, counters: HashMap::new() };
        let thread = std::thread::Builder::new().name("registry".into()).spawn(move || clerk.work())?;
        Ok((Self { questions, backends, thread: Some(thread) }, changed))
    }

    /// The agent with its newest counter, revoked or not.
    ///
    /// # Errors
    /// The desk is busy or the store failed.
    pub(crate) async fn agent(&self, id: AgentId) -> Result<Option<AgentRecord>, DeskError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::Agent(id, reply))?;
        answer.await.map_err(|_| DeskError::Failed)?
    }

    /// Raises an agent's hello counter; `false` when it is not above the last one.
    ///
    /// # Errors
    /// The desk is busy or the store failed.
    pub(crate) async fn raise_hello_ctr(&self, id: AgentId, counter: u64) -> Result<bool, DeskError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::Raise(id, counter, reply))?;
        answer.await.map_err(|_| DeskError::Failed)?
    }

    /// Locks an agent out until a person releases it.
    ///
    /// # Errors
    /// The desk is busy.
    pub(crate) fn quarantine(&self, id: AgentId, now_ms: u64) -> Result<(), DeskError> {
        self.ask(Question::Quarantine(id, now_ms))
    }

    /// Does something with the registry, on its thread.
    ///
    /// # Errors
    /// The desk is busy, or its thread is gone.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Registry) -> T + Send + 'static,
    ) -> Result<T, DeskError> {
        let (reply, answer) = oneshot::channel();
        let work = Box::new(move |registry: &mut dyn Registry| drop(reply.send(work(registry))));
        self.ask(Question::Do(work))?;
        answer.await.map_err(|_| DeskError::Failed)
    }

    /// Every backend.
    pub(crate) fn backends(&self) -> Arc<BackendTable> {
        Arc::clone(&self.backends.borrow())
    }

    fn ask(&self, question: Question) -> Result<(), DeskError> {
        self.questions.try_send(question).map_err(|error| match error {
            TrySendError::Full(_) => DeskError::Busy,
            TrySendError::Disconnected(_) => DeskError::Failed,
        })
    }
}

impl Drop for Desk {
    /// Waits for the last counters to be written.
    fn drop(&mut self) {
        let told = self.questions.send(Question::Close);
        if let (Ok(()), Some(thread)) = (told, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

/// What runs on the thread.
struct Clerk {
    registry: Box<dyn Registry>,
    inbox: Receiver<Question>,
    changes: mpsc::Sender<Change>,
    table: watch::Sender<Arc<BackendTable>>,
    revision: u64,
    data_version: i64,
    /// Counters not written yet.
    counters: HashMap<AgentId, u64>,
}

impl Clerk {
    fn work(mut self) {
        let mut poll_at = Instant::now() + POLL_EVERY;
        let mut write_at = None;
        loop {
            let wake_at = write_at.map_or(poll_at, |at: Instant| at.min(poll_at));
            let question = match self.inbox.recv_timeout(wake_at.saturating_duration_since(Instant::now())) {
                Ok(question) => Some(question),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Question::Close),
            };
            let closing = matches!(question, Some(Question::Close));
            if let Some(question) = question {
                self.answer(question);
            }
            if write_at.is_none() && !self.counters.is_empty() {
                write_at = Some(Instant::now() + GROUP_FOR);
            }
            let due = write_at.is_some_and(|at| at <= Instant::now());
            if closing || due || self.counters.len() >= GROUP_COUNTERS {
                self.write_counters();
                write_at = None;
            }
            if closing {
                return;
            }
            if poll_at <= Instant::now() {
                self.poll();
                poll_at = Instant::now() + POLL_EVERY;
            }
        }
    }

    fn answer(&mut self, question: Question) {
        match question {
            Question::Do(work) => {
                work(self.registry.as_mut());
                // What this process has changed does not show in the version. What is not handed on now is at the next change.
                let _ = self.hand_on_changes();
            }
            Question::Agent(id, reply) => {
                let _ = reply.send(self.agent(&id));
            }
            Question::Raise(id, counter, reply) => {
                let raised = self.agent(&id).map(|record| {
                    let fresh = record.is_some_and(|record| counter > record.hello_ctr);
                    if fresh {
                        self.counters.insert(id, counter);
                    }
                    fresh
                });
                let _ = reply.send(raised);
            }
            Question::Quarantine(id, now_ms) => {
                let done = self.registry.quarantine_agent(&id, Some(now_ms));
                let _ = logged(done);
            }
            Question::Close => {}
        }
    }

    fn agent(&self, id: &AgentId) -> Result<Option<AgentRecord>, DeskError> {
        let mut record = logged(self.registry.agent(id))?;
        if let (Some(record), Some(&counter)) = (&mut record, self.counters.get(id)) {
            record.hello_ctr = record.hello_ctr.max(counter);
        }
        Ok(record)
    }

    fn write_counters(&mut self) {
        let counters: Vec<_> = self.counters.drain().collect();
        if !counters.is_empty() {
            let _ = logged(self.registry.raise_hello_ctrs(&counters));
        }
    }

    fn poll(&mut self) {
        let Ok(version) = logged(self.registry.data_version()) else { return };
        if version == self.data_version {
            return;
        }
        // The version is taken over only after every change was handed on, so that a failure is tried again.
        if self.hand_on_changes().is_ok() {
            self.data_version = version;
        }
    }

    fn hand_on_changes(&mut self) -> Result<(), DeskError> {
        let changed = logged(self.registry.changed_since(self.revision))?;
        if changed.backends {
            self.table.send_replace(Arc::new(logged(table_of(self.registry.as_ref()))?));
            let _ = self.changes.blocking_send(Change::Backends);
        }
        for id in changed.agents {
            let record = self.agent(&id)?;
            let change = match (Standing::of(record.as_ref()), record) {
                (Standing::Good, Some(record)) => Change::Owner(id, record.backend),
                (standing, _) => Change::Agent(id, standing),
            };
            let _ = self.changes.blocking_send(change);
        }
        self.revision = changed.revision;
        Ok(())
    }
}

fn table_of(registry: &dyn Registry) -> Result<BackendTable, RegistryError> {
    Ok(registry.backends()?.into_iter().map(|backend| (backend.id.clone(), backend)).collect())
}

fn logged<T>(result: Result<T, RegistryError>) -> Result<T, DeskError> {
    result.map_err(|error| {
        tracing::error!(%error, "registry");
        DeskError::Failed
    })
}

#[cfg(test)]
mod tests {
    use spoolway_relay_registry::SqliteRegistry;

    use super::*;

    #[tokio::test]
    async fn a_desk_that_is_behind_says_so_at_once_and_goes_on_when_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let registry = SqliteRegistry::open(&dir.path().join("registry.db")).unwrap();
        let (desk, _changes) = Desk::open(Box::new(registry)).unwrap();
        let (disk, hangs) = std::sync::mpsc::channel::<()>();
        let hang = move |_: &mut dyn Registry| {
            let _ = hangs.recv();
        };
        desk.ask(Question::Do(Box::new(hang))).unwrap();
        // The first one may be under way, and no longer waiting.
        let asked = (0..=QUESTIONS).take_while(|_| desk.ask(Question::Do(Box::new(|_| {}))).is_ok()).count();
        assert!(asked >= QUESTIONS - 1, "{asked}");
        let id = AgentId::from_bytes([1; 16]);
        assert_eq!(desk.agent(id).await, Err(DeskError::Busy));
        drop(disk);
        while desk.agent(id).await != Ok(None) {
            tokio::task::yield_now().await;
        }
    }
}
