//! What a first run says, in lines of 79 characters: what was found, what is asked, and what stands at the end.

use std::path::Path;

use spoolway_protocol::Fault;

use super::super::paint::{Paint, plain, wrap};
use super::COLUMNS;
use super::find::shown;
use crate::setup::{Agent, Answering, Heard, Holder, Port, Question, Ready, Summary, Survey, Test};

/// Lines behind a mark, each further one below its text.
fn item(mark: &str, text: &str) -> Vec<String> {
    let indent = " ".repeat(mark.chars().count());
    let lines = wrap(&plain(text), COLUMNS - mark.chars().count());
    let marked = lines.into_iter().enumerate();
    marked.map(|(place, line)| format!("{}{line}", if place == 0 { mark } else { &indent })).collect()
}

/// What was found without touching anything.
pub(super) fn survey(survey: &Survey) -> Vec<String> {
    let mut lines = vec![String::new()];
    let agent = match &survey.agent {
        Agent::Stopped(_) => "it does not run".to_owned(),
        Agent::Running { printer: Some(printer), .. } => format!("runs with {}", name(printer)),
        Agent::Running { complaint, port, .. } => {
            let why = complaint.as_ref().map_or("no printer answers it", |complaint| complaint.text.as_str());
            // Many complaints begin with the port themselves.
            let port = port.display().to_string();
            if why.starts_with(&port) { format!("runs; {why}") } else { format!("runs at {port}: {why}") }
        }
    };
    lines.extend(item("  agent   ", &agent));
    if survey.ports.is_empty() {
        lines.extend(item("  ports   ", "none is plugged in"));
    }
    for (place, found) in survey.ports.iter().enumerate() {
        lines.extend(item(if place == 0 { "  ports   " } else { "          " }, &port(found)));
    }
    lines.extend(item("  owner   ", survey.owner.as_deref().unwrap_or("nobody")));
    if let Some(token) = &survey.token {
        lines.extend(item("  token   ", &token.display().to_string()));
    }
    lines
}

fn port(port: &Port) -> String {
    let product = port.product.as_ref().map_or_else(String::new, |product| format!(", {product}"));
    let holder = match &port.holder {
        Holder::Nobody => String::new(),
        Holder::Agent => ", held by the agent".to_owned(),
        Holder::Other(who) => format!(", held by {who}: stop that if the printer is here"),
    };
    format!("{}{product}{holder}", port.device.display())
}

/// A printer in a few words.
fn name(printer: &Answering) -> String {
    let machine = printer.machine.as_ref().map_or_else(String::new, |machine| format!(" on {machine}"));
    let profile = if printer.is_verified { "" } else { ", unverified: one line at a time" };
    format!(
        "{}{machine} at {} with {} baud (profile {}{profile})",
        printer.firmware,
        printer.port.display(),
        printer.baud,
        printer.profile
    )
}

/// What came of asking at a port.
pub(super) fn heard(heard: &Heard, paint: Paint) -> Vec<String> {
    match &heard.who {
        Ok(printer) => {
            let mut lines = vec![format!("  {}", paint.green("A printer answers."))];
            lines.extend(item("  ", &name(printer)));
            lines
        }
        Err(complaint) => {
            let mut lines = vec![format!("  {} [{}]", paint.yellow("Nobody."), complaint.code)];
            lines.extend(item("  ", &complaint.text));
            lines
        }
    }
}

