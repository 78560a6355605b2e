//! Rules for the commands that the agent sends by itself.

use super::{capability, within};
use crate::error::Findings;
use crate::profile::{Emergency, HostWaits, Profile, Scripts};

pub(super) const MAX_SCRIPT_LINES: usize = 64;
const MAX_BLOCKING: usize = 64;
/// Klipper spells its commands out (`BED_MESH_CALIBRATE`).
const MAX_WORD_BYTES: usize = 32;

/// Stands for the number of the button in `emergency.prompt_reply`.
const CHOICE: &str = "{choice}";
/// As long as anything that is put in place of a placeholder.
pub(super) const LONGEST_FILLING: &str = "-12345.67890";

pub(super) fn check_blocking(commands: &[String], findings: &mut Findings) {
    if commands.len() > MAX_BLOCKING {
        let length = i64::try_from(commands.len()).unwrap_or(i64::MAX);
        findings.add("timeouts.blocking", length, format!("must have at most {MAX_BLOCKING} entries"));
    }
    for (at, command) in commands.iter().enumerate() {
        let spelt = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_lowercase();
        if command.is_empty() || command.len() > MAX_WORD_BYTES || !command.bytes().all(spelt) {
            let problem = "must be a command alone, in capitals and without parameters, such as \"G28\"";
            findings.add(format!("timeouts.blocking[{at}]"), command.as_str(), problem);
        }
    }
}

pub(super) fn check_emergency(profile: &Profile, findings: &mut Findings) {
    let emergency = &profile.emergency;
    let commands = [
        ("emergency.stop", &emergency.stop),
        ("emergency.break_wait", &emergency.break_wait),
        ("emergency.quick_stop", &emergency.quick_stop),
        ("emergency.ask", &emergency.ask),
        ("emergency.hold", &emergency.hold),
        ("emergency.release", &emergency.release),
    ];
    for (key, command) in commands {
        if let Some(text) = command
            && Emergency::realtime_byte(text).is_none()
        {
            check_line(key, text, profile, findings);
        }
    }
    if let Some(text) = &emergency.prompt_reply {
        check_prompt_reply(text, profile, findings);
    }
    if let Some(name) = &emergency.capability {
        capability(findings, "emergency.capability", name);
        if commands.iter().all(|(_, command)| command.is_none()) {
            findings.add(
                "emergency.capability",
                name.as_str(),
                "needs a command that it is about, such as `stop`",
            );
        }
    }
    match (&emergency.hold, &emergency.release) {
        (Some(hold), None) => findings.add("emergency.hold", hold.as_str(), "needs `emergency.release`"),
        (None, Some(release)) => {
            findings.add("emergency.release", release.as_str(), "needs `emergency.hold`")
        }
        _ => {}
    }
    check_brake(emergency, findings);
}

/// A reset in the middle of a move loses the position, so whoever stops by one has to say how it is known that nothing moves.
fn check_brake(emergency: &Emergency, findings: &mut Findings) {
    let reset = emergency.quick_stop.as_deref().filter(|text| Emergency::realtime_byte(text).is_some());
    let parts = [
        ("emergency.hold", emergency.hold.is_some()),
        ("emergency.ask", emergency.ask.is_some()),
        ("emergency.standing", !emergency.standing.is_empty()),
    ];
    for (key, is_there) in parts {
        if reset.is_some() && !is_there {
            findings.missing(
                key,
                "missing; `emergency.quick_stop` is a realtime byte, sent when the machine stands",
            );
        }
    }
    let is_idle = reset.is_none() && (parts[1].1 || parts[2].1);
    if is_idle {
        let text = emergency.ask.as_deref().unwrap_or_default();
        findings.add("emergency.ask", text, "needs a realtime byte as `emergency.quick_stop`");
    }
}

fn check_prompt_reply(text: &str, profile: &Profile, findings: &mut Findings) {
    let key = "emergency.prompt_reply";
    if text.matches(CHOICE).count() != 1 {
        findings.add(key, text, format!("must hold `{CHOICE}` once, where the number of the button goes"));
    } else if text.replace(CHOICE, "").contains(['{', '}']) {
        findings.add(key, text, format!("must hold no braces but those of `{CHOICE}`"));
    } else {
        check_filled_line(key, text, &text.replace(CHOICE, LONGEST_FILLING), profile, findings);
    }
}

