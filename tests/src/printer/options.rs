//! What kind of board the simulated printer is, and how it misbehaves.

use super::dialect::{Dialect, MARLIN};
use super::heater::HeaterOptions;

/// What the firmware does with a `*` on a line that has no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StarWithoutNumber {
    /// The sum is not looked at and the line runs (Marlin 2.x `queue.cpp`).
    Ignored,
    /// `No Line Number with checksum` and a resend (Marlin 1.x, Prusa).
    Refused,
}

/// What the firmware does with a numbered line that it has already accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// The line number error and `Resend: n+1` (Marlin up to 2.0.9).
    Refused,
    /// The last line and the one before it are dropped without a word: no error, no `ok` (later Marlin 2.1).
    Silent,
}

/// What becomes of bytes that find the receive ring full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// They are gone: nobody can hold a UART up.
    Uart,
    /// They wait at the sender: USB CDC and pseudo-terminals.
    BackPressure,
}

/// The shape of the board and its firmware. Times are of the printer's own clock.
#[derive(Debug, Clone)]
pub struct PrinterOptions {
    /// What the firmware says and checks.
    pub dialect: &'static Dialect,
    /// What a full ring does.
    pub link: Link,
    /// Size of the RX ring; one byte stays free, so 128 holds 127.
    pub rx_bytes: usize,
    /// Command queue slots (`BUFSIZE`).
    pub queue_lines: usize,
    /// Planner blocks (`BLOCK_BUFFER_SIZE`); one stays free. Zero is a planner that swallows every move at once.
    pub planner_moves: usize,
    /// Longest line plus its terminator (`MAX_CMD_SIZE`); the rest is cut off in silence.
    pub max_line_bytes: usize,
    /// Main loop time for each line.
    pub parse_us: u64,
    /// Speed of the printer's own transmitter, which blocks the main loop; `None` sends in no time (USB CDC).
    pub tx_baud: Option<u32>,
    /// Time from the last bit on the wire until the host sees a reply (adapter latency timer).
    pub reply_latency_us: u64,
    /// Moves, dwells and heaters run this many times faster than life.
    pub speed: f64,
    /// What a `*` without a number does.
    pub star_without_number: StarWithoutNumber,
    /// What a repeated line does.
    pub duplicates: Duplicates,
    /// `ok N12 P15 B3` instead of `ok`.
    pub advanced_ok: bool,
    /// M108, M112, M410 act from the receive interrupt.
    pub emergency_parser: bool,
    /// `//action:` lines.
    pub host_actions: bool,
    /// M155 works and is announced.
    pub autoreport_temp: bool,
    /// `busy` this often while a command blocks; zero is never.
    pub busy_interval_us: u64,
    /// `wait` this often while the command queue is empty; zero is never.
    pub wait_interval_us: u64,
    /// How long G28 takes at speed 1.
    pub home_us: u64,
    /// How long M109 and M190 stay at their target before they are done, at speed 1.
    pub residency_us: u64,
    /// Bytes are eaten for so long after a reset.
    pub bootloader_us: u64,
    /// After `start` the main loop does not read for so long.
    pub boot_us: u64,
    /// The nozzle's heater.
    pub hotend: HeaterOptions,
    /// The bed's heater.
    pub bed: HeaterOptions,
    /// At most so many executed lines are kept in memory; further ones are only counted and digested.
    pub keep_executed: usize,
    /// What goes wrong.
    pub faults: PrinterFaults,
}

impl Default for PrinterOptions {
    /// A Marlin 2.0.9 on an ATmega2560 at 115200 baud, as in its default configuration.
    fn default() -> Self {
        Self {
            dialect: &MARLIN,
            link: Link::Uart,
            rx_bytes: 128,
            queue_lines: 4,
            planner_moves: 16,
            max_line_bytes: 96,
            parse_us: 300,
            tx_baud: Some(115_200),
            reply_latency_us: 0,
            speed: 1.0,
            star_without_number: StarWithoutNumber::Ignored,
            duplicates: Duplicates::Refused,
            advanced_ok: false,
            emergency_parser: true,
            host_actions: true,
            autoreport_temp: true,
            busy_interval_us: 2_000_000,
            wait_interval_us: 0,
            home_us: 8_000_000,
            residency_us: 10_000_000,
            bootloader_us: 500_000,
            boot_us: 500_000,
            hotend: HeaterOptions::hotend(),
            bed: HeaterOptions::bed(),
            keep_executed: 1 << 20,
            faults: PrinterFaults::default(),
        }
    }
}

impl PrinterOptions {
    /// A printer that is never the limit: no wire, no parse time, no mechanics. For measuring hosts.
    #[must_use]
    pub fn instant() -> Self {
        Self { rx_bytes: 4_096, ..Self::default().unhurried() }
    }

    /// The same board without wire, parse time and mechanics.
    #[must_use]
    pub fn unhurried(self) -> Self {
        Self {
            planner_moves: 0,
            parse_us: 0,
            tx_baud: None,
            speed: 1_000_000.0,
            home_us: 0,
            residency_us: 0,
            bootloader_us: 0,
            boot_us: 0,
            ..self
        }
    }
}

/// Probabilities of misbehaviour, each drawn when its occasion comes.
#[derive(Debug, Clone, Default)]
pub struct PrinterFaults {
    /// For each `ok`: it is never sent.
    pub lost_ok: f64,
    /// For each `ok`: it is sent twice.
    pub duplicated_ok: f64,
    /// For each reply: one of its bytes becomes another.
    pub garbled_reply: f64,
    /// For each reply: it is late by up to `delay_max_us`.
    pub delayed_reply: f64,
    /// The longest delay of a reply.
    pub delay_max_us: u64,
    /// For each line: the main loop stands still for `stall_min_us` to `stall_max_us` after it.
    pub stall: f64,
    /// The shortest standstill.
    pub stall_min_us: u64,
    /// The longest standstill.
    pub stall_max_us: u64,
    /// For each accepted line, where the firmware checks the sequence: it flushes its receiver and asks for the next line although nothing was wrong.
    pub spurious_resend: f64,
    /// For each accepted line: the filament runs out. Prusa's firmware takes what it has not carried out yet back, even what
    /// it has acknowledged, waits for a person for up to `runout_max_us`, and asks for those lines again.
    pub runout: f64,
    /// The longest filament change.
    pub runout_max_us: u64,
    /// For each line that comes to execution: the supply sags and the board resets.
    pub brown_out: f64,
}
