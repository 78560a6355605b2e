//! What an operator can set, with its defaults.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
pub use spoolway_relay_tls::ClientCerts;

use crate::limits::Network;
use crate::paths::Directories;

/// The text of the shipped configuration file: every key with its default.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// Everything an operator can set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Address and port; port 0 takes a free one.
    pub address: String,
    /// Connections the kernel may hold before they are accepted.
    pub backlog: u32,
}

/// The private listener for health and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Loopback address and port; empty turns it off.
    pub address: String,
}

/// Who this relay is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Name sent in `challenge`.
    pub id: String,
    /// Host names that agents may sign for.
    pub hosts: Vec<String>,
}

/// Certificate and key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM chain, leaf first; empty takes the default place.
    pub certificate: String,
    /// PEM private key; empty takes the default place.
    pub key: String,
    /// How often the two files are looked at for a renewal.
    pub reload_ms: u64,
    /// So many days before the certificate ends backends are warned; 0 is never.
    pub warn_days: u64,
    /// Whether whoever connects is asked for a certificate of its own.
    pub client_certs: ClientCerts,
    /// PEM file with the authorities of client certificates; empty: only an agent's own key has one that counts.
    pub client_ca: String,
}

/// Where agents and backends are registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryFile {
    /// SQLite file; empty takes the default place.
    pub file: String,
}

/// Times and windows of one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Open sockets, handshakes included; beyond it a connection is closed at once.
    pub max_sockets: usize,
    /// TLS and websocket handshakes worked on at a time.
    pub handshakes_at_once: usize,
    /// Time for TLS and the websocket upgrade together.
    pub handshake_timeout_ms: u64,
    /// A peer without write progress for this long is closed with 4008.
    pub stalled_write_ms: u64,
    /// Connections from one address (or /64 of IPv6) within a minute that do not say who they are; 0 is no limit.
    pub address_failures_per_minute: u32,
    /// Networks whose addresses are not counted so, such as a campus behind one address.
    pub free_networks: Vec<Network>,
    /// Logins of one agent within a minute, on the average of five; 0 is no limit.
    pub agent_logins_per_minute: u32,
    /// Frames a second an agent may send before the relay reads it more slowly and drops its telemetry; 0 is no limit.
    pub agent_frames_per_s: u32,
    /// Frames an agent may send at once.
    pub agent_burst_frames: u32,
    /// Bytes a second an agent may send before the same happens, four seconds of them at once; 0 is no limit.
    pub agent_bytes_per_s: u32,
    /// Commands a second of all processes of a backend; beyond it they are `busy`; 0 is no limit.
    pub backend_commands_per_s: u32,
    /// Commands a second to one agent but urgent ones; beyond it they are `busy`; 0 is no limit.
    pub agent_commands_per_s: u32,
    /// Requests by HTTP that wait for an agent at a time, of all backends together: each may hold a frame of 64 KiB.
    pub http_requests: usize,
    /// Those of one backend.
    pub http_requests_of_backend: usize,
    /// Streams of events that may be open at a time, of all backends together: each has a mailbox.
    pub event_streams: usize,
    /// Those of one backend.
    pub event_streams_of_backend: usize,
    /// Files that may be pushed by HTTP at a time, of all backends together: each holds what its agent's credit covers, mostly 256 KiB.
    pub pushes: usize,
    /// Those of one backend.
    pub pushes_of_backend: usize,
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
    /// Log lines queued for one peer; beyond it the oldest are lost.
    pub log_frames: usize,
    /// Bytes of log lines queued for one peer.
    pub log_bytes: usize,
}

/// The goodbye.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// Time in which every peer has been told and closed.
    pub within_ms: u64,
    /// Time over which peers are asked to spread their return.
    pub spread_ms: u64,
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

impl Default for Config {
    /// The shipped file.
    fn default() -> Self {
        toml::from_str(DEFAULT_TOML).expect("the shipped file is whole, a test proves it")
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
}

fn set_or(value: &str, default: impl FnOnce() -> PathBuf) -> PathBuf {
    if value.is_empty() { default() } else { PathBuf::from(value) }
}
