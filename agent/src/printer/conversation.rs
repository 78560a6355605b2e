//! One conversation with an identified printer: carries bytes, time, orders and commands to the streamer and back.

use std::sync::Arc;
use std::time::Duration;

use spoolway_agent_core::Moment;
use spoolway_agent_core::stream::{Ending, Event, Output, StopReason, StreamOptions, Streamer};
use spoolway_protocol::Fault;
use spoolway_protocol::printer::PrinterState;
use tokio::sync::mpsc;
use tracing::{debug, info, trace, warn};

use super::feeder::Feed;
use super::port::{Port, PortLost};
use super::rates::Rates;
use super::task::Bench;
use super::wirelog::Speaker;
use super::{Known, Order, Run, RunEnd, RunPhase, faults};

/// Snapshots between events come no closer together than this.
const PUBLISH: Duration = Duration::from_millis(100);
/// When the kernel has not taken everything, it is tried again after this.
const REWRITE: Duration = Duration::from_millis(2);

/// What comes after a conversation.
pub(super) enum Next {
    /// Ask again who is there.
    Greet,
    /// The thread ends.
    Leave,
}

struct Conversation<'a> {
    bench: &'a mut Bench,
    streamer: Streamer,
    known: Arc<Known>,
    feed: Option<mpsc::Receiver<Feed>>,
    run: Option<Run>,
    /// The job itself could not be read on; the run is being cancelled for this.
    broken: Option<String>,
    paused_since: Option<Moment>,
    rates: Rates,
    published: Moment,
    set_up: bool,
    halted: bool,
}

pub(super) async fn run(bench: &mut Bench, port: &mut Port, known: Arc<Known>) -> Result<Next, PortLost> {
    let now = bench.clock.now();
    let options = StreamOptions::from_profile(&known.profile, |capability| known.report.has(capability));
    let rates = Rates::new(bench.rates.now(), now);
    let mut conversation = Conversation {
        bench,
        streamer: Streamer::new(options, now),
        known,
        feed: None,
        run: None,
        broken: None,
        paused_since: None,
        rates,
        published: now,
        set_up: false,
        halted: false,
    };
    conversation.carry(port).await
}

