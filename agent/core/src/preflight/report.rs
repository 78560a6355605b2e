//! What the check of one file found, and what the file holds.

use super::code::Severity;
use super::motion::Bounds;
use super::slicer::Slicer;
use super::tally::Finding;
use crate::gcode::Summary;

/// Everything about one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// What the file holds.
    pub summary: Summary,
    /// What its slicer says.
    pub slicer: Slicer,
    /// Objects that have labels, as a firmware is told to leave one out.
    pub objects: Vec<String>,
    /// The box around what is fed.
    pub bounds: Option<Bounds>,
    /// Moves.
    pub moves: u64,
    /// Time of all moves at their feed rates, in seconds; acceleration and heating make a print longer.
    pub move_s: f64,
    /// Filament by the moves themselves, in millimetres, over all tools.
    pub filament_mm: f64,
    /// Greatest temperatures of hot ends, bed and chamber, in degrees Celsius.
    pub greatest_c: [Option<f64>; 3],
    /// How long the printer will stand still because the link cannot keep up, in seconds.
    pub link_waits_s: f64,
}

impl Report {
    /// The worst of its findings.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(Finding::severity).max()
    }

    /// The findings of one severity.
    pub fn of(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.severity() == severity)
    }
}
