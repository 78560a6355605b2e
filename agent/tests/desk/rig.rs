//! A desk over a folder; the test is its printer and its backend, and may end it as a kill would.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spoolway_agent::bus::{HelloState, INBOUND, Inbound, ORDERS, OUTBOUND, Outbound, Telemetered};
use spoolway_agent::clock::Clock;
use spoolway_agent::config::{self, BackendKey, BedConfirm, ProfileChoice};
use spoolway_agent::desk::{self, Asks, Desk, Parts};
use spoolway_agent::identity::Identity;
use spoolway_agent::line_journal::LineJournal;
use spoolway_agent::local::{Counter, PrintWishes};
use spoolway_agent::printer::{Known, Order, Printer, Readied, Run, RunEnd, RunPhase, Snapshot, Ticket};
use spoolway_agent::spool::{Spool, SpoolOptions};
use spoolway_agent::store::{Position, Store, StoreOptions, StoredEvent};
use spoolway_agent::view::{JobView, LinkView};
use spoolway_agent_core::stream::{Progress, Stats};
use spoolway_firmware_profiles::{FirmwareReport, Registry};
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::{CmdId, JobState};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Only something that hangs reaches it.
const HANG: Duration = Duration::from_secs(60);
const GCODE: &str = "G28\nG1 X1 F600\nG1 X2\nG1 X3\n";

