//! One cell is one question to one server, which is started anew for it.

mod forward;
mod idle;
mod overload;
mod routing;
mod storm;

use std::time::Duration;

use anyhow::ensure;

use super::install::Installed;
use super::load::{Load, Opened};
use super::server::Server;
use super::site::Site;
use super::talk::Party;
use super::{Contender, Settings};

pub(super) use self::forward::{Forward, Work};
pub(super) use self::idle::Idle;
pub(super) use self::overload::Overload;
pub(super) use self::routing::Routing;
pub(super) use self::storm::Storm;

/// Where the backend's connection stands; agents stand behind it, by their numbers.
const BACKEND: usize = 0;
/// Handshakes at a time where none is in a hurry.
const GENTLY: usize = 64;
/// How long it may take until all are connected.
const CONNECT: Duration = Duration::from_secs(180);

/// One server and the load on it.
pub(super) struct Cell<'a> {
    site: &'a Site,
    contender: Contender,
    server: Server,
    load: Load,
    /// What is left of handshakes has settled by then.
    settle: Duration,
}

impl<'a> Cell<'a> {
    /// A fresh server with the backend on it.
    pub(super) async fn begin(
        site: &'a Site,
        installed: &Installed,
        contender: Contender,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let server = Server::start(site, installed, contender, settings).await?;
        let load = Load::new(server.address(), site.tls())?;
        let mut cell = Self { site, contender, server, load, settle: settings.settle };
        let backend = [(BACKEND, site.client(contender, Party::Backend))];
        let opened = cell.load.open(backend, 1, CONNECT).await?;
        ensure!(opened.failed == 0, "the backend cannot connect");
        Ok(cell)
    }

    /// Connects agents, so many at a time.
    async fn connect(
        &mut self,
        agents: std::ops::Range<u32>,
        at_once: usize,
        within: Duration,
    ) -> anyhow::Result<Opened> {
        let (site, contender) = (self.site, self.contender);
        let clients = agents.map(|agent| (place_of(agent), site.client(contender, Party::Agent(agent))));
        let opened = self.load.open(clients, at_once, within).await?;
        self.server.check()?;
        Ok(opened)
    }

    /// Connects agents, all of which have to come up.
    async fn connect_all(&mut self, agents: u32) -> anyhow::Result<()> {
        let opened = self.connect(0..agents, GENTLY, CONNECT).await?;
        ensure!(opened.failed == 0, "{} of {agents} agents do not come up", opened.failed);
        Ok(())
    }

    /// Ends the connections of agents.
    fn disconnect(&mut self, agents: std::ops::Range<u32>) {
        agents.for_each(|agent| self.load.hang_up(place_of(agent)));
    }

    /// Lets it settle.
    async fn settle(&mut self) -> anyhow::Result<()> {
        self.load.pump_for(self.settle, &mut |_, _| {}).await
    }
}

fn place_of(agent: u32) -> usize {
    agent as usize + 1
}
