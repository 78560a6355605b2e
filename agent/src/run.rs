//! Builds the parts of the agent and keeps them until it is told to stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use spoolway_agent_core::gcode::{Batch, Reader};
use spoolway_firmware_profiles::Registry;
use spoolway_protocol::{Fault, PrinterId};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::bus::{HelloState, INBOUND, Inbound, OUTBOUND, Outbound, Telemetered, Wishes};
use crate::cli::Running;
use crate::clock::Clock;
use crate::config::{Config, ProfileChoice};
use crate::desk::{self, Desk, ForgetAnswer};
use crate::forget;
use crate::health;
use crate::identity::Identity;
use crate::line_journal::LineJournal;
use crate::local::{self, Counterpart, StateLock};
use crate::metrics;
use crate::pairing::Follower;
use crate::post_mortem::Shelf;
use crate::printer::{Before, Handover, OpenFeed, Printer, PrinterOptions, feeder};
use crate::rotation::{self, RotationParts, Rotator};
use crate::service;
use crate::spool::{Spool, SpoolOptions};
use crate::store::{Opened, Store, StoreOptions};
use crate::telemetry;
use crate::uplink::{self, UplinkParts, this_agent};
use crate::view::{LinkView, Refusal};

/// How long a stopping agent waits for the backend to acknowledge its last events.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Runs one agent until `stop`. Whoever polls a future of ours compiles all that it calls, so this one is boxed: it is compiled here, and not
/// once more in each program and test that runs an agent.
///
/// # Errors
/// Another agent has the state folder, the configuration names what is not there, or the state cannot be opened.
#[must_use]
pub fn run(config: Config, stop: CancellationToken) -> Running {
    Box::pin(run_whole(config, stop))
}

