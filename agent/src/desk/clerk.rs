//! The desk's task: takes one thing at a time, from whoever has something, and keeps the rest in step.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use spoolway_agent_core::Moment;
use spoolway_agent_core::job::Bed;
use spoolway_protocol::audit::Via;
use spoolway_protocol::bed::BedWord;
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::{CmdId, JobId, PromptId, Raw};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::book::Book;
use super::fetch::Fetch;
use super::follow::Following;
use super::recover::Then;
use super::schedule::Change;
use super::start::Preflight;
use super::{Ask, Asks, Parts};
use crate::bus::{HelloState, Inbound, Outbound, Telemetered, Wishes};
use crate::clock::Clock;
use crate::identity::Identity;
use crate::line_journal::LineJournal;
use crate::post_mortem::Shelf;
use crate::printer::{EmergencyStop, Known, Order, Readied, Snapshot};
use crate::rotation::Rotator;
use crate::service;
use crate::spool::Spool;
use crate::store::{Dropped, Store};
use crate::uplink::{Downloaded, RelaySettings};
use crate::view::{FaultView, LinkView, Refusal};

/// Background work that has ended and waits to be looked at.
const DONE: usize = 16;
/// How long a clean stop waits for the printer to end what is on its way and to run the cancel script.
const SAFE_STOP: Duration = Duration::from_secs(30);
/// Emergency stops that are remembered as made.
const STOPS: usize = 64;
/// Jobs that wait for a time, and telemetry, are looked at this often.
const TICK: Duration = Duration::from_millis(500);

/// Dropped events and files whose time is over are looked for this often.
const UPKEEP_EVERY: Duration = Duration::from_secs(60);

/// Work that was done elsewhere, so that the desk itself never waits for a disk.
#[derive(Debug)]
pub(super) enum Done {
    /// A local file is in the spool.
    Imported(super::local_jobs::Imported),
    /// A job has been read through.
    Read(super::start::Read),
    /// A plan for an interrupted print was made, or not.
    Drafted(Box<super::recover::Drafted>),
    /// The spool has taken bytes of a transfer.
    Fetched(super::fetch::Fetched),
    /// A server has said something.
    Downloaded(Downloaded),
    /// Single commands of a backend were sent.
    SentByHand(super::by_hand::Sent),
    /// It is known what a run that has ended has used.
    Measured(Box<super::usage::Measured>),
    /// The key was replaced for a command, or not.
    Rotated(CmdId, Result<(), Refusal>),
    /// A record was looked up for a command.
    RecordRead(CmdId, Result<Raw, Refusal>),
    /// What agent and updater say to each other was written or read.
    Updated(Box<super::update::Looked>),
}

impl From<Downloaded> for Done {
    fn from(downloaded: Downloaded) -> Self {
        Self::Downloaded(downloaded)
    }
}

