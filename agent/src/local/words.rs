//! What is said on the local socket: a [`Request`] a line, and for each one or more lines of [`Answer`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use spoolway_agent_core::job::Place;
use spoolway_protocol::{CmdId, Doubt, JobId, PromptId};

use crate::telemetry::Level;
use crate::view::recovery::RecoverHow;

pub use super::answers::Answer;

/// Longest line either way, in bytes, without its line feed.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// How a file of this machine shall be printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrintWishes {
    /// Name of the job; else that of the file.
    pub name: Option<String>,
    /// How often.
    pub copies: u32,
    /// Higher goes first.
    pub priority: i32,
    /// Whether it waits until somebody releases it.
    pub hold: bool,
}

impl Default for PrintWishes {
    fn default() -> Self {
        Self { name: None, copies: 1, priority: 0, hold: false }
    }
}

/// Where in the queue a job shall stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spot {
    /// Before all others.
    First,
    /// Behind all others.
    Last,
    /// Right before this one.
    Before(JobId),
}

impl From<Spot> for Place {
    fn from(spot: Spot) -> Self {
        match spot {
            Spot::First => Self::First,
            Spot::Last => Self::Last,
            Spot::Before(job) => Self::Before(job),
        }
    }
}

/// What can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// [`Answer::Status`].
    Status,
    /// [`Answer::Jobs`], once or more.
    Jobs,
    /// What became of a job; [`Answer::History`].
    History {
        /// The job.
        job_id: JobId,
    },
    /// The post-mortem record of a job; [`Answer::Record`], and if there is one [`Answer::Wire`] for each line that was kept, then
    /// [`Answer::Done`].
    Record {
        /// The job.
        job_id: JobId,
        /// The attempt; else the last one that has a record.
        #[serde(default)]
        attempt: Option<u32>,
    },
    /// [`Answer::Wire`] for each of the last lines of the conversation with the printer, then [`Answer::Done`].
    Wire,
    /// [`Answer::Identity`].
    Identity,
    /// Takes a file of this machine into the spool and queues it; [`Answer::Job`].
    Print {
        /// Absolute path. The agent reads the file itself, or, where it is shut off from it, from the descriptor that came with this.
        path: PathBuf,
        /// Name of the job; else that of the file.
        #[serde(default)]
        name: Option<String>,
    },
    /// The same with more words; [`Answer::Job`].
    Enqueue {
        /// Absolute path. The agent reads the file itself, or, where it is shut off from it, from the descriptor that came with this.
        path: PathBuf,
        /// How it shall be printed.
        wishes: PrintWishes,
    },
    /// Puts a job into another place of the queue; [`Answer::Job`].
    Place {
        /// The job.
        job_id: JobId,
        /// Where.
        at: Spot,
    },
    /// Keeps a job from starting by itself; [`Answer::Job`].
    Hold {
        /// The job.
        job_id: JobId,
    },
    /// Lets a job go on that is held or waits for an operator; [`Answer::Job`].
    Release {
        /// The job.
        job_id: JobId,
    },
    /// Pauses a job that is printed; [`Answer::Job`].
    Pause {
        /// The job; else the one that holds the printer.
        #[serde(default)]
        job_id: Option<JobId>,
    },
    /// Goes on with a job; [`Answer::Job`].
    Resume {
        /// The job; else the one that holds the printer.
        #[serde(default)]
        job_id: Option<JobId>,
        /// What became of lines in doubt, where there are any.
        #[serde(default)]
        doubt: Option<Doubt>,
    },
    /// Ends a job; [`Answer::Job`].
    Cancel {
        /// The job; else the one that holds the printer.
        #[serde(default)]
        job_id: Option<JobId>,
    },
    /// Says that the bed is clear; [`Answer::Bed`].
    ClearBed {
        /// The bed epoch that the person saw.
        epoch: u64,
    },
    /// How an interrupted print would go on; [`Answer::Plan`].
    PlanRecovery {
        /// The job.
        job_id: JobId,
        /// Where, and how high the nozzle is.
        #[serde(default)]
        how: RecoverHow,
    },
    /// Goes on with an interrupted print by a plan that was shown; [`Answer::Job`].
    Recover {
        /// The job.
        job_id: JobId,
        /// As it was asked for with the plan.
        #[serde(default)]
        how: RecoverHow,
        /// The plan that was shown.
        plan_id: String,
    },
    /// Gives the part of an interrupted print up; [`Answer::Job`].
    Abandon {
        /// The job.
        job_id: JobId,
    },
    /// Accepts the errors that were found in a job's file; [`Answer::Job`].
    Override {
        /// The job.
        job_id: JobId,
        /// Codes that are accepted; else every error that was found.
        #[serde(default)]
        codes: Option<Vec<String>>,
    },
    /// Takes the printer that answers for the right one; [`Answer::Accepted`].
    AcceptPrinter,
    /// Stops the printer at once; [`Answer::Done`].
    Estop,
    /// Forgets everything and ends; [`Answer::Forgotten`]. For root and the agent's own user.
    Forget,
    /// Replaces the agent's key; [`Answer::Identity`] with the new one. For root and the agent's own user.
    RotateKey,
    /// Answers the question of the firmware that is open; [`Answer::Done`].
    Answer {
        /// The question that is meant; else whichever is open.
        #[serde(default)]
        prompt_id: Option<PromptId>,
        /// The place of the answer, from 0.
        choice: u32,
    },
    /// Sends a single harmless command to the printer; [`Answer::Replies`].
    Send {
        /// The command.
        command: String,
    },
    /// Opens, closes or shows the maintenance window; [`Answer::Maintenance`].
    Maintenance {
        /// What.
        action: MaintenanceAction,
    },
    /// Shows a wished update or takes it back; [`Answer::Update`]. What an updater asks is for root.
    Update {
        /// What.
        action: UpdateAction,
    },
    /// Watches the conversation with the printer; [`Answer::Wire`] for each line, until the watcher leaves.
    Console,
    /// [`Answer::Log`] for each line, then [`Answer::Done`] unless the reader follows.
    Logs {
        /// How many of the last lines.
        lines: usize,
        /// Whether to go on with new lines.
        follow: bool,
        /// The least that matters.
        level: Level,
    },
}

