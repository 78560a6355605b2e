//! What is answered on the local socket, a line each.

use serde::{Deserialize, Serialize};
use spoolway_protocol::AgentId;

use crate::post_mortem::Record;
use crate::telemetry::LogLine;
use crate::view::history::HistoryView;
use crate::view::recovery::PlanView;
use crate::view::{
    BedView, FaultView, ForgottenView, JobView, MaintenanceView, Status, UpdateView, WireLineView,
};

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The agent at a glance.
    Status {
        /// Boxed: it is far larger than the others.
        status: Box<Status>,
    },
    /// Some of the jobs.
    Jobs {
        /// In the agent's order.
        jobs: Vec<JobView>,
        /// Whether another such line follows.
        more: bool,
    },
    /// The job after what was done to it.
    Job {
        /// The job.
        job: JobView,
    },
    /// What became of a job.
    History {
        /// Boxed: it is far larger than the others.
        history: Box<HistoryView>,
    },
    /// A post-mortem record, without its lines.
    Record {
        /// Nothing where there is none.
        record: Option<Box<Record>>,
    },
    /// How an interrupted print would go on.
    Plan {
        /// Boxed: it is far larger than the others.
        plan: Box<PlanView>,
    },
    /// Who the agent is.
    Identity {
        /// Its id.
        agent_id: AgentId,
        /// Its public key in base64.
        public_key: String,
    },
    /// The printer is taken for the right one.
    Accepted {
        /// What is now remembered of it.
        printer: String,
    },
    /// The bed after what was said of it.
    Bed {
        /// The bed.
        bed: BedView,
    },
    /// A line of the log.
    Log {
        /// The line.
        line: LogLine,
    },
    /// A line of the conversation with the printer.
    Wire {
        /// The line.
        line: WireLineView,
    },
    /// What the printer said to a command.
    Replies {
        /// Without mere acknowledgements.
        lines: Vec<String>,
    },
    /// The maintenance window.
    Maintenance {
        /// Nothing while it is closed.
        window: Option<MaintenanceView>,
    },
    /// A wished update.
    Update {
        /// Nothing where none is wished and none ever was.
        update: Option<Box<UpdateView>>,
    },
    /// Everything is forgotten.
    Forgotten {
        /// What that was.
        forgotten: ForgottenView,
    },
    /// The reader was too slow for some lines of the log, or pieces of the conversation.
    Missed {
        /// How many.
        lines: u64,
    },
    /// It is done, or all is said.
    Done,
    /// It is not done.
    Refused {
        /// Why, and what to try.
        fault: FaultView,
    },
}
