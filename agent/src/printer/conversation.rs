//! One conversation with an identified printer: carries bytes, time, orders and commands to the streamer and back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use spoolway_agent_core::Moment;
use spoolway_agent_core::stream::{self, Output, StopReason, Streamer};
use spoolway_protocol::{Doubt, Fault};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep, sleep};
use tracing::{debug, warn};

use super::aside::Aside;
use super::beside::BesideNow;
use super::feeder::Feed;
use super::guard::OnGuard;
use super::handover::Ticket;
use super::port::{Port, PortLost};
use super::rates::Rates;
use super::takeover::{self, Resumed};
use super::task::Bench;
use super::wirelog::Speaker;
use super::{Cause, Known, Order, Run};
use crate::view::Refusal;

/// Snapshots between changes of state come no closer together than this.
const PUBLISH: Duration = Duration::from_millis(250);
/// When the kernel has not taken everything, it is tried again after this.
const REWRITE: Duration = Duration::from_millis(2);
/// The timer is never set further than this.
const IDLE: Duration = Duration::from_secs(3600);

/// What comes after a conversation.
pub(super) enum Next {
    /// Ask again who is there.
    Greet,
    /// See whether an emergency stop has had its effect.
    SeeEffect(Arc<Known>),
    /// The thread ends.
    Leave,
}

pub(super) struct Conversation<'a> {
    pub(super) bench: &'a mut Bench,
    pub(super) streamer: Streamer,
    pub(super) known: Arc<Known>,
    pub(super) feed: Option<mpsc::Receiver<Feed>>,
    pub(super) run: Option<Run>,
    /// The run is being cancelled for this, and not because somebody wants it: its file cannot be read on, or the guard
    /// has found something.
    pub(super) broken: Option<(Fault, String)>,
    pub(super) paused_since: Option<Moment>,
    pub(super) rates: Rates,
    pub(super) published: Moment,
    pub(super) set_up: bool,
    pub(super) halted: bool,
    /// A person has asked for the pause that is in force or under way.
    pub(super) person_holds: bool,
    /// Commands of people that have not been answered yet, oldest first.
    pub(super) asides: VecDeque<Aside>,
    pub(super) on_guard: OnGuard,
    /// The script under way makes the machine safe.
    pub(super) making_safe: bool,
    pub(super) pulled: bool,
}

pub(super) async fn run(
    bench: &mut Bench,
    port: &mut Port,
    known: Arc<Known>,
    resumed: Option<Resumed>,
) -> Result<Next, PortLost> {
    takeover::conversation(bench, known, resumed).carry(port).await
}

