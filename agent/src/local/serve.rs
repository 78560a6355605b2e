//! The server on the local socket: few connections, short lines, and nobody who reads slowly holds up the rest.

mod after;
mod rights;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use spoolway_protocol::{AgentId, Fault};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::counter::Counter;
use super::held_out::Hearing;
use super::listen::Doorway;
use super::words::{Answer, MAX_LINE_BYTES, PrintWishes, Request};
use crate::post_mortem::Shelf;
use crate::printer::{Watched, Watcher};
use crate::telemetry::{Level, LogRing};
use crate::view::{FaultView, JobView, Refusal};
use rights::{may_forget, may_rotate, may_update};

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 16;
/// Those of them that may follow the log or the conversation with the printer, so that there is always one left for an emergency stop.
const FOLLOWERS: usize = 8;
/// A connection that asks nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// A reader that takes nothing for so long is given up.
const WRITE: Duration = Duration::from_secs(10);
/// Jobs in one line, so that it stays far below [`MAX_LINE_BYTES`].
const JOBS_PER_LINE: usize = 32;
/// How long to wait when the system has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What the server speaks for.
#[derive(Clone)]
pub struct Counterpart<C> {
    /// Takes the orders.
    pub counter: C,
    /// The agent's id.
    pub agent_id: AgentId,
    /// Its public key in base64.
    pub public_key: Arc<dyn Fn() -> String + Send + Sync>,
    /// The last lines of the log.
    pub logs: LogRing,
    /// Records of prints that could not go on.
    pub shelf: Shelf,
}

/// Serves until `stop`; connections under way end with it.
pub async fn serve<C: Counter>(door: Doorway, counterpart: Counterpart<C>, stop: CancellationToken) {
    let followers = Semaphore::new(FOLLOWERS);
    let mut guests = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => {
                // Whoever has got an answer by now still hears it.
                while let Some(Some(())) = guests.next().now_or_never() {}
                return;
            }
            Some(()) = guests.next(), if !guests.is_empty() => {}
            accepted = door.listener.accept(), if guests.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => guests.push(attend(stream, &counterpart, &followers)),
                Err(error) => {
                    tracing::warn!(%error, "a local connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// One connection: requests one after the other, until the peer leaves or breaks the rules.
async fn attend<C: Counter>(stream: UnixStream, counterpart: &Counterpart<C>, followers: &Semaphore) {
    // Whoever may use the socket may do everything but end the agent for good.
    let uid = stream.peer_cred().map(|user| user.uid()).ok();
    let who = uid.map_or_else(|| "unknown".to_owned(), |uid| format!("uid {uid}"));
    let (reader, writer) = stream.into_split();
    let mut guest = Guest { reader: BufReader::new(Hearing::new(reader)), writer, held_out: None, uid, who };
    while let Ok(Ok(Some(line))) = timeout(IDLE, guest.read_line()).await {
        let told = match serde_json::from_slice::<Request>(&line) {
            Err(error) => guest.refuse(Fault::CommandBadArgs, format!("not a request: {error}")).await,
            Ok(request) => guest.carry_out(request, counterpart, followers).await,
        };
        if told.is_err() {
            return;
        }
    }
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Refused { fault: refusal.into() }
}

/// The person may read the file and the agent may not, which is the usual surprise; so it is said in so many words, and of the name that
/// the person knows.
async fn check_readable(path: PathBuf, named: PathBuf) -> Result<PathBuf, FaultView> {
    let checked = tokio::task::spawn_blocking(move || match open_regular(&path) {
        Ok(()) => Ok(path),
        Err(error) => Err(unreadable(&named, &error)),
    });
    checked.await.expect("the check does not panic, and the runtime outlives its connections")
}

fn open_regular(path: &Path) -> io::Result<()> {
    if !path.is_absolute() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not an absolute path"));
    }
    // Asked before opening: opening a pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    std::fs::File::open(path).map(drop)
}

fn unreadable(path: &Path, error: &io::Error) -> FaultView {
    let text = format!("The agent cannot read {}: {error}.", path.display());
    let mut fault = FaultView::new(Fault::JobFileUnavailable, text);
    let user = rustix::process::geteuid().as_raw();
    fault.help = match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "The agent runs as user {user} and needs to read the file: `chmod o+r` it, or a copy of it."
        ),
        io::ErrorKind::NotFound => "Check the name, and whether you may read the file yourself.".to_owned(),
        _ => "Name a G-code file by its absolute path.".to_owned(),
    };
    fault
}

