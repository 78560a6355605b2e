//! Builds the parts of the agent and keeps them until it is told to stop.

use std::sync::Arc;

use anyhow::Context;
use spoolway_firmware_profiles::Registry;
use spoolway_protocol::Fault;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::bus::{HelloState, INBOUND, OUTBOUND, Telemetered};
use crate::clock::Clock;
use crate::config::{Config, ProfileChoice};
use crate::desk::{self, Desk};
use crate::identity::Identity;
use crate::local::{self, Counterpart, StateLock};
use crate::printer::{Printer, PrinterOptions};
use crate::spool::{Spool, SpoolOptions};
use crate::store::{Store, StoreOptions};
use crate::telemetry;
use crate::view::{LinkView, Refusal};

/// Runs one agent until `stop`.
///
/// # Errors
/// Another agent has the state folder, the configuration names what is not there, or the state cannot be opened.
pub async fn run(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let _lock = StateLock::take(&config.state_dir)?;
    let clock = Clock::start()?;
    let identity = Arc::new(Identity::open(&config.state_dir).context("the agent has no identity")?);
    clock.raise_floor(identity.last_hello_ctr());
    let registry = Arc::new(profiles(&config)?);
    let door = local::bind(&config.socket)?;
    let (store, opened) =
        Store::open(&config.state_dir, &StoreOptions::default()).context("the database cannot be opened")?;
    let spool = Spool::open(
        &config.state_dir.join("spool"),
        SpoolOptions {
            reserve_bytes: config.spool.reserve_bytes,
            max_body_bytes: config.spool.max_job_bytes,
            ..SpoolOptions::default()
        },
    )
    .context("the spool cannot be opened")?;
    let printer = Printer::start(printer_options(&config, registry), clock.clone())?;
    info!(agent = %identity.agent_id(), version = env!("CARGO_PKG_VERSION"), start = ?opened.start, "agent started");

    let (to_desk, inbound) = mpsc::channel(INBOUND);
    let (outbound, to_relay) = mpsc::channel(OUTBOUND);
    let (hello, hello_seen) = watch::channel(HelloState::default());
    let (telemetry_out, telemetry_seen) = watch::channel(Telemetered::default());
    let (link_out, link) = watch::channel(LinkView {
        relay: config.relay.url.as_ref().map(ToString::to_string),
        ..LinkView::default()
    });
    let (handle, asks) = Desk::new(&printer);
    let port = (config.printer.port.clone(), config.printer.baud);
    let parts = desk::Parts {
        clock: clock.clone(),
        identity: Arc::clone(&identity),
        store: store.clone(),
        opened,
        spool,
        printer,
        port,
        inbound,
        outbound,
        hello,
        telemetry: telemetry_out,
        link,
    };
    let counterpart = Counterpart {
        counter: handle,
        agent_id: identity.agent_id(),
        public_key: identity.public_key_b64(),
        logs: telemetry::ring(),
    };
    // The desk ends last: while it makes the printer safe, people can still look, and the link still tells.
    let others = CancellationToken::new();
    let serve = tokio::spawn(local::serve(door, counterpart, others.clone()));
    drop((to_desk, to_relay, hello_seen, telemetry_seen, link_out, store));
    let ended = desk::run(parts, asks, stop).await;
    others.cancel();
    drop(serve.await);
    info!("agent stopped");
    ended
}

/// The profiles inside the program, overlaid with the configured folder; a broken file is told and leaves the others.
fn profiles(config: &Config) -> anyhow::Result<Registry> {
    let (registry, broken) = Registry::load(config.profiles.folder.as_deref());
    for error in broken {
        warn!(code = Fault::ProfileBad.code(), %error, help = Fault::ProfileBad.help(), "profile left out");
    }
    if let ProfileChoice::Id(id) = &config.printer.profile {
        registry.get(id).map_err(|error| Refusal::new(Fault::ProfileUnknown, error.to_string()))?;
    }
    Ok(registry)
}

fn printer_options(config: &Config, registry: Arc<Registry>) -> PrinterOptions {
    PrinterOptions {
        port: config.printer.port.clone(),
        baud: config.printer.baud,
        profile: match &config.printer.profile {
            ProfileChoice::Auto => None,
            ProfileChoice::Id(id) => Some(id.clone()),
        },
        registry,
    }
}
