//! From what a printer printed and answered to the profile it needs.

use std::cmp::Reverse;

use crate::profile::Identify;
use crate::registry::{KnownProfile, Registry};
use crate::report::FirmwareReport;

/// The profile for a printer that printed `banners` after its reset and gave `report` when asked.
///
/// A profile fits when one of its banners or firmware names is there (if it lists any), one of its machine types is (if
/// it lists any), all its capabilities are on and the port has one of its USB ids (if it lists any). Of those that fit the greatest priority wins, then the longest text
/// that matched, then the first id. When none fits it is the generic one.
#[must_use]
pub fn identify<'a>(registry: &'a Registry, banners: &[String], report: &FirmwareReport) -> &'a KnownProfile {
    let fitting = registry.iter().filter_map(|known| {
        let rule = &known.profile.identify;
        let matched = fit(rule, banners, report)?;
        Some((Reverse(rule.priority), Reverse(matched), known))
    });
    // Of equals the first stays, and the registry is in order of id.
    let best = fitting.min_by_key(|(priority, matched, _)| (*priority, *matched));
    best.map_or_else(|| registry.generic(), |(_, _, known)| known)
}

/// How many bytes of text matched; `None` when the rule does not fit or has nothing to go by.
fn fit(rule: &Identify, banners: &[String], report: &FirmwareReport) -> Option<usize> {
    if !rule.capabilities.iter().all(|name| report.has(name)) {
        return None;
    }
    if !(rule.usb.is_empty() || report.usb.as_ref().is_some_and(|id| rule.usb.contains(id))) {
        return None;
    }
    let mut matched = None;
    if !(rule.banners.is_empty() && rule.firmware_names.is_empty()) {
        let printed = banners.iter().filter_map(|line| longest(&rule.banners, line));
        let named = report.name.iter().filter_map(|name| longest(&rule.firmware_names, name));
        matched = Some(printed.chain(named).max()?);
    }
    if !rule.machine_types.is_empty() {
        let machine = longest(&rule.machine_types, report.machine_type.as_deref()?)?;
        matched = Some(matched.unwrap_or(0) + machine);
    }
    matched
}

/// Length of the longest of `beginnings` that `text` begins with, without regard to case.
fn longest(beginnings: &[String], text: &str) -> Option<usize> {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
    let begins =
        |start: &&String| text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
    beginnings.iter().filter(begins).map(String::len).max()
}

#[cfg(test)]
mod tests;
