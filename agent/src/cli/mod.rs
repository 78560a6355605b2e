//! The command line: what was asked, done, and said back with an exit code.

mod act;
mod actions;
mod args;
mod bed;
mod bundle;
mod check;
mod console;
mod detect;
mod disk;
mod doctor;
mod explain;
mod fail;
mod forget;
mod help;
mod id;
mod job;
mod jobs;
mod logs;
mod maintenance;
mod paint;
mod pair;
mod print;
mod profiles;
mod prompts;
mod recover;
mod run;
mod run_flags;
mod settings;
mod setup;
mod status;
mod update;
mod which;

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;

use clap::Parser;
use tokio_util::sync::CancellationToken;

use crate::config::{
    Config, Flag, KeepError, LoadConfigError, Loaded, Origin, keep, load, load_text, make_folder,
};
use crate::local::words::Request;
use crate::local::{Client, PrintWishes};
use crate::paths::{Instance, Paths, SYSTEM_CONFIG, SYSTEM_SOCKET, unit};
use crate::view::recovery::RecoverHow;

pub use fail::{Exit, Failure};
pub use help::tree;
pub use paint::wants_colour;

use actions::{ConfigAction, ConsoleAction, IdAction, PrinterAction, ProfilesAction};
use args::{Arguments, Command};

/// An agent at work, until it has ended.
pub type Running = Pin<Box<dyn Future<Output = anyhow::Result<()>>>>;
/// The agent itself.
pub type RunAgent = fn(Config, CancellationToken) -> Running;

/// Does what the arguments ask for.
pub fn main(arguments: impl IntoIterator<Item = OsString>, run: RunAgent) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; a terminal that is gone does not want either.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    match dispatch(arguments, run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_silent() => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.exit().into()
        }
    }
}

fn dispatch(arguments: Arguments, run: RunAgent) -> Result<(), Failure> {
    let whereabouts =
        Whereabouts { file: arguments.config, socket: arguments.socket, instance: arguments.instance };
    let mut out = io::stdout();
    match arguments.command {
        Command::Run(flags) => run::run(&whereabouts.load(&flags.flags()?)?.config, run),
        Command::Id { json, action: None } => id::id(&whereabouts, json, &mut out),
        Command::Id { json, action: Some(IdAction::Rotate) } => id::rotate(&whereabouts, json, &mut out),
        Command::Setup(flags) => setup::setup(&whereabouts, flags, &mut out),
        Command::Pair(flags) => pair::with_code(&whereabouts, flags, &mut out),
        Command::Enrol { file } => pair::by_token(&whereabouts, file, &mut out),
        Command::Forget { yes } => forget::forget(&whereabouts, yes, &mut out),
        Command::Doctor { part, json } => doctor::doctor(&whereabouts, part, json, &mut out),
        Command::Explain { codes, json } => explain::explain(&codes, json, &mut out),
        Command::Status { watch: true, .. } => status::watch(&whereabouts, &mut out),
        Command::Status { json, .. } => status::status(&whereabouts, json, &mut out),
        Command::Jobs { action: None, json } => jobs::jobs(&whereabouts, json, &mut out),
        Command::Jobs { action: Some(action), .. } => jobs::change(&whereabouts, action, &mut out),
        Command::Job { job, json } => job::job(&whereabouts, &job, json, &mut out),
        Command::Check { file, profile, json } => {
            check::check(&whereabouts, &file, profile.as_deref(), json, &mut out)
        }
        Command::Print { file, name, copies, priority, hold, bed_clear, follow } => {
            let wishes = PrintWishes { name, copies, priority, hold };
            let wishes = print::Wishes { wishes, bed_clear, follow };
            print::print(&whereabouts, &file, wishes, &mut out)
        }
        Command::Bed { action: None, json } => bed::show(&whereabouts, json, &mut out),
        Command::Bed { action: Some(bed::BedAction::Clear { epoch }), .. } => {
            bed::clear(&whereabouts, epoch, &mut out)
        }
        Command::Pause { job } => {
            act::act(&whereabouts, &Request::Pause { job_id: job }, "Pausing", &mut out)
        }
        Command::Resume { job, doubt } => {
            act::act(&whereabouts, &Request::Resume { job_id: job, doubt }, "Resuming", &mut out)
        }
        Command::Cancel { job } => {
            act::act(&whereabouts, &Request::Cancel { job_id: job }, "Cancelling", &mut out)
        }
        Command::Recover { job, abandon: true, .. } => {
            act::act(&whereabouts, &Request::Abandon { job_id: job }, "Giving up", &mut out)
        }
        Command::Recover { job, from, height, yes, json, .. } => {
            let how = RecoverHow { from, height };
            match yes {
                None => recover::show(&whereabouts, job, how, json, &mut out),
                Some(plan_id) => recover::run(&whereabouts, job, how, plan_id, &mut out),
            }
        }
        Command::Estop => act::emergency_stop(&whereabouts, &mut out),
        Command::Detect { port, json } => detect::detect(&whereabouts, port, json, &mut out),
        Command::Printer { action: PrinterAction::Accept } => act::accept(&whereabouts, &mut out),
        Command::Prompts { json } => prompts::prompts(&whereabouts, json, &mut out),
        Command::Answer { choice } => prompts::answer(&whereabouts, &choice.join(" "), &mut out),
        Command::Console { action: None, json } => console::console(&whereabouts, json, &mut out),
        Command::Console { action: Some(ConsoleAction::Send { command }), .. } => {
            console::send(&whereabouts, &command.join(" "), &mut out)
        }
        Command::Maintenance { action, json } => {
            maintenance::maintenance(&whereabouts, action.into(), json, &mut out)
        }
        Command::Update { action, json } => update::update(&whereabouts, &action, json, &mut out),
        Command::Logs(flags) => logs::logs(&whereabouts, &flags, &mut out),
        Command::Bundle(flags) => bundle::bundle(&whereabouts, &flags, &mut out),
        Command::Profiles { action: None } => profiles::list(&whereabouts, &mut out),
        Command::Profiles { action: Some(ProfilesAction::Show { id }) } => {
            profiles::show(&whereabouts, &id, &mut out)
        }
        Command::Profiles { action: Some(ProfilesAction::Check { file }) } => {
            profiles::check(&file, &mut out)
        }
        Command::Config { action: ConfigAction::Show } => settings::show(&whereabouts, &mut out),
        Command::Config { action: ConfigAction::Check } => settings::check(&whereabouts, &mut out),
        Command::Config { action: ConfigAction::Set { settings } } => {
            settings::set(&whereabouts, &settings, &mut out)
        }
    }
}

