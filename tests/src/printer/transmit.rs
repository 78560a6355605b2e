//! The printer's transmitter: replies leave at wire speed, late or damaged when the faults say so.

use super::options::{PrinterFaults, PrinterOptions};
use crate::rng::Rng;

/// Turns reply lines into timed bytes.
#[derive(Debug)]
pub(crate) struct Transmitter {
    baud: Option<u32>,
    latency_us: u64,
    faults: PrinterFaults,
    rng: Rng,
    last_at_us: u64,
    out: Vec<(u64, Vec<u8>)>,
}

impl Transmitter {
    pub(crate) fn new(options: &PrinterOptions, rng: Rng) -> Self {
        Self {
            baud: options.tx_baud,
            latency_us: options.reply_latency_us,
            faults: options.faults.clone(),
            rng,
            last_at_us: 0,
            out: Vec::new(),
        }
    }

    /// Sends one line, given without its line end, beginning at `now_us`; says when the last bit has left.
    pub(crate) fn line(&mut self, now_us: u64, text: &str) -> u64 {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(b'\n');
        let sent_us =
            now_us + self.baud.map_or(0, |b| (bytes.len() as u64 * 10_000_000).div_ceil(u64::from(b)));
        if self.rng.chance(self.faults.garbled_reply) {
            let at = self.rng.below(bytes.len() as u64) as usize;
            bytes[at] = self.rng.byte();
        }
        let mut at_us = sent_us + self.latency_us;
        if self.rng.chance(self.faults.delayed_reply) {
            at_us += self.rng.range(0..=self.faults.delay_max_us);
        }
        // A wire cannot overtake itself: what follows a late reply is late as well.
        self.last_at_us = self.last_at_us.max(at_us);
        self.out.push((self.last_at_us, bytes));
        sent_us
    }

    /// How many copies of an `ok` really leave.
    pub(crate) fn copies_of_ok(&mut self) -> u32 {
        if self.rng.chance(self.faults.lost_ok) {
            0
        } else {
            1 + u32::from(self.rng.chance(self.faults.duplicated_ok))
        }
    }

    /// Everything sent since the last call: when it is with the host, and the bytes.
    pub(crate) fn take(&mut self) -> Vec<(u64, Vec<u8>)> {
        std::mem::take(&mut self.out)
    }

    /// Whether there is something to take.
    pub(crate) fn has_output(&self) -> bool {
        !self.out.is_empty()
    }
}
