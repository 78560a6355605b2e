//! The printer thread's main loop: wait for the port, ask who is there, converse until it is lost.

mod wait;

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use spoolway_agent_core::Moment;
use spoolway_agent_core::backoff::{Backoff, BackoffOptions};
use spoolway_agent_core::greeting::Greeted;
use spoolway_agent_core::prompt::Prompts;
use spoolway_firmware_profiles::identify;
use spoolway_protocol::Fault;
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::prompt::PromptEnd;
use tokio::sync::{mpsc, watch};
use tracing::span::EnteredSpan;
use tracing::{info, warn};

use super::conversation::{self, Next};
use super::discover;
use super::discover::FoundPort;
use super::dump::Dump;
use super::estop::{self, EmergencyStop};
use super::greet::{Patience, Rates};
use super::handover::{Parts, Ticket};
use super::memory::Memory;
use super::open::{LineOptions, OpenPortError};
use super::port::{Port, PortLost};
use super::takeover::Resumed;
use super::tap::Tap;
use super::wirelog::WireLog;
use super::{Known, Order, PrinterOptions, Run, RunEnd, Snapshot};
use crate::clock::Clock;
use crate::service;

/// Waits between a port that was lost and the next attempt, while nobody answers in between.
const FLAPPING: BackoffOptions = BackoffOptions {
    floor_ms: 20,
    first_ms: 100,
    max_ms: 2_000,
    long_max_ms: 10_000,
    long_after_ms: 60_000,
    retry_after_max_ms: 0,
};
/// Set where the firmware sends XOFF when its ring fills up.
const XON_XOFF: &str = "SERIAL_XON_XOFF";

/// What lives as long as the thread.
pub(super) struct Bench {
    pub(super) options: PrinterOptions,
    pub(super) clock: Clock,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) stop: EmergencyStop,
    pub(super) publish: watch::Sender<Snapshot>,
    pub(super) wirelog: WireLog,
    /// Rates to try, and the one in use.
    pub(super) rates: Rates,
    /// How long each of several is tried.
    pub(super) patience: Patience,
    /// The path that was opened last.
    opened: PathBuf,
    /// Where the printer was seen last, under a name that stays.
    stable: Option<PathBuf>,
    backoff: Backoff,
    pub(super) dump: Dump,
    /// Questions of the firmware; their numbers go on from one conversation to the next.
    pub(super) prompts: Prompts,
    /// The cancel script has to run before anything else.
    pub(super) make_safe: bool,
    /// The journal of the conversation.
    pub(super) memory: Memory,
    /// Alarms raised so far.
    pub(super) alarms: u64,
    /// A maintenance window is open until then.
    pub(super) maintenance_until: Moment,
    /// What the next process has to know of the present or last run.
    pub(super) ticket: Option<Ticket>,
    /// The port is let go until it is to be taken up again.
    pub(super) released: bool,
    /// The job that every line of the log is about, while one is under way.
    pub(super) about: Option<EnteredSpan>,
}

/// The thread's ends of its channels.
pub(super) struct Seams {
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) stop: EmergencyStop,
    pub(super) publish: watch::Sender<Snapshot>,
    pub(super) tap: Tap,
}

impl Seams {
    /// For a conversation that nobody stops and nobody watches.
    pub(super) fn of(orders: mpsc::Receiver<Order>, publish: watch::Sender<Snapshot>) -> Self {
        Self { orders, stop: EmergencyStop::default(), publish, tap: Tap::default() }
    }
}

/// The thread has been told to leave, or to let go of the port for a while ([`Bench::released`]).
pub(super) struct Leave;

pub(super) async fn run(options: PrinterOptions, clock: Clock, seams: Seams, dump: Dump, parts: Parts) {
    let mut bench = Bench::new(options, clock, seams, dump, parts.memory);
    bench.make_safe = parts.make_safe;
    bench.ticket = parts.run.map(|(ticket, _)| ticket);
    let open_feed = parts.open_feed;
    let taken = match parts.taken {
        Some(taken) => bench.take_over(taken, open_feed.as_ref()),
        None => Err(parts.port),
    };
    let mut served = match taken {
        Ok((port, known, resumed)) => bench.serve(port, Some((known, resumed))).await,
        // What is kept open is locked for as long as it is kept: it is gone on with, or let go.
        Err(kept) => match kept.and_then(|line| bench.adopt_port(line)) {
            Some(port) => bench.serve(port, None).await,
            None => match bench.next_port(Duration::ZERO).await {
                Ok(port) => bench.serve(port, None).await,
                Err(Leave) => return,
            },
        },
    };
    loop {
        let rest = match served {
            Ok(Leave) if !bench.released => return,
            Ok(Leave) => Duration::ZERO,
            Err(lost) => {
                bench.lose(&lost);
                // A port that comes and goes is not opened in a frenzy.
                bench.backoff.fail(bench.clock.now(), None)
            }
        };
        let Ok(port) = bench.next_port(rest).await else { return };
        served = bench.serve(port, None).await;
    }
}

