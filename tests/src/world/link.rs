//! The board of a profile, its cable, and how bad both may be: only what that kind of link can have.
//!
//! | link | bytes | replies | requests without reason | overrun |
//! |---|---|---|---|---|
//! | UART, sequence checked | damaged, lost, doubled, made up | lost, doubled, garbled, late | yes | yes |
//! | UART, checksum only, one line at a time | lost | lost, garbled, late | no | no |
//! | UART, unprotected or checksum only with a wider window | whole | lost, late | no | no |
//! | USB or pseudo-terminal | whole | whole, late | where the sequence is checked | no: the sender waits |
//!
//! A firmware that checks nothing carries out whatever comes, so bytes stay whole there: no host can see that damage. For
//! the same reason replies are not doubled there: an `ok` too many looks like the next line's. Stalls, resets, brown-outs and
//! pulled plugs happen to every board.

use spoolway_firmware_profiles::flow::Window;
use spoolway_firmware_profiles::profile::Status;
use spoolway_firmware_profiles::{Profile, Sequence};

use super::scenario::Noise;
use crate::printer::{Duplicates, Link, PrinterFaults, PrinterOptions, StarWithoutNumber};
use crate::rng::Rng;
use crate::wire::{LaneFaults, LaneOptions};

/// What a link can do to a print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A UART to a firmware that refuses what does not follow.
    Checked,
    /// A UART to a firmware that sees damage but no gap, with one line on its way.
    OneLine,
    /// A UART to a firmware that takes what comes.
    Open,
    /// A link that neither loses nor changes anything.
    Whole,
}

impl Kind {
    /// The kind of link between a profile's host and its board.
    #[must_use]
    pub fn of(profile: &Profile, board: &PrinterOptions) -> Self {
        let one_line = profile.status == Status::Unverified || profile.flow.window == Window::OneLine;
        let asks = profile.recovery.sequence == Sequence::Verified;
        match (board.link, board.dialect) {
            (Link::BackPressure, _) => Self::Whole,
            (Link::Uart, dialect) if asks && dialect.verifies_sequence() => Self::Checked,
            (Link::Uart, dialect) if dialect.verifies_checksum() && one_line => Self::OneLine,
            (Link::Uart, _) => Self::Open,
        }
    }
}

/// The board of a profile at its usual link, or, where its boards have both, at a UART.
pub(super) fn usual_board(id: &str, at_uart: bool) -> PrinterOptions {
    let board = PrinterOptions::for_profile(id).expect("only profiles with a board are drawn");
    if at_uart && id == "reprapfirmware" {
        return PrinterOptions { link: Link::Uart, tx_baud: Some(115_200), ..board };
    }
    board
}

/// A board of a profile, as a seed draws it.
pub(super) fn board(rng: &mut Rng, noise: Noise, base: PrinterOptions, kind: Kind) -> PrinterOptions {
    let overflows = noise == Noise::Overflow && kind == Kind::Checked;
    let share = if noise == Noise::Overflow { *rng.pick(&[48, 64, 96]).unwrap_or(&64) } else { 128 };
    let is_marlin = base.dialect.profile == "marlin";
    let queue_lines = *rng.pick(&[2, 4, 4, 8]).unwrap_or(&4);
    let planner_moves = *rng.pick(&[0, 8, 16, 16]).unwrap_or(&16);
    let parse_us = rng.range(50..=600);
    let reply_latency_us = rng.range(0..=4_000);
    let speed = *rng.pick(&[1.0, 5.0, 50.0]).unwrap_or(&5.0);
    let star = *rng
        .pick(&[StarWithoutNumber::Ignored, StarWithoutNumber::Refused])
        .unwrap_or(&StarWithoutNumber::Ignored);
    let duplicates = *rng.pick(&[Duplicates::Refused, Duplicates::Silent]).unwrap_or(&Duplicates::Refused);
    let (advanced, capable) = (rng.chance(0.3), rng.chance(0.5));
    let says_wait_us = if is_marlin { 1_000_000 } else { base.wait_interval_us };
    let (busy, waits) = (rng.chance(0.7), rng.chance(0.3));
    let faults = faults(rng, noise, kind, &base);
    PrinterOptions {
        rx_bytes: if overflows { base.rx_bytes * share / 128 } else { base.rx_bytes },
        queue_lines: if is_marlin { queue_lines } else { base.queue_lines },
        planner_moves,
        parse_us,
        reply_latency_us,
        speed,
        star_without_number: if is_marlin { star } else { base.star_without_number },
        duplicates: if is_marlin { duplicates } else { base.duplicates },
        advanced_ok: is_marlin && advanced,
        emergency_parser: base.emergency_parser && capable,
        busy_interval_us: if busy { base.busy_interval_us } else { 0 },
        wait_interval_us: if waits { says_wait_us } else { 0 },
        keep_executed: 100_000,
        faults,
        ..base
    }
}

