//! `check`: holds a file against the printer without printing it.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde::Serialize;
use spoolway_agent_core::preflight::{Report, Severity};
use spoolway_firmware_profiles::{Profile, Registry};
use spoolway_protocol::Fault;
use spoolway_protocol::preflight::{FileSummary, FindingSeverity, PreflightFinding};

use super::paint::{Paint, plain, span, wrap};
use super::{Exit, Failure, Whereabouts};
use crate::config::{Loaded, ProfileChoice};
use crate::preflight;

/// Columns that every terminal has.
const COLUMNS: usize = 80;
/// The profile that is taken where nobody has chosen one and no printer can be asked.
const CAREFUL: &str = "generic";

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Checked {
    profile: String,
    findings: Vec<PreflightFinding>,
    summary: FileSummary,
}

/// A profile, and who has said that it is the one.
struct Chosen {
    profile: Profile,
    by: String,
}

/// Checks a file against the profile that was named, else that of the configuration, else that of the agent that runs.
pub(super) fn check(
    whereabouts: &Whereabouts,
    file: &Path,
    profile: Option<&str>,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let (loaded, config_file) = whereabouts.load_of_agent()?;
    let config = &loaded.config;
    let chosen = choose(&loaded, profile, || of_the_agent(whereabouts))?;
    let printer = preflight::printer(&chosen.profile, config.printer.baud.rate(), None, &config.preflight);
    let named = |error: std::io::Error| {
        let help = "Check the path and that you may read the file.";
        Failure::new(Exit::Runtime, format!("{}: {error}", file.display()), None, help)
    };
    let report = preflight::read(File::open(file).map_err(named)?, printer).map_err(named)?;
    let findings = preflight::findings(&report);
    if json {
        let checked = Checked { profile: chosen.profile.id, findings, summary: preflight::summary(&report) };
        serde_json::to_writer(&mut *out, &checked).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        let paint = Paint::of(&std::io::stdout());
        let settings = match &loaded.file {
            Some(file) => file.display().to_string(),
            None => format!("default: there is no {}", config_file.display()),
        };
        let by = format!("profile by {}, settings by {settings}", chosen.by);
        out.write_all(screen((file, &chosen.profile, &by), &report, &findings, paint).as_bytes())?;
    }
    out.flush()?;
    verdict(file, &report)
}

/// The profile that the agent has found its printer to have, if it runs and has one.
fn of_the_agent(whereabouts: &Whereabouts) -> Option<String> {
    whereabouts.agent().ok()?.status().ok()?.printer.profile
}

fn choose(
    loaded: &Loaded,
    named: Option<&str>,
    of_agent: impl FnOnce() -> Option<String>,
) -> Result<Chosen, Failure> {
    let (registry, errors) = Registry::load(loaded.config.profiles.folder.as_deref());
    let (id, by) = match (named, &loaded.config.printer.profile) {
        (Some(id), _) => (id.to_owned(), "--profile".to_owned()),
        (None, ProfileChoice::Id(id)) => (id.clone(), loaded.origin("printer.profile").to_string()),
        (None, ProfileChoice::Auto) => match of_agent() {
            Some(id) => (id, "the agent that runs".to_owned()),
            None => (CAREFUL.to_owned(), "nobody (name one with --profile)".to_owned()),
        },
    };
    let id = id.as_str();
    let known = registry.get(id).map_err(|unknown| {
        let broken = errors.iter().find(|error| error.file_stem() == Some(id));
        broken.map_or_else(
            || Failure::of(Fault::ProfileUnknown, unknown.to_string()),
            |error| Failure::of(Fault::ProfileBad, error.to_string()),
        )
    })?;
    Ok(Chosen { profile: known.profile.clone(), by })
}

/// A file that would not start by itself is a failure.
fn verdict(file: &Path, report: &Report) -> Result<(), Failure> {
    let (text, help) = match report.worst() {
        Some(Severity::Fatal) => ("this printer cannot take the file", "Slice the file again."),
        Some(Severity::Error) => (
            "the file would wait for a person before it starts",
            "Mend what is named, or print it and say `spoolway-agent jobs override JOB`.",
        ),
        _ => return Ok(()),
    };
    Err(Failure::new(Exit::Runtime, format!("{}: {text}", file.display()), None, help))
}

fn screen(
    (file, profile, by): (&Path, &Profile, &str),
    report: &Report,
    findings: &[PreflightFinding],
    paint: Paint,
) -> String {
    let name = plain(&file.display().to_string());
    let mut text = format!("{} against profile `{}`\n", paint.bold(&name), profile.id);
    text.push_str(&format!("  {}\n", wrap(&plain(by), COLUMNS - 2).join("\n  ")));
    text.push_str(&about(report));
    if findings.is_empty() {
        text.push_str(&format!("  {}\n", paint.green("nothing was found")));
    }
    for finding in findings {
        text.push_str(&entry(finding, paint));
    }
    text
}

