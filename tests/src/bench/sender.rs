//! Who prints: the raw sender, the whole agent in a dialect, or another host; each print is one turn.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use spoolway_agent::local::Client;
use spoolway_agent::local::words::Request;
use spoolway_protocol::JobState;

use super::Site;
use super::board::{Board, BoardReport, Model};
use super::peers::Peer;
use super::raw::{self, Frames, Window};
use super::usage::{ProcessClock, peak_memory_bytes};
use crate::agent_program::AgentSetup;

/// How long a print may take beyond what it should.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time between two looks. Each costs the agent something, so they are few.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A rate that the port takes where there is no wire.
pub(super) const NO_WIRE_BAUD: u32 = 1_000_000;
/// Marlin's profile as shipped; a dialect changes its window.
const MARLIN: &str = include_str!("../../../firmware-profiles/profiles/marlin.toml");

/// One column of a cell.
#[derive(Debug, Clone)]
pub(super) enum Sender {
    /// Writes and counts, and nothing else.
    Raw(Window),
    /// The whole agent.
    Agent(Dialect),
    /// Another host.
    Peer(Peer),
}

/// The window that the agent's profile asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// The receive ring alone.
    Plain,
    /// The receive ring, and a command queue of four lines that is known to be there.
    KnownQueue,
    /// The receive ring, and the free slots that `ok N P B` tells of.
    AdvancedOk,
    /// So many lines, however long they are.
    Lines(usize),
}

/// A job that every sender prints.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) frames: &'a Arc<Frames>,
    pub(super) model: &'a Model,
    /// How long it should take at least.
    pub(super) should_take: Duration,
}

/// One print.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) board: BoardReport,
    /// Processor time from the first line to the last.
    pub(super) processor_time: Duration,
    /// The most memory that the sender's process ever had; the raw sender has none of its own.
    pub(super) peak_bytes: Option<u64>,
    /// Whether the agent said that it narrowed its window.
    pub(super) narrowed: bool,
}

/// What a sender says of a print.
struct Cost {
    processor_time: Duration,
    peak_bytes: Option<u64>,
    narrowed: bool,
}

impl Sender {
    /// Prints a job on a board of its own.
    ///
    /// # Errors
    /// Something did not run, or the board did anything else than the file says.
    pub(super) async fn print(&self, site: &Site, job: &Job<'_>) -> anyhow::Result<Turn> {
        let dir = tempfile::Builder::new().prefix("spoolway-bench-").tempdir()?;
        let file = dir.path().join("job.gcode");
        std::fs::write(&file, job.bytes)?;
        let board = Board::start(site, dir.path(), Some(&file), job.model)?;
        let baud = job.model.wire.unwrap_or(NO_WIRE_BAUD);
        let cost = match self {
            Self::Raw(window) => {
                let (device, frames, window) = (board.device().to_owned(), Arc::clone(job.frames), *window);
                let sent = tokio::task::spawn_blocking(move || raw::send(&device, &frames, window)).await;
                let processor_time = sent.context("the raw sender panicked")??;
                Cost { processor_time, peak_bytes: None, narrowed: false }
            }
            Self::Agent(dialect) => {
                let profiles = dir.path().join("profiles");
                dialect.write(&profiles)?;
                let folder = dir.path().join("agent");
                let mut setup = AgentSetup::new(&folder, board.device(), baud);
                setup.profiles = Some(&profiles);
                agent(site, dir.path(), &setup, &file, job.should_take).await?
            }
            Self::Peer(peer) => {
                let peers = site.peers.as_ref().context("the other hosts are not installed")?;
                let report = peers.print(*peer, dir.path(), (board.device(), baud), &file).await?;
                let processor_time = Duration::from_secs_f64(report.cpu_s);
                Cost { processor_time, peak_bytes: Some(report.peak_bytes), narrowed: false }
            }
        };
        let Cost { processor_time, peak_bytes, narrowed } = cost;
        let may_do_more = matches!(self, Self::Peer(_));
        Ok(Turn { board: board.finish_with(may_do_more)?, processor_time, peak_bytes, narrowed })
    }
}