/// What every command needs to find its agent: the global flags.
struct Whereabouts {
    file: Option<PathBuf>,
    socket: Option<PathBuf>,
    instance: Option<Instance>,
}

impl Whereabouts {
    /// The configuration as this command sees it.
    fn load(&self, flags: &[Flag]) -> Result<Loaded, Failure> {
        let paths = self.paths()?;
        let mut flags = flags.to_vec();
        if let Some(socket) = &self.socket {
            flags.push(Flag { key: "socket".to_owned(), value: absolute(socket)? });
        }
        Ok(load(&paths, self.file.as_deref(), std::env::vars_os(), &flags)?)
    }

    /// The configuration of the agent that [`Self::agent`] speaks with, and the file that it is read from, whether that is there or not.
    fn load_of_agent(&self) -> Result<(Loaded, PathBuf), Failure> {
        let own = self.load(&[])?;
        if !self.means_the_systems(&own) {
            return Ok((own, self.config_file()?));
        }
        let loaded =
            load(&Paths::of_system(), None, std::env::vars_os(), &[]).map_err(|error| match error {
                LoadConfigError::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                    Failure::not_of_the_group(SYSTEM_CONFIG)
                }
                other => other.into(),
            })?;
        Ok((loaded, SYSTEM_CONFIG.into()))
    }

    /// Whether this user means the system's agent: he names no other, and has none of his own. Its folders may be closed to him.
    fn means_the_systems(&self, own: &Loaded) -> bool {
        let is_told = self.instance.is_some()
            || self.socket.is_some()
            || *own.origin("socket") != Origin::Default
            || std::env::var_os("CONFIGURATION_DIRECTORY").is_some();
        let has_own = own.file.is_some() || own.config.socket.exists();
        !is_told && !has_own && [SYSTEM_SOCKET, SYSTEM_CONFIG].iter().any(|path| is_there(Path::new(path)))
    }

    /// The file that the configuration is read from, whether it is there or not.
    fn config_file(&self) -> Result<PathBuf, Failure> {
        Ok(match &self.file {
            Some(file) => file.clone(),
            None => self.paths()?.config_file(),
        })
    }

    /// Puts a new text in the place of the configuration file. The folder of one of several agents is made as that of the first one is.
    fn keep_config(&self, file: &Path, before: Option<&str>, text: &str) -> Result<(), KeepError> {
        if self.instance.is_some()
            && let (Some(folder), Some(model)) = (file.parent(), Path::new(SYSTEM_CONFIG).parent())
        {
            make_folder(folder, model)?;
        }
        keep(file, before, text)
    }

    /// What holds when the configuration file says this.
    fn load_text(&self, file: &Path, text: &str) -> Result<Loaded, Failure> {
        Ok(load_text(&self.paths()?, Some((file, text)), std::env::vars_os(), &[])?)
    }

    fn paths(&self) -> Result<Paths, Failure> {
        match &self.instance {
            Some(instance) => Ok(Paths::of_instance(instance)),
            None => Paths::of_this_process().ok_or_else(Failure::homeless),
        }
    }

    /// The unit as which the agent runs, if it runs as one.
    fn unit(&self) -> String {
        unit(self.instance.as_ref())
    }

    /// A connection to the agent.
    fn agent(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.find_socket()?)?)
    }

    /// The socket that was named; else our own, if an agent of ours ever made it; else that of the system's agent.
    fn find_socket(&self) -> Result<PathBuf, Failure> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        if let Some(instance) = &self.instance {
            // As below: speaking to it needs no right to read its configuration.
            return Ok(self
                .load(&[])
                .map_or_else(|_| Paths::of_instance(instance).socket(), |it| it.config.socket));
        }
        let loaded = match self.load(&[]) {
            // Somebody who speaks to the system's agent needs no right to read its configuration.
            Err(_) if self.file.is_none() && Path::new(SYSTEM_SOCKET).exists() => {
                return Ok(SYSTEM_SOCKET.into());
            }
            loaded => loaded?,
        };
        Ok(if self.means_the_systems(&loaded) { SYSTEM_SOCKET.into() } else { loaded.config.socket })
    }
}

/// Whether a file is there, or may be: in a folder that is closed to us.
fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap_or_else(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Relative paths on the command line are those of the shell.
fn absolute(path: &Path) -> Result<String, Failure> {
    let path = std::path::absolute(path).map_err(Failure::from)?;
    path.into_os_string().into_string().map_err(|path| {
        Failure::new(
            Exit::Usage,
            format!("{}: the path is not UTF-8 text", path.display()),
            None,
            "Choose a path in plain letters.",
        )
    })
}
