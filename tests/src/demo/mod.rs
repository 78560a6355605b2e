//! The demo: a sliced file goes from a backend through a relay and an agent to a printer, every part a process of its own.

mod bill;
pub mod chaos;
pub mod house;
pub(crate) mod papers;
pub mod picture;
pub mod roles;
mod safety;
pub mod screen;
pub mod summary;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Parser;
use clap::error::ErrorKind;
use sha2::{Digest, Sha256};
use spoolway_protocol::{JobState, Sha256Hex};
use tokio::signal::unix::{SignalKind, signal};

use self::chaos::Chaos;
use self::house::{House, PrinterPlan};
use self::picture::{Picture, SharedPicture, watch_locally, with};
use self::roles::Role;
use self::screen::Screen;
use self::summary::{FileFigures, Summary};
use crate::backend::{Backend, Print};
use crate::expected::Commands;
use crate::printer::Dialect;

/// The file that is printed unless another is named.
const GEAR: &[u8] = include_bytes!("../../gcode/gear.gcode");
/// Speed of a simulated line.
const SIMULATED_BAUD: u32 = 1_000_000;
/// Speed of a real line.
const REAL_BAUD: u32 = 115_200;
/// Time between two pictures.
const DRAW_EVERY: Duration = Duration::from_millis(150);
/// How long agent and backend may take to find one another.
const MEET: Duration = Duration::from_secs(60);
/// Exit code of wrong usage (sysexits.h).
const USAGE: u8 = 64;
/// Exit code of a program that SIGINT ended, as shells show it.
const INTERRUPTED: u8 = 130;

/// Prints a file from a backend through a relay and an agent, and compares what the printer carried out with the file.
#[derive(Debug, Parser)]
#[command(name = "spoolway-demo", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// G-code to print [default: a gear that is part of this program]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Firmware profile whose dialect the simulated printer speaks
    #[arg(long, value_name = "ID", default_value = "marlin", value_parser = dialect, conflicts_with = "port")]
    profile: String,
    /// How many times faster than life the simulated printer moves and heats; its line is never faster than `--baud`
    #[arg(long, default_value_t = 32.0, value_parser = positive, conflicts_with = "port")]
    speed: f64,
    /// Bits per second of the line [default: 1000000 simulated, 115200 with --port]
    #[arg(long)]
    baud: Option<u32>,
    /// Print on the real printer at this port
    #[arg(long, value_name = "DEVICE")]
    port: Option<PathBuf>,
    /// Probability of each kind of fault in the simulated printer's replies
    #[arg(long, default_value_t = 0.0, value_parser = probability, conflicts_with = "port")]
    noise: f64,
    /// Seed of those faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Kill and restart the agent and the relay, and break the network between them, while it prints
    #[arg(long, conflicts_with = "port")]
    chaos: bool,
    /// Print the summary as one line of JSON and nothing else
    #[arg(long)]
    json: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "must be a number above 0".to_owned())
}

fn dialect(text: &str) -> Result<String, String> {
    let known = || Dialect::all().iter().map(|dialect| dialect.profile).collect::<Vec<_>>().join(", ");
    Dialect::of_profile(text).map(|_| text.to_owned()).ok_or_else(|| format!("must be one of {}", known()))
}

fn probability(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=0.5).contains(number));
    number.ok_or_else(|| "must be a number from 0 to 0.5".to_owned())
}

/// Everything `main` does: 0 when what was executed is what the file says.
#[must_use]
pub fn main() -> ExitCode {
    let mut arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Printing can only fail when nobody reads any longer.
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
        }
    };
    let played = match arguments.role.take() {
        Some(role) => roles::play(role).map(|()| ExitCode::SUCCESS),
        None => perform(&arguments),
    };
    played.unwrap_or_else(|error| {
        eprintln!("spoolway-demo: {error:#}");
        ExitCode::FAILURE
    })
}