/// Starts an agent, has it print a file, and ends it.
async fn agent(
    site: &Site,
    dir: &Path,
    setup: &AgentSetup<'_>,
    file: &Path,
    should_take: Duration,
) -> anyhow::Result<Cost> {
    let log = dir.join("agent.log");
    let mut agent = site.agent.start(setup, &log)?;
    let mut client = agent.ready().await?;
    let mut clock = ProcessClock::new(agent.id());
    let processor_time = print(&mut client, &mut clock, file, should_take).await;
    let processor_time = processor_time.with_context(|| agent.log_tail())?;
    let peak_bytes = Some(peak_memory_bytes(agent.id())?);
    agent.finish()?;
    let narrowed = says_narrowed(&std::fs::read_to_string(&log)?);
    Ok(Cost { processor_time, peak_bytes, narrowed })
}

/// Whether a log tells of a window that was narrowed at least once: the agent logs how often with each change.
fn says_narrowed(log: &str) -> bool {
    log.split("narrowed").skip(1).any(|rest| {
        let number = rest.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '\n');
        number.starts_with(|c: char| c.is_ascii_digit() && c != '0')
    })
}

/// The processor time of a print, from the moment it was asked for.
async fn print(
    client: &mut Client,
    clock: &mut ProcessClock,
    file: &Path,
    should_take: Duration,
) -> anyhow::Result<Duration> {
    let job = client.job(&Request::Print { path: file.to_owned(), name: None })?.job_id;
    let begin = clock.read()?;
    let (look_from, until) = (Instant::now() + should_take, Instant::now() + should_take + PATIENCE);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = clock.read()?;
        if Instant::now() < look_from {
            continue;
        }
        let found =
            client.jobs()?.into_iter().find(|found| found.job_id == job).context("the job is gone")?;
        if found.state == JobState::Completed {
            return Ok(now.saturating_sub(begin));
        }
        ensure!(!found.state.is_terminal() && Instant::now() < until, "the print stands at {found:?}");
    }
}

impl Dialect {
    /// Writes a folder of profiles in which Marlin's window is this one.
    fn write(self, folder: &Path) -> anyhow::Result<()> {
        let mut profile: toml::Table = MARLIN.parse()?;
        let flow =
            profile.get_mut("flow").and_then(toml::Value::as_table_mut).context("a profile has a flow")?;
        let window = match self {
            Self::Plain | Self::Lines(_) => "bytes",
            Self::KnownQueue => "bytes-and-queue",
            Self::AdvancedOk => "advanced-ok",
        };
        flow.insert("window".to_owned(), window.into());
        if let Self::Lines(lines) = self {
            flow.insert("rx_bytes".to_owned(), toml::Value::Integer(raw::WIDE_BYTES as i64 + 1));
            flow.insert("max_lines".to_owned(), toml::Value::Integer(lines as i64));
        }
        std::fs::create_dir(folder)?;
        std::fs::write(folder.join("marlin.toml"), toml::to_string(&profile)?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spoolway_firmware_profiles::{Registry, Window};

    #[test]
    fn a_narrowed_window_is_read_from_the_log() {
        assert!(says_narrowed(r#"{"text":"window","fields":{"bytes":"127","narrowed":"2"}}"#));
        assert!(says_narrowed("window changed InForce { lines: 32, narrowed: 1 }"));
        assert!(!says_narrowed("InForce { lines: 32, narrowed: 0 }\n1"));
        assert!(!says_narrowed("window changed"));
    }

    #[test]
    fn each_dialect_is_a_profile_that_the_agent_takes() {
        let dialects = [
            (Dialect::Plain, Window::Bytes, 128),
            (Dialect::KnownQueue, Window::BytesAndQueue, 128),
            (Dialect::AdvancedOk, Window::AdvancedOk, 128),
            (Dialect::Lines(8), Window::Bytes, raw::WIDE_BYTES as u32 + 1),
        ];
        for (dialect, window, rx_bytes) in dialects {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join("profiles");
            dialect.write(&folder).unwrap();
            let (registry, broken) = Registry::load(Some(&folder));
            assert!(broken.is_empty(), "{broken:?}");
            let flow = &registry.get("marlin").unwrap().profile.flow;
            assert_eq!((flow.window, flow.rx_bytes), (window, rx_bytes));
            assert!(dialect != Dialect::Lines(8) || flow.max_lines == 8);
            assert_eq!(flow.queue_lines, 4, "the board's");
        }
    }
}
