//! What every peer of a relay shares: the router with the peers' mailboxes, the registry's desk, counters, clock.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use spoolway_protocol::hello::{Drain, NackCode, close};
use spoolway_protocol::security::SecurityKind;
use spoolway_protocol::{Address, AgentId, BackendId, Route};
use spoolway_relay_registry::Standing;

use crate::admission::Admission;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::desk::{Change, Desk};
use crate::mailbox::{Bound, Bounds, Class, Displaced, Farewell, Letter, Refused};
use crate::metrics::{Gauges, Metric, Metrics};
use crate::post::{Caller, Post};
use crate::router::{Audience, ConnId, NoRoute, Router};
use crate::security::Gathered;
use crate::session::Options;
use crate::tail::Tail;
use crate::words;

const SLOW: Farewell = Farewell { code: close::SLOW_CONSUMER, reason: "too slow for its subscription" };
const REVOKED: Farewell = Farewell { code: close::REVOKED, reason: "revoked" };
/// Said to an agent that has got another owner: it logs in anew. 1001 "going away" (RFC 6455, section 7.4.1).
pub(crate) const MOVED: Farewell = Farewell { code: 1001, reason: "another owner" };
/// Said to both ends of a suspected clone.
pub(crate) const CLONE: Farewell = Farewell { code: close::CLONE_SUSPECTED, reason: "clone suspected" };

/// See the module.
#[derive(Debug)]
pub(crate) struct Hub {
    /// What sessions have in common.
    pub(crate) options: Options,
    /// Host names that agents may sign for.
    pub(crate) hosts: Vec<String>,
    /// Time.
    pub(crate) clock: Clock,
    /// Counters.
    pub(crate) metrics: Metrics,
    /// The registry.
    pub(crate) desk: Desk,
    /// Who may try what how often.
    pub(crate) admission: Admission,
    limits: RwLock<Arc<config::Limits>>,
    /// Who watches.
    pub(crate) tail: Tail,
    drain: config::Drain,
    router: Mutex<Router<Arc<Post>>>,
    next_conn: AtomicU64,
    draining: AtomicBool,
    gathered: Mutex<Gathered>,
    /// When the certificate in use ends, unix ms; 0 when nobody knows.
    pub(crate) certificate_ends_ms: AtomicU64,
}

/// What is done with a letter that finds the mailbox full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// Its sender waits for its turn.
    Wait,
    /// Its sender is told `busy`.
    Busy,
}

/// Who gets a copy of a letter besides its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched<'a> {
    /// Nobody.
    No,
    /// Watchers, once the owner is there: events that the owner does not get yet will come again.
    WithOwner,
    /// Watchers.
    Always,
    /// Guests: it answers a command.
    Answer,
    /// Nobody; it is about this file, and a guest that sends it is its receiver.
    File(&'a str),
}

impl Hub {
    /// A relay without peers.
    pub(crate) fn new(config: &Config, desk: Desk, tail: Tail) -> Self {
        let session = &config.session;
        let telem = spoolway_protocol::telemetry::TelemConfig {
            idle_ms: config.telemetry.idle_ms,
            printing_ms: config.telemetry.printing_ms,
            watch_ms: config.telemetry.watch_ms,
            watch_ttl_ms: Some(config.telemetry.watch_ttl_ms),
            extra: Default::default(),
        };
        let options = Options {
            relay_id: config.relay.id.clone(),
            hb_ms: session.hb_ms,
            dead_ms: session.dead_ms,
            hello_timeout_ms: session.hello_timeout_ms,
            window: spoolway_protocol::hello::Window {
                events: session.window_events,
                bytes: session.window_bytes,
            },
            telem,
        };
        Self {
            options,
            hosts: config.relay.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            admission: Admission::new(&config.limits),
            limits: RwLock::new(Arc::new(config.limits.clone())),
            clock: Clock::start(),
            metrics: Metrics::default(),
            desk,
            tail,
            drain: config.drain.clone(),
            router: Mutex::default(),
            next_conn: AtomicU64::new(1),
            draining: AtomicBool::new(false),
            gathered: Mutex::default(),
            certificate_ends_ms: AtomicU64::new(0),
        }
    }

