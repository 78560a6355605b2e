//! The link to the relay: dials, logs in, carries, and never gives up.
//!
//! It talks to the desk over the channels of [`crate::bus`] and to the store, and knows nothing of the printer: a link that
//! hangs, breaks or is flooded holds up nobody but itself.

mod address;
mod away;
mod client_cert;
mod download;
mod events;
mod failure;
mod first_bytes;
mod https_url;
mod incoming;
mod login;
mod named;
mod no_proxy;
mod outgoing;
mod owner;
pub(crate) mod pace;
mod post;
mod probe;
mod proxy;
mod retry_after;
mod session;
mod socket;
mod standing;
mod stops;
mod telemetry;
mod tls;
mod way;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use spoolway_agent_core::backoff::{BackoffOptions, Jitter};
use spoolway_agent_core::link::Redial;
use spoolway_protocol::hello::{AgentInfo, Welcome};
use spoolway_protocol::{PrinterId, Seq};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::bus::{HelloState, Inbound, Outbound, Telemetered, Wishes};
use crate::clock::Clock;
use crate::config::{ClientCert, Proxy, Relay, RelayUrl};
use crate::health::Promise;
use crate::identity::Identity;
use crate::printer::EmergencyStop;
use crate::store::Store;
use crate::view::LinkView;
use away::Away;
use events::Events;
use failure::Failure;
use session::{FAREWELL, Lasting, Session};
use socket::{Dialled, Socket};
use standing::Standing;
use stops::Stops;

pub(crate) use client_cert::Own;
pub(crate) use download::{Download, DownloadNews, Downloaded};
pub(crate) use failure::Stage;
pub use login::this_agent;
pub(crate) use named::check_files;
pub(crate) use post::{Answered, PostError, Poster};
pub(crate) use probe::{Walk, walk};

/// Where the relay is and how far it is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelaySettings {
    /// Address.
    pub url: RelayUrl,
    /// PEM bundle trusted besides the system's roots.
    pub ca_file: Option<PathBuf>,
    /// Whether the system's roots are not trusted.
    pub ca_only: bool,
    /// Whether a login that is not bound to the TLS connection is accepted.
    pub allow_unbound: bool,
    /// What it is shown when it asks for a client certificate.
    pub client: ClientCert,
    /// Through which proxy it is reached.
    pub proxy: Proxy,
}

impl RelaySettings {
    /// What the configuration says; `None` when it names no relay.
    #[must_use]
    pub fn of(relay: &Relay) -> Option<Self> {
        Some(Self {
            url: relay.url.clone()?,
            ca_file: relay.ca_file.clone(),
            ca_only: relay.ca_only,
            allow_unbound: relay.allow_unbound,
            client: relay.client.clone(),
            proxy: relay.proxy.clone(),
        })
    }
}

/// What the uplink is made of.
pub struct UplinkParts {
    /// The relay.
    pub relay: RelaySettings,
    /// The agent's key.
    pub identity: Arc<Identity>,
    /// The clock.
    pub clock: Clock,
    /// Where the events are.
    pub store: Store,
    /// To the desk.
    pub inbound: mpsc::Sender<Inbound>,
    /// Stops the printer, ahead of the desk.
    pub stop: EmergencyStop,
    /// From the desk.
    pub outbound: mpsc::Receiver<Outbound>,
    /// What a hello says of the desk.
    pub hello: watch::Receiver<HelloState>,
    /// What telemetry is made of.
    pub telemetered: watch::Receiver<Telemetered>,
    /// How often the owner wishes it.
    pub wishes: watch::Receiver<Wishes>,
    /// Shows how the link stands.
    pub view: watch::Sender<LinkView>,
    /// The printer that telemetry is about.
    pub printer_id: PrinterId,
    /// Program and machine; see [`this_agent`].
    pub agent: AgentInfo,
    /// By when it moves again.
    pub promise: Promise,
    /// Of every random wait.
    pub seed: u64,
}

/// Why a session, or the attempt to get one, is over.
enum End {
    /// The agent stops.
    Stopped,
    /// Nobody is left to carry for.
    DeskGone,
    /// Again later.
    Lost(Failure),
}

/// Keeps a session with whichever relay there is at the time, until `stop`. Pairing names one, or another one, at any time.
pub async fn follow(
    make: impl FnOnce(RelaySettings) -> UplinkParts,
    mut relay: watch::Receiver<Option<RelaySettings>>,
    stop: CancellationToken,
) {
    let Some(first) = named(&mut relay, &stop).await else { return };
    let mut parts = make(first);
    loop {
        let change = stop.child_token();
        let mut running = std::pin::pin!(run(parts, change.clone()));
        parts = tokio::select! {
            // It ends by itself only when the agent does.
            _ = &mut running => return,
            () = changed(&mut relay) => {
                change.cancel();
                running.await
            }
        };
        parts.promise.rest();
        parts.view.send_replace(LinkView::default());
        let Some(next) = named(&mut relay, &stop).await else { return };
        parts.relay = next;
    }
}

