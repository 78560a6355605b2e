//! What stands before a payload: the head of a frame (RFC 6455, section 5.2), read from a client and written to one.

use crate::Broken;

/// The longest head of a frame that a server writes.
pub const HEAD_BYTES: usize = 10;
/// The longest head of a frame that a client writes: it has a mask besides.
pub(crate) const MASKED_HEAD_BYTES: usize = HEAD_BYTES + 4;
/// The longest payload of a control frame (section 5.5), and of any frame whose length stands in the second byte.
pub(crate) const SHORT_BYTES: u8 = 125;

/// The kinds of frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// More of a message that was begun.
    Continuation = 0x0,
    /// A message of UTF-8 text, or its beginning.
    Text = 0x1,
    /// A message of bytes, or its beginning.
    Binary = 0x2,
    /// Nothing more comes.
    Close = 0x8,
    /// To be answered by a pong.
    Ping = 0x9,
    /// An answer, or a sign of life.
    Pong = 0xa,
}

impl Opcode {
    fn of(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    pub(crate) fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// The head of a frame of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) opcode: Opcode,
    /// Whether the message ends with this frame.
    pub(crate) is_final: bool,
    pub(crate) mask: [u8; 4],
    /// Bytes of the payload.
    pub(crate) len: u64,
}

impl Head {
    /// The head at the beginning of these bytes, and its own length; `None` while it is not whole.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, Broken> {
        let [first, second, ..] = *bytes else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Broken::Rule("a reserved bit"));
        }
        let opcode = Opcode::of(first & 0xf).ok_or(Broken::Rule("an unknown opcode"))?;
        let (is_final, short) = (first & 0x80 != 0, second & 0x7f);
        if second & 0x80 == 0 {
            return Err(Broken::Rule("a frame without a mask"));
        }
        if opcode.is_control() && (!is_final || short > SHORT_BYTES) {
            return Err(Broken::Rule("a control frame in parts, or too long"));
        }
        let long = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let size = 2 + long + 4;
        let Some(rest) = bytes.get(2..size) else { return Ok(None) };
        let (digits, mask) = rest.split_at(long);
        let number = digits.iter().fold(0, |number, digit| number << 8 | u64::from(*digit));
        let len = if long == 0 { short.into() } else { number };
        let mask = mask.try_into().expect("four bytes are left of six and those of the length");
        Ok(Some((Self { opcode, is_final, mask, len }, size)))
    }
}

/// Writes the head of a frame without a mask that is a whole message.
pub(crate) fn write(out: &mut Vec<u8>, opcode: Opcode, len: usize) {
    out.push(0x80 | opcode as u8);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short @ ..=SHORT_BYTES), _) => out.push(short),
        (_, Ok(medium)) => {
            out.push(126);
            out.extend(medium.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend((len as u64).to_be_bytes());
        }
    }
}
