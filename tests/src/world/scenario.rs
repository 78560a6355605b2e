//! What one seed tries: a job, a board, a cable, and what people and the supply do meanwhile.

use crate::printer::{Duplicates, PrinterFaults, PrinterOptions, StarWithoutNumber};
use crate::rng::Rng;
use crate::wire::{LaneFaults, LaneOptions};

/// How bad the cable and the board are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Noise {
    /// Nothing goes wrong.
    None,
    /// One byte in some thousands.
    Light,
    /// One line in ten.
    Heavy,
    /// Replies are lost, doubled, garbled and late; lines are not.
    Replies,
    /// The board asks again and again, and stalls.
    Storm,
    /// The board's ring is smaller than its profile says.
    Overflow,
}

impl Noise {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::None, Self::Light, Self::Heavy, Self::Replies, Self::Storm, Self::Overflow];
}

/// Everything that follows from one seed.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// How bad it is.
    pub noise: Noise,
    /// The commands of the job.
    pub job: Vec<String>,
    /// The board.
    pub printer: PrinterOptions,
    /// The cable towards it.
    pub to_printer: LaneOptions,
    /// The cable from it.
    pub to_host: LaneOptions,
    /// Whether temperatures have to be asked for.
    pub queries: bool,
    /// Pause after so many acknowledged commands.
    pub pause_after: Option<u64>,
    /// Cancel after so many acknowledged commands.
    pub cancel_after: Option<u64>,
    /// Pull the reset line then.
    pub reset_at_us: Option<u64>,
}

impl Scenario {
    /// Draws a scenario.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let noise = *rng.pick(&Noise::ALL).expect("the list is not empty");
        let lines = rng.range(300..=420) as usize;
        let job = job(&mut rng, lines);
        let printer = board(&mut rng, noise);
        let (to_printer, to_host) = cable(&mut rng, noise);
        Self {
            seed,
            noise,
            printer,
            to_printer,
            to_host,
            queries: rng.chance(0.5),
            pause_after: rng.chance(0.2).then(|| rng.below(lines as u64)),
            cancel_after: rng.chance(0.1).then(|| rng.below(lines as u64)),
            reset_at_us: rng.chance(0.1).then(|| rng.range(0..=60_000_000)),
            job,
        }
    }
}

/// A job of moves of all lengths with what else slicers write; no two moves are alike, so that a wrong order shows.
fn job(rng: &mut Rng, lines: usize) -> Vec<String> {
    (0..lines)
        .map(|index| match rng.below(100) {
            0 => format!("M104 S{}", 180 + index % 40),
            1 => format!("M106 S{}", index % 256),
            2 => format!("M117 line {index} of a job"),
            3 => format!("G4 P{}", rng.below(400)),
            4 => "M400".to_owned(),
            5 => format!("M73 P{} R{}", index * 100 / lines, lines - index),
            6 if index < 40 => format!("M109 S{}", 60 + index),
            7 if index < 40 => "G28".to_owned(),
            8 => format!("G92 E{}", index),
            9 => format!("M204 P{}", 500 + index),
            _ => {
                let (x, y) = (rng.below(200_000) as f64 / 1000.0, rng.below(200_000) as f64 / 1000.0);
                let near = rng.chance(0.7);
                let (x, y) = if near { (100.0 + x / 500.0, 100.0 + y / 500.0) } else { (x, y) };
                format!("G1 X{x:.3} Y{y:.3} E{index}.{:03} F{}", rng.below(1000), 1200 + rng.below(6000))
            }
        })
        .collect()
}

fn board(rng: &mut Rng, noise: Noise) -> PrinterOptions {
    PrinterOptions {
        rx_bytes: if noise == Noise::Overflow { *rng.pick(&[48, 64, 96]).unwrap_or(&64) } else { 128 },
        queue_lines: *rng.pick(&[2, 4, 4, 8]).unwrap_or(&4),
        planner_moves: *rng.pick(&[0, 8, 16, 16]).unwrap_or(&16),
        parse_us: rng.range(50..=600),
        tx_baud: Some(115_200),
        reply_latency_us: rng.range(0..=4_000),
        speed: *rng.pick(&[1.0, 5.0, 50.0]).unwrap_or(&5.0),
        star_without_number: *rng
            .pick(&[StarWithoutNumber::Ignored, StarWithoutNumber::Refused])
            .unwrap_or(&StarWithoutNumber::Ignored),
        duplicates: *rng.pick(&[Duplicates::Refused, Duplicates::Silent]).unwrap_or(&Duplicates::Refused),
        advanced_ok: rng.chance(0.3),
        emergency_parser: rng.chance(0.5),
        busy_interval_us: if rng.chance(0.7) { 2_000_000 } else { 0 },
        wait_interval_us: if rng.chance(0.3) { 1_000_000 } else { 0 },
        keep_executed: 100_000,
        faults: board_faults(rng, noise),
        ..PrinterOptions::default()
    }
}

fn board_faults(rng: &mut Rng, noise: Noise) -> PrinterFaults {
    let brown_out = if rng.chance(0.05) { 0.002 } else { 0.0 };
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
    };
    match noise {
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
    }
}

fn cable(rng: &mut Rng, noise: Noise) -> (LaneOptions, LaneOptions) {
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
    let to_printer = LaneOptions { baud: Some(115_200), faults: faults(down), ..LaneOptions::default() };
    let to_host = LaneOptions {
        baud: None,
        chunk_max: rng.range(1..=64) as usize,
        jitter_us: rng.range(0..=4_000),
        faults: faults(up),
        ..LaneOptions::default()
    };
    (to_printer, to_host)
}
