//! The writing side of a peer: batches from its mailbox, an age for what has waited, and an end for who does not read.

use std::time::Duration;

use spoolway_protocol::Route;
use spoolway_protocol::hello::close;
use tokio::time::timeout;

use crate::hub::Hub;
use crate::mailbox::{Farewell, Frame, Mail};
use crate::metrics::Metric;
use crate::peer::LINGER;
use crate::post::{Next, Post};
use crate::socket::{Carrier, Writer};

/// Writes until the mailbox says farewell, the connection is gone, or the peer has stopped to read.
pub(crate) async fn write_all<S: Carrier>(hub: &Hub, post: &Post, mut writer: Writer<S>) {
    let stalled = Duration::from_millis(hub.limits().stalled_write_ms);
    loop {
        match post.next().await {
            Next::Write(batch) => {
                let now_ms = hub.clock.ms();
                let frames = batch.into_iter().map(|mail| {
                    hub.metrics.sent(mail.class, mail.frame.len());
                    aged(mail, now_ms)
                });
                match timeout(stalled, writer.write(frames)).await {
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

/// The frame with its age raised by the time it waited here.
fn aged(mail: Mail, now_ms: u64) -> Frame {
    let waited_ms = now_ms.saturating_sub(mail.queued_ms);
    match mail.frame {
        Frame::Text(text) if waited_ms > 0 => Frame::Text(older(&text, waited_ms).unwrap_or(text)),
        frame => frame,
    }
}

fn older(text: &str, waited_ms: u64) -> Option<String> {
    let head = Route::parse(text).ok()?;
    let from = head.from?.parse().ok()?;
    Some(head.rewrite(&from, waited_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::Class;

    #[test]
    fn waiting_raises_the_age_and_changes_nothing_else() {
        let mail =
            |text: &str| Mail { frame: Frame::Text(text.into()), class: Class::Reliable, queued_ms: 100 };
        let frame =
            r#"{"v":1,"t":"x","to":"b:farm","ttl_ms":9,"age_ms":5,"from":"b:farm","body":{ "n":1.0 }}"#;
        assert_eq!(aged(mail(frame), 100), Frame::Text(frame.into()));
        let older = frame.replace(r#""age_ms":5"#, r#""age_ms":12"#);
        assert_eq!(aged(mail(frame), 107), Frame::Text(older));
    }
}
