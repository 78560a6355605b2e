//! The writing side of a peer: batches from its mailbox, an age for what has waited, and an end for who does not read.

use std::sync::Arc;
use std::time::Duration;

use spoolway_protocol::hello::close;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::hub::Hub;
use crate::mailbox::{Farewell, Frame, Letter};
use crate::metrics::Metric;
use crate::peer::LINGER;
use crate::post::{Next, Post};
use crate::socket::{Carrier, Writer};

/// Writes until the mailbox says farewell, the connection is gone, or the peer has stopped to read.
pub(crate) async fn write_all<S: Carrier>(hub: &Hub, post: &Arc<Post>, mut writer: Writer<S>) {
    let stalled = Duration::from_millis(hub.limits().stalled_write_ms);
    loop {
        match post.next().await {
            Next::Write(batch) => {
                let now_ms = hub.clock.ms();
                let messages = batch.into_iter().filter_map(|letter| {
                    let (class, len) = (letter.class, letter.len());
                    let message = message(letter, now_ms).map_err(|expired| hub.expire(&expired)).ok()?;
                    hub.metrics.sent(class, len);
                    Some(message)
                });
                match timeout(stalled, writer.write(messages)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return,
                    Err(_) => {
                        hub.metrics.count(Metric::SlowPeers);
                        let slow = Farewell { code: close::SLOW_CONSUMER, reason: "no write progress" };
                        post.close(slow, false);
                        let _ = timeout(LINGER, writer.close(slow)).await;
                        return;
                    }
                }
            }
            Next::Close(farewell) => {
                let _ = timeout(LINGER, writer.close(farewell)).await;
                return;
            }
        }
    }
}

/// What leaves, its age raised by the time that it waited here; or the letter, when its TTL ran out meanwhile.
fn message(letter: Letter, now_ms: u64) -> Result<Message, Letter> {
    let waited_ms = now_ms.saturating_sub(letter.queued_ms);
    match letter.frame {
        Frame::Passed(ref passage) if passage.is_expired(waited_ms) => Err(letter),
        Frame::Passed(passage) => Ok(passage.into_text(waited_ms).into()),
        Frame::Own(text) => Ok(text.into()),
        Frame::Chunk(bytes) => Ok(bytes.into()),
    }
}

#[cfg(test)]
mod tests {
    use spoolway_protocol::Route;

    use super::*;
    use crate::router::ConnId;

    #[test]
    fn waiting_raises_the_age_and_changes_nothing_else() {
        let frame =
            r#"{"v":1,"t":"x","to":"b:farm","ttl_ms":9,"age_ms":5,"from":"b:farm","body":{ "n":1.0 }}"#;
        let head = Route::parse(frame).unwrap();
        let letter = Letter::of(&head, &"b:farm".parse().unwrap(), ConnId(1), 100);
        assert_eq!(message(letter.clone(), 100), Ok(Message::text(frame)));
        let older = frame.replace(r#""age_ms":5"#, r#""age_ms":9"#);
        assert_eq!(message(letter.clone(), 104), Ok(Message::text(older)));
        assert_eq!(message(letter.clone(), 105), Err(letter), "it is worth nothing any more");
    }
}
