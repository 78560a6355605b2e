//! How a client of each server speaks: pure, one value for each connection; bytes go in, bytes and messages come out.

mod mqtt;
mod nats;
mod node;
mod spoolway;
mod websocket;

pub(super) use self::mqtt::Mqtt;
pub(super) use self::nats::Nats;
pub(super) use self::node::Node;
pub(super) use self::spoolway::{Spoolway, agent_key};

/// Keying material of the TLS session, for whoever signs it.
pub(super) type Exporter = [u8; spoolway_protocol::hello::EXPORTER_BYTES];

/// Which end of the work a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Party {
    /// The one that everything goes to.
    Backend,
    /// One of many.
    Agent(u32),
}

/// What a connection has heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// A message of the other end, whole.
    Message(&'a [u8]),
    /// The server did not take the message of this id: the sender keeps it.
    Refused(&'a str),
}

/// The server broke the rules, or does not want this client.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(pub(super) String);

/// One client.
pub(super) trait Talk {
    /// TLS stands.
    fn begin(&mut self, exporter: &Exporter, out: &mut Vec<u8>);

    /// Takes the whole messages at the beginning of `input` and says how many bytes they were.
    ///
    /// # Errors
    /// The connection is of no use any more.
    fn take(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        hear: &mut dyn FnMut(Heard<'_>),
    ) -> Result<usize, Broken>;

    /// Whether messages pass.
    fn is_up(&self) -> bool;

    /// Says messages as one piece; agents speak to the backend, whatever `to` is.
    fn say(&mut self, to: Party, texts: &[&[u8]], out: &mut Vec<u8>);

    /// A sign of life, where it is the client who gives it.
    fn beat(&mut self, out: &mut Vec<u8>);
}

/// The text up to `end`, and the bytes with `end`; `None` until it has come.
fn up_to<'a>(input: &'a [u8], end: &str) -> Option<(&'a [u8], usize)> {
    let at = memchr::memmem::find(input, end.as_bytes())?;
    Some((&input[..at], at + end.len()))
}
