//! A desk over a folder; the test is its printer and its backend, and may end it as a kill would.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spoolway_agent::bus::{HelloState, INBOUND, Inbound, ORDERS, OUTBOUND, Outbound, Telemetered, Wishes};
use spoolway_agent::clock::{Clock, Hands};
use spoolway_agent::config::{self, BackendKey, BedConfirm, ProfileChoice};
use spoolway_agent::desk::{self, Asks, Desk, Parts};
use spoolway_agent::identity::Identity;
use spoolway_agent::line_journal::LineJournal;
use spoolway_agent::local::{Counter, PrintWishes};
use spoolway_agent::printer::{Known, Order, Printer, Readied, Run, RunEnd, RunPhase, Snapshot, Ticket};
use spoolway_agent::rotation::Rotator;
use spoolway_agent::spool::{Spool, SpoolOptions};
use spoolway_agent::store::{Store, StoreOptions};
use spoolway_agent::uplink::RelaySettings;
use spoolway_agent::view::{JobView, LinkView};
use spoolway_agent_core::stream::{Progress, Stats};
use spoolway_firmware_profiles::{FirmwareReport, Registry};
use spoolway_protocol::JobState;
use spoolway_protocol::printer::PrinterState;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::server::Server;

/// Only something that hangs reaches it.
pub(crate) const HANG: Duration = Duration::from_secs(60);
const GCODE: &str = "G28\nG1 X1 F600\nG1 X2\nG1 X3\n";

/// One life of a desk.
pub(crate) struct Rig {
    pub(crate) desk: Desk,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) hello: watch::Receiver<HelloState>,
    pub(crate) snapshot: watch::Sender<Snapshot>,
    pub(crate) inbound: mpsc::Sender<Inbound>,
    pub(crate) outbound: mpsc::Receiver<Outbound>,
    pub(crate) wishes: watch::Receiver<Wishes>,
    task: JoinHandle<()>,
    /// Of the last command.
    pub(crate) seq: u64,
    /// In which role an update is wished; all else is an operator's.
    pub(crate) update_role: &'static str,
    /// The run of the process before.
    taken: Option<u64>,
    /// The run that was ordered last, and how many were.
    last_run: u64,
    starts: usize,
    _seams: (watch::Receiver<Telemetered>, watch::Sender<LinkView>),
}

/// A G-code file in this folder.
pub(crate) fn gcode(folder: &std::path::Path, text: &str) -> PathBuf {
    let file = folder.join("part.gcode");
    std::fs::write(&file, text).unwrap();
    file
}

impl Rig {
    /// A desk over what the folder holds, with an idle printer.
    pub(crate) fn open(folder: &std::path::Path, confirm: BedConfirm) -> Self {
        Self::open_with(folder, confirm, config::Preflight::default(), None)
    }

    /// The same with a printer that is switched off.
    pub(crate) fn open_without_printer(folder: &std::path::Path) -> Self {
        let clock = Clock::start().unwrap();
        Self::live(folder, BedConfirm::Required, Default::default(), Default::default(), None, (clock, None))
    }

    /// The same, where it is known from the beginning what time it is.
    pub(crate) fn open_with_clock(folder: &std::path::Path, unix_ms: u64) -> Self {
        let clock = Clock::start().unwrap();
        clock.learn_relay_time(unix_ms);
        Self::live(folder, BedConfirm::Required, Default::default(), Default::default(), None, (clock, None))
    }

    /// The same with an idle printer, where the authority of this server is trusted.
    pub(crate) fn open_by(folder: &std::path::Path, server: &Server) -> Self {
        Self::open_on_way(folder, server.way())
    }

    /// The same, where files are fetched on this way.
    pub(crate) fn open_on_way(folder: &std::path::Path, by: RelaySettings) -> Self {
        let clock = Clock::start().unwrap();
        let confirm = BedConfirm::Required;
        Self::live(folder, confirm, Default::default(), Default::default(), None, (clock, Some(by)))
            .with_printer(None)
    }

