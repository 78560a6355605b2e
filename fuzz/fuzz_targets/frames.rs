//! Websocket frames of a client: pieces of any size give the same messages and the same end, and a message that was read is no longer
//! than agreed and can be written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spoolway_relay_frames::{Broken, Decoder, Message, Opcode, put};

const MOST_BYTES: usize = 1_000;

/// Reads bytes in pieces of at most this size.
fn read(bytes: &[u8], piece: usize) -> (Vec<Message>, Option<Broken>) {
    let (mut decoder, mut messages) = (Decoder::new(MOST_BYTES), Vec::new());
    for mut input in bytes.chunks(piece) {
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(broken) => return (messages, Some(broken)),
            }
        }
        assert!(input.is_empty(), "nothing is left where more is needed");
    }
    (messages, None)
}

fuzz_target!(|bytes: &[u8]| {
    let (piece, bytes) =
        bytes.split_first().map_or((1, bytes), |(first, rest)| (usize::from(*first).max(1), rest));
    let whole = read(bytes, usize::MAX);
    assert_eq!(read(bytes, 1), whole);
    assert_eq!(read(bytes, piece), whole);
    for message in whole.0 {
        let (opcode, payload) = match &message {
            Message::Text(text) => (Opcode::Text, text.as_bytes()),
            Message::Binary(payload) => (Opcode::Binary, payload.as_slice()),
            Message::Ping(payload) => (Opcode::Ping, payload.as_slice()),
            Message::Pong | Message::Close(_) => continue,
        };
        assert!(payload.len() <= MOST_BYTES);
        let mut out = Vec::new();
        put(&mut out, opcode, &[payload]);
        // What a client would have made of it: masked with zeros.
        let head = out.len() - payload.len();
        out[1] |= 0x80;
        out.splice(head..head, [0; 4]);
        assert_eq!(read(&out, usize::MAX), (vec![message], None));
    }
});