fn faults(rng: &mut Rng, noise: Noise, kind: Kind, base: &PrinterOptions) -> PrinterFaults {
    let sags = rng.chance(0.05) && !vanishes_in_a_reset(base);
    let brown_out = if sags { 0.002 } else { 0.0 };
    let some = PrinterFaults {
        lost_ok: 0.002,
        duplicated_ok: 0.001,
        garbled_reply: 0.002,
        delayed_reply: 0.01,
        delay_max_us: 30_000,
        stall: 0.005,
        stall_max_us: 60_000,
        spurious_resend: 0.001,
        brown_out,
        ..PrinterFaults::default()
    };
    let drawn = match noise {
        Noise::None => PrinterFaults { brown_out, ..PrinterFaults::default() },
        Noise::Light | Noise::Overflow => some,
        Noise::Heavy => PrinterFaults { lost_ok: 0.01, garbled_reply: 0.02, ..some },
        Noise::Replies => PrinterFaults {
            lost_ok: 0.03,
            duplicated_ok: 0.02,
            garbled_reply: 0.05,
            delayed_reply: 0.1,
            ..some
        },
        Noise::Storm => PrinterFaults { spurious_resend: 0.05, stall: 0.05, ..some },
    };
    let runs_out = base.dialect.profile == "prusa-mk" && noise != Noise::None;
    let drawn =
        PrinterFaults { runout: if runs_out { 0.003 } else { 0.0 }, runout_max_us: 20_000_000, ..drawn };
    let (lost_ok, garbled_reply) = (drawn.lost_ok, drawn.garbled_reply);
    match kind {
        Kind::Checked => drawn,
        // Where one line is on its way a lost reply costs a person's answer: fewer of them, so that most prints end whole.
        Kind::OneLine => PrinterFaults {
            lost_ok: lost_ok / 8.0,
            garbled_reply: garbled_reply / 8.0,
            duplicated_ok: 0.0,
            spurious_resend: 0.0,
            ..drawn
        },
        Kind::Open => PrinterFaults {
            lost_ok: lost_ok / 8.0,
            garbled_reply: 0.0,
            duplicated_ok: 0.0,
            spurious_resend: 0.0,
            ..drawn
        },
        Kind::Whole => PrinterFaults { lost_ok: 0.0, garbled_reply: 0.0, duplicated_ok: 0.0, ..drawn },
    }
}

/// A board with USB of its own that says nothing when it starts: its port goes away and comes back as a new one, so that the
/// host sees a plug that was pulled.
pub(super) fn vanishes_in_a_reset(board: &PrinterOptions) -> bool {
    board.link == Link::BackPressure && board.dialect.identity.banner.is_empty()
}

/// Both directions of the cable.
pub(super) fn cable(
    rng: &mut Rng,
    noise: Noise,
    kind: Kind,
    board: &PrinterOptions,
) -> (LaneOptions, LaneOptions) {
    let (down, up) = match noise {
        Noise::None | Noise::Replies | Noise::Storm | Noise::Overflow => (0.0, 0.0),
        Noise::Light => (0.0001, 0.0001),
        Noise::Heavy => (0.001, 0.0005),
    };
    let faults = |each: f64| LaneFaults {
        corrupt_bit: each,
        corrupt_byte: each,
        lose: each,
        duplicate: each / 2.0,
        insert: each / 2.0,
    };
    let (down, up) = match kind {
        Kind::Checked => (down, up),
        Kind::OneLine => (down / 4.0, 0.0),
        Kind::Open | Kind::Whole => (0.0, 0.0),
    };
    let damage = match kind {
        // These firmwares take lines without a checksum: a line end out of nowhere makes two lines of one, and an `ok` more.
        Kind::OneLine => LaneFaults { lose: down, ..LaneFaults::default() },
        _ => faults(down),
    };
    let to_printer = LaneOptions { baud: board.tx_baud, faults: damage, ..LaneOptions::default() };
    let to_host = LaneOptions {
        baud: None,
        chunk_max: rng.range(1..=64) as usize,
        jitter_us: rng.range(0..=4_000),
        faults: faults(up),
        ..LaneOptions::default()
    };
    (to_printer, to_host)
}