    /// The same, where no backend may have the agent updated.
    pub(crate) fn open_not_to_be_updated(folder: &std::path::Path) -> Self {
        let clock = (Clock::start().unwrap(), None);
        Self::live_with(
            folder,
            BedConfirm::Required,
            Default::default(),
            Default::default(),
            None,
            clock,
            false,
        )
    }

    /// The desk has done everything that it was told before.
    pub(crate) async fn desk_is_there(&self) {
        self.desk.status().await.unwrap();
    }

    /// The same with an idle printer, and with clocks whose hands the test moves.
    pub(crate) fn open_with_hands(
        folder: &std::path::Path,
        hands: &Arc<Hands>,
        taken: Option<(Ticket, RunPhase)>,
    ) -> Self {
        let (ticket, phase) = taken.unzip();
        let clock = Clock::with_hands("boot-1".parse().unwrap(), Arc::clone(hands));
        let confirm = BedConfirm::NotRequired;
        Self::live(folder, confirm, Default::default(), Default::default(), ticket, (clock, None))
            .with_printer(phase)
    }

    /// The same, when the printer thread has taken a run over from the process before, and how that does.
    pub(crate) fn open_after(
        folder: &std::path::Path,
        confirm: BedConfirm,
        taken: Option<(Ticket, RunPhase)>,
    ) -> Self {
        Self::open_with(folder, confirm, config::Preflight::default(), taken)
    }

    /// The same, where something is known of the printer.
    pub(crate) fn open_with(
        folder: &std::path::Path,
        confirm: BedConfirm,
        preflight: config::Preflight,
        taken: Option<(Ticket, RunPhase)>,
    ) -> Self {
        let (ticket, phase) = taken.unzip();
        let clock = Clock::start().unwrap();
        Self::live(folder, confirm, preflight, Default::default(), ticket, (clock, None)).with_printer(phase)
    }

    /// The same, where starts of the backend need a permit of this key.
    pub(crate) fn open_signed(
        folder: &std::path::Path,
        key: BackendKey,
        taken: Option<(Ticket, RunPhase)>,
    ) -> Self {
        let (ticket, phase) = taken.unzip();
        let backend = config::Backend { key: Some(key), ..Default::default() };
        let clock = Clock::start().unwrap();
        let confirm = BedConfirm::NotRequired;
        Self::live(folder, confirm, Default::default(), backend, ticket, (clock, None)).with_printer(phase)
    }

    /// The same, where the operator lets the backend have records.
    pub(crate) fn open_giving_records(folder: &std::path::Path) -> Self {
        let backend = config::Backend { records: true, ..Default::default() };
        let clock = Clock::start().unwrap();
        let confirm = BedConfirm::NotRequired;
        Self::live(folder, confirm, Default::default(), backend, None, (clock, None)).with_printer(None)
    }

    /// The printer is switched on; `phase` is that of the run that was taken over.
    fn with_printer(self, phase: Option<RunPhase>) -> Self {
        self.snapshot.send_replace(idle());
        if let (Some(run), Some(phase)) = (self.taken, phase) {
            self.run(run, phase);
        }
        self
    }

    fn live(
        folder: &std::path::Path,
        confirm: BedConfirm,
        preflight: config::Preflight,
        backend: config::Backend,
        taken: Option<Ticket>,
        clock: (Clock, Option<RelaySettings>),
    ) -> Self {
        Self::live_with(folder, confirm, preflight, backend, taken, clock, true)
    }

