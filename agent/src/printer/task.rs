//! The printer thread's main loop: wait for the port, ask who is there, converse until it is lost.

use std::sync::Arc;
use std::time::Duration;

use spoolway_agent_core::greeting::{Greeted, Greeting, GreetingOptions, GreetingOutput, Unanswered};
use spoolway_firmware_profiles::identify;
use spoolway_protocol::Fault;
use spoolway_protocol::printer::PrinterState;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::conversation::{self, Next};
use super::faults;
use super::port::{OpenPortError, Port, PortLost};
use super::wirelog::{Speaker, WireLog};
use super::{Known, Order, PrinterOptions, Run, RunEnd, RunPhase, Snapshot};
use crate::clock::Clock;

/// How often a port that cannot be opened is tried again.
const REOPEN: Duration = Duration::from_secs(1);

/// What lives as long as the thread.
pub(super) struct Bench {
    pub(super) options: PrinterOptions,
    pub(super) clock: Clock,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) publish: watch::Sender<Snapshot>,
    pub(super) wirelog: WireLog,
    /// The cancel script has to run before anything else.
    pub(super) make_safe: bool,
}

/// The thread has been told to leave.
pub(super) struct Leave;

pub(super) async fn run(
    options: PrinterOptions,
    clock: Clock,
    orders: mpsc::Receiver<Order>,
    publish: watch::Sender<Snapshot>,
) {
    let wirelog = WireLog::default();
    let mut bench = Bench { options, clock, orders, publish, wirelog, make_safe: false };
    while let Ok(port) = bench.wait_for_port().await {
        match bench.serve(port).await {
            Ok(Leave) => return,
            Err(lost) => bench.lose(&lost),
        }
    }
}

impl Bench {
    /// Tries to open the port until it is there.
    async fn wait_for_port(&mut self) -> Result<Port, Leave> {
        let mut told: Option<OpenPortError> = None;
        loop {
            match Port::open(&self.options.port, self.options.baud) {
                Ok(port) => {
                    info!(port = %self.options.port.display(), baud = self.options.baud, "port opened");
                    self.set_state(PrinterState::Connecting, None);
                    return Ok(port);
                }
                Err(error) => {
                    if told.as_ref() != Some(&error) {
                        warn!(code = error.fault.code(), %error, help = error.fault.help(), "cannot open the port");
                        self.set_state(PrinterState::Offline, Some((error.fault, error.to_string())));
                        told = Some(error);
                    }
                }
            }
            let retry = tokio::time::sleep(REOPEN);
            tokio::pin!(retry);
            loop {
                tokio::select! {
                    order = self.orders.recv() => self.refuse(order)?,
                    () = &mut retry => break,
                }
            }
        }
    }

    /// Asks who is there and converses, again and again on the same port.
    async fn serve(&mut self, mut port: Port) -> Result<Leave, PortLost> {
        loop {
            let Some(greeted) = self.greet(&mut port).await? else { return Ok(Leave) };
            let Some(known) = self.know(greeted) else { return Ok(Leave) };
            match conversation::run(self, &mut port, known).await? {
                Next::Leave => return Ok(Leave),
                Next::Greet => {}
            }
        }
    }

    async fn greet(&mut self, port: &mut Port) -> Result<Option<Greeted>, PortLost> {
        let mut told = None;
        loop {
            let mut greeting = Greeting::new(GreetingOptions::default(), self.clock.now());
            match self.ask(port, &mut greeting).await? {
                Ask::Leave => return Ok(None),
                Ask::Greeted(greeted) => return Ok(Some(greeted)),
                Ask::Unanswered(why) => {
                    if told != Some(why) {
                        let fault = faults::of_silence(why);
                        warn!(code = fault.code(), %why, help = fault.help(), "the printer does not answer");
                        self.publish.send_modify(|snapshot| {
                            if snapshot.state != PrinterState::Halted {
                                snapshot.state = PrinterState::Error;
                                snapshot.fault = Some((fault, why.to_string()));
                            }
                        });
                        told = Some(why);
                    }
                }
            }
        }
    }

