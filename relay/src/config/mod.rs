//! What an operator can set, with its defaults and the rules each value must meet.

mod load;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::paths::Directories;

pub use load::{LoadConfigError, Override, load};

/// The text of the shipped configuration file; it equals [`Config::default`].
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// Everything an operator can set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The public listener.
    pub listen: Listen,
    /// The private listener for health and metrics.
    pub admin: Admin,
    /// Who this relay is.
    pub relay: Identity,
    /// Certificate and key.
    pub tls: Tls,
    /// Where agents and backends are registered.
    pub registry: RegistryFile,
    /// Times and windows of one session.
    pub session: SessionTimes,
    /// Telemetry rates handed to agents in `welcome`.
    pub telemetry: TelemetryRates,
    /// How strangers become agents.
    pub pairing: Pairing,
    /// Bounds.
    pub limits: Limits,
    /// The goodbye.
    pub drain: Drain,
    /// Logging.
    pub log: Log,
}

/// The public listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Address and port; port 0 takes a free one.
    pub address: String,
    /// Connections the kernel may hold before they are accepted.
    pub backlog: u32,
}

/// The private listener for health and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Loopback address and port; empty turns it off.
    pub address: String,
}

/// Who this relay is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// Name sent in `challenge`.
    pub id: String,
    /// Host names that agents may sign for.
    pub hosts: Vec<String>,
}

/// Certificate and key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM chain, leaf first; empty takes the default place.
    pub certificate: String,
    /// PEM private key; empty takes the default place.
    pub key: String,
    /// How often the two files are looked at for a renewal.
    pub reload_ms: u64,
}

/// Where agents and backends are registered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryFile {
    /// SQLite file; empty takes the default place.
    pub file: String,
}

/// Times and windows of one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionTimes {
    /// Heartbeat that agents are asked to keep when idle.
    pub hb_ms: u64,
    /// Silence after which a peer is taken for dead.
    pub dead_ms: u64,
    /// Time from the challenge to the hello.
    pub hello_timeout_ms: u64,
    /// Unacknowledged events an agent may have under way.
    pub window_events: u32,
    /// Bytes of unacknowledged events an agent may have under way.
    pub window_bytes: u64,
}

/// Telemetry rates handed to agents in `welcome`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryRates {
    /// While idle.
    pub idle_ms: u64,
    /// While printing.
    pub printing_ms: u64,
    /// While somebody watches.
    pub watch_ms: u64,
    /// How long one request to watch lasts.
    pub watch_ttl_ms: u64,
}

/// How strangers become agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pairing {
    /// Page where a person enters the code, which stands in it as `{code}`; empty takes a page of the relay's own.
    pub link: String,
    /// Pairings under way at a time.
    pub waiting: usize,
    /// Pairings and enrolments that one address (or /64 of IPv6) may begin in a minute.
    pub starts_per_minute: u32,
    /// Wrong codes that one backend may try in an hour.
    pub wrong_codes_per_hour: u32,
    /// Wrong codes that all backends together may try in a minute.
    pub wrong_codes_per_minute: u32,
}

/// Bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Open sockets, handshakes included; beyond it a connection is closed at once.
    pub max_sockets: usize,
    /// TLS and websocket handshakes worked on at a time.
    pub handshakes_at_once: usize,
    /// Time for TLS and the websocket upgrade together.
    pub handshake_timeout_ms: u64,
    /// A peer without write progress for this long is closed with 4008.
    pub stalled_write_ms: u64,
    /// Frames a second an agent may send before the relay reads it more slowly; 0 is no limit.
    pub agent_frames_per_s: u32,
    /// Frames an agent may send at once.
    pub agent_burst_frames: u32,
    /// Frames queued for one peer.
    pub mailbox_frames: usize,
    /// Bytes queued for one peer.
    pub mailbox_bytes: usize,
    /// Binary frames queued for one peer.
    pub bulk_frames: usize,
    /// Telemetry slots queued for one peer.
    pub telemetry_slots: usize,
    /// Bytes of telemetry queued for one peer.
    pub telemetry_bytes: usize,
}

/// The goodbye.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// Time in which every peer has been told and closed.
    pub within_ms: u64,
    /// Time over which peers are asked to spread their return.
    pub spread_ms: u64,
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A `tracing` filter such as `info` or `spoolway_relay=debug`.
    pub level: String,
    /// Where and how.
    pub format: LogFormat,
}

/// Where and how the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Human on a terminal, journald under systemd, else JSON.
    Auto,
    /// Lines for people, on standard error.
    Human,
    /// One JSON object a line, on standard error.
    Json,
    /// Straight to the journal.
    Journald,
}

impl Default for Listen {
    fn default() -> Self {
        Self { address: "0.0.0.0:8443".into(), backlog: 4096 }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: "127.0.0.1:9443".into() }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self { id: "relay-1".into(), hosts: vec!["localhost".into()] }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self { certificate: String::new(), key: String::new(), reload_ms: 30_000 }
    }
}

