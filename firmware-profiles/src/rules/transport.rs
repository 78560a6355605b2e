//! Rules for bytes, windows, numbers and times.

use super::within;
use crate::error::Findings;
use crate::flow::{Ack, Window};
use crate::profile::{Checksum, Duplicate, Profile, Sequence, Serial, Timeouts};

const MAX_BAUDS: usize = 16;
const MAX_PREFIX_BYTES: usize = 8;
const MAX_WINDOW_LINES: u32 = 1024;
const MAX_HISTORY_LINES: u32 = 65_536;

/// Longest time that may be given, in milliseconds: one hour.
const MAX_TIMEOUT_MS: u32 = 3_600_000;

/// Greatest line number: firmwares keep it in a signed 32 bit number.
const MAX_LINE_NUMBER: u32 = 2_147_483_647;

pub(super) fn check_serial(serial: &Serial, findings: &mut Findings) {
    if serial.bauds.is_empty() || serial.bauds.len() > MAX_BAUDS {
        findings.add("serial.bauds", numbers(&serial.bauds), format!("must have 1 to {MAX_BAUDS} entries"));
    }
    for (at, baud) in serial.bauds.iter().enumerate() {
        let key = format!("serial.bauds[{at}]");
        within(findings, &key, *baud, 1200..=4_000_000);
        if serial.bauds[..at].contains(baud) {
            findings.add(key, *baud, "must not be listed twice");
        }
    }
    within(findings, "serial.boot_wait_ms", serial.boot_wait_ms, 0..=60_000);
}

pub(super) fn check_framing(profile: &Profile, findings: &mut Findings) {
    let framing = &profile.framing;
    if framing.prefix.len() > MAX_PREFIX_BYTES || !framing.prefix.bytes().all(|byte| byte.is_ascii_graphic())
    {
        let problem = format!("must be at most {MAX_PREFIX_BYTES} printable ASCII characters without spaces");
        findings.add("framing.prefix", framing.prefix.as_str(), problem);
    }
    if framing.checksum == Checksum::Xor8 && !framing.numbered {
        findings.add("framing.checksum", "xor8", "needs `framing.numbered = true`; else it must be \"none\"");
    }
    within(findings, "framing.max_line_bytes", framing.max_line_bytes, 16..=1024);
    // A long line must fit what may be on its way: all of the ring but one byte, line feed counted.
    let room = profile.flow.rx_bytes.saturating_sub(2);
    if profile.flow.window != Window::UsbBackPressure && framing.max_line_bytes > room {
        let problem =
            format!("must be at most {room}, two less than `flow.rx_bytes`, or no such line can be sent");
        findings.add("framing.max_line_bytes", framing.max_line_bytes, problem);
    }
    within(findings, "framing.max_line_number", framing.max_line_number, 255..=MAX_LINE_NUMBER);
}

pub(super) fn check_flow(profile: &Profile, findings: &mut Findings) {
    let flow = &profile.flow;
    let window = flow.window.name();
    let counts_bytes = matches!(flow.window, Window::Bytes | Window::BytesAndQueue | Window::AdvancedOk);
    if counts_bytes && !profile.framing.numbered {
        let problem = "needs `framing.numbered = true`: a lost line could not be asked for again";
        findings.add("flow.window", window, problem);
    }
    if counts_bytes && profile.recovery.sequence == Sequence::Unverified {
        let problem = "needs `recovery.sequence = \"verified\"`; with \"unverified\" it must be \"one-line\", \
                       \"character-count\" or \"usb-back-pressure\"";
        findings.add("flow.window", window, problem);
    }
    if flow.window == Window::CharacterCount && flow.ack == Ack::Executed {
        findings.add(
            "flow.ack",
            "executed",
            "must be \"parsed\" or \"received\" with window \"character-count\"",
        );
    }
    within(findings, "flow.rx_bytes", flow.rx_bytes, 16..=65_536);
    within(findings, "flow.max_lines", flow.max_lines, 1..=MAX_WINDOW_LINES);
    if flow.window == Window::OneLine && flow.max_lines > 1 {
        findings.add("flow.max_lines", flow.max_lines, "must be 1 with window \"one-line\"");
    }
    within(findings, "flow.queue_lines", flow.queue_lines, 0..=MAX_WINDOW_LINES);
    if flow.window == Window::BytesAndQueue && flow.queue_lines == 0 {
        findings.add(
            "flow.queue_lines",
            flow.queue_lines,
            "must be 1 or more with window \"bytes-and-queue\"",
        );
    }
    within(findings, "flow.planner_moves", flow.planner_moves, 0..=65_536);
}

