//! What an operator can set, parsed once at the edge and trusted inside.

mod backend;
mod client_cert;
mod keep;
mod load;
mod metrics;
pub(crate) mod nearest;
mod preflight;
mod proxy;
mod relay;
mod remote;
mod rewrite;
mod settings;
mod transfer;
mod update;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use backend::{Backend, BackendKey, BackendKeyError, PermitRule};
pub use client_cert::{ClientCert, ClientCertChoice};
pub use keep::{KeepError, keep, lock, make_folder};
pub use load::{Flag, LoadConfigError, Loaded, Origin, load, load_text, render};
pub use metrics::Metrics;
pub use preflight::{BedOrigin, Preflight};
pub(crate) use proxy::ProxyAddress;
pub use proxy::{Proxy, ProxyChoice, ProxyUrl, ProxyUrlError};
pub use relay::{Relay, RelayUrl, RelayUrlError};
pub use remote::{REMOTE_KEYS, with_remote};
pub use rewrite::{Change, RewriteError, Wanted, rewrite};
pub use settings::keys;
pub use transfer::Transfer;
pub use update::Update;

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
    /// `[transfer]`.
    pub transfer: Transfer,
    /// `[safety]`.
    pub safety: Safety,
    /// `[update]`.
    pub update: Update,
    /// `[metrics]`.
    pub metrics: Metrics,
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
    /// A level, or a list of levels by module, as `tracing_subscriber::filter::Targets` reads it.
    pub level: String,
    /// How lines are written.
    pub format: LogFormat,
    /// Whether they are kept in files of the agent's own.
    pub files: LogKeep,
}

/// Whether the log is kept in files of the agent's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKeep {
    /// Where no journal keeps it.
    Auto,
    /// Wherever.
    Always,
    /// Nowhere.
    Never,
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
            transfer: Transfer::default(),
            safety: Safety::default(),
            update: Update::default(),
            metrics: Metrics::default(),
            log: Log { level: "info".to_owned(), format: LogFormat::Auto, files: LogKeep::Auto },
        }
    }
}

impl LogKeep {
    /// Every choice with its word.
    pub const WORDS: [(&'static str, Self); 3] =
        [("auto", Self::Auto), ("always", Self::Always), ("never", Self::Never)];

    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
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
