//! The agent's own program as a process: its configuration in a file, its end by a signal, as a service has it.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Signal, getpid, kill_process};
use spoolway_agent::local::Client;
use spoolway_protocol::printer::PrinterState;

use crate::descriptor_store::DescriptorStore;
use crate::process::{ChildProcess, when_parent_leaves};

/// How long the agent has to end in order.
pub const GRACE: Duration = Duration::from_secs(8);
/// How long it may take until its printer is ready.
const READY: Duration = Duration::from_secs(30);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Which program is the agent.
#[derive(Debug, Clone)]
pub struct AgentProgram {
    program: PathBuf,
    /// Goes before the agent's own arguments.
    role: Option<&'static str>,
}

/// What the agent is told in its configuration; the rest are its defaults.
#[derive(Debug, Clone)]
pub struct AgentSetup<'a> {
    /// State, socket and configuration; made when it is not there.
    pub folder: &'a Path,
    /// Where the socket and what a boot may take lie instead, as in a folder under `/run`.
    pub runtime: Option<&'a Path>,
    /// The printer's port.
    pub port: &'a Path,
    /// Bits per second.
    pub baud: u32,
    /// `wss://HOST:PORT` and the authority of its certificate.
    pub relay: Option<(&'a str, &'a Path)>,
    /// Profiles that overlay the built-in ones.
    pub profiles: Option<&'a Path>,
    /// `log.level`.
    pub log_level: &'a str,
    /// Further environment variables.
    pub environment: &'a [(&'a str, OsString)],
}

impl<'a> AgentSetup<'a> {
    /// A folder and a port.
    #[must_use]
    pub fn new(folder: &'a Path, port: &'a Path, baud: u32) -> Self {
        Self {
            folder,
            runtime: None,
            port,
            baud,
            relay: None,
            profiles: None,
            log_level: "info",
            environment: &[],
        }
    }

    /// The agent's local socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.runtime.unwrap_or(self.folder).join("agent.sock")
    }

    fn write(&self) -> anyhow::Result<PathBuf> {
        std::fs::create_dir_all(self.folder)?;
        let text = |path: &Path| toml::Value::from(path.display().to_string());
        let mut config = toml::Table::new();
        config.insert("state_dir".to_owned(), text(self.folder));
        config.insert("socket".to_owned(), text(&self.socket()));
        let mut printer = toml::Table::new();
        printer.insert("port".to_owned(), text(self.port));
        printer.insert("baud".to_owned(), i64::from(self.baud).into());
        config.insert("printer".to_owned(), printer.into());
        // Nobody is there to look at a simulated bed.
        let bed = toml::Table::from_iter([("confirm".to_owned(), "not-required".into())]);
        config.insert("bed".to_owned(), bed.into());
        if let Some(profiles) = self.profiles {
            config.insert(
                "profiles".to_owned(),
                toml::Table::from_iter([("folder".to_owned(), text(profiles))]).into(),
            );
        }
        if let Some((url, authority)) = self.relay {
            let relay = [("url".to_owned(), url.into()), ("ca_file".to_owned(), text(authority))];
            config.insert("relay".to_owned(), toml::Table::from_iter(relay).into());
        }
        let log = [("level".to_owned(), self.log_level.into()), ("format".to_owned(), "json".into())];
        config.insert("log".to_owned(), toml::Table::from_iter(log).into());
        let file = self.folder.join("agent.toml");
        std::fs::write(&file, toml::to_string(&config)?)?;
        Ok(file)
    }
}

impl AgentProgram {
    /// The agent's program itself.
    #[must_use]
    pub fn at(program: &Path) -> Self {
        Self { program: program.to_owned(), role: None }
    }

    /// This program, which has to give its arguments behind `role` to [`play`].
    #[must_use]
    pub fn within(program: &Path, role: &'static str) -> Self {
        Self { program: program.to_owned(), role: Some(role) }
    }

    /// Whether it is the agent's program itself.
    #[must_use]
    pub fn is_itself(&self) -> bool {
        self.role.is_none()
    }

