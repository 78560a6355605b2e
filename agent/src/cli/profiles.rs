//! `profiles`: what can be chosen, and whether a file is a good profile.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use spoolway_firmware_profiles::registry::MAX_FILE_BYTES;
use spoolway_firmware_profiles::{Origin, Profile, ProfileError, Registry, parse};
use spoolway_protocol::Fault;

use super::paint::{Paint, fit, plain};
use super::{Failure, Whereabouts};

/// Lists the profiles; one that cannot be used is told at the end and is no reason to hide the others.
pub(super) fn list(whereabouts: &Whereabouts, out: &mut impl Write) -> Result<(), Failure> {
    let loaded = whereabouts.load(&[])?;
    let (registry, errors) = Registry::load(loaded.config.profiles.folder.as_deref());
    let paint = Paint::of(&std::io::stdout());
    writeln!(out, "{}", paint.bold(&format!("{:<16} {:<36} {}", "ID", "NAME", "FROM")))?;
    for known in registry.iter() {
        let from = match &known.origin {
            Origin::BuiltIn(_) => "built in".to_owned(),
            Origin::File(path) => path.display().to_string(),
        };
        let profile = &known.profile;
        writeln!(out, "{:<16} {:<36} {}", fit(&profile.id, 16), fit(&profile.name, 36), plain(&from))?;
    }
    out.flush()?;
    match errors.first() {
        None => Ok(()),
        Some(first) => Err(Failure::of(Fault::ProfileBad, first.to_string())),
    }
}

/// Checks a file.
pub(super) fn check(file: &Path, out: &mut impl Write) -> Result<(), Failure> {
    let profile = read(file).map_err(|error| Failure::of(Fault::ProfileBad, error.to_string()))?;
    writeln!(out, "{}: profile `{}` ({}) is fine.", file.display(), profile.id, plain(&profile.name))?;
    Ok(())
}

fn read(file: &Path) -> Result<Profile, ProfileError> {
    let failed = |source| ProfileError::Read { path: file.to_owned(), source };
    // Asked before opening: opening a pipe would wait for its writer.
    if !std::fs::metadata(file).map_err(failed)?.is_file() {
        return Err(ProfileError::NotAFile { path: file.to_owned() });
    }
    let mut bytes = Vec::new();
    File::open(file).map_err(failed)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ProfileError::TooLarge { path: file.to_owned(), limit_bytes: MAX_FILE_BYTES });
    }
    let origin = Origin::File(file.to_owned());
    let text = str::from_utf8(&bytes)
        .map_err(|error| ProfileError::NotText { origin: origin.clone(), offset: error.valid_up_to() })?;
    parse(&origin, text)
}
