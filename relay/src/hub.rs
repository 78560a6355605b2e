//! What every peer of a relay shares: the router with the peers' mailboxes, the registry's desk, counters, clock.

mod deliver;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use spoolway_protocol::hello::{Drain, NackCode, close};
use spoolway_protocol::security::SecurityKind;
use spoolway_protocol::{BackendId, Route};
use spoolway_relay_registry::Standing;

use crate::admission::Admission;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::desk::{Change, Desk};
use crate::mailbox::{Bound, Bounds, Class, Displaced, Farewell, Letter};
use crate::metrics::{Gauges, Metric, Metrics};
use crate::post::{Caller, Post};
use crate::router::{ConnId, Router};
use crate::security::Gathered;
use crate::session::Options;
use crate::tail::Tail;
use crate::words;

pub(crate) use deliver::{Sent, Watched};

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
