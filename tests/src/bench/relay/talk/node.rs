//! What `relay.js` expects: one JSON text a message, both ends known by the path they have asked for.

use super::websocket::{self, CLOSE, PING, PONG, TEXT};
use super::{Broken, Exporter, Heard, Party, Talk};

/// See the module.
#[derive(Debug)]
pub(in crate::bench::relay) struct Node {
    path: String,
    is_up: bool,
}

impl Node {
    /// `name` is what messages are addressed to, as `a:<agent>`.
    pub(in crate::bench::relay) fn new(name: &str) -> Self {
        Self { path: format!("/{name}"), is_up: false }
    }
}

impl Talk for Node {
    fn begin(&mut self, _: &Exporter, out: &mut Vec<u8>) {
        websocket::upgrade(&self.path, "localhost", "", out);
    }

    fn take(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        hear: &mut dyn FnMut(Heard<'_>),
    ) -> Result<usize, Broken> {
        let mut taken = 0;
        if !self.is_up {
            let Some(answer) = websocket::upgraded(input)? else { return Ok(0) };
            self.is_up = true;
            taken = answer;
        }
        while let Some((frame, end)) = websocket::decode(&input[taken..])? {
            match frame.opcode {
                CLOSE => return Err(Broken("closed".to_owned())),
                PING => websocket::encode(PONG, frame.payload, out),
                _ => hear(Heard::Message(frame.payload)),
            }
            taken += end;
        }
        Ok(taken)
    }

    fn is_up(&self) -> bool {
        self.is_up
    }

    fn say(&mut self, _: Party, texts: &[&[u8]], out: &mut Vec<u8>) {
        texts.iter().for_each(|text| websocket::encode(TEXT, text, out));
    }

    /// The server is the one who asks.
    fn beat(&mut self, _: &mut Vec<u8>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_up_with_the_upgrade_answers_pings_and_hears_texts() {
        let mut node = Node::new("a:X");
        let mut out = Vec::new();
        node.begin(&[0; 32], &mut out);
        assert!(out.starts_with(b"GET /a:X HTTP/1.1\r\nHost: localhost\r\n"));
        out.clear();
        let input = b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x89\x00\x81\x02hi\x81\x05half";
        let mut heard = Vec::new();
        let taken = node.take(input, &mut out, &mut |one| heard.push(format!("{one:?}")));
        assert_eq!(taken, Ok(input.len() - 6));
        assert_eq!((node.is_up(), heard.len(), out[0]), (true, 1, 0x80 | PONG));
        assert_eq!(node.take(b"\x88\x00", &mut out, &mut |_| {}), Err(Broken("closed".to_owned())));
    }
}
