//! Prints of one dialect: a board that is never killed, an agent that is killed all the time, and what both say in the end.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use spoolway_agent::local::Client;
use spoolway_agent::local::words::Request;
use spoolway_firmware_profiles::{HostWaits, Profile};
use spoolway_protocol::printer::PrinterState;
use spoolway_protocol::{JobId, JobState};

use super::outbox::{self, Printed};
use super::report::{Figures, Watched};
use super::waits::Waits;
use super::{Arguments, Interrupt, Job};
use crate::agent_program::{AgentProcess, AgentProgram, AgentSetup};
use crate::descriptor_store::DescriptorStore;
use crate::expected::{Commands, Comparer};
use crate::printer::{ExecutedSink, Link, PrinterOptions};
use crate::pty::{PtyOptions, PtyPrinter, PtyRun, PtyThread, ResetOnOpen};
use crate::rng::Rng;

/// Only something that hangs reaches it.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Rate of a board without a wire.
const USB_BAUD: u32 = 1_000_000;
/// How late an adapter hands replies over.
const LATENCY_US: u64 = 1_000;
/// Kills of an agent whose printer has carried out everything: they hit the records of the end.
const LATE_KILLS: u64 = 5;
/// Executed lines kept for the comparison.
const KEEP_LINES: usize = 8_000_000;
/// Lines at the beginning of a print in which the planner fills.
const FIRST_LINES: u64 = 24;

/// Who is to print what, and how.
pub(super) struct Orders<'a> {
    pub(super) program: &'a AgentProgram,
    pub(super) arguments: &'a Arguments,
    pub(super) profile: &'a Profile,
    pub(super) stop: &'a Interrupt,
}

/// Prints of one dialect.
pub(super) struct Course<'a> {
    program: &'a AgentProgram,
    arguments: &'a Arguments,
    profile: &'a Profile,
    stop: &'a Interrupt,
    rng: Rng,
    dir: tempfile::TempDir,
    board: PtyThread,
    baud: u32,
    store: Option<DescriptorStore>,
    agent: Option<AgentProcess>,
    waits: Waits,
    kills: u64,
    jobs: Vec<Printed>,
    /// The files of all prints, one behind the other.
    files: Vec<u8>,
    /// The planner while the agent was killed, and in a print without any kill.
    killed: Watched,
    undisturbed: Watched,
}

/// When the watch over a planner began, and for how long it had stood empty until then.
type Watch = (Instant, u64);

impl<'a> Course<'a> {
    /// Starts board and agent.
    pub(super) fn begin(
        Orders { program, arguments, profile, stop }: Orders<'a>,
        rng: Rng,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("spoolway-kill-").tempdir()?;
        let options = board(&profile.id, arguments.seed).context("there is such a board")?;
        let baud = options.uart_baud.unwrap_or(USB_BAUD);
        let board = PtyPrinter::open(options)?.spawn()?;
        let store = (!arguments.without_store).then(|| DescriptorStore::open(dir.path(), "printer"));
        let (store, agent, waits, kills, jobs, files) =
            (store.transpose()?, None, Waits::default(), 0, vec![], vec![]);
        let (killed, undisturbed) = (Watched::default(), Watched::default());
        let mut course = Self {
            program,
            arguments,
            profile,
            stop,
            rng,
            dir,
            board,
            baud,
            store,
            agent,
            waits,
            kills,
            jobs,
            files,
            killed,
            undisturbed,
        };
        course.start()?;
        Ok(course)
    }

    /// Prints one file after the other until there were so many kills; before that, where figures are asked for, one
    /// without any, since some windows are too narrow for such a part whatever the agent does.
    pub(super) fn print_and_kill(&mut self, job: &Job, kills: u64) -> anyhow::Result<()> {
        if self.arguments.check {
            self.print(job, 0, Self::watch_undisturbed).context("the print without kills")?;
        }
        for print in 1.. {
            if self.kills >= kills {
                break;
            }
            let kill = |course: &mut Self, before, commands| course.kill_until(before, commands, kills);
            self.print(job, print, kill).with_context(|| format!("print {print}"))?;
        }
        Ok(())
    }

