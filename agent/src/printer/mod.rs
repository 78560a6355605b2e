//! The printer: one task on a thread of its own, which owns the serial port and never waits for network, database or log.
//!
//! An emergency stop has a way of its own and is taken before anything else. Orders come in over a bounded channel; what is known of the printer goes out as a
//! snapshot of which only the latest counts, so that a slow reader never holds up a line.

mod actions;
mod aside;
mod beside;
mod conversation;
pub mod discover;
mod dump;
mod estop;
mod faults;
pub mod feeder;
mod greet;
mod guard;
mod handover;
mod happenings;
mod holders;
mod hotplug;
mod hush;
mod last_end;
mod memory;
mod open;
mod port;
mod probe;
mod rates;
mod run;
mod sys;
mod tail;
mod takeover;
mod tap;
mod task;
mod wirelog;

use std::path::PathBuf;
use std::sync::Arc;

use spoolway_agent_core::Moment;
use spoolway_agent_core::gcode::Dials;
use spoolway_agent_core::prompt::Prompt;
use spoolway_agent_core::stream::{InForce, Stats, WireFigures};
use spoolway_agent_core::temperature::Temperatures;
use spoolway_firmware_profiles::{FirmwareReport, Profile, Registry};
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::prompt::PromptEnd;
use spoolway_protocol::{Doubt, Fault};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use crate::bus::ORDERS;
use crate::clock::Clock;
use crate::config::{BaudChoice, PortChoice, Safety};
use crate::view::Refusal;
use discover::FoundPort;
use feeder::Feed;

pub use aside::{Aside, DeedTime, Replies};
pub use estop::EmergencyStop;
pub use guard::RaisedAlarm;
pub use handover::{Handover, OpenFeed, Ticket};
pub use holders::{Holder, holders};
pub use open::{LineOptions, OpenPortError};
pub use port::PortLost;
pub use probe::{ProbeError, probe};
pub use run::{Cause, Run, RunEnd, RunPhase};
pub(crate) use sys::inherit;
pub use tail::Tail;
pub use tap::{Tap, Watched, Watcher, WireLine};
pub use wirelog::Speaker;

/// Which printer, and how to speak to it.
#[derive(Debug, Clone)]
pub struct PrinterOptions {
    /// The serial port.
    pub port: PortChoice,
    /// Bits per second.
    pub baud: BaudChoice,
    /// Whether the port is set to odd parity once before it is set to none.
    pub parity_workaround: bool,
    /// Where the printer was seen in an earlier life.
    pub before: Before,
    /// Where `/dev` and `/sys` are: `/` but for tests.
    pub root: PathBuf,
    /// Profile by id; `None` to go by what the firmware says of itself.
    pub profile: Option<String>,
    /// All profiles.
    pub registry: Arc<Registry>,
    /// What the guard watches for.
    pub safety: Safety,
    /// Where the last words on the wire are kept after a fault; `None` to log them only.
    pub dump_folder: Option<PathBuf>,
}

/// What an earlier life of the agent knows of the port; it only matters where the configuration says `auto`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Before {
    /// The port's name that stays the same.
    pub port: Option<PathBuf>,
    /// The rate at which the printer answered.
    pub baud: Option<u32>,
}

/// What the desk wants of the printer.
#[derive(Debug)]
pub enum Order {
    /// Print a job.
    Start {
        /// Names this run in the snapshot.
        run: u64,
        /// The printer that it is meant for, as the snapshot had it.
        known: Arc<Known>,
        /// What the next process has to know of it, should this one die.
        ticket: Box<Ticket>,
        /// The job's commands.
        feed: mpsc::Receiver<Feed>,
    },
    /// Hold the job.
    Pause,
    /// Go on.
    Resume {
        /// What a person says of lines in doubt.
        doubt: Option<Doubt>,
    },
    /// Give the job up and make the machine safe.
    Cancel,
    /// Give an answer to a question of the firmware.
    AnswerPrompt {
        /// Which question.
        number: u64,
        /// The place of the answer.
        choice: u32,
    },
    /// Send a single command of a person.
    SendAside(Box<Aside>),
    /// Take back what nobody waits for any more and has not gone out.
    TakeBack {
        /// Whether anything was.
        answer: oneshot::Sender<bool>,
    },
    /// Let be sent until then what else is not: a person at the machine has opened a maintenance window, or closed it.
    Maintain {
        /// Until when; in the past it is closed.
        until: Moment,
    },
    /// Run the cancel script as soon as the printer answers: a job was left half done.
    MakeSafe,
    /// Let go of the port, so that another program can have it, until it is to be taken up again.
    Release {
        /// Whether it was, and else why not.
        answer: oneshot::Sender<Result<(), Refusal>>,
    },
    /// Take the port up again.
    TakeUp,
    /// Give the last lines of the conversation.
    TellWire {
        /// Oldest first.
        answer: oneshot::Sender<Vec<WireLine>>,
    },
    /// Let go of the port and end.
    Leave,
}

