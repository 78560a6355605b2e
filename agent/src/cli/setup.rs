//! `setup`: carries between the machine of a first run, a person or a file of answers, and this computer.

mod act;
mod find;
mod flags;
mod unit;
mod words;

use std::io::{self, Write};
use std::path::PathBuf;

use spoolway_protocol::Fault;

use super::paint::{Paint, plain, wrap};
use super::pair::check_ca;
use super::{Exit, Failure, Whereabouts};
use crate::config::lock;
use crate::paths::Instance;
use crate::setup::{Do, Ending, Heard, Output, Question, Ready, Setup, Summary, Typed, next_steps};
pub(super) use flags::SetupFlags;

/// Lines that are no answer, before it counts as nobody who answers.
const UNCLEAR_MAX: usize = 10;
/// Width of a terminal that nobody has to widen.
const COLUMNS: usize = 79;

/// Sets this machine up.
pub(super) fn setup(
    whereabouts: &Whereabouts,
    flags: SetupFlags,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let answers = flags.answers()?;
    // Before a port is opened or anything written.
    answers.ca.as_deref().map_or(Ok(()), check_ca)?;
    let mut here = find::Here::find(whereabouts)?;
    let _lock = lock(&here.file)?;
    let answers = here.named(answers);
    let paint = Paint::of(&io::stdout());
    writeln!(out, "{}", paint.bold("Setting up the agent of one printer."))?;
    if !answers.yes {
        writeln!(out, "Nothing is written, opened or moved before you say yes.")?;
    }
    let machine = Setup::new(answers);
    let ending = Run { whereabouts, here: &mut here, paint, out }.carry(machine)?;
    end(&ending, whereabouts.instance.as_ref(), paint, out)
}

/// One run.
struct Run<'a, W> {
    whereabouts: &'a Whereabouts,
    here: &'a mut find::Here,
    paint: Paint,
    out: &'a mut W,
}

impl<W: Write> Run<'_, W> {
    fn carry(&mut self, mut machine: Setup) -> Result<Ending, Failure> {
        loop {
            let done = match machine.poll_output() {
                Output::Over(ending) => return Ok(ending),
                Output::Ask(question) => self.ask(&question).map(|typed| match typed {
                    Some(Typed::Answer(answer)) => machine.handle_answer(answer),
                    _ => machine.handle_end_of_input(),
                }),
                Output::Do(step) => self.act(&mut machine, step),
            };
            // Whoever reads along is gone: the agent is not left stopped for that.
            if let Err(failure) = done {
                if machine.has_stopped_agent() {
                    let _ = self.here.systemd.start();
                }
                return Err(failure);
            }
        }
    }

    /// An answer; nothing where the input has ended, or none of many lines was one.
    fn ask(&mut self, question: &Question) -> Result<Option<Typed>, Failure> {
        writeln!(self.out)?;
        self.say(&words::question(question))?;
        for _ in 0..UNCLEAR_MAX {
            write!(self.out, "{} ", words::prompt(question))?;
            self.out.flush()?;
            let mut line = String::new();
            // Not held from one question to the next: a pairing asks at the same input.
            if io::stdin().read_line(&mut line)? == 0 {
                writeln!(self.out)?;
                return Ok(None);
            }
            match question.read(&line) {
                Typed::Unclear(hint) => writeln!(self.out, "{hint}")?,
                answer => return Ok(Some(answer)),
            }
        }
        Ok(None)
    }

    /// Says some lines.
    fn say(&mut self, lines: &[String]) -> Result<(), Failure> {
        for line in lines {
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()?;
        Ok(())
    }

    fn act(&mut self, machine: &mut Setup, step: Do) -> Result<(), Failure> {
        match step {
            Do::Survey => {
                let survey = self.here.survey(self.whereabouts);
                self.say(&words::survey(&survey))?;
                machine.handle_survey(survey);
            }
            Do::StopAgent => {
                let minutes = unit::GUARD_MINUTES;
                writeln!(
                    self.out,
                    "The agent is stopped; it is started again, within {minutes} min in any case."
                )?;
                machine.handle_stopped(self.here.stop_agent());
            }
            Do::Probe(ports) => {
                let heard = self.probe(&ports)?;
                machine.handle_heard(heard);
            }
            Do::Write(changes) => {
                let written = self.here.write(self.whereabouts, &changes).map(|()| changes);
                if written.is_ok() {
                    writeln!(self.out, "Written: {}", self.here.file.display())?;
                }
                machine.handle_written(written);
            }
            Do::StartAgent => {
                writeln!(self.out, "Starting the agent ...")?;
                machine.handle_started(self.here.systemd.start());
            }
            Do::Await => {
                writeln!(self.out, "Waiting until the agent has its printer ...")?;
                self.out.flush()?;
                let ready = act::ready(self.whereabouts);
                if ready == Ready::Yes {
                    writeln!(self.out, "{}", self.paint.green("The agent has its printer."))?;
                }
                machine.handle_ready(ready);
            }
            Do::Enrol(token) => {
                machine.handle_paired(act::enrol(self.whereabouts, token, self.out));
            }
            Do::Pair { relay, ca, unseen } => {
                machine.handle_paired(act::pair(self.whereabouts, relay.to_string(), ca, unseen, self.out));
            }
            Do::Test(test) => machine.handle_tested(act::test(self.whereabouts, test, self.out)),
        }
        Ok(())
    }

    /// Asks at one port after the other, and tells of each.
    fn probe(&mut self, ports: &[PathBuf]) -> Result<Vec<Heard>, Failure> {
        let mut all = Vec::new();
        for port in ports {
            self.say(&wrap(&format!("Asking at {} (up to half a minute) ...", port.display()), COLUMNS))?;
            let heard = self.here.probe(port)?;
            self.say(&words::heard(&heard, self.paint))?;
            all.push(heard);
        }
        Ok(all)
    }
}

