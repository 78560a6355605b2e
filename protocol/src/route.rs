//! A borrowed view of a frame's head, with which a relay forwards a body that it never reads.

use std::fmt::{self, Write as _};

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::envelope::EnvelopeError;
use crate::ids::Address;
use crate::limits::{HEAD_EXTRA_FIELDS, TEXT_FRAME_BYTES};
use crate::scan::{BEGINNING, usual};
use crate::version::V;

/// The head of a frame, borrowed from its text. Strings in a head carry no escapes: a frame that has one is refused.
#[derive(Debug, Clone, Default)]
pub struct Route<'a> {
    /// The kind of the body.
    pub t: &'a str,
    /// The receiver, not parsed yet.
    pub to: Option<&'a str>,
    /// The slot in which the latest wins.
    pub key: Option<&'a str>,
    /// The lane.
    pub lane: Option<&'a str>,
    /// How long the message is worth anything, in ms.
    pub ttl_ms: Option<u64>,
    /// Age when it arrived here, in ms.
    pub age_ms: Option<u64>,
    /// The message's own name.
    pub id: Option<&'a str>,
    /// What the sender claims to be; never to be believed.
    pub from: Option<&'a str>,
    /// The message that this one answers, or the file that it is about.
    pub re: Option<&'a str>,
    /// The stamp, unread.
    pub ts: Option<&'a str>,
    /// Head fields this version does not know.
    pub extra: Vec<(&'a str, &'a RawValue)>,
    /// The body, unread: the very bytes of the frame.
    pub body: &'a str,
}

impl<'a> Route<'a> {
    /// Reads the head of a text frame.
    ///
    /// # Errors
    /// It is too large, has no readable head, or is of another version.
    pub fn parse(frame: &'a str) -> Result<Self, EnvelopeError> {
        if frame.len() > TEXT_FRAME_BYTES {
            return Err(EnvelopeError::TooLarge(frame.len()));
        }
        usual(frame).map_or_else(|| Self::parse_any(frame), Ok)
    }

    /// The same for a frame that may look like any JSON.
    pub(crate) fn parse_any(frame: &'a str) -> Result<Self, EnvelopeError> {
        let Head { v, route } = serde_json::from_str(frame)?;
        if v == V { Ok(route) } else { Err(EnvelopeError::Version(v)) }
    }

    /// Whether the frame overtakes others.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.lane == Some("urgent")
    }

    /// Whether a TTL has run out after `queued_ms` more of age.
    #[must_use]
    pub fn is_expired(&self, queued_ms: u64) -> bool {
        is_over(self.ttl_ms, self.age_ms, queued_ms)
    }

    /// The frame again with `from` set and its age raised by `queued_ms`; every byte of the body is the same.
    ///
    /// Known head fields come in the order of the protocol, unknown ones behind them, the body last.
    #[must_use]
    pub fn rewrite(&self, from: &Address, queued_ms: u64) -> String {
        self.pass(from).into_text(queued_ms)
    }

    /// The frame again with `from` set, ready to wait for an unknown time.
    #[must_use]
    pub fn pass(&self, from: &Address) -> Passage {
        let mut passage = self.pass_head(from, self.body.len() + 1);
        passage.text.push_str(self.body);
        passage.text.push('}');
        passage
    }

    /// The same up to the body, with room for so many bytes behind it: what stands in the frame from its body on follows.
    #[must_use]
    pub fn pass_head(&self, from: &Address, room: usize) -> Passage {
        let rest: usize = self.extra.iter().map(|(name, value)| name.len() + value.get().len() + 4).sum();
        let mut out = String::with_capacity(room + rest + HEAD_ROOM_BYTES);
        for part in [BEGINNING, "\"", self.t, "\""] {
            out.push_str(part);
        }
        text(&mut out, "to", self.to);
        text(&mut out, "key", self.key);
        text(&mut out, "lane", self.lane);
        if let Some(ttl_ms) = self.ttl_ms {
            let _ = write!(out, r#","ttl_ms":{ttl_ms}"#);
        }
        let age_at = out.len();
        text(&mut out, "id", self.id);
        out.push_str(r#","from":""#);
        let _ = write!(out, "{from}");
        out.push('"');
        text(&mut out, "re", self.re);
        if let Some(ts) = self.ts {
            raw(&mut out, "ts", ts);
        }
        for (name, value) in &self.extra {
            raw(&mut out, name, value.get());
        }
        out.push_str(r#","body":"#);
        Passage { text: out, age_at, age_ms: self.age_ms, ttl_ms: self.ttl_ms }
    }
}

/// Room for the fields of a head that are no longer than usual, and for the age that the frame may get.
const HEAD_ROOM_BYTES: usize = 320;

/// A frame, or its head, with its sender set, on its way from one peer to another. Its age is written when it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    text: String,
    age_at: usize,
    age_ms: Option<u64>,
    ttl_ms: Option<u64>,
}

impl Passage {
    /// Bytes, without what its age may add.
    #[must_use]
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Never: a frame has at least its head.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether its TTL has run out after `queued_ms` more of age.
    #[must_use]
    pub fn is_expired(&self, queued_ms: u64) -> bool {
        is_over(self.ttl_ms, self.age_ms, queued_ms)
    }

    /// The text without an age.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text with its age raised by `queued_ms`.
    #[must_use]
    pub fn into_text(mut self, queued_ms: u64) -> String {
        if self.age_ms.is_some() || queued_ms > 0 {
            let age_ms = self.age_ms.unwrap_or(0).saturating_add(queued_ms);
            self.text.insert_str(self.age_at, &format!(r#","age_ms":{age_ms}"#));
        }
        self.text
    }
}

fn is_over(ttl_ms: Option<u64>, age_ms: Option<u64>, queued_ms: u64) -> bool {
    ttl_ms.is_some_and(|ttl_ms| age_ms.unwrap_or(0).saturating_add(queued_ms) > ttl_ms)
}

/// The value needs no escaping: it was borrowed from JSON text, which is only possible without escapes.
fn text(out: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        for part in [",\"", name, "\":\"", value, "\""] {
            out.push_str(part);
        }
    }
}

fn raw(out: &mut String, name: &str, value: &str) {
    for part in [",\"", name, "\":", value] {
        out.push_str(part);
    }
}

struct Head<'a> {
    v: u32,
    route: Route<'a>,
}

impl<'de> Deserialize<'de> for Head<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeadVisitor)
    }
}

