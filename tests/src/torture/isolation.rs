//! The printer thread keeps its pace whatever happens around it: the same part is printed undisturbed and disturbed in
//! turn, and the gaps between lines are compared.
//!
//! The board's planner is never full, so that the wire is the limit and every hesitation of the host shows as a gap. Times
//! are the board's own.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::ValueEnum;
use serde::Serialize;
use spoolway_agent::local::Client;
use spoolway_agent::local::words::Request;
use spoolway_protocol::{AgentId, JobId, JobState};
use tokio::task::AbortHandle;

use super::disturbances::{SlowCard, SlowReader};
use crate::agent_program::{AgentProcess, AgentSetup};
use crate::backend::{Backend, Print};
use crate::bench::Site;
use crate::bench::board::{Board, Model, USUAL_LATENCY_US};
use crate::bench::cell::median;
use crate::bench::part::Part;
use crate::demo::{house, papers};
use crate::dial::Relay;
use crate::process::ChildProcess;
use crate::way::{Passage, Way};

/// A usual wire.
const BAUD: u32 = 115_200;
/// How much longer gaps may be than undisturbed ones.
const RATIO_MAX: f64 = 1.5;
/// Size of the job that arrives meanwhile: more than can arrive before the print is over would be cut off, less would
/// leave a part of the print undisturbed.
const ARRIVING_BYTES: usize = 400_000_000;
/// How long the agent may take to log in, and a print beyond what it should.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Length of each print, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..=600))]
    pub seconds: u16,
    /// How often each pair is printed, in turn; the medians count.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    pub rounds: u16,
    /// Disturb only by this; may be given more than once.
    #[arg(long, value_enum)]
    pub only: Vec<Disturbance>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What happens around the printer thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disturbance {
    /// The connection to the relay stays open, and everything sent into it is swallowed.
    Network,
    /// Every fsync of the agent takes two seconds.
    Sync,
    /// Every line of the wire is logged into a pipe that is read slowly.
    Log,
    /// Another job arrives through the relay, is packed and stored.
    Arrival,
}

impl Disturbance {
    fn words(self) -> &'static str {
        match self {
            Self::Network => "the network swallows everything",
            Self::Sync => "every sync takes two seconds",
            Self::Log => "the log floods and nobody reads it",
            Self::Arrival => "another job arrives and is packed",
        }
    }

    /// What shows that the disturbance was there.
    fn evidence(self) -> &'static str {
        match self {
            Self::Network => "bytes swallowed",
            Self::Sync => "slow syncs",
            Self::Log => "bytes of log waiting",
            Self::Arrival => "bytes stored meanwhile",
        }
    }
}

/// All of them.
#[derive(Debug, Serialize)]
pub struct Report {
    /// One for each disturbance.
    pub pairs: Vec<Pair>,
    /// Whether the board ran with real-time priority.
    pub board_is_realtime: bool,
    /// Whether every pair is as it must be.
    pub ok: bool,
}

/// A disturbed print beside an undisturbed one; medians.
#[derive(Debug, Serialize)]
pub struct Pair {
    /// What disturbed.
    pub disturbance: Disturbance,
    /// p99.9 of the time between two lines without it, in microseconds.
    pub undisturbed_us: f64,
    /// With it.
    pub disturbed_us: f64,
    /// The latter beside the former.
    pub ratio: f64,
    /// Link use without and with it.
    pub link_use: [f64; 2],
    /// What shows that it was there; the least of all rounds.
    pub evidence: u64,
    /// Whether it was there and did not show.
    pub ok: bool,
}

/// One print.
#[derive(Debug)]
struct Figures {
    gap_p999_us: f64,
    link_use: f64,
    evidence: u64,
}

/// Prints in pairs and compares; fails when a print noticed what happened around it.
///
/// # Errors
/// Something did not run, or a line was lost.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let site = Site::survey()?;
    let part = Part::read(None)?;
    let cut = part.cut(BAUD as usize / 10 * usize::from(arguments.seconds), usize::MAX, usize::MAX);
    let arriving = part.repeated(ARRIVING_BYTES);
    let course = Course { site: &site, part: &cut, arriving: &arriving, seconds: arguments.seconds };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut pairs = Vec::new();
    for &disturbance in Disturbance::value_variants() {
        if arguments.only.is_empty() || arguments.only.contains(&disturbance) {
            pairs.push(runtime.block_on(course.pair(disturbance, arguments.rounds))?);
        }
    }
    let ok = pairs.iter().all(|pair| pair.ok);
    let report = Report { pairs, board_is_realtime: site.realtime, ok };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Course<'a> {
    site: &'a Site,
    part: &'a Part,
    arriving: &'a Arc<[u8]>,
    seconds: u16,
}

