//! A URL that may carry a secret in its path or query: it never shows more of itself than its host.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Such a URL. On the wire it is plain text; `Debug` and `Display` end behind the host.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// All of it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl From<SecretUrl> for String {
    fn from(url: SecretUrl) -> Self {
        url.0
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else { return f.write_str("...") };
        let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        // A name and a password may stand before the host.
        let host = authority.rsplit('@').next().unwrap_or_default();
        let host = if host.len() <= 253 { host } else { "" };
        write!(f, "{scheme}://{host}/...")
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_behind_the_host_is_shown() {
        for (url, shown) in [
            ("https://files.example/a?sig=s3cret", "https://files.example/..."),
            ("https://me:s3cret@files.example:9?s3cret", "https://files.example:9/..."),
            ("https://files.example#s3cret", "https://files.example/..."),
            ("s3cret", "..."),
        ] {
            let url = SecretUrl::from(url.to_owned());
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), shown.to_owned()));
        }
    }
}
