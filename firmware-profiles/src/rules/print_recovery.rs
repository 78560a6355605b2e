//! Rules for continuing a print that was interrupted.

use super::commands::{LONGEST_FILLING, MAX_SCRIPT_LINES, check_filled_line, check_line};
use crate::error::Findings;
use crate::profile::{PrintRecovery, Profile};

/// Longest advice for a person, in bytes.
const MAX_ADVICE_BYTES: usize = 400;

pub(super) fn check(profile: &Profile, findings: &mut Findings) {
    let print = &profile.recovery.print;
    let all = [
        ("recovery.print.home", &print.home),
        ("recovery.print.home_z", &print.home_z),
        ("recovery.print.level", &print.level),
    ];
    for (key, lines) in all {
        if lines.len() > MAX_SCRIPT_LINES {
            let length = i64::try_from(lines.len()).unwrap_or(i64::MAX);
            findings.add(key, length, format!("must have at most {MAX_SCRIPT_LINES} lines"));
        }
        for (at, line) in lines.iter().enumerate() {
            check_line(&format!("{key}[{at}]"), line, profile, findings);
        }
    }
    check_set_z(profile, findings);
    if print.is_possible() {
        check_moves(print, findings);
    }
    check_advice(print, findings);
}

fn check_set_z(profile: &Profile, findings: &mut Findings) {
    let Some(line) = &profile.recovery.print.set_z else { return };
    let (key, place) = ("recovery.print.set_z", format!("{{{}}}", PrintRecovery::HEIGHT));
    let filled = line.replace(&place, LONGEST_FILLING);
    if line.matches(&place).count() != 1 || filled.contains(['{', '}']) {
        findings.add(
            key,
            line.as_str(),
            format!("must hold `{place}` once, where the height goes, and no other braces"),
        );
    } else {
        check_filled_line(key, line, &filled, profile, findings);
    }
}

fn check_moves(print: &PrintRecovery, findings: &mut Findings) {
    if print.home.is_empty() {
        let problem = "missing; the place to the side has to be known again before a print goes on";
        findings.missing("recovery.print.home", problem);
    }
    if !(1.0..=50.0).contains(&print.lift_mm) {
        findings.add("recovery.print.lift_mm", print.lift_mm, "must be 1 to 50 mm");
    }
    if !(0.0..=100.0).contains(&print.prime_mm) {
        findings.add("recovery.print.prime_mm", print.prime_mm, "must be 0 to 100 mm");
    }
}

fn check_advice(print: &PrintRecovery, findings: &mut Findings) {
    let key = "recovery.print.by_hand";
    let Some(advice) = &print.by_hand else { return };
    if advice.trim().is_empty() || advice.len() > MAX_ADVICE_BYTES || advice.chars().any(char::is_control) {
        findings.add(key, advice.as_str(), format!("must be one line of 1 to {MAX_ADVICE_BYTES} bytes"));
    }
}