/// What the file holds, in two lines.
fn about(report: &Report) -> String {
    let slicer = &report.slicer;
    let mut parts =
        vec![format!("{} commands", report.summary.commands), format!("{} layers", report.summary.layers)];
    let seconds = slicer.seconds.map(|seconds| span(seconds * 1_000));
    parts.extend(seconds.map(|seconds| format!("{seconds} by the slicer")));
    parts.push(format!("{:.2} m of filament", report.filament_mm / 1_000.0));
    let mut text = format!("  {}\n", parts.join(", "));
    let said = [slicer.name.as_deref(), slicer.model.as_deref(), slicer.flavour.as_deref()];
    let said: Vec<String> = said.into_iter().flatten().map(plain).chain(slicer.filaments.clone()).collect();
    if !said.is_empty() {
        text.push_str(&format!("  {}\n", wrap(&said.join(", "), COLUMNS - 2).join("\n  ")));
    }
    if let Some(bounds) = report.bounds {
        let [x0, y0, z0] = bounds.least;
        let [x1, y1, z1] = bounds.most;
        text.push_str(&format!("  X {x0:.1} to {x1:.1}, Y {y0:.1} to {y1:.1}, Z {z0:.2} to {z1:.2} mm\n"));
    }
    text
}

fn entry(finding: &PreflightFinding, paint: Paint) -> String {
    let word = format!("{:>8}", finding.severity.as_str());
    let word = match finding.severity {
        FindingSeverity::Fatal | FindingSeverity::Error => paint.red(&word),
        FindingSeverity::Warning => paint.yellow(&word),
        _ => paint.dim(&word),
    };
    let place = finding.line.map_or_else(String::new, |line| format!("line {line}: "));
    let again = if finding.count > 1 { format!(" ({} times)", finding.count) } else { String::new() };
    let told = format!("{place}{}{again} [{}]", plain(&finding.text), finding.code);
    let help = wrap(&finding.help, COLUMNS - 14).join("\n              ");
    let told = wrap(&told, COLUMNS - 9).join("\n         ");
    format!("{word} {told}\n         {} {help}\n", paint.dim("try:"))
}

#[cfg(test)]
mod tests {
    use spoolway_agent_core::preflight::Printer;

    use super::*;
    use crate::config::load;
    use crate::paths::Paths;

    fn shown(text: &str) -> (String, Report) {
        let profile = Registry::built_in().get("marlin").unwrap().profile.clone();
        let report = preflight::read(text.as_bytes(), Printer::of_profile(&profile, None)).unwrap();
        let findings = preflight::findings(&report);
        let by = "profile by /etc/spoolway/agent.toml, line 2, settings by /etc/spoolway/agent.toml";
        let about = (Path::new("a\x1b[2J.gcode"), &profile, by);
        (screen(about, &report, &findings, Paint::none()), report)
    }

    #[test]
    fn the_profile_is_that_of_whoever_knows_best() {
        let dir = tempfile::tempdir().unwrap();
        let folder = || dir.path().to_owned();
        let paths = Paths { config: folder(), state: folder(), runtime: folder() };
        std::fs::write(paths.config_file(), "[printer]\nprofile = \"prusa-mk\"\n").unwrap();
        let set = load(&paths, None, std::iter::empty(), &[]).unwrap();
        std::fs::write(paths.config_file(), "").unwrap();
        let open = load(&paths, None, std::iter::empty(), &[]).unwrap();
        let chosen = |loaded: &Loaded, named, agent: Option<&str>| {
            let Chosen { profile, by } = choose(loaded, named, || agent.map(str::to_owned)).unwrap();
            (profile.id, by)
        };
        let said = |id: &str, by: &str| (id.to_owned(), by.to_owned());
        assert_eq!(chosen(&set, Some("grbl"), Some("marlin")), said("grbl", "--profile"));
        let line = format!("{}, line 2", paths.config_file().display());
        assert_eq!(chosen(&set, None, Some("marlin")), said("prusa-mk", &line));
        assert_eq!(chosen(&open, None, Some("marlin")), said("marlin", "the agent that runs"));
        assert_eq!(chosen(&open, None, None).0, CAREFUL);
        // Of another version, or a file that is gone since.
        assert!(choose(&open, None, || Some("nobodys".to_owned())).is_err());
    }

    #[test]
    fn findings_are_shown_with_line_code_and_what_to_do() {
        let (text, report) =
            shown("; generated by PrusaSlicer 2.5.0 on 2026-11-22\nG28\nM104 S999\nM104 S999\nM500\nG1 X1\n");
        assert!(text.lines().all(|line| line.chars().count() <= 80 && !line.contains('\x1b')), "{text}");
        for part in [
            "a?[2J.gcode against profile `marlin`",
            "   error line 3: a hot end is to have 999 °C",
            "(2 times)",
            "[nozzle-too-hot]",
            "[forbidden-command]",
            " warning what PrusaSlicer 2.5.0 writes at the end is missing [file-truncated]",
            "try: Export the file again",
        ] {
            // Where a line is broken is not what counts.
            let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(flat(&text).contains(&flat(part)), "{part}: {text}");
        }
        let failure = verdict(Path::new("a.gcode"), &report).unwrap_err();
        assert_eq!(failure.exit(), Exit::Runtime);
    }

    #[test]
    fn warnings_are_no_failure() {
        let (text, report) = shown("G28\nM104 S200\nG1 X9 Y9 Z1 F600 E1\nM104 S0\n");
        assert!(verdict(Path::new("a.gcode"), &report).is_ok());
        assert!(text.contains("X 9.0 to 9.0, Y 9.0 to 9.0, Z 1.00 to 1.00 mm"), "{text}");
        assert!(text.contains("4 commands, 0 layers, 0.00 m of filament"), "{text}");
    }
}
