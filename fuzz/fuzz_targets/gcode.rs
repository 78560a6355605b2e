//! Files: the same commands in pieces of any size, and what the scan lets through fits the firmware's buffer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spoolway_agent_core::gcode::{Framing, LineError, Position, Reader, Scan};
use spoolway_firmware_profiles::profile::Checksum;

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
    let framing =
        Framing { prefix: Vec::new(), numbered: true, checksum: Checksum::Xor8, max_line_bytes: 95 };
    let mut scan = Scan::new(framing.clone());
    if scan.push(file).and_then(|()| scan.finish()).is_ok() {
        assert_eq!(whole.1, None);
        for (command, _) in &whole.0 {
            let mut frame = Vec::new();
            framing.write(&mut frame, 1999, command);
            assert!(frame.len() <= 96 && !frame[..frame.len() - 1].contains(&b'\n'));
        }
    }
});