/// What is asked.
pub(super) fn question(question: &Question) -> Vec<String> {
    match question {
        Question::Open { ports, stops_agent } => open(ports, *stops_agent),
        Question::Nobody => item(
            "",
            "No printer was found. Switch it on, plug it in, or stop the program that holds its port.",
        ),
        Question::Which(list) => {
            let mut lines = vec!["Several printers answer; this agent serves one.".to_owned()];
            for (place, printer) in list.iter().enumerate() {
                lines.extend(item(&format!("  {}  ", place + 1), &name(printer)));
            }
            lines
        }
        Question::Token(token) => item(
            "",
            &format!(
                "A token lies at {}. It gives this agent the owner that it names, and is erased.",
                token.display()
            ),
        ),
        Question::Relay(_) => item(
            "",
            "The relay to pair with, as wss://host or wss://host:port. Type none to use the agent at this machine only.",
        ),
        Question::Apply { changes, starts_agent } => {
            let mut lines = Vec::new();
            if !changes.is_empty() {
                lines.push("This is written into the configuration; all else in it stays:".to_owned());
            }
            for change in changes {
                lines.extend(item("  ", &format!("{} = {}", change.key, shown(&change.value))));
            }
            if *starts_agent {
                lines.push("The agent is started with it, now and whenever this machine starts.".to_owned());
            }
            lines
        }
        Question::PairAgain(complaint) => {
            let mut lines = item("", &format!("It was not paired: {} [{}]", complaint.text, complaint.code));
            let help = Fault::from_code(&complaint.code).map_or("", Fault::help);
            lines.extend(item("  ", help));
            lines
        }
        Question::Test => [
            "A small test, if you like:",
            "  line   400 commands that neither move nor heat",
            "  move   homes, then draws a square in the air; nothing is heated",
            "  print  heats bed and nozzle for PLA, and prints a square of one layer",
            "For move and print the bed has to be clear, which you say with it, and its",
            "size known (printer.volume_mm).",
        ]
        .map(str::to_owned)
        .into(),
    }
}

fn open(ports: &[impl AsRef<Path>], stops_agent: bool) -> Vec<String> {
    let mut lines = item("", "To ask who is there, these ports are opened:");
    for port in ports {
        lines.push(format!("  {}", port.as_ref().display()));
    }
    lines.extend(item(
        "",
        "Many boards are reset by that: not while one of them prints, also from its own card.",
    ));
    if stops_agent {
        lines.extend(item("", "The agent, which has no printer, is stopped for it and then started again."));
    }
    lines
}

/// The end of the line on which the answer is typed.
pub(super) fn prompt(question: &Question) -> String {
    match question {
        Question::Open { .. } => "Open them? [Y/n]".to_owned(),
        Question::Nobody => "[r]etry, [c]ontinue without a printer, or [q]uit? [Q]".to_owned(),
        Question::Which(list) => format!("Which? [1-{}, q]", list.len()),
        Question::Token(_) => "Use it? [Y/n]".to_owned(),
        Question::Relay(Some(url)) => format!("Relay? [{url}]"),
        Question::Relay(None) => "Relay? [none]".to_owned(),
        Question::Apply { .. } => "Do that? [Y/n]".to_owned(),
        Question::PairAgain(_) => "Once more? [y/N]".to_owned(),
        Question::Test => "Which test? [no]".to_owned(),
    }
}

/// What stands at the end, and what to do next.
pub(super) fn summary(summary: &Summary, steps: &[String], paint: Paint) -> Vec<String> {
    let mut lines = vec![String::new(), paint.bold("What stands")];
    match (&summary.printer, &summary.ready) {
        (Some(printer), Ready::Yes) => lines.extend(item("  printer  ", &name(printer))),
        (_, Ready::Yes) => lines.extend(item("  printer  ", "the agent has one")),
        (_, Ready::No(complaint)) => {
            lines.extend(item("  printer  ", &format!("none: {} [{}]", complaint.text, complaint.code)));
        }
        (Some(printer), Ready::NoAgent) => {
            lines.extend(item("  printer  ", &format!("{}, once the agent is started", name(printer))));
        }
        (None, Ready::NoAgent) => lines.extend(item("  printer  ", "none was set up, and no agent runs")),
    }
    let owner = match (&summary.owner, &summary.unpaired) {
        (Some(owner), _) => owner.clone(),
        (None, Some(complaint)) => format!("nobody: {} [{}]", complaint.text, complaint.code),
        (None, None) => "nobody; it is used at this machine only".to_owned(),
    };
    lines.extend(item("  owner    ", &owner));
    if let Some((test, came)) = &summary.test {
        lines.extend(item(
            "  test     ",
            &tested(*test, came.as_ref().err().map(|complaint| &*complaint.text)),
        ));
    }
    lines.extend([String::new(), paint.bold("What to do next")]);
    for step in steps {
        lines.extend(item("  - ", step));
    }
    lines
}