/// The desk's state.
pub(super) struct Clerk {
    pub(super) clock: Clock,
    pub(super) identity: Arc<Identity>,
    pub(super) store: Store,
    pub(super) spool: Spool,
    pub(super) journal: LineJournal,
    /// Records of prints that could not go on.
    pub(super) shelf: Shelf,
    /// Whether the owning backend may have them.
    pub(super) gives_records: bool,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) stop: EmergencyStop,
    /// Commands that had stopped the machine before they came to this desk.
    pub(super) stopped_ahead: VecDeque<CmdId>,
    pub(super) snapshot: watch::Receiver<Snapshot>,
    pub(super) port: crate::config::Printer,
    pub(super) preflight_rules: crate::config::Preflight,
    /// The same without what the owner has set.
    pub(super) own_rules: crate::config::Preflight,
    pub(super) settings: super::settings::Settings,
    pub(super) updates: super::update::Updates,
    pub(super) outbound: mpsc::Sender<Outbound>,
    pub(super) hello: watch::Sender<HelloState>,
    pub(super) telemetry: watch::Sender<Telemetered>,
    pub(super) wishes: watch::Sender<Wishes>,
    pub(super) link: watch::Receiver<LinkView>,
    pub(super) done: mpsc::Sender<Done>,
    pub(super) rotator: Rotator,
    pub(super) book: Book,
    pub(super) permits: super::permits::Permits,
    pub(super) intake: super::intake::Intake,
    pub(super) fetch: Option<Fetch>,
    /// Held by the thread that writes a file down.
    pub(super) writing: Arc<Mutex<()>>,
    pub(super) transfer_settings: crate::config::Transfer,
    /// By which way servers are reached.
    pub(super) relay: watch::Receiver<Option<RelaySettings>>,
    pub(super) preflight: Option<Preflight>,
    pub(super) following: Option<Following>,
    /// A plan for an interrupted print is being made.
    pub(super) drafting: bool,
    /// The printer by which interruptions were judged last.
    pub(super) judged_with: Option<Arc<Known>>,
    pub(super) connected: bool,
    /// Whether the printer that answers is the one from before.
    pub(super) trust: super::trust::Trust,
    /// Told as `printer.state` last.
    pub(super) printer_state: PrinterState,
    pub(super) printer_rev: u64,
    /// The question of the firmware that was told as open: its number at the printer thread, and its name.
    pub(super) prompt: Option<(u64, PromptId)>,
    pub(super) bed: Bed,
    pub(super) bed_confirm: crate::config::BedConfirm,
    /// The job that was begun on it last.
    pub(super) bed_job: Option<JobId>,
    /// The last time that a button of the printer said that it is ready.
    pub(super) readied: Option<Readied>,
    /// Alarms of the guard up to this number were told.
    pub(super) alarms_told: u64,
    /// Runouts of filament up to this number were told.
    pub(super) runouts_told: u64,
    /// The maintenance window, while it is open.
    pub(super) window: Option<super::maintenance::Window>,
    pub(super) runs: u64,
    pub(super) began: Moment,
    pub(super) stopping: bool,
    /// The backend that is to own this agent next.
    pub(super) successor: Option<super::owner::Successor>,
    /// The agent ends to begin anew.
    pub(super) restart: bool,
    /// Everything is to be forgotten when the desk has ended.
    pub(super) forget: Option<super::ForgetAnswer>,
    /// Something that hello or telemetry tell has changed.
    pub(super) changed: bool,
    /// A job has moved since the last look at what follows.
    pub(super) moved: bool,
    /// Why the store took no write the last time.
    pub(super) storage_fault: Option<FaultView>,
    /// The store refused a write; no new job is taken in hand before.
    pub(super) rest_until: Option<Moment>,
    /// When to look for dropped events and old files again.
    pub(super) upkeep_due: Moment,
    /// What is written in a day, and when the backend is told.
    pub(super) budget: super::budget::Budget,
    pub(super) health_due: Moment,
    /// Dropped events that the log has told of.
    pub(super) dropped: Dropped,
    /// Local files that are being copied into the spool.
    pub(super) imports: usize,
}

/// The desk's ends of its channels: whoever holds them keeps the uplink from taking the agent for dead.
pub struct Remains {
    /// Who waits until everything is forgotten.
    pub forget: Option<super::ForgetAnswer>,
    /// The agent is to be started again.
    pub restart: bool,
    _inbound: mpsc::Receiver<Inbound>,
    _outbound: mpsc::Sender<Outbound>,
    _hello: watch::Sender<HelloState>,
    _telemetry: watch::Sender<Telemetered>,
    _wishes: watch::Sender<Wishes>,
}

/// Runs the desk until `stop`; a print that is under way is then given up safely. Boxed, so that it is compiled once.
///
/// # Errors
/// What the store holds cannot be read.
pub fn run(parts: Parts, asks: Asks, stop: CancellationToken) -> BoxFuture<'static, anyhow::Result<Remains>> {
    Box::pin(run_whole(parts, asks, stop))
}

