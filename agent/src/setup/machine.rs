//! The conversation of a first run: of what is known, the first thing that is missing is asked or done next.
//!
//! There is no order to lose: each turn looks at all that is known. So a run that begins where another was broken off, on a machine that is
//! half set up, asks and does only what is left. An agent that was stopped here is started again on every way out.

use std::path::PathBuf;

use spoolway_protocol::Fault;

use super::answers::{Answers, PrinterAnswer, RelayAnswer, Words};
use super::facts::{
    Agent, Answering, Attempt, Complaint, Heard, Holder, Paired, Port, Ready, Service, Standing, Survey,
};
use super::plan::{Chosen, changes};
use super::question::{Answer, Question};
use super::test_print::Test;
use crate::config::{Change, PortChoice, RelayUrl};
use crate::explain::program::UNREACHABLE;

/// How often it is looked for a printer.
const LOOKS_MAX: u32 = 20;
/// How often a pairing is tried.
const PAIRINGS_MAX: u32 = 5;

/// What is to be done. Each is answered by the `handle_` method it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Do {
    /// Look around without touching anything; [`Setup::handle_survey`].
    Survey,
    /// Stop the agent; [`Setup::handle_stopped`].
    StopAgent,
    /// Open these ports and ask who is there; [`Setup::handle_heard`].
    Probe(Vec<PathBuf>),
    /// Write the configuration; [`Setup::handle_written`].
    Write(Vec<Change>),
    /// Start the agent, now and with the machine, or start it anew; [`Setup::handle_started`].
    StartAgent,
    /// Wait until the agent has its printer; [`Setup::handle_ready`].
    Await,
    /// Pair by the token; [`Setup::handle_paired`].
    Enrol(PathBuf),
    /// Pair by a code; [`Setup::handle_paired`].
    Pair {
        /// The relay.
        relay: RelayUrl,
        /// Its authority, where one was named.
        ca: Option<PathBuf>,
        /// Whether nobody compares the words at this end.
        unseen: bool,
    },
    /// Print a test; [`Setup::handle_tested`].
    Test(Test),
}

/// What is next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Do this.
    Do(Do),
    /// Ask a person this; answered by [`Setup::handle_answer`] or [`Setup::handle_end_of_input`].
    Ask(Question),
    /// It is over, and stays so.
    Over(Ending),
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Brought to its end.
    Done(Box<Summary>),
    /// A person has said no; nothing was written.
    Declined,
    /// A question had nobody to answer it.
    Unanswered {
        /// Its key.
        key: &'static str,
    },
    /// It cannot go on.
    Failed(Complaint),
}

/// What stands at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The printer that was set up.
    pub printer: Option<Answering>,
    /// Whether the agent has it.
    pub ready: Ready,
    /// What was written.
    pub written: Vec<Change>,
    /// Who owns the agent.
    pub owner: Option<String>,
    /// The relay that it was to be paired with.
    pub relay: Option<RelayUrl>,
    /// Why nobody does, where that was tried.
    pub unpaired: Option<Complaint>,
    /// What became of the test.
    pub test: Option<(Test, Attempt<()>)>,
    /// Whether an agent can be started by systemd.
    pub service: Service,
}

/// What is done about a printer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Choice {
    /// This one is set up.
    Printer(Answering),
    /// It stays as it is.
    Without,
}

/// How the agent gets its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    Token(PathBuf),
    Relay(RelayUrl),
    None,
}

/// The machine.
#[derive(Debug, Clone)]
pub struct Setup {
    answers: Answers,
    survey: Option<Survey>,
    may_open: bool,
    is_stopped: bool,
    heard: Option<Vec<Heard>>,
    looks: u32,
    choice: Option<Choice>,
    uses_token: Option<bool>,
    way: Option<Way>,
    may_apply: bool,
    written: Option<Vec<Change>>,
    is_started: bool,
    ready: Option<Ready>,
    paired: Option<Attempt<Paired>>,
    pairings: u32,
    test: Option<Test>,
    tested: Option<Attempt<()>>,
    end: Option<Ending>,
}

