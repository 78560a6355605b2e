//! From text to a profile, or to everything that is wrong with the text.

use serde::Deserialize;
use toml::Table;

use crate::error::{Findings, Origin, ProfileError};
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
    from_table(origin, table)
}

fn from_table(origin: &Origin, mut table: Table) -> Result<Profile, ProfileError> {
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
        _ => Err(ProfileError::Invalid { origin: origin.clone(), findings: findings.into_vec() }),
    }
}

fn syntax(origin: &Origin, text: &str, error: &toml::de::Error) -> ProfileError {
    let offset = error.span().map_or(text.len(), |span| span.start.min(text.len()));
    let before = String::from_utf8_lossy(&text.as_bytes()[..offset]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    ProfileError::Syntax { origin: origin.clone(), line, column, message: error.message().to_owned() }
}

#[cfg(test)]
mod tests;
