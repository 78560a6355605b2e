//! The thread that writes a transfer down: it packs and hashes, and the desk never waits for it.

use std::sync::{Arc, Mutex, PoisonError};

use spoolway_protocol::JobId;
use spoolway_protocol::limits::{CHUNK_CREDIT, CHUNK_PAYLOAD_BYTES, PIECE_BYTES};
use tokio::sync::mpsc;

use crate::desk::clerk::Done;
use crate::spool::{Spool, SpoolError, SpoolWriter};
use crate::telemetry;

/// Work that may wait: the machine lets twice this many bytes wait, in pieces of the smallest kind, and a few words beside them.
const WORK: usize = {
    let window = CHUNK_CREDIT as usize * CHUNK_PAYLOAD_BYTES;
    2 * window / *PIECE_BYTES.start() as usize + 8
};
/// After so many bytes the desk hears how far the disk is, if there is more to do.
const TELL_EVERY_BYTES: u64 = CHUNK_PAYLOAD_BYTES as u64;

/// What the thread is to do. When nobody is left who could say, what has come is kept.
pub(super) enum Work {
    Append(Vec<u8>),
    Finish { size: u64 },
    StartOver,
    Discard,
}

/// What the desk hears of it.
#[derive(Debug)]
pub(in crate::desk) struct Fetched {
    pub(super) job_id: JobId,
    pub(super) news: News,
}

#[derive(Debug)]
pub(super) enum News {
    /// So many bytes lie on the disk, and are good; so many of them had to be read for that.
    Opened { durable: u64, read_back: u64 },
    /// Everything up to here was taken.
    Written(u64),
    /// The whole is durable and the one that was announced, or another one.
    Finished(bool),
    /// It cannot be kept.
    Failed(SpoolError),
}

struct Thread {
    spool: Spool,
    sha256: String,
    job_id: JobId,
    todo: mpsc::Receiver<Work>,
    done: mpsc::Sender<Done>,
}

/// Starts it. `turn` lets one thread after the other write: the one before may not have let go of the same file.
pub(super) fn start(
    spool: &Spool,
    sha256: String,
    job_id: JobId,
    turn: &Arc<Mutex<()>>,
    done: mpsc::Sender<Done>,
) -> mpsc::Sender<Work> {
    let (work, todo) = mpsc::channel(WORK);
    let (spool, turn) = (spool.clone(), Arc::clone(turn));
    let about = telemetry::of_job(&job_id, 0);
    tokio::task::spawn_blocking(move || {
        let _about = about.entered();
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut thread = Thread { spool, sha256, job_id, todo, done };
        if let Err(error) = thread.run() {
            thread.tell(News::Failed(error));
        }
    });
    work
}

impl Thread {
    fn tell(&self, news: News) {
        let fetched = Fetched { job_id: self.job_id.clone(), news };
        drop(self.done.blocking_send(Done::Fetched(fetched)));
    }

    /// Takes up what an earlier process has left, then does what it is told.
    fn run(&mut self) -> Result<(), SpoolError> {
        let mut writer = self.spool.write(&self.sha256)?;
        self.tell(opened(&writer));
        let mut told = writer.durable();
        while let Some(work) = self.todo.blocking_recv() {
            match work {
                Work::Append(bytes) => {
                    writer.append(&bytes)?;
                    let taken = writer.received();
                    if taken - told >= TELL_EVERY_BYTES || self.todo.is_empty() {
                        told = taken;
                        self.tell(News::Written(taken));
                    }
                }
                Work::Finish { size } => match self.finish(writer, size)? {
                    None => return Ok(()),
                    Some(again) => writer = again,
                },
                Work::StartOver => {
                    writer.discard()?;
                    writer = self.spool.write(&self.sha256)?;
                    told = 0;
                    self.tell(opened(&writer));
                }
                Work::Discard => return writer.discard(),
            }
        }
        writer.suspend().map(drop)
    }

    /// The writer is given back where the file was another one: it may be fetched anew.
    fn finish(&self, writer: SpoolWriter, size: u64) -> Result<Option<SpoolWriter>, SpoolError> {
        match writer.finish(&self.sha256, size) {
            Ok(_) => {
                self.tell(News::Finished(true));
                Ok(None)
            }
            Err(SpoolError::AlteredFile { .. }) => {
                let again = self.spool.write(&self.sha256)?;
                self.tell(News::Finished(false));
                Ok(Some(again))
            }
            Err(error) => Err(error),
        }
    }
}

fn opened(writer: &SpoolWriter) -> News {
    News::Opened { durable: writer.durable(), read_back: writer.read_back() }
}
