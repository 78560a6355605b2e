//! What every peer of a relay shares: the router with the peers' mailboxes, the registry's desk, counters, clock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use spoolway_protocol::hello::{Drain, NackCode, close};
use spoolway_protocol::limits::TEXT_FRAME_BYTES;
use spoolway_protocol::{Address, AgentId, BackendId, Route};

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::mailbox::{Bounds, Class, Farewell, Frame, Refused, Slot};
use crate::metrics::{Gauges, Metric, Metrics};
use crate::post::Post;
use crate::registry::{Change, Desk, Standing};
use crate::router::{Audience, ConnId, NoRoute, Router};
use crate::session::Options;
use crate::words;

/// Room for the digits by which waiting may lengthen a frame.
const AGE_BYTES: usize = 32;

const SLOW: Farewell = Farewell { code: close::SLOW_CONSUMER, reason: "too slow for its subscription" };
const REVOKED: Farewell = Farewell { code: close::REVOKED, reason: "revoked" };
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
    limits: RwLock<Arc<config::Limits>>,
    drain: config::Drain,
    router: Mutex<Router<Arc<Post>>>,
    next_conn: AtomicU64,
    draining: AtomicBool,
}

/// A frame on its way from one peer to another.
#[derive(Debug)]
pub(crate) struct Outgoing {
    class: Class,
    /// Telemetry's slot.
    slot: Option<Slot>,
    /// Whether watchers get a copy.
    is_watched: bool,
    frame: Frame,
}

impl Outgoing {
    /// A text frame with its sender set; `None` when it would be too large for its receiver.
    pub(crate) fn text(head: &Route<'_>, from: Address) -> Option<Self> {
        let frame = head.rewrite(&from, 0);
        if frame.len() + AGE_BYTES > TEXT_FRAME_BYTES {
            return None;
        }
        let class = Class::of(head);
        let slot = || Slot { from, key: head.key.unwrap_or_default().into() };
        Some(Self {
            class,
            slot: (class == Class::Telemetry).then(slot),
            is_watched: matches!(head.t, "telem" | "events"),
            frame: Frame::Text(frame),
        })
    }

    /// A chunk. Its bytes are copied, because a borrowed frame would pin the whole read buffer.
    pub(crate) fn binary(bytes: &[u8]) -> Self {
        Self { class: Class::Bulk, slot: None, is_watched: false, frame: Frame::Binary(bytes.to_vec()) }
    }

    fn push(self, post: &Post, hub: &Hub) -> Result<(), (Refused, Class)> {
        let now_ms = hub.clock.ms();
        match self.slot {
            Some(slot) => match post.push_latest(slot, self.frame, now_ms) {
                Ok(displaced) => hub.metrics.displaced(displaced),
                Err(refused) => return Err((refused, self.class)),
            },
            None => post.push(self.class, self.frame, now_ms).map_err(|refused| (refused, self.class))?,
        }
        Ok(())
    }
}

