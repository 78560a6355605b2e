//! This computer as a first run finds it: its configuration, its agent, its ports, its owner.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use spoolway_firmware_profiles::Registry;
use spoolway_firmware_profiles::profile::Status as ProfileStatus;
use spoolway_protocol::Fault;

use super::super::detect;
use super::super::paint::plain;
use super::super::pair::{block_on, refuse_for_the_systems};
use super::super::{Exit, Failure, Whereabouts};
use super::unit::Systemd;
use crate::clock::Clock;
use crate::config::{BaudChoice, Change, Loaded, Origin, PortChoice, Wanted, rewrite};
use crate::local::Client;
use crate::pairing::{Kept, TOKEN_FILES};
use crate::paths::SYSTEM_SOCKET;
use crate::printer::discover::{self, FoundPort};
use crate::printer::{Holder as Process, ProbeError, holders, probe};
use crate::setup::{
    Agent, Answering, Answers, Attempt, Complaint, Heard, Holder, Port, PrinterAnswer, Service, Standing,
    Survey,
};
use crate::view::Status;

/// Above the first setting of a file that was not there.
const HEAD: &str = "# Written by `spoolway-agent setup`. What is left out has its default: `spoolway-agent config show` shows all.\n";

/// A port that was plugged in just now has its lasting name after so many looks, or none.
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// This computer.
pub(super) struct Here {
    /// The configuration file.
    pub(super) file: PathBuf,
    socket: PathBuf,
    service: Service,
    /// A port that was named.
    named: Option<PathBuf>,
    /// What the file was when it was looked at.
    text: Option<String>,
    registry: Arc<Registry>,
    /// Who starts and stops the agent, where it is a unit.
    pub(super) systemd: Systemd,
}

impl Here {
    /// Finds out whose agent is meant, and whether that may be set up from here.
    pub(super) fn find(whereabouts: &Whereabouts) -> Result<Self, Failure> {
        let paths = whereabouts.paths()?;
        let systemd = Systemd::of(whereabouts.unit());
        let is_default = whereabouts.file.is_none() && whereabouts.socket.is_none();
        let is_root = rustix::process::geteuid().is_root();
        let is_units = whereabouts.instance.is_some() || paths.socket() == Path::new(SYSTEM_SOCKET);
        let is_loaded = is_default && is_units && systemd.is_loaded();
        // Whoever says where the agent's files are means that agent, as systemd does.
        let is_told = std::env::var_os("CONFIGURATION_DIRECTORY").is_some();
        if is_default && !is_root && !is_told && systemd.is_loaded() {
            let text = "this machine's agent belongs to the system";
            return Err(Failure::new(
                Exit::Runtime,
                text,
                None,
                "Say it as root: `sudo spoolway-agent setup`.",
            ));
        }
        let socket = match whereabouts.load(&[]) {
            // A configuration that is broken is told by the survey, with its file and line.
            Err(_) => paths.socket(),
            Ok(loaded) => {
                let socket = whereabouts.find_socket()?;
                refuse_for_the_systems(&socket, &loaded)?;
                socket
            }
        };
        Ok(Self {
            file: whereabouts.file.clone().unwrap_or_else(|| paths.config_file()),
            socket,
            service: if is_root && is_loaded { Service::Unit } else { Service::Hand },
            named: None,
            text: None,
            registry: Arc::new(detect::registry(whereabouts)),
            systemd,
        })
    }

    /// The answers with the name of the port that stays the same, if it has one.
    pub(super) fn named(&mut self, answers: Answers) -> Answers {
        let Some(PrinterAnswer::At(path)) = &answers.printer else { return answers };
        let stable = detect::of_path(path).map_or_else(|_| path.clone(), |found| found.stable().to_owned());
        self.named = Some(stable.clone());
        Answers { printer: Some(PrinterAnswer::At(stable)), ..answers }
    }

    /// Looks around; nothing is touched.
    pub(super) fn survey(&mut self, whereabouts: &Whereabouts) -> Survey {
        let loaded = self.read().and_then(|text| {
            self.text = text;
            whereabouts.load(&[]).map_err(|failure| failure.text().to_owned())
        });
        let status = Client::connect(&self.socket).and_then(|mut agent| agent.status()).ok();
        let plugged_in = plugged_in();
        let agent = agent(status.as_ref(), self.service);
        let kept =
            loaded.as_ref().ok().and_then(|loaded| Kept::read(&loaded.config.state_dir).ok().flatten());
        let owner = kept.as_ref().map(|kept| format!("{} ({})", kept.owner, plain(&kept.organisation)));
        // A relay that lets it in knows it, though nobody has paired it here.
        let known =
            status.as_ref().filter(|status| status.link.up).and_then(|status| status.link.relay.clone());
        let relay = kept.map(|kept| kept.relay).or_else(|| known.as_ref()?.parse().ok());
        Survey {
            relay,
            ports: self.ports(plugged_in, loaded.as_ref().ok(), &agent),
            config: loaded.map(|loaded| standing(&loaded)),
            agent,
            owner: owner.or_else(|| known.map(|relay| format!("whoever has registered it at {relay}"))),
            token: TOKEN_FILES.iter().map(PathBuf::from).find(|path| path.exists()),
        }
    }

    fn read(&self) -> Result<Option<String>, String> {
        match std::fs::read_to_string(&self.file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", self.file.display())),
        }
    }

