//! Every kind of message, by the envelope's `t`.

use crate::command::{Command, CommandReceipt};
use crate::event::{EventAck, Events};
use crate::hello::{Challenge, Hello, Reject, Welcome};
use crate::security::SecurityEvent;
use crate::session::{Bye, Drain, Heartbeat, HeartbeatAck, Nack, Presence, Subscribe};
use crate::telemetry::{TelemWatch, Telemetry};
use crate::transfer::{ChunkDone, ChunkEnd, ChunkErr, ChunkGet, FileUrl, FileUrlRequest};

kinds!(
    /// A message, decoded from an envelope's `t` and `body`.
    Message {
        /// The relay asks an agent who it is.
        Challenge(Challenge) = "challenge",
        /// The agent answers, signed.
        Hello(Box<Hello>) = "hello",
        /// The relay lets the agent in.
        Welcome(Box<Welcome>) = "welcome",
        /// The relay does not.
        Reject(Reject) = "reject",
        /// The relay tells a backend that an agent came or went.
        Presence(Box<Presence>) = "presence",
        /// The relay tells a backend of an event of security.
        Security(Box<SecurityEvent>) = "security",
        /// A backend asks for the frames of agents.
        Subscribe(Subscribe) = "subscribe",
        /// A sign of life.
        Hb(Heartbeat) = "hb",
        /// Its answer.
        HbAck(HeartbeatAck) = "hb.ack",
        /// The relay is about to go.
        Drain(Drain) = "drain",
        /// A frame could not be taken.
        Nack(Nack) = "nack",
        /// A peer leaves on purpose.
        Bye(Bye) = "bye",
        /// Durable events of an agent.
        Events(Events) = "events",
        /// The owner has stored all events up to here.
        Ack(EventAck) = "ack",
        /// A command of the owner.
        Cmd(Box<Command>) = "cmd",
        /// The agent has stored a command.
        CmdRecv(CommandReceipt) = "cmd.recv",
        /// Ephemeral telemetry.
        Telem(Box<Telemetry>) = "telem",
        /// Somebody looks on.
        TelemWatch(TelemWatch) = "telem.watch",
        /// The agent asks for bytes of a file.
        ChunkGet(ChunkGet) = "chunk.get",
        /// The sender has sent the last byte.
        ChunkEnd(ChunkEnd) = "chunk.end",
        /// The sender cannot go on.
        ChunkErr(ChunkErr) = "chunk.err",
        /// The agent wants no more bytes of a file.
        ChunkDone(ChunkDone) = "chunk.done",
        /// The agent asks for another URL of a file.
        FileUrlRequest(FileUrlRequest) = "file.url_request",
        /// The owner gives one.
        FileUrl(FileUrl) = "file.url",
    }
);