    /// One print; `during` is given what the board had carried out before it, and how many commands it has.
    fn print(
        &mut self,
        job: &Job,
        print: u64,
        during: impl FnOnce(&mut Self, u64, u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let file = job.file(print);
        let path = self.dir.path().join(format!("part-{print}.gcode"));
        std::fs::write(&path, &file)?;
        let commands = Commands::of(file.as_slice().into()).count() as u64;
        let mut client = self.idle()?;
        let control = self.board.control();
        let (before, moves) = (control.executed(), control.moves());
        let accepted = client.job(&Request::Print { path, name: None })?;
        self.jobs.push(Printed::new(accepted.job_id.clone(), commands, &file));
        self.files.extend(file);
        self.until("the first move", |course| Ok((course.board.control().moves() > moves).then_some(())))?;
        during(self, before, commands)?;
        let job = self.over(&accepted.job_id)?;
        let reason = job.reason.unwrap_or_default();
        ensure!(job.state == JobState::Completed, "the job is {}: {reason}\n{}", job.state, self.log_tail());
        Ok(())
    }

    fn watch_undisturbed(&mut self, before: u64, commands: u64) -> anyhow::Result<()> {
        let reached = |lines| move |course: &Self| Ok((course.executed_since(before) > lines).then_some(()));
        self.until("the first moves", reached(FIRST_LINES))?;
        let watch = self.watch();
        self.until("the last moves", reached(commands - 1))?;
        self.undisturbed.add(watch, self.watch());
        Ok(())
    }

    fn executed_since(&self, before: u64) -> u64 {
        self.board.control().executed() - before
    }

    fn watch(&self) -> Watch {
        (Instant::now(), self.board.control().starved_us())
    }

    /// Kills until there were enough, or the printer has carried out so many lines and a few kills more came.
    fn kill_until(&mut self, before: u64, commands: u64, kills: u64) -> anyhow::Result<()> {
        let (mut watched, mut late) = (None, 0);
        let mut killed_at = Instant::now();
        loop {
            let between = self.arguments.min_ms * 1_000..=self.arguments.max_ms * 1_000;
            let next_at = killed_at + Duration::from_micros(self.rng.range(between));
            thread::sleep(next_at.saturating_duration_since(Instant::now()));
            let done = self.executed_since(before);
            let is_enough = self.kills >= kills;
            if watched.is_none() && late == 0 && done > FIRST_LINES {
                watched = Some(self.watch());
            }
            if done >= commands || is_enough {
                if let Some(watch) = watched.take() {
                    self.killed.add(watch, self.watch());
                }
                late += 1;
            }
            if done >= commands {
                self.waits.end(self.board.crossed());
                self.waits.nothing_is_left();
            }
            if is_enough || late > LATE_KILLS {
                return Ok(());
            }
            self.stop.check()?;
            killed_at = self.kill()?;
        }
    }

    /// Kills the agent and starts it at once; when it was killed.
    fn kill(&mut self) -> anyhow::Result<Instant> {
        let agent = self.agent.take().context("an agent runs")?;
        self.waits.end(self.board.crossed());
        let killed_at = Instant::now();
        agent.kill()?;
        self.board.mark()?;
        self.waits.begin(killed_at);
        self.kills += 1;
        self.start()?;
        Ok(killed_at)
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let (folder, log) = (self.dir.path().join("agent"), self.log());
        let setup = AgentSetup::new(&folder, self.board.path(), self.baud);
        self.agent = Some(match &mut self.store {
            Some(store) => self.program.start_from(store, &setup, &log)?,
            None => self.program.start(&setup, &log)?,
        });
        Ok(())
    }

    /// Waits for an agent that is ready for a job.
    fn idle(&mut self) -> anyhow::Result<Client> {
        self.until("a printer that is ready", |course| {
            let mut client = course.client();
            let status = client.as_mut().and_then(|client| client.status().ok());
            Ok(client.filter(|_| status.is_some_and(|status| status.printer.state == PrinterState::Idle)))
        })
    }

    /// Waits for the end of a job.
    fn over(&mut self, id: &JobId) -> anyhow::Result<spoolway_agent::view::JobView> {
        self.until("the end of the job", |course| {
            let jobs = course.client().and_then(|mut client| client.jobs().ok()).unwrap_or_default();
            let is_over = |state: JobState| state.is_terminal() || state == JobState::Interrupted;
            Ok(jobs.into_iter().find(|job| job.job_id == *id && is_over(job.state)))
        })
    }

    fn client(&self) -> Option<Client> {
        self.agent.as_ref().and_then(|agent| Client::connect(agent.socket()).ok())
    }

    fn until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&Self) -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        // A slow board carries out the rest of its part first.
        let until = Instant::now() + PATIENCE + Duration::from_secs(self.arguments.print_s.into());
        while Instant::now() < until {
            if let Some(found) = look(self)? {
                return Ok(found);
            }
            self.stop.check()?;
            self.agent.as_mut().context("an agent runs")?.check()?;
            self.store.as_mut().map_or(Ok(()), DescriptorStore::attend)?;
            thread::sleep(LOOK_EVERY);
        }
        bail!("waited for {what}:\n{}", self.log_tail())
    }

    /// Ends everything and puts the figures together; `went_on` is how the prints went.
    pub(super) fn finish(mut self, went_on: anyhow::Result<()>) -> anyhow::Result<Figures> {
        let mut faults: Vec<_> = went_on.err().map(|error| format!("{error:#}")).into_iter().collect();
        let asked = self.store.as_ref().map(DescriptorStore::asked);
        self.waits.end(self.board.crossed());
        if let Some(agent) = self.agent.take()
            && let Err(error) = agent.finish()
        {
            faults.push(format!("{error:#}"));
        }
        let told = outbox::read(&self.dir.path().join("agent"), &self.jobs)?;
        let run = self.board.finish()?;
        let lines = compare(self.profile, self.files, &run, &mut faults);
        faults.extend(told.faults);
        let resets = run.report.statistics.resets;
        let expected_resets = u64::from(run.printer.options().link == Link::Uart);
        if resets > expected_resets {
            faults.push(format!("the board was reset {resets} times"));
        }
        Ok(Figures {
            profile: self.profile.id.clone(),
            kills: self.kills,
            prints: self.jobs.len() as u64,
            lines,
            events: told.events,
            usage: told.usage,
            waits_us: self.waits.sorted_us(),
            idle: self.waits.idle(),
            killed: self.killed,
            undisturbed: self.undisturbed,
            refused: run.report.statistics.resends,
            dropped_bytes: run.report.statistics.rx_dropped,
            descriptors: asked.map_or(run.report.opens, |asked| asked.stored),
            faults,
        })
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("agent.log")
    }

    fn log_tail(&self) -> String {
        self.agent.as_ref().map_or_else(String::new, AgentProcess::log_tail)
    }
}