impl Course<'_> {
    async fn pair(&self, disturbance: Disturbance, rounds: u16) -> anyhow::Result<Pair> {
        let (mut undisturbed, mut disturbed) = (Vec::new(), Vec::new());
        for round in 1..=rounds {
            eprintln!("{}: round {round} of {rounds}", disturbance.words());
            undisturbed.push(self.print(None).await.context("undisturbed")?);
            disturbed.push(self.print(Some(disturbance)).await.with_context(|| disturbance.words())?);
        }
        let of = |figures: &[Figures], figure: fn(&Figures) -> f64| {
            median(figures.iter().map(figure).collect()).context("there were rounds")
        };
        let undisturbed_us = of(&undisturbed, |figures| figures.gap_p999_us)?;
        let disturbed_us = of(&disturbed, |figures| figures.gap_p999_us)?;
        let link_use = |figures: &Figures| figures.link_use;
        let ratio = disturbed_us / undisturbed_us.max(1.0);
        let evidence = disturbed.iter().map(|figures| figures.evidence).min().unwrap_or(0);
        Ok(Pair {
            disturbance,
            undisturbed_us,
            disturbed_us,
            ratio,
            link_use: [of(&undisturbed, link_use)?, of(&disturbed, link_use)?],
            evidence,
            ok: ratio <= RATIO_MAX && evidence > 0,
        })
    }

    /// One print of an agent that is logged in at a relay, disturbed from its first lines to its last.
    async fn print(&self, disturbance: Option<Disturbance>) -> anyhow::Result<Figures> {
        let dir = tempfile::Builder::new().prefix("spoolway-torture-").tempdir()?;
        let file = dir.path().join("job.gcode");
        std::fs::write(&file, &self.part.bytes)?;
        let model = Model { wire: Some(BAUD), latency_us: USUAL_LATENCY_US, ..Model::default() };
        let board = Board::start(self.site, dir.path(), Some(&file), &model)?;
        let mut surroundings = Surroundings::build(self.site, dir.path(), board.device(), disturbance)?;
        let evidence = surroundings.print(&file, self, disturbance).await;
        let evidence = evidence.with_context(|| surroundings.agent.log_tail())?;
        surroundings.close()?;
        let report = board.finish()?;
        let link_use = report.link_use.context("there is a wire")?;
        Ok(Figures { gap_p999_us: report.gap_p999_us as f64, link_use, evidence })
    }
}

/// Everything around the printer thread, the same for every print until it is disturbed.
struct Surroundings {
    dir: PathBuf,
    way: Way,
    card: SlowCard,
    log: Option<SlowReader>,
    agent: AgentProcess,
    agent_id: AgentId,
    backend: Relay,
    relay: ChildProcess,
}

impl Surroundings {
    fn build(site: &Site, dir: &Path, port: &Path, disturbance: Option<Disturbance>) -> anyhow::Result<Self> {
        let token = papers::new_token()?;
        let agent_id = papers::register(dir, &token)?;
        let relay = house::start_relay(&site.program, dir, (house::HERE, 0).into())?;
        let relay_port = house::port_of(&house::heard(&relay)?)?;
        let way = Way::open()?;
        way.lead_to(relay_port);
        let (authority, url) = (papers::authority(dir), format!("wss://{}:{}", papers::HOST, way.port()));
        let backend =
            Relay { host: papers::HOST.to_owned(), port: relay_port, token, ca_file: authority.clone() };
        let card = SlowCard::make(dir)?;
        let (folder, environment) = (dir.join("agent"), card.environment());
        let mut setup = AgentSetup::new(&folder, port, BAUD);
        setup.relay = Some((&url, &authority));
        setup.environment = &environment;
        let log_file = dir.join("agent.log");
        let (log, agent) = if disturbance == Some(Disturbance::Log) {
            setup.log_level = "trace";
            let (reader, writer) = SlowReader::start()?;
            (Some(reader), site.agent.start_with(&setup, (writer, log_file))?)
        } else {
            (None, site.agent.start(&setup, &log_file)?)
        };
        Ok(Self { dir: dir.to_owned(), way, card, log, agent, agent_id, backend, relay })
    }

