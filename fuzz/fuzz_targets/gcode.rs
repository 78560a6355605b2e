//! Files: the same commands in pieces of any size, and what the check lets through fits the firmware's buffer.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use spoolway_agent_core::gcode::{LineError, Position, Reader};
use spoolway_agent_core::preflight::{Preflight, Printer, Severity};
use spoolway_firmware_profiles::{Profile, Registry};

static MARLIN: LazyLock<Profile> =
    LazyLock::new(|| Registry::built_in().get("marlin").expect("a built-in profile").profile.clone());

type Found = (Vec<(Vec<u8>, Position)>, Option<LineError>);

fn read(file: &[u8], piece: usize) -> Found {
    let mut reader = Reader::new();
    let mut found = Vec::new();
    let mut take = |command: &[u8], at| found.push((command.to_vec(), at));
    let taken = file.chunks(piece).try_for_each(|piece| reader.push(piece, &mut take));
    let error = taken.and_then(|()| reader.finish(&mut take)).err();
    (found, error)
}

fuzz_target!(|input: &[u8]| {
    let Some((piece, file)) = input.split_first() else { return };
    let whole = read(file, file.len().max(1));
    assert_eq!(read(file, usize::from(*piece) % 40 + 1), whole);
    let printer = Printer::of_profile(&MARLIN, None);
    let framing = printer.framing.clone();
    let mut preflight = Preflight::new(printer);
    preflight.push(file);
    if preflight.finish().worst() != Some(Severity::Fatal) {
        assert_eq!(whole.1, None);
        for (command, _) in &whole.0 {
            let mut frame = Vec::new();
            framing.write(&mut frame, 1999, command);
            assert!(frame.len() <= 96 && !frame[..frame.len() - 1].contains(&b'\n'));
        }
    }
});