    /// The bounds in force; a connection keeps those that it has begun with.
    pub(crate) fn limits(&self) -> Arc<config::Limits> {
        Arc::clone(&self.limits.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Other bounds, from now on.
    pub(crate) fn set_limits(&self, limits: config::Limits) {
        self.admission.change(&limits);
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
    }

    /// Events of security that nobody was told of yet.
    pub(crate) fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The routing table. Never held across an `await`.
    pub(crate) fn router(&self) -> MutexGuard<'_, Router<Arc<Post>>> {
        self.router.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a new connection and an empty mailbox for it.
    pub(crate) fn connect(&self, address: SocketAddr) -> (ConnId, Arc<Post>) {
        let mut post = Post::new(bounds_of(&self.limits()));
        post.caller = Some(Caller { address, since_ms: self.clock.now().unix_ms });
        (ConnId(self.next_conn.fetch_add(1, Ordering::Relaxed)), Arc::new(post))
    }

    /// Passes a frame of an agent to its owner; waits while the owner's mailbox is full, so that reading an agent stops when what its
    /// owner can take is spent.
    ///
    /// # Errors
    /// Says why it went nowhere.
    pub(crate) fn forward_agent<'a>(
        &'a self,
        (agent, conn): (&'a AgentId, ConnId),
        to: &'a Address,
        letter: Letter,
        watched: Watched<'a>,
    ) -> impl Future<Output = Result<(), NoRoute>> + use<'a> {
        let route = move |router: &Router<Arc<Post>>| match watched {
            Watched::Answer => router.route_answer(agent, conn, to),
            Watched::File(file) => router.route_file(agent, conn, to, file),
            _ => router.route_agent(agent, conn, to),
        };
        self.deliver(letter, watched, WhenFull::Wait, route)
    }

    /// Passes a frame of a backend to an agent it owns. A full mailbox is `busy`, so that one slow agent does not hold up the
    /// others; only for chunks the backend waits.
    ///
    /// # Errors
    /// Says why it went nowhere.
    pub(crate) fn forward_backend<'a>(
        &'a self,
        (backend, conn): (&'a BackendId, ConnId),
        to: &'a Address,
        letter: Letter,
    ) -> impl Future<Output = Result<(), NoRoute>> + use<'a> {
        let when_full = if letter.class == Class::Bulk { WhenFull::Wait } else { WhenFull::Busy };
        let route =
            move |router: &Router<Arc<Post>>| router.route_backend(backend, conn, to).map(Audience::only);
        self.deliver(letter, Watched::No, when_full, route)
    }

    /// Tells the owner and the watchers that an agent is here; waits while the owner's mailbox is full.
    pub(crate) async fn announce_up(&self, agent: &AgentId) {
        let Some((up, _)) = self.router().presence(agent) else { return };
        let letter = Letter::own(&*up, self.clock.ms());
        // Whoever has come in its place says so itself.
        let route = |router: &Router<Arc<Post>>| match router.presence(agent) {
            Some((now, audience)) if Arc::ptr_eq(&now, &up) => Ok(audience),
            _ => Err(NoRoute::Stale),
        };
        // Without an owner, its next process hears it.
        let _ = self.deliver(letter, Watched::Always, WhenFull::Wait, route).await;
    }

    /// Tells everybody that an agent is gone, unless it is back by then.
    pub(crate) async fn announce_down(&self, agent: &AgentId, audience: Audience<Arc<Post>>, down: String) {
        let route = |router: &Router<Arc<Post>>| match router.agent(agent) {
            Some(_) => Err(NoRoute::Stale),
            None => Ok(audience.clone()),
        };
        let letter = Letter::own(down, self.clock.ms());
        let _ = self.deliver(letter, Watched::Always, WhenFull::Wait, route).await;
    }

