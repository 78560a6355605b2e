//! Files of real slicers pass the check of the firmware that they were sliced for, and are found out elsewhere.

use std::path::{Path, PathBuf};

use spoolway_agent_core::preflight::{Preflight, Printer, Report, Severity, Volume};
use spoolway_firmware_profiles::Registry;

/// File and the profile of its flavour.
const FILES: [(&str, &str); 7] = [
    ("gear.gcode", "marlin"),
    ("box-reprapfirmware.gcode", "reprapfirmware"),
    ("box-smoothie.gcode", "smoothieware"),
    ("excerpts/dense-vase.gcode", "marlin"),
    ("excerpts/marlin-legacy-cone.gcode", "marlin"),
    ("excerpts/marlin2-vase.gcode", "creality"),
    ("excerpts/repetier-cone.gcode", "repetier"),
];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("gcode").join(name)
}

fn check(name: &str, profile: &str, size: [f64; 3]) -> Report {
    let profile = Registry::built_in().get(profile).unwrap().profile.clone();
    let volume = Some(Volume::new(size, false));
    let mut preflight = Preflight::new(Printer { volume, ..Printer::of_profile(&profile, Some(250_000)) });
    preflight.push(&std::fs::read(file(name)).unwrap());
    preflight.finish()
}

fn told(report: &Report) -> Vec<&str> {
    let warned = report.findings.iter().filter(|finding| finding.severity() >= Severity::Warning);
    warned.map(|finding| finding.code.as_str()).collect()
}

#[test]
fn each_passes_on_the_firmware_that_it_was_sliced_for() {
    for (name, profile) in FILES {
        let report = check(name, profile, [220.0, 220.0, 250.0]);
        assert_eq!(told(&report), [] as [&str; 0], "{name}: {:#?}", report.findings);
        let slicer = &report.slicer;
        assert_eq!(slicer.name.as_deref(), Some("PrusaSlicer 2.5.0"), "{name}");
        assert_eq!(
            (slicer.nozzles_mm.as_slice(), slicer.filaments.as_slice()),
            (&[0.4][..], &["PLA".to_owned()][..])
        );
        assert!(
            slicer.seconds.unwrap() > 60 && report.summary.layers > 0 && report.bounds.is_some(),
            "{name}"
        );
    }
}

#[test]
fn the_filament_of_the_moves_is_that_of_the_slicer() {
    // The slicer does not count the line of 15 mm that its start G-code primes with, nor the last retraction.
    for (name, profile) in &FILES[..3] {
        let report = check(name, profile, [220.0, 220.0, 250.0]);
        let said = report.slicer.filament_mm[0];
        assert!((report.filament_mm - said - 11.0).abs() < 2.5, "{name}: {} and {said}", report.filament_mm);
    }
}

#[test]
fn a_small_printer_and_another_firmware_are_found_out() {
    assert_eq!(
        told(&check("gear.gcode", "marlin", [120.0, 120.0, 120.0])),
        ["outside-volume", "outside-in-start", "travel-outside", "bed-differs"]
    );
    assert_eq!(
        told(&check("box-reprapfirmware.gcode", "marlin", [220.0, 220.0, 250.0])),
        ["flavour-differs"]
    );
}