fn tested(test: Test, why_not: Option<&str>) -> String {
    match why_not {
        None => format!("{}: every command was acknowledged", test.word()),
        Some(why) => format!("{}: {why}", test.word()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Change, Wanted};
    use crate::setup::{Complaint, Service, next_steps};

    const LONG: &str = "/dev/serial/by-path/platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.2:1.0-port0";

    fn printer() -> Answering {
        Answering {
            port: LONG.into(),
            baud: 250_000,
            firmware: "Marlin bugfix-2.1.x (Jan  1 2024 12:00:00)\x1b[2J".into(),
            machine: Some("Ender-3 V2 of the far left table".into()),
            profile: "marlin".into(),
            is_verified: false,
        }
    }

    /// A word that is longer than a line, as the name of a port, cannot be broken.
    fn fits(lines: &[String]) {
        for line in lines {
            let is_word = line.trim_start().split(' ').count() == 1;
            assert!(line.chars().count() <= COLUMNS || is_word || line.contains(LONG), "{line}");
            assert!(!line.contains('\x1b'), "{line:?}");
        }
    }

    #[test]
    fn whatever_is_found_and_asked_fits_a_terminal_and_cannot_steer_it() {
        let ports = vec![Port {
            device: "/dev/ttyUSB0".into(),
            stable: LONG.into(),
            product: Some("USB Serial\x1b]0;".into()),
            holder: Holder::Other("octoprint (process 812), screen (process 4711)".into()),
        }];
        for agent in [
            Agent::Stopped(Service::Unit),
            Agent::Running {
                service: Service::Unit,
                port: LONG.into(),
                printer: Some(printer()),
                complaint: None,
                has_job: false,
            },
        ] {
            let found = Survey {
                relay: None,
                config: Err(String::new()),
                agent,
                ports: ports.clone(),
                owner: Some("farm (Laboratory of the university's department of many long words)".into()),
                token: Some("/boot/firmware/spoolway-enrol.toml".into()),
            };
            let lines = survey(&found);
            fits(&lines);
            assert!(lines.iter().any(|line| line.contains("octoprint (process 812)")), "{lines:?}");
        }
        let changes = vec![Change { key: "printer.port", value: Wanted::Text(LONG.into()) }];
        for asked in [
            Question::Open { ports: vec![LONG.into()], stops_agent: true },
            Question::Nobody,
            Question::Which(vec![printer(), printer()]),
            Question::Token("/boot/firmware/spoolway-enrol.toml".into()),
            Question::Relay(None),
            Question::Apply { changes, starts_agent: true },
            Question::PairAgain(Complaint::of(Fault::TlsWrongCertificate, "x ".repeat(60))),
            Question::Test,
        ] {
            fits(&question(&asked));
            assert!(prompt(&asked).len() < COLUMNS && prompt(&asked).contains('['), "{asked:?}");
        }
        for who in [Ok(printer()), Err(Complaint { code: "port.busy".into(), text: "x ".repeat(80) })] {
            fits(&heard(&Heard { port: LONG.into(), who }, Paint::none()));
        }
    }

    #[test]
    fn the_end_says_what_stands_and_what_to_do_next() {
        let mut end = Summary {
            printer: Some(printer()),
            ready: Ready::No(Complaint { code: "port.missing".into(), text: "it is gone".into() }),
            written: Vec::new(),
            owner: None,
            relay: None,
            unpaired: Some(Complaint { code: "pair.expired".into(), text: "nobody came".into() }),
            test: None,
            service: Service::Unit,
        };
        let text = |end: &Summary| {
            let lines = summary(end, &next_steps(end, None), Paint::none());
            fits(&lines);
            lines.join("\n")
        };
        let said = text(&end);
        for part in
            ["none: it is gone [port.missing]", "nobody: nobody came [pair.expired]", "What to do next"]
        {
            assert!(said.contains(part), "{part} is not in {said}");
        }
        end.ready = Ready::Yes;
        end.unpaired = None;
        end.test = Some((Test::Line, Ok(())));
        let said = text(&end);
        assert!(
            said.contains("line: every command was acknowledged") && said.contains("this machine only"),
            "{said}"
        );
    }
}
