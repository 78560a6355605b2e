//! Websocket frames (RFC 6455, section 5) as a server reads and writes them. Pure: it is told bytes and holds what is not whole yet.
//!
//! No extension and no subprotocol changes anything here. What a client has sent comes as whole [`Message`]s, however it was cut into
//! frames and into pieces on its way; a rule that it breaks is a [`Broken`], after which its connection is of no use any more.

mod decoder;
mod encode;
mod head;
mod server;

pub use decoder::{Broken, Decoder, Message};
pub use encode::{put, put_close};
pub use head::{HEAD_BYTES, Opcode};
pub use server::Server;