/// One life of a desk.
pub(crate) struct Rig {
    pub(crate) desk: Desk,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) hello: watch::Receiver<HelloState>,
    snapshot: watch::Sender<Snapshot>,
    inbound: mpsc::Sender<Inbound>,
    task: JoinHandle<()>,
    seq: u64,
    /// The run of the process before.
    taken: Option<u64>,
    /// The run that was ordered last, and how many were.
    last_run: u64,
    starts: usize,
    _seams: (mpsc::Receiver<Outbound>, watch::Receiver<Telemetered>, watch::Sender<LinkView>),
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
        Self::live(folder, BedConfirm::Required, Default::default(), Default::default(), None)
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
        Self::live(folder, confirm, preflight, Default::default(), ticket).with_printer(phase)
    }

    /// The same, where starts of the backend need a permit of this key.
    pub(crate) fn open_signed(
        folder: &std::path::Path,
        key: BackendKey,
        taken: Option<(Ticket, RunPhase)>,
    ) -> Self {
        let (ticket, phase) = taken.unzip();
        let backend = config::Backend { key: Some(key), ..Default::default() };
        Self::live(folder, BedConfirm::NotRequired, Default::default(), backend, ticket).with_printer(phase)
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
    ) -> Self {
        let options = StoreOptions { group_ms: 2, ..StoreOptions::default() };
        let (store, opened) = Store::open(folder, &options).unwrap();
        let spool = SpoolOptions { reserve_bytes: 0, ..SpoolOptions::default() };
        let spool = Spool::open(&folder.join("spool"), spool).unwrap();
        let (order, orders) = mpsc::channel(ORDERS);
        let (snapshot, seen) = watch::channel(Snapshot::default());
        let clock = Clock::start().unwrap();
        let journal = LineJournal::open(folder, clock.clone(), seen.clone()).unwrap();
        let mut printer = Printer::played(order, seen);
        let run = taken.as_ref().map(|ticket| ticket.subject.run);
        printer.taken = taken;
        let (to_desk, inbound) = mpsc::channel(INBOUND);
        let (to_relay, outbound) = mpsc::channel(OUTBOUND);
        let (hello_out, hello) = watch::channel(HelloState::default());
        let (telemetry, telemetered) = watch::channel(Telemetered::default());
        let (link_out, link) = watch::channel(LinkView::default());
        let (desk, asks) = Desk::new(&printer);
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
            backend,
            inbound,
            outbound: to_relay,
            hello: hello_out,
            telemetry,
            link,
        };
        let task = tokio::spawn(live(parts, asks));
        let seams = (outbound, telemetered, link_out);
        Self {
            desk,
            store,
            clock,
            orders,
            hello,
            snapshot,
            inbound: to_desk,
            task,
            seq: 0,
            taken: run,
            last_run: 0,
            starts: 0,
            _seams: seams,
        }
    }

    /// The process is gone from one moment to the next: nothing is closed, and nothing is said.
    pub(crate) async fn kill(self) {
        self.task.abort();
        drop(self.task.await);
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

    /// Digest and size of a job's file that is here.
    pub(crate) async fn job_file(&self) -> (String, u64) {
        let rows = self.store.jobs().await.unwrap();
        let row = rows.iter().find(|row| row.state == "queued").unwrap();
        let offer: Value = serde_json::from_str(&row.body_json).unwrap();
        (row.sha256.clone().unwrap(), offer["file"]["size"].as_u64().unwrap())
    }

    /// No event is missing or told twice, and each job's revisions stand in one event each, up to that of its row.
    pub(crate) async fn assert_told_once(&self) {
        let events = self.events().await;
        let mut places: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let mut revisions: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for event in &events {
            places.entry(event.position.epoch).or_default().push(event.position.seq);
            if ["job.state", "job.updated"].contains(&event.event.kind.as_str()) {
                let data: Value = serde_json::from_str(&event.event.data_json).unwrap();
                let id = event.event.job_id.clone().unwrap();
                revisions.entry(id).or_default().push(data["rev"].as_u64().unwrap());
            }
        }
        for (epoch, seqs) in places {
            assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "epoch {epoch}");
        }
        let rows = self.store.jobs().await.unwrap();
        assert_eq!(rows.len(), revisions.len());
        for row in rows {
            assert_eq!(revisions[&row.job_id], (1..=row.rev).collect::<Vec<_>>(), "{}", row.job_id);
        }
    }

    /// The printer says how the run does.
    pub(crate) fn run(&self, id: u64, phase: RunPhase) {
        self.run_at(id, phase, Progress::default());
    }

    /// The same with how far it is.
    pub(crate) fn run_at(&self, id: u64, phase: RunPhase, progress: Progress) {
        let ended = matches!(phase, RunPhase::Ended(_)).then(|| self.clock.now());
        let stats = Stats { job_lines_sent: 4, ..Stats::default() };
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

    /// A command of the backend; gives its name.
    pub(crate) async fn command(&mut self, kind: &str, args: Value) -> String {
        // Another life goes on counting where the last one ended.
        self.seq = self.seq.max(self.store.highest_command_seq().await.unwrap()) + 1;
        let cmd_id = CmdId::from_parts(1_760_000_000_000 + self.seq, &[1; 10]);
        let command = json!({
            "cmd_id": cmd_id, "seq": self.seq, "kind": kind, "args": args,
            "actor": {"id": "anna", "role": "operator"},
        });
        let command = Box::new(serde_json::from_value(command).unwrap());
        let inbound = Inbound::Command { command, lane: None, ttl_ms: None, age_ms: 0, has_stopped: false };
        self.inbound.send(inbound).await.unwrap();
        cmd_id.to_string()
    }

    /// Gives a command and waits for its result: its status and its code.
    pub(crate) async fn result(&mut self, kind: &str, args: Value) -> (String, Option<String>) {
        let cmd_id = self.command(kind, args).await;
        self.until("a command's result", async |rig| {
            let told = rig.told("cmd.result").await;
            let ours = told.into_iter().find(|data| data["cmd_id"] == cmd_id.as_str())?;
            Some((text(&ours["status"]), ours["code"].as_str().map(str::to_owned)))
        })
        .await
    }

    /// All events that nobody has acknowledged.
    pub(crate) async fn events(&self) -> Vec<StoredEvent> {
        self.store.events_after(Position::default(), 100_000, u64::MAX).await.unwrap()
    }

    /// The data of all events of a kind.
    pub(crate) async fn told(&self, kind: &str) -> Vec<Value> {
        let events = self.events().await;
        let ours = events.into_iter().filter(|event| event.event.kind == kind);
        ours.map(|event| serde_json::from_str(&event.event.data_json).unwrap()).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
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
