//! A serial line in virtual time: bytes take their time, get damaged, come in chunks, and the plug can be pulled.
//!
//! Towards the printer give the lane a baud rate and take bytes one by one, each at its own arrival. Towards the host
//! the printer's transmitter has already spent the wire time, so that lane usually has no baud rate but chunks.

use std::collections::VecDeque;

use serde::Serialize;

use crate::rng::Rng;

/// One direction of a line.
#[derive(Debug, Clone)]
pub struct LaneOptions {
    /// Ten bit times a byte (8N1); `None` carries in no time.
    pub baud: Option<u32>,
    /// Bytes that may be under way; more are not taken (the tty's buffer).
    pub capacity: usize,
    /// Bytes that an adapter hands over together at most; 1 is byte by byte.
    pub chunk_max: usize,
    /// Each chunk comes up to so much later than its last byte.
    pub jitter_us: u64,
    /// What happens to bytes.
    pub faults: LaneFaults,
}

impl Default for LaneOptions {
    fn default() -> Self {
        Self { baud: None, capacity: 65_536, chunk_max: 1, jitter_us: 0, faults: LaneFaults::default() }
    }
}

/// Probabilities for each byte.
#[derive(Debug, Clone, Default)]
pub struct LaneFaults {
    /// One bit flips.
    pub corrupt_bit: f64,
    /// It becomes any byte.
    pub corrupt_byte: f64,
    /// It is lost.
    pub lose: f64,
    /// It comes twice.
    pub duplicate: f64,
    /// Some other byte comes before it.
    pub insert: f64,
}

/// What a lane did. `sent - lost - unplugged + duplicated + inserted == delivered + pending`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LaneCounts {
    /// Bytes taken from the sender.
    pub sent: u64,
    /// Bytes handed to the receiver.
    pub delivered: u64,
    /// Bytes changed.
    pub corrupted: u64,
    /// Bytes lost by fault.
    pub lost: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Bytes made up.
    pub inserted: u64,
    /// Bytes (copies and made-up ones too) that were lost because nothing was plugged in.
    pub unplugged: u64,
}

/// One direction of a serial line.
#[derive(Debug)]
pub struct Lane {
    options: LaneOptions,
    rng: Rng,
    free_at_ns: u64,
    in_flight: VecDeque<(u64, u8)>,
    chunk_left: usize,
    last_arrival_us: u64,
    plugged: bool,
    counts: LaneCounts,
}

impl Lane {
    /// A plugged-in lane.
    #[must_use]
    pub fn new(options: LaneOptions, seed: u64) -> Self {
        Self {
            options,
            rng: Rng::new(seed),
            free_at_ns: 0,
            in_flight: VecDeque::new(),
            chunk_left: 0,
            last_arrival_us: 0,
            plugged: true,
            counts: LaneCounts::default(),
        }
    }

    /// Puts bytes on the line at `now_us`; says how many found room.
    pub fn send(&mut self, now_us: u64, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        self.counts.sent += taken as u64;
        if !self.plugged {
            self.counts.unplugged += taken as u64;
            return taken;
        }
        self.free_at_ns = self.free_at_ns.max(now_us * 1_000);
        let first = self.in_flight.len();
        for &byte in &bytes[..taken] {
            self.carry(byte);
        }
        self.gather(first);
        taken
    }

    /// When the next byte arrives.
    #[must_use]
    pub fn next_delivery_us(&self) -> Option<u64> {
        self.in_flight.front().map(|(at_us, _)| *at_us)
    }

    /// Takes the next byte that has arrived by `now_us`, with its own time of arrival.
    pub fn pop(&mut self, now_us: u64) -> Option<(u64, u8)> {
        let arrived = self.in_flight.pop_front_if(|(at_us, _)| *at_us <= now_us)?;
        self.counts.delivered += 1;
        Some(arrived)
    }

    /// Takes all bytes that have arrived by `now_us`.
    pub fn deliver(&mut self, now_us: u64) -> Vec<u8> {
        std::iter::from_fn(|| self.pop(now_us)).map(|(_, byte)| byte).collect()
    }