/// All that is known of the printer.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// State in the protocol's words.
    pub state: PrinterState,
    /// Who it is, once it has said so.
    pub known: Option<Arc<Known>>,
    /// Latest temperatures.
    pub temperatures: Option<Temperatures>,
    /// The present or last run.
    pub run: Option<Run>,
    /// Counters since the conversation began.
    pub stats: Stats,
    /// Share of the wire in use, from 0 to 1.
    pub link_use: f32,
    /// Lines acknowledged each second.
    pub lines_per_s: f32,
    /// What is wrong with the port or the printer.
    pub fault: Option<(Fault, String)>,
    /// The cancel script still has to run.
    pub unsafe_yet: bool,
    /// How much may be on its way to the printer at a time.
    pub window: Option<InForce>,
    /// How the wire does.
    pub wire: WireFigures,
    /// Height in mm that the job has reached, where it is known.
    pub height: Option<f64>,
    /// What else it has set on the machine: part fan, speed and flow.
    pub dials: Dials,
    /// The question that the firmware asks.
    pub prompt: Option<Arc<Prompt>>,
    /// The question that was closed last.
    pub prompt_closed: Option<ClosedPrompt>,
    /// What the firmware has said last for a person.
    pub note: Option<String>,
    /// Whether a person has said at the printer that it is ready for a job, where it has such a button.
    pub ready: Option<bool>,
    /// The run under way would go on if the agent died.
    pub outlives: bool,
    /// The last time that this was said while the printer was idle.
    pub readied: Option<Readied>,
    /// What the guard has found, the latest last.
    pub alarms: Vec<RaisedAlarm>,
    /// The last time that the printer's sensor has found no filament.
    pub runout: Option<Runout>,
    /// What was on the wire when the present or last run could not go on.
    pub tail: Option<Arc<Tail>>,
}

/// The printer's sensor has found no filament.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runout {
    /// How often by now.
    pub count: u64,
    /// The firmware's words for it.
    pub words: String,
}

/// Somebody has said at an idle printer that it is ready for the next part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readied {
    /// How often that was said by now.
    pub count: u64,
    /// The run that was over then; 0 before the first.
    pub run: u64,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            state: PrinterState::Offline,
            known: None,
            temperatures: None,
            run: None,
            stats: Stats::default(),
            link_use: 0.0,
            lines_per_s: 0.0,
            fault: None,
            unsafe_yet: false,
            window: None,
            wire: WireFigures::default(),
            height: None,
            dials: Dials::default(),
            prompt: None,
            prompt_closed: None,
            note: None,
            ready: None,
            outlives: false,
            readied: None,
            alarms: Vec::new(),
            runout: None,
            tail: None,
        }
    }
}

impl Snapshot {
    fn run_out(&mut self, words: &str) {
        let count = self.runout.as_ref().map_or(0, |before| before.count) + 1;
        self.runout = Some(Runout { count, words: words.to_owned() });
    }

    /// What a button of the printer says; about the bed it says something only while nothing is being printed.
    fn be_ready(&mut self, ready: bool) {
        self.ready = Some(ready);
        if ready && self.state == PrinterState::Idle {
            let count = self.readied.map_or(0, |before| before.count) + 1;
            self.readied = Some(Readied { count, run: self.run.as_ref().map_or(0, |run| run.id) });
        }
    }
}

