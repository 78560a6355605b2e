//! The frames that a relay itself says.

use spoolway_protocol::hello::{Nack, NackCode};
use spoolway_protocol::{Address, Envelope, Message};

/// The text frame of a message from this relay; `re` names the frame it answers.
pub(crate) fn frame(message: impl Into<Message>, re: Option<&str>) -> String {
    let mut envelope = Envelope::new(&message.into());
    envelope.from = Some(Address::Relay);
    // A peer may call its frames what it likes; only a well-formed name is repeated.
    envelope.re = re.and_then(|re| re.parse().ok());
    envelope.encode()
}

/// A refusal of the frame called `re`.
pub(crate) fn nack(re: Option<&str>, code: NackCode, detail: impl Into<String>) -> String {
    frame(Nack { code, detail: detail.into(), extra: Default::default() }, re)
}