    /// Bytes under way.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.in_flight.len()
    }

    /// Bytes that the sender can put on the line now.
    #[must_use]
    pub fn room(&self) -> usize {
        self.options.capacity.saturating_sub(self.in_flight.len())
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> LaneCounts {
        self.counts
    }

    /// Pulls the plug: what is under way is lost, and so is all that is sent until it is back.
    pub fn unplug(&mut self) {
        self.counts.unplugged += self.in_flight.len() as u64;
        self.in_flight.clear();
        self.chunk_left = 0;
        self.plugged = false;
    }

    /// Puts the plug back.
    pub fn replug(&mut self, now_us: u64) {
        self.plugged = true;
        self.free_at_ns = self.free_at_ns.max(now_us * 1_000);
    }

    /// Whether the plug is in.
    #[must_use]
    pub fn is_plugged(&self) -> bool {
        self.plugged
    }

    /// One byte through the faults; every byte that goes out takes its wire time.
    fn carry(&mut self, byte: u8) {
        let faults = &self.options.faults;
        let (insert, lose) = (self.rng.chance(faults.insert), self.rng.chance(faults.lose));
        let duplicate = self.rng.chance(faults.duplicate);
        let mut carried = byte;
        if self.rng.chance(faults.corrupt_bit) {
            carried ^= 1 << self.rng.below(8);
        }
        if self.rng.chance(faults.corrupt_byte) {
            carried = self.rng.byte();
        }
        if insert {
            self.counts.inserted += 1;
            let made_up = self.rng.byte();
            self.enqueue(made_up);
        }
        if lose {
            self.counts.lost += 1;
            return self.spend();
        }
        self.counts.corrupted += u64::from(carried != byte);
        self.enqueue(carried);
        if duplicate {
            self.counts.duplicated += 1;
            self.enqueue(carried);
        }
    }

    fn spend(&mut self) {
        self.free_at_ns += self.options.baud.map_or(0, |baud| 10_000_000_000 / u64::from(baud.max(1)));
    }

    fn enqueue(&mut self, byte: u8) {
        self.spend();
        self.in_flight.push_back((self.free_at_ns.div_ceil(1_000), byte));
    }

    /// Gives the bytes from `first` on the arrival of the chunk they come in, never before what went ahead of them.
    fn gather(&mut self, first: usize) {
        let (chunk_max, jitter_us) = (self.options.chunk_max.max(1), self.options.jitter_us);
        let mut at = first;
        while at < self.in_flight.len() {
            if self.chunk_left == 0 {
                self.chunk_left =
                    if chunk_max == 1 { 1 } else { self.rng.range(1..=chunk_max as u64) as usize };
            }
            let end = (at + self.chunk_left).min(self.in_flight.len());
            self.chunk_left -= end - at;
            let jitter_us = if jitter_us == 0 { 0 } else { self.rng.range(0..=jitter_us) };
            let arrival_us = (self.in_flight[end - 1].0 + jitter_us).max(self.last_arrival_us);
            self.last_arrival_us = arrival_us;
            for byte in self.in_flight.range_mut(at..end) {
                byte.0 = arrival_us;
            }
            at = end;
        }
    }
}

/// Both directions of one line.
#[derive(Debug)]
pub struct Wire {
    /// From the host to the printer.
    pub to_printer: Lane,
    /// From the printer to the host.
    pub to_host: Lane,
}

impl Wire {
    /// A plugged-in line; both directions draw from generators of their own.
    #[must_use]
    pub fn new(to_printer: LaneOptions, to_host: LaneOptions, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let (down, up) = (rng.next_u64(), rng.next_u64());
        Self { to_printer: Lane::new(to_printer, down), to_host: Lane::new(to_host, up) }
    }

    /// Pulls the plug of both directions.
    pub fn unplug(&mut self) {
        self.to_printer.unplug();
        self.to_host.unplug();
    }

    /// Puts the plug back.
    pub fn replug(&mut self, now_us: u64) {
        self.to_printer.replug(now_us);
        self.to_host.replug(now_us);
    }

    /// When the next byte arrives at either end.
    #[must_use]
    pub fn next_delivery_us(&self) -> Option<u64> {
        match (self.to_printer.next_delivery_us(), self.to_host.next_delivery_us()) {
            (Some(down), Some(up)) => Some(down.min(up)),
            (down, up) => down.or(up),
        }
    }
}