async fn run_whole(parts: Parts, mut asks: Asks, stop: CancellationToken) -> anyhow::Result<Remains> {
    let (done, mut finished) = mpsc::channel(DONE);
    let (mut clerk, mut inbound, printer) = Clerk::open(parts, done).await?;
    let mut tick = tokio::time::interval(TICK);
    let mut deadline = None;
    // A run may have ended in the process before, and not been told any more.
    clerk.follow_printer().await;
    let (mut printer_news, mut link_news) = (clerk.snapshot.clone(), clerk.link.clone());
    loop {
        let wake = clerk.settle().await;
        if clerk.may_restart() {
            clerk.begin_stop().await;
        }
        if clerk.stopping && (clerk.is_safe() || deadline.is_some_and(|at| clerk.clock.now() >= at)) {
            break;
        }
        tokio::select! {
            () = stop.cancelled(), if !clerk.stopping => {
                deadline = Some(clerk.clock.now() + SAFE_STOP);
                clerk.begin_stop().await;
            }
            Some(ask) = asks.0.recv() => clerk.answer(ask).await,
            Some(message) = inbound.recv() => clerk.take_message(message).await,
            Some(work) = finished.recv() => clerk.take_done(work).await,
            Ok(()) = printer_news.changed() => clerk.follow_printer().await,
            Ok(()) = link_news.changed() => {}
            () = sleep_for(wake.map(|at| at - clerk.clock.now())) => {}
            _ = tick.tick() => clerk.tick().await,
        }
    }
    drop(clerk.orders.send(Order::Leave).await);
    drop(clerk.orders);
    printer.await;
    Ok(Remains {
        forget: clerk.forget,
        restart: clerk.restart,
        _inbound: inbound,
        _outbound: clerk.outbound,
        _hello: clerk.hello,
        _telemetry: clerk.telemetry,
        _wishes: clerk.wishes,
    })
}

impl Clerk {
    /// Does everything that follows from what was just taken; gives the time to look again.
    async fn settle(&mut self) -> Option<Moment> {
        loop {
            self.moved = false;
            let resting = self.rest_until.is_some_and(|until| self.clock.now() < until);
            if !self.stopping && !resting {
                self.change_owner().await;
                self.expire_jobs().await;
                self.choose_fetch().await;
                self.choose_start().await;
            }
            let wakes = [self.work_fetch().await, self.work_inbox().await];
            // A job that moved may make way for another, or be what another part waited for.
            if !self.moved {
                self.publish();
                return wakes.into_iter().flatten().min();
            }
        }
    }

