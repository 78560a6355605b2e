//! Where the relay is, and how far it is trusted.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::client_cert::ClientCert;
use super::proxy::Proxy;

/// The relay and how far it is trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relay {
    /// Where it is; without it the agent is used on its own machine only.
    pub url: Option<RelayUrl>,
    /// PEM bundle trusted besides the system's roots.
    pub ca_file: Option<PathBuf>,
    /// Whether the system's roots are not trusted.
    pub ca_only: bool,
    /// Whether a login that is not bound to the TLS connection is accepted.
    pub allow_unbound: bool,
    /// What it is shown when it asks for a client certificate.
    pub client: ClientCert,
    /// Through which proxy it is reached.
    pub proxy: Proxy,
}

/// `wss://host[:port]`: no path, no query and nobody's password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayUrl {
    /// Name or address, as the certificate has to say it; an IPv6 address without its brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Why a text is not the address of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RelayUrlError {
    /// Another scheme, or none.
    #[error("must begin with wss:// (the link is always encrypted)")]
    Scheme,
    /// Something stands behind the port.
    #[error("must be wss://host or wss://host:port and nothing more")]
    More,
    /// The host is empty or holds a character that no host has.
    #[error("names no host")]
    Host,
    /// The port is not one.
    #[error("has a port that is not a number from 1 to 65535")]
    Port,
}

/// The port of `wss` (RFC 6455, section 3).
const WSS_PORT: u16 = 443;

impl FromStr for RelayUrl {
    type Err = RelayUrlError;

    fn from_str(text: &str) -> Result<Self, RelayUrlError> {
        let rest = text.strip_prefix("wss://").ok_or(RelayUrlError::Scheme)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@']) {
            return Err(RelayUrlError::More);
        }
        let (host, port) = authority(rest)?;
        Ok(Self { host, port: port.unwrap_or(WSS_PORT) })
    }
}

/// Host and port of `host[:port]`; an IPv6 address stands in brackets and comes without them (RFC 3986, section 3.2.2).
pub(super) fn authority(text: &str) -> Result<(String, Option<u16>), RelayUrlError> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or(RelayUrlError::More)?)),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_ip6 = text.starts_with('[');
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-') || (is_ip6 && c == ':');
    if !(1..=253).contains(&host.len()) || !host.chars().all(allowed) {
        return Err(RelayUrlError::Host);
    }
    let port = port.map(|port| port.parse().ok().filter(|&port| port != 0).ok_or(RelayUrlError::Port));
    Ok((host.to_ascii_lowercase(), port.transpose()?))
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "wss://{open}{}{close}", self.host)?;
        if self.port == WSS_PORT { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relay_addresses_are_read_and_written() {
        for (text, host, port, shown) in [
            ("wss://Relay.example", "relay.example", 443, "wss://relay.example"),
            ("wss://relay.example:8443/", "relay.example", 8443, "wss://relay.example:8443"),
            ("wss://[::1]:9", "::1", 9, "wss://[::1]:9"),
            ("wss://[fe80::1]", "fe80::1", 443, "wss://[fe80::1]"),
        ] {
            let url: RelayUrl = text.parse().unwrap();
            assert_eq!((url.host.as_str(), url.port, url.to_string().as_str()), (host, port, shown));
        }
    }

    #[test]
    fn other_addresses_are_refused_with_a_reason() {
        for (text, why) in [
            ("ws://relay.example", RelayUrlError::Scheme),
            ("relay.example", RelayUrlError::Scheme),
            ("wss://", RelayUrlError::Host),
            ("wss://a b", RelayUrlError::Host),
            ("wss://relay.example/path", RelayUrlError::More),
            ("wss://me:secret@relay.example", RelayUrlError::More),
            ("wss://[::1]9", RelayUrlError::More),
            ("wss://relay.example:0", RelayUrlError::Port),
            ("wss://relay.example:70000", RelayUrlError::Port),
        ] {
            assert_eq!(text.parse::<RelayUrl>(), Err(why), "{text}");
        }
    }
}
