//! From the bytes of a client to its messages, in whatever pieces they come.

use std::mem::take;

use crate::Opcode;
use crate::head::{Head, MASKED_HEAD_BYTES};

/// What a client has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// To be answered by a pong with the same bytes.
    Ping(Vec<u8>),
    /// A sign of life.
    Pong,
    /// Nothing more comes. To be answered by the same code; what may not stand in a frame has become 1002.
    Close(Option<u16>),
}

/// A client does not keep to the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A message is longer than it may be.
    #[error("a message of more than {0} bytes")]
    TooLarge(usize),
    /// RFC 6455 forbids it.
    #[error("{0}")]
    Rule(&'static str),
}

/// "Protocol error" (RFC 6455, section 7.4.1).
const PROTOCOL_ERROR: u16 = 1002;

/// Reads what one client sends. Between two messages it holds no heap memory, and otherwise not much more than what has come of one.
#[derive(Debug)]
pub struct Decoder {
    most_bytes: usize,
    /// The beginning of a head that is not whole.
    head: [u8; MASKED_HEAD_BYTES],
    head_bytes: usize,
    /// The frame that is being read.
    frame: Option<Frame>,
    /// What has come of a message, and what it will be.
    message: Vec<u8>,
    begun: Option<Opcode>,
    /// What has come of a control frame, which may stand between the frames of a message.
    control: Vec<u8>,
}

/// A frame whose head was read.
#[derive(Debug, Clone, Copy)]
struct Frame {
    opcode: Opcode,
    is_final: bool,
    /// Bytes of the payload that are still to come, and the mask from the next of them on.
    left: usize,
    mask: [u8; 4],
}

impl Decoder {
    /// For messages of at most so many bytes.
    #[must_use]
    pub fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            head: [0; MASKED_HEAD_BYTES],
            head_bytes: 0,
            frame: None,
            message: Vec::new(),
            begun: None,
            control: Vec::new(),
        }
    }

    /// Takes bytes off the front of `input` up to the end of a message; `None` when it has taken all of them and needs more.
    ///
    /// # Errors
    /// A rule is broken. Nothing that comes behind means anything, and it is not to be asked again.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Broken> {
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.read_head(input)? {
                    Some(head) => self.begin(head)?,
                    None => return Ok(None),
                },
            };
            let (part, rest) = input.split_at(frame.left.min(input.len()));
            *input = rest;
            let payload = if frame.opcode.is_control() { &mut self.control } else { &mut self.message };
            append_unmasked(payload, part, frame.mask);
            frame.left -= part.len();
            if frame.left > 0 {
                frame.mask.rotate_left(part.len() % 4);
                self.frame = Some(frame);
                return Ok(None);
            }
            if let Some(message) = self.end(frame)? {
                return Ok(Some(message));
            }
        }
    }

    fn read_head(&mut self, input: &mut &[u8]) -> Result<Option<Head>, Broken> {
        if self.head_bytes == 0
            && let Some((head, size)) = Head::read(input)?
        {
            *input = &input[size..];
            return Ok(Some(head));
        }
        while let Some((byte, rest)) = input.split_first() {
            *input = rest;
            self.head[self.head_bytes] = *byte;
            self.head_bytes += 1;
            if let Some((head, _)) = Head::read(&self.head[..self.head_bytes])? {
                self.head_bytes = 0;
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    /// Whether a frame may stand here (section 5.4).
    fn begin(&mut self, head: Head) -> Result<Frame, Broken> {
        let Head { opcode, is_final, mask, len } = head;
        let so_far = if opcode.is_control() { 0 } else { self.message.len() };
        let too_large = Broken::TooLarge(self.most_bytes);
        let left = usize::try_from(len).map_err(|_| too_large)?;
        if left > self.most_bytes.saturating_sub(so_far) && !opcode.is_control() {
            return Err(too_large);
        }
        match (opcode, self.begun) {
            (Opcode::Continuation, None) => return Err(Broken::Rule("a continuation of nothing")),
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(Broken::Rule("a message within a message"));
            }
            (Opcode::Text | Opcode::Binary, None) => {
                self.begun = Some(opcode);
                self.message.reserve_exact(left);
            }
            // Not exactly: as many tiny parts as fit would each move all that has come before.
            (Opcode::Continuation, Some(_)) => self.message.reserve(left),
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => {}
        }
        Ok(Frame { opcode, is_final, left, mask })
    }

    /// The message that is whole with this frame.
    fn end(&mut self, frame: Frame) -> Result<Option<Message>, Broken> {
        Ok(Some(match frame.opcode {
            Opcode::Ping => Message::Ping(take(&mut self.control)),
            Opcode::Pong => {
                self.control = Vec::new();
                Message::Pong
            }
            Opcode::Close => Message::Close(close_code(&take(&mut self.control))?),
            _ if !frame.is_final => return Ok(None),
            _ => {
                let payload = take(&mut self.message);
                match self.begun.take() {
                    Some(Opcode::Text) => Message::Text(String::from_utf8(payload).map_err(|_| NOT_UTF8)?),
                    _ => Message::Binary(payload),
                }
            }
        }))
    }
}

const NOT_UTF8: Broken = Broken::Rule("text that is not UTF-8");

fn close_code(payload: &[u8]) -> Result<Option<u16>, Broken> {
    let [high, low, reason @ ..] = payload else {
        return if payload.is_empty() { Ok(None) } else { Err(Broken::Rule("half a close code")) };
    };
    std::str::from_utf8(reason).map_err(|_| NOT_UTF8)?;
    let code = u16::from_be_bytes([*high, *low]);
    // Section 7.4, and the codes that were registered since.
    let is_lawful = matches!(code, 1000..=1003 | 1007..=1013 | 3000..=4999);
    Ok(Some(if is_lawful { code } else { PROTOCOL_ERROR }))
}

/// Section 5.3.
fn append_unmasked(payload: &mut Vec<u8>, part: &[u8], mask: [u8; 4]) {
    let at = payload.len();
    payload.extend_from_slice(part);
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (eights, rest) = payload[at..].as_chunks_mut::<8>();
    eights.iter_mut().for_each(|eight| *eight = (u64::from_ne_bytes(*eight) ^ wide).to_ne_bytes());
    rest.iter_mut().zip(mask.into_iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
}
