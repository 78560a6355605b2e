//! Goes on with a conversation that the process before has begun, on exactly the next line.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use spoolway_agent_core::gcode::Position;
use spoolway_agent_core::stream::{Carried, StreamOptions, Streamer, Unfit};
use spoolway_agent_core::temperature::TOOLS_MAX;
use spoolway_protocol::Fault;
use spoolway_protocol::printer::PrinterState;
use tracing::{info, warn};

use super::beside::Beside;
use super::conversation::Conversation;
use super::guard::OnGuard;
use super::handover::{OpenFeed, TakenOver, Talk};
use super::port::Port;
use super::rates::Rates;
use super::task::Bench;
use super::{Known, Run, RunEnd, RunPhase, discover, handover, last_end};
use crate::service;

/// A conversation that can go on.
pub(super) struct Resumed {
    streamer: Streamer,
    beside: Beside,
    unread: Vec<u8>,
    feed: Option<tokio::sync::mpsc::Receiver<super::feeder::Feed>>,
}

impl Bench {
    /// The port, the printer and the conversation of the process before. When it cannot go on, the run is over and says why,
    /// and the port that was kept open is given back, if it is still open.
    pub(super) fn take_over(
        &mut self,
        taken: TakenOver,
        open_feed: Option<&OpenFeed>,
    ) -> Result<(Port, Arc<Known>, Resumed), Option<OwnedFd>> {
        let TakenOver { talk, beside, found, mut port } = taken;
        let (progress, stats) = (found.carried.progress(), found.carried.stats());
        let run = beside.run.clone();
        match self.try_take_over(talk, beside, found, &mut port, open_feed) {
            Ok(all) => Ok(all),
            Err((fault, text)) => {
                warn!(code = fault.code(), text, help = fault.help(), "the print cannot go on");
                self.make_safe = true;
                // When it ended nobody has seen.
                let over = run.filter(|run| !run.is_over()).map(|mut run| {
                    (run.progress, run.stats) = (progress, stats);
                    run.phase = RunPhase::Ended(RunEnd::Interrupted(fault, text));
                    run
                });
                self.publish.send_modify(|snapshot| {
                    snapshot.run = over.or(snapshot.run.take());
                    snapshot.unsafe_yet = true;
                });
                Err(port)
            }
        }
    }

    fn try_take_over(
        &mut self,
        talk: Talk,
        beside: Beside,
        found: spoolway_agent_core::stream::journal::Found,
        inherited: &mut Option<OwnedFd>,
        open_feed: Option<&OpenFeed>,
    ) -> Result<(Port, Arc<Known>, Resumed), (Fault, String)> {
        let known = self.known_of(&talk)?;
        let options = stream_options(&known);
        let feed = open_rest(&talk, &found.carried, open_feed)?;
        let is_whole = inherited.is_some();
        let in_flight = found.carried.in_flight();
        let streamer = Streamer::take_over(options, self.clock.now(), found.carried, is_whole)
            .map_err(|unfit| (Fault::AgentRestarted, tell_unfit(unfit, in_flight)))?;
        let port = match inherited.take() {
            Some(line) => Port::adopt(line, self.line_options()).map_err(|lost| {
                service::release_port();
                (Fault::PortLost, lost.to_string())
            })?,
            None => self.open_port_at(&talk.port).map_err(|error| (error.fault, error.to_string()))?,
        };
        self.memory.go_on(found.journal);
        if let Some(ticket) =
            talk.ticket.as_ref().filter(|_| beside.run.as_ref().is_some_and(|run| !run.is_over()))
        {
            self.speak_of(ticket);
        }
        let line = talk.ticket.as_ref().map_or(0, |_| streamer.progress().position.line);
        info!(port = %talk.port.display(), line, kept_open = is_whole, "goes on where the process before stopped");
        Ok((port, known, Resumed { streamer, beside, unread: found.unread, feed }))
    }

    /// A conversation that begins takes the other one's place in the journal. Whether the store knows by now how the run of
    /// that one has ended cannot be seen from here: it is kept apart.
    fn begin_journal(&mut self, talk: &[u8]) {
        let run = self.publish.borrow().run.clone().filter(Run::is_over);
        let ended = run.zip(self.ticket.as_ref()).filter(|(run, ticket)| ticket.subject.run == run.id);
        if let Some(end) = ended.and_then(|(run, ticket)| last_end::pack(self.clock.boot_id(), ticket, &run))
        {
            self.memory.keep_end(&end);
        }
        self.memory.begin(talk);
    }

