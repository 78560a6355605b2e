//! `status`: the whole agent on one screen.

mod watch;
mod words;

use std::fmt::Write as _;
use std::io::Write;

use spoolway_protocol::JobState;
use spoolway_protocol::printer::PrinterState;

use super::disk;
use super::jobs::{percent, share};
use super::paint::{Paint, bar, fit, plain, span, wrap};
use super::{Failure, Whereabouts};
use crate::explain;
use crate::view::{BedView, FaultView, JobView, LinkView, PermitsView, PrinterView, Status};
pub(super) use watch::watch;
use words::{temperatures, wire_words};

/// Columns that every terminal has.
const COLUMNS: usize = 80;
/// Columns of the names on the left.
const NAME: usize = 10;

/// Shows the status.
pub(super) fn status(whereabouts: &Whereabouts, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let status = whereabouts.agent()?.status()?;
    if json {
        serde_json::to_writer(&mut *out, &status).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        let screen = Screen::of(&status, Paint::of(&std::io::stdout()));
        out.write_all(whereabouts.typed(&screen).as_bytes())?;
    }
    Ok(())
}

struct Screen {
    text: String,
    paint: Paint,
    /// A code that was shown and has an explanation.
    code: Option<String>,
}

impl Screen {
    fn of(status: &Status, paint: Paint) -> String {
        let mut screen = Self { text: String::new(), paint, code: None };
        let head = format!("{}  version {}, up {}", status.agent_id, status.version, span(status.uptime_ms));
        screen.row("Agent", &fit(&head, COLUMNS - NAME));
        screen.printer(&status.printer);
        let job = status.job.as_ref().or(status.needs_a_person.as_ref());
        screen.job(job, &status.printer);
        // What is on the bed of an interrupted print may still become a part.
        screen.bed(
            status.bed.as_ref().filter(|_| job.is_none_or(|job| job.state == JobState::AwaitingOperator)),
        );
        if let Some(window) = &status.maintenance {
            let words = screen.paint.yellow(&fit(&super::maintenance::words(Some(window)), COLUMNS - NAME));
            screen.row("Open", &words);
        }
        if let Some(update) = status.update.as_ref().and_then(super::update::in_a_line) {
            let words = screen.paint.yellow(&fit(&update, COLUMNS - NAME));
            screen.row("Update", &words);
        }
        screen.link(&status.link);
        screen.permits(&status.permits);
        let waiting =
            format!("{}, {}", count(status.jobs_waiting, "job"), count(status.events_unacked, "event"));
        screen.row("Waiting", &waiting);
        if let Some(storage) = &status.storage {
            for (at, words) in disk::words(storage).iter().enumerate() {
                screen.row(if at == 0 { "Storage" } else { "" }, &fit(words, COLUMNS - NAME));
            }
            screen.fault(storage.fault.as_ref());
        }
        if let Some(code) = screen.code.take() {
            screen.row("Codes", &format!("`spoolway-agent explain {code}` says more"));
        }
        screen.text
    }

    /// A named row; `value` may hold colours and is at most one line.
    fn row(&mut self, name: &str, value: &str) {
        let name = self.paint.bold(&format!("{name:<NAME$}"));
        // Writing into a string cannot fail.
        let _ = writeln!(self.text, "{}", format!("{name}{value}").trim_end());
    }

    fn printer(&mut self, printer: &PrinterView) {
        let state = self.state(&printer.state);
        let at = match printer.baud {
            0 => format!(" on {}, its rate is not known yet", printer.port),
            baud => format!(" on {} at {baud} baud", printer.port),
        };
        self.row("Printer", &format!("{state}{}", fit(&at, COLUMNS - NAME - 12)));
        let firmware = printer.firmware.as_deref().unwrap_or("not known yet");
        let profile = match (&printer.profile, printer.profile_verified) {
            (Some(profile), true) => format!("; profile {profile}"),
            (Some(profile), false) => format!("; profile {profile} (unverified)"),
            (None, _) => String::new(),
        };
        let room = (COLUMNS - NAME).saturating_sub(profile.chars().count());
        self.row("Firmware", &format!("{}{}", fit(firmware, room), plain(&profile)));
        if let Some(window) = &printer.window {
            let wire = format!(
                "{:.0} % in use, {:.0} lines/s, {}; window {window}",
                printer.link_use * 100.0,
                printer.lines_per_s,
                count(printer.refusals, "refusal"),
            );
            self.row("Wire", &fit(&wire, COLUMNS - NAME));
        }
        if let Some(wire) = &printer.wire {
            for words in wire_words(wire) {
                self.row("", &fit(&words, COLUMNS - NAME));
            }
        }
        self.asked(printer);
        let heat = temperatures(printer);
        if !heat.is_empty() {
            self.row("Heat", &fit(&heat, COLUMNS - NAME));
        }
        self.fault(printer.fault.as_ref());
        printer.alarms.iter().for_each(|alarm| self.fault(Some(alarm)));
    }

