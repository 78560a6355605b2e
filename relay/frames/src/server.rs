//! A server's end of one websocket: what it has heard, and the bytes that it has still to write, its answers among them.

use crate::{Broken, Decoder, Message, Opcode, put, put_close};

/// See the module. It holds no heap memory while nothing is on its way.
#[derive(Debug)]
pub struct Server {
    decoder: Decoder,
    /// Nothing more is read.
    is_over: bool,
    /// A close frame is on its way: nothing may follow it (RFC 6455, section 5.5.1).
    is_closing: bool,
    /// The answer to the latest ping: older ones need none (section 5.5.3).
    pong: Option<Vec<u8>>,
    /// Frames on their way, of which so many bytes were written.
    out: Vec<u8>,
    written: usize,
}

impl Server {
    /// For messages of at most so many bytes.
    #[must_use]
    pub fn new(most_bytes: usize) -> Self {
        let decoder = Decoder::new(most_bytes);
        Self { decoder, is_over: false, is_closing: false, pong: None, out: Vec::new(), written: 0 }
    }

    /// Takes bytes off the front of `input` up to the end of a message, and puts what answers it.
    ///
    /// # Errors
    /// The client breaks a rule.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Broken> {
        let heard = self.decoder.decode(input).inspect_err(|_| self.is_over = true)?;
        match &heard {
            Some(Message::Ping(payload)) if !self.is_closing => self.pong = Some(payload.clone()),
            Some(Message::Close(code)) => {
                self.close(*code, "");
                self.is_over = true;
            }
            _ => {}
        }
        Ok(heard)
    }

    /// The client's bytes have ended.
    pub fn end(&mut self) {
        self.is_over = true;
    }

    /// Whether nothing more is read: the client has said so, is gone, or has broken a rule.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether a ping is still to be answered.
    #[must_use]
    pub fn has_answer(&self) -> bool {
        self.pong.is_some()
    }

    /// Puts frames behind what is on its way. Returns whether they may still be said.
    pub fn send(&mut self, mut frames: Vec<u8>) -> bool {
        match (self.is_closing, self.out.is_empty()) {
            (true, _) => return false,
            (false, true) => self.out = frames,
            (false, false) => self.out.append(&mut frames),
        }
        true
    }

    /// Puts the one close frame of this end.
    pub fn close(&mut self, code: Option<u16>, reason: &str) {
        if !std::mem::replace(&mut self.is_closing, true) {
            put_close(&mut self.out, code, reason);
        }
    }

    /// What is to be written next; empty when nothing is.
    pub fn output(&mut self) -> &[u8] {
        if self.out.is_empty()
            && let Some(payload) = self.pong.take()
        {
            put(&mut self.out, Opcode::Pong, &[&payload]);
        }
        &self.out[self.written..]
    }

    /// So much of it was written.
    pub fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written >= self.out.len() {
            (self.out, self.written) = (Vec::new(), 0);
        }
    }
}
