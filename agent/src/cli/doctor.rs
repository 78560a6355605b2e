//! `doctor`: looks at what an agent needs, step by step, and names what fails and its mend: first at this machine, then on the way to the relay.

mod access;
mod disk;
mod machine;
mod ports;
mod power;
mod printer;
mod relay;
mod report;
mod service;
mod settings;
mod sources;
mod trouble;

use std::io::Write;
use std::path::Path;

use clap::ValueEnum;
use tokio::net::UnixStream;

use super::pair::{block_on, refuse_for_the_systems};
use super::{Exit, Failure, Whereabouts};
use crate::local::Client;
use crate::paths::SYSTEM_SOCKET;
use crate::view::Status;
use machine::Sources;
use report::{Report, Step};

/// What can be looked at alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Part {
    /// This machine: settings, service, port, printer, supply, disk.
    Machine,
    /// The way to the relay.
    Relay,
}

/// What the running agent says.
pub(super) struct Spoken {
    id: String,
    status: Status,
    /// Its process.
    pid: Option<u32>,
}

/// Looks at everything, or at one part, and shows it.
pub(super) fn doctor(
    whereabouts: &Whereabouts,
    part: Option<Part>,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let loaded = whereabouts.load(&[]);
    let socket = whereabouts.find_socket();
    if let (Ok(loaded), Ok(socket)) = (&loaded, &socket) {
        refuse_for_the_systems(socket, loaded)?;
    }
    let is_systems = socket.as_ref().is_ok_and(|socket| socket == Path::new(SYSTEM_SOCKET));
    let unit = (is_systems || whereabouts.instance.is_some()).then(|| whereabouts.unit());
    let spoken = match &socket {
        Ok(socket) => ask(socket),
        Err(_) => Err(Failure::new(
            Exit::Unavailable,
            "it is not known where it would answer",
            None,
            "Correct the configuration.",
        )),
    };
    let mut steps = Vec::new();
    if part != Some(Part::Relay) {
        let from = Sources::of_this_machine(unit);
        steps.extend(machine::steps(&from, loaded.as_ref(), spoken.as_ref()));
    }
    let relay = match (part, loaded) {
        (Some(Part::Machine), _) => {
            steps.push(relay::own_clock()?);
            None
        }
        (_, Ok(loaded)) => {
            let (relay, way) = relay::steps(&loaded, spoken.as_ref())?;
            steps.extend(way);
            relay
        }
        (Some(Part::Relay), Err(failure)) => return Err(failure),
        (None, Err(_)) => {
            steps.push(Step::skipped("settings", "the configuration cannot be used"));
            None
        }
    };
    Report::of(relay, steps).show(json, out)
}

fn ask(socket: &Path) -> Result<Spoken, Failure> {
    let mut agent = Client::connect(socket)?;
    let status = agent.status()?;
    Ok(Spoken { id: agent.identity()?.0.to_string(), status, pid: pid_at(socket) })
}

/// The process behind a socket, where it is one of those that this process can see.
fn pid_at(socket: &Path) -> Option<u32> {
    let peer = async { UnixStream::connect(socket).await?.peer_cred() };
    let pid = block_on(peer).ok()?.ok()?.pid()?;
    u32::try_from(pid).ok().filter(|pid| *pid != 0)
}
