//! A server under load: a process that is alone on its core and ends with this one, and what it uses.

use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::install::Installed;
use super::site::Site;
use super::{Contender, Settings};
use crate::bench::usage::{ProcessClock, forget_peak, peak_memory_bytes, resident_bytes};
use crate::process::ChildProcess;

/// How long a server may take until it listens.
const BEGIN: Duration = Duration::from_secs(30);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The two cores of a run: the server's, and that of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cores {
    pub(super) server: usize,
    pub(super) load: usize,
}

impl Cores {
    /// The first two that this process may use; one and the same where there is only one.
    pub(super) fn choose() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let server = cores.next().context("no core")?;
        Ok(Self { server, load: cores.next().unwrap_or(server) })
    }

    /// Keeps this thread on a core, and what it starts from now on.
    pub(super) fn keep_to(core: usize) -> anyhow::Result<()> {
        let mut set = CpuSet::new();
        set.set(core);
        sched_setaffinity(None, &set).with_context(|| format!("core {core}"))
    }
}

/// How a process becomes a server.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The core
    #[arg(long)]
    core: usize,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    words: Vec<OsString>,
}

/// Becomes the program, on its core; the kernel ends it when the parent is gone.
///
/// # Errors
/// The program cannot be run.
pub(in crate::bench) fn play(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    Cores::keep_to(arguments.core)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let (program, words) = arguments.words.split_first().context("a program")?;
    Err(Command::new(program).args(words).exec()).with_context(|| program.display().to_string())
}

/// A running server; it is killed when it is dropped.
pub(super) struct Server {
    child: ChildProcess,
    clock: ProcessClock,
    address: SocketAddrV4,
}

impl Server {
    /// Starts it and waits until it listens.
    pub(super) async fn start(
        site: &Site,
        installed: &Installed,
        contender: Contender,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let address = free_address()?;
        let started = installed.command(site, contender, address.port(), settings)?;
        let program = started.program.display().to_string();
        let words = ["server", "--core", &site.cores.server.to_string(), "--", &program].map(str::to_owned);
        let words: Vec<String> = words.into_iter().chain(started.words).collect();
        let path = site.log(contender);
        let log = File::options().create(true).append(true).open(&path)?;
        let environment: Vec<_> =
            started.environment.iter().map(|(name, value)| (*name, value.clone())).collect();
        let child =
            ChildProcess::spawn_with(contender.name(), &site.program, &words, &environment, (log, path))?;
        let clock = ProcessClock::new(child.id());
        let mut server = Self { child, clock, address };
        server.listens().await?;
        Ok(server)
    }

    async fn listens(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + BEGIN;
        while TcpStream::connect(self.address).is_err() {
            self.check()?;
            ensure!(Instant::now() < until, "it does not listen in time:\n{}", self.child.log_tail());
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Fails when it has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.ended()? {
            Some(status) => bail!("the server ended with {status}:\n{}", self.child.log_tail()),
            None => Ok(()),
        }
    }

    pub(super) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Processor time so far.
    pub(super) fn processor_time(&mut self) -> anyhow::Result<Duration> {
        self.clock.read()
    }

    /// Memory that is resident now, in bytes.
    pub(super) fn resident_bytes(&self) -> anyhow::Result<u64> {
        resident_bytes(self.child.id())
    }

    /// The most memory since the last [`Self::forget_peak`], in bytes.
    pub(super) fn peak_bytes(&self) -> anyhow::Result<u64> {
        peak_memory_bytes(self.child.id())
    }

    /// Counts the peak from now on.
    pub(super) fn forget_peak(&self) -> anyhow::Result<()> {
        forget_peak(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended before; nothing of it is needed any more.
        let _ = self.child.kill();
    }
}

/// What is run.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) program: PathBuf,
    pub(super) words: Vec<String>,
    pub(super) environment: Vec<(&'static str, OsString)>,
}

impl Started {
    pub(super) fn new(program: &Path, words: impl IntoIterator<Item = String>) -> Self {
        Self { program: program.to_owned(), words: words.into_iter().collect(), environment: Vec::new() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((name, value.into()));
        self
    }
}

/// An address on loopback that was free a moment ago.
pub(super) fn free_address() -> anyhow::Result<SocketAddrV4> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}
