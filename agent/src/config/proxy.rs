//! Through which HTTP proxy the relay is reached, if through any.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::relay::{RelayUrlError, authority};
use super::settings::{Setting, optional, quoted};

/// The port of a proxy that names none, as curl takes it (curl(1), `--proxy`).
const PORT: u16 = 1080;
/// Longest user name or password, decoded.
const LONGEST_WORD: usize = 256;

/// Through which proxy the relay is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    /// Which one.
    pub choice: ProxyChoice,
    /// Holds the password, in its first line.
    pub password_file: Option<PathBuf>,
}

/// Which proxy is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProxyChoice {
    /// The one that `HTTPS_PROXY` names, but for what `NO_PROXY` excepts.
    #[default]
    Environment,
    /// None, whatever the environment says.
    Straight,
    /// This one, whatever the environment says.
    At(ProxyUrl),
}

/// `http://[user@]host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    /// Whom the proxy asks the password of.
    pub user: Option<String>,
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// A proxy as a variable of the environment has it: the password may be in it, so there is no `Debug`.
#[derive(PartialEq, Eq)]
pub(crate) struct ProxyAddress {
    /// The proxy.
    pub(crate) url: ProxyUrl,
    /// The password, if it was there.
    pub(crate) password: Option<String>,
}

/// Why a text is not the address of a proxy. It never repeats the text: a password may be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyUrlError {
    /// Another scheme.
    #[error(
        "must begin with http:// (the relay's TLS goes through it; proxies of other kinds are not known)"
    )]
    Scheme,
    /// The password stands in the address.
    #[error("must hold no password; put it into a file and name that in relay.proxy_password_file")]
    Password,
    /// User or password are too long, hold control characters, or are badly encoded.
    #[error("has a user or password that cannot be sent")]
    Word,
    /// Host and port are not right.
    #[error("{}", match .0 {
        RelayUrlError::Scheme | RelayUrlError::More => "must be http://host:port or http://user@host:port and nothing more",
        RelayUrlError::Host => "names no host",
        RelayUrlError::Port => "has a port that is not a number from 1 to 65535",
    })]
    Place(RelayUrlError),
}

impl FromStr for ProxyAddress {
    type Err = ProxyUrlError;

    /// As curl reads it: the scheme may be left out, and user and password are percent-encoded.
    fn from_str(text: &str) -> Result<Self, ProxyUrlError> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(ProxyUrlError::Scheme),
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let (host, port) = authority(place).map_err(ProxyUrlError::Place)?;
        let (user, password) = match login.map(|login| login.split_once(':').ok_or(login)) {
            None => (None, None),
            Some(Err(user)) => (Some(decoded(user)?), None),
            Some(Ok((user, password))) => (Some(decoded(user)?), Some(decoded(password)?)),
        };
        // The first colon ends the name (RFC 7617, section 2).
        if user.as_ref().is_some_and(|user| user.contains(':')) {
            return Err(ProxyUrlError::Word);
        }
        Ok(Self { url: ProxyUrl { user, host, port: port.unwrap_or(PORT) }, password })
    }
}

impl FromStr for ProxyUrl {
    type Err = ProxyUrlError;

    fn from_str(text: &str) -> Result<Self, ProxyUrlError> {
        let address: ProxyAddress = text.parse()?;
        if address.password.is_some() { Err(ProxyUrlError::Password) } else { Ok(address.url) }
    }
}

/// Percent-encoding undone (RFC 3986, section 2.1).
fn decoded(text: &str) -> Result<String, ProxyUrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let (byte, tail) = match (byte, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digit = |at: &u8| char::from(*at).to_digit(16).ok_or(ProxyUrlError::Word);
                let value = digit(high)? * 16 + digit(low)?;
                (u8::try_from(value).map_err(|_| ProxyUrlError::Word)?, tail)
            }
            (b'%', _) => return Err(ProxyUrlError::Word),
            plain => plain,
        };
        bytes.push(byte);
        rest = tail;
    }
    let text = String::from_utf8(bytes).map_err(|_| ProxyUrlError::Word)?;
    let is_good = text.len() <= LONGEST_WORD && !text.chars().any(char::is_control);
    if is_good { Ok(text) } else { Err(ProxyUrlError::Word) }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("http://")?;
        for byte in self.user.iter().flat_map(|user| user.bytes()) {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    write!(f, "{}", char::from(byte))?
                }
                byte => write!(f, "%{byte:02X}")?,
            }
        }
        let at = if self.user.is_some() { "@" } else { "" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{at}{open}{}{close}:{}", self.host, self.port)
    }
}

