//! The writing side of a peer: batches from its mailbox, an age for what has waited, and an end for who does not read.

use std::sync::Arc;
use std::time::Duration;

use spoolway_protocol::hello::close;
use spoolway_relay_frames::{HEAD_BYTES, Opcode, put};
use tokio::time::timeout;

use crate::hub::Hub;
use crate::mailbox::{Farewell, Frame, Letter};
use crate::metrics::Metric;
use crate::peer::{AGE_BYTES, LINGER};
use crate::post::{Next, Post};
use crate::socket::{Carrier, Writer};

/// Writes until the mailbox says farewell, the connection is gone, or the peer has stopped to read.
pub(crate) async fn write_all<S: Carrier>(hub: &Hub, post: &Arc<Post>, mut writer: Writer<'_, S>) {
    let stalled = Duration::from_millis(hub.limits().stalled_write_ms);
    loop {
        match post.next().await {
            Next::Write(batch) => match timeout(stalled, writer.write(frames(hub, batch))).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => {
                    hub.metrics.count(Metric::SlowPeers);
                    let slow = Farewell { code: close::SLOW_CONSUMER, reason: "no write progress" };
                    post.close(slow, false);
                    let _ = timeout(LINGER, writer.close(slow)).await;
                    return;
                }
            },
            Next::Close(farewell) => {
                let _ = timeout(LINGER, writer.close(farewell)).await;
                return;
            }
        }
    }
}

/// The frames of a batch, for one write.
fn frames(hub: &Hub, batch: Vec<Letter>) -> Vec<u8> {
    let now_ms = hub.clock.ms();
    let room = batch.iter().map(|letter| HEAD_BYTES + letter.len() + AGE_BYTES).sum();
    let mut out = Vec::with_capacity(room);
    for letter in batch {
        let (class, len) = (letter.class, letter.len());
        match put_letter(&mut out, letter, now_ms) {
            Ok(()) => hub.metrics.sent(class, len),
            Err(expired) => hub.expire(&expired),
        }
    }
    out
}

/// Puts what leaves, its age raised by the time that it waited here; or returns the letter, when its TTL ran out meanwhile.
fn put_letter(out: &mut Vec<u8>, letter: Letter, now_ms: u64) -> Result<(), Letter> {
    let waited_ms = now_ms.saturating_sub(letter.queued_ms);
    match letter.frame {
        Frame::Passed(ref passage, _) if passage.is_expired(waited_ms) => return Err(letter),
        Frame::Passed(passage, rest) => {
            let rest = rest.as_deref().map_or(&[][..], |rest| rest);
            put(out, Opcode::Text, &[passage.into_text(waited_ms).as_bytes(), rest]);
        }
        Frame::Own(text) => put(out, Opcode::Text, &[text.as_bytes()]),
        Frame::Chunk(bytes) => put(out, Opcode::Binary, &[&bytes]),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytestring::ByteString;
    use spoolway_protocol::Route;

    use super::*;
    use crate::router::ConnId;

    fn letter(frame: &str) -> Letter {
        let text = ByteString::from(frame);
        Letter::of(&Route::parse(&text).unwrap(), &text, &"b:farm".parse().unwrap(), ConnId(1), 100)
    }

    /// The text that leaves, without the head of its frame.
    fn text(letter: Letter, now_ms: u64) -> String {
        let mut out = Vec::new();
        put_letter(&mut out, letter, now_ms).unwrap();
        let head = if out[1] < 126 { 2 } else { 4 };
        String::from_utf8(out.split_off(head)).unwrap()
    }

    #[test]
    fn waiting_raises_the_age_and_changes_nothing_else() {
        for body in [r#"{ "n":1.0 }"#.to_owned(), format!(r#"["{}" ]"#, r"\u00e9é".repeat(2_000))] {
            let frame = format!(
                r#"{{"v":1,"t":"x","to":"b:farm","ttl_ms":9,"age_ms":5,"from":"b:farm","body":{body}}}"#
            );
            let letter = letter(&frame);
            assert_eq!(letter.len(), frame.len() - r#","age_ms":5"#.len());
            assert_eq!(text(letter.clone(), 100), frame);
            let older = frame.replace(r#""age_ms":5"#, r#""age_ms":9"#);
            assert_eq!(text(letter.clone(), 104), older);
            assert_eq!(
                put_letter(&mut Vec::new(), letter.clone(), 105),
                Err(letter),
                "it is worth nothing any more"
            );
        }
    }

    #[test]
    fn a_large_body_is_not_copied_unless_something_follows_it() {
        let body = format!("\"{}\"", "x".repeat(5_000));
        for (end, is_shared) in [("}", true), (" }\n", true), (r#","to":"b:farm"}"#, false)] {
            let letter = letter(&format!(r#"{{"v":1,"t":"x","body":{body}{end}"#));
            assert_eq!(matches!(letter.frame, Frame::Passed(_, Some(_))), is_shared, "{end}");
            let whole = letter.passed().unwrap().into_owned();
            let passed = text(letter, 100);
            let head = Route::parse(&passed).unwrap();
            assert_eq!((head.body, head.from), (body.as_str(), Some("b:farm")));
            assert_eq!(whole, passed);
        }
    }
}
