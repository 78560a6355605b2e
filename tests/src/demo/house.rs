//! A whole house in a temporary folder: relay, agent and printer as processes of their own, certificates, registry and keys.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use spoolway_protocol::AgentId;

use super::papers::{HOST, authority, new_token, register};
use super::roles::PrinterReport;
use super::safety::Safety;
use crate::agent_program::{AgentProgram, AgentSetup};
use crate::dial::Relay;
use crate::process::ChildProcess;
use crate::way::Passage;

/// How long a child may take to begin.
const BEGIN: Duration = Duration::from_secs(60);
/// How long a child may take to end in order.
const END: Duration = Duration::from_secs(40);
/// Where the relay listens.
pub(crate) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Which printer.
#[derive(Debug, Clone)]
pub enum PrinterPlan {
    /// The simulated one.
    Simulated {
        /// Whose dialect it speaks.
        profile: String,
        /// How much faster than life mechanics and heaters are.
        speed: f64,
        /// Bits per second of its line.
        baud: u32,
        /// Probability of each kind of fault in replies.
        noise: f64,
        /// Seed of the faults.
        seed: u64,
    },
    /// One that hangs on a port.
    Real {
        /// The port.
        port: PathBuf,
        /// Bits per second.
        baud: u32,
    },
}

/// A part that is a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The relay.
    Relay,
    /// The agent.
    Agent,
}

/// The running house. When it is dropped, the children end first and the folder goes last.
#[derive(Debug)]
pub struct House {
    agent: ChildProcess,
    printer: Option<ChildProcess>,
    relay: ChildProcess,
    program: PathBuf,
    agent_program: Option<AgentProgram>,
    agent_id: AgentId,
    listens: SocketAddr,
    token: String,
    device: PathBuf,
    baud: u32,
    safety: Option<Safety>,
    backend_key: Option<String>,
    dir: tempfile::TempDir,
}

impl House {
    /// Builds it and starts every part; `program` plays the [`Role`](super::roles::Role)s, and a simulated printer should
    /// be told to print `file`.
    ///
    /// # Errors
    /// A part does not begin; the text says which and what it said.
    pub fn start(program: &Path, file: &[u8], plan: &PrinterPlan) -> anyhow::Result<Self> {
        Self::build(HERE, program, None, file, plan, false, None)
    }

    /// The same with an agent that takes starts only with a permit of this key (Ed25519, base64).
    ///
    /// # Errors
    /// As [`House::start`].
    pub fn start_signed(
        program: &Path,
        file: &[u8],
        plan: &PrinterPlan,
        backend_key: String,
    ) -> anyhow::Result<Self> {
        Self::build(HERE, program, None, file, plan, false, Some(backend_key))
    }

    /// The same with an agent that is started as a service would start it: by its own command line, with a
    /// configuration file and its usual bounds.
    ///
    /// # Errors
    /// As [`House::start`].
    pub fn start_with(
        program: &Path,
        agent_program: Option<&AgentProgram>,
        file: &[u8],
        plan: &PrinterPlan,
    ) -> anyhow::Result<Self> {
        Self::build(HERE, program, agent_program, file, plan, false, None)
    }

    /// A house whose agent may be killed while it prints, since somebody keeps the printer's port open, and dials the relay
    /// by a way that can be broken.
    ///
    /// # Errors
    /// As [`House::start`].
    pub fn start_to_be_broken(program: &Path, file: &[u8], plan: &PrinterPlan) -> anyhow::Result<Self> {
        Self::build(HERE, program, None, file, plan, true, None)
    }

    /// The same with a relay that listens at another address of this machine; everybody goes on to dial `localhost`.
    ///
    /// # Errors
    /// As [`House::start`].
    pub fn start_at(
        listens: IpAddr,
        program: &Path,
        file: &[u8],
        plan: &PrinterPlan,
    ) -> anyhow::Result<Self> {
        Self::build(listens, program, None, file, plan, false, None)
    }