impl Conversation<'_> {
    async fn carry(&mut self, port: &mut Port) -> Result<Next, PortLost> {
        let sleep = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(sleep);
        loop {
            let wake = self.serve_streamer(port)?;
            if self.streamer.stopped().is_some() && !port.has_unwritten() {
                self.publish();
                return Ok(Next::Greet);
            }
            let now = self.bench.clock.now();
            if now - self.published >= PUBLISH {
                self.publish();
            }
            let rest = if port.has_unwritten() { Some(now + REWRITE) } else { wake };
            let idle = Duration::from_secs(3600);
            sleep.as_mut().reset(tokio::time::Instant::now() + rest.map_or(idle, |at| at - now));
            let wants_feed = self.streamer.wants_lines() && self.feed.is_some();
            tokio::select! {
                biased;
                order = self.bench.orders.recv() => {
                    if self.obey(order) {
                        return Ok(Next::Leave);
                    }
                }
                bytes = port.read() => {
                    let bytes = bytes?;
                    let now = self.bench.clock.now();
                    self.bench.wirelog.note(now, Speaker::Printer, bytes);
                    trace!(target: "wire", text = %String::from_utf8_lossy(bytes).trim_end(), "<");
                    self.streamer.handle_bytes(now, bytes);
                }
                feed = next_feed(&mut self.feed), if wants_feed => self.take_feed(feed),
                () = &mut sleep => {
                    if port.has_unwritten() {
                        port.flush()?;
                    }
                }
            }
        }
    }

    /// Lets the streamer say everything it has to say; gives the time to ask again.
    fn serve_streamer(&mut self, port: &mut Port) -> Result<Option<Moment>, PortLost> {
        loop {
            let now = self.bench.clock.now();
            match self.streamer.poll_output(now) {
                Output::Write(bytes) => {
                    self.bench.wirelog.note(now, Speaker::Agent, &bytes);
                    trace!(target: "wire", text = %String::from_utf8_lossy(&bytes).trim_end(), ">");
                    port.write(&bytes)?;
                }
                Output::Event(event) => self.take_event(now, event),
                Output::Wait(wake) => return Ok(wake),
            }
        }
    }

    /// Gives whether the thread has been told to leave.
    fn obey(&mut self, order: Option<Order>) -> bool {
        match order {
            None | Some(Order::Leave) => return true,
            Some(Order::Start { run, feed }) => self.start(run, feed),
            Some(Order::Pause) => note_refusal("pause", self.streamer.pause().err()),
            Some(Order::Resume) => {
                note_refusal("resume", self.streamer.resume(self.bench.clock.now(), None).err())
            }
            Some(Order::Cancel) => {
                note_refusal("cancel", self.streamer.cancel().err());
                self.feed = None;
            }
            Some(Order::EmergencyStop) => self.streamer.emergency_stop(),
            Some(Order::MakeSafe) => {
                self.bench.make_safe = true;
                self.settle_in();
            }
        }
        false
    }

    fn start(&mut self, id: u64, feed: mpsc::Receiver<Feed>) {
        let mut run = Run::new(id);
        match self.streamer.begin_job() {
            Ok(()) => self.feed = Some(feed),
            Err(error) => {
                run.phase = RunPhase::Ended(RunEnd::Interrupted(Fault::Busy, error.to_string()));
            }
        }
        self.broken = None;
        self.paused_since = None;
        self.run = Some(run);
        self.publish();
    }

    fn take_feed(&mut self, feed: Option<Feed>) {
        match feed {
            Some(Feed::Commands(batch)) => self.streamer.feed(batch),
            Some(Feed::End) => {
                self.streamer.feed_end();
                self.feed = None;
            }
            broken => {
                let text = match broken {
                    Some(Feed::Broken(text)) => text,
                    _ => "the reader of the job ended early".to_owned(),
                };
                warn!(%text, "the job cannot be read on");
                self.broken = Some(text);
                self.feed = None;
                note_refusal("cancel", self.streamer.cancel().err());
            }
        }
    }

    fn take_event(&mut self, now: Moment, event: Event) {
        match event {
            Event::Synchronised if self.run.as_ref().is_some_and(|run| !run.is_over()) => {
                self.set_phase(RunPhase::Printing);
            }
            Event::Synchronised => self.settle_in(),
            Event::Restarted => {
                warn!("the printer restarted while it was idle");
                self.set_up = false;
            }
            Event::Paused => {
                self.paused_since = Some(now);
                self.set_phase(RunPhase::Paused);
            }
            Event::Resumed => {
                self.end_pause(now);
                self.set_phase(RunPhase::Printing);
            }
            Event::Ended(Ending::Script) => self.end_script(),
            Event::Ended(ending) => self.end_run(now, ending),
            Event::Stopped(reason) => self.stop(now, &reason),
            Event::Refused { number } => debug!(number, "line refused, sent again"),
            Event::Probed { from } => debug!(from, "no reply; asked the printer where it stands"),
            Event::Temperatures(found) => {
                self.bench.publish.send_modify(|snapshot| snapshot.temperatures = Some(found));
            }
            Event::Complaint(text) => warn!(%text, "the printer complains"),
            Event::Action(text) => debug!(%text, "host action"),
            Event::InDoubt { first, last, from, to } => {
                warn!(
                    first,
                    last,
                    from = from.line,
                    to = to.line,
                    "no reply for these lines; the job is paused"
                );
                self.paused_since = Some(now);
                self.set_phase(RunPhase::Paused);
            }
            Event::DoubtResolved => info!("the replies came after all; the job is still paused"),
            Event::Reached(window) => info!(?window, "window changed"),
            Event::Aside(command) => debug!(command, "acknowledged"),
            Event::Heating { waiting } => debug!(waiting, "waiting for a temperature"),
        }
    }

    /// Nothing is under way: first make safe what was left half done, then set up reports, then be idle.
    fn settle_in(&mut self) {
        if self.run.as_ref().is_some_and(|run| !run.is_over()) {
            return;
        }
        let scripts = &self.known.profile.scripts;
        let script: Vec<&String> = if self.bench.make_safe {
            scripts.cancel.iter().collect()
        } else if self.set_up {
            Vec::new()
        } else {
            let auto = self.known.profile.temperature.auto_report.as_ref();
            let report =
                auto.filter(|auto| self.known.report.has(&auto.capability)).map(|auto| &auto.command);
            scripts.connect.iter().chain(report).collect()
        };
        let script: Vec<Vec<u8>> = script.into_iter().map(|line| line.clone().into_bytes()).collect();
        if script.is_empty() {
            self.set_up |= !self.bench.make_safe;
            self.bench.make_safe = false;
            self.be_idle();
        } else if self.streamer.run_script(&script).is_err() {
            debug!("a script is already under way");
        }
    }

    fn end_script(&mut self) {
        if self.bench.make_safe {
            self.bench.make_safe = false;
            info!("the machine was made safe: heaters, fan and motors are off");
        } else {
            self.set_up = true;
        }
        self.settle_in();
    }

    fn be_idle(&mut self) {
        let known = Arc::clone(&self.known);
        let was = self.bench.publish.borrow().state.clone();
        self.bench.publish.send_modify(|snapshot| {
            snapshot.state = PrinterState::Idle;
            snapshot.fault = None;
            snapshot.known = Some(known);
            snapshot.unsafe_yet = false;
        });
        if was != PrinterState::Idle {
            debug!("printer is ready");
        }
    }

    fn end_run(&mut self, now: Moment, ending: Ending) {
        self.end_pause(now);
        let end = match (ending, self.broken.take()) {
            (Ending::Completed, _) => RunEnd::Completed,
            (_, Some(text)) => RunEnd::Interrupted(Fault::StoreCorrupt, text),
            (_, None) => RunEnd::Cancelled,
        };
        self.feed = None;
        self.set_phase(RunPhase::Ended(end));
        self.be_idle();
    }

    fn stop(&mut self, now: Moment, reason: &StopReason) {
        self.end_pause(now);
        self.feed = None;
        self.halted = faults::is_deaf(reason);
        let fault = faults::of_stop(reason);
        warn!(code = fault.code(), %reason, help = fault.help(), "conversation with the printer ended");
        debug!(target: "wire", conversation = %self.bench.wirelog.dump(), "last lines");
        if let Some(run) = self.run.as_mut().filter(|run| !run.is_over()) {
            run.phase = RunPhase::Ended(RunEnd::Interrupted(fault, reason.to_string()));
            self.bench.make_safe |= !self.halted;
        }
        let state = if self.halted { PrinterState::Halted } else { PrinterState::Connecting };
        self.bench.set_state(state, Some((fault, reason.to_string())));
        self.publish();
    }

    fn end_pause(&mut self, now: Moment) {
        if let (Some(since), Some(run)) = (self.paused_since.take(), self.run.as_mut()) {
            run.paused += now - since;
        }
    }

    fn set_phase(&mut self, phase: RunPhase) {
        if let Some(run) = self.run.as_mut().filter(|run| !run.is_over()) {
            run.phase = phase;
        }
        self.publish();
    }

    fn publish(&mut self) {
        let now = self.bench.clock.now();
        self.published = now;
        let (progress, stats) = (self.streamer.progress(), self.streamer.stats());
        self.rates.update(now, stats.bytes_sent, progress.commands);
        if let Some(run) = self.run.as_mut() {
            run.progress = progress;
            run.stats = stats;
        }
        let state = self.run.as_ref().and_then(|run| match run.phase {
            RunPhase::Starting | RunPhase::Printing => Some(PrinterState::Printing),
            RunPhase::Paused => Some(PrinterState::Paused),
            RunPhase::Ended(_) => None,
        });
        self.bench.publish.send_modify(|snapshot| {
            snapshot.stats = stats;
            snapshot.link_use = self.rates.link_use;
            snapshot.lines_per_s = self.rates.lines_per_s;
            snapshot.unsafe_yet = self.bench.make_safe;
            if let Some(state) = state {
                snapshot.state = state;
            }
            if self.run.is_some() {
                snapshot.run.clone_from(&self.run);
            }
        });
    }
}

fn note_refusal(order: &str, refused: Option<impl std::fmt::Display>) {
    if let Some(error) = refused {
        debug!(order, %error, "order has nothing to act on");
    }
}

/// Waits for ever when there is no job.
async fn next_feed(feed: &mut Option<mpsc::Receiver<Feed>>) -> Option<Feed> {
    match feed {
        Some(feed) => feed.recv().await,
        None => std::future::pending().await,
    }
}
