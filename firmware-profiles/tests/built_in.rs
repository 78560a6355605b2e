//! Every profile inside the program is complete and careful.

use std::fs;
use std::path::Path;

use spoolway_firmware_profiles::profile::{Checksum, Duplicate, Emergency, Status};
use spoolway_firmware_profiles::{Ack, HostWaits, Profile, Registry, Sequence, Window};

/// Everything that the program carries; other files and people call them by these names.
const IDS: [&str; 17] = [
    "anycubic",
    "creality",
    "flashforge",
    "generic",
    "grbl",
    "grblhal",
    "klipper",
    "malyan",
    "marlin",
    "marlin-cdc",
    "prusa-buddy",
    "prusa-mk",
    "repetier",
    "reprapfirmware",
    "smoothieware",
    "teacup",
    "ultimaker2",
];

/// Firmwares that make things warm.
fn heats(profile: &Profile) -> bool {
    profile.temperature.limits.hotend_max > 0.0
}

/// The command alone.
fn word(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

fn moves(line: &str) -> bool {
    ["G0", "G1", "G2", "G3", "G27", "G28", "G29"].contains(&word(line))
}

/// Checks something of all of them.
fn each(check: impl Fn(&Profile)) {
    let registry = Registry::built_in();
    registry.iter().for_each(|known| check(&known.profile));
}

#[test]
fn their_ids_are_these() {
    let registry = Registry::built_in();
    let ids: Vec<&str> = registry.iter().map(|known| known.profile.id.as_str()).collect();
    assert_eq!(ids, IDS);
}

#[test]
fn all_name_their_sources_and_the_unverified_send_one_line_at_a_time() {
    each(|profile| {
        assert!(!profile.sources.is_empty(), "{}", profile.id);
        if profile.status == Status::Unverified {
            assert_eq!(profile.flow.window, Window::OneLine, "{}", profile.id);
            assert_eq!(profile.recovery.sequence, Sequence::Unverified, "{}", profile.id);
        }
    });
    let registry = Registry::built_in();
    let unverified = registry.iter().filter(|known| known.profile.status == Status::Unverified);
    let unverified: Vec<&str> = unverified.map(|known| known.profile.id.as_str()).collect();
    assert_eq!(unverified, ["flashforge", "generic"]);
}

#[test]
fn the_file_of_an_unverified_one_says_so_at_its_top() {
    for id in ["flashforge", "generic"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("profiles/{id}.toml"));
        let text = fs::read_to_string(path).unwrap();
        let at = text.lines().position(|line| line == "status = \"unverified\"");
        assert!(at.is_some_and(|line| line < 10), "{id}: {at:?}");
    }
}

#[test]
fn all_but_the_generic_one_can_be_recognised() {
    each(|profile| {
        let rule = &profile.identify;
        let named = rule.banners.len() + rule.firmware_names.len() + rule.machine_types.len();
        assert_eq!(named == 0, profile.id == "generic", "{}", profile.id);
    });
}

#[test]
fn a_cancelled_job_leaves_every_heated_machine_cold_and_nothing_moves() {
    each(|profile| {
        let cancel = &profile.scripts.cancel;
        assert!(!cancel.iter().any(|line| moves(line)), "{}", profile.id);
        let cold = ["M104 S0", "M140 S0"].iter().all(|off| cancel.iter().any(|line| line == off));
        let all_off = cancel.iter().any(|line| line == "TURN_OFF_HEATERS");
        assert!(!heats(profile) || cold || all_off, "{}: {cancel:?}", profile.id);
        assert!(!heats(profile) || cancel.iter().any(|line| line == "M84"), "{}", profile.id);
    });
}

#[test]
fn parking_leaves_the_part_and_comes_back_to_where_it_was() {
    each(|profile| {
        let (park, unpark) = (&profile.scripts.park, &profile.scripts.unpark);
        if park.is_empty() {
            return;
        }
        // Up before anything else moves, and back down last.
        let first = park.iter().find(|line| moves(line) && !line.contains(" E")).map(String::as_str);
        assert_eq!(first, Some("G1 Z5 F600"), "{}", profile.id);
        if park.iter().any(|line| line.starts_with("SAVE_GCODE_STATE")) {
            assert!(unpark.iter().any(|line| line.starts_with("RESTORE_GCODE_STATE")), "{}", profile.id);
            return;
        }
        let at = |line: &str| unpark.iter().position(|known| known == line);
        assert!(at("G90") < at("G1 X{x} Y{y} F6000"), "{}", profile.id);
        assert!(at("G1 X{x} Y{y} F6000") < at("G1 Z{z} F600"), "{}", profile.id);
        // `G91` changes the extruder's mode as well, so that is set after it, and the feed rate last of all.
        assert!(at("G92 E{e}") < at("{positioning}"), "{}", profile.id);
        assert!(at("{positioning}") < at("{extruder}"), "{}", profile.id);
        assert_eq!(at("G1 F{f}"), Some(unpark.len() - 1), "{}", profile.id);
        assert!(park.contains(&"G1 E-1 F2100".to_owned()) && at("G1 E1 F2100").is_some(), "{}", profile.id);
    });
}

