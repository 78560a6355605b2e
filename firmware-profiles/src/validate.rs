//! From text to a profile, or to everything that is wrong with the text.

use serde::Deserialize;
use toml::Table;

use crate::error::{Findings, Origin, ProfileError};
use crate::lines::{excerpt, line_and_column};
use crate::profile::Profile;
use crate::{rules, shape};

/// Reads and checks one profile.
///
/// # Errors
///
/// [`ProfileError::Syntax`] when the text is not TOML, [`ProfileError::Invalid`] with all findings when it is not a
/// valid profile. Rules that relate several keys are looked at only once every key has a value of the right kind.
pub fn parse(origin: &Origin, text: &str) -> Result<Profile, ProfileError> {
    let table = text.parse::<Table>().map_err(|error| syntax(origin, text, &error))?;
    from_table(origin, text, table)
}

fn from_table(origin: &Origin, text: &str, mut table: Table) -> Result<Profile, ProfileError> {
    let mut findings = Findings::default();
    shape::check(&mut table, &mut findings);
    let profile = Profile::deserialize(table);
    match &profile {
        Ok(profile) => rules::check(profile, origin, &mut findings),
        // Only when the key table knows less than the types; better a bare message than none.
        Err(error) if findings.is_empty() => findings.missing("profile", error.message()),
        Err(_) => {}
    }
    match profile {
        Ok(profile) if findings.is_empty() => Ok(profile),
        _ => Err(ProfileError::Invalid { origin: origin.clone(), findings: findings.into_vec(text) }),
    }
}

fn syntax(origin: &Origin, text: &str, error: &toml::de::Error) -> ProfileError {
    let offset = error.span().map_or(text.len(), |span| span.start.min(text.len()));
    let (line, column) = line_and_column(text, offset);
    let (origin, message) = (origin.clone(), error.message().to_owned());
    ProfileError::Syntax { origin, line, column, message, excerpt: excerpt(text, line, column) }
}

#[cfg(test)]
mod tests;
