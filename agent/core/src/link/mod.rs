//! The agent's end of the wire: login, signs of life, events out, commands in. Each part is a machine of its own.

pub mod floor;
pub mod handshake;
pub mod heartbeat;
pub mod inbox;
pub mod judge;
pub mod lanes;
pub mod outbox;
pub mod redial;
#[cfg(test)]
mod tests;

pub use handshake::{Handshake, HandshakeFailure, HandshakeOptions, HandshakeOutput};
pub use heartbeat::{Heartbeats, HeartbeatsOutput};
pub use inbox::{Arrival, Inbox, InboxOutput, InboxRow, RestoredRow, StoredAs};
pub use outbox::{Outbox, OutboxOptions, OutboxOutput, Position, StoredEvent};
pub use redial::{Redial, Retry};
