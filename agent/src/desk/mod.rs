//! The desk: the one task that owns jobs and commands, and introduces store, spool, printer and uplink to one another.
//!
//! * `book` is every job in memory; a change of a job is one row and one event in one transaction (`moves`).
//! * `intake` keeps commands of the backend, each stored, carried out at most once and ended once; `commands` carries them out.
//! * `permits` judges what a backend has signed for a start; `over_time` looks at its time; `signed` judges signatures of commands.
//! * `fetch` pulls a job's file into the spool.
//! * `schedule` changes order, times, copies and holds of jobs that wait.
//! * `bed` knows whether the bed is clear, and who says so.
//! * `start` chooses the next job, reads it through and hands it to the printer.
//! * `losses` names what interrupted a print, and `recover` goes on with it by a plan that a person has seen.
//! * `maintenance` keeps the window that a person at the machine opens; `alarms` tells what the guard has found, `sensors` what
//!   the printer's own sensors say.
//! * `hand` has done to the printer what a backend asks for while nothing is printed; `by_hand` sends single commands.
//! * `restart` lets the agent begin anew.
//! * `settings` keeps what the owner may set; `update` an update of the package that it wishes.
//! * `telemetry` keeps how often the owner wishes it.
//! * `forget` lets the desk end for good, unless something is in hand.
//! * `owner` drops what belongs to the owner before when another backend takes its place.
//! * `follow` turns what the printer thread publishes into states, events and results; `usage` measures what an attempt used.
//! * `story` keeps what became of a job, with times; `post_mortem` what was known of an attempt that could not go on.

mod adopt;
mod alarms;
mod areas;
mod bed;
mod book;
mod budget;
mod by_hand;
mod clerk;
mod commands;
mod events;
mod fetch;
mod follow;
mod forget;
mod hand;
mod intake;
mod local_jobs;
mod losses;
mod maintenance;
mod moves;
mod over_time;
mod owner;
mod permits;
mod post_mortem;
mod preflight;
mod prompts;
mod records;
mod recover;
mod restart;
mod restore;
mod room;
mod schedule;
mod sensors;
mod settings;
mod show;
mod signed;
mod start;
mod story;
mod telemetry;
mod trust;
mod update;
mod upkeep;
mod usage;

use std::path::PathBuf;
use std::sync::Arc;