pub(super) fn check_recovery(profile: &Profile, findings: &mut Findings) {
    let recovery = &profile.recovery;
    if recovery.sequence == Sequence::Verified {
        if !profile.framing.numbered {
            findings.add("recovery.sequence", "verified", "needs `framing.numbered = true`");
        }
        if profile.replies.resend.is_empty() {
            let problem = "needs `replies.resend`: the firmware must be able to name the line it expects";
            findings.add("recovery.sequence", "verified", problem);
        }
    }
    check_duplicate(profile, findings);
    let (least, most) = (profile.flow.max_lines, MAX_HISTORY_LINES);
    if !(least..=most).contains(&recovery.history_lines) {
        let problem = format!("must be {least} to {most}: no less than `flow.max_lines`");
        findings.add("recovery.history_lines", recovery.history_lines, problem);
    }
    let numbered_anew = profile.framing.max_line_number;
    if profile.framing.numbered && recovery.history_lines > numbered_anew / 2 {
        let problem = "must be at most half of `framing.max_line_number`, or a number could mean two lines";
        findings.add("recovery.history_lines", recovery.history_lines, problem);
    }
    within(findings, "recovery.max_refusals", recovery.max_refusals, 1..=100);
    within(findings, "recovery.max_silent_probes", recovery.max_silent_probes, 1..=100);
}

fn check_duplicate(profile: &Profile, findings: &mut Findings) {
    let key = "recovery.duplicate";
    match (profile.recovery.sequence, profile.recovery.duplicate) {
        (Sequence::Verified, Duplicate::Executed) => {
            findings.add(key, "executed", "must be \"refused\" or \"skipped\" when the sequence is verified");
        }
        (Sequence::Unverified, Duplicate::Refused) => {
            findings.add(key, "refused", "must be \"executed\" when the sequence is unverified");
        }
        (Sequence::Unverified, Duplicate::Skipped) => {
            findings.add(key, "skipped", "must be \"executed\" when the sequence is unverified");
        }
        (Sequence::Verified, Duplicate::Skipped) if profile.replies.skip.is_empty() => {
            findings.add(
                key,
                "skipped",
                "needs `replies.skip`: what the firmware prints when it skips a line",
            );
        }
        (Sequence::Verified, Duplicate::Refused | Duplicate::Skipped)
        | (Sequence::Unverified, Duplicate::Executed) => {}
    }
}

pub(super) fn check_timeouts(timeouts: &Timeouts, findings: &mut Findings) {
    // From the shortest to the longest; each must be able to end before the next.
    let ordered = [
        ("timeouts.settle_ms", timeouts.settle_ms),
        ("timeouts.resend_ms", timeouts.resend_ms),
        ("timeouts.silence_with_busy_ms", timeouts.silence_with_busy_ms),
        ("timeouts.silence_ms", timeouts.silence_ms),
        ("timeouts.blocking_ms", timeouts.blocking_ms),
    ];
    for (key, value) in ordered {
        within(findings, key, value, 1..=MAX_TIMEOUT_MS);
    }
    for pair in ordered.windows(2) {
        let ((shorter, least), (key, value)) = (pair[0], pair[1]);
        if value < least {
            findings.add(key, value, format!("must not be less than `{shorter}`, {least}"));
        }
    }
}

fn numbers(list: &[u32]) -> Vec<i64> {
    list.iter().copied().map(i64::from).collect()
}