impl Default for SessionTimes {
    fn default() -> Self {
        Self {
            hb_ms: 60_000,
            dead_ms: 150_000,
            hello_timeout_ms: 15_000,
            window_events: 256,
            window_bytes: 524_288,
        }
    }
}

impl Default for TelemetryRates {
    fn default() -> Self {
        Self { idle_ms: 10_000, printing_ms: 1_000, watch_ms: 250, watch_ttl_ms: 60_000 }
    }
}

impl Default for Pairing {
    fn default() -> Self {
        Self {
            link: String::new(),
            waiting: 1_000,
            starts_per_minute: 10,
            wrong_codes_per_hour: 10,
            wrong_codes_per_minute: 100,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_sockets: 20_000,
            handshakes_at_once: 64,
            handshake_timeout_ms: 10_000,
            stalled_write_ms: 10_000,
            agent_frames_per_s: 200,
            agent_burst_frames: 1_000,
            mailbox_frames: 256,
            mailbox_bytes: 262_144,
            bulk_frames: 8,
            telemetry_slots: 4_096,
            telemetry_bytes: 4_194_304,
        }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self { within_ms: 5_000, spread_ms: 30_000 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Auto }
    }
}

impl Config {
    /// The certificate chain: as set, or `tls/server.pem` in the configuration directory.
    pub fn certificate_file(&self, directories: &Directories) -> PathBuf {
        set_or(&self.tls.certificate, || directories.tls().join("server.pem"))
    }

    /// The private key: as set, or `tls/server.key` in the configuration directory.
    pub fn key_file(&self, directories: &Directories) -> PathBuf {
        set_or(&self.tls.key, || directories.tls().join("server.key"))
    }

    /// The registry: as set, or `registry.db` in the state directory.
    pub fn registry_file(&self, directories: &Directories) -> PathBuf {
        set_or(&self.registry.file, || directories.state.join("registry.db"))
    }

    /// The first rule that a value breaks: its key, the value and what is wrong.
    fn broken_rule(&self) -> Option<(&'static str, String, &'static str)> {
        let address = |text: &str| text.parse::<SocketAddr>().ok();
        let limits = &self.limits;
        let positive = [
            ("limits.max_sockets", limits.max_sockets as u64),
            ("limits.handshakes_at_once", limits.handshakes_at_once as u64),
            ("limits.handshake_timeout_ms", limits.handshake_timeout_ms),
            ("limits.stalled_write_ms", limits.stalled_write_ms),
            ("limits.mailbox_frames", limits.mailbox_frames as u64),
            ("limits.bulk_frames", limits.bulk_frames as u64),
            ("limits.telemetry_slots", limits.telemetry_slots as u64),
            ("limits.agent_burst_frames", u64::from(limits.agent_burst_frames)),
            ("session.hb_ms", self.session.hb_ms),
            ("session.hello_timeout_ms", self.session.hello_timeout_ms),
            ("listen.backlog", u64::from(self.listen.backlog)),
            ("tls.reload_ms", self.tls.reload_ms),
            ("drain.within_ms", self.drain.within_ms),
            ("pairing.starts_per_minute", u64::from(self.pairing.starts_per_minute)),
            ("pairing.wrong_codes_per_hour", u64::from(self.pairing.wrong_codes_per_hour)),
            ("pairing.wrong_codes_per_minute", u64::from(self.pairing.wrong_codes_per_minute)),
        ];
        if let Some((key, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Some((key, "0".into(), "must be above 0"));
        }
        if address(&self.listen.address).is_none() {
            return Some(("listen.address", self.listen.address.clone(), "must be an IP address and a port"));
        }
        let admin = &self.admin.address;
        if !admin.is_empty() && !address(admin).is_some_and(|admin| admin.ip().is_loopback()) {
            return Some(("admin.address", admin.clone(), "must be a loopback address and a port, or empty"));
        }
        if self.relay.hosts.is_empty() || self.relay.hosts.iter().any(|host| host.trim().is_empty()) {
            return Some(("relay.hosts", format!("{:?}", self.relay.hosts), "must name at least one host"));
        }
        if self.session.dead_ms <= self.session.hb_ms {
            let why = "must be above session.hb_ms, or healthy peers are closed";
            return Some(("session.dead_ms", self.session.dead_ms.to_string(), why));
        }
        if limits.mailbox_bytes < spoolway_protocol::limits::TEXT_FRAME_BYTES {
            let why = "must hold at least one text frame of the largest size";
            return Some(("limits.mailbox_bytes", limits.mailbox_bytes.to_string(), why));
        }
        None
    }
}

fn set_or(value: &str, default: impl FnOnce() -> PathBuf) -> PathBuf {
    if value.is_empty() { default() } else { PathBuf::from(value) }
}