impl Bench {
    pub(super) fn new(
        options: PrinterOptions,
        clock: Clock,
        seams: Seams,
        dump: Dump,
        memory: Memory,
    ) -> Self {
        let Seams { orders, stop, publish, tap } = seams;
        let mut rates = Rates::new(options.baud, options.profile.as_deref(), &options.registry);
        if let Some(baud) = options.before.baud {
            rates.prefer(baud);
        }
        Self {
            rates,
            patience: Patience::default(),
            opened: PathBuf::new(),
            stable: options.before.port.clone(),
            backoff: Backoff::new(FLAPPING, clock.now().as_micros()),
            options,
            clock,
            orders,
            stop,
            publish,
            wirelog: WireLog::new(tap),
            dump,
            prompts: Prompts::default(),
            make_safe: false,
            memory,
            alarms: 0,
            maintenance_until: Moment::ZERO,
            ticket: None,
            released: false,
            about: None,
        }
    }

    pub(super) fn open_port(&mut self) -> Result<Port, OpenPortError> {
        let path = discover::choose(&self.options.root, &self.options.port, self.stable.as_deref())?;
        let port = self.open_port_at(&path)?;
        info!(port = %path.display(), baud = self.rates.now(), "port opened");
        self.opened = path;
        self.set_state(PrinterState::Connecting, None);
        Ok(port)
    }

    pub(super) fn open_port_at(&self, path: &std::path::Path) -> Result<Port, OpenPortError> {
        let port = Port::open(path, self.line_options())?;
        service::keep_port(port.line());
        Ok(port)
    }

    /// A port that was kept open although nothing goes on at it: opening it anew could reset the board. `None` when it is not
    /// the one that is wanted.
    fn adopt_port(&mut self, line: OwnedFd) -> Option<Port> {
        let path = std::fs::read_link(format!("/proc/self/fd/{}", line.as_raw_fd())).ok()?;
        let wanted = discover::choose(&self.options.root, &self.options.port, self.stable.as_deref()).ok();
        let is_wanted = wanted.and_then(|wanted| wanted.canonicalize().ok()).is_some_and(|at| at == path);
        let port = if is_wanted { Port::adopt(line, self.line_options()).ok() } else { None };
        if port.is_none() {
            service::release_port();
            return None;
        }
        info!(port = %path.display(), "the port was kept open");
        self.opened = path;
        self.set_state(PrinterState::Connecting, None);
        port
    }

    /// The port and the rate at which the process before spoke to the printer.
    pub(super) fn stay_at(&mut self, path: PathBuf, baud: u32, found: Option<&FoundPort>) {
        self.stable = found.map(|found| found.stable().to_owned());
        self.opened = path;
        self.rates.prefer(baud);
    }

    pub(super) fn line_options(&self) -> LineOptions {
        let profile = self.options.profile.as_deref().and_then(|id| self.options.registry.get(id).ok());
        let asked = profile.is_some_and(|known| known.profile.serial.parity_workaround);
        LineOptions { baud: self.rates.now(), parity_workaround: self.options.parity_workaround || asked }
    }

    /// Asks who is there and converses, again and again on the same port.
    async fn serve(
        &mut self,
        mut port: Port,
        mut resumed: Option<(Arc<Known>, Resumed)>,
    ) -> Result<Leave, PortLost> {
        loop {
            let (known, resumed) = match resumed.take() {
                Some((known, resumed)) => (known, Some(resumed)),
                None => {
                    let Some(known) = self.meet(&mut port).await? else { return Ok(Leave) };
                    (known, None)
                }
            };
            match conversation::run(self, &mut port, known, resumed).await? {
                Next::Leave => return Ok(Leave),
                Next::Greet => {}
                Next::SeeEffect(known) => {
                    if let Some(leave) = estop::see_effect(self, &mut port, &known).await? {
                        return Ok(leave);
                    }
                }
            }
        }
    }

    /// Asks who is there; `None` when the thread has been told to leave.
    async fn meet(&mut self, port: &mut Port) -> Result<Option<Arc<Known>>, PortLost> {
        // A firmware that was reset has forgotten that it had said stop.
        port.set_xon_xoff(false);
        let Some(greeted) = self.greet(port).await? else { return Ok(None) };
        self.backoff.reset();
        let Some(known) = self.know(greeted) else { return Ok(None) };
        port.set_xon_xoff(known.profile.flow.xon_xoff && known.report.has(XON_XOFF));
        Ok(Some(known))
    }