/// The board of a profile with its own wire and planner. It is at home, and has no heaters to wait for.
fn board(id: &str, seed: u64) -> Option<PtyOptions> {
    let mut printer = PrinterOptions::for_profile(id)?;
    printer.home_us = 0;
    printer.residency_us = 0;
    printer.keep_executed = KEEP_LINES;
    let (uart_baud, link) = (printer.tx_baud, printer.link);
    if link == Link::Uart {
        printer.reply_latency_us = LATENCY_US;
    }
    let reset_on_open = if link == Link::Uart { ResetOnOpen::First } else { ResetOnOpen::Never };
    Some(PtyOptions { printer, uart_baud, reset_on_open, seed, ..PtyOptions::instant() })
}

/// Holds what the printer did against the files; how many lines were right.
fn compare(profile: &Profile, files: Vec<u8>, run: &PtyRun, faults: &mut Vec<String>) -> u64 {
    let mut comparer = match profile.temperature.host_waits {
        HostWaits::Never => Comparer::new(files.into()),
        _ => Comparer::with_host_waits(files.into()),
    };
    run.printer.executed().iter().for_each(|line| comparer.executed(line));
    let comparison = comparer.finish();
    if let Some(difference) = comparison.difference {
        let nothing = || "nothing".to_owned();
        faults.push(format!(
            "after {} right commands, line {:?} of all files: expected {}, carried out {}",
            difference.after,
            difference.line,
            difference.expected.unwrap_or_else(nothing),
            difference.executed.unwrap_or_else(nothing),
        ));
    }
    comparison.matched
}
