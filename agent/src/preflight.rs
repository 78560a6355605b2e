//! A file against a printer: who the printer is by profile, report and configuration, and what was found in words for others.

use std::io::{self, Read};

use spoolway_agent_core::preflight::{Finding, Preflight, Printer, Report, Severity, Tools, Volume};
use spoolway_firmware_profiles::{FirmwareReport, Profile};
use spoolway_protocol::preflight::{FileSummary, FindingSeverity, PreflightFinding};
use spoolway_protocol::raw::Extra;

use crate::config;

/// Bytes read at once.
const PIECE_BYTES: usize = 128 * 1024;

/// What a file is held against: the configuration has the last word, then the profile, then what the firmware says.
#[must_use]
pub fn printer(
    profile: &Profile,
    baud: Option<u32>,
    report: Option<&FirmwareReport>,
    said: &config::Preflight,
) -> Printer {
    let mut printer = Printer::of_profile(profile, baud);
    if let Some(report) = report {
        printer = printer.reporting(report);
    }
    if let Some(size) = said.volume_mm {
        printer.volume = Some(Volume::new(size.map(f64::from), said.origin == config::BedOrigin::Centre));
    }
    if let Some(tools) = said.tools {
        printer.tools = Some(Tools::Configured(tools));
    }
    if let Some(micrometres) = said.nozzle_um {
        printer.nozzle_mm = Some(f64::from(micrometres) / 1_000.0);
    }
    printer.model.clone_from(&said.model);
    printer.filament.clone_from(&said.filament);
    printer
}

/// Reads a file to its end.
///
/// # Errors
/// It cannot be read.
pub fn read(mut file: impl Read, printer: Printer) -> io::Result<Report> {
    let mut preflight = Preflight::new(printer);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(preflight.finish()),
            count => preflight.push(&piece[..count]),
        }
    }
}

/// The findings as they are told to others.
#[must_use]
pub fn findings(report: &Report) -> Vec<PreflightFinding> {
    report.findings.iter().map(told).collect()
}

fn told(finding: &Finding) -> PreflightFinding {
    PreflightFinding {
        code: finding.code.as_str().to_owned(),
        severity: match finding.severity() {
            Severity::Info => FindingSeverity::Info,
            Severity::Warning => FindingSeverity::Warning,
            Severity::Error => FindingSeverity::Error,
            Severity::Fatal => FindingSeverity::Fatal,
        },
        subject: Some(finding.subject.clone()).filter(|subject| !subject.is_empty()),
        line: Some(finding.line).filter(|line| *line > 0),
        more_lines: finding.more_lines.clone(),
        count: finding.count,
        text: finding.text.clone(),
        value: finding.value.clone(),
        limit: finding.limit.clone(),
        help: finding.code.help().to_owned(),
        extra: Extra::default(),
    }
}

/// What the file holds, as it is told to others.
#[must_use]
pub fn summary(report: &Report) -> FileSummary {
    let (counted, slicer) = (&report.summary, &report.slicer);
    let [hotend_c, bed_c, _] = report.greatest_c;
    FileSummary {
        commands: counted.commands,
        lines: counted.lines,
        layers: counted.layers,
        moves: report.moves,
        move_s: rounded(report.move_s),
        link_waits_s: rounded(report.link_waits_s),
        filament_mm: rounded(report.filament_mm),
        bounds_mm: report.bounds.map(|bounds| [bounds.least.map(rounded), bounds.most.map(rounded)]),
        hotend_c,
        bed_c,
        slicer: slicer.name.clone(),
        model: slicer.model.clone(),
        flavour: slicer.flavour.clone(),
        nozzles_mm: slicer.nozzles_mm.clone(),
        filaments: slicer.filaments.clone(),
        estimate_s: slicer.seconds,
        estimate_filament_mm: slicer.filament_mm.clone(),
        estimate_filament_g: slicer.filament_g,
        objects: report.objects.clone(),
        extra: Extra::default(),
    }
}

/// To a thousandth: nobody needs more, and JSON would show it. JSON has no word for what a mad file may come to.
fn rounded(value: f64) -> f64 {
    if value.is_finite() { (value * 1_000.0).round() / 1_000.0 } else { 0.0 }
}
