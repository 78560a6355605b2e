//! Link use and lines a second, over the last second or so.

use spoolway_agent_core::Moment;

/// Bits of a byte on the wire: start, eight, stop.
const BITS_PER_BYTE: f64 = 10.0;
/// Shortest time over which a rate is drawn, in seconds.
const WINDOW_S: f64 = 1.0;

/// Rates of a conversation.
#[derive(Debug)]
pub(super) struct Rates {
    baud: u32,
    since: Moment,
    bytes: u64,
    commands: u64,
    pub(super) link_use: f32,
    pub(super) lines_per_s: f32,
}

impl Rates {
    pub(super) fn new(baud: u32, now: Moment) -> Self {
        Self { baud, since: now, bytes: 0, commands: 0, link_use: 0.0, lines_per_s: 0.0 }
    }

    /// Rates from here on, in a conversation that has sent so much already.
    pub(super) fn behind(mut self, bytes: u64, commands: u64) -> Self {
        (self.bytes, self.commands) = (bytes, commands);
        self
    }

    /// Takes the counters as they stand.
    pub(super) fn update(&mut self, now: Moment, bytes: u64, commands: u64) {
        let seconds = (now - self.since).as_secs_f64();
        if seconds < WINDOW_S {
            return;
        }
        let sent = bytes.saturating_sub(self.bytes) as f64;
        self.link_use = (sent * BITS_PER_BYTE / f64::from(self.baud.max(1)) / seconds) as f32;
        self.lines_per_s = (commands.saturating_sub(self.commands) as f64 / seconds) as f32;
        (self.since, self.bytes, self.commands) = (now, bytes, commands);
    }
}
