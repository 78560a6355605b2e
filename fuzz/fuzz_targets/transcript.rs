//! Recorded conversations: read or refused by line, and questions and answers hold every line of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use transcript::Transcript;

#[path = "../../tests/src/transcript.rs"]
mod transcript;

fuzz_target!(|text: &str| {
    if let Ok(found) = Transcript::parse(text) {
        let exchanges = found.exchanges();
        let lines: usize =
            exchanges.iter().map(|exchange| exchange.asked.len() + exchange.answered.len()).sum();
        assert_eq!(lines, found.turns.len());
        let answers: usize = exchanges.iter().map(|exchange| exchange.answered.len()).sum();
        assert_eq!(answers, found.printer_lines().count());
    }
});