async fn run_whole(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let _lock = StateLock::take(&config.state_dir)?;
    forget::finish(&config).map_err(|error| Refusal::new(error.fault(), error.to_string()))?;
    telemetry::keep_in(&config.state_dir);
    let clock = Clock::start()?;
    let registry = Arc::new(profiles(&config)?);
    let door = local::bind(&config.socket)?;
    // The printer goes first: a board that restarts when its port is opened does so while the rest is put together.
    let spool = open_spool(&config)?;
    let handover = Handover::find(&journal(&config), clock.boot_id(), feed_of(&spool));
    let is_told = config.printer.port.path().is_some() && config.printer.baud.rate().is_some();
    let start_printer =
        |before, left| Printer::start(printer_options(&config, &registry, before), left, clock.clone());
    let (early, handover) = if is_told || handover.goes_on() {
        (Some(start_printer(Before::default(), handover)?), None)
    } else {
        (None, Some(handover))
    };
    let State { identity, store, opened } = State::open(&config, &clock)?;
    clock.raise_floor(identity.last_hello_ctr());
    let printer = match early {
        Some(printer) => printer,
        None => {
            let before = desk::before(&store, &config.printer).await;
            start_printer(before, handover.unwrap_or_else(Handover::none))?
        }
    };
    let journal =
        LineJournal::open(&config.state_dir, runtime(&config), clock.clone(), printer.snapshot.clone());
    let journal = journal.context("the line journal cannot be opened")?;
    // Once, ahead of every code that the log will have.
    let codes = "`spoolway-agent explain CODE` says what a code means";
    info!(agent = %identity.agent_id(), version = env!("CARGO_PKG_VERSION"), start = ?opened.start, codes, "agent started");

    let (follower, relay, backend) = Follower::begin(&config);
    let servers_by = relay.clone();
    let seams = Seams::new(relay.borrow().as_ref().map(|relay| relay.url.to_string()));
    let shown = seams.telemetry_seen.clone();
    rotation::tell_first(&identity, &store, &clock).await;
    let (rotator, wishes) = Rotator::new();
    let (handle, asks) = Desk::new(&printer, rotator.clone());
    let counterpart = Counterpart {
        counter: handle,
        agent_id: identity.agent_id(),
        public_key: {
            let identity = Arc::clone(&identity);
            Arc::new(move || identity.public_key_b64())
        },
        logs: telemetry::ring(),
        shelf: Shelf::of(&config.state_dir),
    };
    // The desk ends first: while it makes the printer safe people can still look, and the link still tells what it did.
    let others = CancellationToken::new();
    let shut = CancellationToken::new();
    if let Some(address) = config.metrics.listen {
        let (address, counter) = (metrics::bind(address), counterpart.counter.clone());
        let serving = async move { metrics::serve(address.await, counter).await };
        tokio::spawn(shut.clone().run_until_cancelled_owned(serving));
    }
    let serve = tokio::spawn(local::serve(door, counterpart, shut.clone()));
    let promise = health::Promise::default();
    let make = {
        let (identity, clock, store) = (Arc::clone(&identity), clock.clone(), store.clone());
        let (stop, seed) = (printer.stop.clone(), clock.now().as_micros());
        let promise = promise.clone();
        move |relay| UplinkParts {
            relay,
            identity,
            clock,
            store,
            inbound: seams.to_desk,
            stop,
            outbound: seams.to_relay,
            hello: seams.hello_seen,
            telemetered: seams.telemetry_seen,
            wishes: seams.wishes_seen,
            view: seams.link_out,
            printer_id: PrinterId::new(desk::PRINTER_ID).expect("the name is a constant"),
            agent: this_agent(),
            promise,
            seed,
        }
    };
    let rotation = RotationParts {
        identity: Arc::clone(&identity),
        clock: clock.clone(),
        store: store.clone(),
        relay: relay.clone(),
        link: seams.link.clone(),
    };
    tokio::spawn(others.clone().run_until_cancelled_owned(rotation::run(rotation, wishes)));
    let uplink = tokio::spawn(uplink::follow(make, relay, others.clone()));
    tokio::spawn(others.clone().run_until_cancelled_owned(follower.follow()));
    let link = seams.link.clone();
    let watched = health::Parts { printer: printer.runtime.clone(), store: store.clone(), uplink: promise };
    let parts = desk::Parts {
        clock: clock.clone(),
        identity,
        store: store.clone(),
        opened,
        spool,
        journal,
        printer,
        port: config.printer.clone(),
        preflight: config.preflight.clone(),
        bed: config.bed,
        backend,
        update: config.update,
        transfer: config.transfer,
        relay: servers_by,
        inbound: seams.inbound,
        outbound: seams.outbound,
        hello: seams.hello,
        telemetry: seams.telemetry,
        wishes: seams.wishes,
        link: seams.link,
        rotator,
    };
    if let Some(interval) = service::watchdog_interval() {
        tokio::spawn(others.clone().run_until_cancelled_owned(health::watch(watched, interval, move || {
            service::alive(&shown.borrow().readings)
        })));
    }
    service::ready();
    let ended = desk::run(parts, asks, stop).await;
    service::stopping();
    drop(tokio::time::timeout(LAST_WORDS, last_words(&store, &link)).await);
    others.cancel();
    drop(uplink.await);
    let closed = store.close().await;
    let ended = match ended {
        Ok(desk::Remains { forget: Some(answer), .. }) => forgotten(&config, &clock, answer).await,
        Ok(desk::Remains { restart: true, .. }) => closed.map_err(Into::into).and_then(|()| {
            Err(Refusal::new(Fault::AgentRestarted, "the owner wants the agent to begin anew").into())
        }),
        ended => closed.map_err(Into::into).and(ended.map(drop)),
    };
    shut.cancel();
    drop(serve.await);
    info!("agent stopped");
    ended
}

/// The last thing that an agent does. Who has asked is told, and so is whoever has started it.
async fn forgotten(config: &Config, clock: &Clock, answer: ForgetAnswer) -> anyhow::Result<()> {
    telemetry::keep_no_more();
    let forgotten = forget::forget(config, clock).await;
    let forgotten = forgotten.map_err(|error| Refusal::new(error.fault(), error.to_string()));
    let failed = forgotten.as_ref().err().cloned();
    // Who has asked may have left.
    drop(answer.send(forgotten));
    failed.map_or(Ok(()), |refusal| Err(refusal.into()))
}

/// What the state folder holds.
struct State {
    identity: Arc<Identity>,
    store: Store,
    opened: Opened,
}

