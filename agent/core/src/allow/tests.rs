//! The whole table, and a great many lines that nobody has thought of.

use super::*;

const LIMITS: TemperatureLimits = TemperatureLimits { hotend_max: 260.0, bed_max: 110.0, chamber_max: None };

fn at(is_printing: bool) -> Circumstances<'static> {
    let role = Role::AtTheMachine;
    Circumstances { role, is_printing, is_grbl: false, maintenance: false, limits: &LIMITS }
}

fn idle(text: &str) -> Result<String, Denied> {
    judge(text, &at(false))
}

#[test]
fn questions_are_sent_at_any_time() {
    for text in ["M105", "m114", " M115 ", "M119", "M503", "M503 S0", "M27", "M27 C", "M31", "M78", "M114 D"]
    {
        let sent = idle(text).unwrap();
        assert_eq!(sent, text.trim().to_ascii_uppercase());
        assert_eq!(judge(text, &at(true)), Ok(sent));
    }
}

#[test]
fn settings_and_temperatures_wait_for_the_end_of_a_job() {
    for text in ["M155 S2", "M20", "M104 S200", "M104 T1 S0", "M140 S60", "M104 S199.5"] {
        assert_eq!(idle(text).as_deref(), Ok(text));
        assert!(matches!(judge(text, &at(true)), Err(Denied::Printing { .. })), "{text}");
    }
}

#[test]
fn temperatures_keep_to_the_profile() {
    assert_eq!(idle("M104  S260").as_deref(), Ok("M104 S260"));
    for text in ["M104 S260.1", "M104 S999999999999999999999", "M140 S111", "M141 S1"] {
        assert!(matches!(idle(text), Err(Denied::TooHot { .. })), "{text}: {:?}", idle(text));
    }
    for text in
        ["M104", "M104 S", "M104 T0", "M104 S-1", "M104 S1e3", "M104 SNAN", "M104 S200 S300", "M104 S0 S999"]
    {
        assert!(matches!(idle(text), Err(Denied::Parameter { .. })), "{text}: {:?}", idle(text));
    }
    let chamber = TemperatureLimits { chamber_max: Some(70.0), ..LIMITS };
    assert_eq!(
        judge("M141 S70", &Circumstances { limits: &chamber, ..at(false) }).as_deref(),
        Ok("M141 S70")
    );
}

#[test]
fn what_moves_writes_heats_or_restarts_is_denied_with_a_reason() {
    for (text, says) in [
        ("G0 X1", "moves"),
        ("G28", "moves"),
        ("G92 E0", "moves"),
        ("T1", "tool"),
        ("M500", "settings"),
        ("M502", "settings"),
        ("M303 S200", "heats"),
        ("M997", "firmware"),
        ("M999", "firmware"),
        ("M112", "estop"),
        ("M108", "cancel"),
        ("M410", "pause"),
        ("M109 S200", "M104"),
        ("M110 N0", "line numbers"),
        ("N5 M105", "line numbers"),
        ("M24", "card"),
        ("M81", "power"),
        ("M106 S255", "outputs"),
        ("M84", "motors"),
        ("M876 S0", "answer"),
        ("M117 hello", "harmless"),
        ("SAVE_CONFIG", "harmless"),
        ("$H", "harmless"),
        ("$RST=*", "not a single command"),
    ] {
        for printing in [false, true] {
            let denied = judge(text, &at(printing)).unwrap_err().to_string();
            assert!(denied.contains(says), "{text}: {denied}");
        }
    }
}

#[test]
fn nothing_is_smuggled_in_behind_a_question() {
    for text in [
        "M105 M500",
        "M105 G28",
        "M105;G28",
        "M105\nG28",
        "M105\rG28",
        "M105*12",
        "M105 (x)",
        "M114 X1",
        "M115 S1",
        "M78 S78",
        "M105M500",
        "M105G28",
        "M105\u{18}",
        "M105 \u{e9}",
        "M105 T1G28",
        "M105 T1",
        "",
        " ",
        "M503 S0 S1",
        "?",
        "M20 /etc",
        "M27 S1 C",
    ] {
        assert!(idle(text).is_err(), "{text:?} was let through");
    }
    assert!(idle(&format!("M503 S{}", "1".repeat(80))).is_err());
}

#[test]
fn grbl_has_questions_of_its_own() {
    let grbl = |is_printing| Circumstances { is_grbl: true, ..at(is_printing) };
    assert_eq!(judge("$$", &grbl(true)).as_deref(), Ok("$$"));
    assert_eq!(judge("$g", &grbl(false)).as_deref(), Ok("$G"));
    for text in ["$H", "$X", "$110=5", "$RST=$", "$J=X10", "$N0=G28"] {
        assert!(judge(text, &grbl(false)).is_err(), "{text}");
    }
    assert!(idle("$$").is_err());
}

