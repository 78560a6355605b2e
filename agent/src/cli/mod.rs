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
mod whereabouts;
mod which;

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::process::ExitCode;

use clap::Parser;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::local::PrintWishes;
use crate::local::words::Request;
use crate::view::recovery::RecoverHow;

pub use fail::{Exit, Failure};
pub use help::tree;
pub use paint::wants_colour;

use actions::{ConfigAction, ConsoleAction, IdAction, PrinterAction, ProfilesAction};
use args::{Arguments, Command};
use whereabouts::{Whereabouts, absolute};

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
    let whereabouts =
        Whereabouts { file: arguments.config, socket: arguments.socket, instance: arguments.instance };
    match dispatch(&whereabouts, arguments.command, run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_silent() => ExitCode::SUCCESS,
        Err(failure) => {
            let failure = failure.named(&whereabouts);
            failure.print();
            failure.exit().into()
        }
    }
}

fn dispatch(whereabouts: &Whereabouts, command: Command, run: RunAgent) -> Result<(), Failure> {
    let mut out = io::stdout();
    match command {
        Command::Run(flags) => run::run(&whereabouts.load(&flags.flags()?)?.config, run),
        Command::Id { json, action: None } => id::id(whereabouts, json, &mut out),
        Command::Id { json, action: Some(IdAction::Rotate) } => id::rotate(whereabouts, json, &mut out),
        Command::Setup(flags) => setup::setup(whereabouts, flags, &mut out),
        Command::Pair(flags) => pair::with_code(whereabouts, flags, &mut out),
        Command::Enrol { file } => pair::by_token(whereabouts, file, &mut out),
        Command::Forget { yes } => forget::forget(whereabouts, yes, &mut out),
        Command::Doctor { part, json } => doctor::doctor(whereabouts, part, json, &mut out),
        Command::Explain { codes, json } => explain::explain(&codes, json, &mut out),
        Command::Status { watch: true, .. } => status::watch(whereabouts, &mut out),
        Command::Status { json, .. } => status::status(whereabouts, json, &mut out),
        Command::Jobs { action: None, json } => jobs::jobs(whereabouts, json, &mut out),
        Command::Jobs { action: Some(action), .. } => jobs::change(whereabouts, action, &mut out),
        Command::Job { job, json } => job::job(whereabouts, &job, json, &mut out),
        Command::Check { file, profile, json } => {
            check::check(whereabouts, &file, profile.as_deref(), json, &mut out)
        }
        Command::Print { file, name, copies, priority, hold, bed_clear, follow } => {
            let wishes = PrintWishes { name, copies, priority, hold };
            let wishes = print::Wishes { wishes, bed_clear, follow };
            print::print(whereabouts, &file, wishes, &mut out)
        }
        Command::Bed { action: None, json } => bed::show(whereabouts, json, &mut out),
        Command::Bed { action: Some(bed::BedAction::Clear { epoch }), .. } => {
            bed::clear(whereabouts, epoch, &mut out)
        }
        Command::Pause { job } => {
            let job_id = whereabouts.job_or_none(job)?;
            act::act(whereabouts, &Request::Pause { job_id }, "Pausing", &mut out)
        }
        Command::Resume { job, doubt } => {
            let job_id = whereabouts.job_or_none(job)?;
            act::act(whereabouts, &Request::Resume { job_id, doubt }, "Resuming", &mut out)
        }
        Command::Cancel { job } => {
            let job_id = whereabouts.job_or_none(job)?;
            act::act(whereabouts, &Request::Cancel { job_id }, "Cancelling", &mut out)
        }
        Command::Recover { job, abandon: true, .. } => {
            let job_id = whereabouts.job(&job)?;
            act::act(whereabouts, &Request::Abandon { job_id }, "Giving up", &mut out)
        }
        Command::Recover { job, from, height, yes, json, .. } => {
            let (job, how) = (whereabouts.job(&job)?, RecoverHow { from, height });
            match yes {
                None => recover::show(whereabouts, job, how, json, &mut out),
                Some(plan_id) => recover::run(whereabouts, job, how, plan_id, &mut out),
            }
        }
        Command::Estop => act::emergency_stop(whereabouts, &mut out),
        Command::Detect { port, json } => detect::detect(whereabouts, port, json, &mut out),
        Command::Printer { action: PrinterAction::Accept } => act::accept(whereabouts, &mut out),
        Command::Prompts { json } => prompts::prompts(whereabouts, json, &mut out),
        Command::Answer { choice } => prompts::answer(whereabouts, &choice.join(" "), &mut out),
        Command::Console { action: None, json } => console::console(whereabouts, json, &mut out),
        Command::Console { action: Some(ConsoleAction::Send { command }), .. } => {
            console::send(whereabouts, &command.join(" "), &mut out)
        }
        Command::Maintenance { action, json } => {
            maintenance::maintenance(whereabouts, action.into(), json, &mut out)
        }
        Command::Update { action, json } => update::update(whereabouts, &action, json, &mut out),
        Command::Logs(flags) => logs::logs(whereabouts, &flags, &mut out),
        Command::Bundle(flags) => bundle::bundle(whereabouts, &flags, &mut out),
        Command::Profiles { action: None } => profiles::list(whereabouts, &mut out),
        Command::Profiles { action: Some(ProfilesAction::Show { id }) } => {
            profiles::show(whereabouts, &id, &mut out)
        }
        Command::Profiles { action: Some(ProfilesAction::Check { file }) } => {
            profiles::check(&file, &mut out)
        }
        Command::Config { action: ConfigAction::Show } => settings::show(whereabouts, &mut out),
        Command::Config { action: ConfigAction::Check } => settings::check(whereabouts, &mut out),
        Command::Config { action: ConfigAction::Set { settings } } => {
            settings::set(whereabouts, &settings, &mut out)
        }
    }
}
