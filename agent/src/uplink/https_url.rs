//! The URL of a file, as far as a request needs it, and where a redirection leads from it (RFC 3986, section 5).

use hyper::Uri;

use crate::config::RelayUrl;

/// The port of `https` (RFC 9110, section 4.2.2).
const HTTPS_PORT: u16 = 443;
/// Longest URL.
const LONGEST: usize = 8 * 1024;

/// Why a URL is not used. It never repeats the URL: a secret may be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum HttpsUrlError {
    /// Another scheme, or none.
    #[error("the URL does not begin with https://")]
    Scheme,
    /// A name stands before the host.
    #[error("the URL holds a user's name; sign its path or query instead")]
    User,
    /// Something in it cannot be.
    #[error("the URL cannot be read")]
    Malformed,
}

/// `https://host[:port]/path?query`. No `Debug`: a secret may be in it.
#[derive(Clone)]
pub(super) struct HttpsUrl {
    /// Host and port, as the way to a relay takes them.
    authority: RelayUrl,
    path_and_query: String,
}

impl HttpsUrl {
    pub(super) fn parse(text: &str) -> Result<Self, HttpsUrlError> {
        // What stands behind # is the reader's own business (RFC 3986, section 3.5).
        let text = text.split('#').next().unwrap_or_default().trim();
        let is_https = text.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
        if !is_https {
            return Err(HttpsUrlError::Scheme);
        }
        if text.len() > LONGEST {
            return Err(HttpsUrlError::Malformed);
        }
        let uri: Uri = text.parse().map_err(|_| HttpsUrlError::Malformed)?;
        let authority = uri.authority().ok_or(HttpsUrlError::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(HttpsUrlError::User);
        }
        let authority = format!("wss://{authority}").parse().map_err(|_| HttpsUrlError::Malformed)?;
        let path_and_query = uri.path_and_query().map_or("/", |rest| rest.as_str());
        let slash = if path_and_query.starts_with('/') { "" } else { "/" };
        Ok(Self { authority, path_and_query: format!("{slash}{path_and_query}") })
    }

    /// Where a `Location` leads from here.
    pub(super) fn join(&self, location: &str) -> Result<Self, HttpsUrlError> {
        let host = self.host_header();
        let location = location.trim();
        let is_absolute = location.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':'));
        if is_absolute {
            Self::parse(location)
        } else if location.starts_with("//") {
            Self::parse(&format!("https:{location}"))
        } else if location.starts_with('/') {
            Self::parse(&format!("https://{host}{location}"))
        } else {
            let path = self.path_and_query.split('?').next().unwrap_or_default();
            let folder = &path[..=path.rfind('/').unwrap_or(0)];
            Self::parse(&format!("https://{host}{folder}{location}"))
        }
    }

    /// Host and port.
    pub(super) fn authority(&self) -> &RelayUrl {
        &self.authority
    }

    /// For people.
    pub(super) fn host(&self) -> &str {
        &self.authority.host
    }

    /// As it stands in the `Host` header.
    pub(super) fn host_header(&self) -> String {
        let host = super::way::signed_host(&self.authority);
        match self.authority.port {
            HTTPS_PORT => host,
            port => format!("{host}:{port}"),
        }
    }

    /// What is asked for.
    pub(super) fn path_and_query(&self) -> &str {
        &self.path_and_query
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: Result<HttpsUrl, HttpsUrlError>) -> Result<String, HttpsUrlError> {
        url.map(|url| format!("{} {}", url.host_header(), url.path_and_query()))
    }

    #[test]
    fn urls_are_read() {
        for (text, expected) in [
            ("https://Files.example/a/b?c=d&e=%2F#f", "files.example /a/b?c=d&e=%2F"),
            ("HTTPS://files.example", "files.example /"),
            ("https://files.example:443/", "files.example /"),
            ("https://[::1]:9/x", "[::1]:9 /x"),
            ("https://files.example?sig=1", "files.example /?sig=1"),
        ] {
            assert_eq!(shown(HttpsUrl::parse(text)), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn other_urls_are_refused_without_being_repeated() {
        for (text, why) in [
            ("http://files.example/s3cret", HttpsUrlError::Scheme),
            ("ftp://files.example/s3cret", HttpsUrlError::Scheme),
            ("/s3cret", HttpsUrlError::Scheme),
            ("https://me:s3cret@files.example/", HttpsUrlError::User),
            ("https:///s3cret", HttpsUrlError::Malformed),
            ("https://files.example/s3 cret", HttpsUrlError::Malformed),
            ("https://files.example:0/s3cret", HttpsUrlError::Malformed),
            ("https://files example/s3cret", HttpsUrlError::Malformed),
        ] {
            let error = HttpsUrl::parse(text).err();
            assert_eq!(error, Some(why), "{text}");
            assert!(!why.to_string().contains("s3cret"));
        }
        let long = format!("https://files.example/{}", "x".repeat(LONGEST));
        assert_eq!(shown(HttpsUrl::parse(&long)), Err(HttpsUrlError::Malformed));
    }

    #[test]
    fn a_redirection_leads_from_where_it_was_said() {
        let from = HttpsUrl::parse("https://a.example:8443/x/y?z").ok().unwrap();
        for (location, expected) in [
            ("https://b.example/f?sig=1", "b.example /f?sig=1"),
            ("//b.example/f", "b.example /f"),
            ("/f?a:b", "a.example:8443 /f?a:b"),
            ("f", "a.example:8443 /x/f"),
            ("?q", "a.example:8443 /x/?q"),
        ] {
            assert_eq!(shown(from.join(location)), Ok(expected.to_owned()), "{location}");
        }
        for location in ["http://b.example/f", "javascript:1", "file:///etc/passwd"] {
            assert_eq!(shown(from.join(location)), Err(HttpsUrlError::Scheme), "{location}");
        }
    }
}
