//! Each rule of RFC 6455 that a server has to hold a client to, with bytes as they come from a wire; the first are its own examples (section 5.7).

use spoolway_relay_frames::{Broken, Decoder, HEAD_BYTES, Message, Opcode, put, put_close};

const MOST_BYTES: usize = 70_000;

/// A frame of a client: its first byte, its payload and a mask.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut out = vec![first];
    match payload.len() {
        len @ ..126 => out.push(0x80 | len as u8),
        len @ ..65_536 => {
            out.push(0xfe);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(0xff);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(mask);
    out.extend(payload.iter().zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// What is read of these bytes, all at once and byte by byte.
fn read(bytes: &[u8]) -> Result<Vec<Message>, Broken> {
    let mut decoder = Decoder::new(MOST_BYTES);
    let mut all = |mut input: &[u8]| -> Result<Vec<Message>, Broken> {
        let mut messages = Vec::new();
        while let Some(message) = decoder.decode(&mut input)? {
            messages.push(message);
        }
        assert!(input.is_empty(), "whatever is not a message yet is kept");
        Ok(messages)
    };
    let at_once = all(bytes);
    decoder = Decoder::new(MOST_BYTES);
    let mut one_by_one = Ok(Vec::new());
    for byte in bytes {
        let mut input = std::slice::from_ref(byte);
        loop {
            match (decoder.decode(&mut input), &mut one_by_one) {
                (Ok(Some(message)), Ok(messages)) => messages.push(message),
                (Ok(None), _) => break,
                (Err(broken), _) => {
                    one_by_one = Err(broken);
                    break;
                }
                (_, Err(_)) => unreachable!("it was left"),
            }
        }
        if one_by_one.is_err() {
            break;
        }
    }
    assert_eq!(at_once, one_by_one, "{bytes:02x?}");
    at_once
}

fn text(text: &str) -> Message {
    Message::Text(text.to_owned())
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(read(&masked), Ok(vec![text("Hello")]));
    let fragmented = [frame(0x01, b"Hel"), frame(0x80, b"lo")].concat();
    assert_eq!(read(&fragmented), Ok(vec![text("Hello")]));
    assert_eq!(read(&frame(0x89, b"Hello")), Ok(vec![Message::Ping(b"Hello".to_vec())]));
    assert_eq!(read(&frame(0x8a, b"Hello")), Ok(vec![Message::Pong]));
    for len in [256, 65_536] {
        assert_eq!(read(&frame(0x82, &vec![7; len])), Ok(vec![Message::Binary(vec![7; len])]));
    }
}

#[test]
fn the_examples_of_the_rfc_are_written() {
    let written = |opcode, payload: &[&[u8]]| {
        let mut out = Vec::new();
        put(&mut out, opcode, payload);
        out
    };
    assert_eq!(written(Opcode::Text, &[b"Hel", b"lo"]), b"\x81\x05Hello");
    assert_eq!(written(Opcode::Pong, &[b"Hello"]), b"\x8a\x05Hello");
    assert_eq!(written(Opcode::Binary, &[&[0; 125]])[..2], [0x82, 125]);
    assert_eq!(written(Opcode::Binary, &[&[0; 126]])[..4], [0x82, 126, 0, 126]);
    assert_eq!(written(Opcode::Binary, &[&[0; 65_535]])[..4], [0x82, 126, 0xff, 0xff]);
    let long = written(Opcode::Binary, &[&[0; 65_536]]);
    assert_eq!(long[..HEAD_BYTES], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(long.len(), HEAD_BYTES + 65_536);
}

/// Section 5.4: control frames may stand between the frames of a message, other messages may not.
#[test]
fn a_message_in_parts_is_one_message() {
    let parts = [
        frame(0x01, "näh".as_bytes()),
        frame(0x89, b"?"),
        frame(0x00, b""),
        frame(0x8a, b""),
        // A character may be cut in two.
        frame(0x00, &"é".as_bytes()[..1]),
        frame(0x80, &"é".as_bytes()[1..]),
    ];
    assert_eq!(read(&parts.concat()), Ok(vec![Message::Ping(b"?".to_vec()), Message::Pong, text("nähé")]));
    let within = [frame(0x02, b"a"), frame(0x82, b"b")].concat();
    assert_eq!(read(&within), Err(Broken::Rule("a message within a message")));
    for first in [0x00, 0x80] {
        assert_eq!(read(&frame(first, b"a")), Err(Broken::Rule("a continuation of nothing")));
    }
    let again = [frame(0x01, b"a"), frame(0x80, b"b"), frame(0x80, b"c")].concat();
    assert_eq!(read(&again), Err(Broken::Rule("a continuation of nothing")));
}

/// Section 5.2: no extension was agreed on, and opcodes are six. Section 5.1: a client masks.
#[test]
fn heads_that_mean_nothing_are_refused() {
    for bit in [0x40, 0x20, 0x10] {
        assert_eq!(read(&frame(0x81 | bit, b"a")), Err(Broken::Rule("a reserved bit")));
    }
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        assert_eq!(read(&frame(0x80 | opcode, b"")), Err(Broken::Rule("an unknown opcode")));
    }
    for bytes in [&b"\x81\x02hi"[..], b"\x88\x00", b"\x82\x7e"] {
        assert_eq!(read(bytes), Err(Broken::Rule("a frame without a mask")));
    }
}

/// Section 5.5.
#[test]
fn control_frames_are_short_and_whole() {
    let rule = Err(Broken::Rule("a control frame in parts, or too long"));
    for opcode in [0x8, 0x9, 0xa] {
        assert_eq!(read(&frame(opcode, b"")), rule);
        assert_eq!(read(&frame(0x80 | opcode, &[0; 126])), rule);
    }
    assert_eq!(read(&frame(0x89, &[1; 125])), Ok(vec![Message::Ping(vec![1; 125])]));
}

/// Section 5.6, and 5.5.1 for what stands behind a close code.
#[test]
fn text_is_utf8() {
    for bytes in [&b"\xc3\x28"[..], b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc3"] {
        assert_eq!(read(&frame(0x81, bytes)), Err(Broken::Rule("text that is not UTF-8")));
        let close = [&1000_u16.to_be_bytes()[..], bytes].concat();
        assert_eq!(read(&frame(0x88, &close)), Err(Broken::Rule("text that is not UTF-8")));
        assert_eq!(read(&frame(0x82, bytes)), Ok(vec![Message::Binary(bytes.to_vec())]));
    }
}

/// Section 7.4.
#[test]
fn close_codes_that_may_not_be_said_become_a_protocol_error() {
    assert_eq!(read(&frame(0x88, b"")), Ok(vec![Message::Close(None)]));
    assert_eq!(read(&frame(0x88, b"\x03")), Err(Broken::Rule("half a close code")));
    for code in [1000, 1001, 1003, 1007, 1011, 3000, 4001, 4999] {
        let close = [&u16::to_be_bytes(code)[..], b"why"].concat();
        assert_eq!(read(&frame(0x88, &close)), Ok(vec![Message::Close(Some(code))]));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535] {
        assert_eq!(read(&frame(0x88, &u16::to_be_bytes(code))), Ok(vec![Message::Close(Some(1002))]));
    }
}

#[test]
fn a_close_frame_has_a_code_and_what_fits_of_a_reason() {
    let written = |code, reason: &str| {
        let mut out = Vec::new();
        put_close(&mut out, code, reason);
        out
    };
    assert_eq!(written(None, "never said"), b"\x88\x00");
    assert_eq!(written(Some(4001), "superseded"), b"\x88\x0c\x0f\xa1superseded");
    let long = written(Some(1000), &"é".repeat(100));
    assert_eq!((long.len(), long[1]), (2 + 124, 124), "whole characters");
    assert!(std::str::from_utf8(&long[4..]).is_ok());
}

#[test]
fn no_message_is_longer_than_agreed_and_that_is_known_from_its_head() {
    let too_large = Err(Broken::TooLarge(MOST_BYTES));
    assert_eq!(read(&frame(0x82, &[0; MOST_BYTES])).map(|messages| messages.len()), Ok(1));
    let claims = |first: u8, len: u64| [&[first, 0xff][..], &len.to_be_bytes(), &[0; 4]].concat();
    for len in [MOST_BYTES as u64 + 1, 1 << 40, u64::MAX] {
        assert_eq!(read(&claims(0x81, len)), too_large);
    }
    let parts = [frame(0x02, &[0; MOST_BYTES - 1]), frame(0x00, &[0; 2])].concat();
    assert_eq!(read(&parts), too_large);
    let full = [frame(0x02, &[0; MOST_BYTES]), frame(0x89, &[0; 9]), frame(0x80, b"")].concat();
    assert_eq!(read(&full).map(|messages| messages.len()), Ok(2), "a ping has room of its own");
}
