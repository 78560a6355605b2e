//! Binary frames with a piece of a file: what is read is written again as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spoolway_protocol::transfer::Chunk;

fuzz_target!(|frame: &[u8]| {
    if let Ok(chunk) = Chunk::decode(frame) {
        assert_eq!(chunk.encode().expect("what was read can be written"), frame);
    }
});
