//! All profiles that can be chosen: the built-in set, overlaid with the files of one folder.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use crate::error::{Origin, ProfileError, UnknownProfile};
use crate::profile::Profile;
use crate::validate::parse;

/// Id of the profile that is used when nothing else is known.
pub const GENERIC: &str = "generic";

/// Most profile files read from a folder.
pub const MAX_FILES: usize = 256;

/// Largest profile file read, in bytes.
pub const MAX_FILE_BYTES: u64 = 256 * 1024;

/// File names and texts of the profiles inside the program.
static BUILT_IN: &[(&str, &str)] = &[
    ("anycubic.toml", include_str!("../profiles/anycubic.toml")),
    ("creality.toml", include_str!("../profiles/creality.toml")),
    ("flashforge.toml", include_str!("../profiles/flashforge.toml")),
    ("generic.toml", include_str!("../profiles/generic.toml")),
    ("grbl.toml", include_str!("../profiles/grbl.toml")),
    ("grblhal.toml", include_str!("../profiles/grblhal.toml")),
    ("klipper.toml", include_str!("../profiles/klipper.toml")),
    ("malyan.toml", include_str!("../profiles/malyan.toml")),
    ("marlin.toml", include_str!("../profiles/marlin.toml")),
    ("marlin-cdc.toml", include_str!("../profiles/marlin-cdc.toml")),
    ("prusa-buddy.toml", include_str!("../profiles/prusa-buddy.toml")),
    ("prusa-mk.toml", include_str!("../profiles/prusa-mk.toml")),
    ("repetier.toml", include_str!("../profiles/repetier.toml")),
    ("reprapfirmware.toml", include_str!("../profiles/reprapfirmware.toml")),
    ("smoothieware.toml", include_str!("../profiles/smoothieware.toml")),
    ("teacup.toml", include_str!("../profiles/teacup.toml")),
    ("ultimaker2.toml", include_str!("../profiles/ultimaker2.toml")),
];

/// A profile and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownProfile {
    /// The checked profile.
    pub profile: Profile,
    /// Where it came from, for diagnostics.
    pub origin: Origin,
}

impl KnownProfile {
    /// The text that it was read from; a file is read again.
    ///
    /// # Errors
    ///
    /// [`ProfileError`] when the file is gone or cannot be read any more.
    pub fn text(&self) -> Result<Cow<'static, str>, ProfileError> {
        match &self.origin {
            Origin::BuiltIn(name) => {
                let found = BUILT_IN.iter().find(|(known, _)| known == name);
                Ok(Cow::Borrowed(found.map_or("", |(_, text)| text)))
            }
            Origin::File(path) => read_text(path).map(Cow::Owned),
        }
    }
}

/// All profiles that can be chosen, by id. [`GENERIC`] is always among them.
#[derive(Debug, Clone)]
pub struct Registry {
    profiles: BTreeMap<String, KnownProfile>,
}

impl Registry {
    /// The profiles inside the program and no others.
    #[must_use]
    pub fn built_in() -> Self {
        let mut registry = Self { profiles: BTreeMap::new() };
        for (name, text) in BUILT_IN {
            let origin = Origin::BuiltIn(name);
            let profile =
                parse(&origin, text).expect("every built-in profile is checked by a test of this crate");
            registry.put(profile, origin);
        }
        registry
    }

    /// The built-in profiles and those of `overlay`, where a file takes the place of the profile of the same id.
    ///
    /// Every `*.toml` directly in the folder is read; names that begin with a dot are passed over. What cannot be used
    /// is left out and reported, so one broken file hides no other; a built-in profile whose replacement is
    /// broken stays in force. The caller decides whether a report is a warning or the end.
    #[must_use]
    pub fn load(overlay: Option<&Path>) -> (Self, Vec<ProfileError>) {
        let mut registry = Self::built_in();
        let mut errors = Vec::new();
        let Some(folder) = overlay else { return (registry, errors) };
        let names = match list(folder) {
            Ok((names, left_out)) => {
                errors.extend(left_out);
                names
            }
            Err(error) => return (registry, vec![error]),
        };
        for name in names {
            let path = folder.join(name);
            match read(&path) {
                Ok(profile) => registry.put(profile, Origin::File(path)),
                Err(error) => errors.push(error),
            }
        }
        (registry, errors)
    }

    /// The profile of this id.
    ///
    /// # Errors
    ///
    /// [`UnknownProfile`] with every known id.
    pub fn get(&self, id: &str) -> Result<&KnownProfile, UnknownProfile> {
        self.profiles.get(id).ok_or_else(|| UnknownProfile {
            id: id.to_owned(),
            known: self.profiles.keys().cloned().collect(),
        })
    }

    /// The profile for a printer of which nothing is known.
    #[must_use]
    pub fn generic(&self) -> &KnownProfile {
        self.profiles.get(GENERIC).expect("the built-in set holds it, and an overlay can only replace it")
    }

    /// All profiles in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &KnownProfile> {
        self.profiles.values()
    }

    /// The same set with one more profile, which takes the place of one of the same id.
    #[must_use]
    pub fn with(mut self, profile: Profile, origin: Origin) -> Self {
        self.put(profile, origin);
        self
    }

    fn put(&mut self, profile: Profile, origin: Origin) {
        self.profiles.insert(profile.id.clone(), KnownProfile { profile, origin });
    }
}

/// Names of the profile files in a folder, in order and bounded, and a report when there are more.
fn list(folder: &Path) -> Result<(BTreeSet<String>, Option<ProfileError>), ProfileError> {
    let failed = |source| ProfileError::Folder { path: folder.to_owned(), source };
    let mut names = BTreeSet::new();
    let mut first_left_out: Option<String> = None;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || !name.ends_with(".toml") {
            continue;
        }
        names.insert(name);
        // The folder lists in no order, so the last by name goes whenever there is one too many.
        if names.len() > MAX_FILES {
            let last = names.pop_last();
            first_left_out = last.into_iter().chain(first_left_out).min();
        }
    }
    let too_many = first_left_out.map(|first_left_out| ProfileError::TooMany {
        path: folder.to_owned(),
        limit: MAX_FILES,
        first_left_out,
    });
    Ok((names, too_many))
}

/// Reads and checks one file.
///
/// # Errors
///
/// [`ProfileError`] when it cannot be read, is too large, no text, or no valid profile.
pub fn read(path: &Path) -> Result<Profile, ProfileError> {
    parse(&Origin::File(path.to_owned()), &read_text(path)?)
}

/// The text of a file.
fn read_text(path: &Path) -> Result<String, ProfileError> {
    let failed = |source| ProfileError::Read { path: path.to_owned(), source };
    // Asked before opening: opening a pipe would wait for its writer.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(ProfileError::NotAFile { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ProfileError::TooLarge { path: path.to_owned(), limit_bytes: MAX_FILE_BYTES });
    }
    String::from_utf8(bytes).map_err(|error| ProfileError::NotText {
        origin: Origin::File(path.to_owned()),
        offset: error.utf8_error().valid_up_to(),
    })
}
