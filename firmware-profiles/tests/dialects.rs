//! The schema can say what other firmwares do, and the guide's example is a valid profile.

use spoolway_firmware_profiles::profile::{Checksum, Duplicate, Emergency};
use spoolway_firmware_profiles::{Ack, Origin, Profile, Sequence, Window, parse};

fn valid(id: &str, text: &str) -> Profile {
    match parse(&Origin::File(format!("{id}.toml").into()), text) {
        Ok(profile) => profile,
        Err(error) => panic!("{error}"),
    }
}

/// What the dialects below have in common.
const COMMON: &str = r#"
[timeouts]
silence_ms = 20000
silence_with_busy_ms = 10000
blocking_ms = 300000
resend_ms = 500
settle_ms = 50
blocking = ["G4", "G28", "$H", "M109", "M190"]
"#;

#[test]
fn grbl_counts_characters_knows_no_numbers_and_listens_to_realtime_bytes() {
    let profile = valid(
        "grbl",
        &(r#"
schema = 1
id = "grbl"
name = "grbl 1.1"
status = "verified"
sources = ["grbl 1.1: protocol.c, serial.c, config.h"]
[identify]
banners = ["Grbl 1."]
[serial]
bauds = [115200]
resets_on_open = true
boot_wait_ms = 5000
[framing]
numbered = false
checksum = "none"
max_line_bytes = 79
max_line_number = 2147483647
[flow]
window = "character-count"
ack = "parsed"
rx_bytes = 128
max_lines = 64
planner_moves = 15
[replies]
ok = ["ok"]
error = ["error:"]
error_acknowledges = true
fatal = ["ALARM:"]
[recovery]
sequence = "unverified"
duplicate = "executed"
history_lines = 64
max_refusals = 1
max_silent_probes = 3
[emergency]
stop = "\u0018"
hold = "!"
release = "~"
quick_stop = "\u0085"
[scripts]
cancel = ["M5", "M9"]
[temperature]
query = ""
query_interval_ms = 5000
[temperature.limits]
hotend_max = 0
bed_max = 0
"#
        .to_owned()
            + COMMON),
    );
    assert_eq!(profile.flow.window, Window::CharacterCount);
    assert!(profile.replies.error_acknowledges);
    let byte = |text: &Option<String>| text.as_deref().and_then(Emergency::realtime_byte);
    assert_eq!(byte(&profile.emergency.stop), Some(0x18));
    assert_eq!(byte(&profile.emergency.quick_stop), Some(0x85));
    assert_eq!(byte(&profile.emergency.hold), Some(b'!'));
    assert_eq!(Emergency::realtime_byte("M112"), None);
    assert_eq!(Emergency::realtime_byte("M"), None);
    assert_eq!(Emergency::realtime_byte(""), None);
}

/// A heated printer: the part of a profile behind `[framing]`, `[flow]`, `[replies]` and `[recovery]`.
const HEATED: &str = r#"
[serial]
bauds = [250000, 115200]
resets_on_open = false
boot_wait_ms = 3000
[scripts]
cancel = ["M104 S0", "M140 S0", "M107", "M84"]
[temperature]
query = "M105"
query_interval_ms = 5000
[temperature.limits]
hotend_max = 260
bed_max = 110
"#;

fn heated(id: &str, text: &str) -> Profile {
    let head = format!(
        "schema = 1\nid = \"{id}\"\nname = \"{id}\"\nstatus = \"verified\"\nsources = [\"its source\"]\n"
    );
    valid(id, &(head + text + HEATED + COMMON))
}

#[test]
fn repetier_acknowledges_on_receipt_skips_and_compares_sixteen_bits() {
    let profile = heated(
        "repetier",
        r#"
[identify]
firmware_names = ["Repetier"]
[framing]
numbered = true
checksum = "xor8"
max_line_bytes = 95
max_line_number = 65535
[flow]
window = "bytes"
ack = "received"
rx_bytes = 128
max_lines = 32
queue_lines = 1
[replies]
ok = ["ok"]
resend = ["Resend:"]
ok_after_resend = true
skip = ["skip"]
busy = ["busy:"]
wait = ["wait"]
start = ["start"]
error = ["Error:"]
fatal = ["fatal:"]
[recovery]
sequence = "verified"
duplicate = "skipped"
history_lines = 512
max_refusals = 10
max_silent_probes = 6
"#,
    );
    assert_eq!((profile.flow.ack, profile.recovery.duplicate), (Ack::Received, Duplicate::Skipped));
    assert_eq!(profile.framing.max_line_number, 65_535);
}