    /// Starts it; its log goes to `log`.
    ///
    /// # Errors
    /// A file cannot be written, or the program is not there.
    pub fn start(&self, setup: &AgentSetup<'_>, log: &Path) -> anyhow::Result<AgentProcess> {
        let log = File::options().create(true).append(true).open(log).map(|file| (file, log.to_owned()))?;
        self.start_with(setup, log)
    }

    /// Starts it with its log in an open file, of which `path` is read for messages.
    ///
    /// # Errors
    /// As [`AgentProgram::start`].
    pub fn start_with(&self, setup: &AgentSetup<'_>, log: (File, PathBuf)) -> anyhow::Result<AgentProcess> {
        let words = self.words(setup)?;
        let child = ChildProcess::spawn_with("agent", &self.program, &words, setup.environment, log)
            .with_context(|| self.program.display().to_string())?;
        Ok(AgentProcess { child, socket: setup.socket() })
    }

    /// Starts it with what a descriptor store keeps; its log goes to `log`.
    ///
    /// # Errors
    /// As [`AgentProgram::start`], or the store fails.
    pub fn start_from(
        &self,
        store: &mut DescriptorStore,
        setup: &AgentSetup<'_>,
        log: &Path,
    ) -> anyhow::Result<AgentProcess> {
        let mut command = store.command(&self.program, &self.words(setup)?)?;
        command.envs(setup.environment.iter().map(|(name, value)| (name, value)));
        command.stderr(File::options().create(true).append(true).open(log)?);
        let child = ChildProcess::spawn_command("agent", command, log.to_owned())
            .with_context(|| self.program.display().to_string())?;
        Ok(AgentProcess { child, socket: setup.socket() })
    }

    fn words(&self, setup: &AgentSetup<'_>) -> anyhow::Result<Vec<String>> {
        let words = [format!("--config={}", setup.write()?.display()), "run".to_owned()];
        Ok(self.role.map(str::to_owned).into_iter().chain(words).collect())
    }
}

/// Plays the agent's program in a process of this one, until it is told to end or the parent leaves.
///
/// # Errors
/// The system gives no thread.
pub fn play(arguments: Vec<OsString>) -> io::Result<ExitCode> {
    when_parent_leaves(GRACE, || {
        // A process may always send itself a signal.
        let _ = kill_process(getpid(), Signal::TERM);
    })?;
    let words = [OsString::from("spoolway-agent")].into_iter().chain(arguments);
    Ok(spoolway_agent::cli::main(words, spoolway_agent::run::run))
}

/// A running agent.
#[derive(Debug)]
pub struct AgentProcess {
    child: ChildProcess,
    socket: PathBuf,
}

impl AgentProcess {
    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The bare process, for whoever keeps it among others.
    #[must_use]
    pub fn into_child(self) -> ChildProcess {
        self.child
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.child.log_tail()
    }

    /// Fails when it is over.
    ///
    /// # Errors
    /// How it ended, and what it said last.
    pub fn check(&mut self) -> anyhow::Result<()> {
        match self.child.ended()? {
            Some(status) => bail!("the agent ended with {status}:\n{}", self.log_tail()),
            None => Ok(()),
        }
    }

    /// Waits until the agent answers and its printer does, too.
    ///
    /// # Errors
    /// Either does not in time.
    pub async fn ready(&mut self) -> anyhow::Result<Client> {
        let until = Instant::now() + READY;
        while Instant::now() < until {
            self.check()?;
            if let Ok(mut client) = Client::connect(&self.socket)
                && client.status()?.printer.state == PrinterState::Idle
            {
                return Ok(client);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("the agent's printer is not ready in time:\n{}", self.log_tail())
    }

    /// SIGKILL; the process is gone afterwards.
    ///
    /// # Errors
    /// It has ended before, or the system refuses.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.check()?;
        self.child.kill()?;
        Ok(())
    }

    /// Its local socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// It does not end, or not well.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.child.terminate()?;
        let status = self.child.wait(GRACE * 2).with_context(|| self.child.log_tail())?;
        ensure!(status.success(), "the agent ended with {status}:\n{}", self.log_tail());
        Ok(())
    }
}