    fn build(
        listens: IpAddr,
        program: &Path,
        agent_program: Option<&AgentProgram>,
        file: &[u8],
        plan: &PrinterPlan,
        is_to_be_broken: bool,
        backend_key: Option<String>,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("spoolway-").tempdir()?;
        let token = new_token()?;
        let agent_id = register(dir.path(), &token)?;
        std::fs::write(job(dir.path()), file)?;
        let relay = start_relay(program, dir.path(), SocketAddr::new(listens, 0))?;
        let listens: SocketAddr = heard(&relay)?.parse()?;
        let port = listens.port();
        let printer = start_printer(program, dir.path(), plan)?;
        let (device, baud) = match (&printer, plan) {
            (Some(printer), PrinterPlan::Simulated { baud, .. }) => (PathBuf::from(heard(printer)?), *baud),
            (_, PrinterPlan::Simulated { baud, .. }) => (PathBuf::new(), *baud),
            (_, PrinterPlan::Real { port, baud }) => (port.clone(), *baud),
        };
        let mut safety = if is_to_be_broken { Some(Safety::build(dir.path(), port)?) } else { None };
        let (key, safety_of) = (backend_key.as_deref(), safety.as_mut());
        let agent = start_agent(program, agent_program, safety_of, dir.path(), port, (&device, baud), key)?;
        Ok(Self {
            agent,
            printer,
            relay,
            program: program.to_owned(),
            agent_program: agent_program.cloned(),
            agent_id,
            listens,
            token,
            device,
            baud,
            backend_key,
            safety,
            dir,
        })
    }

    /// Makes the agent's way to the relay so; without a way of its own nothing happens.
    pub fn set_way(&self, passage: Passage) {
        if let Some(safety) = &self.safety {
            safety.set_way(passage);
        }
    }

    /// SIGKILL, and a new process in the same place.
    ///
    /// # Errors
    /// It cannot be killed, or the new one does not begin.
    pub fn kill_and_restart(&mut self, part: Part) -> anyhow::Result<()> {
        let dir = self.dir.path();
        match part {
            Part::Relay => {
                self.relay.kill()?;
                self.relay = start_relay(&self.program, dir, self.listens)?;
                heard(&self.relay)?;
            }
            Part::Agent => {
                self.agent.kill()?;
                let (program, device) = (self.agent_program.as_ref(), (self.device.as_path(), self.baud));
                let (key, safety) = (self.backend_key.as_deref(), self.safety.as_mut());
                self.agent =
                    start_agent(&self.program, program, safety, dir, self.listens.port(), device, key)?;
            }
        }
        Ok(())
    }

    /// What a backend needs to dial the relay.
    #[must_use]
    pub fn relay(&self) -> Relay {
        Relay {
            host: HOST.to_owned(),
            port: self.listens.port(),
            token: self.token.clone(),
            ca_file: authority(self.dir.path()),
        }
    }

    /// The agent.
    #[must_use]
    pub fn agent_id(&self) -> AgentId {
        self.agent_id
    }

    /// The printer's device.
    #[must_use]
    pub fn device(&self) -> &Path {
        &self.device
    }

    /// The agent's local socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("agent").join("agent.sock")
    }

    /// Process ids: relay, agent and, when it is simulated, printer.
    #[must_use]
    pub fn pids(&self) -> (u32, u32, Option<u32>) {
        (self.relay.id(), self.agent.id(), self.printer.as_ref().map(ChildProcess::id))
    }

    /// Fails when a part is over that should go on.
    ///
    /// # Errors
    /// Which one, how it ended and what it said last.
    pub fn check(&mut self) -> anyhow::Result<()> {
        if let Some(safety) = &mut self.safety {
            safety.attend()?;
        }
        for child in [&mut self.relay, &mut self.agent].into_iter().chain(self.printer.as_mut()) {
            if let Some(status) = child.ended()? {
                bail!("the {} ended ({status}):\n{}", child.name(), child.log_tail());
            }
        }
        Ok(())
    }

    /// The last lines of every log, for a person who has to find out what went wrong.
    #[must_use]
    pub fn logs(&self) -> String {
        let children = [&self.relay, &self.agent].into_iter().chain(self.printer.as_ref());
        children.map(|child| format!("--- {} ---\n{}\n", child.name(), child.log_tail())).collect()
    }

    /// Ends agent, printer and relay in this order; the simulated printer's report.
    ///
    /// # Errors
    /// A part does not end, or the printer gives no report.
    pub fn close(mut self) -> anyhow::Result<Option<PrinterReport>> {
        // Its own program ends on a signal; a second one would say that nothing is to be waited for.
        if self.agent_program.is_some() {
            self.agent.terminate()?;
            ended(&mut self.agent)?;
        } else {
            end(&mut self.agent)?;
        }
        let report = match &mut self.printer {
            Some(printer) => {
                printer.ask_to_end();
                let line = printer.line(END).with_context(|| printer.log_tail())?;
                Some(serde_json::from_str(&line).context("the printer's report")?)
            }
            None => None,
        };
        end(&mut self.relay)?;
        Ok(report)
    }
}