    /// Chooses the profile. A profile that the configuration names and nobody knows was refused at the start.
    pub(super) fn know(&mut self, mut greeted: Greeted) -> Option<Arc<Known>> {
        let registry = Arc::clone(&self.options.registry);
        let found = discover::find(&self.options.root, &self.opened);
        self.stable = found.as_ref().map(|found| found.stable().to_owned());
        greeted.report.usb = found.as_ref().and_then(|found| Some(found.usb.as_ref()?.id.clone()));
        let chosen = match &self.options.profile {
            Some(id) => registry.get(id).ok()?,
            None => identify(&registry, &greeted.banners, &greeted.report),
        };
        let starts = &chosen.profile.replies.start;
        let has_just_started = greeted
            .banners
            .iter()
            .any(|banner| starts.iter().any(|start| banner.trim_start().starts_with(start.as_str())));
        let known = Known {
            has_just_started,
            profile: chosen.profile.clone(),
            origin: chosen.origin.to_string(),
            report: greeted.report,
            port: self.opened.clone(),
            baud: self.rates.now(),
            found,
        };
        info!(firmware = known.firmware(), profile = known.profile.id, "printer answers");
        Some(Arc::new(known))
    }

    /// An order that needs a printer that answers.
    pub(super) fn refuse(&mut self, order: Option<Order>) -> Result<(), Leave> {
        match order {
            None | Some(Order::Leave) => {
                self.released = false;
                return Err(Leave);
            }
            Some(Order::Release { answer }) => {
                self.released = true;
                // Whoever asked may have left.
                drop(answer.send(Ok(())));
                return Err(Leave);
            }
            Some(Order::MakeSafe) => self.make_safe = true,
            Some(Order::Maintain { until }) => self.maintain(until),
            Some(Order::TellWire { answer }) => self.tell_wire(answer),
            Some(Order::Start { run, .. }) => {
                let (fault, text) = self.why_silent();
                self.keep_tail(run);
                let run = Run::refused(run, self.clock.now(), fault, text);
                self.publish.send_modify(|snapshot| snapshot.run = Some(run));
            }
            Some(Order::SendAside(aside)) => {
                let (fault, text) = self.why_silent();
                aside.refuse(fault, text);
            }
            // None of them is kept while there is no conversation.
            Some(Order::TakeBack { answer }) => drop(answer.send(false)),
            Some(
                Order::Pause
                | Order::Resume { .. }
                | Order::Cancel
                | Order::AnswerPrompt { .. }
                | Order::TakeUp,
            ) => {}
        }
        let unsafe_yet = self.make_safe;
        self.publish.send_modify(|snapshot| snapshot.unsafe_yet = unsafe_yet);
        Ok(())
    }

    fn why_silent(&self) -> (Fault, String) {
        let known = self.publish.borrow().fault.clone();
        known.unwrap_or_else(|| (Fault::FirmwareSilent, "the printer has not answered yet".to_owned()))
    }

    /// What was said last goes to the log, and to a file that stays.
    pub(super) fn dump_wire(&self, heading: &str) {
        self.dump.take(heading, &self.wirelog.dump());
    }

    /// The cable was pulled, or the printer was switched off: a state, not an error of the agent.
    fn lose(&mut self, lost: &PortLost) {
        service::release_port();
        let text = format!("{}: {lost}", self.opened.display());
        warn!(code = Fault::PortLost.code(), port = %self.opened.display(), %lost, "port lost");
        let interrupted = self.publish.borrow().run.as_ref().filter(|run| !run.is_over()).map(|run| run.id);
        self.make_safe |= interrupted.is_some();
        if let Some(run) = interrupted {
            self.keep_tail(run);
            self.dump_wire(&format!("{}: {text}", Fault::PortLost));
        }
        self.end_prompt(PromptEnd::Lost, None);
        let (unsafe_yet, now) = (self.make_safe, self.clock.now());
        self.publish.send_modify(|snapshot| {
            if let Some(run) = snapshot.run.as_mut().filter(|run| !run.is_over()) {
                run.end(now, RunEnd::Interrupted(Fault::PortLost, text.clone()));
            }
            snapshot.state = PrinterState::Offline;
            snapshot.known = None;
            snapshot.temperatures = None;
            snapshot.unsafe_yet = unsafe_yet;
            snapshot.fault = Some((Fault::PortLost, text));
        });
        self.about = None;
    }

    pub(super) fn set_state(&self, state: PrinterState, fault: Option<(Fault, String)>) {
        self.publish.send_modify(|snapshot| {
            snapshot.state = state;
            snapshot.fault = fault;
        });
    }
}

#[cfg(test)]
pub(super) mod tests;
