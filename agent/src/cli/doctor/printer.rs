//! The printer as the running agent knows it; nothing is opened or sent for that.

use super::super::Failure;
use super::report::Step;
use crate::view::{PrinterView, Status};

/// Lines sent again per line sent, beyond which a wire is bad.
const BAD_RESENDS: f32 = 0.01;

/// Whether a printer answers.
pub(super) fn printer(said: Result<&Status, &Failure>) -> Step {
    let printer = match said {
        Ok(status) => &status.printer,
        Err(failure) => {
            let step = Step::warning(
                "printer",
                format!("only a running agent knows: {}", failure.text()),
                failure.help(),
            );
            return Step { code: failure.code().map(str::to_owned), ..step };
        }
    };
    if let Some(fault) = &printer.fault {
        return Step::of_fault("printer", fault);
    }
    let Some(firmware) = &printer.firmware else {
        let help = "Ask again in half a minute: a board may be starting, and with printer.baud = \"auto\" every rate is tried.";
        return Step::warning("printer", format!("{} has not answered yet", printer.port), help);
    };
    let profile = printer.profile.as_deref().unwrap_or("unknown");
    let care = if printer.profile_verified { "" } else { ", not verified: one line at a time" };
    let text = format!("{firmware} at {} baud, profile {profile}{care}", printer.baud);
    match printer.alarms.first() {
        Some(alarm) => {
            let step = Step::warning("printer", format!("{text}; {}", alarm.text), alarm.help.as_str());
            Step { code: Some(alarm.code.clone()), ..step }
        }
        None => wire(printer, text),
    }
}

/// How the wire has done in the present or last job.
fn wire(printer: &PrinterView, text: String) -> Step {
    match &printer.wire {
        Some(wire) if wire.resend_ratio > BAD_RESENDS => {
            let text =
                format!("{text}; {:.1} % of the lines had to be sent again", wire.resend_ratio * 100.0);
            let help = "Use a short cable with a shield, away from motors and mains, and not a hub without a supply.";
            Step::warning("printer", text, help)
        }
        _ => Step::ok("printer", text),
    }
}

#[cfg(test)]
mod tests {
    use spoolway_protocol::Fault;

    use super::super::super::Exit;
    use super::super::super::status::tests::full;
    use super::super::report::Verdict;
    use super::*;
    use crate::view::FaultView;

    #[test]
    fn the_agents_word_is_taken_for_its_printer() {
        let mut known = full();
        known.printer.fault = None;
        known.printer.alarms.clear();
        let step = printer(Ok(&known));
        assert_eq!(step.verdict, Verdict::Ok, "{step:?}");
        assert!(step.text.contains("baud, profile "), "{step:?}");
        known.printer.profile_verified = false;
        assert!(printer(Ok(&known)).text.ends_with("one line at a time"));
        known.printer.wire.as_mut().unwrap().resend_ratio = 0.034;
        let step = printer(Ok(&known));
        assert_eq!((step.verdict, step.text.contains("3.4 %")), (Verdict::Warning, true), "{step:?}");
        known.printer.alarms = vec![FaultView::new(Fault::PrintStalled, "it stands still")];
        let step = printer(Ok(&known));
        assert_eq!((step.verdict, step.code.as_deref()), (Verdict::Warning, Some("print.stalled")));
        known.printer.firmware = None;
        assert!(printer(Ok(&known)).text.ends_with("has not answered yet"));
        known.printer.fault = Some(FaultView::new(Fault::FirmwareSilent, "nobody answers"));
        let step = printer(Ok(&known));
        assert_eq!((step.verdict, step.code.as_deref()), (Verdict::Failed, Some("firmware.silent")));
    }

    #[test]
    fn without_an_agent_that_is_said_and_no_port_is_opened() {
        let away = Failure::new(
            Exit::Unavailable,
            "no agent answers",
            Some("agent.unreachable".into()),
            "Start it.",
        );
        let step = printer(Err(&away));
        assert_eq!((step.verdict, step.code.as_deref()), (Verdict::Warning, Some("agent.unreachable")));
        assert!(step.text.ends_with("no agent answers") && step.help.as_deref() == Some("Start it."));
    }
}
