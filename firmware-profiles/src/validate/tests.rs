//! Every rule, each shown by the Marlin profile with the fewest keys changed.

mod telling;

use toml::Table;

use super::parse;
use crate::error::{Finding, Origin, ProfileError};
use crate::profile::Profile;

const MARLIN: &str = include_str!("../../profiles/marlin.toml");

fn origin() -> Origin {
    Origin::File("profiles.d/marlin.toml".into())
}

/// The Marlin profile with the value (in TOML) of each named key replaced; `-` takes the key away.
fn changed(changes: &[(&str, &str)]) -> Result<Profile, ProfileError> {
    let mut table: Table = MARLIN.parse().unwrap();
    for (path, value) in changes {
        let (sections, name) = path.rsplit_once('.').unwrap_or(("", path));
        let mut section = &mut table;
        for part in sections.split('.').filter(|part| !part.is_empty()) {
            section = section.get_mut(part).unwrap().as_table_mut().unwrap();
        }
        if *value == "-" {
            section.remove(name).unwrap();
        } else {
            let mut one: Table = format!("value = {value}").parse().unwrap();
            section.insert((*name).to_owned(), one.remove("value").unwrap());
        }
    }
    parse(&origin(), &table.to_string())
}

fn findings(changes: &[(&str, &str)]) -> Vec<Finding> {
    match changed(changes) {
        Err(ProfileError::Invalid { findings, .. }) => findings,
        other => panic!("{changes:?} gave {other:?}"),
    }
}

/// Changes, the key of the one finding they must cause, and a piece of what must be said about it.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

