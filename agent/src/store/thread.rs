//! The store thread: it owns the database, answers requests in order and lets grouped writes wait together.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::ledger::Ledger;
use super::words::{Committed, Durability, Position, Write};
use super::{StoreError, StoreOptions};

/// A query that carries its own way to answer.
pub(super) type Query = Box<dyn FnOnce(&Ledger) + Send>;
/// Where an answer goes. A caller that no longer waits is not an error: the write stands all the same.
pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the handle can ask of the thread.
pub(super) enum Request {
    Commit { writes: Vec<Write>, durability: Durability, answer: Answer<Committed> },
    Ack { upto: Position, answer: Answer<()> },
    Read(Query),
    Close { answer: Answer<()> },
}

/// The thread's own state.
pub(super) struct Clerk {
    ledger: Ledger,
    committed: watch::Sender<Position>,
    group_rows: usize,
    group_window: Duration,
    waiting: Waiting,
}

/// Writes that wait for company.
#[derive(Default)]
struct Waiting {
    lists: Vec<Vec<Write>>,
    answers: Vec<Answer<Committed>>,
    ack: Option<Position>,
    ack_answers: Vec<Answer<()>>,
    rows: usize,
    /// When the oldest of them has waited long enough.
    due: Option<Instant>,
}

impl Clerk {
    pub(super) fn new(ledger: Ledger, committed: watch::Sender<Position>, options: &StoreOptions) -> Self {
        Self {
            ledger,
            committed,
            group_rows: options.group_rows,
            group_window: Duration::from_millis(options.group_ms),
            waiting: Waiting::default(),
        }
    }

    /// Serves until `close` or until every handle is gone. Only `close` is a clean stop.
    pub(super) async fn serve(mut self, mut requests: mpsc::Receiver<Request>) {
        loop {
            let next = match self.waiting.due {
                None => requests.recv().await,
                Some(due) => match timeout_at(due, requests.recv()).await {
                    Ok(next) => next,
                    Err(_) => {
                        self.flush(Durability::Grouped);
                        continue;
                    }
                },
            };
            match next {
                Some(Request::Close { answer }) => {
                    self.flush(Durability::Promise);
                    drop(answer.send(self.ledger.close()));
                    return;
                }
                Some(request) => self.handle(request),
                None => return self.flush(Durability::Grouped),
            }
        }
    }

    fn handle(&mut self, request: Request) {
        match request {
            Request::Commit { writes, durability, answer } => {
                self.waiting.rows += writes.len();
                self.waiting.lists.push(writes);
                self.waiting.answers.push(answer);
                if durability == Durability::Promise {
                    return self.flush(Durability::Promise);
                }
            }
            Request::Ack { upto, answer } => self.take_ack(upto, answer),
            Request::Read(query) => query(&self.ledger),
            Request::Close { .. } => unreachable!("serve takes Close itself"),
        }
        self.settle();
    }

    fn take_ack(&mut self, upto: Position, answer: Answer<()>) {
        // An ack for what was never written would remove what nobody has seen.
        if upto > self.ledger.tally().highest() {
            drop(answer.send(Err(StoreError::AckAhead { epoch: upto.epoch, seq: upto.seq })));
            return;
        }
        self.waiting.ack = self.waiting.ack.max(Some(upto));
        self.waiting.ack_answers.push(answer);
        self.waiting.rows += 1;
    }

    /// Flushes a full or overdue group; a stream of reads must not keep it waiting.
    fn settle(&mut self) {
        if self.waiting.rows == 0 && self.waiting.lists.is_empty() {
            return;
        }
        let now = Instant::now();
        let due = *self.waiting.due.get_or_insert(now + self.group_window);
        if self.waiting.rows >= self.group_rows || self.waiting.lists.len() >= self.group_rows || now >= due {
            self.flush(Durability::Grouped);
        }
    }

    fn flush(&mut self, durability: Durability) {
        let Waiting { lists, answers, ack, ack_answers, .. } = std::mem::take(&mut self.waiting);
        if lists.is_empty() && ack.is_none() {
            return;
        }
        let outcome = self.ledger.commit(ack, &lists, durability);
        let highest = self.ledger.tally().highest();
        self.committed.send_if_modified(|seen| {
            let is_news = *seen != highest;
            *seen = highest;
            is_news
        });
        for (answer, result) in answers.into_iter().zip(outcome.lists) {
            drop(answer.send(result));
        }
        for answer in ack_answers {
            drop(answer.send(outcome.acked.clone().map(|_| ())));
        }
    }
}