#[test]
fn waits_are_known_to_block() {
    each(|profile| {
        let blocks = |command: &str| profile.timeouts.blocking.iter().any(|word| word == command);
        assert!(blocks("G4") && blocks("G28"), "{}", profile.id);
        assert!(!heats(profile) || (blocks("M109") && blocks("M190")), "{}", profile.id);
        assert!(profile.timeouts.blocking_ms >= 150_000, "{}", profile.id);
    });
}

#[test]
fn a_firmware_that_does_not_check_the_order_gets_no_window_of_bytes() {
    each(|profile| {
        if profile.recovery.sequence == Sequence::Unverified {
            assert_eq!(profile.recovery.duplicate, Duplicate::Executed, "{}", profile.id);
            let careful = matches!(
                profile.flow.window,
                Window::OneLine | Window::CharacterCount | Window::UsbBackPressure
            );
            assert!(careful, "{}", profile.id);
        } else {
            assert_eq!(profile.framing.checksum, Checksum::Xor8, "{}", profile.id);
        }
    });
}

#[test]
fn every_machine_can_be_stopped_at_once_and_a_wait_is_never_out_of_reach() {
    each(|profile| {
        let emergency = &profile.emergency;
        assert!(emergency.stop.is_some(), "{}", profile.id);
        assert!(!emergency.dtr_reset || profile.serial.resets_on_open, "{}", profile.id);
        // What says that it always listens is a byte that the receive interrupt takes, or has no break at all.
        if emergency.break_wait.is_some() {
            assert!(emergency.capability.is_some(), "{}", profile.id);
        }
        if profile.temperature.host_waits != HostWaits::Never {
            assert!(!profile.temperature.query.is_empty(), "{}", profile.id);
        }
    });
}

#[test]
fn numbers_stay_within_what_a_firmware_can_keep() {
    let most = |id: &str| Registry::built_in().get(id).unwrap().profile.framing.max_line_number;
    assert_eq!(most("repetier"), 65_535, "16 bits are compared");
    assert!(most("smoothieware") < 16_777_216, "read as a float");
    assert!(most("teacup") <= 1_048_075, "more digits are dropped");
    assert_eq!(most("generic"), 65_535, "the least of all");
}

#[test]
fn windows_are_those_of_the_firmwares() {
    let flow = |id: &str| {
        let registry = Registry::built_in();
        let flow = &registry.get(id).unwrap().profile.flow;
        (flow.window, flow.ack, flow.rx_bytes, flow.max_lines)
    };
    assert_eq!(flow("marlin"), (Window::AdvancedOk, Ack::Executed, 128, 32));
    assert_eq!(flow("marlin-cdc"), (Window::UsbBackPressure, Ack::Executed, 128, 4));
    // A full ring is thrown away as a whole.
    assert_eq!(flow("prusa-mk"), (Window::Bytes, Ack::Executed, 127, 32));
    assert_eq!(flow("prusa-buddy"), (Window::UsbBackPressure, Ack::Executed, 128, 7));
    assert_eq!(flow("repetier"), (Window::Bytes, Ack::Received, 128, 32));
    assert_eq!(flow("smoothieware"), (Window::Bytes, Ack::Parsed, 256, 16));
    assert_eq!(flow("grbl"), (Window::CharacterCount, Ack::Parsed, 128, 64));
    assert_eq!(flow("grblhal"), (Window::CharacterCount, Ack::Parsed, 1024, 128));
    assert_eq!(flow("klipper").0, Window::UsbBackPressure);
    for id in ["reprapfirmware", "teacup", "malyan", "flashforge", "generic"] {
        assert_eq!(flow(id).0, Window::OneLine, "{id}");
    }
}

#[test]
fn grbl_and_smoothieware_are_stopped_by_a_byte() {
    let registry = Registry::built_in();
    for (id, hold) in [("grbl", Some(b'!')), ("grblhal", Some(b'!')), ("smoothieware", None)] {
        let emergency = &registry.get(id).unwrap().profile.emergency;
        let byte = |text: &Option<String>| text.as_deref().and_then(Emergency::realtime_byte);
        assert_eq!(byte(&emergency.stop), Some(0x18), "{id}");
        assert_eq!(byte(&emergency.hold), hold, "{id}");
        assert_eq!(byte(&emergency.release), hold.map(|_| b'~'), "{id}");
    }
}

#[test]
fn one_character_that_is_no_letter_digit_or_space_is_a_byte_and_all_else_a_line() {
    assert_eq!(Emergency::realtime_byte("\u{85}"), Some(0x85));
    assert_eq!(Emergency::realtime_byte("~"), Some(b'~'));
    for line in ["M112", "M", "7", "", " ", "!!", "\u{2192}"] {
        assert_eq!(Emergency::realtime_byte(line), None, "{line:?}");
    }
}

#[test]
fn a_prefix_takes_its_room_from_the_command() {
    let registry = Registry::built_in();
    let framing = &registry.get("flashforge").unwrap().profile.framing;
    assert_eq!((framing.prefix.as_str(), framing.max_line_bytes), ("~", 126));
    assert_eq!(framing.max_command_bytes(), 125);
}
