//! `status`: the whole agent on one screen.

mod words;

use std::fmt::Write as _;
use std::io::Write;

use spoolway_protocol::printer::PrinterState;

use super::disk;
use super::jobs::{percent, share};
use super::paint::{Paint, bar, fit, plain, span, wrap};
use super::{Failure, Whereabouts};
use crate::explain;
use crate::view::{BedView, FaultView, JobView, LinkView, PermitsView, PrinterView, Status};
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
        out.write_all(Screen::of(&status, Paint::of(&std::io::stdout())).as_bytes())?;
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
        screen.job(status.job.as_ref(), &status.printer);
        screen.bed(status.bed.as_ref().filter(|_| status.job.is_none()));
        if let Some(window) = &status.maintenance {
            let words = screen.paint.yellow(&fit(&super::maintenance::words(Some(window)), COLUMNS - NAME));
            screen.row("Open", &words);
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
        for line in job.reason.iter().flat_map(|reason| wrap(&plain(reason), COLUMNS - NAME)) {
            let line = self.paint.yellow(&line);
            self.row("", &line);
        }
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
        if self.code.is_none() && explain::is_known(&fault.code) {
            self.code = Some(fault.code.clone());
        }
        for line in wrap(&plain(&format!("{} [{}]", fault.text, fault.code)), COLUMNS - NAME) {
            let line = self.paint.red(&line);
            self.row("", &line);
        }
        for line in wrap(&plain(&format!("Try: {}", fault.help)), COLUMNS - NAME) {
            self.row("", &line);
        }
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
mod tests {
    use spoolway_protocol::{Fault, JobState};

    use super::super::jobs::tests::job;
    use super::*;
    use crate::view::{AreaView, MaintenanceView, PromptView, StorageView, WireView, WrittenView};

    fn full() -> Status {
        Status {
            agent_id: "7ZZZZZZZZZZZZZZZZZZZZZZZZZ".into(),
            version: "0.1.0".into(),
            uptime_ms: 11_520_000,
            printer: PrinterView {
                state: PrinterState::Printing,
                port: "/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0".into(),
                baud: 115_200,
                profile: Some("marlin".into()),
                profile_verified: true,
                firmware: Some(
                    "Marlin 2.1.2.4 \x1b[31m(Dec 16 2023 12:00:00) with a very long name that goes on".into(),
                ),
                window: Some("127 bytes, 32 lines".into()),
                wire: Some(WireView {
                    rule: "advanced-ok".into(),
                    window_bytes: 127,
                    window_lines: 32,
                    queue_lines: 4,
                    narrowed: 1,
                    rtt_ms_p50: 3.24,
                    rtt_ms_p99: 9.8,
                    gap_ms_p999: 24.0,
                    starved_ms: 12.0,
                    starvations: 2,
                    resend_ratio: 0.0002,
                }),
                prompt: Some(PromptView {
                    prompt_id: "q-1".parse().unwrap(),
                    text: "Filament runout T0".into(),
                    choices: vec!["Continue".into(), "Purge more".into()],
                }),
                note: Some("Time 0:05".into()),
                ready: Some(false),
                tools: vec![(214.8, Some(215.0))],
                bed: Some((60.1, Some(60.0))),
                link_use: 0.84,
                lines_per_s: 312.0,
                refusals: 1,
                fault: None,
                alarms: vec![FaultView::new(Fault::HeatStaysCold, "the bed is at 20 °C")],
            },
            job: Some(job("j1", JobState::Printing, 470)),
            link: LinkView {
                relay: Some("wss://relay.example".into()),
                up: false,
                session: None,
                since_ms: 1_000,
                since_boot_ms: 7_000,
                for_ms: 60_000,
                fault: Some(FaultView::new(Fault::RelayUnreachable, "relay.example: connection refused")),
            },
            bed: Some(BedView {
                epoch: 3,
                clear: false,
                confirm_required: true,
                part: Some("benchy.gcode (j0, completed)".into()),
                interrupted: Vec::new(),
            }),
            permits: PermitsView { required: true, keys: vec!["k56475aa75463474c".to_owned()] },
            storage: Some(StorageView {
                free_bytes: 3_100_000_000,
                reserve_bytes: 268_435_456,
                files: AreaView { used_bytes: 12_340_000, max_bytes: Some(4_294_967_296) },
                database: AreaView { used_bytes: 1_200_000, max_bytes: Some(268_435_456) },
                kept: AreaView { used_bytes: 0, max_bytes: None },
                written: Some(WrittenView { bytes: 9, files_bytes: 1, mb_a_day: Some(34.4) }),
                fault: None,
            }),
            jobs_waiting: 2,
            events_unacked: 1,
            maintenance: Some(MaintenanceView {
                left_s: 900,
                by: "uid 1000".into(),
                reason: Some("PID".into()),
            }),
        }
    }

    #[test]
    fn everything_fits_one_screen() {
        let text = Screen::of(&full(), Paint::none());
        assert!(text.lines().count() <= 31, "{text}");
        assert_eq!(
            text.matches("spoolway-agent explain").count(),
            1,
            "of two codes one is the example: {text}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS && !line.contains('\x1b')), "{text}");
        for part in [
            "Agent     7ZZZZZZZZZZZZZZZZZZZZZZZZZ  version 0.1.0, up 3 h 12 min\n",
            "Printer   printing on /dev/serial/by-id/",
            "; profile marlin\n",
            "Wire      84 % in use, 312 lines/s, 1 refusal; window 127 bytes, 32 lines\n",
            "          rule advanced-ok, narrowed 1x, 0.02 % sent again\n",
            "          round trip 3.2 ms, p99 9.8 ms; gap p99.9 24 ms; starved 12 ms\n",
            "Asks      Filament runout T0\n",
            "          `spoolway-agent answer N`: 0 Continue, 1 Purge more\n",
            "Says      Time 0:05\n",
            "          somebody has set it to not ready\n",
            "Heat      nozzle 214.8 -> 215 °C, bed 60.1 -> 60 °C\n",
            "          [##################----------------------]  47 %  layer 61/130\n",
            "          470 of 1000 commands, line 470 of the file\n",
            "          the bed is at 20 °C [heat.stays_cold]\n",
            "Open      The maintenance window is open for 15 min 0 s, by uid 1000: PID\n",
            "Link      down for 1 min 0 s, wss://relay.example\n",
            "          relay.example: connection refused [relay.unreachable]\n",
            "          Try: Read what it says",
            "Waiting   2 jobs, 1 event\n",
            "Storage   files 12.3 MB of 4294 MB, database 1.2 MB of 268 MB\n",
            "          3100 MB free, reserve 268 MB; writes 34 MB a day beyond files\n",
            "Codes     `spoolway-agent explain heat.stays_cold` says more\n",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("Bed "), "a part is being printed: {text}");
    }

    #[test]
    fn an_agent_that_knows_nothing_yet_says_so() {
        let mut status = full();
        status.job = None;
        status.link = LinkView::default();
        status.printer = PrinterView {
            state: PrinterState::Offline,
            firmware: None,
            profile: None,
            window: None,
            wire: None,
            prompt: None,
            note: None,
            ready: None,
            tools: Vec::new(),
            bed: None,
            fault: Some(FaultView::new(Fault::PortMissing, "/dev/ttyUSB0 is not there")),
            ..status.printer
        };
        let text = Screen::of(&status, Paint::none());
        for part in [
            "not known yet",
            "Job       none\n",
            "Bed       nobody has said that it is clear after benchy.gcode (j0, completed)\n",
            "          `spoolway-agent bed clear` says so (bed epoch 3)\n",
            "no relay is configured",
            "[port.missing]",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("Heat") && !text.contains("Wire"));
        (status.printer.fault, status.printer.alarms) = (None, Vec::new());
        assert!(!Screen::of(&status, Paint::none()).contains("explain"), "nothing is wrong");
    }
}