#[test]
fn reprapfirmware_drops_bad_lines_silently_so_it_gets_one_at_a_time() {
    let profile = heated(
        "reprapfirmware",
        r#"
[identify]
firmware_names = ["RepRapFirmware"]
priority = 5
[framing]
numbered = true
checksum = "xor8"
max_line_bytes = 254
max_line_number = 2000000000
[flow]
window = "one-line"
ack = "executed"
rx_bytes = 256
max_lines = 1
planner_moves = 40
[replies]
ok = ["ok"]
error = ["Error:"]
[recovery]
sequence = "unverified"
duplicate = "executed"
history_lines = 64
max_refusals = 10
max_silent_probes = 6
"#,
    );
    assert_eq!(profile.recovery.sequence, Sequence::Unverified);
    assert!(profile.replies.resend.is_empty());
}

#[test]
fn flashforge_wants_a_tilde_and_no_numbers() {
    let profile = heated(
        "flashforge",
        r#"
[identify]
machine_types = ["FlashForge", "Flashforge"]
[framing]
prefix = "~"
numbered = false
checksum = "none"
max_line_bytes = 126
max_line_number = 2147483647
[flow]
window = "one-line"
ack = "executed"
rx_bytes = 128
max_lines = 1
[replies]
ok = ["ok"]
error = ["Error:"]
[recovery]
sequence = "unverified"
duplicate = "executed"
history_lines = 1
max_refusals = 1
max_silent_probes = 3
"#,
    );
    assert_eq!(profile.framing.checksum, Checksum::None);
    assert_eq!(profile.framing.max_command_bytes(), 125);
}

#[test]
fn smoothieware_asks_again_without_an_ok() {
    let profile = heated(
        "smoothieware",
        r#"
[identify]
firmware_names = ["Smoothieware"]
[framing]
numbered = true
checksum = "xor8"
max_line_bytes = 127
max_line_number = 2000000000
[flow]
window = "bytes"
ack = "parsed"
rx_bytes = 256
max_lines = 16
planner_moves = 32
[replies]
ok = ["ok"]
resend = ["rs "]
start = ["Smoothie"]
error = ["error:"]
fatal = ["!!", "Alarm lock"]
[recovery]
sequence = "verified"
duplicate = "refused"
history_lines = 256
max_refusals = 10
max_silent_probes = 6
[emergency]
stop = "\u0018"
"#,
    );
    assert!(!profile.replies.ok_after_resend);
    assert_eq!(profile.flow.window, Window::Bytes);
}

#[test]
fn klipper_on_a_pty_and_buddy_on_usb_are_held_back_by_the_port() {
    let text = |lines: u32| {
        format!(
            r#"
[framing]
numbered = false
checksum = "none"
max_line_bytes = 1024
max_line_number = 2147483647
[flow]
window = "usb-back-pressure"
ack = "executed"
rx_bytes = 64
max_lines = {lines}
[replies]
ok = ["ok"]
error = ["!!"]
[recovery]
sequence = "unverified"
duplicate = "executed"
history_lines = 64
max_refusals = 1
max_silent_probes = 3
"#
        )
    };
    assert_eq!(heated("klipper", &text(20)).flow.max_lines, 20);
    assert_eq!(heated("prusa-buddy", &text(7)).flow.window, Window::UsbBackPressure);
}

#[test]
fn the_example_of_the_guide_is_valid() {
    let guide = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/profiles.md"));
    let (_, rest) = guide.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let profile = valid("attic-ender", example);
    assert_eq!(profile.flow.rx_bytes, 1024);
}
