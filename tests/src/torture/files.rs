//! A file comes to an agent while its links are cut again and again and its processes die: does it arrive whole, exactly once?
//!
//! Agent and relay are processes of their own, the backend and a server of files are within; each of the agent's two ways can be cut.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;
use spoolway_protocol::{AgentId, EventData};
use tokio::sync::mpsc;

use crate::agent_program::{AgentProcess, AgentProgram, AgentSetup};
use crate::backend::{Backend, Print, Progress};
use crate::demo::house::{HERE, heard, port_of, start_relay};
use crate::demo::papers::{HOST, authority, new_token, register};
use crate::dial::Relay;
use crate::file_server::FileServer;
use crate::process::ChildProcess;
use crate::way::{Passage, Way};

/// How long a way stays cut.
const CUT: Duration = Duration::from_millis(150);
/// What may wait for a transaction of the spool.
const NOT_DURABLE: u64 = 5 << 20;
/// A file that has not arrived by then never will.
const NEVER: Duration = Duration::from_secs(3_600);

/// Where the file can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// From a server alone.
    Https,
    /// Through the relay alone.
    Relay,
    /// From a server, and through the relay when that fails.
    Both,
}

/// What is done to it.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Size of the file, in MiB.
    #[arg(long, default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..=1_900))]
    pub mib: u32,
    /// Where it can be had.
    #[arg(long, value_enum, default_value = "both")]
    pub by: By,
    /// Both ways are cut this often, in milliseconds.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(100..))]
    pub cut_every_ms: u64,
    /// What each way carries in a second, in MiB; 0: as much as it can.
    #[arg(long, default_value_t = 20)]
    pub mib_per_s: u32,
    /// At every so many cuts the agent is killed; 0: never.
    #[arg(long, default_value_t = 7)]
    pub agent_dies_every: u32,
    /// At every so many cuts the relay is killed; 0: never.
    #[arg(long, default_value_t = 5)]
    pub relay_dies_every: u32,
}

/// How it went.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Size of the file, in bytes.
    pub bytes: u64,
    /// How often both ways were cut.
    pub cuts: u32,
    /// How often the agent was killed.
    pub agent_deaths: u32,
    /// How often the relay was killed.
    pub relay_deaths: u32,
    /// The first byte that each request to the server wanted.
    pub requests: Vec<u64>,
    /// How often the agent said that the file is whole.
    pub verified: u32,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// Does it, and prints the report.
///
/// # Errors
/// Something could not be started, or the file did not arrive as it should.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(fetch(&std::env::current_exe()?, arguments))?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(ExitCode::SUCCESS)
}

/// Agent, relay, and the ways between.
struct House {
    program: PathBuf,
    dir: tempfile::TempDir,
    listens: std::net::SocketAddr,
    relay: ChildProcess,
    agent: Option<AgentProcess>,
    to_relay: Way,
    to_server: Way,
}

impl House {
    fn build(program: &Path) -> anyhow::Result<(Self, AgentId, String)> {
        let dir = tempfile::Builder::new().prefix("spoolway-").tempdir()?;
        let token = new_token()?;
        let agent_id = register(dir.path(), &token)?;
        let relay = start_relay(program, dir.path(), std::net::SocketAddr::new(HERE, 0))?;
        let listens: std::net::SocketAddr = heard(&relay)?.parse()?;
        let (to_relay, to_server) = (Way::open()?, Way::open()?);
        to_relay.lead_to(port_of(&listens.to_string())?);
        std::fs::copy(authority(dir.path()), dir.path().join("ca.pem"))?;
        let program = program.to_owned();
        let house = Self { program, dir, listens, relay, agent: None, to_relay, to_server };
        Ok((house, agent_id, token))
    }

    fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    fn start_agent(&mut self) -> anyhow::Result<()> {
        let (folder, ca) = (self.dir.path().join("agent"), self.ca_file());
        let url = format!("wss://{HOST}:{}", self.to_relay.port());
        let mut setup = AgentSetup::new(&folder, Path::new("/dev/nowhere"), 115_200);
        setup.relay = Some((&url, &ca));
        // The largest file of this torture, and no reserve that the machine's disk would have to have.
        let environment = [
            ("SPOOLWAY_AGENT_SPOOL_MAX_JOB_BYTES", "2000000000".into()),
            ("SPOOLWAY_AGENT_SPOOL_RESERVE_BYTES", "0".into()),
        ];
        setup.environment = &environment;
        let program = AgentProgram::within(&self.program, "agent-program");
        self.agent = Some(program.start(&setup, &self.dir.path().join("agent.log"))?);
        Ok(())
    }

    fn kill_agent(&mut self) -> anyhow::Result<()> {
        self.agent.take().context("there is an agent")?.kill()?;
        self.start_agent()
    }

    fn kill_relay(&mut self) -> anyhow::Result<()> {
        self.relay.kill()?;
        self.relay = start_relay(&self.program, self.dir.path(), self.listens)?;
        heard(&self.relay).map(drop)
    }

    fn set(&self, passage: Passage) {
        self.to_relay.set(passage);
        self.to_server.set(passage);
    }

    fn log(&self) -> String {
        self.agent.as_ref().map(AgentProcess::log_tail).unwrap_or_default()
    }
}

