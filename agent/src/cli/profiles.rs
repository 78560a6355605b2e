//! `profiles`: what can be chosen, what one says, and whether a file is a good profile.

use std::io::Write;
use std::path::Path;

use spoolway_firmware_profiles::profile::Status;
use spoolway_firmware_profiles::registry::{self, KnownProfile};
use spoolway_firmware_profiles::{Origin, ProfileError, Registry, advice};
use spoolway_protocol::Fault;

use super::paint::{Paint, fit, plain, wrap};
use super::{Failure, Whereabouts};

/// Columns that every terminal has.
const COLUMNS: usize = 80;

/// Lists the profiles; one that cannot be used is told at the end and is no reason to hide the others.
pub(super) fn list(whereabouts: &Whereabouts, out: &mut impl Write) -> Result<(), Failure> {
    let (registry, errors) = load(whereabouts)?;
    let paint = Paint::of(&std::io::stdout());
    writeln!(out, "{}", paint.bold(&format!("{:<16} {:<34} {:<10} {}", "ID", "NAME", "STATUS", "FROM")))?;
    for known in registry.iter() {
        writeln!(out, "{}", row(known, paint))?;
    }
    out.flush()?;
    match errors.first() {
        None => Ok(()),
        Some(first) => Err(bad(first)),
    }
}

fn row(known: &KnownProfile, paint: Paint) -> String {
    let profile = &known.profile;
    let from = match &known.origin {
        Origin::BuiltIn(_) => "built in".to_owned(),
        Origin::File(path) => path.display().to_string(),
    };
    let status = match profile.status {
        Status::Verified => format!("{:<10}", "verified"),
        Status::Unverified => paint.yellow(&format!("{:<10}", "unverified")),
    };
    format!("{:<16} {:<34} {status} {}", fit(&profile.id, 16), fit(&profile.name, 34), plain(&from))
}

/// Prints a profile as its file says it, with a line above it that says where it came from.
pub(super) fn show(whereabouts: &Whereabouts, id: &str, out: &mut impl Write) -> Result<(), Failure> {
    let (registry, errors) = load(whereabouts)?;
    let known = registry.get(id).map_err(|unknown| {
        // The file of this name may be there and broken.
        let broken = errors.iter().find(|error| error.file_stem() == Some(id));
        broken.map_or_else(|| Failure::of(Fault::ProfileUnknown, unknown.to_string()), bad)
    })?;
    let text = known.text().map_err(|error| bad(&error))?;
    let origin = match &known.origin {
        Origin::BuiltIn(_) => "built in".to_owned(),
        Origin::File(path) => plain(&path.display().to_string()),
    };
    writeln!(out, "# Profile `{id}`, {origin}.\n\n{}", text.trim_end())?;
    Ok(())
}

/// Checks a file, and tells what is allowed and probably not meant.
pub(super) fn check(file: &Path, out: &mut impl Write) -> Result<(), Failure> {
    let profile = registry::read(file).map_err(|error| bad(&error))?;
    writeln!(out, "{}: profile `{}` ({}) is fine.", file.display(), profile.id, plain(&profile.name))?;
    let paint = Paint::of(&std::io::stdout());
    for note in advice(&profile, &Origin::File(file.to_owned())) {
        let note = wrap(&plain(&format!("{note}.")), COLUMNS - 8).join("\n        ");
        writeln!(out, "{} {note}", paint.yellow("  note:"))?;
    }
    Ok(())
}

fn load(whereabouts: &Whereabouts) -> Result<(Registry, Vec<ProfileError>), Failure> {
    Ok(Registry::load(whereabouts.load_of_agent()?.0.config.profiles.folder.as_deref()))
}

fn bad(error: &ProfileError) -> Failure {
    Failure::of(Fault::ProfileBad, error.to_string())
}
