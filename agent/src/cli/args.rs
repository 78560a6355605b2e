//! The words of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use spoolway_agent_core::recovery::{Height, ResumeFrom};
use spoolway_protocol::{Doubt, JobId};

use super::actions::{ConfigAction, ConsoleAction, IdAction, JobsAction, PrinterAction, ProfilesAction};
use super::bed::BedAction;
use super::maintenance::WindowAction;
use super::pair::PairFlags;
use super::recover::{parse_from, parse_height};
use super::{Failure, absolute};
use crate::config::Flag;
use crate::telemetry::Level;

/// The agent of one 3D printer.
#[derive(Debug, Parser)]
#[command(
    name = "spoolway-agent",
    version,
    about,
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
    /// Walk the way to the relay, and name the step that fails and what mends it.
    #[command(
        after_help = "The running agent keeps its session. Exit code 0 where no step failed.\n\nExample:\n  sudo spoolway-agent doctor\n  sudo spoolway-agent doctor --json"
    )]
    Doctor {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show printer, job and link at a glance.
    #[command(after_help = "Example:\n  spoolway-agent status")]
    Status {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
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
    /// Hold a G-code file against the printer, without printing it.
    #[command(
        after_help = "The printer is what the configuration and the profile say of it. Exit code 1: the file would not start by itself.\n\nExample:\n  spoolway-agent check benchy.gcode\n  spoolway-agent check benchy.gcode --profile prusa-mk --json"
    )]
    Check {
        /// The file.
        file: PathBuf,
        /// Firmware profile; else that of the configuration.
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
        job: Option<JobId>,
    },
    /// Go on with a paused job.
    #[command(after_help = "Example:\n  spoolway-agent resume\n  spoolway-agent resume --doubt executed")]
    Resume {
        /// The job; else the one that holds the printer.
        job: Option<JobId>,
        /// What became of the lines in doubt that `status` names: executed, or lost (then they are sent again).
        #[arg(long, value_parser = parse_doubt, value_name = "executed|lost")]
        doubt: Option<Doubt>,
    },
    /// Cancel a job.
    #[command(after_help = "Example:\n  spoolway-agent cancel job-7731")]
    Cancel {
        /// The job; else the one that holds the printer.
        job: Option<JobId>,
    },
    /// Go on with an interrupted print: without --yes the plan is shown and nothing moves.
    #[command(
        after_help = "How high the nozzle stands is forgotten with a reset. Say --z held when nobody has moved Z since, or lower\nthe nozzle by hand until it just touches the top of the part and say --z touching. Nothing moves before --yes.\n\nExample:\n  spoolway-agent recover job-7731 --plan --z held\n  spoolway-agent recover job-7731 --z held --yes 3f9a1c07b2e4\n  spoolway-agent recover job-7731 --abandon"
    )]
    Recover {
        /// The job.
        job: JobId,
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
    /// Show the agent's log.
    #[command(after_help = "Example:\n  spoolway-agent logs -f --level warn")]
    Logs {
        /// Stay and show new lines as they come.
        #[arg(short, long)]
        follow: bool,
        /// How many of the last lines to show.
        #[arg(short = 'n', long, default_value_t = 50, value_name = "N")]
        lines: usize,
        /// The least that matters.
        #[arg(long, value_enum, default_value_t = Level::Info)]
        level: Level,
        /// As one JSON object a line.
        #[arg(long)]
        json: bool,
    },
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

/// Settings that are tried out often enough to have a flag of their own.
#[derive(Debug, Args)]
pub(super) struct RunFlags {
    /// Serial port of the printer, or auto.
    #[arg(long, value_name = "PATH")]
    port: Option<PathBuf>,
    /// Bits per second, or auto.
    #[arg(long, value_parser = parse_baud)]
    baud: Option<String>,
    /// Firmware profile, or auto.
    #[arg(long, value_name = "ID")]
    profile: Option<String>,
    /// Relay, as wss://host or wss://host:port.
    #[arg(long, value_name = "URL")]
    relay: Option<String>,
    /// Folder for identity, database and files.
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,
    /// Least level that is logged, such as debug.
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// Any other setting by its key, such as spool.reserve_bytes=1000000.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_set)]
    set: Vec<Flag>,
}

impl RunFlags {
    /// The flags by the keys of the configuration.
    pub(super) fn flags(self) -> Result<Vec<Flag>, Failure> {
        let path = |path: Option<PathBuf>| path.as_deref().map(absolute).transpose();
        let port = match self.port {
            Some(port) if port.as_os_str() == "auto" => Some("auto".to_owned()),
            port => path(port)?,
        };
        let given = [
            ("printer.port", port),
            ("printer.baud", self.baud),
            ("printer.profile", self.profile),
            ("relay.url", self.relay),
            ("state_dir", path(self.state_dir)?),
            ("log.level", self.log),
        ];
        let given =
            given.into_iter().filter_map(|(key, value)| Some(Flag { key: key.to_owned(), value: value? }));
        Ok(given.chain(self.set).collect())
    }
}

fn parse_doubt(text: &str) -> Result<Doubt, String> {
    match text {
        "executed" => Ok(Doubt::Executed),
        "lost" => Ok(Doubt::Lost),
        _ => Err("must be executed or lost".to_owned()),
    }
}

/// A number or `auto`; whether the number will do is said by the configuration.
fn parse_baud(text: &str) -> Result<String, String> {
    match text {
        "auto" => Ok(text.to_owned()),
        _ if text.parse::<u32>().is_ok() => Ok(text.to_owned()),
        _ => Err("must be a number or auto".to_owned()),
    }
}

fn parse_set(text: &str) -> Result<Flag, String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok(Flag { key: key.trim().to_owned(), value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound_and_every_command_has_an_example() {
        let command = Arguments::command();
        command.clone().debug_assert();
        let mut open = vec![command];
        while let Some(command) = open.pop() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example:\n  "), "{}", command.get_name());
            open.extend(command.get_subcommands().filter(|sub| sub.get_name() != "help").cloned());
        }
    }

    #[test]
    fn flags_have_the_keys_of_the_configuration() {
        let words = ["a", "run", "--port", "/dev/x", "--baud", "9600", "--set", "log.format=json"];
        let Command::Run(flags) = Arguments::try_parse_from(words).unwrap().command else { panic!("run") };
        let flags = flags.flags().unwrap();
        let pairs: Vec<_> = flags.iter().map(|flag| (flag.key.as_str(), flag.value.as_str())).collect();
        assert_eq!(pairs, [("printer.port", "/dev/x"), ("printer.baud", "9600"), ("log.format", "json")]);
        assert!(pairs.iter().all(|(key, _)| crate::config::keys().any(|known| known == *key)));
    }
}
