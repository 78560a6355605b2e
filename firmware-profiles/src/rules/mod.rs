//! What the values of a profile may be, alone and together.

mod about;
mod commands;
mod hand;
mod machine;
mod print_recovery;
mod replies;
mod transport;

use std::ops::RangeInclusive;

use crate::error::{Findings, Origin};
use crate::profile::Profile;

/// Notes everything in `profile` that breaks a rule.
pub(crate) fn check(profile: &Profile, origin: &Origin, findings: &mut Findings) {
    about::check(profile, origin, findings);
    transport::check_serial(&profile.serial, findings);
    transport::check_framing(profile, findings);
    transport::check_flow(profile, findings);
    replies::check(&profile.replies, findings);
    transport::check_recovery(profile, findings);
    print_recovery::check(profile, findings);
    transport::check_timeouts(&profile.timeouts, findings);
    commands::check_blocking(&profile.timeouts.blocking, findings);
    commands::check_emergency(profile, findings);
    commands::check_scripts(profile, findings);
    hand::check(profile, findings);
    commands::check_temperature(profile, findings);
    machine::check(&profile.machine, findings);
}

/// Notes a count that lies outside what is allowed.
fn within(findings: &mut Findings, key: &str, value: u32, allowed: RangeInclusive<u32>) {
    if !allowed.contains(&value) {
        findings.add(key, value, format!("must be {} to {}", allowed.start(), allowed.end()));
    }
}

/// Notes a capability name that no firmware can report.
fn capability(findings: &mut Findings, key: &str, name: &str) {
    let spelt = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || name.len() > 64 || !name.bytes().all(spelt) {
        findings.add(key, name, "must be 1 to 64 capital letters, digits and `_`, as behind `Cap:`");
    }
}