    fn live_with(
        folder: &std::path::Path,
        confirm: BedConfirm,
        preflight: config::Preflight,
        backend: config::Backend,
        taken: Option<Ticket>,
        (clock, by): (Clock, Option<RelaySettings>),
        is_updated: bool,
    ) -> Self {
        let options = StoreOptions { group_ms: 2, ..StoreOptions::default() };
        let (store, opened) = Store::open(folder, &options).unwrap();
        let spool = SpoolOptions { reserve_bytes: 0, ..SpoolOptions::default() };
        let spool = Spool::open(&folder.join("spool"), spool).unwrap();
        let (order, orders) = mpsc::channel(ORDERS);
        let (snapshot, seen) = watch::channel(Snapshot::default());
        let journal = LineJournal::open(folder, folder, clock.clone(), seen.clone()).unwrap();
        let mut printer = Printer::played(order, seen);
        let run = taken.as_ref().map(|ticket| ticket.subject.run);
        printer.taken = taken;
        let (to_desk, inbound) = mpsc::channel(INBOUND);
        let (to_relay, outbound) = mpsc::channel(OUTBOUND);
        let (hello_out, hello) = watch::channel(HelloState::default());
        let (telemetry, telemetered) = watch::channel(Telemetered::default());
        let (wishes_out, wishes) = watch::channel(Wishes::default());
        let (link_out, link) = watch::channel(LinkView::default());
        let (rotator, _) = Rotator::new();
        let (desk, asks) = Desk::new(&printer, rotator.clone());
        let parts = Parts {
            clock: clock.clone(),
            identity: Arc::new(Identity::open(folder).unwrap()),
            store: store.clone(),
            opened,
            spool,
            journal,
            printer,
            port: config::Printer {
                port: PathBuf::from("/dev/played").into(),
                baud: 115_200.into(),
                profile: ProfileChoice::Auto,
                parity_workaround: false,
            },
            preflight,
            bed: config::Bed { confirm },
            backend: watch::channel(backend).1,
            update: config::Update { allow: is_updated },
            transfer: config::Transfer::default(),
            relay: watch::channel(by).1,
            inbound,
            outbound: to_relay,
            hello: hello_out,
            telemetry,
            wishes: wishes_out,
            link,
            rotator,
        };
        let task = tokio::spawn(live(parts, asks));
        let seams = (telemetered, link_out);
        Self {
            desk,
            store,
            clock,
            orders,
            hello,
            snapshot,
            inbound: to_desk,
            outbound,
            wishes,
            task,
            seq: 0,
            update_role: "admin",
            taken: run,
            last_run: 0,
            starts: 0,
            _seams: seams,
        }
    }

    /// The process is gone from one moment to the next: nothing is closed, and nothing is said. A process that is gone writes
    /// nothing any more either, so the thread of its storage is waited for.
    pub(crate) async fn kill(self) {
        let Self { task, store, .. } = self;
        let mut committed = store.subscribe();
        drop(store);
        task.abort();
        drop(task.await);
        let ends = async { while committed.changed().await.is_ok() {} };
        tokio::time::timeout(HANG, ends).await.expect("the storage has an end");
    }