use spoolway_agent_core::allow::Role;
use spoolway_agent_core::job::Place;
use spoolway_protocol::audit::Via;
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::{Doubt, Fault, JobId, PromptId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::bus::{HelloState, Inbound, Outbound, Telemetered, Wishes};
use crate::clock::Clock;
use crate::identity::Identity;
use crate::line_journal::{Found, LineJournal};
use crate::local::words::{MaintenanceAction, UpdateAction};
use crate::local::{Counter, PrintWishes};
use crate::printer::{EmergencyStop, Order, Printer, Snapshot, Tap, Watcher, WireLine};
use crate::rotation::{By, Rotator};
use crate::spool::Spool;
use crate::store::{Opened, Store};
use crate::view::history::HistoryView;
use crate::view::recovery::{PlanView, RecoverHow};
use crate::view::{BedView, ForgottenView, JobView, LinkView, MaintenanceView, Refusal, Status, UpdateView};

pub use clerk::{Remains, run};
pub(crate) use events::event;
pub(crate) use maintenance::MINUTES_MAX;
pub(crate) use show::PRINTER_ID;
pub(crate) use trust::before;

/// Questions that may wait; a local client waits when they do.
const ASKS: usize = 32;

/// Everything the desk works with.
pub struct Parts {
    /// Time.
    pub clock: Clock,
    /// Who this agent is.
    pub identity: Arc<Identity>,
    /// Durable memory.
    pub store: Store,
    /// How the last run ended.
    pub opened: Opened,
    /// Job bodies.
    pub spool: Spool,
    /// Where a print stands, on the disk, and what was found there.
    pub journal: (LineJournal, Found),
    /// The printer thread.
    pub printer: Printer,
    /// Port, rate and profile, as configured.
    pub port: crate::config::Printer,
    /// What files are held against.
    pub preflight: crate::config::Preflight,
    /// Whether somebody has to say that the bed is clear.
    pub bed: crate::config::Bed,
    /// Whose permits are taken, and whether starts need them.
    pub backend: watch::Receiver<crate::config::Backend>,
    /// Whether the backend may have the agent updated.
    pub update: crate::config::Update,
    /// How files are fetched.
    pub transfer: crate::config::Transfer,
    /// The relay, and with it how servers are reached.
    pub relay: watch::Receiver<Option<crate::uplink::RelaySettings>>,
    /// From the uplink.
    pub inbound: mpsc::Receiver<Inbound>,
    /// To the uplink.
    pub outbound: mpsc::Sender<Outbound>,
    /// What a hello says.
    pub hello: watch::Sender<HelloState>,
    /// What telemetry is made of.
    pub telemetry: watch::Sender<Telemetered>,
    /// How often the owner wishes telemetry.
    pub wishes: watch::Sender<Wishes>,
    /// How the link stands.
    pub link: watch::Receiver<LinkView>,
    /// Replaces the agent's key.
    pub rotator: Rotator,
}

/// One question to the desk.
#[derive(Debug)]
enum Ask {
    Status(oneshot::Sender<Status>),
    Jobs(oneshot::Sender<Vec<JobView>>),
    History {
        job: JobId,
        answer: oneshot::Sender<Result<HistoryView, Refusal>>,
    },
    Print {
        path: PathBuf,
        wishes: PrintWishes,
        answer: Answer,
    },
    Pause {
        job: Option<JobId>,
        answer: Answer,
    },
    Resume {
        job: Option<JobId>,
        doubt: Option<Doubt>,
        answer: Answer,
    },
    Cancel {
        job: Option<JobId>,
        answer: Answer,
    },
    ClearBed {
        epoch: u64,
        answer: oneshot::Sender<Result<BedView, Refusal>>,
    },
    PlanRecovery {
        job: JobId,
        how: RecoverHow,
        answer: oneshot::Sender<Result<PlanView, Refusal>>,
    },
    Recover {
        job: JobId,
        how: RecoverHow,
        plan_id: String,
        answer: Answer,
    },
    Abandon {
        job: JobId,
        answer: Answer,
    },
    Override {
        job: JobId,
        codes: Option<Vec<String>>,
        actor: String,
        answer: Answer,
    },
    Place {
        job: JobId,
        place: Place,
        answer: Answer,
    },
    Hold {
        job: JobId,
        answer: Answer,
    },
    Release {
        job: JobId,
        answer: Answer,
    },
    AcceptPrinter(oneshot::Sender<Result<String, Refusal>>),
    Maintenance {
        action: MaintenanceAction,
        by: String,
        answer: oneshot::Sender<Result<Option<MaintenanceView>, Refusal>>,
    },
    Update {
        action: UpdateAction,
        by: String,
        answer: oneshot::Sender<Result<Option<UpdateView>, Refusal>>,
    },
    Forget(ForgetAnswer),
    Prompt {
        prompt: Option<PromptId>,
        choice: u32,
        answer: oneshot::Sender<Result<(), Refusal>>,
    },
}

/// Whoever asked for everything to be forgotten.
pub type ForgetAnswer = oneshot::Sender<Result<ForgottenView, Refusal>>;

type Answer = oneshot::Sender<Result<JobView, Refusal>>;

/// A handle to the desk; clones share it.
#[derive(Debug, Clone)]
pub struct Desk {
    asks: mpsc::Sender<Ask>,
    orders: mpsc::Sender<Order>,
    stop: EmergencyStop,
    tap: Tap,
    snapshot: watch::Receiver<Snapshot>,
    rotator: Rotator,
}

impl Desk {
    /// A handle, and the end that the desk's task listens at.
    #[must_use]
    pub fn new(printer: &Printer, rotator: Rotator) -> (Self, Asks) {
        let (asks, inbox) = mpsc::channel(ASKS);
        let Printer { orders, stop, tap, snapshot, .. } = printer;
        let (orders, stop) = (orders.clone(), stop.clone());
        (Self { asks, orders, stop, tap: tap.clone(), snapshot: snapshot.clone(), rotator }, Asks(inbox))
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Refusal> {
        let (answer, reply) = oneshot::channel();
        self.asks.send(ask(answer)).await.map_err(|_| stopping())?;
        reply.await.map_err(|_| stopping())
    }
}

/// Where the desk's task listens for questions.
#[derive(Debug)]
pub struct Asks(mpsc::Receiver<Ask>);

/// A stop that nobody can have heard is never taken for one that was made.
fn check_heard(snapshot: &Snapshot) -> Result<(), Refusal> {
    if snapshot.state != PrinterState::Offline {
        return Ok(());
    }
    let why = snapshot.fault.as_ref().map_or("the printer's port is not open", |(_, text)| text);
    Err(Refusal::new(Fault::PrinterEstopUnsent, format!("the stop could not be sent: {why}")))
}

fn stopping() -> Refusal {
    Refusal::new(Fault::AgentRestarted, "the agent is stopping")
}

impl Counter for Desk {
    async fn status(&self) -> Result<Status, Refusal> {
        self.ask(Ask::Status).await
    }

    async fn jobs(&self) -> Result<Vec<JobView>, Refusal> {
        self.ask(Ask::Jobs).await
    }

    async fn history(&self, job: JobId) -> Result<HistoryView, Refusal> {
        self.ask(|answer| Ask::History { job, answer }).await?
    }

    async fn wire(&self) -> Result<Vec<WireLine>, Refusal> {
        let (answer, lines) = oneshot::channel();
        self.orders.send(Order::TellWire { answer }).await.map_err(|_| stopping())?;
        lines.await.map_err(|_| stopping())
    }

    async fn print_file(&self, path: PathBuf, wishes: PrintWishes) -> Result<JobView, Refusal> {
        self.ask(|answer| Ask::Print { path, wishes, answer }).await?
    }

    async fn place(&self, job: JobId, place: Place) -> Result<JobView, Refusal> {
        self.ask(|answer| Ask::Place { job, place, answer }).await?
    }

    async fn hold(&self, job: JobId) -> Result<JobView, Refusal> {
        self.ask(|answer| Ask::Hold { job, answer }).await?
    }

    async fn release(&self, job: JobId) -> Result<JobView, Refusal> {
        self.ask(|answer| Ask::Release { job, answer }).await?
    }

    async fn pause(&self, job: Option<JobId>) -> Result<JobView, Refusal> {
        self.ask(|answer| Ask::Pause { job, answer }).await?
    }

    async fn resume(&self, job: Option<JobId>, doubt: Option<Doubt>) -> Result<JobView, Refusal> {
        self.ask(|answer| Ask::Resume { job, doubt, answer }).await?
    }

    async fn cancel(&self, job: Option<JobId>) -> Result<JobView, Refusal> {
        self.ask(|answer| Ask::Cancel { job, answer }).await?
    }

    async fn clear_bed(&self, epoch: u64) -> Result<BedView, Refusal> {
        self.ask(|answer| Ask::ClearBed { epoch, answer }).await?
    }

    async fn plan_recovery(&self, job: JobId, how: RecoverHow) -> Result<PlanView, Refusal> {
        self.ask(|answer| Ask::PlanRecovery { job, how, answer }).await?
    }

    async fn recover(&self, job: JobId, how: RecoverHow, plan_id: String) -> Result<JobView, Refusal> {
        self.ask(|answer| Ask::Recover { job, how, plan_id, answer }).await?
    }

    async fn abandon(&self, job: JobId) -> Result<JobView, Refusal> {
        self.ask(|answer| Ask::Abandon { job, answer }).await?
    }

    async fn override_findings(
        &self,
        job: JobId,
        codes: Option<Vec<String>>,
        actor: String,
    ) -> Result<JobView, Refusal> {
        self.ask(|answer| Ask::Override { job, codes, actor, answer }).await?
    }

    async fn accept_printer(&self) -> Result<String, Refusal> {
        self.ask(Ask::AcceptPrinter).await?
    }

    async fn answer(&self, prompt: Option<PromptId>, choice: u32) -> Result<(), Refusal> {
        self.ask(|answer| Ask::Prompt { prompt, choice, answer }).await?
    }

    async fn send(&self, command: String) -> Result<Vec<String>, Refusal> {
        by_hand::send_one(&self.orders, Role::AtTheMachine, command).await
    }

    async fn maintenance(
        &self,
        action: MaintenanceAction,
        by: String,
    ) -> Result<Option<MaintenanceView>, Refusal> {
        self.ask(|answer| Ask::Maintenance { action, by, answer }).await?
    }

    async fn update(&self, action: UpdateAction, by: String) -> Result<Option<UpdateView>, Refusal> {
        self.ask(|answer| Ask::Update { action, by, answer }).await?
    }

    async fn forget(&self) -> Result<ForgottenView, Refusal> {
        self.ask(Ask::Forget).await?
    }

    async fn rotate(&self, actor: String) -> Result<(), Refusal> {
        self.rotator.rotate(By { via: Via::Cli, actor }).await
    }

    fn watch(&self) -> Watcher {
        self.tap.watch()
    }

    /// Goes straight to the printer thread: it waits for no queue and no database.
    async fn emergency_stop(&self) -> Result<(), Refusal> {
        self.stop.pull();
        check_heard(&self.snapshot.borrow())
    }
}
