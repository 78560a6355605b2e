//! Rules for what may be asked of a machine by hand.

use super::capability;
use super::commands::check_filled_line;
use crate::error::Findings;
use crate::hand::Hand;
use crate::profile::Profile;

/// Each placeholder as long as anything that is put in its place.
const FILLINGS: [(&str, &str); 6] = [
    (Hand::AXES, " X Y Z"),
    (Hand::MOVE, " X-500.000 Y-500.000 Z-500.000"),
    (Hand::FEED, "12000"),
    (Hand::TOOL, "15"),
    (Hand::CELSIUS, "300.0"),
    // A longer name is refused when it comes to it.
    (Hand::OBJECT, "object_1.stl"),
];

pub(super) fn check(profile: &Profile, findings: &mut Findings) {
    let hand = &profile.hand;
    let lists: [(&str, &[String], &[&str]); 4] = [
        ("hand.home", &hand.home, &[Hand::AXES]),
        ("hand.jog", &hand.jog, &[Hand::MOVE, Hand::FEED]),
        ("hand.heaters_off", &hand.heaters_off, &[Hand::TOOL]),
        ("hand.identify", &hand.identify, &[]),
    ];
    for (key, lines, known) in lists {
        check_lines(key, lines, known, profile, findings);
    }
    let single: [(&str, &Option<String>, &[&str]); 5] = [
        ("hand.position", &hand.position, &[]),
        ("hand.hotend", &hand.hotend, &[Hand::TOOL, Hand::CELSIUS]),
        ("hand.bed", &hand.bed, &[Hand::CELSIUS]),
        ("hand.chamber", &hand.chamber, &[Hand::CELSIUS]),
        ("hand.skip_object", &hand.skip_object, &[Hand::OBJECT]),
    ];
    for (key, line, known) in single {
        if let Some(line) = line {
            check_line(key, line, known, profile, findings);
        }
    }
    check_needed(hand, findings);
    if let Some(light) = &hand.light {
        for (key, lines) in [("hand.light.on", &light.on), ("hand.light.off", &light.off)] {
            check_lines(key, lines, &[], profile, findings);
            if lines.is_empty() {
                findings.missing(key, "must have a line");
            }
        }
        if let Some(name) = &light.capability {
            capability(findings, "hand.light.capability", name);
        }
    }
}

/// A move without a distance, or a temperature without a number, would do the same whatever is asked for.
fn check_needed(hand: &Hand, findings: &mut Findings) {
    let needs = |lines: &[String], name: &str| lines.is_empty() || holds(lines, name);
    for name in [Hand::MOVE, Hand::FEED] {
        if !needs(&hand.jog, name) {
            findings.missing("hand.jog", format!("must hold `{{{name}}}`, where what is asked for goes"));
        }
    }
    if hand.skip_object.as_ref().is_some_and(|line| !holds(std::slice::from_ref(line), Hand::OBJECT)) {
        findings.missing("hand.skip_object", "must hold `{object}`, where its label goes");
    }
    for (key, line) in
        [("hand.hotend", &hand.hotend), ("hand.bed", &hand.bed), ("hand.chamber", &hand.chamber)]
    {
        if line.as_ref().is_some_and(|line| !holds(std::slice::from_ref(line), Hand::CELSIUS)) {
            findings.missing(key, "must hold `{celsius}`, where the temperature goes");
        }
    }
}

fn holds(lines: &[String], name: &str) -> bool {
    lines.iter().any(|line| line.contains(&format!("{{{name}}}")))
}

fn check_lines(key: &str, lines: &[String], known: &[&str], profile: &Profile, findings: &mut Findings) {
    if lines.len() > Hand::LINES_MAX {
        let length = i64::try_from(lines.len()).unwrap_or(i64::MAX);
        findings.add(key, length, format!("must have at most {} lines", Hand::LINES_MAX));
    }
    for (at, line) in lines.iter().enumerate() {
        check_line(&format!("{key}[{at}]"), line, known, profile, findings);
    }
}

fn check_line(key: &str, line: &str, known: &[&str], profile: &Profile, findings: &mut Findings) {
    let allowed = FILLINGS.iter().filter(|(name, _)| known.contains(name));
    let text =
        allowed.fold(line.to_owned(), |line, (name, filling)| line.replace(&format!("{{{name}}}"), filling));
    if !text.contains(['{', '}']) {
        return check_filled_line(key, line, &text, profile, findings);
    }
    let known: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
    findings.add(key, line, format!("must hold no braces but those of: {}", known.join(" ")));
}
