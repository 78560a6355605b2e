//! What arrived and whose matter it is. Only the owning backend commands, acknowledges and sends files.

use spoolway_protocol::envelope::Envelope;
use spoolway_protocol::event::EventAck;
use spoolway_protocol::hello::split_signature;
use spoolway_protocol::session::{Drain, Heartbeat, HeartbeatAck, Nack, NackCode};
use spoolway_protocol::telemetry::TelemWatch;
use spoolway_protocol::transfer::Chunk;
use spoolway_protocol::{Address, AgentId, Message, MsgId};

use super::failure::{Failure, Stage, plain};
use crate::bus::{Inbound, SignedBody};

/// A frame, sorted.
#[derive(Debug)]
pub(super) enum Arrival {
    /// The desk's matter.
    Desk(Inbound),
    /// The owner has stored events.
    Ack(EventAck),
    /// A message of ours was refused.
    Nack { re: Option<MsgId>, nack: Nack },
    /// Somebody at the owner looks on.
    Watch(TelemWatch),
    /// The relay lives.
    Beat(Heartbeat),
    /// It answers.
    BeatAck(HeartbeatAck),
    /// It is about to go.
    Drain(Drain),
    /// It is gone.
    Over(Failure),
    /// To be refused.
    Refuse { to: Address, re: Option<MsgId>, code: NackCode, detail: String },
    /// Nobody's matter.
    Nothing,
}

/// Sorts a text frame.
pub(super) fn text(frame: &str, owner: &Address) -> Arrival {
    match Envelope::parse(frame) {
        Ok(envelope) => envelope_of(envelope, owner),
        Err(error) => refuse(Address::Relay, None, NackCode::BadField, plain(&error.to_string())),
    }
}

/// Sorts a binary frame.
pub(super) fn binary(frame: &[u8], agent: &AgentId, owner: &Address) -> Arrival {
    match Chunk::decode(frame) {
        Ok(chunk) if chunk.to == *agent.as_bytes() => Arrival::Desk(Inbound::Chunk {
            stream: chunk.stream,
            offset: chunk.offset,
            payload: chunk.payload.to_vec(),
        }),
        Ok(_) => refuse(owner.clone(), None, NackCode::Unauthorised, "a chunk for another agent".to_owned()),
        Err(error) => refuse(owner.clone(), None, NackCode::BadField, error.to_string()),
    }
}

fn envelope_of(envelope: Envelope, owner: &Address) -> Arrival {
    // The relay writes the sender over whatever stood there; its own frames may have none.
    let from = envelope.from.clone().unwrap_or(Address::Relay);
    let message = match envelope.message() {
        Ok(message) => message,
        // A refusal is never refused: two peers would not stop.
        Err(_) if envelope.t == "nack" => return Arrival::Nothing,
        Err(error) => return refuse(from, envelope.id, NackCode::BadField, plain(&error.to_string())),
    };
    match message {
        Message::Cmd(_)
        | Message::Ack(_)
        | Message::TelemWatch(_)
        | Message::ChunkEnd(_)
        | Message::ChunkErr(_)
        | Message::FileUrl(_)
            if from != *owner =>
        {
            refuse(from, envelope.id, NackCode::Unauthorised, plain(&envelope.t))
        }
        Message::Cmd(command) => Arrival::Desk(Inbound::Command {
            command,
            lane: envelope.lane,
            ttl_ms: envelope.ttl_ms,
            age_ms: envelope.age_ms.unwrap_or(0),
            signed: split_signature(envelope.body.get())
                .map(|(text, sig)| Box::new(SignedBody { text, sig })),
            has_stopped: false,
        }),
        Message::Ack(ack) => Arrival::Ack(ack),
        Message::TelemWatch(watch) => Arrival::Watch(watch),
        Message::ChunkEnd(end) => Arrival::Desk(Inbound::ChunkEnd(end)),
        Message::ChunkErr(error) => Arrival::Desk(Inbound::ChunkErr(error)),
        Message::FileUrl(url) => Arrival::Desk(Inbound::FileUrl(url)),
        Message::Nack(nack) if from == *owner || from == Address::Relay => {
            Arrival::Nack { re: envelope.re, nack }
        }
        Message::Nack(_) => Arrival::Nothing,
        message if from == Address::Relay => of_relay(message, envelope.id, &envelope.t),
        _ => refuse(from, envelope.id, NackCode::UnknownType, plain(&envelope.t)),
    }
}

fn of_relay(message: Message, id: Option<MsgId>, kind: &str) -> Arrival {
    match message {
        Message::Hb(beat) => Arrival::Beat(beat),
        Message::HbAck(ack) => Arrival::BeatAck(ack),
        Message::Drain(drain) => Arrival::Drain(drain),
        Message::Bye(bye) => {
            let text = format!("the relay said goodbye: {}", plain(&bye.reason));
            Arrival::Over(Failure::unreachable(Stage::Session, text))
        }
        _ => refuse(Address::Relay, id, NackCode::UnknownType, plain(kind)),
    }
}

