//! Counters of this relay, and their text for Prometheus.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use spoolway_protocol::hello::{NackCode, RejectCode};

use crate::mailbox::{Class, Displaced};

/// One counter per class, by the number of [`Class::ALL`].
type PerClass = [AtomicU64; 3];

/// Counters since the relay started. Gauges are read when somebody asks.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    frames_in: PerClass,
    bytes_in: PerClass,
    frames_out: PerClass,
    bytes_out: PerClass,
    nacks: [AtomicU64; NackCode::WORDS.len()],
    rejects: [AtomicU64; RejectCode::WORDS.len()],
    coalesced: AtomicU64,
    dropped: AtomicU64,
    waits: AtomicU64,
    slow: AtomicU64,
    handshake_failures: [AtomicU64; HandshakeFailure::ALL.len()],
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
}

impl HandshakeFailure {
    /// Every one, in the order of its number.
    pub(crate) const ALL: [Self; 4] = [Self::Full, Self::Timeout, Self::Tls, Self::Upgrade];

    fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Upgrade => "upgrade",
        }
    }
}

/// What is read at the moment of asking.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gauges {
    /// Agents that are in.
    pub(crate) agents: usize,
    /// Backend processes.
    pub(crate) backends: usize,
    /// Frames in all mailboxes, by class.
    pub(crate) depth: [usize; 3],
    /// Reliable frames in the fullest mailbox.
    pub(crate) deepest: usize,
}

impl Metrics {
    /// A frame came in.
    pub(crate) fn received(&self, class: Class, bytes: usize) {
        self.frames_in[class as usize].fetch_add(1, Relaxed);
        self.bytes_in[class as usize].fetch_add(bytes as u64, Relaxed);
    }

    /// A frame was written.
    pub(crate) fn sent(&self, class: Class, bytes: usize) {
        self.frames_out[class as usize].fetch_add(1, Relaxed);
        self.bytes_out[class as usize].fetch_add(bytes as u64, Relaxed);
    }

    /// A frame was refused.
    pub(crate) fn nacked(&self, code: &NackCode) {
        count_word(&self.nacks, NackCode::WORDS, code.as_str());
    }

    /// A hello was refused.
    pub(crate) fn rejected(&self, code: &RejectCode) {
        count_word(&self.rejects, RejectCode::WORDS, code.as_str());
    }

    /// Telemetry was replaced or lost.
    pub(crate) fn displaced(&self, displaced: Displaced) {
        self.coalesced.fetch_add(u64::from(displaced.coalesced), Relaxed);
        self.dropped.fetch_add(displaced.dropped as u64, Relaxed);
    }

    /// A sender had to wait for room.
    pub(crate) fn waited(&self) {
        self.waits.fetch_add(1, Relaxed);
    }

    /// A peer was closed because it did not read.
    pub(crate) fn slow_peer(&self) {
        self.slow.fetch_add(1, Relaxed);
    }

    /// A connection ended before it was one.
    pub(crate) fn handshake_failed(&self, why: HandshakeFailure) {
        self.handshake_failures[why as usize].fetch_add(1, Relaxed);
    }

    /// The text exposition format, version 0.0.4.
    pub(crate) fn render(&self, gauges: Gauges) -> String {
        let mut page = Page(String::with_capacity(4096));
        page.family("sockets", "gauge", "Peers that are in, by kind.");
        page.line("sockets", "kind", "agent", gauges.agents as u64);
        page.line("sockets", "kind", "backend", gauges.backends as u64);
        page.single(
            "open_sockets",
            "gauge",
            "TCP connections, handshakes included.",
            self.sockets.load(Relaxed),
        );
        let families = [
            ("frames_in_total", "Frames received.", &self.frames_in),
            ("bytes_in_total", "Bytes of frames received.", &self.bytes_in),
            ("frames_out_total", "Frames written.", &self.frames_out),
            ("bytes_out_total", "Bytes of frames written.", &self.bytes_out),
        ];
        for (name, help, counters) in families {
            page.words(name, help, "class", Class::ALL.map(Class::name).iter().zip(counters));
        }
        page.words("nacks_total", "Frames refused.", "code", NackCode::WORDS.iter().zip(&self.nacks));
        page.words("rejects_total", "Hellos refused.", "code", RejectCode::WORDS.iter().zip(&self.rejects));
        let names = HandshakeFailure::ALL.map(HandshakeFailure::name);
        let failures = names.iter().zip(&self.handshake_failures);
        page.words("handshake_failures_total", "Connections that never became one.", "why", failures);
        page.family("mailbox_frames", "gauge", "Frames that wait in all mailboxes.");
        for class in Class::ALL {
            page.line("mailbox_frames", "class", class.name(), gauges.depth[class as usize] as u64);
        }
        let help = "Reliable frames in the fullest mailbox.";
        page.single("mailbox_deepest_frames", "gauge", help, gauges.deepest as u64);
        for (name, help, counter) in [
            ("telemetry_coalesced_total", "Telemetry replaced by a later frame.", &self.coalesced),
            ("telemetry_dropped_total", "Telemetry lost for want of room.", &self.dropped),
            ("sender_waits_total", "Times a sender had to wait for room.", &self.waits),
            ("slow_peers_total", "Peers closed because they did not read.", &self.slow),
        ] {
            page.single(name, "counter", help, counter.load(Relaxed));
        }
        page.0
    }
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let name = format_args!("spoolway_relay_{name}");
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, label: &str, word: &str, value: u64) {
        let _ = writeln!(self.0, "spoolway_relay_{name}{{{label}=\"{word}\"}} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.family(name, kind, help);
        let _ = writeln!(self.0, "spoolway_relay_{name} {value}");
    }

    fn words<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'a &'static str, &'a AtomicU64)>,
    ) {
        self.family(name, "counter", help);
        for (word, value) in values {
            self.line(name, label, word, value.load(Relaxed));
        }
    }
}

fn count_word(counters: &[AtomicU64], words: &[&str], word: &str) {
    if let Some(at) = words.iter().position(|known| *known == word) {
        counters[at].fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_family_once_and_counts() {
        let metrics = Metrics::default();
        metrics.received(Class::Telemetry, 300);
        metrics.nacked(&NackCode::Busy);
        metrics.rejected(&RejectCode::Revoked);
        metrics.displaced(Displaced { coalesced: true, dropped: 2 });
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
        let mut types: Vec<_> = page.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let count = types.len();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), count);
    }
}