/// The relay, once there is one; nothing when the agent stops.
async fn named(
    relay: &mut watch::Receiver<Option<RelaySettings>>,
    stop: &CancellationToken,
) -> Option<RelaySettings> {
    loop {
        let now = relay.borrow_and_update().clone();
        if now.is_some() || stop.is_cancelled() {
            return now.filter(|_| !stop.is_cancelled());
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = changed(relay) => {}
        }
    }
}

/// Never, when nobody is left who could change it.
async fn changed(relay: &mut watch::Receiver<Option<RelaySettings>>) {
    if relay.changed().await.is_err() {
        std::future::pending().await
    }
}

/// Keeps a session with the relay until `stop`; then says goodbye and returns within a second.
pub async fn run(parts: UplinkParts, stop: CancellationToken) -> UplinkParts {
    let mut jitter = Jitter::new(parts.seed);
    // A database that cannot be read leaves every stop to the desk, which then says why it cannot store it.
    let floor = parts.store.highest_command_seq().await.unwrap_or(u64::MAX);
    let uplink = Uplink {
        standing: Standing::new(parts.clock.clone(), parts.relay.url.clone(), parts.view.clone()),
        events: Events::new(parts.store.clone(), jitter.draw()),
        stops: Stops::new(parts.stop.clone(), Seq(floor)),
        away: Away::new(parts.clock.clone(), parts.printer_id.clone(), &parts.telemetered),
        redial: Redial::new(BackoffOptions::RECONNECT, jitter.draw(), parts.clock.now()),
        jitter,
        parts,
        stop,
    };
    uplink.serve().await
}

struct Uplink {
    parts: UplinkParts,
    stop: CancellationToken,
    standing: Standing,
    events: Events,
    stops: Stops,
    away: Away,
    redial: Redial,
    jitter: Jitter,
}

impl Uplink {
    async fn serve(mut self) -> UplinkParts {
        while let End::Lost(failure) = self.attempt().await {
            self.standing.handle_down(&failure);
            let wait = self.redial.wait(self.parts.clock.now(), failure.retry);
            tracing::debug!(
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "waiting to reconnect"
            );
            self.parts.promise.within(wait);
            let slept = async {
                tokio::select! {
                    () = self.stop.cancelled() => false,
                    () = tokio::time::sleep(wait) => true,
                }
            };
            if !self.away.during(&mut self.events, slept).await {
                break;
            }
        }
        self.away.handle_stop(&mut self.events);
        drop(tokio::time::timeout(FAREWELL, self.events.all_written()).await);
        self.standing.handle_stop();
        self.parts
    }

    /// One connection from its first packet to its last.
    async fn attempt(&mut self) -> End {
        self.standing.handle_attempt();
        self.parts.promise.within(Duration::ZERO);
        let entering = async {
            tokio::select! {
                () = self.stop.cancelled() => None,
                entered = enter(&self.parts) => Some(entered),
            }
        };
        let Some(entered) = self.away.during(&mut self.events, entering).await else { return End::Stopped };
        let began = self.parts.clock.now();
        if entered.as_ref().err().is_none_or(|failure| failure.stage.is_at_the_relay()) {
            self.redial.handle_reached(began);
        }
        let (socket, welcome) = match entered {
            Ok(entered) => entered,
            Err(failure) => return End::Lost(failure),
        };
        self.parts.clock.learn_relay_time(welcome.relay_time_ms);
        match owner::is_another(&self.parts.store, &welcome.owner).await {
            Ok(false) => {}
            Ok(true) => {
                drop(socket);
                return self.change_owner(welcome.owner.clone()).await;
            }
            Err(failure) => return End::Lost(failure),
        }
        if let Some(outage) = self.standing.handle_up(welcome.session_id.as_str()) {
            self.events.note(&self.parts.clock, None, outage.into());
        }
        let seed = self.jitter.draw();
        let lasting = Lasting { events: &mut self.events, stops: &mut self.stops, away: &mut self.away };
        let (end, has_served) =
            Session::new(&mut self.parts, lasting, socket, *welcome, seed).run(&self.stop).await;
        self.redial.handle_ended(self.parts.clock.now().since(began), has_served);
        end
    }
}

/// Dials and logs in.
async fn enter(parts: &UplinkParts) -> Result<(Socket, Box<Welcome>), Failure> {
    // One key for both proofs, whatever becomes of the agent's key meanwhile.
    let own = Own::of(&parts.identity);
    let mut dialled: Dialled = socket::dial(&parts.relay, &parts.clock, Some(own.clone()), &mut ()).await?;
    let welcome = login::login(parts, own.key(), &mut dialled).await?;
    Ok((dialled.socket, welcome))
}