impl Hub {
    /// A relay without peers.
    pub(crate) fn new(config: &Config, desk: Desk) -> Self {
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
            limits: RwLock::new(Arc::new(config.limits.clone())),
            clock: Clock::start(),
            metrics: Metrics::default(),
            desk,
            drain: config.drain.clone(),
            router: Mutex::default(),
            next_conn: AtomicU64::new(1),
            draining: AtomicBool::new(false),
        }
    }

    /// The bounds in force; a connection keeps those that it has begun with.
    pub(crate) fn limits(&self) -> Arc<config::Limits> {
        Arc::clone(&self.limits.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The routing table. Never held across an `await`.
    pub(crate) fn router(&self) -> MutexGuard<'_, Router<Arc<Post>>> {
        self.router.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a new connection and an empty mailbox for it.
    pub(crate) fn connect(&self) -> (ConnId, Arc<Post>) {
        let limits = self.limits();
        let bounds = Bounds {
            frames: limits.mailbox_frames,
            bytes: limits.mailbox_bytes,
            bulk_frames: limits.bulk_frames,
            slots: limits.telemetry_slots,
            slot_bytes: limits.telemetry_bytes,
        };
        (ConnId(self.next_conn.fetch_add(1, Ordering::Relaxed)), Arc::new(Post::new(bounds)))
    }

    /// Passes a frame of an agent to its owner; waits while the owner's mailbox is full.
    ///
    /// # Errors
    /// Says why it went nowhere.
    pub(crate) async fn forward_agent(
        &self,
        agent: &AgentId,
        conn: ConnId,
        to: &Address,
        mut mail: Outgoing,
    ) -> Result<(), NoRoute> {
        loop {
            let Audience { server, watchers } = self.router().route_agent(agent, conn, to)?;
            // Events that the owner does not get yet will come again, so watchers wait for that, too.
            if (server.is_some() || mail.class == Class::Telemetry) && std::mem::take(&mut mail.is_watched) {
                self.copy_to(&watchers, &mail);
            }
            let Some(post) = server else { return self.nobody_home(mail.class) };
            mail = match self.try_push(&post, mail)? {
                None => return Ok(()),
                Some(mail) => mail,
            };
            self.metrics.count(Metric::Waits);
            post.room(mail.class, mail.frame.len()).await;
        }
    }

    /// Passes a frame of a backend to an agent it owns. A full mailbox is `busy`, so that one slow agent
    /// does not hold up the others; only for chunks the backend waits.
    ///
    /// # Errors
    /// Says why it went nowhere.
    pub(crate) async fn forward_backend(
        &self,
        backend: &BackendId,
        conn: ConnId,
        to: &Address,
        mut mail: Outgoing,
    ) -> Result<(), NoRoute> {
        loop {
            let post = match self.router().route_backend(backend, conn, to) {
                Err(NoRoute::Refused(NackCode::Offline)) => return self.nobody_home(mail.class),
                routed => routed?,
            };
            mail = match self.try_push(&post, mail)? {
                None => return Ok(()),
                Some(mail) if mail.class == Class::Bulk => mail,
                Some(_) => return Err(NoRoute::Refused(NackCode::Busy)),
            };
            self.metrics.count(Metric::Waits);
            post.room(mail.class, mail.frame.len()).await;
        }
    }

    /// Hands the mail back when the mailbox is full.
    fn try_push(&self, post: &Post, mail: Outgoing) -> Result<Option<Outgoing>, NoRoute> {
        match mail.push(post, self) {
            Ok(()) => Ok(None),
            Err((Refused::Closed(_), class)) => self.nobody_home(class).map(|()| None),
            Err((Refused::Full(frame), class)) => {
                Ok(Some(Outgoing { class, slot: None, is_watched: false, frame }))
            }
        }
    }

    /// Telemetry for nobody is dropped without a word.
    fn nobody_home(&self, class: Class) -> Result<(), NoRoute> {
        if class == Class::Telemetry {
            self.metrics.displaced(crate::mailbox::Displaced { coalesced: false, dropped: 1 });
            return Ok(());
        }
        Err(NoRoute::Refused(NackCode::Offline))
    }

    /// Watchers never hold up an agent: one that is full is closed, and may subscribe again.
    fn copy_to(&self, watchers: &[Arc<Post>], mail: &Outgoing) {
        for post in watchers {
            let copy = Outgoing { slot: mail.slot.clone(), frame: mail.frame.clone(), ..*mail };
            if let Err((Refused::Full(_), _)) = copy.push(post, self) {
                self.metrics.count(Metric::SlowPeers);
                post.close(SLOW, false);
            }
        }
    }

    /// Tells the owner and the watchers that an agent is here; waits while the owner's mailbox is full.
    pub(crate) async fn announce_up(&self, agent: &AgentId) {
        let mut is_first = true;
        loop {
            let Some((up, audience)) = self.router().presence(agent) else { return };
            let mail = || Outgoing {
                class: Class::Reliable,
                slot: None,
                is_watched: true,
                frame: Frame::Text(up.to_string()),
            };
            if std::mem::take(&mut is_first) {
                self.copy_to(&audience.watchers, &mail());
            }
            let Some(server) = audience.server else { return };
            match self.try_push(&server, mail()) {
                Ok(Some(mail)) => server.room(Class::Reliable, mail.frame.len()).await,
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Tells everybody that an agent is gone, unless it is back by then.
    pub(crate) async fn announce_down(&self, agent: &AgentId, audience: Audience<Arc<Post>>, down: &str) {
        let frame = || Frame::Text(down.to_owned());
        let watched = Outgoing { class: Class::Reliable, slot: None, is_watched: true, frame: frame() };
        self.copy_to(&audience.watchers, &watched);
        let Some(server) = audience.server else { return };
        loop {
            {
                // Under the table's lock, so that no `up` can come between the look and the push.
                let router = self.router();
                if router.agent(agent).is_some() {
                    return;
                }
                match server.push(Class::Reliable, frame(), self.clock.ms()) {
                    Err(Refused::Full(_)) => {}
                    Ok(()) | Err(Refused::Closed(_)) => return,
                }
            }
            server.room(Class::Reliable, down.len()).await;
        }
    }

    /// Acts on a change that another process made in the registry.
    pub(crate) fn handle_change(&self, change: Change) {
        match change {
            Change::Agent(agent, standing) => {
                let post = self.router().agent(&agent).cloned();
                if let Some((post, farewell)) = post.zip(farewell_of(standing)) {
                    tracing::info!(%agent, ?standing, "closing agent");
                    post.close(farewell, false);
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
            let _ = post.push(Class::Reliable, Frame::Text(frame.clone()), self.clock.ms());
            post.close(Farewell { code: close::DRAIN, reason: "drain" }, true);
        }
    }

    /// Numbers of this moment.
    pub(crate) fn gauges(&self) -> Gauges {
        let router = self.router();
        let (agents, backends) = router.counts();
        let mut gauges = Gauges { agents, backends, ..Gauges::default() };
        for depth in router.handles().map(|post| post.depth()) {
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