impl Conversation<'_> {
    async fn carry(&mut self, port: &mut Port) -> Result<Next, PortLost> {
        let timer = sleep(Duration::ZERO);
        tokio::pin!(timer);
        let mut set_to = Moment::ZERO;
        let stop = self.bench.stop.clone();
        loop {
            let watch = self.keep_guard(self.bench.clock.now(), port.has_unwritten());
            let wake = [self.serve_streamer(port)?, watch].into_iter().flatten().min();
            if self.streamer.stopped().is_some() && !port.has_unwritten() {
                self.publish();
                let known = Arc::clone(&self.known);
                return Ok(if self.pulled { Next::SeeEffect(known) } else { Next::Greet });
            }
            let now = self.bench.clock.now();
            if now - self.published >= PUBLISH {
                self.publish();
            }
            let wake = if port.has_unwritten() { now + REWRITE } else { wake.unwrap_or(now + IDLE) };
            // Time-outs move on with every reply. A timer that is early only asks again, and setting it costs more.
            if wake < set_to || timer.is_elapsed() {
                set_to = wake;
                set(timer.as_mut(), wake - now);
            }
            let wants_feed = self.streamer.wants_lines() && self.feed.is_some();
            tokio::select! {
                biased;
                () = stop.pulled() => {
                    if !self.stop_at_once(now, port) {
                        return Ok(Next::SeeEffect(Arc::clone(&self.known)));
                    }
                }
                order = self.bench.orders.recv() => {
                    if self.obey(now, order) {
                        return Ok(Next::Leave);
                    }
                }
                count = port.read_into(self.bench.memory.room()) => {
                    let now = self.bench.clock.now();
                    let bytes = self.bench.memory.heard(count?);
                    self.bench.wirelog.note(now, Speaker::Printer, bytes);
                    self.asides.iter_mut().for_each(|aside| aside.hear(bytes));
                    self.streamer.handle_bytes(now, bytes);
                }
                feed = next_feed(&mut self.feed), if wants_feed => self.take_feed(feed),
                () = timer.as_mut() => {
                    if port.has_unwritten() {
                        port.flush()?;
                    }
                }
            }
        }
    }

    /// Lets the streamer say everything it has to say; gives the time to ask again.
    fn serve_streamer(&mut self, port: &mut Port) -> Result<Option<Moment>, PortLost> {
        let mut is_noted = false;
        loop {
            let now = self.bench.clock.now();
            match self.streamer.poll_output(now) {
                Output::Write(bytes) => {
                    self.note();
                    is_noted = true;
                    let written = port.write(&bytes);
                    // The wire does not wait for what a person may want to read.
                    self.bench.wirelog.note(now, Speaker::Agent, &bytes);
                    written?;
                    if !port.has_unwritten() {
                        self.bench.memory.wrote();
                    }
                    self.on_guard.guard.handle_written(now, &bytes);
                    self.streamer.take_back(bytes);
                }
                Output::Event(event) => {
                    self.take_event(now, event);
                    is_noted = false;
                }
                Output::Wait(wake) => {
                    // What went out last was written down before it did, and nothing has come of it yet.
                    if !is_noted {
                        self.note();
                    }
                    if !port.has_unwritten() {
                        self.bench.memory.wrote();
                    }
                    return Ok(wake);
                }
            }
        }
    }

    /// What was heard and decided so far outlives this process from now on.
    fn note(&mut self) {
        let beside = BesideNow {
            run: self.run.as_ref(),
            paused_since: self.paused_since,
            person_holds: self.person_holds,
            set_up: self.set_up,
            make_safe: self.bench.make_safe,
            broken: self.broken.as_ref().map(|(fault, why)| (*fault, why.as_str())),
        };
        self.bench.memory.note(&self.streamer, beside);
    }

    /// What has not left yet is not sent any more; the stop goes ahead of everything. Gives whether the firmware has a word
    /// for it; else only its board can be reset.
    fn stop_at_once(&mut self, now: Moment, port: &mut Port) -> bool {
        port.discard_unwritten();
        self.pulled = true;
        self.streamer.emergency_stop();
        let has_word = self.streamer.stopped().is_some();
        if !has_word {
            self.stop(now, &StopReason::EmergencyStop);
        }
        has_word
    }

    /// Gives whether the port is let go: it is not while anything is under way.
    fn release(&mut self, answer: oneshot::Sender<Result<(), Refusal>>) -> bool {
        let is_printing = self.run.as_ref().is_some_and(|run| !run.is_over());
        let is_busy = is_printing || self.making_safe || !self.asides.is_empty();
        let said = match is_busy {
            true => Err(Refusal::new(Fault::Busy, "something is under way on the printer")),
            false => Ok(()),
        };
        self.bench.released |= said.is_ok();
        // Whoever asked may have left.
        drop(answer.send(said));
        !is_busy
    }

    /// Gives whether the thread has been told to leave the port.
    fn obey(&mut self, now: Moment, order: Option<Order>) -> bool {
        match order {
            None | Some(Order::Leave) => return true,
            Some(Order::Start { run, known, ticket, feed }) => self.start(run, &known, *ticket, feed),
            Some(Order::Pause) => {
                self.person_holds = true;
                self.pause(None);
            }
            Some(Order::Resume { doubt }) => self.resume(now, doubt),
            Some(Order::Cancel) => self.cancel(None),
            Some(Order::MakeSafe) => {
                self.bench.make_safe = true;
                self.settle_in();
            }
            Some(Order::Release { answer }) => return self.release(answer),
            Some(Order::TakeUp) => {}
            Some(Order::TellWire { answer }) => self.bench.tell_wire(answer),
            Some(Order::AnswerPrompt { number, choice }) => self.answer_prompt(now, number, choice),
            Some(Order::SendAside(aside)) => self.send_aside(*aside),
            // Whoever asked may have left.
            Some(Order::TakeBack { answer }) => drop(answer.send(self.take_back())),
            Some(Order::Maintain { until }) => {
                self.bench.maintain(until);
                self.streamer.lift_limits(until);
            }
        }
        false
    }

    fn start(&mut self, id: u64, meant: &Arc<Known>, ticket: Ticket, feed: mpsc::Receiver<Feed>) {
        self.bench.speak_of(&ticket);
        // While nothing is under way the journal may say whatever it says.
        let talk = takeover::talk_with(self.bench, &self.known, Some(ticket.clone()));
        self.bench.memory.set_talk(&talk);
        self.bench.memory.forget_end();
        self.bench.ticket = Some(ticket);
        let begun = if Arc::ptr_eq(meant, &self.known) {
            self.streamer.begin_job().map_err(|error| error.to_string())
        } else {
            Err("the printer was connected anew before the job could begin".to_owned())
        };
        let run = match begun {
            Ok(()) => {
                self.feed = Some(feed);
                Run::new(id)
            }
            Err(text) => {
                self.bench.keep_tail(id);
                Run::refused(id, self.bench.clock.now(), Fault::Busy, text)
            }
        };
        self.broken = None;
        self.person_holds = false;
        self.paused_since = None;
        self.run = Some(run);
        self.publish();
    }

    /// Holds the job; `cause` is why, unless a person has asked for it through the agent.
    pub(super) fn pause(&mut self, cause: Option<Cause>) {
        match self.streamer.pause() {
            Ok(()) if self.person_holds && cause.is_some() || self.is_in_doubt() => {}
            Ok(()) => self.set_cause(cause),
            Err(error) => debug!(%error, "there is nothing to pause"),
        }
    }

    pub(super) fn cancel(&mut self, cause: Option<Cause>) {
        match self.streamer.cancel() {
            Ok(()) => self.set_cause(cause),
            Err(error) => debug!(%error, "there is nothing to cancel"),
        }
        self.feed = None;
    }

    /// Goes on, if nothing is in doubt any more after what was said of it.
    pub(super) fn resume(&mut self, now: Moment, doubt: Option<Doubt>) {
        let doubt = doubt.map(|doubt| match doubt {
            Doubt::Executed => stream::Doubt::Executed,
            Doubt::Lost => stream::Doubt::Lost,
        });
        if let Err(error) = self.streamer.resume(now, doubt) {
            debug!(%error, "the job does not go on");
        }
    }

    pub(super) fn set_cause(&mut self, cause: Option<Cause>) {
        if let Some(run) = self.run.as_mut().filter(|run| !run.is_over() && run.cause != cause) {
            run.cause = cause;
            self.publish();
        }
    }

    fn is_in_doubt(&self) -> bool {
        self.run.as_ref().is_some_and(|run| matches!(run.cause, Some(Cause::Doubt { .. })))
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
                self.broken = Some((Fault::StoreCorrupt, text));
                self.cancel(None);
            }
        }
    }
}