    /// Puts a letter into the mailbox to which `route` leads at that moment.
    async fn deliver(
        &self,
        mut letter: Letter,
        mut watched: Watched<'_>,
        when_full: WhenFull,
        route: impl Fn(&Router<Arc<Post>>) -> Result<Audience<Arc<Post>>, NoRoute>,
    ) -> Result<(), NoRoute> {
        let (class, mut turn) = (letter.class, None);
        loop {
            let full = {
                // Look and push under the table's lock: what comes and goes between them would be told in the wrong order.
                let router = self.router();
                let Audience { server, watchers } = match route(&router) {
                    Err(NoRoute::Refused(NackCode::Offline)) => {
                        Audience { server: None, watchers: Vec::new() }
                    }
                    routed => routed?,
                };
                let is_heard = watched == Watched::Answer && !watchers.is_empty();
                if server.is_some() || matches!(watched, Watched::Always | Watched::Answer) {
                    let watched = std::mem::replace(&mut watched, Watched::No);
                    self.copy_to(if watched == Watched::No { &[] } else { &watchers }, &letter);
                }
                let Some(post) = server else {
                    return if is_heard { Ok(()) } else { self.nobody_home(class) };
                };
                match post.push(letter, turn.as_ref()) {
                    Ok(displaced) => return self.taken(class, displaced),
                    Err(Refused::Closed) => return self.nobody_home(class),
                    Err(Refused::Full(back)) => letter = back,
                }
                post
            };
            if when_full == WhenFull::Busy {
                return Err(NoRoute::Refused(NackCode::Busy));
            }
            self.metrics.count(Metric::Waits);
            turn = full.turn(class).await;
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is how a delivery ends")]
    fn taken(&self, class: Class, displaced: Displaced) -> Result<(), NoRoute> {
        self.metrics.displaced(class, displaced);
        Ok(())
    }

    /// What may be lost is dropped without a word when nobody is there.
    fn nobody_home(&self, class: Class) -> Result<(), NoRoute> {
        match class.is_lossy() {
            true => self.taken(class, Displaced { coalesced: false, dropped: 1 }),
            false => Err(NoRoute::Refused(NackCode::Offline)),
        }
    }

    /// The TTL of a letter ran out before it could be written: its sender hears it, if it is still there.
    pub(crate) fn expire(&self, letter: &Letter) {
        let (Some(text), Some(sender)) = (letter.passed(), letter.sender) else { return };
        if letter.class.is_lossy() {
            return self.metrics.displaced(letter.class, Displaced { coalesced: false, dropped: 1 });
        }
        self.metrics.count_word(Metric::Nacks, NackCode::Expired.as_str());
        let Ok(head) = Route::parse(&text) else { return };
        let post = self.router().connection(head.from, sender).cloned();
        if let Some(post) = post {
            let about = head.from.and_then(|from| from.parse().ok());
            self.alarm_about(about, &post, SecurityKind::TtlDrop, "a frame waited for longer than its TTL");
            let nack = words::nack(head.id, NackCode::Expired, head.to.unwrap_or_default());
            // Whoever does not read his answers has no use for this one.
            let _ = post.push(Letter::own(nack, self.clock.ms()), None);
        }
    }

    /// Watchers never hold up an agent: one that is full is closed, and may subscribe again.
    fn copy_to(&self, watchers: &[Arc<Post>], letter: &Letter) {
        for post in watchers {
            match post.push(letter.clone(), None) {
                Ok(displaced) => self.metrics.displaced(letter.class, displaced),
                Err(Refused::Closed) => {}
                Err(Refused::Full(_)) => {
                    self.metrics.count(Metric::SlowPeers);
                    post.close(SLOW, false);
                }
            }
        }
    }

    /// Acts on a change of the registry, whoever has made it.
    pub(crate) fn handle_change(&self, change: Change) {
        match change {
            Change::Agent(agent, standing) => {
                let post = self.router().agent(&agent).cloned();
                if let Some((post, farewell)) = post.zip(farewell_of(standing)) {
                    tracing::info!(%agent, ?standing, "closing agent");
                    post.close(farewell, false);
                }
            }
            Change::Owner(agent, owner) => {
                if let Some(post) = self.router().agent_of_another(&agent, &owner) {
                    tracing::info!(%agent, %owner, "closing agent: it has another owner");
                    post.close(MOVED, false);
                }
            }
            Change::Backends => {
                for (backend, post) in self.router().processes() {
                    if !self.is_backend_good(backend) {
                        tracing::info!(%backend, "closing revoked backend");
                        post.close(REVOKED, false);
                    }
                }
            }
        }
    }

    /// Whether a backend may be connected.
    pub(crate) fn is_backend_good(&self, backend: &BackendId) -> bool {
        self.desk.backends().get(backend).is_some_and(|backend| backend.revoked_ms.is_none())
    }

    /// Whether the relay is about to go.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Says goodbye to everybody who is in.
    pub(crate) fn start_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        let config::Drain { within_ms, spread_ms } = self.drain;
        let drain = Drain { within_ms, spread_ms, alt_url: None, extra: Default::default() };
        let frame = words::frame(drain, None);
        for post in self.router().handles() {
            // A full mailbox hears it from the close code.
            let _ = post.push(Letter::own(frame.clone(), self.clock.ms()), None);
            post.close(Farewell { code: close::DRAIN, reason: "drain" }, true);
        }
    }

    /// Numbers of this moment.
    pub(crate) fn gauges(&self) -> Gauges {
        let router = self.router();
        let (agents, backends) = router.counts();
        let certificate_ends_s = self.certificate_ends_ms.load(Ordering::Relaxed) / 1000;
        let mut gauges = Gauges { agents, backends, certificate_ends_s, ..Gauges::default() };
        let now_ms = self.clock.ms();
        for (depth, (_, oldest_ms)) in router.handles().map(|post| (post.depth(), post.backlog())) {
            gauges.behind_ms =
                gauges.behind_ms.max(oldest_ms.map_or(0, |oldest_ms| now_ms.saturating_sub(oldest_ms)));
            gauges.depth.iter_mut().zip(depth).for_each(|(sum, depth)| *sum += depth);
            gauges.deepest = gauges.deepest.max(depth[Class::Reliable as usize]);
        }
        gauges
    }
}

/// How a connection ends for an agent that may not be connected.
pub(crate) fn farewell_of(standing: Standing) -> Option<Farewell> {
    match standing {
        Standing::Good => None,
        Standing::Unknown | Standing::Revoked => Some(REVOKED),
        Standing::Quarantined => Some(CLONE),
    }
}

fn bounds_of(limits: &config::Limits) -> Bounds {
    [
        Bound { frames: limits.mailbox_frames, bytes: limits.mailbox_bytes },
        Bound { frames: limits.bulk_frames, bytes: usize::MAX },
        Bound { frames: limits.telemetry_slots, bytes: limits.telemetry_bytes },
        Bound { frames: limits.log_frames, bytes: limits.log_bytes },
    ]
}

#[cfg(test)]
mod tests;
