//! The command line: what can be asked for, and which exit code says how it went.

mod ask;
mod enrol;
mod pair;
mod registry;
mod table;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use spoolway_relay::config::Config;
use spoolway_relay::console::Ask;
use spoolway_relay::paths::Directories;

use crate::host;
use crate::serve::{self, ServeError};
use crate::settings::{LoadConfigError, Override, load};

/// Exit codes; 64 and above are those of sysexits.h.
const RUNTIME: u8 = 1;
const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
const CONFIG: u8 = 78;

#[derive(Debug, Parser)]
#[command(
    name = "spoolway-relay",
    version,
    about = "The relay between Spoolway agents and backends",
    after_help = "\
Example:
  spoolway-relay run --listen 0.0.0.0:443

Exit codes: 0 done, 1 failed, 64 wrong usage, 69 relay or address not available, 78 wrong configuration."
)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Settings {
    /// Configuration file [default: relay.toml in the configuration directory, when it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One folder for configuration, certificates and registry
    #[arg(long, global = true, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// One setting, for example `--set limits.max_sockets=5000`
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = parse_override)]
    set: Vec<Override>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the relay until SIGTERM or SIGINT
    #[command(
        after_help = "Example:\n  spoolway-relay run\n  spoolway-relay run --listen 0.0.0.0:8443 --admin 127.0.0.1:9443"
    )]
    Run {
        /// Address for agents and backends
        #[arg(long, value_name = "ADDRESS:PORT")]
        listen: Option<String>,
        /// Loopback address for health and metrics
        #[arg(long, value_name = "ADDRESS:PORT")]
        admin: Option<String>,
    },
    /// How the relay that runs is
    #[command(after_help = "Example:\n  spoolway-relay status\n  spoolway-relay status --json")]
    Status(ask::Form),
    /// Agents that are in: since when, from where, what waits for them
    #[command(after_help = "Example:\n  spoolway-relay agents")]
    Agents(ask::Form),
    /// Processes of backends that are in
    #[command(after_help = "Example:\n  spoolway-relay backends")]
    Backends(ask::Form),
    /// Heads of frames and lines of the log as they pass, until Ctrl-C
    #[command(after_help = "Example:\n  spoolway-relay tail\n  spoolway-relay tail --json")]
    Tail(ask::Form),
    /// Certificates of one's own
    #[command(subcommand, after_help = "Example:\n  spoolway-relay certs init --host relay.example.org")]
    Certs(CertsCommand),
    /// Agents that may connect
    #[command(subcommand, after_help = "Example:\n  spoolway-relay agent list")]
    Agent(registry::AgentCommand),
    /// Backends that may connect
    #[command(subcommand, after_help = "Example:\n  spoolway-relay backend list")]
    Backend(registry::BackendCommand),
    /// Agents that wait with a code
    #[command(
        subcommand,
        after_help = "Example:\n  spoolway-relay pair list\n  spoolway-relay pair approve K7QX-M4TD"
    )]
    Pair(pair::PairCommand),
    /// Tokens by which many agents pair without a person
    #[command(
        subcommand,
        after_help = "Example:\n  spoolway-relay enrol add --backend farm --uses 40 > spoolway-enrol.toml"
    )]
    Enrol(enrol::EnrolCommand),
    /// Who has changed the registry: when, and what
    #[command(after_help = "Example:\n  spoolway-relay audit --last 20")]
    Audit(ask::Audit),
    /// The configuration
    #[command(subcommand, after_help = "Example:\n  spoolway-relay config check")]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum CertsCommand {
    /// Make a private authority and a server certificate; overwrites nothing
    #[command(
        after_help = "Example:\n  spoolway-relay certs init\n  spoolway-relay certs init --host relay.example.org 192.0.2.7"
    )]
    Init {
        /// Folder [default: tls in the configuration directory]
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Names and addresses under which the relay is reached
        #[arg(long, num_args = 1.., value_name = "NAME", value_parser = host::name,
            default_values = ["localhost", "127.0.0.1"])]
        host: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Load everything and say what is in force
    #[command(
        after_help = "Example:\n  spoolway-relay config check\n  spoolway-relay config check ./relay.toml"
    )]
    Check {
        /// The file to look at [default: the one that `run` would take]
        file: Option<PathBuf>,
    },
}

/// Every command with its flags, values and help.
#[must_use]
pub fn tree() -> clap::Command {
    Cli::command()
}

/// A failure with its exit code.
struct Failed {
    code: u8,
    error: anyhow::Error,
}

impl Failed {
    fn of_serving(error: ServeError) -> Self {
        let (code, error) = match error {
            ServeError::Setting(error) => (CONFIG, error),
            ServeError::Address(error) => (UNAVAILABLE, error),
            ServeError::Failed(error) => (RUNTIME, error),
        };
        Self { code, error }
    }

    fn with(code: u8) -> impl FnOnce(anyhow::Error) -> Self {
        move |error| Self { code, error }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        let error = error.into();
        let code = if error.is::<LoadConfigError>() { CONFIG } else { RUNTIME };
        Self { code, error }
    }
}