fn perform(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Some(summary) = runtime.block_on(perform_until_interrupted(arguments))? else {
        eprintln!("\nspoolway-demo: interrupted");
        return Ok(ExitCode::from(INTERRUPTED));
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        println!("{summary}");
    }
    Ok(if summary.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn perform_until_interrupted(arguments: &Arguments) -> anyhow::Result<Option<Summary>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Whatever is dropped here takes its children and its folder along.
    tokio::select! {
        summary = print(arguments) => summary.map(Some),
        _ = interrupt.recv() => Ok(None),
        _ = terminate.recv() => Ok(None),
    }
}

async fn print(arguments: &Arguments) -> anyhow::Result<Summary> {
    let started = Instant::now();
    let (name, bytes) = read(arguments)?;
    let commands = Commands::of(Arc::clone(&bytes)).count() as u64;
    let file = FileFigures {
        name: name.clone(),
        bytes: bytes.len() as u64,
        sha256: Sha256Hex(Sha256::digest(&bytes).into()),
        commands,
        filament_mm: bill::filament_of(&bytes, commands),
    };
    let plan = plan(arguments);
    let start = if arguments.chaos { House::start_to_be_broken } else { House::start };
    let house = start(&std::env::current_exe()?, &bytes, &plan)?;
    let mut stage = Stage {
        house,
        chaos: arguments.chaos.then(|| Chaos::new(arguments.seed)),
        screen: Screen::new(arguments.json),
        picture: SharedPicture::default(),
        size: file.bytes,
    };
    stage.introduce(&file, &plan)?;
    watch_locally(stage.house.socket(), &stage.picture)?;
    let picture = Arc::clone(&stage.picture);
    let print = Print { agent: stage.house.agent_id(), name, bytes };
    let backend = Backend::new(stage.house.relay(), print, move |progress| {
        with(&picture, |picture| picture.take(progress));
    })?;
    let ending = tokio::select! {
        ending = backend.run() => ending?,
        error = stage.show() => return Err(error),
    };
    let picture = with(&stage.picture, |picture| picture.clone());
    stage.screen.draw(&picture, stage.size)?;
    let seconds = started.elapsed().as_secs_f64();
    let logs = stage.house.logs();
    let report = stage.house.close()?;
    let summary = Summary::new(file, ending, report, &plan, &picture, seconds);
    if !summary.ok {
        eprintln!("{logs}");
    }
    Ok(summary)
}

fn read(arguments: &Arguments) -> anyhow::Result<(String, Arc<[u8]>)> {
    let Some(path) = &arguments.file else { return Ok(("gear.gcode".to_owned(), GEAR.into())) };
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok((name.unwrap_or_else(|| "job.gcode".to_owned()), bytes.into()))
}

fn plan(arguments: &Arguments) -> PrinterPlan {
    match &arguments.port {
        Some(port) => PrinterPlan::Real { port: port.clone(), baud: arguments.baud.unwrap_or(REAL_BAUD) },
        None => PrinterPlan::Simulated {
            profile: arguments.profile.clone(),
            speed: arguments.speed,
            baud: arguments.baud.unwrap_or(SIMULATED_BAUD),
            noise: arguments.noise,
            seed: arguments.seed,
        },
    }
}

/// What is there while a print runs.
struct Stage {
    house: House,
    chaos: Option<Chaos>,
    screen: Screen,
    picture: SharedPicture,
    size: u64,
}

impl Stage {
    fn introduce(&mut self, file: &FileFigures, plan: &PrinterPlan) -> std::io::Result<()> {
        let relay = self.house.relay();
        let (relay_pid, agent_pid, printer_pid) = self.house.pids();
        let (kind, baud) = match plan {
            PrinterPlan::Simulated { profile, speed, baud, .. } => {
                (format!("simulated {profile}, {speed} x"), baud)
            }
            PrinterPlan::Real { baud, .. } => ("real".to_owned(), baud),
        };
        let printer_pid = printer_pid.map_or_else(String::new, |pid| format!("  process {pid}"));
        self.screen
            .say(&format!(" file     {}, {} bytes, {} commands", file.name, file.bytes, file.commands))?;
        self.screen.say(&format!(" relay    wss://{}:{}  process {relay_pid}", relay.host, relay.port))?;
        self.screen.say(&format!(" agent    {}  process {agent_pid}", self.house.agent_id()))?;
        let device = self.house.device().display();
        self.screen.say(&format!(" printer  {device}, {baud} baud, {kind}{printer_pid}\n"))
    }

    /// Draws until something is wrong.
    async fn show(&mut self) -> anyhow::Error {
        let meet_by = Instant::now() + MEET;
        let mut beat = tokio::time::interval(DRAW_EVERY);
        loop {
            beat.tick().await;
            if let Err(error) = self.look(meet_by) {
                return error;
            }
        }
    }

    /// Does to the house what is due, if anything is.
    fn strike(&mut self, is_printing: bool) -> anyhow::Result<()> {
        let Some(chaos) = &mut self.chaos else { return Ok(()) };
        let done = chaos.act(&mut self.house, is_printing)?;
        let dealt = chaos.dealt();
        with(&self.picture, |picture| picture.blows = Some(dealt));
        done.map_or(Ok(()), |done| Ok(self.screen.note(done)?))
    }

    fn look(&mut self, meet_by: Instant) -> anyhow::Result<()> {
        let picture: Picture = with(&self.picture, |picture| picture.clone());
        self.screen.draw(&picture, self.size)?;
        self.house.check()?;
        self.strike(picture.state == Some(JobState::Printing))?;
        if !picture.is_up && picture.events == 0 && Instant::now() > meet_by {
            bail!("the agent does not come:\n{}{}", picture.complaints.join("\n"), self.house.logs());
        }
        Ok(())
    }
}
