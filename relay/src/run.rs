//! Builds the parts, starts the tasks, and takes them down again when told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use spoolway_relay_registry::SqliteRegistry;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin;
use crate::config::Config;
use crate::console;
use crate::desk::{Change, Desk};
use crate::hub::Hub;
use crate::listen::{self, Door};
use crate::paths::Directories;
use crate::reload::Renewal;
use crate::tail::Tail;
use crate::web;
use spoolway_relay_tls::{Certificate, Clients, server_config};

pub use spoolway_relay_tls::LoadTlsError;

/// Where a relay listens; differs from the configuration when that said port 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Agents and backends.
    pub public: SocketAddr,
    /// Health and metrics, unless turned off.
    pub admin: Option<SocketAddr>,
}

/// Runs a relay until `stop`, then says goodbye to every peer within `drain.within_ms`. `ready` hears where it listens.
///
/// # Errors
/// The registry, the certificate or an address cannot be used; the text says which and why.
pub async fn run_with(
    config: Config,
    directories: &Directories,
    stop: CancellationToken,
    ready: Option<oneshot::Sender<Bound>>,
) -> anyhow::Result<()> {
    let (_, reloads) = mpsc::channel(1);
    run_from(config, directories, stop, ready, Outside { reloads, tail: Tail::default(), more: None }).await
}

/// What reaches a running relay from the process around it.
#[derive(Debug)]
pub struct Outside {
    /// New settings.
    pub reloads: mpsc::Receiver<Config>,
    /// Where its log is watched.
    pub tail: Tail,
    /// What its public port answers besides.
    pub more: Option<web::More>,
}

/// The same with a process around it.
///
/// # Errors
/// As [`run_with`].
pub async fn run_from(
    config: Config,
    directories: &Directories,
    stop: CancellationToken,
    ready: Option<oneshot::Sender<Bound>>,
    Outside { reloads, tail, more }: Outside,
) -> anyhow::Result<()> {
    let certificate =
        Certificate::load(&config.certificate_file(directories), &config.key_file(directories))?;
    let clients = Clients::load(config.tls.client_certs, &config.tls.client_ca)?;
    let tls = server_config(Arc::clone(&certificate), Arc::clone(&clients))?;
    let tls = TlsAcceptor::from(Arc::new(tls));
    let registry = config.registry_file(directories);
    let opened =
        SqliteRegistry::open(&registry).with_context(|| format!("registry {}", registry.display()))?;
    let (desk, changes) = Desk::open(Box::new(opened))?;
    let listener = bind(&config).context("listen.address")?;
    let admin = match config.admin.address.as_str() {
        "" => None,
        address => {
            Some(TcpListener::bind(address).await.with_context(|| format!("admin.address = {address}"))?)
        }
    };
    let bound = Bound {
        public: listener.local_addr()?,
        admin: admin.as_ref().map(TcpListener::local_addr).transpose()?,
    };
    raise_descriptor_limit();
    let hub = Arc::new(Hub::new(&config, desk, tail));
    let services = CancellationToken::new();
    let side = TaskTracker::new();
    side.spawn(services.clone().run_until_cancelled_owned(act_on_changes(Arc::clone(&hub), changes)));
    side.spawn(services.clone().run_until_cancelled_owned(tell_gathered(Arc::clone(&hub))));
    let renewal = Renewal { hub: Arc::clone(&hub), certificate, clients: Arc::clone(&clients) };
    let watch = renewal.watch(config.clone(), reloads);
    side.spawn(services.clone().run_until_cancelled_owned(watch));
    if let Some(admin) = admin {
        let served = admin::serve(services.clone(), admin, Arc::clone(&hub));
        side.spawn(async move {
            if let Err(error) = served.await {
                tracing::error!(%error, "admin listener");
            }
        });
    }
    let socket = directories.admin_socket();
    match console::bind(&socket) {
        Ok(console) => drop(side.spawn(console::serve(services.clone(), console, Arc::clone(&hub)))),
        // Peers are served all the same.
        Err(error) => tracing::error!(socket = %socket.display(), %error, "nobody can ask this relay"),
    }
    tracing::info!(public = %bound.public, admin = ?bound.admin, "relay is up");
    if let Some(ready) = ready {
        // Nobody has to listen.
        let _ = ready.send(bound);
    }
    let tasks = TaskTracker::new();
    let abort = CancellationToken::new();
    let (leave, abort_peers) = (stop.clone(), abort.clone());
    let door = Door { hub: Arc::clone(&hub), tls, clients, tasks: tasks.clone(), leave, abort: abort_peers };
    let routes = web::routes(web::Front::new(door.clone(), config.pairing.clone()), more);
    listen::accept_until(stop, listener, door, routes).await;
    drain(&hub, &tasks, &abort, config.drain.within_ms).await;
    services.cancel();
    side.close();
    // An admin client that keeps its connection open does not keep the relay.
    let _ = tokio::time::timeout(Duration::from_secs(1), side.wait()).await;
    tracing::info!("relay is down");
    Ok(())
}

fn bind(config: &Config) -> anyhow::Result<TcpListener> {
    let address = &config.listen.address;
    let parsed: SocketAddr = address.parse().with_context(|| format!("{address:?}"))?;
    let (backlog, dead_ms) = (config.listen.backlog, config.session.dead_ms);
    listen::bind(parsed, backlog, dead_ms).with_context(|| format!("cannot listen on {address}"))
}

async fn drain(hub: &Hub, tasks: &TaskTracker, abort: &CancellationToken, within_ms: u64) {
    tracing::info!(peers = tasks.len(), "draining");
    hub.start_drain();
    tasks.close();
    if tokio::time::timeout(Duration::from_millis(within_ms), tasks.wait()).await.is_err() {
        tracing::warn!(peers = tasks.len(), "some peers did not leave in time");
        abort.cancel();
        tasks.wait().await;
    }
}

async fn act_on_changes(hub: Arc<Hub>, mut changes: mpsc::Receiver<Change>) {
    while let Some(change) = changes.recv().await {
        hub.handle_change(change);
    }
}

/// Time between two looks at what was gathered.
const TELL_EVERY: Duration = Duration::from_secs(5);

async fn tell_gathered(hub: Arc<Hub>) {
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        hub.tell_gathered();
    }
}

/// One descriptor per peer: takes all that the system allows.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "descriptor limit");
    }
}