fn set(timer: std::pin::Pin<&mut Sleep>, rest: Duration) {
    timer.reset(Instant::now() + rest);
}

/// Waits for ever when there is no job.
async fn next_feed(feed: &mut Option<mpsc::Receiver<Feed>>) -> Option<Feed> {
    match feed {
        Some(feed) => feed.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use spoolway_agent_core::gcode::Position;
    use spoolway_agent_core::greeting::Greeted;
    use spoolway_protocol::{FileId, JobId};

    use super::super::open::tests::pair;
    use super::super::task::tests::{at_port, bench};
    use super::*;
    use crate::clock::Clock;
    use crate::line_journal::Subject;

    pub(in crate::printer) fn ticket() -> Ticket {
        let stamp = Clock::start().unwrap().stamp();
        Ticket {
            job_id: JobId::new("j1").unwrap(),
            subject: Subject {
                run: 7,
                job_id: "j1".to_owned(),
                attempt: 1,
                sha256: "0".repeat(64),
                from: Position::default(),
                commands_before: 0,
                preamble: 0,
            },
            owner: "local".to_owned(),
            file_id: FileId::new("f1").unwrap(),
            size: 1,
            name: "part.gcode".to_owned(),
            commands: 1,
            layers: 0,
            started: stamp,
            permit: None,
        }
    }

    #[tokio::test]
    async fn a_job_that_is_meant_for_another_printer_is_not_begun() {
        for is_meant in [true, false] {
            let (_board, path) = pair();
            let (mut bench, orders) = bench(at_port(path));
            let snapshot = bench.publish.subscribe();
            let mut port = bench.open_port().unwrap();
            let known = bench.know(Greeted::default()).unwrap();
            let meant = if is_meant { Arc::clone(&known) } else { bench.know(Greeted::default()).unwrap() };
            let (_lines, feed) = mpsc::channel(1);
            let ticket = Box::new(ticket());
            orders.send(Order::Start { run: 7, known: meant, ticket, feed }).await.unwrap();
            drop(orders);
            run(&mut bench, &mut port, known, None).await.unwrap();
            let seen = snapshot.borrow().run.clone().unwrap();
            assert_eq!((seen.id, seen.is_over()), (7, !is_meant));
        }
    }
}