    /// What is plugged in, what was named, and what an administrator has written down: a UART on pins is found in no other way.
    fn ports(&self, mut found: Vec<FoundPort>, loaded: Option<&Loaded>, agent: &Agent) -> Vec<Port> {
        let said = loaded.filter(|loaded| *loaded.origin("printer.port") != Origin::Default);
        let said = said.and_then(|loaded| loaded.config.printer.port.path().map(Path::to_owned));
        for path in self.named.iter().cloned().chain(said) {
            if let Ok(port) = detect::of_path(&path)
                && !found.iter().any(|known| known.device == port.device)
            {
                found.push(port);
            }
        }
        found.into_iter().map(|port| seen(port, agent)).collect()
    }

    /// Asks who is at a port.
    pub(super) fn probe(&self, port: &Path) -> Result<Heard, Failure> {
        let clock = Clock::start()
            .map_err(|error| Failure::new(Exit::Runtime, error.to_string(), None, "Mount /proc."))?;
        let device = std::fs::canonicalize(port).unwrap_or_else(|_| port.to_owned());
        let probed = block_on(probe(&device, Arc::clone(&self.registry), clock))?;
        let who = probed.map_err(|error| complaint(&error)).map(|known| Answering {
            port: port.to_owned(),
            baud: known.baud,
            firmware: known.firmware(),
            machine: known.report.machine_type.clone(),
            profile: known.profile.id.clone(),
            is_verified: known.profile.status == ProfileStatus::Verified,
        });
        Ok(Heard { port: port.to_owned(), who })
    }

    /// Stops the agent, unless a job has come in since it was looked at.
    pub(super) fn stop_agent(&self) -> Attempt<()> {
        let status = Client::connect(&self.socket).and_then(|mut agent| agent.status());
        if status.is_ok_and(|status| status.job.is_some()) {
            return Err(Complaint::of(Fault::PortBusy, "a job has begun meanwhile; the agent is left alone"));
        }
        self.systemd.stop()
    }

    /// Writes what was shown, and reads it back as the agent will.
    pub(super) fn write(&mut self, whereabouts: &Whereabouts, changes: &[Change]) -> Attempt<()> {
        let failed = |text: String| Complaint::of(Fault::ConfigBroken, text);
        let before = self.text.as_deref();
        let text = rewrite(before.unwrap_or(HEAD), changes)
            .map_err(|error| failed(format!("{}: {error}", self.file.display())))?;
        whereabouts.keep_config(&self.file, before, &text).map_err(|error| failed(error.to_string()))?;
        self.text = Some(text);
        let loaded = whereabouts.load(&[]).map_err(|failure| failed(failure.text().to_owned()))?;
        for change in changes {
            match loaded.origin(change.key) {
                Origin::File { .. } => {}
                other => {
                    return Err(failed(format!(
                        "{} is written, but {other} says otherwise and goes first",
                        change.key
                    )));
                }
            }
        }
        Ok(())
    }
}

/// What is written down must not be the number that a port has today.
fn plugged_in() -> Vec<FoundPort> {
    let mut looks = 1..LOOKS;
    discover::ports_with_names(Path::new("/"), || {
        sleep(BETWEEN_LOOKS);
        looks.next().is_some()
    })
}

fn standing(loaded: &Loaded) -> Standing {
    let printer = &loaded.config.printer;
    let is_said = |key| *loaded.origin(key) != Origin::Default;
    Standing {
        port: if is_said("printer.port") { printer.port.clone() } else { PortChoice::Auto },
        baud: if is_said("printer.baud") { printer.baud } else { BaudChoice::Auto },
        relay: loaded.config.relay.url.clone(),
    }
}

fn agent(status: Option<&Status>, service: Service) -> Agent {
    let Some(status) = status else { return Agent::Stopped(service) };
    let printer = &status.printer;
    let port = PathBuf::from(&printer.port);
    let complaint =
        printer.fault.as_ref().map(|fault| Complaint { code: fault.code.clone(), text: fault.text.clone() });
    let answering = match (&printer.firmware, &printer.profile) {
        (Some(firmware), Some(profile)) if complaint.is_none() => Some(Answering {
            port: detect::of_path(&port).map_or_else(|_| port.clone(), |found| found.stable().to_owned()),
            baud: printer.baud,
            firmware: firmware.clone(),
            machine: None,
            profile: profile.clone(),
            is_verified: printer.profile_verified,
        }),
        _ => None,
    };
    Agent::Running { service, port, printer: answering, complaint, has_job: status.job.is_some() }
}

/// A port with whoever has it. The agent holds the one it was told, unless it says itself that another program does.
fn seen(port: FoundPort, agent: &Agent) -> Port {
    let is_agents = match agent {
        Agent::Stopped(_) => false,
        Agent::Running { port: own, complaint, .. } => {
            let is_elsewhere =
                complaint.as_ref().is_some_and(|complaint| complaint.code == Fault::PortBusy.code());
            !is_elsewhere && std::fs::canonicalize(own).is_ok_and(|own| own == port.device)
        }
    };
    let held = holders(Path::new("/"), &port.device);
    let names = held.iter().map(|Process { pid, name }| format!("{} (process {pid})", plain(name)));
    let holder = match (is_agents, held.is_empty()) {
        (true, _) => Holder::Agent,
        (false, true) => Holder::Nobody,
        (false, false) => Holder::Other(names.collect::<Vec<_>>().join(", ")),
    };
    Port {
        stable: port.stable().to_owned(),
        product: port.usb.and_then(|usb| usb.product),
        device: port.device,
        holder,
    }
}

fn complaint(error: &ProbeError) -> Complaint {
    let fault = match error {
        ProbeError::Open(error) => error.fault,
        ProbeError::Lost(_) => Fault::PortLost,
        ProbeError::Silent(_) => Fault::FirmwareSilent,
    };
    Complaint::of(fault, error.to_string())
}

/// A value as it is shown.
pub(super) fn shown(value: &Wanted) -> String {
    plain(&value.to_string())
}
