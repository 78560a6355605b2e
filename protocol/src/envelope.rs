//! The envelope around every message, in the field order that lets a relay route on its first bytes.

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use crate::ids::{Address, BootId, MsgId};
use crate::limits::{HEAD_EXTRA_FIELDS, TEXT_FRAME_BYTES};
use crate::message::Message;
use crate::raw::{DecodeError, Extra, Raw};
use crate::version::V;

open_words!(
    /// The lane of a frame; absent means the ordinary one.
    Lane {
        /// Overtakes what waits in the ordinary lane: emergency stop, cancel, pause.
        Urgent = "urgent",
    }
);

open_words!(
    /// How far the wall clock of a stamp can be trusted.
    ClockSource {
        /// Synchronised by the operating system.
        Ntp = "ntp",
        /// Derived from the relay's time.
        Relay = "relay",
        /// Not before the build time or the last persisted time.
        Floor = "floor",
        /// Not known at all.
        None = "none",
    }
);

/// A point in time; durations always come from `m`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stamp {
    /// Wall clock, unix milliseconds.
    pub w: u64,
    /// Monotonic milliseconds since boot.
    pub m: u64,
    /// The boot that `m` counts from.
    pub b: BootId,
    /// How far `w` can be trusted.
    pub c: ClockSource,
}

impl Stamp {
    /// Whether the wall clock was set by somebody who knows the time.
    #[must_use]
    pub const fn is_trusted(&self) -> bool {
        matches!(self.c, ClockSource::Ntp | ClockSource::Relay)
    }

    /// Milliseconds since `earlier`: by the monotonic clock within one boot, by the wall clock when both can be trusted,
    /// and else nobody knows.
    #[must_use]
    pub fn ms_since(&self, earlier: &Self) -> Option<u64> {
        if self.b == earlier.b {
            return Some(self.m.saturating_sub(earlier.m));
        }
        (self.is_trusted() && earlier.is_trusted()).then(|| self.w.saturating_sub(earlier.w))
    }
}

/// An owned frame; its body stays raw until [`Message::decode`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope {
    /// Protocol version, [`V`].
    pub v: u32,
    /// The kind of the body.
    pub t: String,
    /// The receiver; the relay itself when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Address>,
    /// The slot of an ephemeral message: the latest per key wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The lane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<Lane>,
    /// How long the message is worth anything, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// Age when it was sent, raised by the relay by its queueing time, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// The message's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<MsgId>,
    /// The sender; the relay writes the identity of the connection over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Address>,
    /// The message that this one answers. What an agent says about a file that it is sent has the file's name here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<MsgId>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ts: Option<Stamp>,
    /// Head fields this version does not know; `body` stays last.
    #[serde(flatten)]
    pub extra: Extra,
    /// The message, by `t`.
    pub body: Raw,
}

/// Why a text frame is not an envelope of this version.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The frame is larger than [`TEXT_FRAME_BYTES`].
    #[error("text frame of {0} bytes is larger than {TEXT_FRAME_BYTES}")]
    TooLarge(usize),
    /// The frame speaks another version.
    #[error("envelope version {0} is not {V}")]
    Version(u32),
    /// The frame is not an envelope.
    #[error("not an envelope: {0}")]
    Json(#[from] serde_json::Error),
}

impl Envelope {
    /// An envelope for a message, with nothing in its head but version and kind.
    #[must_use]
    pub fn new(message: &Message) -> Self {
        Self {
            v: V,
            t: message.kind().to_owned(),
            to: None,
            key: None,
            lane: None,
            ttl_ms: None,
            age_ms: None,
            id: None,
            from: None,
            re: None,
            ts: None,
            extra: Extra::default(),
            body: message.encode(),
        }
    }

    /// The same with a receiver.
    #[must_use]
    pub fn to(mut self, to: Address) -> Self {
        self.to = Some(to);
        self
    }

    /// Reads a text frame.
    ///
    /// # Errors
    /// It is too large, no envelope, or of another version.
    pub fn parse(frame: &str) -> Result<Self, EnvelopeError> {
        if frame.len() > TEXT_FRAME_BYTES {
            return Err(EnvelopeError::TooLarge(frame.len()));
        }
        let envelope: Self = serde_json::from_str(frame)?;
        if envelope.extra.0.len() > HEAD_EXTRA_FIELDS {
            return Err(serde_json::Error::custom("too many head fields").into());
        }
        if envelope.v == V { Ok(envelope) } else { Err(EnvelopeError::Version(envelope.v)) }
    }

    /// The message inside.
    ///
    /// # Errors
    /// The kind is known and the body does not fit it.
    pub fn message(&self) -> Result<Message, DecodeError> {
        Message::decode(&self.t, &self.body)
    }

    /// The text frame.
    ///
    /// # Panics
    /// Never: an envelope has string keys only.
    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("an envelope has string keys, so it serialises")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Route;

    #[test]
    fn unknown_head_fields_survive_in_front_of_the_body() {
        let frame = r#"{"v":1,"t":"x.new","hop":[1,2],"body":{"b": 1.50,"a":"\u00e9"}}"#;
        assert_eq!(Envelope::parse(frame).unwrap().encode(), frame);
    }

    #[test]
    fn time_passes_on_the_clock_that_can_be_believed() {
        let at = |w, m, boot: &str, c| Stamp { w, m, b: boot.parse().unwrap(), c };
        let start = at(5_000_000, 1_000, "b1", ClockSource::Floor);
        assert_eq!(
            at(1, 3_000, "b1", ClockSource::None).ms_since(&start),
            Some(2_000),
            "the wall clock fell back"
        );
        assert_eq!(
            at(u64::MAX, 3_000, "b1", ClockSource::Ntp).ms_since(&start),
            Some(2_000),
            "and leapt ahead"
        );
        assert_eq!(at(5_000_900, 7, "b2", ClockSource::Ntp).ms_since(&start), None, "nobody knows");
        let start = Stamp { c: ClockSource::Relay, ..start };
        assert_eq!(at(5_000_900, 7, "b2", ClockSource::Ntp).ms_since(&start), Some(900));
    }

    #[test]
    fn other_versions_and_oversized_frames_are_refused() {
        assert!(matches!(Envelope::parse(r#"{"v":2,"t":"x","body":{}}"#), Err(EnvelopeError::Version(2))));
        let frame = format!(r#"{{"v":1,"t":"x","body":"{}"}}"#, "a".repeat(TEXT_FRAME_BYTES));
        assert!(matches!(Envelope::parse(&frame), Err(EnvelopeError::TooLarge(_))));
        assert!(Envelope::parse("{}").is_err());
    }

    #[test]
    fn an_end_takes_no_more_unknown_head_fields_than_a_relay_passes_on_and_none_twice() {
        let frame = |names: &[usize]| {
            let fields: String = names.iter().map(|name| format!(r#""x{name}":0,"#)).collect();
            format!(r#"{{"v":1,"t":"x",{fields}"body":{{}}}}"#)
        };
        let most: Vec<_> = (0..HEAD_EXTRA_FIELDS).collect();
        assert!(Envelope::parse(&frame(&most)).is_ok() && Route::parse(&frame(&most)).is_ok());
        let more: Vec<_> = (0..=HEAD_EXTRA_FIELDS).collect();
        assert!(Envelope::parse(&frame(&more)).is_err() && Route::parse(&frame(&more)).is_err());
        let twice = Envelope::parse(&frame(&[3, 3])).unwrap_err().to_string();
        assert!(twice.contains(r#"duplicate field "x3""#), "{twice}");
    }
}
