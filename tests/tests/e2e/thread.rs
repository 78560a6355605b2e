//! A printer thread alone: what it is told and what it shows, without a desk that would look at a file first.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spoolway_agent::clock::Clock;
use spoolway_agent::config::Safety;
use spoolway_agent::line_journal::Subject;
use spoolway_agent::printer::feeder::Feed;
use spoolway_agent::printer::{Before, Handover, Order, Printer, PrinterOptions, Snapshot, Ticket};
use spoolway_agent_core::gcode::Position;
use spoolway_firmware_profiles::Registry;
use spoolway_protocol::printer::PrinterState;
use spoolway_tests::at_port::{BAUD, HANG};
use tokio::sync::mpsc;

/// The thread, and the clock by which it lives.
pub(crate) struct PrinterThread {
    pub(crate) clock: Clock,
    pub(crate) printer: Printer,
}

impl PrinterThread {
    pub(crate) fn start(port: PathBuf, safety: Safety, registry: Registry, profile: &str) -> Self {
        Self::start_behind(|_| Handover::none(), port, safety, registry, profile)
    }

    /// The same with what a process before has left.
    pub(crate) fn start_behind(
        left: impl FnOnce(&Clock) -> Handover,
        port: PathBuf,
        safety: Safety,
        registry: Registry,
        profile: &str,
    ) -> Self {
        let clock = Clock::start().unwrap();
        let options = PrinterOptions {
            port: port.into(),
            baud: BAUD.into(),
            parity_workaround: false,
            before: Before::default(),
            root: "/".into(),
            profile: Some(profile.to_owned()),
            registry: Arc::new(registry),
            safety,
            dump_folder: None,
        };
        Self { printer: Printer::start(options, left(&clock), clock.clone()).unwrap(), clock }
    }

    pub(crate) fn until<T>(&self, what: &str, mut look: impl FnMut(&Snapshot) -> Option<T>) -> T {
        let hung = Instant::now() + HANG;
        loop {
            let now = self.printer.snapshot.borrow().clone();
            if let Some(found) = look(&now) {
                return found;
            }
            assert!(Instant::now() < hung, "waited for {what}: {now:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn order(&self, order: Order) {
        self.printer.orders.blocking_send(order).unwrap();
    }

    /// Starts a job once the printer is idle.
    pub(crate) fn print(&self, feed: mpsc::Receiver<Feed>) {
        self.print_as(1, feed);
    }

    /// The same as a run of this name.
    pub(crate) fn print_as(&self, run: u64, feed: mpsc::Receiver<Feed>) {
        let known =
            self.until("the printer", |now| now.known.clone().filter(|_| now.state == PrinterState::Idle));
        self.order(Order::Start { run, known, ticket: Box::new(self.ticket(run)), feed });
    }

    fn ticket(&self, run: u64) -> Ticket {
        Ticket {
            job_id: "j1".parse().unwrap(),
            subject: Subject {
                run,
                job_id: "j1".to_owned(),
                attempt: 1,
                sha256: "0".repeat(64),
                from: Position::default(),
                commands_before: 0,
                preamble: 0,
            },
            owner: "local".to_owned(),
            file_id: "f1".parse().unwrap(),
            size: 1,
            name: "part.gcode".to_owned(),
            commands: 1,
            layers: 0,
            started: self.clock.stamp(),
            permit: None,
        }
    }

    /// Ends it, and waits until it has.
    pub(crate) fn leave(self) {
        self.order(Order::Leave);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.printer.join());
    }
}