    /// What the firmware says to a person.
    fn asked(&mut self, printer: &PrinterView) {
        if let Some(prompt) = &printer.prompt {
            let choices = prompt.choices.iter().enumerate();
            let choices: Vec<_> = choices.map(|(number, label)| format!("{number} {label}")).collect();
            let text = self.paint.yellow(&fit(&prompt.text, COLUMNS - NAME));
            self.row("Asks", &text);
            let answers = if choices.is_empty() { "0 go on".to_owned() } else { choices.join(", ") };
            self.row("", &fit(&format!("`spoolway-agent answer N`: {answers}"), COLUMNS - NAME));
        }
        if let Some(note) = &printer.note {
            self.row("Says", &fit(note, COLUMNS - NAME));
        }
        if printer.ready == Some(false) {
            self.row("", "somebody has set it to not ready");
        }
    }

    fn job(&mut self, job: Option<&JobView>, printer: &PrinterView) {
        let Some(job) = job else {
            let hint = if printer.state == PrinterState::Idle {
                "none; `spoolway-agent print FILE` starts one"
            } else {
                "none"
            };
            return self.row("Job", hint);
        };
        let state = format!(" ({}, attempt {})", job.state, job.attempt);
        let room = COLUMNS - NAME - state.len().min(40);
        self.row("Job", &format!("{}{state}", fit(&job.name, room)));
        let share = share(job);
        let layers = if job.layers_total > 0 {
            format!("  layer {}/{}", job.layer, job.layers_total)
        } else {
            String::new()
        };
        self.row("", &format!("{} {}{layers}", self.paint.green(&bar(share, 40)), percent(share)));
        self.row(
            "",
            &format!(
                "{} of {} commands, line {} of the file",
                job.commands_acked, job.commands_total, job.line
            ),
        );
        let code = job.code.as_ref().map_or_else(String::new, |code| format!(" [{code}]"));
        self.note_code(job.code.as_deref());
        let reason = job.reason.iter().map(|reason| plain(&format!("{reason}{code}")));
        for line in reason.flat_map(|reason| wrap(&reason, COLUMNS - NAME)) {
            let line = self.paint.yellow(&line);
            self.row("", &line);
        }
        let id = &job.job_id;
        let next = match job.state {
            JobState::Interrupted => format!("`spoolway-agent recover {id} --plan` says how it may go on"),
            JobState::AwaitingOperator => {
                format!("`spoolway-agent job {id}` says what was found in its file")
            }
            _ => return,
        };
        self.row("", &next);
    }

    /// What keeps the next job from starting, once the last part is done.
    fn bed(&mut self, bed: Option<&BedView>) {
        let Some(bed) = bed.filter(|bed| bed.confirm_required && !bed.clear) else { return };
        let part = bed.part.as_deref().map_or_else(String::new, |part| format!(" after {part}"));
        let text = fit(&format!("nobody has said that it is clear{part}"), COLUMNS - NAME);
        let text = self.paint.yellow(&text);
        self.row("Bed", &text);
        self.row("", &format!("`spoolway-agent bed clear` says so (bed epoch {})", bed.epoch));
    }

    fn link(&mut self, link: &LinkView) {
        let Some(relay) = &link.relay else {
            return self.row("Link", "no relay is configured");
        };
        let word = if link.up { self.paint.green("up") } else { self.paint.yellow("down") };
        let since = if link.since_ms == 0 { String::new() } else { format!(" for {}", span(link.for_ms)) };
        let rest = format!("{since}, {relay}");
        self.row("Link", &format!("{word}{}", fit(&rest, COLUMNS - NAME - 4)));
        self.fault(link.fault.as_ref());
    }

    /// Nothing where no key of a backend is set and none is needed.
    fn permits(&mut self, permits: &PermitsView) {
        let rule = if permits.required { "required" } else { "optional" };
        match permits.keys.as_slice() {
            [] if permits.required => {
                let text = self.paint.red("required, but no key of the backend is set");
                self.row("Permits", &text);
            }
            [] => {}
            keys => {
                self.row("Permits", &fit(&format!("{rule}, signed by {}", keys.join(" or ")), COLUMNS - NAME))
            }
        }
    }

    fn fault(&mut self, fault: Option<&FaultView>) {
        let Some(fault) = fault else { return };
        self.note_code(Some(&fault.code));
        for line in wrap(&plain(&format!("{} [{}]", fault.text, fault.code)), COLUMNS - NAME) {
            let line = self.paint.red(&line);
            self.row("", &line);
        }
        for line in wrap(&plain(&format!("Try: {}", fault.help)), COLUMNS - NAME) {
            self.row("", &line);
        }
    }

    /// The first code that is shown is the example of how codes are explained.
    fn note_code(&mut self, code: Option<&str>) {
        let known = code.filter(|code| explain::is_known(code)).map(str::to_owned);
        self.code = self.code.take().or(known);
    }

    fn state(&self, state: &PrinterState) -> String {
        let word = fit(state.as_str(), 12);
        match state {
            PrinterState::Idle | PrinterState::Printing => self.paint.green(&word),
            PrinterState::Paused | PrinterState::Connecting => self.paint.yellow(&word),
            PrinterState::Offline | PrinterState::Halted | PrinterState::Error => self.paint.red(&word),
            PrinterState::Unknown(_) => word,
        }
    }
}

fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
pub(super) mod tests;