/// Has an agent fetch a file; `program` plays every part.
///
/// # Errors
/// Something could not be started, or the file did not arrive as it should.
pub async fn fetch(program: &Path, arguments: &Arguments) -> anyhow::Result<Report> {
    let file = lines(arguments.mib as usize * 1024 * 1024);
    let (mut house, agent, token) = House::build(program)?;
    let server = FileServer::start(Arc::clone(&file), &house.ca_file()).await?;
    house.to_server.lead_to(server.port());
    for way in [&house.to_relay, &house.to_server] {
        way.limit(u64::from(arguments.mib_per_s) << 20);
    }
    house.start_agent()?;
    let https =
        json!({"kind": "https", "url": format!("https://{HOST}:{}/file?sig=1", house.to_server.port())});
    let relay = json!({"kind": "relay"});
    let sources = match arguments.by {
        By::Https => json!([https]),
        By::Relay => json!([relay]),
        By::Both => json!([https, relay]),
    };
    let to = Relay {
        host: HOST.to_owned(),
        port: house.listens.port(),
        token,
        ca_file: authority(house.dir.path()),
    };
    let print = Print { agent, name: "torture.gcode".to_owned(), bytes: Arc::clone(&file) };
    let (tell, mut told) = mpsc::unbounded_channel();
    let backend = Backend::new(to, print, move |progress| {
        if let Progress::Event(event) = progress {
            // Whoever listened has ended.
            let _ = tell.send(event);
        }
    })?;
    let backend = tokio::spawn(backend.with_sources(sources).run());
    let began = Instant::now();
    let mut report = Report {
        bytes: file.len() as u64,
        cuts: 0,
        agent_deaths: 0,
        relay_deaths: 0,
        requests: Vec::new(),
        verified: 0,
        took_ms: 0,
    };
    let mut cut = tokio::time::interval(Duration::from_millis(arguments.cut_every_ms));
    // Whoever was held up does not make up for it.
    cut.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    cut.tick().await;
    loop {
        tokio::select! {
            event = told.recv() => match event.context("the backend ended")?.decode()? {
                EventData::FileVerified(_) => report.verified += 1,
                EventData::JobState(now) if now.to.is_terminal() => bail!("{now:?}\n{}", house.log()),
                EventData::JobState(now) if now.to == spoolway_protocol::JobState::Queued => break,
                _ => {}
            },
            _ = cut.tick() => disturb(&mut house, arguments, &mut report).await?,
        }
        ensure!(began.elapsed() < NEVER, "it never arrived:\n{}", house.log());
    }
    backend.abort();
    report.requests = server.asked();
    report.took_ms = u64::try_from(began.elapsed().as_millis())?;
    let agent = house.agent.take().context("there is an agent")?;
    agent.finish()?;
    check(&house, &file, &report)?;
    Ok(report)
}

/// Cuts both ways for a moment, and kills whoever's turn it is meanwhile.
async fn disturb(house: &mut House, arguments: &Arguments, report: &mut Report) -> anyhow::Result<()> {
    house.set(Passage::Cut);
    report.cuts += 1;
    let is_turn = |every: u32| every > 0 && report.cuts.is_multiple_of(every);
    if is_turn(arguments.agent_dies_every) {
        house.kill_agent()?;
        report.agent_deaths += 1;
    }
    if is_turn(arguments.relay_dies_every) {
        house.kill_relay()?;
        report.relay_deaths += 1;
    }
    tokio::time::sleep(CUT).await;
    house.set(Passage::Open);
    Ok(())
}

/// The spool holds the file and nothing else, it was told once, and nothing that was here was asked for again.
fn check(house: &House, file: &[u8], report: &Report) -> anyhow::Result<()> {
    let spool = spoolway_agent::spool::Spool::open(
        &house.dir.path().join("agent/spool"),
        spoolway_agent::spool::SpoolOptions::default(),
    )?;
    let (bodies, parts) = (spool.bodies()?, spool.parts()?);
    ensure!(bodies.len() == 1 && parts.is_empty(), "{bodies:?} {parts:?}");
    let mut stored = spool.read(&bodies[0].name)?;
    let mut buffer = vec![0; 1024 * 1024];
    for part in file.chunks(buffer.len()) {
        std::io::Read::read_exact(&mut stored, &mut buffer[..part.len()])?;
        ensure!(buffer[..part.len()] == *part, "the stored file differs");
    }
    ensure!(stored.position() == file.len() as u64, "the stored file is longer");
    ensure!(report.verified == 1, "told {} times", report.verified);
    // A death may cost what was not durable yet, a cut nothing.
    let excused = if report.agent_deaths > 0 { NOT_DURABLE } else { 0 };
    let goes_on = report.requests.is_sorted_by(|before, next| *before <= next + excused);
    ensure!(goes_on, "bytes that were here were asked for again: {report:?}");
    Ok(())
}

/// Lines of G-code, no two alike.
fn lines(bytes: usize) -> Arc<[u8]> {
    let mut text = Vec::with_capacity(bytes + 64);
    let mut n = 0_u64;
    while text.len() < bytes {
        let (x, y) = (n * 7_919 % 200_000, n * 104_729 % 200_000);
        text.extend_from_slice(
            format!("G1 X{}.{:03} Y{}.{:03} E{n}\n", x / 1_000, x % 1_000, y / 1_000, y % 1_000).as_bytes(),
        );
        n += 1;
    }
    text.truncate(bytes);
    text.into()
}
