//! The NATS client protocol inside websocket frames: the frames carry a stream, their borders mean nothing.

use super::websocket::{self, BINARY, CLOSE, PING, PONG};
use super::{Broken, Exporter, Heard, Party, Talk, up_to};

/// Options of a client that wants neither echoes nor answers (the protocol's `CONNECT`), and a ping to hear that it was taken.
const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":true,\"echo\":false,\
                       \"headers\":false,\"lang\":\"rust\",\"version\":\"1\",\"protocol\":1}\r\nPING\r\n";

/// See the module.
#[derive(Debug)]
pub(in crate::bench::relay) struct Nats {
    party: Party,
    state: State,
    /// What came and is no whole message yet.
    stream: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Upgrading,
    /// The server has to speak first.
    Informing,
    Connecting,
    Subscribing,
    Up,
}

impl Nats {
    pub(in crate::bench::relay) fn new(party: Party) -> Self {
        Self { party, state: State::Upgrading, stream: Vec::new() }
    }

    /// What a line of the server leads to.
    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        let mut say = |text: &str| websocket::encode(BINARY, text.as_bytes(), out);
        match (self.state, line) {
            (_, b"PING") => say("PONG\r\n"),
            (State::Informing, line) if line.starts_with(b"INFO ") => {
                self.state = State::Connecting;
                say(CONNECT);
            }
            (State::Connecting, b"PONG") => {
                self.state = State::Subscribing;
                let subject = match self.party {
                    Party::Backend => "up.*".to_owned(),
                    Party::Agent(agent) => format!("down.{agent:06}"),
                };
                say(&format!("SUB {subject} 1\r\nPING\r\n"));
            }
            (State::Subscribing, b"PONG") => self.state = State::Up,
            (_, line) if line.starts_with(b"-ERR") => {
                return Err(Broken(String::from_utf8_lossy(line).into_owned()));
            }
            _ => {}
        }
        Ok(())
    }

    /// The whole messages of the stream's beginning; how many bytes they were.
    fn messages(
        &mut self,
        stream: &[u8],
        out: &mut Vec<u8>,
        hear: &mut dyn FnMut(Heard<'_>),
    ) -> Result<usize, Broken> {
        let mut taken = 0;
        while let Some((line, length)) = up_to(&stream[taken..], "\r\n") {
            if line.starts_with(b"MSG ") {
                let from = taken + length;
                let bytes = payload_bytes(line).ok_or_else(|| Broken("MSG without a length".to_owned()))?;
                let Some(payload) = stream.get(from..from + bytes + 2) else { break };
                hear(Heard::Message(&payload[..bytes]));
                taken = from + bytes + 2;
            } else {
                self.line(line, out)?;
                taken += length;
            }
        }
        Ok(taken)
    }
}

/// The last word of `MSG <subject> <sid> [reply] <bytes>`.
fn payload_bytes(line: &[u8]) -> Option<usize> {
    std::str::from_utf8(line.rsplit(|byte| *byte == b' ').next()?).ok()?.parse().ok()
}

impl Talk for Nats {
    fn begin(&mut self, _: &Exporter, out: &mut Vec<u8>) {
        websocket::upgrade("/", "localhost", "", out);
    }