pub(super) fn check_scripts(profile: &Profile, findings: &mut Findings) {
    let scripts = &profile.scripts;
    if scripts.cancel.is_empty() {
        findings.missing("scripts.cancel", "must have a line: a cancelled job has to leave the machine safe");
    }
    match (scripts.park.is_empty(), scripts.unpark.is_empty()) {
        (false, true) => {
            findings.missing("scripts.unpark", "missing; a head that was parked has to come back")
        }
        (true, false) => {
            findings.missing("scripts.park", "missing; `scripts.unpark` takes back what it moved")
        }
        _ => {}
    }
    let (none, place): (&[&str], &[&str]) = (&[], &Scripts::PLACEHOLDERS);
    let all = [
        ("scripts.connect", &scripts.connect, none),
        ("scripts.pause", &scripts.pause, none),
        ("scripts.resume", &scripts.resume, none),
        ("scripts.park", &scripts.park, place),
        ("scripts.unpark", &scripts.unpark, place),
        ("scripts.cancel", &scripts.cancel, &[Scripts::TOOL]),
    ];
    for (key, lines, known) in all {
        if lines.len() > MAX_SCRIPT_LINES {
            let length = i64::try_from(lines.len()).unwrap_or(i64::MAX);
            findings.add(key, length, format!("must have at most {MAX_SCRIPT_LINES} lines"));
        }
        for (at, line) in lines.iter().enumerate() {
            check_script_line(&format!("{key}[{at}]"), line, known, profile, findings);
        }
    }
}

/// Notes a line of a script that cannot be sent; `known` are the placeholders that may stand in it.
fn check_script_line(key: &str, line: &str, known: &[&str], profile: &Profile, findings: &mut Findings) {
    let fill = |line: String, name: &&str| line.replace(&format!("{{{name}}}"), LONGEST_FILLING);
    let text = known.iter().fold(line.to_owned(), fill);
    if !text.contains(['{', '}']) {
        return check_filled_line(key, line, &text, profile, findings);
    }
    let problem = if known.is_empty() {
        "must hold no braces: only `scripts.park`, `scripts.unpark` and `scripts.cancel` are filled in"
            .to_owned()
    } else {
        let known: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
        format!("must hold no braces but those of {}", known.join(" "))
    };
    findings.add(key, line, problem);
}

pub(super) fn check_temperature(profile: &Profile, findings: &mut Findings) {
    let temperature = &profile.temperature;
    // Empty where the firmware knows no temperatures.
    if !temperature.query.is_empty() {
        check_line("temperature.query", &temperature.query, profile, findings);
    }
    within(findings, "temperature.query_interval_ms", temperature.query_interval_ms, 500..=600_000);
    if let Some(report) = &temperature.auto_report {
        capability(findings, "temperature.auto_report.capability", &report.capability);
        check_line("temperature.auto_report.command", &report.command, profile, findings);
    }
    check_host_waits(profile, findings);
    let limits = &temperature.limits;
    let degrees = [
        ("temperature.limits.hotend_max", Some(limits.hotend_max), 600.0),
        ("temperature.limits.bed_max", Some(limits.bed_max), 250.0),
        ("temperature.limits.chamber_max", limits.chamber_max, 200.0),
    ];
    for (key, value, most) in degrees {
        if let Some(value) = value
            && !(0.0..=most).contains(&value)
        {
            findings.add(key, value, format!("must be 0 (there is none) to {most:.0} degrees Celsius"));
        }
    }
}

fn check_host_waits(profile: &Profile, findings: &mut Findings) {
    let (key, temperature) = ("temperature.host_waits", &profile.temperature);
    let word = match temperature.host_waits {
        HostWaits::Never => return,
        HostWaits::WhenDeaf => "when-deaf",
        HostWaits::Always => "always",
    };
    if temperature.query.is_empty() {
        findings.add(key, word, "needs `temperature.query`: the agent has to see when it is warm");
    }
    if temperature.host_waits == HostWaits::WhenDeaf && profile.emergency.capability.is_none() {
        let problem = "needs `emergency.capability`, by which a firmware says that it listens; else it must be \
                       \"never\" or \"always\"";
        findings.add(key, word, problem);
    }
}

/// Notes a command line that cannot be sent as it stands.
pub(super) fn check_line(key: &str, line: &str, profile: &Profile, findings: &mut Findings) {
    check_filled_line(key, line, line, profile, findings);
}

/// Notes a command line that cannot be sent once its placeholders are filled: the agent adds number and checksum, and
/// firmwares differ in what they do with comments.
pub(super) fn check_filled_line(
    key: &str,
    said: &str,
    line: &str,
    profile: &Profile,
    findings: &mut Findings,
) {
    let most = profile.framing.max_command_bytes();
    let problem = if line.trim().is_empty() {
        "must not be blank: many firmwares never acknowledge a blank line".to_owned()
    } else if !line.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        "must be one line of printable ASCII characters".to_owned()
    } else if line.contains([';', '(']) {
        "must not hold a comment".to_owned()
    } else if is_framed(line) {
        "must not hold a line number or a checksum; the agent adds its own".to_owned()
    } else if u32::try_from(line.len()).unwrap_or(u32::MAX) > most {
        format!("must be at most {most} bytes: number and checksum have to fit `framing.max_line_bytes` too")
    } else {
        return;
    };
    findings.add(key, said, problem);
}

/// Whether a line begins with `N<digit>` or holds a `*`.
fn is_framed(line: &str) -> bool {
    let mut bytes = line.trim_start().bytes();
    let numbered = bytes.next() == Some(b'N') && bytes.next().is_some_and(|byte| byte.is_ascii_digit());
    numbered || line.contains('*')
}
