//! The answers to `M115` and the banners of the conversations: who is it, what can it do, which profile does it get?

use spoolway_agent_core::Moment;
use spoolway_agent_core::greeting::{Greeted, Greeting, GreetingOptions, GreetingOutput};
use spoolway_firmware_profiles::identify::identify;
use spoolway_firmware_profiles::{FirmwareReport, Registry};

use crate::load;

/// What a firmware is asked with.
const QUESTION: &str = "M115";

/// The greeting asks, and hears what the firmware of a conversation answered; in pieces of so many bytes.
fn greet(name: &str, piece: usize) -> Greeted {
    let conversation = load(name);
    let exchanges = conversation.exchanges();
    let answer = exchanges.iter().find(|exchange| exchange.asked == [QUESTION]).unwrap();
    let text: String = answer.answered.iter().flat_map(|line| [line, "\n"]).collect();
    let now = Moment::ZERO;
    let mut greeting = Greeting::new(GreetingOptions::default(), now);
    let GreetingOutput::Write(asked) = greeting.poll_output(now) else { panic!("it asks first") };
    assert!(String::from_utf8(asked).unwrap().lines().any(|line| line == QUESTION));
    for piece in text.as_bytes().chunks(piece) {
        greeting.handle_bytes(now, piece);
    }
    match greeting.poll_output(now) {
        GreetingOutput::Greeted(greeted) => greeted,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn who_answers_is_known_by_name_and_capabilities() {
    let on = |report: &FirmwareReport| report.capabilities.values().filter(|on| **on).count();
    for (name, firmware, known, capable, profile) in [
        ("marlin-2.0.9-advanced_ok", "Marlin bugfix-2.0.x (Nov 22 2026 04:29:14)", 31, 7, "marlin"),
        ("marlin-2.0.9-basic", "Marlin bugfix-2.0.x (Nov 22 2026 04:27:47)", 31, 10, "marlin"),
        ("octoprint-virtual", "Virtual Marlin 1.0", 6, 3, "generic"),
        ("teacup", "Teacup", 1, 1, "teacup"),
    ] {
        for piece in [1, 7, 100_000] {
            let Greeted { banners, report } = greet(name, piece);
            assert_eq!(report.name.as_deref(), Some(firmware), "{name}");
            assert_eq!((report.capabilities.len(), on(&report)), (known, capable), "{name}: {report:?}");
            assert!(report.has("AUTOREPORT_TEMP"), "{name}");
            let registry = Registry::built_in();
            assert_eq!(identify(&registry, &banners, &report).profile.id, profile, "{name}");
        }
    }
}

#[test]
fn what_only_some_builds_can_do_is_told_apart() {
    let plain = greet("marlin-2.0.9-advanced_ok", 100_000).report;
    let listens = greet("marlin-2.0.9-basic", 100_000).report;
    for capability in ["EMERGENCY_PARSER", "HOST_ACTION_COMMANDS", "PROMPT_SUPPORT"] {
        assert!(!plain.has(capability) && listens.has(capability), "{capability}");
    }
    assert_eq!(plain.machine_type.as_deref(), Some("3D Printer"));
    assert_eq!(plain.fingerprint(), listens.fingerprint(), "the same firmware, built on another day");
}

#[test]
fn a_firmware_that_cannot_be_asked_is_known_by_its_banner() {
    for (name, banner, profile) in [
        ("grbl", "Grbl 1.1h ['$' for help]", "grbl"),
        ("grblhal", "GrblHAL 1.1f ['$' or '$HELP' for help]", "grblhal"),
    ] {
        let conversation = load(name);
        let said = conversation.printer_lines().find(|line| *line == banner).unwrap();
        let registry = Registry::built_in();
        let found = identify(&registry, &[said.to_owned()], &FirmwareReport::default());
        assert_eq!(found.profile.id, profile, "{name}");
    }
}