    fn take(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        hear: &mut dyn FnMut(Heard<'_>),
    ) -> Result<usize, Broken> {
        let mut taken = 0;
        if self.state == State::Upgrading {
            let Some(answer) = websocket::upgraded(input)? else { return Ok(0) };
            self.state = State::Informing;
            taken = answer;
        }
        let mut stream = std::mem::take(&mut self.stream);
        while let Some((frame, end)) = websocket::decode(&input[taken..])? {
            match frame.opcode {
                CLOSE => return Err(Broken("closed".to_owned())),
                PING => websocket::encode(PONG, frame.payload, out),
                // Nothing is copied while messages do not go across frames.
                _ if stream.is_empty() => {
                    let whole = self.messages(frame.payload, out, hear)?;
                    stream.extend_from_slice(&frame.payload[whole..]);
                }
                _ => {
                    stream.extend_from_slice(frame.payload);
                    let whole = self.messages(&stream, out, hear)?;
                    stream.drain(..whole);
                }
            }
            taken += end;
        }
        self.stream = stream;
        Ok(taken)
    }

    fn is_up(&self) -> bool {
        self.state == State::Up
    }

    fn say(&mut self, to: Party, texts: &[&[u8]], out: &mut Vec<u8>) {
        let subject = match (self.party, to) {
            (Party::Agent(agent), _) => format!("up.{agent:06}"),
            (Party::Backend, Party::Agent(agent)) => format!("down.{agent:06}"),
            (Party::Backend, Party::Backend) => "backend".to_owned(),
        };
        let mut piece = Vec::with_capacity(texts.iter().map(|text| text.len() + 32).sum());
        for text in texts {
            piece.extend_from_slice(format!("PUB {subject} {}\r\n", text.len()).as_bytes());
            piece.extend_from_slice(text);
            piece.extend_from_slice(b"\r\n");
        }
        websocket::encode(BINARY, &piece, out);
    }

    /// The server is the one who asks.
    fn beat(&mut self, _: &mut Vec<u8>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: &[u8]) -> Vec<u8> {
        [&[0x82, payload.len() as u8], payload].concat()
    }

    fn said(out: &[u8]) -> String {
        out.iter()
            .zip([0; 6].iter().chain([0x5a, 0xc3, 0x3c, 0xa5].iter().cycle()))
            .skip(6)
            .map(|(a, b)| char::from(a ^ b))
            .collect()
    }

    #[test]
    fn it_comes_up_by_the_servers_leave_and_reads_messages_across_frames() {
        let mut nats = Nats::new(Party::Agent(4));
        let mut heard = Vec::new();
        let mut take = |nats: &mut Nats, input: &[u8]| {
            let mut out = Vec::new();
            let taken = nats.take(input, &mut out, &mut |one| {
                if let Heard::Message(text) = one {
                    heard.push(text.to_vec());
                }
            });
            assert_eq!(taken, Ok(input.len()));
            said(&out)
        };
        let hello = [b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec(), frame(b"INFO {}\r\n")].concat();
        let mut out = Vec::new();
        nats.take(&hello, &mut out, &mut |_| {}).unwrap();
        assert!(!out.is_empty());
        assert_eq!(take(&mut nats, &frame(b"PONG\r\n")), "SUB down.000004 1\r\nPING\r\n");
        assert!(!nats.is_up());
        take(&mut nats, &frame(b"PONG\r\n"));
        assert!(nats.is_up());
        assert_eq!(take(&mut nats, &frame(b"PING\r\n")), "PONG\r\n");
        take(&mut nats, &frame(b"MSG down.000004 1 5\r\nhe\r\n"));
        take(&mut nats, &frame(b"o\r\nMSG down.000004 1 2\r\nok\r\n"));
        assert_eq!(heard, [b"he\r\no".to_vec(), b"ok".to_vec()]);
    }

    #[test]
    fn an_error_of_the_server_ends_it() {
        let mut nats = Nats { state: State::Up, ..Nats::new(Party::Backend) };
        let error = nats.take(&frame(b"-ERR 'Slow Consumer'\r\n"), &mut Vec::new(), &mut |_| {}).unwrap_err();
        assert!(error.0.contains("Slow Consumer"));
    }

    #[test]
    fn many_messages_are_one_frame() {
        let mut out = Vec::new();
        Nats::new(Party::Agent(1)).say(Party::Backend, &[b"ab", b"c"], &mut out);
        assert_eq!(said(&out), "PUB up.000001 2\r\nab\r\nPUB up.000001 1\r\nc\r\n");
    }
}
