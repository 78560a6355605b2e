//! Counters of this relay, and their text for Prometheus. A new one is a line of [`Metric`] and a call of [`Metrics::count`].

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use spoolway_protocol::hello::{NackCode, RejectCode};
use spoolway_protocol::security::SecurityKind;

use crate::mailbox::{Class, Displaced};

/// The most words that a label has.
const MOST_WORDS: usize = 11;
/// Of a metric without a label.
const NO_LABEL: (&str, &[&str]) = ("", &[""]);
const CLASS: (&str, &[&str]) = ("class", &["reliable", "bulk", "telemetry", "log"]);
const FAILURE: (&str, &[&str]) = ("why", &["full", "timeout", "tls", "upgrade", "rate_limited"]);

/// A name and the words of its label; the help is the comment.
struct Family {
    name: &'static str,
    help: &'static str,
    label: (&'static str, &'static [&'static str]),
}

macro_rules! metrics {
    ($(#[doc = $help:literal] $metric:ident = $name:literal, $label:expr;)*) => {
        /// What is counted from the start on, and never goes down.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Metric {
            $(#[doc = $help] $metric,)*
        }

        const FAMILIES: &[Family] = &[$(Family { name: $name, help: $help, label: $label }),*];
    };
}

metrics! {
    /// Frames received.
    FramesIn = "frames_in_total", CLASS;
    /// Bytes of frames received.
    BytesIn = "bytes_in_total", CLASS;
    /// Frames written.
    FramesOut = "frames_out_total", CLASS;
    /// Bytes of frames written.
    BytesOut = "bytes_out_total", CLASS;
    /// Frames refused.
    Nacks = "nacks_total", ("code", NackCode::WORDS);
    /// Hellos refused.
    Rejects = "rejects_total", ("code", RejectCode::WORDS);
    /// Connections that never became one.
    HandshakeFailures = "handshake_failures_total", FAILURE;
    /// Telemetry replaced by a later frame.
    Coalesced = "telemetry_coalesced_total", NO_LABEL;
    /// Telemetry lost for want of room.
    Dropped = "telemetry_dropped_total", NO_LABEL;
    /// Log lines lost for want of room.
    LogDropped = "log_dropped_total", NO_LABEL;
    /// Agents closed because they sent far more than they may.
    Floods = "flooding_peers_total", NO_LABEL;
    /// Times a sender had to wait for room.
    Waits = "sender_waits_total", NO_LABEL;
    /// Peers closed because they did not read.
    SlowPeers = "slow_peers_total", NO_LABEL;
    /// Events of security, each counted, whether it was told or gathered.
    Security = "security_events_total", ("kind", SecurityKind::WORDS);
    /// Messages about security that a backend had no room for.
    SecurityLost = "security_lost_total", NO_LABEL;
}

/// Every counter by metric and word. Gauges are read when somebody asks.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    counters: [[AtomicU64; MOST_WORDS]; FAMILIES.len()],
    /// Sockets that are open, handshakes included.
    pub(crate) sockets: AtomicU64,
}

/// Where a connection ended before it was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeFailure {
    /// No room for another socket.
    Full,
    /// It took too long.
    Timeout,
    /// Not TLS, or no common parameters.
    Tls,
    /// Not a websocket of this protocol, or a wrong credential.
    Upgrade,
    /// Too many from this address do not say who they are.
    RateLimited,
}

/// What is read at the moment of asking.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gauges {
    /// Agents that are in.
    pub(crate) agents: usize,
    /// Backend processes.
    pub(crate) backends: usize,
    /// Frames in all mailboxes, by class.
    pub(crate) depth: [usize; Class::ALL.len()],
    /// Reliable frames in the fullest mailbox.
    pub(crate) deepest: usize,
    /// For how long the oldest frame waits that may not be lost, ms.
    pub(crate) behind_ms: u64,
    /// End of the certificate, unix seconds; 0 when it is not known.
    pub(crate) certificate_ends_s: u64,
}

impl Metrics {
    /// So many more of the word with this number.
    pub(crate) fn add(&self, metric: Metric, word: usize, more: u64) {
        self.counters[metric as usize][word].fetch_add(more, Relaxed);
    }

    /// One more of a metric that has no label.
    pub(crate) fn count(&self, metric: Metric) {
        self.add(metric, 0, 1);
    }

    /// One more of this word; a word that is not on the list is not counted.
    pub(crate) fn count_word(&self, metric: Metric, word: &str) {
        let words = FAMILIES[metric as usize].label.1;
        if let Some(at) = words.iter().position(|known| *known == word) {
            self.add(metric, at, 1);
        }
    }

    /// A frame came in.
    pub(crate) fn received(&self, class: Class, bytes: usize) {
        self.add(Metric::FramesIn, class as usize, 1);
        self.add(Metric::BytesIn, class as usize, bytes as u64);
    }

