//! A file gives the same commands, or the same mistake, however it is cut into pieces.

use proptest::prelude::*;
use spoolway_agent_core::gcode::{LineError, Position, Reader};

use crate::{cut, lines, pieces};

type Found = (Vec<(Vec<u8>, Position)>, Option<LineError>);

fn read(pieces: &[&[u8]]) -> Found {
    let mut reader = Reader::new();
    let mut found = Vec::new();
    for piece in pieces {
        let taken = reader.push(piece, |command, at| found.push((command.to_vec(), at)));
        if let Err(error) = taken {
            return (found, Some(error));
        }
    }
    let error = reader.finish(|command, at| found.push((command.to_vec(), at))).err();
    (found, error)
}

/// What slicers write, what people write, and what is no G-code at all.
fn file() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        5 => "G[01]( [XYZEF]-?[0-9]{1,4}(\\.[0-9]{1,4})?){1,5}",
        1 => "[GMT][0-9]{1,3}( [A-Z][0-9.]{1,5}){0,3} ?;[ -~]{0,30}",
        1 => "[ \t]*\\([a-z ;]{0,9}\\)? ?[A-Z0-9 ]{0,9}[ \t]*",
        1 => "M11[78] [ -~]{0,30}",
        1 => "N[0-9]{1,4} ?[GM][0-9]{1,3}( X[0-9])?(\\*[0-9]{1,3})?",
        1 => ";(LAYER_CHANGE|LAYER:[0-9]{1,2}| layer [0-9]|[ -~]{0,40})",
        1 => "",
    ];
    let line = prop_oneof![
        30 => text.prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    lines(line)
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn pieces_change_nothing((bytes, cuts) in cut(file())) {
        let whole = read(&[&bytes]);
        prop_assert_eq!(&read(&pieces(&bytes, &cuts)), &whole);
        let single: Vec<_> = bytes.chunks(1).collect();
        prop_assert_eq!(&read(&single), &whole);
    }

    #[test]
    fn commands_are_bare_and_stand_in_the_order_of_the_file((bytes, _) in cut(file())) {
        let (found, error) = read(&[&bytes]);
        let mut last = Position::default();
        for (command, at) in &found {
            prop_assert!(!command.is_empty() && command.trim_ascii() == command.as_slice());
            prop_assert!(command.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t')));
            prop_assert!(command[0].is_ascii_alphabetic() && !command.contains(&b';'), "{:?}", command);
            prop_assert!(!command.windows(4).any(|part| part == b"M110"));
            prop_assert!(at.line > last.line && at.byte > last.byte && at.layer >= last.layer);
            prop_assert!(at.byte <= bytes.len() as u64);
            last = *at;
        }
        prop_assert!(error.is_none_or(|error| error.line > last.line));
    }
}
