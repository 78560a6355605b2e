//! From messages to the bytes of frames, which a server does not mask (RFC 6455, section 5.1).

use crate::Opcode;
use crate::head::{SHORT_BYTES, write};

/// Puts a message behind what `out` holds: one frame, its payload in parts that follow each other.
pub fn put(out: &mut Vec<u8>, opcode: Opcode, payload: &[&[u8]]) {
    write(out, opcode, payload.iter().map(|part| part.len()).sum());
    payload.iter().for_each(|part| out.extend_from_slice(part));
}

/// Puts a close frame (section 5.5.1), with a code and a reason or with neither. What it has no room for is cut off the reason.
pub fn put_close(out: &mut Vec<u8>, code: Option<u16>, reason: &str) {
    let Some(code) = code else { return put(out, Opcode::Close, &[]) };
    let reason = &reason[..reason.floor_char_boundary(usize::from(SHORT_BYTES) - 2)];
    put(out, Opcode::Close, &[&code.to_be_bytes(), reason.as_bytes()]);
}