/// Everything `main` does, with the words of a command line, the program's name first.
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => {
            // Printing can only fail when nobody reads any longer.
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
        }
    };
    match carry_out(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed { code, error }) => {
            eprintln!("spoolway-relay: {}", whole(&error));
            ExitCode::from(code)
        }
    }
}

/// What went wrong and what has caused it. Some errors say their cause themselves, for logs: it is said once.
fn whole(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn carry_out(Cli { mut settings, command }: Cli) -> Result<(), Failed> {
    if let Command::Config(ConfigCommand::Check { file: file @ Some(_) }) = &command {
        settings.config.clone_from(file);
    }
    let directories = settings.directories()?;
    if let Command::Run { listen, admin } = &command {
        for (key, value) in [("listen.address", listen), ("admin.address", admin)] {
            settings.set.extend(value.clone().map(|value| Override { key: key.into(), value }));
        }
    }
    if let Command::Certs(CertsCommand::Init { dir, host }) = command {
        let known = settings.load(&directories).map(|config| config.relay.hosts).unwrap_or_default();
        let config_file = settings.config.unwrap_or_else(|| directories.config_file());
        init_certs(&dir.unwrap_or_else(|| directories.tls()), &host)?;
        if host.iter().any(|name| !known.contains(name)) {
            let begun = crate::certs::begin_config(&config_file, &host);
            if begun? {
                noted("settings", &config_file, "these names are what agents may dial");
            } else {
                println!(
                    "\nAgents may dial {known:?}; for all these names put into {}:",
                    config_file.display()
                );
                println!("[relay]\nhosts = {host:?}");
            }
        }
        return Ok(());
    }
    let question = match &command {
        Command::Status(form) => Some((Ask::Status, form)),
        Command::Agents(form) => Some((Ask::Agents, form)),
        Command::Backends(form) => Some((Ask::Backends, form)),
        Command::Tail(form) => Some((Ask::Tail, form)),
        _ => None,
    };
    if let Some((question, form)) = question {
        return ask::ask(question, form, &directories.admin_socket());
    }
    let config = settings.load(&directories)?;
    match command {
        Command::Run { .. } => {
            let places = directories.clone();
            let load = move || settings.load(&places);
            serve::run(config, &directories, load, Some(spoolway_relay_gateway::routes))
                .map_err(Failed::of_serving)
        }
        Command::Agent(command) => command.carry_out(&config.registry_file(&directories)),
        Command::Backend(command) => command.carry_out(&config.registry_file(&directories)),
        Command::Pair(command) => command.carry_out(&config.registry_file(&directories)),
        Command::Audit(audit) => ask::audit(&audit, &config.registry_file(&directories)),
        Command::Enrol(command) => command.carry_out(&config, &directories),
        Command::Config(ConfigCommand::Check { .. }) => {
            print!("{}", toml::to_string(&config).context("the configuration cannot be shown")?);
            Ok(())
        }
        // Those were carried out above.
        _ => Ok(()),
    }
}

fn init_certs(dir: &std::path::Path, hosts: &[String]) -> Result<(), Failed> {
    let files = crate::certs::init(dir, hosts)?;
    noted("authority", &files.ca, "agents and backends trust this one");
    noted("its key", &files.ca_key, "keep it, but not on this machine");
    println!("server      {}", files.server.display());
    println!("its key     {}", files.server_key.display());
    Ok(())
}

/// A file, and below it what it is for: in one line a terminal would break them.
fn noted(name: &str, file: &std::path::Path, what: &str) {
    println!("{name:<12}{}\n{:12}({what})", file.display(), "");
}

impl Settings {
    fn directories(&self) -> Result<Directories, Failed> {
        if let Some(folder) = &self.folder {
            return Ok(Directories::at(folder));
        }
        let is_said = self.config.is_some() || self.set.iter().any(|set| set.key == "registry.file");
        crate::places::usual(is_said).map_err(|error| Failed { code: CONFIG, error: error.into() })
    }

    fn load(&self, directories: &Directories) -> Result<Config, LoadConfigError> {
        let usual = directories.config_file();
        let file = self.config.clone().or_else(|| usual.exists().then_some(usual));
        load(file.as_deref(), std::env::vars(), &self.set)
    }
}

fn parse_override(text: &str) -> Result<Override, String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE is expected")?;
    Ok(Override { key: key.trim().into(), value: value.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_said_is_said_once() {
        let nowhere = || std::io::Error::from_raw_os_error(2);
        let read = LoadConfigError::Read { file: "/x".into(), source: nowhere() };
        let said = "cannot read configuration file /x: No such file or directory (os error 2)";
        assert_eq!(whole(&read.into()), said);
        let folder = spoolway_relay_registry::RegistryError::Folder(nowhere());
        let error = anyhow::Error::from(folder).context("/x/registry.db");
        assert_eq!(whole(&error), "/x/registry.db: registry folder: No such file or directory (os error 2)");
        let error = anyhow::Error::from(nowhere()).context("/x");
        assert_eq!(whole(&error), "/x: No such file or directory (os error 2)");
    }
}