struct Guest {
    reader: BufReader<Hearing>,
    writer: OwnedWriteHalf,
    /// The file that came with the last line.
    held_out: Option<OwnedFd>,
    /// The user of this machine at the other end.
    uid: Option<u32>,
    /// The same for the record.
    who: String,
}

impl Guest {
    /// The next line without its end; `None` once the peer is gone.
    async fn read_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let most = MAX_LINE_BYTES as u64 + 1;
        (&mut self.reader).take(most).read_until(b'\n', &mut line).await?;
        self.held_out = self.reader.get_mut().take_file();
        if line.pop_if(|last| *last == b'\n').is_some() {
            return Ok(Some(line));
        }
        if line.len() > MAX_LINE_BYTES {
            let text = format!("a line is longer than {MAX_LINE_BYTES} bytes");
            self.refuse(Fault::CommandBadArgs, text).await?;
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        Ok(None)
    }

    async fn carry_out<C: Counter>(
        &mut self,
        request: Request,
        counterpart: &Counterpart<C>,
        followers: &Semaphore,
    ) -> io::Result<()> {
        let counter = &counterpart.counter;
        let job = |result: Result<JobView, Refusal>| result.map_or_else(refused, |job| Answer::Job { job });
        let answer = match request {
            Request::Jobs => return self.tell_jobs(counter.jobs().await).await,
            Request::History { job_id } => {
                return self.tell_history(counter, &counterpart.shelf, job_id).await;
            }
            Request::Record { job_id, attempt } => {
                return self.tell_record(&counterpart.shelf, job_id, attempt).await;
            }
            Request::Wire => return self.tell_wire(counter).await,
            Request::Logs { lines, follow, level } => {
                return self.tell_logs(&counterpart.logs, lines, follow, level, followers).await;
            }
            Request::Status => counter
                .status()
                .await
                .map_or_else(refused, |status| Answer::Status { status: Box::new(status) }),
            Request::Identity => {
                Answer::Identity { agent_id: counterpart.agent_id, public_key: (counterpart.public_key)() }
            }
            Request::RotateKey => {
                let rotated = match may_rotate(self.uid, rustix::process::geteuid().as_raw()) {
                    Err(refusal) => Err(refusal),
                    Ok(()) => counter.rotate(self.who.clone()).await,
                };
                let (agent_id, public_key) = (counterpart.agent_id, (counterpart.public_key)());
                rotated.map_or_else(refused, |()| Answer::Identity { agent_id, public_key })
            }
            Request::Print { path, name } => {
                match self.find(path, PrintWishes { name, ..PrintWishes::default() }).await {
                    Err(fault) => Answer::Refused { fault },
                    Ok((path, wishes)) => job(counter.print_file(path, wishes).await),
                }
            }
            Request::Enqueue { path, wishes } => match self.find(path, wishes).await {
                Err(fault) => Answer::Refused { fault },
                Ok((path, wishes)) => job(counter.print_file(path, wishes).await),
            },
            Request::Place { job_id, at } => job(counter.place(job_id, at.into()).await),
            Request::Hold { job_id } => job(counter.hold(job_id).await),
            Request::Release { job_id } => job(counter.release(job_id).await),
            Request::Pause { job_id } => job(counter.pause(job_id).await),
            Request::Resume { job_id, doubt } => job(counter.resume(job_id, doubt).await),
            Request::Answer { prompt_id, choice } => {
                counter.answer(prompt_id, choice).await.map_or_else(refused, |()| Answer::Done)
            }
            Request::Send { command } => {
                counter.send(command).await.map_or_else(refused, |lines| Answer::Replies { lines })
            }
            Request::Maintenance { action } => counter
                .maintenance(action, self.who.clone())
                .await
                .map_or_else(refused, |window| Answer::Maintenance { window }),
            Request::Update { action } => {
                let updated = match may_update(&action, self.uid) {
                    Err(refusal) => Err(refusal),
                    Ok(()) => counter.update(action, self.who.clone()).await,
                };
                updated.map_or_else(refused, |update| Answer::Update { update: update.map(Box::new) })
            }
            Request::Forget => match may_forget(self.uid, rustix::process::geteuid().as_raw()) {
                Err(refusal) => refused(refusal),
                Ok(()) => {
                    counter.forget().await.map_or_else(refused, |forgotten| Answer::Forgotten { forgotten })
                }
            },
            Request::Console => return self.show_wire(counter.watch(), followers).await,
            Request::Cancel { job_id } => job(counter.cancel(job_id).await),
            Request::ClearBed { epoch } => {
                counter.clear_bed(epoch).await.map_or_else(refused, |bed| Answer::Bed { bed })
            }
            Request::PlanRecovery { job_id, how } => counter
                .plan_recovery(job_id, how)
                .await
                .map_or_else(refused, |plan| Answer::Plan { plan: Box::new(plan) }),
            Request::Recover { job_id, how, plan_id } => job(counter.recover(job_id, how, plan_id).await),
            Request::Abandon { job_id } => job(counter.abandon(job_id).await),
            Request::Override { job_id, codes } => {
                job(counter.override_findings(job_id, codes, self.who.clone()).await)
            }
            Request::AcceptPrinter => {
                counter.accept_printer().await.map_or_else(refused, |printer| Answer::Accepted { printer })
            }
            Request::Estop => counter.emergency_stop().await.map_or_else(refused, |()| Answer::Done),
        };
        self.say(&answer).await
    }