    async fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Status(answer) => drop(answer.send(self.status().await)),
            Ask::Jobs(answer) => drop(answer.send(self.jobs())),
            Ask::History { job, answer } => drop(answer.send(self.history(&job).await)),
            Ask::Print { path, wishes, answer } => self.import(path, wishes, answer),
            Ask::Place { job, place, answer } => {
                drop(answer.send(self.change_job(&job, Change::place(place)).await));
            }
            Ask::Hold { job, answer } => drop(answer.send(self.hold_job(&job).await)),
            Ask::Release { job, answer } => drop(answer.send(self.release_job(&job).await)),
            Ask::Pause { job, answer } => drop(answer.send(self.pause_here(job).await)),
            Ask::Resume { job, doubt, answer } => {
                drop(answer.send(self.resume_here(job, doubt).await));
            }
            Ask::Prompt { prompt, choice, answer } => {
                drop(answer.send(self.answer_prompt(prompt.as_ref(), choice).await));
            }
            Ask::PlanRecovery { job, how, answer } => {
                self.draft_recovery(&job, how, Then::Show(answer));
            }
            Ask::Recover { job, how, plan_id, answer } => {
                self.draft_recovery(&job, how, Then::Run { plan_id, answer });
            }
            Ask::Abandon { job, answer } => drop(answer.send(self.abandon(&job).await)),
            Ask::Maintenance { action, by, answer } => {
                drop(answer.send(self.maintain(action, by).await));
            }
            Ask::Update { action, by, answer } => {
                drop(answer.send(self.update_here(action, by).await));
            }
            Ask::Forget(answer) => self.begin_forget(answer),
            Ask::Cancel { job, answer } => drop(answer.send(self.cancel_here(job).await)),
            Ask::Override { job, codes, actor, answer } => {
                let by = (Via::Cli, actor);
                drop(answer.send(self.override_job(&job, codes, by, None).await));
            }
            Ask::ClearBed { epoch, answer } => {
                drop(answer.send(self.clear_bed(epoch, BedWord::Local, None).await));
            }
            Ask::AcceptPrinter(answer) => drop(answer.send(self.accept_printer().await)),
        }
    }

    async fn take_message(&mut self, message: Inbound) {
        match message {
            Inbound::Connected => {
                self.connected = true;
                self.fetch_connected(true);
            }
            Inbound::Disconnected => {
                self.connected = false;
                self.fetch_connected(false);
                self.end_watch();
            }
            Inbound::Owner { owner, done } => {
                self.successor = Some(super::owner::Successor { owner, done });
            }
            Inbound::Command { command, ttl_ms, age_ms, signed, has_stopped, .. } => {
                // A stop that was made is not taken back for its signature.
                let unsigned = self.check_signature(&command, signed.as_deref()).filter(|_| !has_stopped);
                if has_stopped {
                    self.stopped_ahead.truncate(STOPS - 1);
                    self.stopped_ahead.push_front(command.cmd_id);
                }
                self.hear_offer(&command);
                // What has been done cannot expire any more.
                self.intake.take(*command, (ttl_ms.filter(|_| !has_stopped), age_ms), unsigned);
            }
            Inbound::Chunk { stream, offset, payload } => self.fetch_chunk(stream, offset, &payload),
            Inbound::ChunkEnd(end) => self.fetch_end(&end),
            Inbound::ChunkErr(err) => self.fetch_err(&err),
            Inbound::FileUrl(given) => self.fetch_url(given),
            Inbound::Nack(_) => self.fetch_nack(),
        }
    }

    async fn take_done(&mut self, work: Done) {
        match work {
            Done::Imported(imported) => self.take_import(imported).await,
            Done::Read(read) => self.take_read(read).await,
            Done::Drafted(drafted) => self.take_draft(*drafted).await,
            Done::Fetched(fetched) => self.take_fetched(fetched).await,
            Done::Downloaded(downloaded) => self.take_downloaded(downloaded),
            Done::SentByHand(sent) => self.take_sent(sent),
            Done::Measured(measured) => self.conclude(*measured).await,
            Done::Rotated(cmd_id, ended) => self.end_command(cmd_id, ended),
            Done::RecordRead(cmd_id, found) => {
                let data = found.as_ref().ok().cloned();
                self.end_command_with(cmd_id, found.map(drop), data);
            }
            Done::Updated(looked) => self.take_looked(*looked).await,
        }
    }

    /// The agent is to end. A print that outlives the process is left to the next one; any other is given up as a cancel would,
    /// and the reason is told.
    async fn begin_stop(&mut self) {
        self.stopping = true;
        let outlives = self.following.is_some() && self.snapshot.borrow().outlives;
        let hands_over = outlives && (self.restart || service::will_go_on().await);
        if let Some(following) = self.following.take_if(|following| hands_over && !following.is_over) {
            tracing::info!(job = %following.job_id, "the print goes on when the agent is started again; its heaters stay on");
            return;
        }
        if let Some(following) = self.following.as_mut().filter(|following| !following.is_over) {
            tracing::info!(job = %following.job_id, "giving the print up safely before stopping");
            following.stopped_by_agent = true;
            drop(self.orders.send(Order::Cancel).await);
        }
    }

    /// Nothing is printing any more, or nobody answers who could be told to stop.
    fn is_safe(&self) -> bool {
        self.following.is_none()
    }

    async fn tick(&mut self) {
        self.changed = true;
        self.watch_window().await;
        if self.rest_until.is_none_or(|until| self.clock.now() >= until) {
            self.watch_time().await;
            self.tell_late_end().await;
            self.watch_update().await;
            self.try_store().await;
        }
        let now = self.clock.now();
        if now >= self.upkeep_due {
            self.upkeep_due = now + UPKEEP_EVERY;
            self.keep_up().await;
        }
    }
}

/// Waits for ever when there is no time to wait for.
async fn sleep_for(rest: Option<Duration>) {
    match rest {
        Some(rest) => tokio::time::sleep(rest).await,
        None => std::future::pending().await,
    }
}