/// The next step, or the value that a step was missing.
type Next<T> = Result<T, Output>;

impl Setup {
    /// Nothing is known, but for what was answered beforehand.
    #[must_use]
    pub fn new(answers: Answers) -> Self {
        Self {
            answers,
            survey: None,
            may_open: false,
            is_stopped: false,
            heard: None,
            looks: 0,
            choice: None,
            uses_token: None,
            way: None,
            may_apply: false,
            written: None,
            is_started: false,
            ready: None,
            paired: None,
            pairings: 0,
            test: None,
            tested: None,
            end: None,
        }
    }

    /// What is asked or done next. It is the same until it was answered.
    pub fn poll_output(&mut self) -> Output {
        loop {
            let output = match &self.end {
                // Nobody is left without the agent that was stopped for the sake of looking.
                Some(_) if self.is_stopped => Output::Do(Do::StartAgent),
                Some(end) => Output::Over(end.clone()),
                None => match self.walk() {
                    Ok(summary) => Output::Over(Ending::Done(Box::new(summary))),
                    Err(output) => output,
                },
            };
            match output {
                Output::Ask(question) => match self.answers.to(&question) {
                    Some(answer) => self.take(&question, answer),
                    None if self.answers.yes => self.end = Some(Ending::Unanswered { key: question.key() }),
                    None => return Output::Ask(question),
                },
                Output::Over(end) if self.end.is_none() => self.end = Some(end),
                output => return output,
            }
        }
    }

    /// Whether an agent is stopped that has to be started again, whatever happens.
    #[must_use]
    pub fn has_stopped_agent(&self) -> bool {
        self.is_stopped
    }

    /// What was seen.
    pub fn handle_survey(&mut self, survey: Survey) {
        if let Err(why) = &survey.config {
            self.end = Some(Ending::Failed(Complaint::of(Fault::ConfigBroken, why.clone())));
        }
        // Somebody has started it meanwhile: what was allowed before is asked anew.
        self.is_stopped &= matches!(survey.agent, Agent::Stopped(_));
        self.survey = Some(survey);
    }

    /// The agent was stopped, or could not be.
    pub fn handle_stopped(&mut self, stopped: Attempt<()>) {
        match stopped {
            Ok(()) => self.is_stopped = true,
            Err(complaint) => self.end = Some(Ending::Failed(complaint)),
        }
    }

    /// Who answers at the ports that were asked.
    pub fn handle_heard(&mut self, heard: Vec<Heard>) {
        self.heard = Some(heard);
    }

    /// The configuration was written, or could not be.
    pub fn handle_written(&mut self, written: Attempt<Vec<Change>>) {
        match written {
            Ok(changes) => self.written = Some(changes),
            Err(complaint) => self.end = Some(Ending::Failed(complaint)),
        }
    }

    /// The agent was started, or could not be.
    pub fn handle_started(&mut self, started: Attempt<()>) {
        self.is_stopped = false;
        self.is_started = true;
        if let (Err(complaint), None) = (started, &self.end) {
            self.end = Some(Ending::Failed(complaint));
        }
    }

    /// The agent has its printer, or not.
    pub fn handle_ready(&mut self, ready: Ready) {
        self.ready = Some(ready);
    }

    /// The agent has an owner, or not.
    pub fn handle_paired(&mut self, paired: Attempt<Paired>) {
        self.pairings += 1;
        self.paired = Some(paired);
    }

    /// The test is over.
    pub fn handle_tested(&mut self, tested: Attempt<()>) {
        self.tested = Some(tested);
    }

    /// A person has answered. What does not fit the question is not heard.
    pub fn handle_answer(&mut self, answer: Answer) {
        if let Output::Ask(question) = self.poll_output()
            && question.takes(&answer)
        {
            self.take(&question, answer);
        }
    }

    /// Nobody can answer any more.
    pub fn handle_end_of_input(&mut self) {
        if let Output::Ask(question) = self.poll_output() {
            self.end = Some(Ending::Unanswered { key: question.key() });
        }
    }
}

mod steps;

#[cfg(test)]
mod tests;
