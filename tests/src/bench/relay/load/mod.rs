//! The load generator: thousands of clients in one thread, each a TLS session and a [`Talk`](super::talk::Talk) on a socket
//! that never blocks.

mod link;
mod tls;

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustls::ClientConfig;

use self::link::Link;
use super::talk::{Heard, Party, Talk};

pub(super) use self::tls::client_config;

/// Connections from one address would run out of ports.
const ADDRESSES: u32 = 16;
/// Ready sockets that are looked at in one turn.
const EVENTS: usize = 1_024;
/// Plain bytes of one read.
const SCRATCH: usize = 64 * 1024;

/// What becomes of messages: the place of the connection, and what it has heard.
pub(super) type Hear<'a> = &'a mut dyn FnMut(usize, Heard<'_>);

/// How many came up, how many did not, and how long that took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opened {
    pub(super) failed: usize,
    pub(super) took: Duration,
}

/// See the module. Connections stand at places that are counted from 0.
pub(super) struct Load {
    epoll: OwnedFd,
    tls: Arc<ClientConfig>,
    server: SocketAddrV4,
    links: Vec<Option<Link>>,
    up: usize,
    /// Connections that ended by themselves: their places and why.
    lost: Vec<(usize, String)>,
    dialled: u32,
    began: Instant,
    events: Vec<epoll::Event>,
    scratch: Box<[u8]>,
}

impl Load {
    /// A load without connections.
    pub(super) fn new(server: SocketAddrV4, tls: Arc<ClientConfig>) -> anyhow::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).context("epoll")?,
            tls,
            server,
            links: Vec::new(),
            up: 0,
            lost: Vec::new(),
            dialled: 0,
            began: Instant::now(),
            events: Vec::with_capacity(EVENTS),
            scratch: vec![0; SCRATCH].into(),
        })
    }

    /// When its clock began.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Nanoseconds since it began.
    pub(super) fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// What ended by itself since the last call.
    pub(super) fn take_lost(&mut self) -> Vec<(usize, String)> {
        std::mem::take(&mut self.lost)
    }

    /// Whether a connection is there and everything that was said on it has left.
    pub(super) fn is_clear(&self, place: usize) -> bool {
        self.links.get(place).and_then(Option::as_ref).is_some_and(|link| link.is_up() && link.is_clear())
    }

    /// Opens connections, so many at a time, all of which are dialled before any is looked after, and waits until each is up or has failed; what is not up within the time is
    /// closed and has failed as well.
    pub(super) async fn open(
        &mut self,
        clients: impl IntoIterator<Item = (usize, Box<dyn Talk>)>,
        at_once: usize,
        within: Duration,
    ) -> anyhow::Result<Opened> {
        let (began, up_before) = (Instant::now(), self.up);
        let mut clients = clients.into_iter().peekable();
        let mut places = Vec::new();
        self.lost.clear();
        let mut open = 0;
        while (clients.peek().is_some() || open > 0) && began.elapsed() < within {
            for (place, talk) in clients.by_ref().take(at_once.saturating_sub(open)) {
                places.push(place);
                self.dial(place, talk)?;
            }
            self.pump(Duration::from_millis(u64::from(open > 0)), &mut |_, _| {}).await?;
            open = places.len() - (self.up + self.lost.len() - up_before).min(places.len());
        }
        let (took, up) = (began.elapsed(), self.up.saturating_sub(up_before));
        for place in places {
            if !self.is_up(place) {
                self.hang_up(place);
            }
        }
        let failed = clients.count() + open + self.lost.len();
        if let Some((place, why)) = self.lost.first() {
            eprintln!("relay: {failed} of {} failed; connection {place}: {why}", failed + up);
        }
        Ok(Opened { failed, took })
    }

    fn is_up(&self, place: usize) -> bool {
        self.links.get(place).and_then(Option::as_ref).is_some_and(Link::is_up)
    }

    fn dial(&mut self, place: usize, talk: Box<dyn Talk>) -> anyhow::Result<()> {
        let [_, _, _, last] = (2 + self.dialled % ADDRESSES).to_be_bytes();
        self.dialled = self.dialled.wrapping_add(1);
        let source = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, last), 0);
        let link =
            Link::dial(source, self.server, &self.tls, talk).context("a connection cannot be dialled")?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT;
        epoll::add(&self.epoll, link.socket(), epoll::EventData::new_u64(place as u64), flags)?;
        if self.links.len() <= place {
            self.links.resize_with(place + 1, || None);
        }
        self.links[place] = Some(link);
        Ok(())
    }

    /// Ends a connection without a word, as a network does that is gone.
    pub(super) fn hang_up(&mut self, place: usize) {
        if let Some(link) = self.links.get_mut(place).and_then(Option::take) {
            self.up -= usize::from(link.is_up());
            link.reset();
        }
    }

    /// Looks after whatever is ready, for which it waits at most so long.
    pub(super) async fn pump(&mut self, wait: Duration, hear: Hear<'_>) -> anyhow::Result<()> {
        let timeout = Timespec::try_from(wait).context("a time to wait")?;
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("epoll"),
        }
        let events = std::mem::take(&mut self.events);
        for event in &events {
            let place = usize::try_from(event.data.u64())?;
            self.with(place, |link, scratch| link.advance(scratch, &mut |heard| hear(place, heard)))?;
        }
        self.events = events;
        // So that an interrupt is heard.
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Looks after everything for so long.
    pub(super) async fn pump_for(&mut self, time: Duration, hear: Hear<'_>) -> anyhow::Result<()> {
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            self.pump(left.min(Duration::from_millis(20)), hear).await?;
        }
        Ok(())
    }

    /// Says messages in one piece. A connection that is gone says nothing.
    pub(super) fn say(&mut self, place: usize, to: Party, texts: &[&[u8]]) -> anyhow::Result<()> {
        self.with(place, |link, _| link.say(to, texts))
    }

    /// Gives a sign of life.
    pub(super) fn beat(&mut self, place: usize) -> anyhow::Result<()> {
        self.with(place, |link, _| link.beat())
    }

    fn with(
        &mut self,
        place: usize,
        act: impl FnOnce(&mut Link, &mut [u8]) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        let Some(link) = self.links.get_mut(place).and_then(Option::as_mut) else { return Ok(()) };
        let (was_up, was_writing) = (link.is_up(), link.is_writing());
        let done = act(link, &mut self.scratch);
        self.up += usize::from(link.is_up() && !was_up);
        if let Err(error) = done {
            self.lost.push((place, error.to_string()));
            self.up -= usize::from(link.is_up());
            self.links[place] = None;
        } else if link.is_writing() != was_writing {
            let out = if link.is_writing() { epoll::EventFlags::OUT } else { epoll::EventFlags::empty() };
            let data = epoll::EventData::new_u64(place as u64);
            epoll::modify(&self.epoll, link.socket(), data, epoll::EventFlags::IN | out)?;
        }
        Ok(())
    }
}
