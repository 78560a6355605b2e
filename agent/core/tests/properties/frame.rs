//! From a command to a frame and back, by a reading of the frame that is written down here and nowhere else.

use proptest::prelude::*;
use spoolway_agent_core::gcode::Framing;
use spoolway_agent_core::preflight::{Preflight, Printer, Severity};
use spoolway_firmware_profiles::Registry;
use spoolway_firmware_profiles::profile::Checksum;

/// Longest line of the firmwares with the smallest buffer.
const MAX_LINE_BYTES: usize = 95;

fn numbered(max_line_bytes: usize) -> Framing {
    Framing { prefix: Vec::new(), numbered: true, checksum: Checksum::Xor8, max_line_bytes }
}

/// A command as the reader hands it over: printable, no `;`, no white space around it.
fn command() -> impl Strategy<Value = String> {
    "G[0-9]{1,3}( [XYZEFS]-?[0-9]{1,6}(\\.[0-9]{1,6})?){0,8}|M117 [ -:<-~]{0,90}[!-:<-~]"
}

/// Number and command of a frame whose sum is right, as Marlin's `queue.cpp` reads it.
fn read(frame: &[u8]) -> Option<(u32, &[u8])> {
    let line = frame.strip_suffix(b"\n")?;
    let star = line.iter().rposition(|byte| *byte == b'*')?;
    let (mut sum, mut told) = (0_u8, 0_u32);
    for byte in &line[..star] {
        sum ^= byte;
    }
    for digit in line[star + 1..].iter().take(4) {
        told = told * 10 + char::from(*digit).to_digit(10)?;
    }
    let text = line[..star].strip_prefix(b"N")?;
    let space = text.iter().position(|byte| *byte == b' ')?;
    let number = std::str::from_utf8(&text[..space]).ok()?.parse().ok()?;
    (u32::from(sum) == told).then_some((number, &text[space + 1..]))
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn a_frame_carries_its_number_and_command_and_fits_its_estimate(number: u32, command in command()) {
        let framing = numbered(MAX_LINE_BYTES);
        let mut frame = b"before".to_vec();
        framing.write(&mut frame, number, command.as_bytes());
        let frame = &frame[b"before".len()..];
        prop_assert_eq!(read(frame), Some((number, command.as_bytes())));
        let length = frame.len() - 1;
        let estimate = framing.framed_len(number, command.len());
        // A sum has one to three digits.
        prop_assert!(length <= estimate && estimate <= length + 2, "{} of {}", length, estimate);
    }

    #[test]
    fn one_wrong_byte_is_always_noticed(number: u32, command in command(), at: prop::sample::Index, bit in 0..8_u32) {
        let mut frame = Vec::new();
        numbered(MAX_LINE_BYTES).write(&mut frame, number, command.as_bytes());
        let intact = frame.clone();
        let at = at.index(frame.len() - 1);
        frame[at] ^= 1 << bit;
        prop_assert_ne!(read(&frame), read(&intact), "byte {} of {:?}", at, String::from_utf8_lossy(&intact));
    }

    #[test]
    fn a_file_that_is_let_through_has_no_line_that_a_firmware_would_cut(
        commands in prop::collection::vec(command(), 1..40),
        max_line_bytes in 40..130_usize,
    ) {
        let framing = numbered(max_line_bytes);
        let profile = &Registry::built_in().get("marlin").unwrap().profile.clone();
        let printer = Printer { framing: framing.clone(), ..Printer::of_profile(profile, None) };
        let mut preflight = Preflight::new(printer);
        let text: String = commands.iter().flat_map(|command| [command, "\n"]).collect();
        preflight.push(text.as_bytes());
        let report = preflight.finish();
        let longest = |number: u32| {
            let frames = commands.iter().map(|command| {
                let mut frame = Vec::new();
                framing.write(&mut frame, number, command.as_bytes());
                frame.len() - 1
            });
            frames.max().unwrap()
        };
        if report.worst() == Some(Severity::Fatal) {
            // With a number of the next length, and a sum of three digits, it might not fit.
            prop_assert!(longest(10_000) + 2 > max_line_bytes);
        } else {
            prop_assert_eq!(report.summary.commands, commands.len() as u64);
            // The agent's own lines take numbers as well; so many are reckoned with.
            prop_assert!(longest(2000 + 2 * commands.len() as u32) <= max_line_bytes);
        }
    }
}