    /// Asks until the answer is there.
    pub(crate) async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut(&Self) -> Option<T>) -> T {
        let hung = Instant::now() + HANG;
        loop {
            if let Some(found) = look(self).await {
                return found;
            }
            let jobs = self.desk.jobs().await;
            assert!(Instant::now() < hung, "waited for {what}: {jobs:#?}");
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn job(&self, id: &str) -> JobView {
        let jobs = self.desk.jobs().await.unwrap();
        jobs.into_iter().find(|job| job.job_id.as_str() == id).unwrap()
    }

    pub(crate) async fn until_job(&self, id: &str, state: JobState) -> JobView {
        let what = format!("{id} to be {state}");
        self.until(&what, async |rig| Some(rig.job(id).await).filter(|job| job.state == state)).await
    }

    /// A file of this machine, queued to start by itself.
    pub(crate) async fn print(&self, folder: &std::path::Path) -> String {
        self.print_text(folder, GCODE).await
    }

    /// The same with a file of one's own.
    pub(crate) async fn print_text(&self, folder: &std::path::Path, text: &str) -> String {
        let file = gcode(folder, text);
        self.desk.print_file(file, PrintWishes::default()).await.unwrap().job_id.to_string()
    }

    /// The next start that is ordered.
    pub(crate) async fn started(&mut self) -> u64 {
        self.ticket().await.subject.run
    }

    /// The next start that is ordered, as the process after this one would know it.
    pub(crate) async fn ticket(&mut self) -> Ticket {
        loop {
            let order = tokio::time::timeout(HANG, self.orders.recv()).await.expect("a start is ordered");
            if let Some(ticket) = self.take(order.unwrap()) {
                return ticket;
            }
        }
    }

    /// The printer is switched off, or on again.
    pub(crate) fn power(&self, on: bool) {
        self.snapshot.send_replace(if on { idle() } else { Snapshot::default() });
    }

    fn take(&mut self, order: Order) -> Option<Ticket> {
        let Order::Start { run, ticket, .. } = order else { return None };
        self.last_run = run;
        self.starts += 1;
        Some(*ticket)
    }

    /// The next start, if one is ordered already.
    pub(crate) fn start_ordered(&mut self) -> Option<u64> {
        while let Ok(order) = self.orders.try_recv() {
            if let Some(ticket) = self.take(order) {
                return Some(ticket.subject.run);
            }
        }
        None
    }

    /// How many starts were ordered in all.
    pub(crate) fn starts_ordered(&mut self) -> usize {
        while self.start_ordered().is_some() {}
        self.starts
    }

    /// The run that was ordered last is over, and all of it was printed.
    pub(crate) async fn end_run(&self) {
        self.run(self.last_run, RunPhase::Ended(RunEnd::Completed));
    }

    /// The printer says how the run does.
    pub(crate) fn run(&self, id: u64, phase: RunPhase) {
        self.run_at(id, phase, Progress::default());
    }

    /// The same with how far it is.
    pub(crate) fn run_at(&self, id: u64, phase: RunPhase, progress: Progress) {
        self.run_behind(id, phase, 4, progress);
    }

    /// The same with how many lines were sent as well.
    pub(crate) fn run_behind(&self, id: u64, phase: RunPhase, sent: u64, progress: Progress) {
        let ended = matches!(phase, RunPhase::Ended(_)).then(|| self.clock.now());
        let stats = Stats { job_lines_sent: sent, ..Stats::default() };
        self.say(Run { id, phase, progress, stats, paused: Duration::ZERO, ended, cause: None });
    }

    /// The printer says this.
    pub(crate) fn say(&self, run: Run) {
        let state = match run.phase {
            RunPhase::Starting | RunPhase::Printing => PrinterState::Printing,
            RunPhase::Paused => PrinterState::Paused,
            RunPhase::Ended(_) => PrinterState::Idle,
        };
        self.snapshot.send_modify(|snapshot| {
            snapshot.state = state;
            snapshot.run = Some(run);
        });
    }

    /// Prints the next start to its end.
    pub(crate) async fn print_through(&mut self, id: &str) {
        let run = self.started().await;
        self.run(run, RunPhase::Printing);
        self.until_job(id, JobState::Printing).await;
        self.run(run, RunPhase::Ended(RunEnd::Completed));
        self.until("the print to be over", async |rig| {
            (!rig.job(id).await.state.holds_printer()).then_some(())
        })
        .await;
    }

    /// Somebody presses the printer's button that says it is ready.
    pub(crate) fn press_ready(&self, run: u64) {
        self.snapshot.send_modify(|snapshot| {
            let count = snapshot.readied.map_or(0, |before| before.count) + 1;
            snapshot.readied = Some(Readied { count, run });
        });
    }
}

async fn live(parts: Parts, asks: Asks) {
    drop(desk::run(parts, asks, CancellationToken::new()).await.unwrap());
}

fn idle() -> Snapshot {
    let profile = Registry::built_in().get("marlin").unwrap().profile.clone();
    let known = Known {
        profile,
        origin: "built in".to_owned(),
        report: FirmwareReport { name: Some("Marlin 2.1".to_owned()), ..FirmwareReport::default() },
        port: "/dev/played".into(),
        baud: 115_200,
        has_just_started: false,
        found: None,
    };
    Snapshot { state: PrinterState::Idle, known: Some(Arc::new(known)), ..Snapshot::default() }
}
