//! Answers for whoever looks for the cause when something is over: what became of a job, and the last words on the wire.

use std::io;

use spoolway_protocol::{Fault, JobId};

use super::{Answer, Guest, refused};
use crate::local::counter::Counter;
use crate::post_mortem::{Record, Shelf};
use crate::view::history::HistoryView;
use crate::view::{Refusal, WireLineView};

impl Guest {
    /// What became of a job, and of which attempts there is a record.
    pub(super) async fn tell_history<C: Counter>(
        &mut self,
        counter: &C,
        shelf: &Shelf,
        job: JobId,
    ) -> io::Result<()> {
        let answer = match counter.history(job).await {
            Err(refusal) => refused(refusal),
            Ok(history) => Answer::History { history: Box::new(with_records(history, shelf.clone()).await) },
        };
        self.say(&answer).await
    }

    /// The last words on the wire; what a reader cannot have any more is not told.
    pub(super) async fn tell_wire<C: Counter>(&mut self, counter: &C) -> io::Result<()> {
        match counter.wire().await {
            Err(refusal) => self.say(&refused(refusal)).await,
            Ok(lines) => self.say_lines(lines.iter().map(WireLineView::from)).await,
        }
    }

    /// The record of an attempt, then its words on the wire line by line: together they are longer than a line may be.
    pub(super) async fn tell_record(
        &mut self,
        shelf: &Shelf,
        job: JobId,
        attempt: Option<u32>,
    ) -> io::Result<()> {
        match find(shelf.clone(), job, attempt).await {
            Err(refusal) => self.say(&refused(refusal)).await,
            Ok(None) => self.say(&Answer::Record { record: None }).await,
            Ok(Some(mut record)) => {
                let lines = std::mem::take(&mut record.wire.lines);
                self.say(&Answer::Record { record: Some(Box::new(record)) }).await?;
                self.say_lines(lines.into_iter()).await
            }
        }
    }

    async fn say_lines(&mut self, lines: impl Iterator<Item = WireLineView>) -> io::Result<()> {
        for line in lines {
            self.say(&Answer::Wire { line }).await?;
        }
        self.say(&Answer::Done).await
    }
}

async fn with_records(mut history: HistoryView, shelf: Shelf) -> HistoryView {
    let listed = tokio::task::spawn_blocking(move || shelf.list()).await;
    for kept in listed.into_iter().flatten().flatten().filter(|kept| kept.job_id == history.job.job_id) {
        if let Some(of) = history.attempts.iter_mut().find(|of| of.attempt == kept.attempt) {
            of.record = true;
        }
    }
    history
}

async fn find(shelf: Shelf, job: JobId, attempt: Option<u32>) -> Result<Option<Record>, Refusal> {
    let found = tokio::task::spawn_blocking(move || shelf.find(&job, attempt)).await;
    let found = found.map_err(io::Error::other).flatten();
    found.map_err(|error| Refusal::new(Fault::StoreCorrupt, format!("the record cannot be read: {error}")))
}