    /// Where the agent reads the file: at its path, or, where it is shut off from that, through the descriptor that was held out. Opening
    /// that one anew asks for the agent's own rights to the file, so nobody gets in here what the agent may not read.
    async fn find(&self, path: PathBuf, wishes: PrintWishes) -> Result<(PathBuf, PrintWishes), FaultView> {
        let fault = match check_readable(path.clone(), path.clone()).await {
            Ok(path) => return Ok((path, wishes)),
            Err(fault) => fault,
        };
        let Some(file) = &self.held_out else { return Err(fault) };
        let held_out = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let path = check_readable(held_out, path).await?;
        Ok((path, PrintWishes { name: wishes.name.or(name), ..wishes }))
    }

    async fn say(&mut self, answer: &Answer) -> io::Result<()> {
        let mut line = serde_json::to_vec(answer)?;
        if line.len() > MAX_LINE_BYTES {
            let fault = FaultView::new(Fault::CommandBadArgs, "the answer does not fit into a line");
            line = serde_json::to_vec(&Answer::Refused { fault })?;
        }
        line.push(b'\n');
        timeout(WRITE, self.writer.write_all(&line)).await?
    }

    async fn refuse(&mut self, fault: Fault, text: String) -> io::Result<()> {
        self.say(&refused(Refusal::new(fault, text))).await
    }

    async fn tell_jobs(&mut self, jobs: Result<Vec<JobView>, Refusal>) -> io::Result<()> {
        let mut jobs = match jobs {
            Ok(jobs) => jobs,
            Err(refusal) => return self.say(&refused(refusal)).await,
        };
        loop {
            let rest = jobs.split_off(jobs.len().min(JOBS_PER_LINE));
            let more = !rest.is_empty();
            self.say(&Answer::Jobs { jobs, more }).await?;
            if !more {
                return Ok(());
            }
            jobs = rest;
        }
    }

    async fn refuse_follower(&mut self) -> io::Result<()> {
        self.refuse(Fault::Busy, format!("{FOLLOWERS} readers follow the log or the printer already")).await
    }

    /// The conversation with the printer as it goes on; whoever reads slowly misses some of it and holds nobody up.
    async fn show_wire(&mut self, mut watcher: Watcher, followers: &Semaphore) -> io::Result<()> {
        let Ok(_place) = followers.try_acquire() else { return self.refuse_follower().await };
        loop {
            tokio::select! {
                _ = self.reader.fill_buf() => return Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
                watched = watcher.next() => match watched {
                    Some(Watched::Line(line)) => self.say(&Answer::Wire { line: (&line).into() }).await?,
                    Some(Watched::Missed(pieces)) => self.say(&Answer::Missed { lines: pieces }).await?,
                    None => return self.say(&Answer::Done).await,
                },
            }
        }
    }

    async fn tell_logs(
        &mut self,
        logs: &LogRing,
        lines: usize,
        follow: bool,
        level: Level,
        followers: &Semaphore,
    ) -> io::Result<()> {
        let (last, mut follower) = logs.follow(lines, level);
        let place = if follow { Some(followers.try_acquire()) } else { None };
        if let Some(Err(_)) = place {
            return self.refuse_follower().await;
        }
        for line in last {
            self.say(&Answer::Log { line: (*line).clone() }).await?;
        }
        if !follow {
            return self.say(&Answer::Done).await;
        }
        loop {
            tokio::select! {
                // Whatever a follower says or does now means that it has seen enough.
                _ = self.reader.fill_buf() => return Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
                news = follower.next() => match news {
                    Some(Ok(line)) => self.say(&Answer::Log { line: (*line).clone() }).await?,
                    Some(Err(missed)) => self.say(&Answer::Missed { lines: missed.0 }).await?,
                    None => return self.say(&Answer::Done).await,
                },
            }
        }
    }
}
