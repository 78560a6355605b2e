//! What printers say, in every dialect: the same replies in pieces of any size, and never an `ok` out of nothing.

#![no_main]

use std::cell::LazyCell;

use libfuzzer_sys::fuzz_target;
use spoolway_agent_core::reply::{Reply, ReplyParser};
use spoolway_firmware_profiles::{Registry, Replies};

thread_local! {
    static DIALECTS: LazyCell<Vec<Replies>> =
        LazyCell::new(|| Registry::built_in().iter().map(|known| known.profile.replies.clone()).collect());
}

fn read(rules: &Replies, said: &[u8], piece: usize) -> Vec<Reply> {
    let mut parser = ReplyParser::new(rules.clone());
    let mut found = Vec::new();
    for mut piece in said.chunks(piece) {
        while let Some(reply) = parser.next(&mut piece) {
            found.push(reply);
        }
        assert!(piece.is_empty());
    }
    found
}

fuzz_target!(|input: &[u8]| {
    let [which, piece, said @ ..] = input else { return };
    DIALECTS.with(|dialects| {
        let rules = &dialects[usize::from(*which) % dialects.len()];
        let whole = read(rules, said, said.len().max(1));
        // Compared as text, because a temperature may be no number.
        let pieces = read(rules, said, usize::from(*piece) % 40 + 1);
        assert_eq!(format!("{pieces:?}"), format!("{whole:?}"));
        let ends = said.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
        assert!(whole.len() <= ends);
    });
});