/// A value as a message may repeat it: what stands where an address has its password is left out.
pub(super) fn without_password(text: &str) -> String {
    let (scheme, rest) = text.find("://").map_or(("", text), |at| text.split_at(at + 3));
    match rest.rsplit_once('@').map(|(login, place)| (login.split_once(':'), place)) {
        Some((Some((user, _)), place)) => format!("{scheme}{user}:...@{place}"),
        _ => text.to_owned(),
    }
}

pub(super) const PROXY: Setting = Setting {
    key: "relay.proxy",
    take: |config, given| {
        config.relay.proxy.choice = match given.text()? {
            "" => ProxyChoice::Environment,
            "none" => ProxyChoice::Straight,
            text => ProxyChoice::At(text.parse().map_err(|error: ProxyUrlError| error.to_string())?),
        };
        Ok(())
    },
    show: |config| match &config.relay.proxy.choice {
        ProxyChoice::Environment => quoted(""),
        ProxyChoice::Straight => quoted("none"),
        ProxyChoice::At(url) => quoted(url),
    },
};

pub(super) const PASSWORD_FILE: Setting = Setting {
    key: "relay.proxy_password_file",
    take: |config, given| {
        config.relay.proxy.password_file = given.path()?;
        Ok(())
    },
    show: |config| optional(config.relay.proxy.password_file.as_ref().map(|path| path.display())),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_curl_reads_them() {
        for (text, user, password, shown) in [
            ("http://proxy.example:3128", None, None, "http://proxy.example:3128"),
            ("proxy.example", None, None, "http://proxy.example:1080"),
            ("HTTP://me@Proxy.example:80/", Some("me"), None, "http://me@proxy.example:80"),
            ("http://a%40b:c%3Ad@[::1]:8", Some("a@b"), Some("c:d"), "http://a%40b@[::1]:8"),
            ("http://me:@p:8", Some("me"), Some(""), "http://me@p:8"),
        ] {
            let address: ProxyAddress = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (address.url.user.as_deref(), address.password.as_deref()),
                (user, password),
                "{text}"
            );
            assert_eq!(address.url.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_http_proxy_is_refused_without_repeating_it() {
        for (text, why) in [
            ("socks5://p:1080", ProxyUrlError::Scheme),
            ("https://p:443", ProxyUrlError::Scheme),
            ("http://me:s3cret@p:8", ProxyUrlError::Password),
            ("http://me%3As3cret@p:8", ProxyUrlError::Word),
            ("http://me%0As3cret@p:8", ProxyUrlError::Word),
            ("http://me%zz@p:8", ProxyUrlError::Word),
            ("http://me%2@p:8", ProxyUrlError::Word),
            ("http://p:8/path", ProxyUrlError::Place(RelayUrlError::Port)),
            ("http://p:0", ProxyUrlError::Place(RelayUrlError::Port)),
            ("http://", ProxyUrlError::Place(RelayUrlError::Host)),
        ] {
            assert_eq!(text.parse::<ProxyUrl>(), Err(why), "{text}");
            assert!(!why.to_string().contains("s3cret"));
        }
    }

    #[test]
    fn passwords_are_left_out_of_what_is_repeated() {
        assert_eq!(without_password("http://me:s3cret@p:8"), "http://me:...@p:8");
        assert_eq!(without_password("http://me:s3@cret@p:8"), "http://me:...@p:8");
        assert_eq!(without_password("me:s3cret@p:8"), "me:...@p:8");
        for text in ["http://me@p:8", "wss://relay.example:8443", "/dev/ttyUSB0"] {
            assert_eq!(without_password(text), text);
        }
    }
}