struct HeadVisitor;

impl<'de> Visitor<'de> for HeadVisitor {
    type Value = Head<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an envelope")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Head<'de>, M::Error> {
        let (mut v, mut t, mut body) = (None, None, None);
        let mut route = Route::default();
        while let Some(name) = map.next_key::<&'de str>()? {
            match name {
                "v" => once(&mut v, name, map.next_value()?)?,
                "t" => once(&mut t, name, map.next_value()?)?,
                "to" => once(&mut route.to, name, map.next_value()?)?,
                "key" => once(&mut route.key, name, map.next_value()?)?,
                "lane" => once(&mut route.lane, name, map.next_value()?)?,
                "ttl_ms" => once(&mut route.ttl_ms, name, map.next_value()?)?,
                "age_ms" => once(&mut route.age_ms, name, map.next_value()?)?,
                "id" => once(&mut route.id, name, map.next_value()?)?,
                "from" => once(&mut route.from, name, map.next_value()?)?,
                "re" => once(&mut route.re, name, map.next_value()?)?,
                "ts" => once(&mut route.ts, name, map.next_value::<&'de RawValue>()?.get())?,
                "body" => once(&mut body, name, map.next_value::<&'de RawValue>()?)?,
                _ if route.extra.len() == HEAD_EXTRA_FIELDS => {
                    return Err(M::Error::custom("too many head fields"));
                }
                _ => route.extra.push((name, map.next_value()?)),
            }
        }
        route.t = t.ok_or_else(|| M::Error::missing_field("t"))?;
        route.body = body.ok_or_else(|| M::Error::missing_field("body"))?.get();
        Ok(Head { v: v.ok_or_else(|| M::Error::missing_field("v"))?, route })
    }
}

/// A field that stands twice would let two readers of one frame see different heads.
fn once<T, E: serde::de::Error>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), E> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom(format_args!("duplicate field {name:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &str = r#"{"v":1,"t":"from.the.future","to":"b:farm","ttl_ms":60000,"age_ms":5,"id":"m1","from":"b:liar","x":{ "y" : 1 },"body":{ "z":1.50 ,"e":"\u00e9\n"}}"#;

    #[test]
    fn the_body_passes_byte_for_byte() {
        let route = Route::parse(FRAME).unwrap();
        assert_eq!((route.t, route.to), ("from.the.future", Some("b:farm")));
        let from: Address = "a:7ZZZZZZZZZZZZZZZZZZZZZZZZZ".parse().unwrap();
        let out = route.rewrite(&from, 20);
        assert_eq!(
            out,
            r#"{"v":1,"t":"from.the.future","to":"b:farm","ttl_ms":60000,"age_ms":25,"id":"m1","from":"a:7ZZZZZZZZZZZZZZZZZZZZZZZZZ","x":{ "y" : 1 },"body":{ "z":1.50 ,"e":"\u00e9\n"}}"#
        );
        assert_eq!(Route::parse(&out).unwrap().body, route.body);
    }

    #[test]
    fn age_stays_absent_when_nothing_waited() {
        let route = Route::parse(r#"{"v":1,"t":"x","body":null}"#).unwrap();
        assert_eq!(route.rewrite(&Address::Relay, 0), r#"{"v":1,"t":"x","from":"relay","body":null}"#);
        assert!(!route.is_expired(u64::MAX));
    }

    #[test]
    fn a_ttl_runs_out() {
        let route = Route::parse(FRAME).unwrap();
        assert!(!route.is_expired(59_995));
        assert!(route.is_expired(59_996));
    }

    #[test]
    fn bad_heads_are_refused() {
        for bad in [
            r#"{"t":"x","body":1}"#,
            r#"{"v":1,"body":1}"#,
            r#"{"v":1,"t":"x"}"#,
            r#"{"v":2,"t":"x","body":1}"#,
            r#"{"v":1,"t":"x","to":"relay","to":"b:x","body":1}"#,
            r#"{"v":1,"t":"a\"b","body":1}"#,
            "[]",
        ] {
            assert!(Route::parse(bad).is_err(), "{bad}");
        }
    }
}
