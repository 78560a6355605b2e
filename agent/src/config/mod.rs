//! What an operator can set, parsed once at the edge and trusted inside.

mod backend;
mod load;
mod nearest;
mod preflight;
mod settings;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

pub use backend::{Backend, BackendKey, BackendKeyError, PermitRule};
pub use load::{Flag, LoadConfigError, Loaded, Origin, load, render};
pub use preflight::{BedOrigin, Preflight};
pub use settings::keys;

use crate::paths::Paths;

/// The shipped configuration file; a test proves that it says what [`Config::new`] says.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// Everything an operator can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Folder of identity, database and spool.
    pub state_dir: PathBuf,
    /// Local socket.
    pub socket: PathBuf,
    /// `[printer]`.
    pub printer: Printer,
    /// What is known of the printer itself, in `[printer]`, and `[preflight]`.
    pub preflight: Preflight,
    /// `[profiles]`.
    pub profiles: Profiles,
    /// `[bed]`.
    pub bed: Bed,
    /// `[relay]`.
    pub relay: Relay,
    /// `[backend]`.
    pub backend: Backend,
    /// `[spool]`.
    pub spool: Spool,
    /// `[safety]`.
    pub safety: Safety,
    /// `[log]`.
    pub log: Log,
}

/// The printer's port and dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printer {
    /// The port.
    pub port: PortChoice,
    /// Bits per second.
    pub baud: BaudChoice,
    /// Which profile to speak.
    pub profile: ProfileChoice,
    /// Whether the port is set to odd parity once before it is set to none.
    pub parity_workaround: bool,
}

/// Which port the printer is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortChoice {
    /// The one from before, or the only one that there is.
    Auto,
    /// A device or a link to one.
    Path(PathBuf),
}

impl PortChoice {
    /// The path, if there is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Auto => None,
            Self::Path(path) => Some(path),
        }
    }
}

impl From<PathBuf> for PortChoice {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl fmt::Display for PortChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// How fast the wire is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaudChoice {
    /// The first of the profiles' rates at which the printer answers.
    Auto,
    /// This many bits per second.
    Rate(u32),
}

impl BaudChoice {
    /// The rate, if one was chosen.
    #[must_use]
    pub fn rate(self) -> Option<u32> {
        match self {
            Self::Auto => None,
            Self::Rate(rate) => Some(rate),
        }
    }
}

impl From<u32> for BaudChoice {
    fn from(rate: u32) -> Self {
        Self::Rate(rate)
    }
}

/// Which profile to speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileChoice {
    /// The one that fits what the firmware says about itself.
    Auto,
    /// The one of this id.
    Id(String),
}

/// Where more profiles are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profiles {
    /// Folder whose files overlay the built-in profiles.
    pub folder: Option<PathBuf>,
}

/// The bed, and who has to look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bed {
    /// Whether a person has to say that the bed is clear before the next print.
    pub confirm: BedConfirm,
}

/// Whether a person has to say that the bed is clear before the next print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BedConfirm {
    /// Somebody has to.
    Required,
    /// Nobody has to: the printer empties its bed itself.
    NotRequired,
}

impl BedConfirm {
    /// Both with their words.
    pub const WORDS: [(&'static str, Self); 2] =
        [("required", Self::Required), ("not-required", Self::NotRequired)];

    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::NotRequired => "not-required",
        }
    }
}

/// The relay and how far it is trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relay {
    /// Where it is; without it the agent is used on its own machine only.
    pub url: Option<RelayUrl>,
    /// PEM bundle trusted besides the system's roots.
    pub ca_file: Option<PathBuf>,
    /// Whether a login that is not bound to the TLS connection is accepted.
    pub allow_unbound: bool,
}

/// `wss://host[:port]`: no path, no query and nobody's password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayUrl {
    /// Name or address, as the certificate has to say it; an IPv6 address without its brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Bounds of the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spool {
    /// Largest file accepted, in bytes.
    pub max_job_bytes: u64,
    /// The most that all files may take on the disk, in bytes.
    pub max_bytes: u64,
    /// Room that is left on the disk, in bytes.
    pub reserve_bytes: u64,
}

/// What the agent watches for; zero is never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Safety {
    /// How long something may stay heated with no job under way, in seconds.
    pub idle_heater_off_after_s: u32,
    /// How long a print may stand still for no reason that is known, in seconds.
    pub stall_after_s: u32,
}

impl Default for Safety {
    fn default() -> Self {
        Self { idle_heater_off_after_s: 600, stall_after_s: 300 }
    }
}

impl Safety {
    /// How long something may stay heated with no job under way; `None` for ever.
    #[must_use]
    pub fn idle_heater_off_after(&self) -> Option<Duration> {
        seconds(self.idle_heater_off_after_s)
    }

    /// How long a print may stand still; `None` for ever.
    #[must_use]
    pub fn stall_after(&self) -> Option<Duration> {
        seconds(self.stall_after_s)
    }
}

fn seconds(value: u32) -> Option<Duration> {
    (value > 0).then(|| Duration::from_secs(value.into()))
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A level, or a list of levels by module, as `tracing_subscriber::EnvFilter` reads it.
    pub level: String,
    /// How lines are written.
    pub format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// By where standard error goes.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
    /// The journal's own datagrams.
    Journald,
}

impl Config {
    /// The defaults, with the folders that the platform gives.
    #[must_use]
    pub fn new(paths: &Paths) -> Self {
        Self {
            state_dir: paths.state.clone(),
            socket: paths.socket(),
            printer: Printer {
                port: PathBuf::from("/dev/ttyUSB0").into(),
                baud: 115_200.into(),
                profile: ProfileChoice::Auto,
                parity_workaround: false,
            },
            preflight: Preflight::default(),
            profiles: Profiles::default(),
            bed: Bed { confirm: BedConfirm::Required },
            relay: Relay::default(),
            backend: Backend::default(),
            spool: Spool { max_job_bytes: 512 << 20, max_bytes: 4 << 30, reserve_bytes: 256 << 20 },
            safety: Safety::default(),
            log: Log { level: "info".to_owned(), format: LogFormat::Auto },
        }
    }
}

impl LogFormat {
    /// Every format with its word.
    pub const WORDS: [(&'static str, Self); 4] =
        [("auto", Self::Auto), ("human", Self::Human), ("json", Self::Json), ("journald", Self::Journald)];

    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Human => "human",
            Self::Json => "json",
            Self::Journald => "journald",
        }
    }
}

impl fmt::Display for ProfileChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Id(id) => f.write_str(id),
        }
    }
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
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or(RelayUrlError::More)?)),
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let is_ip6 = rest.starts_with('[');
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-') || (is_ip6 && c == ':');
        if !(1..=253).contains(&host.len()) || !host.chars().all(allowed) {
            return Err(RelayUrlError::Host);
        }
        let port = match port {
            None => WSS_PORT,
            Some(port) => port.parse().ok().filter(|&port| port != 0).ok_or(RelayUrlError::Port)?,
        };
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }
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