/// The last words and the exit code.
fn end(
    ending: &Ending,
    instance: Option<&Instance>,
    paint: Paint,
    out: &mut impl Write,
) -> Result<(), Failure> {
    match ending {
        Ending::Done(summary) => {
            for line in words::summary(summary, &next_steps(summary, instance), paint) {
                writeln!(out, "{line}")?;
            }
            out.flush()?;
            verdict(summary)
        }
        Ending::Declined => {
            writeln!(out, "Nothing was changed.")?;
            Ok(())
        }
        Ending::Unanswered { key } => {
            let text = format!("nobody has answered the question `{key}`");
            let help = format!(
                "Say it with --{key}, or in a file of answers, or where somebody can type: at a terminal, or by `ssh -t HOST sudo spoolway-agent setup`. What was written before stays."
            );
            Err(Failure::new(Exit::Usage, text, None, help))
        }
        Ending::Failed(complaint) => Err(failure(&complaint.code, &complaint.text)),
    }
}

/// What was asked for and did not come about is a failure, though the rest stands.
fn verdict(summary: &Summary) -> Result<(), Failure> {
    let test = summary.test.iter().find_map(|(_, came)| came.as_ref().err());
    let ready = match (&summary.ready, &summary.printer) {
        (Ready::No(complaint), Some(_)) => Some(complaint),
        _ => None,
    };
    match ready.or(summary.unpaired.as_ref()).or(test) {
        Some(complaint) => Err(failure(&complaint.code, &complaint.text)),
        None => Ok(()),
    }
}

fn failure(code: &str, text: &str) -> Failure {
    let lines = wrap(&plain(text), COLUMNS - 7).join("\n");
    match Fault::from_code(code) {
        Some(fault) => Failure::of(fault, lines),
        None => {
            let help = "Look at the agent's log (`journalctl -u spoolway-agent`), then run it again.";
            Failure::new(Exit::Runtime, lines, Some(code.to_owned()), help)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::{Complaint, Service};

    #[test]
    fn what_did_not_come_about_is_a_failure_with_its_code() {
        let summary = Summary {
            printer: None,
            ready: Ready::Yes,
            written: Vec::new(),
            owner: None,
            relay: None,
            unpaired: None,
            test: None,
            service: Service::Hand,
        };
        assert!(verdict(&summary).is_ok());
        let unpaired = Some(Complaint::of(Fault::RelayUnreachable, "nobody"));
        let failed = verdict(&Summary { unpaired, ..summary }).unwrap_err();
        assert_eq!((failed.code(), failed.exit()), (Some("relay.unreachable"), Exit::Unavailable));
        let ended =
            end(&Ending::Unanswered { key: "printer" }, None, Paint::none(), &mut Vec::new()).unwrap_err();
        assert_eq!(ended.exit(), Exit::Usage);
        assert!(ended.help().contains("--printer"), "{}", ended.help());
    }
}
