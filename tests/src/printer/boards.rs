//! The board that belongs to each profile: how much its firmware takes, how fast, and over which kind of link.

use super::dialect::Dialect;
use super::options::{Link, PrinterOptions, StarWithoutNumber};

/// The shape of a board, as far as it differs between firmwares.
struct Shape {
    rx_bytes: usize,
    queue_lines: usize,
    planner_moves: usize,
    max_line_bytes: usize,
    /// `None` is USB or a pseudo-terminal, which hold the sender up.
    baud: Option<u32>,
}

/// An ATmega2560 with the defaults of Marlin (`Configuration_adv.h`).
const AVR: Shape =
    Shape { rx_bytes: 128, queue_lines: 4, planner_moves: 16, max_line_bytes: 96, baud: Some(115_200) };

impl PrinterOptions {
    /// The board that belongs to a profile; `None` for one that nothing is known of.
    #[must_use]
    pub fn for_profile(id: &str) -> Option<Self> {
        let dialect = Dialect::of_profile(id)?;
        let shape = shape_of(id);
        let echoes = matches!(
            id,
            "marlin"
                | "generic"
                | "marlin-cdc"
                | "creality"
                | "prusa-mk"
                | "prusa-buddy"
                | "anycubic"
                | "malyan"
        );
        Some(Self {
            dialect,
            link: if shape.baud.is_some() { Link::Uart } else { Link::BackPressure },
            rx_bytes: shape.rx_bytes,
            queue_lines: shape.queue_lines,
            planner_moves: shape.planner_moves,
            max_line_bytes: shape.max_line_bytes,
            tx_baud: shape.baud,
            star_without_number: match id {
                "prusa-mk" | "anycubic" | "ultimaker2" | "malyan" => StarWithoutNumber::Refused,
                _ => StarWithoutNumber::Ignored,
            },
            emergency_parser: matches!(id, "marlin" | "marlin-cdc"),
            host_actions: matches!(id, "marlin" | "marlin-cdc" | "prusa-buddy"),
            autoreport_temp: matches!(
                id,
                "marlin" | "marlin-cdc" | "creality" | "prusa-mk" | "prusa-buddy" | "repetier" | "teacup"
            ),
            busy_interval_us: if echoes || id == "repetier" { 2_000_000 } else { 0 },
            wait_interval_us: if id == "repetier" { 1_000_000 } else { 0 },
            ..Self::default()
        })
    }
}

fn shape_of(id: &str) -> Shape {
    match id {
        "marlin-cdc" => Shape { rx_bytes: 1_024, queue_lines: 32, planner_moves: 32, baud: None, ..AVR },
        "prusa-buddy" => Shape { rx_bytes: 256, queue_lines: 8, planner_moves: 32, baud: None, ..AVR },
        // `GCODE_BUFFER_SIZE` is 1 since 0.91, and the next line is read only when the last one is done.
        "repetier" => Shape { queue_lines: 1, baud: Some(250_000), ..AVR },
        "anycubic" | "ultimaker2" => Shape { baud: Some(250_000), ..AVR },
        // These main loops know no queue: they read a line when they are done with the one before.
        "smoothieware" => {
            Shape { rx_bytes: 256, queue_lines: 1, planner_moves: 32, max_line_bytes: 132, ..AVR }
        }
        "teacup" => Shape { rx_bytes: 64, queue_lines: 1, planner_moves: 8, max_line_bytes: 256, ..AVR },
        "grbl" => Shape { queue_lines: 1, max_line_bytes: 80, ..AVR },
        "grblhal" => {
            Shape { rx_bytes: 1_024, queue_lines: 1, planner_moves: 100, max_line_bytes: 257, ..AVR }
        }
        "flashforge" => Shape { rx_bytes: 256, queue_lines: 1, max_line_bytes: 256, baud: None, ..AVR },
        "reprapfirmware" => {
            Shape { rx_bytes: 512, queue_lines: 1, planner_moves: 40, max_line_bytes: 256, baud: None }
        }
        // The kernel's buffer of the pseudo-terminal; the line itself has no bound.
        "klipper" => {
            Shape { rx_bytes: 4_096, queue_lines: 1, planner_moves: 16, max_line_bytes: 4_096, baud: None }
        }
        _ => AVR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_has_a_board_and_no_other_name_has_one() {
        for dialect in Dialect::all() {
            let board = PrinterOptions::for_profile(dialect.profile).unwrap();
            assert_eq!(board.dialect.profile, dialect.profile);
            assert!(board.max_line_bytes <= board.rx_bytes || dialect.profile == "teacup", "{dialect:?}");
            assert_eq!(board.tx_baud.is_none(), board.link == Link::BackPressure);
        }
        assert!(PrinterOptions::for_profile("marlyn").is_none());
    }
}