    /// The printer as the process before knew it.
    fn known_of(&mut self, talk: &Talk) -> Result<Arc<Known>, (Fault, String)> {
        let profile = self.options.registry.get(&talk.profile);
        let profile = profile.map_err(|error| (Fault::ProfileUnknown, error.to_string()))?;
        let found = discover::find(&self.options.root, &talk.port);
        let known = Known {
            profile: profile.profile.clone(),
            origin: profile.origin.to_string(),
            report: talk.report.clone(),
            port: talk.port.clone(),
            baud: talk.baud,
            found,
            has_just_started: false,
        };
        self.stay_at(talk.port.clone(), talk.baud, known.found.as_ref());
        Ok(Arc::new(known))
    }
}

/// What a streamer has to know of a printer.
pub(super) fn stream_options(known: &Known) -> StreamOptions {
    let mut options = StreamOptions::from_profile(&known.profile, |capability| known.report.has(capability));
    options.hot_ends = known.report.extruders.map_or(1, usize::from).clamp(1, TOOLS_MAX);
    options
}

/// The rest of the job's file, if a job is under way.
fn open_rest(
    talk: &Talk,
    carried: &Carried,
    open_feed: Option<&OpenFeed>,
) -> Result<Option<tokio::sync::mpsc::Receiver<super::feeder::Feed>>, (Fault, String)> {
    let (Some(ticket), Some(open)) = (&talk.ticket, open_feed) else { return Ok(None) };
    let text = |text| (Fault::StoreCorrupt, format!("the rest of the file cannot be read: {text}"));
    open(ticket, carried.read_to(), carried.stats().job_lines_sent).map(Some).map_err(text)
}

fn tell_unfit(unfit: Unfit, in_flight: Option<(Position, Position)>) -> String {
    match in_flight {
        Some((first, last)) => format!(
            "{unfit}: lines {} to {} of the file were on their way when the agent ended, and may or may not have been carried out",
            first.line, last.line
        ),
        None => unfit.to_string(),
    }
}

/// A conversation from its parts.
pub(super) fn conversation(
    bench: &mut Bench,
    known: Arc<Known>,
    resumed: Option<Resumed>,
) -> Conversation<'_> {
    let now = bench.clock.now();
    let rates = Rates::new(bench.rates.now(), now);
    let begun = resumed.is_some();
    let (mut streamer, beside, unread, feed) = match resumed {
        Some(Resumed { streamer, beside, unread, feed }) => (streamer, beside, unread, feed),
        None => {
            let talk = talk_of(bench, &known);
            bench.begin_journal(&talk);
            (Streamer::new(stream_options(&known), now), Beside::default(), Vec::new(), None)
        }
    };
    let rates = rates.behind(streamer.stats().bytes_sent, streamer.progress().commands);
    bench.make_safe |= beside.make_safe;
    bench.settle_alarms();
    streamer.lift_limits(bench.maintenance_until);
    let mut conversation = Conversation {
        on_guard: OnGuard::new(&known, &bench.options.safety, now),
        bench,
        streamer,
        known,
        feed,
        run: beside.run,
        broken: beside.broken,
        paused_since: beside.paused_since,
        rates,
        published: now,
        set_up: beside.set_up,
        halted: false,
        person_holds: beside.person_holds,
        asides: VecDeque::new(),
        making_safe: false,
        pulled: false,
    };
    if begun {
        conversation.go_on(&unread);
    }
    conversation
}

impl Conversation<'_> {
    /// Handles what the process before had read and not handled, and says where things stand.
    fn go_on(&mut self, unread: &[u8]) {
        let now = self.bench.clock.now();
        let known = Arc::clone(&self.known);
        self.bench.publish.send_modify(|snapshot| {
            snapshot.known = Some(known);
            snapshot.state = PrinterState::Printing;
        });
        self.streamer.handle_bytes(now, unread);
        self.publish();
    }
}

/// What the next process has to know of a conversation that begins.
pub(super) fn talk_of(bench: &Bench, known: &Known) -> Vec<u8> {
    talk_with(bench, known, None)
}

/// The same, with the job that is about to begin.
pub(super) fn talk_with(bench: &Bench, known: &Known, ticket: Option<handover::Ticket>) -> Vec<u8> {
    let talk = Talk {
        boot: bench.clock.boot_id().clone(),
        profile: known.profile.id.clone(),
        report: known.report.clone(),
        port: known.port.clone(),
        baud: known.baud,
        ticket,
    };
    serde_json::to_vec(&talk).expect("plain data has a text form")
}