    /// A frame was written.
    pub(crate) fn sent(&self, class: Class, bytes: usize) {
        self.add(Metric::FramesOut, class as usize, 1);
        self.add(Metric::BytesOut, class as usize, bytes as u64);
    }

    /// Something of this class was replaced or lost.
    pub(crate) fn displaced(&self, class: Class, displaced: Displaced) {
        let dropped = if class == Class::Log { Metric::LogDropped } else { Metric::Dropped };
        self.add(Metric::Coalesced, 0, u64::from(displaced.coalesced));
        self.add(dropped, 0, displaced.dropped as u64);
    }

    /// A connection ended before it was one.
    pub(crate) fn handshake_failed(&self, why: HandshakeFailure) {
        self.add(Metric::HandshakeFailures, why as usize, 1);
    }

    /// The text exposition format, version 0.0.4.
    pub(crate) fn render(&self, gauges: Gauges) -> String {
        let mut page = Page(String::with_capacity(8192));
        let depth = gauges.depth.map(|depth| depth as u64);
        let peers = [gauges.agents as u64, gauges.backends as u64];
        page.family(
            "sockets",
            "gauge",
            "Peers that are in, by kind.",
            ("kind", &["agent", "backend"]),
            &peers,
        );
        let sockets = [self.sockets.load(Relaxed)];
        page.family("open_sockets", "gauge", "TCP connections, handshakes included.", NO_LABEL, &sockets);
        page.family("mailbox_frames", "gauge", "Frames that wait in all mailboxes.", CLASS, &depth);
        let help = "Reliable frames in the fullest mailbox.";
        page.family("mailbox_deepest_frames", "gauge", help, NO_LABEL, &[gauges.deepest as u64]);
        let help = "For how long the oldest frame waits that may not be lost, in ms.";
        page.family("mailbox_behind_ms", "gauge", help, NO_LABEL, &[gauges.behind_ms]);
        let help = "When the certificate ends, in unix time.";
        page.family("certificate_ends_seconds", "gauge", help, NO_LABEL, &[gauges.certificate_ends_s]);
        for (family, counters) in FAMILIES.iter().zip(&self.counters) {
            let values = counters.each_ref().map(|counter| counter.load(Relaxed));
            page.family(family.name, "counter", family.help, family.label, &values);
        }
        page.0
    }
}

struct Page(String);

impl Page {
    fn family(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        (label, words): (&str, &[&str]),
        values: &[u64],
    ) {
        let name = format_args!("spoolway_relay_{name}");
        let _ = writeln!(self.0, "# HELP {name} {}\n# TYPE {name} {kind}", help.trim());
        for (word, value) in words.iter().zip(values) {
            let _ = match label {
                "" => writeln!(self.0, "{name} {value}"),
                label => writeln!(self.0, "{name}{{{label}=\"{word}\"}} {value}"),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_family_once_and_counts() {
        let metrics = Metrics::default();
        metrics.received(Class::Telemetry, 300);
        metrics.count_word(Metric::Nacks, NackCode::Busy.as_str());
        metrics.count_word(Metric::Rejects, RejectCode::Revoked.as_str());
        metrics.count_word(Metric::Rejects, "from the future");
        metrics.displaced(Class::Telemetry, Displaced { coalesced: true, dropped: 2 });
        let page = metrics.render(Gauges { agents: 3, ..Gauges::default() });
        for line in [
            "spoolway_relay_sockets{kind=\"agent\"} 3",
            "spoolway_relay_bytes_in_total{class=\"telemetry\"} 300",
            "spoolway_relay_nacks_total{code=\"busy\"} 1",
            "spoolway_relay_rejects_total{code=\"revoked\"} 1",
            "spoolway_relay_telemetry_dropped_total 2",
        ] {
            assert!(page.lines().any(|have| have == line), "{line}\n{page}");
        }
        assert!(page.contains("# HELP spoolway_relay_frames_in_total Frames received.\n"), "{page}");
        let mut types: Vec<_> = page.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let count = types.len();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), count);
    }

    #[test]
    fn the_operators_page_explains_every_metric() {
        let told = include_str!("../../docs/relay-admin.md");
        let page = Metrics::default().render(Gauges::default());
        let names =
            page.lines().filter_map(|line| line.strip_prefix("# TYPE spoolway_relay_")?.split(' ').next());
        for name in names {
            assert!(told.contains(&format!("`{name}")), "{name} is not in docs/relay-admin.md");
        }
    }

    #[test]
    fn every_word_of_every_label_has_a_counter_of_its_own() {
        for family in FAMILIES {
            assert!(family.label.1.len() <= MOST_WORDS, "{}", family.name);
        }
        assert_eq!(CLASS.1, Class::ALL.map(Class::name));
        assert_eq!(FAILURE.1.len(), HandshakeFailure::RateLimited as usize + 1);
    }
}