    /// Prints a file; gives the evidence of the disturbance.
    async fn print(
        &mut self,
        file: &Path,
        course: &Course<'_>,
        disturbance: Option<Disturbance>,
    ) -> anyhow::Result<u64> {
        let mut client = self.agent.ready().await?;
        let until = Instant::now() + PATIENCE;
        while !client.status()?.link.up {
            ensure!(Instant::now() < until, "the agent does not log in");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let job = client.job(&Request::Print { path: file.to_owned(), name: None })?.job_id;
        while job_of(&mut client, &job)?.1 == 0 {
            ensure!(Instant::now() < until, "the print does not begin");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let arrival = self.disturb(course, disturbance)?;
        let stored = folder_bytes(&self.dir.join("agent").join("spool"));
        tokio::time::sleep(Duration::from_secs(u64::from(course.seconds))).await;
        let evidence = match disturbance {
            None => 0,
            Some(Disturbance::Network) => self.way.swallowed(),
            Some(Disturbance::Sync) => self.card.slow_syncs(),
            Some(Disturbance::Log) => self.log.as_ref().map_or(Ok(0), SlowReader::waiting)?,
            Some(Disturbance::Arrival) => {
                folder_bytes(&self.dir.join("agent").join("spool")).saturating_sub(stored)
            }
        };
        if let Some(arrival) = arrival {
            arrival.abort();
        }
        if disturbance == Some(Disturbance::Sync) {
            self.card.set_slow(false)?;
        }
        let until = Instant::now() + PATIENCE;
        while job_of(&mut client, &job)?.0 != JobState::Completed {
            ensure!(Instant::now() < until, "the print does not end");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(evidence)
    }

    /// From now on.
    fn disturb(
        &self,
        course: &Course<'_>,
        disturbance: Option<Disturbance>,
    ) -> anyhow::Result<Option<AbortHandle>> {
        match disturbance {
            // The log has flooded from the beginning.
            None | Some(Disturbance::Log) => {}
            Some(Disturbance::Network) => self.way.set(Passage::Swallowing),
            Some(Disturbance::Sync) => self.card.set_slow(true)?,
            Some(Disturbance::Arrival) => {
                let print = Print {
                    agent: self.agent_id,
                    name: "the next job".to_owned(),
                    bytes: Arc::clone(course.arriving),
                };
                let backend = Backend::new(self.backend.clone(), print, |_| {})?;
                let arrival = tokio::spawn(async move { drop(backend.run().await) });
                return Ok(Some(arrival.abort_handle()));
            }
        }
        Ok(None)
    }

    fn close(mut self) -> anyhow::Result<()> {
        if let Some(log) = &self.log {
            log.hurry();
        }
        self.agent.finish()?;
        self.relay.ask_to_end();
        // Its end is not what is measured; the drop sees to it.
        Ok(())
    }
}

fn job_of(client: &mut Client, id: &JobId) -> anyhow::Result<(JobState, u64)> {
    let job = client.jobs()?.into_iter().find(|found| found.job_id == *id).context("the job is gone")?;
    ensure!(job.state == JobState::Completed || !job.state.is_terminal(), "the print stands at {job:?}");
    Ok((job.state, job.commands_acked))
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let board = if self.board_is_realtime { "with" } else { "without" };
        writeln!(f, "p99.9 line gap at {BAUD} baud, us; the board ran {board} real-time priority")?;
        writeln!(f, "{:<38}{:>12}{:>10}{:>8}{:>20}", "", "undisturbed", "disturbed", "ratio", "link use")?;
        for pair in &self.pairs {
            let [before, after] = pair.link_use;
            let verdict = if pair.ok { "met" } else { "NOT MET" };
            writeln!(
                f,
                "{:<38}{:>12.0}{:>10.0}{:>8.2}{before:>11.4} {after:>8.4}  {} {}, {verdict}",
                pair.disturbance.words(),
                pair.undisturbed_us,
                pair.disturbed_us,
                pair.ratio,
                pair.evidence,
                pair.disturbance.evidence()
            )?;
        }
        write!(f, "bar: a ratio of at most {RATIO_MAX}, with evidence that the disturbance was there")
    }
}