/// What is to become of a wished update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum UpdateAction {
    /// It stays as it is.
    Show,
    /// It is taken back.
    Cancel,
    /// An updater is about to change the package: no job starts from here on.
    LetIn {
        /// The wish that it carries out.
        id: CmdId,
        /// Whether that is the wish of this agent, and not of another one of the machine.
        own: bool,
    },
    /// An updater leaves: jobs may start again.
    LetOut {
        /// The wish that it was about.
        id: CmdId,
        /// Whether it could not begin, and is to be asked again.
        again: bool,
    },
}

/// What is to become of the maintenance window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MaintenanceAction {
    /// It is opened, or open for so long from now on.
    Open {
        /// For how many minutes.
        minutes: u32,
        /// Why, for the record.
        #[serde(default)]
        reason: Option<String>,
    },
    /// It is closed.
    Close,
    /// It stays as it is.
    Show,
}

#[cfg(test)]
mod tests {
    use spoolway_agent_core::recovery::{Height, ResumeFrom};

    use super::*;

    #[test]
    fn requests_are_plain_words() {
        for (text, request) in [
            (r#"{"ask":"status"}"#, Request::Status),
            (r#"{"ask":"forget"}"#, Request::Forget),
            (
                r#"{"ask":"record","job_id":"j-1"}"#,
                Request::Record { job_id: "j-1".parse().unwrap(), attempt: None },
            ),
            (r#"{"ask":"rotate_key"}"#, Request::RotateKey),
            (r#"{"ask":"print","path":"/a.gcode"}"#, Request::Print { path: "/a.gcode".into(), name: None }),
            (r#"{"ask":"cancel","job_id":"j-1"}"#, Request::Cancel { job_id: Some("j-1".parse().unwrap()) }),
            (
                r#"{"ask":"resume","doubt":"lost"}"#,
                Request::Resume { job_id: None, doubt: Some(Doubt::Lost) },
            ),
            (r#"{"ask":"clear_bed","epoch":3}"#, Request::ClearBed { epoch: 3 }),
            (
                r#"{"ask":"recover","job_id":"j-1","how":{"from":{"line":7},"height":"held"},"plan_id":"3f"}"#,
                Request::Recover {
                    job_id: "j-1".parse().unwrap(),
                    how: RecoverHow { from: ResumeFrom::Line(7), height: Some(Height::Held) },
                    plan_id: "3f".to_owned(),
                },
            ),
            (
                r#"{"ask":"maintenance","action":{"open":{"minutes":5}}}"#,
                Request::Maintenance { action: MaintenanceAction::Open { minutes: 5, reason: None } },
            ),
            (
                r#"{"ask":"maintenance","action":"close"}"#,
                Request::Maintenance { action: MaintenanceAction::Close },
            ),
            (
                r#"{"ask":"override","job_id":"j-1","codes":["outside-volume"]}"#,
                Request::Override {
                    job_id: "j-1".parse().unwrap(),
                    codes: Some(vec!["outside-volume".to_owned()]),
                },
            ),
            (
                r#"{"ask":"enqueue","path":"/a.gcode","wishes":{"copies":3}}"#,
                Request::Enqueue {
                    path: "/a.gcode".into(),
                    wishes: PrintWishes { copies: 3, ..PrintWishes::default() },
                },
            ),
            (
                r#"{"ask":"place","job_id":"j-1","at":{"before":"j-2"}}"#,
                Request::Place { job_id: "j-1".parse().unwrap(), at: Spot::Before("j-2".parse().unwrap()) },
            ),
            (r#"{"ask":"update","action":"cancel"}"#, Request::Update { action: UpdateAction::Cancel }),
            (r#"{"ask":"answer","choice":1}"#, Request::Answer { prompt_id: None, choice: 1 }),
            (
                r#"{"ask":"logs","lines":5,"follow":true,"level":"warn"}"#,
                Request::Logs { lines: 5, follow: true, level: Level::Warn },
            ),
        ] {
            assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
        }
        for bad in [
            r#"{"ask":"dance"}"#,
            r#"{"ask":"pause","job_id":"a b"}"#,
            r#"{"ask":"pause","jobid":"a"}"#,
            r#"{"ask":"resume","doubt":"perhaps"}"#,
            "[]",
        ] {
            assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
        }
    }
}
