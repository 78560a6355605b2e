//! The words of the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use spoolway_agent_core::recovery::{Height, ResumeFrom};
use spoolway_protocol::Doubt;

use super::actions::{ConfigAction, ConsoleAction, IdAction, JobsAction, PrinterAction, ProfilesAction};
use super::bed::BedAction;
use super::bundle::BundleFlags;
use super::doctor::Part;
use super::logs::LogsFlags;
use super::maintenance::WindowAction;
use super::pair::PairFlags;
use super::recover::{parse_from, parse_height};
use super::run_flags::RunFlags;
use super::setup::SetupFlags;
use super::update::UpdateCommand;
use crate::paths::Instance;

/// The agent of one 3D printer.
#[derive(Debug, Parser)]
#[command(
    name = "spoolway-agent",
    version,
    after_help = "\
Example:
  spoolway-agent print benchy.gcode --follow

Exit codes: 0 done, 1 failed, 64 wrong usage, 69 agent or device not reachable, 78 wrong configuration."
)]
pub(super) struct Arguments {
    /// Configuration file; it has to exist.
    #[arg(long, global = true, value_name = "FILE", env = "SPOOLWAY_AGENT_CONFIG", hide_env_values = true)]
    pub(super) config: Option<PathBuf>,
    /// Socket of the agent.
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    /// One of several agents of this machine: that of the unit spoolway-agent@NAME.
    #[arg(long, global = true, value_name = "NAME", env = "SPOOLWAY_AGENT_INSTANCE", hide_env_values = true)]
    pub(super) instance: Option<Instance>,
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the agent in the foreground, until it is told to stop.
    #[command(after_help = "Example:\n  spoolway-agent run --port /dev/ttyACM0 --baud 250000")]
    Run(RunFlags),
    /// Set this machine up: find the printer, write the configuration, pair with a backend, try it out.
    #[command(
        after_help = "Nothing is written, opened or moved before you say yes, and nothing is heated unless you ask for it. A run that was broken off is started again: it does what is left. With --yes nothing is asked; FILE says in TOML what the flags say.\n\nExample:\n  sudo spoolway-agent setup\n  sudo spoolway-agent setup --yes --relay none\n  sudo spoolway-agent setup --yes --answers /boot/firmware/spoolway-setup.toml"
    )]
    Setup(SetupFlags),
    /// Show the agent's id and public key, and how the relay gets to know them; or replace the key.
    #[command(
        visible_alias = "identity",
        after_help = "Example:\n  sudo spoolway-agent id\n  sudo spoolway-agent id rotate"
    )]
    Id {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
        /// Without one, they are shown.
        #[command(subcommand)]
        action: Option<IdAction>,
    },
    /// Give this agent an owner: shows a code for the backend, then four words to compare.
    #[command(after_help = "Example:\n  sudo spoolway-agent pair --relay wss://relay.example.org")]
    Pair(PairFlags),
    /// Give this agent an owner by a token file, which is erased afterwards.
    #[command(
        after_help = "Without FILE it is spoolway-enrol.toml on the boot partition.\n\nExample:\n  sudo spoolway-agent enrol"
    )]
    Enrol {
        /// The file; else spoolway-enrol.toml on the boot partition.
        file: Option<PathBuf>,
    },
    /// Remove key, pairing, jobs, files and records for good, and have the relay revoke the key: before this machine changes hands.
    #[command(
        after_help = "Refused while a job is being printed. The settings stay. The agent ends; started again it is a new one.\n\nExample:\n  sudo spoolway-agent forget\n  sudo spoolway-agent forget --yes"
    )]
    Forget {
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Look at this machine and walk the way to the relay, and name what fails and what mends it.
    #[command(
        after_help = "Nothing is changed, no port is opened, and the running agent keeps its printer and its session. Exit code 0 where no step failed, else that of the first that did.\n\nExample:\n  sudo spoolway-agent doctor\n  sudo spoolway-agent doctor relay\n  sudo spoolway-agent doctor machine --json"
    )]
    Doctor {
        /// One part alone.
        part: Option<Part>,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Say what a code means that a message, `status` or the log shows, what the agent has done about it, and what to try.
    #[command(
        after_help = "Without CODE all codes are listed. A word that comes from several places is explained for each.\n\nExample:\n  spoolway-agent explain port.missing\n  spoolway-agent explain outside-volume 4001 --json"
    )]
    Explain {
        /// The codes, as they are shown.
        #[arg(value_name = "CODE")]
        codes: Vec<String>,
        /// As one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show printer, job and link at a glance.
    #[command(after_help = "Example:\n  spoolway-agent status\n  spoolway-agent status --watch")]
    Status {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
        /// Once a second, until Ctrl-C; on a terminal.
        #[arg(long, conflicts_with = "json")]
        watch: bool,
    },
    /// List the jobs, change the order in which they are printed, or let one start in spite of what was found in its file.
    #[command(
        after_help = "Example:\n  spoolway-agent jobs --json\n  spoolway-agent jobs move job-7731 --first\n  spoolway-agent jobs override job-7731"
    )]
    Jobs {
        /// As one JSON object a line.
        #[arg(long)]
        json: bool,
        /// Without one, they are listed.
        #[command(subcommand)]
        action: Option<JobsAction>,
    },
    /// Show what became of one job, with times, and what was known when it could not go on.
    #[command(
        after_help = "The beginning or the end of an id is enough where it names no other job.\n\nExample:\n  spoolway-agent job job-7731\n  spoolway-agent job 7731 --json"
    )]
    Job {
        /// The job.
        #[arg(value_name = "ID")]
        job: String,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Hold a G-code file against the printer, without printing it.
    #[command(
        after_help = "The printer is what the configuration and the profile say of it. Exit code 1: the file would not start by itself.\n\nExample:\n  spoolway-agent check benchy.gcode\n  spoolway-agent check benchy.gcode --profile prusa-mk --json"
    )]
    Check {
        /// The file.
        file: PathBuf,
        /// Firmware profile; else that of the configuration, else the one that the running agent has found.
        #[arg(long, value_name = "ID")]
        profile: Option<String>,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Print a G-code file of this machine.
    #[command(after_help = "Example:\n  spoolway-agent print benchy.gcode --name 'Benchy, red' --follow")]
    Print {
        /// The file; the agent has to be able to read it.
        file: PathBuf,
        /// Name of the job; else that of the file.
        #[arg(long)]
        name: Option<String>,
        /// How often; each copy waits until the bed is clear.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
        copies: u32,
        /// Higher goes first.
        #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
        priority: i32,
        /// Only put it into the queue, until `jobs release` lets it go on.
        #[arg(long)]
        hold: bool,
        /// The bed is clear: you have looked, and nothing is on it.
        #[arg(long)]
        bed_clear: bool,
        /// Stay and show how it goes, until the job is over.
        #[arg(long)]
        follow: bool,
    },
    /// Show whether the bed is clear, or say that it is.
    #[command(after_help = "Example:\n  spoolway-agent bed\n  spoolway-agent bed clear")]
    Bed {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
        /// Without one, it is shown.
        #[command(subcommand)]
        action: Option<BedAction>,
    },
    /// Pause a job.
    #[command(after_help = "Example:\n  spoolway-agent pause")]
    Pause {
        /// The job; else the one that holds the printer.
        job: Option<String>,
    },
    /// Go on with a paused job.
    #[command(after_help = "Example:\n  spoolway-agent resume\n  spoolway-agent resume --doubt executed")]
    Resume {
        /// The job; else the one that holds the printer.
        job: Option<String>,
        /// What became of the lines in doubt that `status` names: executed, or lost (then they are sent again).
        #[arg(long, value_parser = parse_doubt, value_name = "executed|lost")]
        doubt: Option<Doubt>,
    },
    /// Cancel a job.
    #[command(after_help = "Example:\n  spoolway-agent cancel job-7731")]
    Cancel {
        /// The job; else the one that holds the printer.
        job: Option<String>,
    },
    /// Go on with an interrupted print: without --yes the plan is shown and nothing moves.
    #[command(
        after_help = "How high the nozzle stands is forgotten with a reset. Say --z held when nobody has moved Z since, or lower\nthe nozzle by hand until it just touches the top of the part and say --z touching. Nothing moves before --yes.\n\nExample:\n  spoolway-agent recover job-7731 --plan --z held\n  spoolway-agent recover job-7731 --z held --yes 3f9a1c07b2e4\n  spoolway-agent recover job-7731 --abandon"
    )]
    Recover {
        /// The job.
        job: String,
        /// Show the plan; that is what is done without --yes or --abandon.
        #[arg(long, conflicts_with_all = ["yes", "abandon"])]
        plan: bool,
        /// Where in the file: auto is behind what is certainly in the part.
        #[arg(long, value_parser = parse_from, value_name = "auto|'line N'|'layer N'", default_value = "auto")]
        from: ResumeFrom,
        /// How the height of the nozzle is known: it was held, it touches the part, or the machine homes it.
        #[arg(long = "z", value_parser = parse_height, value_name = "held|touching|homed")]
        height: Option<Height>,
        /// Run the plan with this id, which has been shown.
        #[arg(long, value_name = "PLAN", conflicts_with = "abandon")]
        yes: Option<String>,
        /// Give the part up: heaters off, and the job is over.
        #[arg(long)]
        abandon: bool,
        /// The plan as one JSON object.
        #[arg(long, conflicts_with_all = ["yes", "abandon"])]
        json: bool,
    },
    /// Emergency stop: the printer stops at once and has to be reset.
    #[command(after_help = "Example:\n  spoolway-agent estop")]
    Estop,
    /// Find out which printer is at which port, at what rate, and which profile fits.
    #[command(
        after_help = "Opening a port resets many boards: do not use it while one of them prints from its card.\n\nExample:\n  spoolway-agent detect\n  spoolway-agent detect /dev/ttyUSB0 --json"
    )]
    Detect {
        /// Only this port; else every USB port that nobody has open.
        port: Option<PathBuf>,
        /// As one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Say something about the printer itself.
    #[command(after_help = "Example:\n  spoolway-agent printer accept")]
    Printer {
        /// What.
        #[command(subcommand)]
        action: PrinterAction,
    },
    /// Show what the printer asks, with the answers that it offers.
    #[command(after_help = "Example:\n  spoolway-agent prompts")]
    Prompts {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Answer what the printer asks.
    #[command(after_help = "Example:\n  spoolway-agent answer 0\n  spoolway-agent answer Purge more")]
    Answer {
        /// The number of the answer as `prompts` shows it, or its words.
        #[arg(required = true)]
        choice: Vec<String>,
    },
    /// Watch the conversation with the printer, and send it single harmless commands.
    #[command(
        after_help = "Example:\n  spoolway-agent console\n  spoolway-agent console send M503\n\nEach line that is typed is sent. Reports and questions are sent at any time (M105, M114, M115, M119, M503, ...),\ntemperatures within the limits of the profile while no job runs, and nothing else."
    )]
    Console {
        /// As one JSON object a line.
        #[arg(long)]
        json: bool,
        /// Without one, the conversation is shown.
        #[command(subcommand)]
        action: Option<ConsoleAction>,
    },
    /// Open, close or show the maintenance window, in which single commands may tune, move and restart the printer.
    #[command(
        after_help = "Example:\n  spoolway-agent maintenance open --minutes 15 --reason 'PID tuning'\n  spoolway-agent console send M303 E0 S240 C8\n  spoolway-agent maintenance close"
    )]
    Maintenance {
        /// As one JSON object.
        #[arg(long, global = true)]
        json: bool,
        /// What.
        #[command(subcommand)]
        action: WindowAction,
    },
    /// Show the update of the agent that its backend wishes, or take it back.
    #[command(
        after_help = "Updates come from this machine's package sources, within a window, while nothing is printed, and only with\nupdate.allow = true in the configuration.\n\nExample:\n  spoolway-agent update status\n  spoolway-agent update cancel"
    )]
    Update {
        /// As one JSON object.
        #[arg(long, global = true)]
        json: bool,
        /// What.
        #[command(subcommand)]
        action: UpdateCommand,
    },
    /// Show the agent's log, or the last words on the wire.
    #[command(
        after_help = "The running agent remembers its last 2000 lines; the journal has those of before, or files of its own where there is none.\n\nExample:\n  spoolway-agent logs -f --level warn\n  spoolway-agent logs --job job-7731 --since 2h\n  spoolway-agent logs --wire --job job-7731\n  sudo spoolway-agent logs --journal --since 3d\n  spoolway-agent logs --files --job job-7731"
    )]
    Logs(LogsFlags),
    /// Pack what somebody needs who is asked for help into one file, without secrets and names.
    #[command(
        after_help = "Versions, configuration, status, doctor, jobs, log, records of prints that failed, journal and kernel, as far as this\nuser may read them. It is not sent anywhere.\n\nExample:\n  sudo spoolway-agent bundle\n  sudo spoolway-agent bundle --job job-7731 --out help.tar.zst"
    )]
    Bundle(BundleFlags),
    /// List the firmware profiles, show or check one.
    #[command(
        after_help = "Example:\n  spoolway-agent profiles\n  spoolway-agent profiles show marlin > attic.toml\n  \
                      spoolway-agent profiles check ./attic.toml"
    )]
    Profiles {
        /// Without one, they are listed.
        #[command(subcommand)]
        action: Option<ProfilesAction>,
    },
    /// Show or check the configuration.
    #[command(after_help = "Example:\n  spoolway-agent config check")]
    Config {
        /// What to do with it.
        #[command(subcommand)]
        action: ConfigAction,
    },
}

fn parse_doubt(text: &str) -> Result<Doubt, String> {
    match text {
        "executed" => Ok(Doubt::Executed),
        "lost" => Ok(Doubt::Lost),
        _ => Err("must be executed or lost".to_owned()),
    }
}
