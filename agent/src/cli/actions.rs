//! What can be done with a thing: the words that follow `jobs`, `console` and the like on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use spoolway_protocol::JobId;

use super::Failure;
use crate::local::words::Spot;

/// What to do with jobs that wait.
#[derive(Debug, Subcommand)]
pub(super) enum JobsAction {
    /// Put a job into another place of the queue.
    #[command(after_help = "Example:\n  spoolway-agent jobs move job-7731 --first")]
    Move {
        /// The job.
        job: String,
        /// Where to.
        #[command(flatten)]
        to: Where,
    },
    /// Keep a job from starting, until it is released.
    #[command(after_help = "Example:\n  spoolway-agent jobs hold job-7731")]
    Hold {
        /// The job.
        job: String,
    },
    /// Let a job go on that is held.
    #[command(after_help = "Example:\n  spoolway-agent jobs release job-7731")]
    Release {
        /// The job.
        job: String,
    },
    /// Accept the errors that were found in a job's file, and let it start; who did it is recorded.
    #[command(after_help = "Example:\n  spoolway-agent jobs override job-7731")]
    Override {
        /// The job.
        job: String,
        /// Accept only this code, and be refused when there is another error; may be given more than once.
        #[arg(long, value_name = "CODE")]
        code: Vec<String>,
    },
}

/// What to do with the agent's key.
#[derive(Debug, Subcommand)]
pub(super) enum IdAction {
    /// Make a new key, and have relay and owner take it in the place of the one before; the agent stays who it is.
    #[command(
        after_help = "The key before is good at the relay for seven days more, and so long no other can follow.\n\nExample:\n  sudo spoolway-agent id rotate"
    )]
    Rotate,
}

/// A place in the queue.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Where {
    /// Before all others; it takes the highest priority among them.
    #[arg(long)]
    first: bool,
    /// Behind all others; it takes the lowest priority among them.
    #[arg(long)]
    last: bool,
    /// Right before this job; it takes its priority.
    #[arg(long, value_name = "JOB")]
    before: Option<String>,
}

impl Where {
    /// The same in the words of the socket; the group lets just one of them be.
    pub(super) fn spot(self, which: impl FnOnce(&str) -> Result<JobId, Failure>) -> Result<Spot, Failure> {
        Ok(match self.before {
            Some(job) => Spot::Before(which(&job)?),
            None if self.first => Spot::First,
            None => Spot::Last,
        })
    }
}

/// What to say about the printer.
#[derive(Debug, Subcommand)]
pub(super) enum PrinterAction {
    /// The printer that answers is the right one, although it is not the one from before.
    #[command(after_help = "Example:\n  spoolway-agent printer accept")]
    Accept,
}

/// What to do with the conversation.
#[derive(Debug, Subcommand)]
pub(super) enum ConsoleAction {
    /// Send one command and show what the printer says to it.
    #[command(after_help = "Example:\n  spoolway-agent console send M503")]
    Send {
        /// The command.
        #[arg(required = true)]
        command: Vec<String>,
    },
}

/// What to do with profiles.
#[derive(Debug, Subcommand)]
pub(super) enum ProfilesAction {
    /// Print a profile as its file says it.
    #[command(after_help = "Example:\n  spoolway-agent profiles show marlin > attic.toml")]
    Show {
        /// Its id.
        id: String,
    },
    /// Check a profile's file.
    #[command(after_help = "Example:\n  spoolway-agent profiles check ./voron.toml")]
    Check {
        /// The file.
        file: PathBuf,
    },
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigAction {
    /// Show what holds, and who said so.
    #[command(after_help = "Example:\n  spoolway-agent config show > agent.toml")]
    Show,
    /// Look for mistakes, in the profiles too.
    #[command(after_help = "Example:\n  sudo spoolway-agent config check")]
    Check,
    /// Set keys in the configuration file; everything else in it stays byte for byte.
    ///
    /// Nothing is written unless all of it holds together.
    #[command(
        after_help = "Example:\n  sudo spoolway-agent config set printer.baud=250000 bed.confirm=required"
    )]
    Set {
        /// A key of `config show` and its value.
        #[arg(value_name = "KEY=VALUE", required = true)]
        settings: Vec<String>,
    },
}