    async fn ask(&mut self, port: &mut Port, greeting: &mut Greeting) -> Result<Ask, PortLost> {
        loop {
            let now = self.clock.now();
            let until = match greeting.poll_output(now) {
                GreetingOutput::Write(bytes) => {
                    self.wirelog.note(now, Speaker::Agent, &bytes);
                    port.write(&bytes)?;
                    continue;
                }
                GreetingOutput::Greeted(greeted) => return Ok(Ask::Greeted(greeted)),
                GreetingOutput::Unanswered(why) => return Ok(Ask::Unanswered(why)),
                GreetingOutput::Wait(until) => until,
            };
            tokio::select! {
                biased;
                order = self.orders.recv() => {
                    if matches!(order, Some(Order::EmergencyStop)) {
                        // Nobody is known yet, and everybody who listens to G-code knows this one.
                        port.write(b"\nM112\n")?;
                    }
                    if self.refuse(order).is_err() {
                        return Ok(Ask::Leave);
                    }
                }
                bytes = port.read() => {
                    let bytes = bytes?;
                    let now = self.clock.now();
                    self.wirelog.note(now, Speaker::Printer, bytes);
                    greeting.handle_bytes(now, bytes);
                }
                () = tokio::time::sleep(until - now) => {}
            }
        }
    }

    /// Chooses the profile. A profile that the configuration names and nobody knows was refused at the start.
    fn know(&mut self, greeted: Greeted) -> Option<Arc<Known>> {
        let registry = Arc::clone(&self.options.registry);
        let chosen = match &self.options.profile {
            Some(id) => registry.get(id).ok()?,
            None => identify(&registry, &greeted.banners, &greeted.report),
        };
        let known = Known {
            profile: chosen.profile.clone(),
            origin: chosen.origin.to_string(),
            report: greeted.report,
        };
        info!(firmware = known.firmware(), profile = known.profile.id, "printer answers");
        Some(Arc::new(known))
    }

    /// An order that needs a printer that answers.
    fn refuse(&mut self, order: Option<Order>) -> Result<(), Leave> {
        match order {
            None | Some(Order::Leave) => return Err(Leave),
            Some(Order::MakeSafe) => self.make_safe = true,
            Some(Order::Start { run, .. }) => {
                let (fault, text) = self.publish.borrow().fault.clone().unwrap_or_else(|| {
                    (Fault::FirmwareSilent, "the printer has not answered yet".to_owned())
                });
                self.publish.send_modify(|snapshot| snapshot.run = Some(Run::refused(run, fault, text)));
            }
            Some(Order::Pause | Order::Resume | Order::Cancel | Order::EmergencyStop) => {}
        }
        let unsafe_yet = self.make_safe;
        self.publish.send_modify(|snapshot| snapshot.unsafe_yet = unsafe_yet);
        Ok(())
    }

    /// The cable was pulled, or the printer was switched off: a state, not an error of the agent.
    fn lose(&mut self, lost: &PortLost) {
        let text = format!("{}: {lost}", self.options.port.display());
        warn!(code = Fault::PortLost.code(), port = %self.options.port.display(), %lost, "port lost");
        let interrupted = self.publish.borrow().run.as_ref().is_some_and(|run| !run.is_over());
        self.make_safe |= interrupted;
        let unsafe_yet = self.make_safe;
        self.publish.send_modify(|snapshot| {
            if let Some(run) = snapshot.run.as_mut().filter(|run| !run.is_over()) {
                run.phase = RunPhase::Ended(RunEnd::Interrupted(Fault::PortLost, text.clone()));
            }
            snapshot.state = PrinterState::Offline;
            snapshot.known = None;
            snapshot.unsafe_yet = unsafe_yet;
            snapshot.fault = Some((Fault::PortLost, text));
        });
    }

    pub(super) fn set_state(&self, state: PrinterState, fault: Option<(Fault, String)>) {
        self.publish.send_modify(|snapshot| {
            snapshot.state = state;
            snapshot.fault = fault;
        });
    }
}

enum Ask {
    Greeted(Greeted),
    Unanswered(Unanswered),
    Leave,
}

impl Run {
    pub(super) fn new(id: u64) -> Self {
        Self {
            id,
            phase: RunPhase::Starting,
            progress: Default::default(),
            stats: Default::default(),
            paused: Duration::ZERO,
        }
    }

    fn refused(id: u64, fault: Fault, text: String) -> Self {
        Self { phase: RunPhase::Ended(RunEnd::Interrupted(fault, text)), ..Self::new(id) }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, RunPhase::Ended(_))
    }
}