const fn refuse(to: Address, re: Option<MsgId>, code: NackCode, detail: String) -> Arrival {
    Arrival::Refuse { to, re, code, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CMD: &str = r#""body":{"cmd_id":"01890a5d-ac96-774b-bcce-b302099a8057","seq":4,"kind":"job.pause","args":{"job_id":"j"},"actor":{"id":"u","role":"r"}}"#;

    fn owner() -> Address {
        "b:farm".parse().unwrap()
    }

    fn sorted(head: &str, body: &str) -> Arrival {
        text(&format!(r#"{{"v":1,{head},{body}}}"#), &owner())
    }

    fn refused(arrival: Arrival) -> (String, NackCode) {
        match arrival {
            Arrival::Refuse { to, code, .. } => (to.to_string(), code),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_owner_commands_and_nobody_else() {
        let head = r#""t":"cmd","ttl_ms":9,"age_ms":3,"from":"b:farm""#;
        let Arrival::Desk(Inbound::Command { command, ttl_ms, age_ms, .. }) = sorted(head, CMD) else {
            panic!("no command")
        };
        assert_eq!((command.seq.0, ttl_ms, age_ms), (4, Some(9), 3));
        let signed = CMD.replace(r#""r"}}"#, r#""r"},"sig":"AQID"}"#);
        let Arrival::Desk(Inbound::Command { signed: Some(body), .. }) = sorted(head, &signed) else {
            panic!("no signature")
        };
        assert_eq!((format!(r#""body":{}"#, body.text), body.sig), (CMD.to_owned(), vec![1, 2, 3]));
        let arrival = sorted(r#""t":"cmd","from":"b:other""#, CMD);
        assert_eq!(refused(arrival), ("b:other".to_owned(), NackCode::Unauthorised));
        assert_eq!(refused(sorted(r#""t":"cmd""#, CMD)), ("relay".to_owned(), NackCode::Unauthorised));
        let watch = r#""body":{"ttl_ms":5}"#;
        assert!(matches!(sorted(r#""t":"telem.watch","from":"b:farm""#, watch), Arrival::Watch(_)));
        assert_eq!(refused(sorted(r#""t":"telem.watch","from":"b:x""#, watch)).1, NackCode::Unauthorised);
        let ack = r#""body":{"epoch":1,"seq":1}"#;
        assert!(matches!(sorted(r#""t":"ack","from":"b:farm""#, ack), Arrival::Ack(_)));
        assert_eq!(refused(sorted(r#""t":"ack","from":"b:x""#, ack)).1, NackCode::Unauthorised);
    }

    #[test]
    fn what_is_not_known_is_refused_and_a_refusal_is_not() {
        let to = "b:farm".to_owned();
        let arrival = sorted(r#""t":"x.new","from":"b:farm""#, r#""body":1"#);
        assert_eq!(refused(arrival), (to.clone(), NackCode::UnknownType));
        let arrival = sorted(r#""t":"cmd","from":"b:farm""#, r#""body":1"#);
        assert_eq!(refused(arrival), (to, NackCode::BadField));
        assert_eq!(refused(text("{", &owner())).1, NackCode::BadField);
        assert!(matches!(sorted(r#""t":"nack""#, r#""body":1"#), Arrival::Nothing));
        let nack = r#""body":{"code":"offline"}"#;
        assert!(matches!(
            sorted(r#""t":"nack","from":"relay","re":"m1""#, nack),
            Arrival::Nack { re: Some(_), .. }
        ));
    }

    #[test]
    fn only_the_relay_drains() {
        let drain = r#""body":{"within_ms":1,"spread_ms":2}"#;
        assert!(matches!(sorted(r#""t":"drain""#, drain), Arrival::Drain(_)));
        assert_eq!(refused(sorted(r#""t":"drain","from":"b:farm""#, drain)).1, NackCode::UnknownType);
    }

    #[test]
    fn chunks_are_taken_when_they_are_ours() {
        let agent = AgentId::from_bytes([7; 16]);
        let frame = Chunk { to: [7; 16], stream: 2, offset: 5, payload: b"G28" }.encode().unwrap();
        let Arrival::Desk(Inbound::Chunk { stream, offset, payload }) = binary(&frame, &agent, &owner())
        else {
            panic!("no chunk")
        };
        assert_eq!((stream, offset, payload.as_slice()), (2, 5, &b"G28"[..]));
        let other = AgentId::from_bytes([8; 16]);
        assert_eq!(refused(binary(&frame, &other, &owner())).1, NackCode::Unauthorised);
        assert_eq!(refused(binary(&[9; 40], &agent, &owner())).1, NackCode::BadField);
    }
}
