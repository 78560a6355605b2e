//! Files as slicers write them, and what is found in them.

mod places;
mod slicers;
mod whole;

use spoolway_firmware_profiles::Registry;

use super::*;

/// A printer of this profile at a serial line.
fn printer(profile: &str) -> Printer {
    let profile = &Registry::built_in().get(profile).unwrap().profile.clone();
    Printer::of_profile(profile, Some(115_200))
}

/// The same with a bed of 220 mm.
fn sized(profile: &str) -> Printer {
    Printer { volume: Some(Volume::new([220.0, 220.0, 250.0], false)), ..printer(profile) }
}

fn check_with(printer: Printer, file: &[u8], piece: usize) -> Report {
    let mut preflight = Preflight::new(printer);
    file.chunks(piece.max(1)).for_each(|piece| preflight.push(piece));
    preflight.finish()
}

fn check(printer: Printer, file: &str) -> Report {
    check_with(printer, file.as_bytes(), usize::MAX)
}

/// Code and line of everything that is at least a warning.
fn told(report: &Report) -> Vec<(&'static str, u64)> {
    let warned = report.findings.iter().filter(|finding| finding.severity() >= Severity::Warning);
    warned.map(|finding| (finding.code.as_str(), finding.line)).collect()
}

/// A start that heats and homes, a layer mark, and an end that cools.
fn part(body: &str) -> String {
    format!("G28\nM104 S200\nM109 S200\nG92 E0\n;LAYER_CHANGE\n{body}\nM104 S0\nM84\n")
}
