//! The client's side of websocket framing (RFC 6455, section 5) and of its upgrade, no more of it than a load needs.

use super::{Broken, up_to};

pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// Of no use as a secret, but not zero: a server may skip the work for a mask of zeros.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x3c, 0xa5];
/// Sixteen bytes, as a server wants them.
const KEY: &str = "c3Bvb2x3YXktYmVuY2gtMQ==";

/// One frame that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) opcode: u8,
    pub(super) payload: &'a [u8],
}

/// The request for an upgrade; `headers` end each with a line break.
pub(super) fn upgrade(path: &str, host: &str, headers: &str, out: &mut Vec<u8>) {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{headers}\r\n"
    );
    out.extend_from_slice(request.as_bytes());
}

/// The bytes of the answer to an upgrade; `None` until it has come.
///
/// # Errors
/// It is not a yes.
pub(super) fn upgraded(input: &[u8]) -> Result<Option<usize>, Broken> {
    let Some((answer, length)) = up_to(input, "\r\n\r\n") else { return Ok(None) };
    if answer.starts_with(b"HTTP/1.1 101 ") {
        return Ok(Some(length));
    }
    let first = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    Err(Broken(format!("the upgrade was answered with {:?}", String::from_utf8_lossy(first))))
}

/// Appends one masked frame.
pub(super) fn encode(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match payload.len() {
        length @ ..126 => out.push(0x80 | length as u8),
        length @ ..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    let from = out.len();
    out.extend_from_slice(payload);
    out[from..].iter_mut().zip(MASK.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
}

/// The frame at the beginning and its bytes; `None` until it is whole.
///
/// # Errors
/// It is masked or a fragment, which none of the servers sends.
pub(super) fn decode(input: &[u8]) -> Result<Option<(Frame<'_>, usize)>, Broken> {
    let [first, second, rest @ ..] = input else { return Ok(None) };
    if first & 0xf0 != 0x80 || second & 0x80 != 0 {
        return Err(Broken(format!("a websocket frame begins with {first:#x} {second:#x}")));
    }
    let (length, head): (usize, usize) = match second & 0x7f {
        126 => match rest.first_chunk() {
            Some(length) => (usize::from(u16::from_be_bytes(*length)), 4),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(length) => (usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX), 10),
            None => return Ok(None),
        },
        length => (usize::from(length), 2),
    };
    let end = head.saturating_add(length);
    Ok(input.get(head..end).map(|payload| (Frame { opcode: first & 0x0f, payload }, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server would send.
    fn unmasked(payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        encode(TEXT, payload, &mut frame);
        let mask_at = frame.len() - payload.len() - 4;
        frame.drain(mask_at..mask_at + 4);
        frame[1] &= 0x7f;
        frame[mask_at..].copy_from_slice(payload);
        frame
    }

    #[test]
    fn frames_of_every_length_are_read_as_they_were_written_and_only_when_they_are_whole() {
        for length in [0, 1, 125, 126, 300, 65_535, 65_536, 70_000] {
            let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let frame = unmasked(&payload);
            let (read, end) = decode(&frame).unwrap().unwrap();
            assert_eq!((read.opcode, read.payload, end), (TEXT, &payload[..], frame.len()));
            assert_eq!(decode(&frame[..frame.len() - 1]).unwrap(), None);
        }
        assert_eq!(decode(&[0x81]).unwrap(), None);
        assert_eq!(decode(&[0x81, 126, 1]).unwrap(), None);
    }

    #[test]
    fn what_is_sent_is_masked_and_unmasks_to_what_was_said() {
        let mut frame = Vec::new();
        encode(BINARY, b"payload", &mut frame);
        assert_eq!(frame[..6], [0x82, 0x87, 0x5a, 0xc3, 0x3c, 0xa5]);
        let plain: Vec<u8> =
            frame[6..].iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!(plain, b"payload");
    }

    #[test]
    fn masked_and_fragmented_frames_of_a_server_are_refused() {
        assert!(decode(&[0x81, 0x81, 0, 0, 0, 0, b'x']).is_err());
        assert!(decode(&[0x01, 0x01, b'x']).is_err());
    }

    #[test]
    fn only_a_yes_is_an_upgrade() {
        assert_eq!(upgraded(b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n\x81").unwrap(), Some(42));
        assert_eq!(upgraded(b"HTTP/1.1 101 Switching").unwrap(), None);
        let error = upgraded(b"HTTP/1.1 401 Unauthorized\r\n\r\n").unwrap_err();
        assert!(error.0.contains("401"), "{error}");
    }
}