/// The port of `HOST:PORT`.
pub(crate) fn port_of(listens: &str) -> anyhow::Result<u16> {
    let port = listens.rsplit(':').next().and_then(|port| port.parse().ok());
    port.with_context(|| format!("the relay listens at {listens:?}"))
}

fn job(dir: &Path) -> PathBuf {
    dir.join("job.gcode")
}

/// Port 0 takes a free one; the first line says which.
pub(crate) fn start_relay(program: &Path, dir: &Path, listens: SocketAddr) -> io::Result<ChildProcess> {
    let words = [
        "demo-relay".to_owned(),
        format!("--folder={}", dir.join("relay").display()),
        format!("--listen={listens}"),
    ];
    ChildProcess::spawn("relay", program, &words, &dir.join("relay.log"))
}

fn start_agent(
    program: &Path,
    agent_program: Option<&AgentProgram>,
    safety: Option<&mut Safety>,
    dir: &Path,
    port: u16,
    (device, baud): (&Path, u32),
    backend_key: Option<&str>,
) -> anyhow::Result<ChildProcess> {
    if let Some(agent_program) = agent_program {
        let (folder, relay, authority) = (dir.join("agent"), format!("wss://{HOST}:{port}"), authority(dir));
        let mut setup = AgentSetup::new(&folder, device, baud);
        setup.relay = Some((&relay, &authority));
        return Ok(agent_program.start(&setup, &dir.join("agent.log"))?.into_child());
    }
    let words = [
        "agent".to_owned(),
        format!("--folder={}", dir.join("agent").display()),
        format!("--relay=wss://{HOST}:{}", safety.as_ref().map_or(port, |safety| safety.port())),
        format!("--ca={}", authority(dir).display()),
        format!("--port={}", device.display()),
        format!("--baud={baud}"),
    ];
    let words: Vec<_> =
        words.into_iter().chain(backend_key.map(|key| format!("--backend-key={key}"))).collect();
    let log = dir.join("agent.log");
    match safety {
        Some(safety) => Ok(safety.start(program, &words, log)?),
        None => Ok(ChildProcess::spawn("agent", program, &words, &log)?),
    }
}

fn start_printer(program: &Path, dir: &Path, plan: &PrinterPlan) -> io::Result<Option<ChildProcess>> {
    let PrinterPlan::Simulated { profile, speed, baud, noise, seed } = plan else { return Ok(None) };
    let words = [
        "printer".to_owned(),
        format!("--file={}", job(dir).display()),
        format!("--profile={profile}"),
        format!("--speed={speed}"),
        format!("--baud={baud}"),
        format!("--noise={noise}"),
        format!("--seed={seed}"),
    ];
    ChildProcess::spawn("printer", program, &words, &dir.join("printer.log")).map(Some)
}

/// A child's first line.
pub(crate) fn heard(child: &ChildProcess) -> anyhow::Result<String> {
    child.line(BEGIN).with_context(|| child.log_tail())
}

fn end(child: &mut ChildProcess) -> anyhow::Result<()> {
    child.ask_to_end();
    ended(child)
}

fn ended(child: &mut ChildProcess) -> anyhow::Result<()> {
    let status = child.wait(END).with_context(|| child.log_tail())?;
    if !status.success() {
        bail!("the {} ended with {status}:\n{}", child.name(), child.log_tail());
    }
    Ok(())
}