impl State {
    fn open(config: &Config, clock: &Clock) -> anyhow::Result<Self> {
        let identity = Arc::new(Identity::open(&config.state_dir).context("the agent has no identity")?);
        let (store, opened) =
            Store::open_with(&config.state_dir, &StoreOptions::default(), Some(clock.clone()))
                .context("the database cannot be opened")?;
        Ok(Self { identity, store, opened })
    }
}

fn open_spool(config: &Config) -> anyhow::Result<Spool> {
    let options = SpoolOptions {
        max_bytes: config.spool.max_bytes,
        reserve_bytes: config.spool.reserve_bytes,
        max_body_bytes: config.spool.max_job_bytes,
        ..SpoolOptions::default()
    };
    Spool::open(&config.state_dir.join("spool"), options).context("the spool cannot be opened")
}

/// The journal of the conversation lies beside the socket: it outlives the process, and a boot takes it.
fn journal(config: &Config) -> PathBuf {
    runtime(config).join("print.journal")
}

/// Where the socket lies, and what a boot takes.
pub(crate) fn runtime(config: &Config) -> &Path {
    config.socket.parent().unwrap_or(Path::new(""))
}

/// Opens the file of a job that goes on, behind a place in it.
fn feed_of(spool: &Spool) -> OpenFeed {
    let spool = spool.clone();
    Box::new(move |ticket, behind, framed| {
        let subject = &ticket.subject;
        if framed < subject.preamble {
            return Err(
                "what goes ahead of the rest of an interrupted print had not been carried out".to_owned()
            );
        }
        let mut body = spool.read(&subject.sha256).map_err(|error| error.to_string())?;
        body.seek_byte(behind.byte).map_err(|error| error.to_string())?;
        feeder::start_behind(body, Reader::behind(behind), Batch::default())
            .map_err(|error| error.to_string())
    })
}

/// Both ends of every channel between desk and uplink.
struct Seams {
    to_desk: mpsc::Sender<Inbound>,
    inbound: mpsc::Receiver<Inbound>,
    outbound: mpsc::Sender<Outbound>,
    to_relay: mpsc::Receiver<Outbound>,
    hello: watch::Sender<HelloState>,
    hello_seen: watch::Receiver<HelloState>,
    telemetry: watch::Sender<Telemetered>,
    telemetry_seen: watch::Receiver<Telemetered>,
    wishes: watch::Sender<Wishes>,
    wishes_seen: watch::Receiver<Wishes>,
    link_out: watch::Sender<LinkView>,
    link: watch::Receiver<LinkView>,
}

impl Seams {
    fn new(relay: Option<String>) -> Self {
        let (to_desk, inbound) = mpsc::channel(INBOUND);
        let (outbound, to_relay) = mpsc::channel(OUTBOUND);
        let (hello, hello_seen) = watch::channel(HelloState::default());
        let (telemetry, telemetry_seen) = watch::channel(Telemetered::default());
        let (wishes, wishes_seen) = watch::channel(Wishes::default());
        let (link_out, link) = watch::channel(LinkView { relay, ..LinkView::default() });
        Self {
            to_desk,
            inbound,
            outbound,
            to_relay,
            hello,
            hello_seen,
            telemetry,
            telemetry_seen,
            wishes,
            wishes_seen,
            link_out,
            link,
        }
    }
}

/// Waits until the backend has acknowledged everything, while there is a session; what is left is told after the next
/// start.
async fn last_words(store: &Store, link: &watch::Receiver<LinkView>) {
    while link.borrow().up {
        match store.outbox_status().await {
            Ok(status) if status.oldest_unacked.is_some() => tokio::time::sleep(LAST_WORDS / 40).await,
            _ => return,
        }
    }
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

fn printer_options(config: &Config, registry: &Arc<Registry>, before: Before) -> PrinterOptions {
    PrinterOptions {
        port: config.printer.port.clone(),
        baud: config.printer.baud,
        parity_workaround: config.printer.parity_workaround,
        before,
        root: "/".into(),
        profile: match &config.printer.profile {
            ProfileChoice::Auto => None,
            ProfileChoice::Id(id) => Some(id.clone()),
        },
        registry: Arc::clone(registry),
        safety: config.safety.clone(),
        dump_folder: Some(config.state_dir.clone()),
    }
}
