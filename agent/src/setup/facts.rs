//! What is found on a machine before and while it is set up: plain values, told to the machine.

use std::path::PathBuf;

use spoolway_protocol::Fault;

use crate::config::{BaudChoice, PortChoice, RelayUrl};

/// Everything that can be seen without touching anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// What the configuration says now, or why it cannot be used.
    pub config: Result<Standing, String>,
    /// The agent of this machine.
    pub agent: Agent,
    /// Serial ports, and one that was named.
    pub ports: Vec<Port>,
    /// Who owns this agent already.
    pub owner: Option<String>,
    /// Over which relay.
    pub relay: Option<RelayUrl>,
    /// An enrolment token that waits.
    pub token: Option<PathBuf>,
}

/// What the configuration says of what is set up here. What it leaves to a default is "auto" here, so that it is written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// `printer.port`.
    pub port: PortChoice,
    /// `printer.baud`.
    pub baud: BaudChoice,
    /// `relay.url`.
    pub relay: Option<RelayUrl>,
}

/// How the agent's program is started and stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// By systemd.
    Unit,
    /// By hand, or by something that is not known here.
    Hand,
}

/// The agent of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agent {
    /// It does not run.
    Stopped(Service),
    /// It answers at its socket.
    Running {
        /// How it is stopped and started.
        service: Service,
        /// The port it was told.
        port: PathBuf,
        /// The printer that answers it.
        printer: Option<Answering>,
        /// Why none does.
        complaint: Option<Complaint>,
        /// Whether a job holds the printer: nothing is stopped or changed then.
        has_job: bool,
    },
}

/// A printer that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answering {
    /// The name of its port that stays the same; what belongs into the configuration.
    pub port: PathBuf,
    /// Bits per second.
    pub baud: u32,
    /// What the firmware calls itself.
    pub firmware: String,
    /// What it calls the machine.
    pub machine: Option<String>,
    /// The profile that fits.
    pub profile: String,
    /// Whether a source or a recorded conversation backs that.
    pub is_verified: bool,
}

/// A stable code and its sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The code, as `explain` takes it.
    pub code: String,
    /// What happened.
    pub text: String,
}

impl Complaint {
    /// A fault and what it happened to.
    #[must_use]
    pub fn of(fault: Fault, text: impl Into<String>) -> Self {
        Self { code: fault.code().to_owned(), text: text.into() }
    }
}

/// Who has a port open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Nobody.
    Nobody,
    /// The agent of this machine.
    Agent,
    /// Another program, by its name.
    Other(String),
}

/// A serial port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Where it is opened today.
    pub device: PathBuf,
    /// Its name that stays the same.
    pub stable: PathBuf,
    /// What its plug calls itself.
    pub product: Option<String>,
    /// Who has it open.
    pub holder: Holder,
}

/// What asking at one port came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The port's stable name.
    pub port: PathBuf,
    /// Who answers, or why nobody does.
    pub who: Result<Answering, Complaint>,
}

/// Whether the agent has its printer after it was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// It answers.
    Yes,
    /// It does not.
    No(Complaint),
    /// No agent runs.
    NoAgent,
}

/// Who owns the agent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paired {
    /// The backend, with its organisation.
    pub owner: String,
}

/// What became of something that was tried.
pub type Attempt<T> = Result<T, Complaint>;