fn each_causes_one_finding(cases: &[Case<'_>]) {
    for (changes, key, said) in cases {
        let found = findings(changes);
        let keys: Vec<&str> = found.iter().map(|finding| finding.key.as_str()).collect();
        assert_eq!(keys, [*key], "{changes:?} gave {found:?}");
        assert!(found[0].problem.contains(said), "{changes:?} gave {found:?}");
        let message = changed(changes).unwrap_err().to_string();
        assert!(message.starts_with(&format!("profiles.d/marlin.toml: {key}")), "{message}");
        if let Some(value) = &found[0].value {
            assert!(message.contains(&format!("{key} = {value}: ")), "{message}");
        }
    }
}

#[test]
fn the_unchanged_profile_is_valid_and_a_harmless_change_stays_so() {
    assert_eq!(changed(&[]).unwrap().flow.rx_bytes, 128);
    assert_eq!(changed(&[("flow.rx_bytes", "256")]).unwrap().flow.rx_bytes, 256);
    assert_eq!(
        changed(&[("temperature.limits.chamber_max", "60")]).unwrap().temperature.limits.chamber_max,
        Some(60.0)
    );
}

#[test]
fn wrong_kinds_of_value_are_named() {
    each_causes_one_finding(&[
        (&[("flow.rx_bytes", "\"128\"")], "flow.rx_bytes", "whole number"),
        (&[("flow.rx_bytes", "-1")], "flow.rx_bytes", "0 to 4294967295"),
        (&[("flow.rx_bytes", "5000000000")], "flow.rx_bytes", "0 to 4294967295"),
        (&[("flow.window", "\"byte\"")], "flow.window", "\"one-line\", \"bytes\""),
        (&[("framing.numbered", "1")], "framing.numbered", "true or false"),
        (&[("replies.ok", "\"ok\"")], "replies.ok", "list of texts"),
        (&[("replies.ok", "[\"ok\", 3]")], "replies.ok[1]", "text in quotes"),
        (&[("serial.bauds", "[115200, \"x\"]")], "serial.bauds[1]", "whole number"),
        (&[("identify.priority", "1.5")], "identify.priority", "whole number"),
        (&[("temperature.limits.bed_max", "\"hot\"")], "temperature.limits.bed_max", "a number"),
        (&[("recovery", "3")], "recovery", "section"),
        (&[("recovery", "-")], "recovery", "missing"),
        (&[("flow.rx_bytes", "-")], "flow.rx_bytes", "missing; must be a whole number"),
        (&[("temperature.auto_report.command", "-")], "temperature.auto_report.command", "missing"),
    ]);
}

#[test]
fn unknown_keys_are_named_with_the_one_that_was_meant() {
    each_causes_one_finding(&[
        (&[("flow.rx_byte", "128")], "flow.rx_byte", "did you mean `flow.rx_bytes`?"),
        (&[("replies.buzy", "[]")], "replies.buzy", "did you mean `replies.busy`?"),
        (&[("rx_bytes", "128")], "rx_bytes", "did you mean `flow.rx_bytes`?"),
        (&[("colour", "1")], "colour", "allowed here are schema, id"),
        (
            &[("temperature.limits.colour", "1")],
            "temperature.limits.colour",
            "hotend_max, bed_max, chamber_max",
        ),
    ]);
}

#[test]
fn what_a_profile_says_about_itself() {
    each_causes_one_finding(&[
        (&[("schema", "2")], "schema", "must be 1"),
        (&[("id", "\"Marlin\"")], "id", "small letters"),
        (&[("id", "\"-marlin\"")], "id", "small letters"),
        (&[("id", "\"\"")], "id", "small letters"),
        (&[("id", "\"prusa\"")], "id", "file's name without `.toml`, `marlin`"),
        (&[("name", "\" \"")], "name", "printable"),
        (&[("sources", "[]")], "status", "needs an entry in `sources`"),
        (&[("sources", "[\"queue.cpp\", \" \"]")], "sources[1]", "blank"),
        (&[("identify.banners", "[\" Marlin\"]")], "identify.banners[0]", "no space in front"),
        (&[("identify.firmware_names", "[\"\"]")], "identify.firmware_names[0]", "printable"),
        (&[("identify.capabilities", "[\"Cap:X\"]")], "identify.capabilities[0]", "capital letters"),
        (&[("identify", "{ capabilities = [\"EEPROM\"] }")], "identify.capabilities", "give banners"),
        (&[("identify.usb", "[\"1d50:6029\", \"1D50:6029\"]")], "identify.usb[1]", "as `lsusb` shows"),
        (&[("identify.usb", "[\"1d50\"]")], "identify.usb[0]", "as `lsusb` shows"),
        (&[("identify", "{ usb = [\"1d50:6029\"] }")], "identify.usb", "give banners"),
        (&[("identify.priority", "5000")], "identify.priority", "-1000 to 1000"),
    ]);
}

#[test]
fn ports_and_lines() {
    each_causes_one_finding(&[
        (&[("serial.bauds", "[]")], "serial.bauds", "1 to 16 entries"),
        (&[("serial.bauds", "[300]")], "serial.bauds[0]", "1200 to 4000000"),
        (&[("serial.bauds", "[9600, 4000001]")], "serial.bauds[1]", "1200 to 4000000"),
        (&[("serial.bauds", "[9600, 9600]")], "serial.bauds[1]", "twice"),
        (&[("serial.boot_wait_ms", "60001")], "serial.boot_wait_ms", "0 to 60000"),
        (&[("framing.prefix", "\"~ \"")], "framing.prefix", "without spaces"),
        (
            &[("framing.max_line_bytes", "2000"), ("flow.rx_bytes", "4096")],
            "framing.max_line_bytes",
            "16 to 1024",
        ),
        (&[("framing.max_line_bytes", "127")], "framing.max_line_bytes", "at most 126, two less than"),
        (&[("framing.max_line_number", "4000000000")], "framing.max_line_number", "255 to 2147483647"),
    ]);
}

#[test]
fn windows_and_guarantees() {
    let unnumbered: &[(&str, &str)] = &[
        ("framing.numbered", "false"),
        ("recovery.sequence", "\"unverified\""),
        ("recovery.duplicate", "\"executed\""),
        ("flow.window", "\"usb-back-pressure\""),
    ];
    each_causes_one_finding(&[
        (unnumbered, "framing.checksum", "needs `framing.numbered = true`"),
        (&[("flow.rx_bytes", "65537")], "flow.rx_bytes", "16 to 65536"),
        (&[("flow.max_lines", "0")], "flow.max_lines", "1 to 1024"),
        (&[("flow.window", "\"one-line\"")], "flow.max_lines", "must be 1 with"),
        (&[("flow.queue_lines", "2000")], "flow.queue_lines", "0 to 1024"),
        (
            &[("flow.window", "\"bytes-and-queue\""), ("flow.queue_lines", "0")],
            "flow.queue_lines",
            "1 or more",
        ),
        (&[("flow.planner_moves", "65537")], "flow.planner_moves", "0 to 65536"),
        (&[("flow.window", "\"character-count\"")], "flow.ack", "\"parsed\" or \"received\""),
        (&[("recovery.duplicate", "\"executed\"")], "recovery.duplicate", "\"refused\" or \"skipped\""),
        (&[("recovery.duplicate", "\"skipped\"")], "recovery.duplicate", "needs `replies.skip`"),
        (&[("recovery.history_lines", "31")], "recovery.history_lines", "32 to 65536"),
        (
            &[("framing.max_line_number", "1000")],
            "recovery.history_lines",
            "half of `framing.max_line_number`",
        ),
        (&[("recovery.max_refusals", "0")], "recovery.max_refusals", "1 to 100"),
        (&[("recovery.max_silent_probes", "101")], "recovery.max_silent_probes", "1 to 100"),
    ]);
    for window in ["bytes", "bytes-and-queue", "advanced-ok"] {
        let window = format!("{window:?}");
        let unverified = [("flow.window", window.as_str()), ("recovery.sequence", "\"unverified\"")];
        each_causes_one_finding(&[(
            &[unverified[0], unverified[1], ("recovery.duplicate", "\"executed\"")],
            "flow.window",
            "verified",
        )]);
        let found =
            findings(&[unverified[0], ("framing.numbered", "false"), ("framing.checksum", "\"none\"")]);
        let keys: Vec<&str> = found.iter().map(|finding| finding.key.as_str()).collect();
        assert_eq!(keys, ["flow.window", "recovery.sequence"]);
    }
    for duplicate in ["\"refused\"", "\"skipped\""] {
        let one_line = [
            ("flow.window", "\"one-line\""),
            ("flow.max_lines", "1"),
            ("recovery.sequence", "\"unverified\""),
        ];
        each_causes_one_finding(&[(
            &[one_line[0], one_line[1], one_line[2], ("recovery.duplicate", duplicate)],
            "recovery.duplicate",
            "must be \"executed\"",
        )]);
    }
}

#[test]
fn times() {
    each_causes_one_finding(&[
        (&[("timeouts.settle_ms", "0")], "timeouts.settle_ms", "1 to 3600000"),
        (&[("timeouts.blocking_ms", "3600001")], "timeouts.blocking_ms", "1 to 3600000"),
        (&[("timeouts.resend_ms", "20")], "timeouts.resend_ms", "not be less than `timeouts.settle_ms`, 30"),
        (
            &[("timeouts.silence_with_busy_ms", "400")],
            "timeouts.silence_with_busy_ms",
            "`timeouts.resend_ms`",
        ),
        (&[("timeouts.silence_ms", "4000")], "timeouts.silence_ms", "`timeouts.silence_with_busy_ms`"),
        (&[("timeouts.blocking_ms", "9000")], "timeouts.blocking_ms", "`timeouts.silence_ms`"),
        (&[("timeouts.blocking", "[\"G28 X\"]")], "timeouts.blocking[0]", "without parameters"),
        (&[("timeouts.blocking", "[\"G28\", \"m109\"]")], "timeouts.blocking[1]", "in capitals"),
    ]);
}

#[test]
fn texts_of_replies() {
    each_causes_one_finding(&[
        (&[("replies.ok", "[]")], "replies.ok", "must have an entry"),
        (&[("replies.ok", "[\" ok\"]")], "replies.ok[0]", "no space in front"),
        (&[("replies.fatal", "[\"\"]")], "replies.fatal[0]", "printable"),
        (&[("replies.busy", "[\"busy\\n\"]")], "replies.busy[0]", "printable"),
        (&[("replies.wait", "[\"OK\"]")], "replies.wait[0]", "must not be in `replies.ok` as well"),
        (&[("replies.error", "[]")], "replies.harmless_errors", "needs `replies.error`"),
        (
            &[
                ("replies.error", "[]"),
                ("replies.harmless_errors", "[]"),
                ("replies.error_acknowledges", "true"),
            ],
            "replies.error_acknowledges",
            "needs `replies.error`",
        ),
    ]);
    let found = findings(&[("replies.resend", "[]")]);
    let keys: Vec<&str> = found.iter().map(|finding| finding.key.as_str()).collect();
    assert_eq!(keys, ["replies.ok_after_resend", "recovery.sequence"]);
}

#[test]
fn commands_of_the_agent() {
    let long = format!("[\"M117 {}\"]", "x".repeat(75));
    each_causes_one_finding(&[
        (&[("scripts.cancel", "[]")], "scripts.cancel", "must have a line"),
        (&[("scripts.cancel", "-")], "scripts.cancel", "missing"),
        (&[("scripts.pause", "[\"M84 ; off\"]")], "scripts.pause[0]", "comment"),
        (&[("scripts.resume", "[\"M84\", \"G28 (all)\"]")], "scripts.resume[1]", "comment"),
        (&[("scripts.connect", "[\" \"]")], "scripts.connect[0]", "blank"),
        (&[("scripts.connect", "[\"M117 gr\u{fc}n\"]")], "scripts.connect[0]", "ASCII"),
        (&[("scripts.connect", "[\"M84\\nM107\"]")], "scripts.connect[0]", "one line"),
        (&[("scripts.connect", "[\"N3 M84\"]")], "scripts.connect[0]", "line number"),
        (&[("scripts.connect", "[\"M84*12\"]")], "scripts.connect[0]", "checksum"),
        (&[("scripts.connect", &long)], "scripts.connect[0]", "at most 79 bytes"),
        (&[("emergency.stop", "\"\"")], "emergency.stop", "blank"),
        (&[("emergency.stop", "\" \"")], "emergency.stop", "blank"),
        (&[("emergency.stop", "\"\\u2192\"")], "emergency.stop", "ASCII"),
        (&[("emergency.hold", "\"!\"")], "emergency.hold", "needs `emergency.release`"),
        (&[("emergency.release", "\"~\"")], "emergency.release", "needs `emergency.hold`"),
        (&[("emergency.ask", "\"?\"")], "emergency.ask", "needs a realtime byte"),
        (
            &[
                ("emergency.quick_stop", "\"\\u0018\""),
                ("emergency.hold", "\"!\""),
                ("emergency.release", "\"~\""),
                ("emergency.standing", "[\"<Hold:0\"]"),
            ],
            "emergency.ask",
            "missing",
        ),
        (&[("emergency.capability", "\"parser\"")], "emergency.capability", "capital letters"),
        (
            &[("emergency", "{ capability = \"EMERGENCY_PARSER\" }")],
            "emergency.capability",
            "needs a command",
        ),
    ]);
}

#[test]
fn by_hand() {
    let long = format!("[{}]", ["\"M300\""; 9].join(", "));
    each_causes_one_finding(&[
        (&[("hand.home", "[\"G28{axis}\"]")], "hand.home[0]", "those of: {axes}"),
        (&[("hand.jog", "[\"G1{move} F600\"]")], "hand.jog", "must hold `{feed}`"),
        (&[("hand.jog", "[\"G1 X1 F{feed}\"]")], "hand.jog", "must hold `{move}`"),
        (&[("hand.bed", "\"M140 S60\"")], "hand.bed", "must hold `{celsius}`"),
        (&[("hand.bed", "\"M140 S{celsius} T{tool}\"")], "hand.bed", "no braces"),
        (&[("hand.identify", &long)], "hand.identify", "at most 8 lines"),
        (&[("hand.position", "\"M114 ; where\"")], "hand.position", "comment"),
        (&[("hand.skip_object", "\"M486 P1\"")], "hand.skip_object", "must hold `{object}`"),
        (&[("hand.light.on", "[]")], "hand.light.on", "must have a line"),
        (&[("hand.light.capability", "\"lights\"")], "hand.light.capability", "capital letters"),
    ]);
}

#[test]
fn placeholders() {
    each_causes_one_finding(&[
        (&[("scripts.park", "-")], "scripts.park", "`scripts.unpark` takes back"),
        (&[("scripts.unpark", "[]")], "scripts.unpark", "has to come back"),
        (
            &[("scripts.park", "[\"G1 X{X}\"]")],
            "scripts.park[0]",
            "those of {x} {y} {z} {e} {f} {positioning}",
        ),
        (&[("scripts.unpark", "[\"G1 X{x\"]")], "scripts.unpark[0]", "no braces but"),
        (&[("scripts.unpark", "[\"G1 X{{x}}\"]")], "scripts.unpark[0]", "no braces but"),
        (&[("scripts.cancel", "[\"M104 T{x} S0\"]")], "scripts.cancel[0]", "no braces but those of {tool}"),
        (&[("scripts.connect", "[\"M117 }\"]")], "scripts.connect[0]", "only `scripts.park`"),
        (&[("emergency.prompt_reply", "\"M876\"")], "emergency.prompt_reply", "must hold `{choice}` once"),
        (
            &[("emergency.prompt_reply", "\"M876 S{choice} P{choice}\"")],
            "emergency.prompt_reply",
            "must hold `{choice}` once",
        ),
        (&[("emergency.prompt_reply", "\"M876 S{choice} {x}\"")], "emergency.prompt_reply", "no braces but"),
        (&[("emergency.prompt_reply", "\"M876 S{choice};\"")], "emergency.prompt_reply", "comment"),
    ]);
    // A filled placeholder counts as 12 bytes of the 79 that a command has.
    let line = |letters: usize| format!("[\"G1 X{{x}} {}\"]", "y".repeat(letters));
    let (fits, too_long) = (line(62), line(63));
    assert!(changed(&[("scripts.unpark", &fits)]).is_ok());
    assert!(changed(&[("scripts.cancel", "[\"M104 T{tool} S0\"]")]).is_ok());
    each_causes_one_finding(&[(&[("scripts.unpark", &too_long)], "scripts.unpark[0]", "at most 79 bytes")]);
}

#[test]
fn temperatures() {
    each_causes_one_finding(&[
        (&[("temperature.query", "\"M105;\"")], "temperature.query", "comment"),
        (&[("temperature.query_interval_ms", "100")], "temperature.query_interval_ms", "500 to 600000"),
        (&[("temperature.query", "\"\"")], "temperature.host_waits", "needs `temperature.query`"),
        (
            &[("temperature.query", "\"\""), ("temperature.host_waits", "\"always\"")],
            "temperature.host_waits",
            "see when it is warm",
        ),
        (&[("emergency.capability", "-")], "temperature.host_waits", "needs `emergency.capability`"),
        (&[("temperature.auto_report.capability", "\"\"")], "temperature.auto_report.capability", "capital"),
        (&[("temperature.auto_report.command", "\"\"")], "temperature.auto_report.command", "blank"),
        (
            &[("temperature.limits.hotend_max", "601")],
            "temperature.limits.hotend_max",
            "0 (there is none) to 600",
        ),
        (&[("temperature.limits.hotend_max", "nan")], "temperature.limits.hotend_max", "600 degrees"),
        (&[("temperature.limits.bed_max", "-5")], "temperature.limits.bed_max", "250 degrees"),
        (&[("temperature.limits.chamber_max", "inf")], "temperature.limits.chamber_max", "200 degrees"),
    ]);
}

#[test]
fn what_a_file_is_held_against() {
    let changes =
        [("machine.volume_mm", "[250, 210, 210]"), ("machine.tools", "5"), ("machine.nozzle_mm", "0.6")];
    let machine = changed(&changes).unwrap().machine;
    assert_eq!((machine.volume_mm.as_slice(), machine.tools), (&[250, 210, 210][..], Some(5)));
    each_causes_one_finding(&[
        (&[("machine.flavours", "[\"marlin 2\"]")], "machine.flavours[0]", "one word"),
        (&[("machine.commands", "[\"\"]")], "machine.commands[0]", "one word"),
        (&[("machine.volume_mm", "[220, 220]")], "machine.volume_mm", "three numbers"),
        (&[("machine.volume_mm", "[220, 220, 0]")], "machine.volume_mm[2]", "1 to 10000"),
        (&[("machine.tools", "0")], "machine.tools", "1 to 100"),
        (&[("machine.nozzle_mm", "-0.4")], "machine.nozzle_mm", "more than 0"),
    ]);
}

#[test]
fn the_longest_command_leaves_room_for_prefix_number_and_checksum() {
    let room = |changes: &[(&str, &str)]| changed(changes).unwrap().framing.max_command_bytes();
    // `N2000000000 ` and `*255` are 16 of 95 bytes.
    assert_eq!(room(&[]), 79);
    assert_eq!(room(&[("framing.prefix", "\"~\"")]), 78);
    assert_eq!(room(&[("framing.max_line_number", "65535")]), 84);
    assert_eq!(room(&[("framing.checksum", "\"none\"")]), 83);
}