/// Whatever comes out is one line whose every word is in the table, however the input was put together.
#[test]
fn only_words_of_the_table_come_out_of_any_mixture() {
    let words = [
        "M105", "M104", "M114", "M503", "M155", "M27", "G1", "G28", "M500", "M112", "T0", "T1", "S", "S0",
        "S100", "S999", "X1", "C", "D", "N3", "*7", ";", "\n", "\r", "$$", "m20", "L", "é", "\0", "M5 03",
        "P1",
    ];
    // A fixed linear congruential sequence (Knuth's MMIX constants): the same mixtures in every run.
    let mut state = 7_u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut sent = 0;
    for _ in 0..20_000 {
        let text: Vec<&str> = (0..=draw(4)).map(|_| words[draw(words.len())]).collect();
        let text = text.join(if draw(3) == 0 { "" } else { " " });
        let printing = draw(2) == 0;
        let Ok(line) = judge(&text, &at(printing)) else { continue };
        sent += 1;
        let mut parts = line.split(' ');
        let name = parts.next().unwrap();
        let (_, when, letters) = ALLOWED.iter().find(|(known, ..)| *known == name).expect(&line);
        assert!(!printing || *when == When::Always, "{line}");
        for part in parts {
            assert!(letters.contains(&part[..1]) && is_number(&part[1..]), "{line}");
        }
        assert!(line.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) && line.len() <= COMMAND_BYTES);
    }
    assert!(sent > 300, "{sent}");
}

#[test]
fn roles_may_do_what_they_may() {
    let roles = [Role::AtTheMachine, Role::Admin, Role::Operator, Role::Viewer];
    for (command, may) in [
        ("M105", [true, true, true, true]),
        ("M104 S200", [true, true, true, false]),
        ("M155 S2", [true, true, true, false]),
        ("M500", [true, true, false, false]),
        ("M104 S300", [true, true, false, false]),
        ("M112", [false, false, false, false]),
    ] {
        for (role, may) in roles.into_iter().zip(may) {
            let sent = judge(command, &Circumstances { role, maintenance: true, ..at(false) });
            assert_eq!(sent.is_ok(), may, "{command} for {role}: {sent:?}");
        }
    }
    for (word, role) in
        [("admin", Some(Role::Admin)), ("operator", Some(Role::Operator)), ("viewer", Some(Role::Viewer))]
    {
        assert_eq!(Role::of_backend(word), role);
    }
    for word in ["", "Admin", "root", "local"] {
        assert_eq!(Role::of_backend(word), None);
    }
}

#[test]
fn a_window_lets_maintenance_through_and_only_while_no_job_runs() {
    for command in [
        "M500",
        "M502",
        "M504",
        "M303 E0 S240 C8",
        "M997",
        "M999",
        "M206 Z-0.1",
        "M428",
        "M851 Z-1.25",
        "M301 P22.2 I1.08 D114",
        "M304 P97",
        "G28 X",
        "G1 X999 F600",
        "G92 Z0",
        "M104 S300",
        "M140 S150",
    ] {
        let closed = idle(command).unwrap_err().fault();
        let fault =
            if command.starts_with("M1") { Fault::HeatAboveLimit } else { Fault::CommandNeedsMaintenance };
        assert_eq!(closed, fault, "{command}");
        let open = |is_printing| Circumstances { maintenance: true, ..at(is_printing) };
        assert_eq!(judge(command, &open(false)).as_deref(), Ok(command));
        assert_eq!(judge(command, &open(true)).unwrap_err().fault(), Fault::Busy, "{command}");
    }
}

#[test]
fn a_window_is_no_door_for_everything() {
    let open = Circumstances { maintenance: true, ..at(false) };
    for command in [
        "M112",
        "M110 N5",
        "M24",
        "M81",
        "M600",
        "M109 S200",
        "M876 S0",
        "M500 G28",
        "M500 M999",
        "M303 S240 N5",
        "G1 X1 X2",
        "G1 X1e9",
        "T1",
        "M104 S-5",
        "M104 S1e9",
        "FIRMWARE_RESTART",
        "$RST=$",
    ] {
        assert!(judge(command, &open).is_err(), "{command}");
    }
    let grbl = Circumstances { is_grbl: true, ..open };
    for command in ["$H", "$X", "$110=500"] {
        assert!(judge(command, &grbl).is_ok(), "{command}");
        let closed = judge(command, &Circumstances { maintenance: false, ..grbl }).unwrap_err();
        assert_eq!(closed.fault(), Fault::CommandNeedsMaintenance, "{command}");
    }
    for command in ["$RST=*", "$N0=G28", "$=5", "$J=X10", "$110=G28"] {
        assert!(judge(command, &grbl).is_err(), "{command}");
    }
}
