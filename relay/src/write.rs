//! The writing side of a peer: batches from its mailbox, an age for what has waited, and an end for who does not read.

use std::sync::Arc;
use std::time::Duration;

use spoolway_protocol::hello::close;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame as raw;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::hub::Hub;
use crate::mailbox::{Farewell, Frame, Letter};
use crate::metrics::Metric;
use crate::peer::LINGER;
use crate::post::{Next, Post};
use crate::socket::{Carrier, Gone, Writer};

/// Writes until the mailbox says farewell, the connection is gone, or the peer has stopped to read.
pub(crate) async fn write_all<S: Carrier>(hub: &Hub, post: &Arc<Post>, mut writer: Writer<S>) {
    let stalled = Duration::from_millis(hub.limits().stalled_write_ms);
    loop {
        match post.next().await {
            Next::Write(batch) => match timeout(stalled, Box::pin(write(hub, &mut writer, batch))).await {
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

/// Writes a batch and flushes once.
async fn write<S: Carrier>(hub: &Hub, writer: &mut Writer<S>, batch: Vec<Letter>) -> Result<(), Gone> {
    let now_ms = hub.clock.ms();
    for letter in batch {
        let (class, len) = (letter.class, letter.len());
        match messages(letter, now_ms) {
            Ok(messages) => {
                hub.metrics.sent(class, len);
                for message in messages.into_iter().flatten() {
                    writer.feed(message).await?;
                }
            }
            Err(expired) => hub.expire(&expired),
        }
    }
    writer.flush().await
}

/// What leaves, its age raised by the time that it waited here; or the letter, when its TTL ran out meanwhile.
fn messages(letter: Letter, now_ms: u64) -> Result<[Option<Message>; 2], Letter> {
    let waited_ms = now_ms.saturating_sub(letter.queued_ms);
    match letter.frame {
        Frame::Passed(ref passage, _) if passage.is_expired(waited_ms) => Err(letter),
        Frame::Passed(passage, None) => Ok([Some(passage.into_text(waited_ms).into()), None]),
        // One message in two frames (RFC 6455, section 5.4): the second is not copied.
        Frame::Passed(passage, Some(rest)) => {
            let head = raw::Frame::message(passage.into_text(waited_ms), OpCode::Data(Data::Text), false);
            let rest = raw::Frame::message(*rest, OpCode::Data(Data::Continue), true);
            Ok([head, rest].map(Message::Frame).map(Some))
        }
        Frame::Own(text) => Ok([Some(text.into()), None]),
        Frame::Chunk(bytes) => Ok([Some(bytes.into()), None]),
    }
}

#[cfg(test)]
mod tests {
    use spoolway_protocol::Route;
    use tokio_tungstenite::tungstenite::Utf8Bytes;

    use super::*;
    use crate::router::ConnId;

    fn letter(frame: &str) -> Letter {
        let text = Utf8Bytes::from(frame);
        Letter::of(&Route::parse(&text).unwrap(), &text, &"b:farm".parse().unwrap(), ConnId(1), 100)
    }

    /// What the other end makes of what leaves.
    fn text(letter: Letter, now_ms: u64) -> String {
        let messages = messages(letter, now_ms).unwrap().into_iter().flatten();
        let bytes = messages.flat_map(|message| match message {
            Message::Frame(frame) => frame.into_payload().to_vec(),
            message => message.into_data().to_vec(),
        });
        String::from_utf8(bytes.collect()).unwrap()
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
            assert_eq!(messages(letter.clone(), 105), Err(letter), "it is worth nothing any more");
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
