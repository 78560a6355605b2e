//! The whole agent as a process of its own, without a relay: its role, and how a print is brought about from outside.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use spoolway_agent::config::Config;
use spoolway_agent::local::Client;
use spoolway_agent::local::words::Request;
use spoolway_agent::paths::Paths;
use spoolway_protocol::JobState;
use spoolway_protocol::printer::PrinterState;
use tokio_util::sync::CancellationToken;

use super::Site;
use super::usage::processor_time;
use crate::process::{ChildProcess, when_parent_leaves};

/// How long the agent has to end in order.
const GRACE: Duration = Duration::from_secs(8);
/// How long it may take until its printer is ready.
const READY: Duration = Duration::from_secs(30);
/// How long a print may take beyond what it should.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time between two looks. Each costs the agent something, so they are few.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Marlin's profile as shipped; its ring is widened where the window is to be counted in lines.
const MARLIN: &str = include_str!("../../../firmware-profiles/profiles/marlin.toml");

/// How the agent is set up.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// State and socket.
    #[arg(long)]
    folder: PathBuf,
    /// The printer's port.
    #[arg(long)]
    port: PathBuf,
    /// Bits per second.
    #[arg(long)]
    baud: u32,
    /// Profiles that overlay the built-in ones.
    #[arg(long)]
    profiles: Option<PathBuf>,
}

/// Plays the agent until the parent leaves.
///
/// # Errors
/// What the agent says.
pub(super) fn play(arguments: Arguments) -> anyhow::Result<()> {
    let folder = arguments.folder;
    let mut config = Config::new(&Paths { config: folder.clone(), state: folder.clone(), runtime: folder });
    config.printer.port = arguments.port.into();
    config.printer.baud = arguments.baud.into();
    config.profiles.folder = arguments.profiles;
    config.spool.reserve_bytes = 0;
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let stop = CancellationToken::new();
    let leave = stop.clone();
    when_parent_leaves(GRACE, move || leave.cancel())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(spoolway_agent::run::run(config, stop));
    runtime.shutdown_background();
    ended
}

/// A running agent whose printer is ready.
#[derive(Debug)]
pub(super) struct LoneAgent {
    child: ChildProcess,
    client: Client,
}

impl LoneAgent {
    /// Starts it on a port; `lines` counts its window in lines instead of the board's ring.
    pub(super) async fn start(
        site: &Site,
        dir: &Path,
        port: &Path,
        baud: u32,
        lines: Option<usize>,
    ) -> anyhow::Result<Self> {
        let folder = dir.join("agent");
        std::fs::create_dir(&folder)?;
        let mut words = vec![
            "lone-agent".to_owned(),
            format!("--folder={}", folder.display()),
            format!("--port={}", port.display()),
            format!("--baud={baud}"),
        ];
        if let Some(lines) = lines {
            let profiles = dir.join("profiles");
            widen(&profiles, lines)?;
            words.push(format!("--profiles={}", profiles.display()));
        }
        let mut child = ChildProcess::spawn("agent", &site.program, &words, &dir.join("agent.log"))?;
        let client = ready(&mut child, &folder.join("agent.sock")).await;
        let client = client.with_context(|| child.log_tail())?;
        Ok(Self { child, client })
    }

    /// Prints a file that should take so long; gives the processor time from its first line on.
    pub(super) async fn print(&mut self, file: &Path, should_take: Duration) -> anyhow::Result<Duration> {
        let request = Request::Print { path: file.to_owned(), name: None };
        let job = self.client.job(&request)?.job_id;
        let begin = processor_time(self.child.id())?;
        let until = Instant::now() + should_take + PATIENCE;
        tokio::time::sleep(should_take).await;
        loop {
            let jobs = self.client.jobs().with_context(|| self.child.log_tail())?;
            let found = jobs.into_iter().find(|found| found.job_id == job).context("the job is gone")?;
            if found.state == JobState::Completed {
                return Ok(processor_time(self.child.id())? - begin);
            }
            let goes_on = !found.state.is_terminal() && Instant::now() < until;
            ensure!(goes_on, "the print stands at {found:?}:\n{}", self.child.log_tail());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Ends it in order.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        self.child.ask_to_end();
        let status = self.child.wait(GRACE * 2).with_context(|| self.child.log_tail())?;
        ensure!(status.success(), "the agent ended with {status}:\n{}", self.child.log_tail());
        Ok(())
    }
}

/// Waits until the agent answers and its printer does, too.
async fn ready(child: &mut ChildProcess, socket: &Path) -> anyhow::Result<Client> {
    let until = Instant::now() + READY;
    while Instant::now() < until {
        if let Some(status) = child.ended()? {
            bail!("the agent ended with {status}");
        }
        if let Ok(mut client) = Client::connect(socket)
            && client.status()?.printer.state == PrinterState::Idle
        {
            return Ok(client);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!("the agent's printer is not ready in time")
}

/// A profile whose window is so many lines, however long they are.
fn widen(folder: &Path, lines: usize) -> anyhow::Result<()> {
    let mut profile: toml::Table = MARLIN.parse()?;
    let flow = profile.get_mut("flow").and_then(toml::Value::as_table_mut).context("a profile has a flow")?;
    flow.insert("rx_bytes".to_owned(), toml::Value::Integer(super::stream::WIDE_BYTES as i64 + 1));
    flow.insert("max_lines".to_owned(), toml::Value::Integer(lines as i64));
    std::fs::create_dir(folder)?;
    std::fs::write(folder.join("marlin.toml"), toml::to_string(&profile)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widened_profile_is_one_that_the_agent_takes() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("profiles");
        widen(&folder, 8).unwrap();
        let (registry, broken) = spoolway_firmware_profiles::Registry::load(Some(&folder));
        assert!(broken.is_empty(), "{broken:?}");
        let flow = &registry.get("marlin").unwrap().profile.flow;
        assert_eq!((flow.rx_bytes, flow.max_lines), (super::super::stream::WIDE_BYTES as u32 + 1, 8));
    }
}