/// A question that is no longer open.
#[derive(Debug, Clone, PartialEq)]
pub struct ClosedPrompt {
    /// Its number.
    pub number: u64,
    /// Why.
    pub cause: PromptEnd,
    /// What was chosen through the agent.
    pub choice: Option<u32>,
}

/// A printer that has been identified.
#[derive(Debug)]
pub struct Known {
    /// Its dialect.
    pub profile: Profile,
    /// Where the profile came from.
    pub origin: String,
    /// What it says of itself.
    pub report: FirmwareReport,
    /// The path at which it was opened.
    pub port: PathBuf,
    /// The rate at which it answered, in bits per second.
    pub baud: u32,
    /// Whether it printed that it had just started when it was greeted.
    pub has_just_started: bool,
    /// What the system knows of its port; nothing of a pseudo-terminal.
    pub found: Option<FoundPort>,
}

impl Known {
    /// What the firmware calls itself.
    #[must_use]
    pub fn firmware(&self) -> String {
        self.report.name.clone().unwrap_or_else(|| "unknown firmware".to_owned())
    }
}

/// A handle to the printer thread.
#[derive(Debug)]
pub struct Printer {
    /// What it shall do.
    pub orders: mpsc::Sender<Order>,
    /// Stops the machine ahead of every order.
    pub stop: EmergencyStop,
    /// Where the conversation can be watched.
    pub tap: Tap,
    /// What is known.
    pub snapshot: watch::Receiver<Snapshot>,
    /// The job whose run was taken over from the process before, or that ended there.
    pub taken: Option<Ticket>,
    /// Of its thread, to see whether it still turns. None where somebody else plays the printer.
    pub runtime: Option<tokio::runtime::Handle>,
    /// None where somebody else plays the printer.
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Printer {
    /// Starts the thread, which first goes on with what the process before has left.
    ///
    /// # Errors
    /// The system has no thread or no event queue to spare.
    pub fn start(options: PrinterOptions, handover: Handover, clock: Clock) -> std::io::Result<Self> {
        let (orders, inbox) = mpsc::channel(ORDERS);
        let parts = handover.into_parts();
        let (taken, run) = parts.run.clone().unzip();
        let (publish, snapshot) = watch::channel(Snapshot { run, ..Snapshot::default() });
        let stop = EmergencyStop::default();
        let tap = Tap::default();
        let seams = task::Seams { orders: inbox, stop: stop.clone(), publish, tap: tap.clone() };
        let dump = dump::Dump::start(options.dump_folder.as_deref())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        let thread = std::thread::Builder::new().name("printer".to_owned()).spawn(move || {
            go_before_others();
            runtime.block_on(task::run(options, clock, seams, dump, parts));
        })?;
        Ok(Self { orders, stop, tap, snapshot, taken, runtime: Some(handle), thread: Some(thread) })
    }

    /// A printer that somebody else plays, who takes its orders and says how it does.
    #[must_use]
    pub fn played(orders: mpsc::Sender<Order>, snapshot: watch::Receiver<Snapshot>) -> Self {
        let (stop, tap) = (EmergencyStop::default(), Tap::default());
        Self { orders, stop, tap, snapshot, taken: None, runtime: None, thread: None }
    }

    /// Waits until the thread has let go of the port; it must have been told to leave.
    pub async fn join(self) {
        drop(self.orders);
        if let Some(thread) = self.thread {
            drop(tokio::task::spawn_blocking(move || thread.join()).await);
        }
    }
}

/// The real-time priority of the printer's thread: above what a desktop takes, below what the kernel has.
const REAL_TIME: u64 = 10;

/// Where the service manager allows it (`LimitRTPRIO=`), the printer's thread never waits for a processor.
fn go_before_others() {
    let allowed = rustix::process::getrlimit(rustix::process::Resource::Rtprio).current.unwrap_or(REAL_TIME);
    let Some(priority) = i32::try_from(allowed.min(REAL_TIME)).ok().filter(|&priority| priority > 0) else {
        return;
    };
    match sys::run_in_real_time(priority) {
        Ok(()) => info!(priority, "the printer's thread runs in real time"),
        Err(error) => warn!(priority, %error, "the printer's thread may not run in real time"),
    }
}
