//! A library that many use (tungstenite) as the other end: what it writes is read, what is written it reads, and of whatever bytes it
//! makes the same.

use std::io::{Cursor, ErrorKind, Read, Write};

use proptest::prelude::*;
use spoolway_relay_frames::{Broken, Decoder, Message as Ours, Opcode, put, put_close};
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, WebSocket};

const MOST_BYTES: usize = 2_000;

/// A stream of which one end is in memory: what can be read, and what was written.
struct Wire(Cursor<Vec<u8>>, Vec<u8>);

impl Read for Wire {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(out)? {
            0 => Err(ErrorKind::WouldBlock.into()),
            bytes => Ok(bytes),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.1.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn reference(role: Role, bytes: Vec<u8>) -> WebSocket<Wire> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MOST_BYTES))
        .max_frame_size(Some(MOST_BYTES))
        .write_buffer_size(0);
    WebSocket::from_raw_socket(Wire(Cursor::new(bytes), Vec::new()), role, Some(config))
}

/// How reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    More,
    TooLarge,
    Rule,
    /// Of text alone.
    NotUtf8,
    Closed,
}

/// Reads bytes that come in pieces of these sizes, in turn.
fn ours(bytes: &[u8], pieces: &[usize]) -> (Vec<Ours>, End) {
    let (mut decoder, mut messages, mut rest) = (Decoder::new(MOST_BYTES), Vec::new(), bytes);
    let mut pieces = pieces.iter().cycle();
    while !rest.is_empty() {
        let mut piece;
        (piece, rest) = rest.split_at((*pieces.next().expect("they go round")).min(rest.len()));
        loop {
            match decoder.decode(&mut piece) {
                Ok(None) => break,
                Ok(Some(message)) => {
                    let is_close = matches!(message, Ours::Close(_));
                    messages.push(message);
                    if is_close {
                        return (messages, End::Closed);
                    }
                }
                Err(Broken::TooLarge(_)) => return (messages, End::TooLarge),
                Err(Broken::Rule("text that is not UTF-8")) => return (messages, End::NotUtf8),
                Err(Broken::Rule(_)) => return (messages, End::Rule),
            }
        }
    }
    (messages, End::More)
}

fn theirs(bytes: Vec<u8>) -> (Vec<Ours>, End) {
    let (mut socket, mut messages) = (reference(Role::Server, bytes), Vec::new());
    loop {
        messages.push(match socket.read() {
            Ok(Message::Text(text)) => Ours::Text(text.to_string()),
            Ok(Message::Binary(bytes)) => Ours::Binary(bytes.to_vec()),
            Ok(Message::Ping(bytes)) => Ours::Ping(bytes.to_vec()),
            Ok(Message::Pong(_)) => Ours::Pong,
            Ok(Message::Close(frame)) => {
                messages.push(Ours::Close(frame.map(|frame| frame.code.into())));
                return (messages, End::Closed);
            }
            Ok(Message::Frame(_)) => unreachable!("frames are not asked for"),
            Err(Error::Io(_)) => return (messages, End::More),
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => return (messages, End::TooLarge),
            Err(Error::Protocol(_)) => return (messages, End::Rule),
            Err(Error::Utf8(_)) => return (messages, End::NotUtf8),
            Err(error) => panic!("{error}"),
        });
    }
}

fn message() -> impl Strategy<Value = Message> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
    let short = || proptest::collection::vec(any::<u8>(), 0..=125);
    let parts = (any::<bool>(), proptest::collection::vec(".{0,40}", 1..5));
    prop_oneof![
        ".{0,200}".prop_map(|text| Message::Text(text.into())),
        bytes().prop_map(|bytes| Message::Binary(bytes.into())),
        short().prop_map(|bytes| Message::Ping(bytes.into())),
        short().prop_map(|bytes| Message::Pong(bytes.into())),
        // A part of a message; whether it may stand here is for both to say.
        (parts, 0..3_u8).prop_map(|((is_final, text), kind)| {
            let kind = [Data::Continue, Data::Text, Data::Binary][usize::from(kind)];
            Message::Frame(Frame::message(text.concat(), OpCode::Data(kind), is_final))
        }),
    ]
}

/// A conversation of a client, its end included one time in two.
fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let close = proptest::option::of(proptest::option::of((1000..1004_u16, ".{0,40}")));
    (proptest::collection::vec(message(), 0..12), close).prop_map(|(messages, close)| {
        let mut socket = reference(Role::Client, Vec::new());
        messages.into_iter().for_each(|message| socket.send(message).expect("it is in memory"));
        if let Some(close) = close {
            let frame = close.map(|(code, reason)| CloseFrame { code: code.into(), reason: reason.into() });
            socket.close(frame).expect("it is in memory");
        }
        socket.get_ref().1.clone()
    })
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(prop_oneof![1..20_usize, 1..5_000_usize], 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_a_client_says_is_read_as_it_was_said(bytes in conversation(), pieces in pieces()) {
        prop_assert_eq!(ours(&bytes, &pieces), theirs(bytes));
    }

    #[test]
    fn of_bytes_that_were_damaged_the_same_is_made(
        bytes in conversation(),
        pieces in pieces(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = bytes;
        if !bytes.is_empty() {
            damage.iter().for_each(|(at, byte)| { let at = at.index(bytes.len()); bytes[at] = *byte; });
            bytes.truncate(cut.index(bytes.len() * 4).max(1));
        }
        let ((ours, our_end), (theirs, their_end)) = (ours(&bytes, &pieces), theirs(bytes));
        if their_end == End::NotUtf8 {
            // The other looks at each part of a text as it comes; here control frames between them are still heard.
            prop_assert!(ours.starts_with(&theirs), "{ours:?} {theirs:?}");
            prop_assert!(!ours[theirs.len()..].iter().any(|more| matches!(more, Ours::Text(_) | Ours::Binary(_))));
        } else {
            prop_assert_eq!(ours, theirs);
            // What is wrong with a frame is seen here from its head, which of two rules it breaks is no matter.
            let is_broken = |end| matches!(end, End::Rule | End::TooLarge);
            let is_as_good = is_broken(our_end) && (is_broken(their_end) || their_end == End::More);
            prop_assert!(our_end == their_end || is_as_good, "{our_end:?} {their_end:?}");
        }
    }

    #[test]
    fn what_is_written_a_client_reads(
        messages in proptest::collection::vec((any::<bool>(), ".{0,300}"), 0..12),
        code in proptest::option::of(4000..4100_u16),
        reason in ".{0,100}",
    ) {
        let mut out = Vec::new();
        for (is_text, payload) in &messages {
            let (front, back) = payload.as_bytes().split_at(payload.len() / 3);
            put(&mut out, if *is_text { Opcode::Text } else { Opcode::Binary }, &[front, back]);
        }
        put_close(&mut out, code, &reason);
        let mut socket = reference(Role::Client, out);
        for (is_text, payload) in messages {
            let read = socket.read().unwrap();
            prop_assert_eq!(read.is_text(), is_text);
            prop_assert_eq!(read.into_data(), payload.into_bytes());
        }
        let Message::Close(close) = socket.read().unwrap() else { panic!("no close") };
        prop_assert_eq!(close.as_ref().map(|close| u16::from(close.code)), code);
        prop_assert!(close.is_none_or(|close| reason.starts_with(close.reason.as_str())));
    }
}
