//! `config`: what holds and who said so, whether everything it names is there, and single keys set.

mod set;

use std::io::Write;

use spoolway_firmware_profiles::Registry;
use spoolway_protocol::Fault;

use super::{Failure, Whereabouts};
use crate::config::{Loaded, ProfileChoice, render};
use crate::uplink::check_files;
pub(super) use set::set;

/// Shows the configuration as a file that could be used.
pub(super) fn show(whereabouts: &Whereabouts, out: &mut impl Write) -> Result<(), Failure> {
    out.write_all(render(&whereabouts.load_of_agent()?.0).as_bytes())?;
    Ok(())
}

/// Checks the configuration and what it names. The printer's port may be missing: printers are switched off at night.
pub(super) fn check(whereabouts: &Whereabouts, out: &mut impl Write) -> Result<(), Failure> {
    let (loaded, file) = whereabouts.load_of_agent()?;
    check_named(&loaded)?;
    match &loaded.file {
        Some(file) => writeln!(out, "{}: the configuration is fine.", file.display())?,
        None => writeln!(out, "There is no {}; the defaults are fine.", file.display())?,
    }
    Ok(())
}

/// Whether profiles and files that it names are there.
fn check_named(loaded: &Loaded) -> Result<(), Failure> {
    check_profiles(loaded)?;
    check_files(&loaded.config.relay).map_err(|named| {
        let key = named.split([' ', ':']).next().unwrap_or_default();
        Failure::of(Fault::ConfigBroken, format!("{}: {named}", loaded.origin(key)))
    })
}

fn check_profiles(loaded: &Loaded) -> Result<(), Failure> {
    let (registry, errors) = Registry::load(loaded.config.profiles.folder.as_deref());
    if let Some(error) = errors.first() {
        let missing = loaded.config.profiles.folder.as_ref().filter(|folder| !folder.is_dir());
        return Err(match missing {
            Some(_) => Failure::of(
                Fault::ConfigBroken,
                format!("{}: profiles.folder: {error}", loaded.origin("profiles.folder")),
            ),
            None => Failure::of(Fault::ProfileBad, error.to_string()),
        });
    }
    if let ProfileChoice::Id(id) = &loaded.config.printer.profile
        && let Err(error) = registry.get(id)
    {
        let origin = loaded.origin("printer.profile");
        return Err(Failure::of(Fault::ProfileUnknown, format!("{origin}: printer.profile = {id}: {error}")));
    }
    Ok(())
}
