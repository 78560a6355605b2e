//! The whole table, and a great many lines that nobody has thought of.

use super::*;

const LIMITS: TemperatureLimits = TemperatureLimits { hotend_max: 260.0, bed_max: 110.0, chamber_max: None };

fn idle(text: &str) -> Result<String, Denied> {
    judge(text, false, false, &LIMITS)
}

#[test]
fn questions_are_sent_at_any_time() {
    for text in ["M105", "m114", " M115 ", "M119", "M503", "M503 S0", "M27", "M27 C", "M31", "M78", "M114 D"]
    {
        let sent = idle(text).unwrap();
        assert_eq!(sent, text.trim().to_ascii_uppercase());
        assert_eq!(judge(text, true, false, &LIMITS), Ok(sent));
    }
}

#[test]
fn settings_and_temperatures_wait_for_the_end_of_a_job() {
    for text in ["M155 S2", "M20", "M104 S200", "M104 T1 S0", "M140 S60", "M104 S199.5"] {
        assert_eq!(idle(text).as_deref(), Ok(text));
        assert!(matches!(judge(text, true, false, &LIMITS), Err(Denied::Printing { .. })), "{text}");
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
    assert_eq!(judge("M141 S70", false, false, &chamber).as_deref(), Ok("M141 S70"));
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
            let denied = judge(text, printing, false, &LIMITS).unwrap_err().to_string();
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
    assert_eq!(judge("$$", true, true, &LIMITS).as_deref(), Ok("$$"));
    assert_eq!(judge("$g", false, true, &LIMITS).as_deref(), Ok("$G"));
    for text in ["$H", "$X", "$110=5", "$RST=$", "$J=X10", "$N0=G28"] {
        assert!(judge(text, false, true, &LIMITS).is_err(), "{text}");
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
        let Ok(line) = judge(&text, printing, false, &LIMITS) else { continue };
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
