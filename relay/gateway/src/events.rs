//! A live stream of all that agents say to their backend, as server-sent events (WHATWG HTML, section 9.2).
//!
//! It is a process of its backend like a websocket: it serves agents, and what it does not take in time waits in its mailbox and
//! then at the agents. An event stays in its agent's outbox until the backend acknowledges it, so a stream that breaks loses nothing.

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use spoolway_protocol::{Envelope, Message, Route};
use spoolway_relay::web::Process;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::Gateway;
use crate::answer::Trouble;
use crate::places::Place;

/// After how long a client is asked to dial again when the stream breaks. No setting: it is one connection, and clients may wait longer.
const HELLO: &[u8] = b"retry: 5000\n\n";
/// A comment: a sign of life that clients pass over.
const ALIVE: &[u8] = b":\n\n";

/// `GET /v1/events`: until the client, the relay or the credential goes.
pub(crate) async fn watch(State(gateway): State<Gateway>, request: Request) -> Response {
    gateway.watch(request).unwrap_or_else(IntoResponse::into_response)
}

impl Gateway {
    fn watch(&self, request: Request) -> Result<Response, Trouble> {
        let who = self.gate.backend(&request.into_parts().0)?;
        let place = self.stream_place(&who)?;
        let process = self.gate.server(&who)?;
        // Beside what hyper and the kernel hold, one piece waits here; all else waits in the mailbox, which has bounds.
        let (pieces, taken) = mpsc::channel(1);
        let pump = Pump { stalled: self.gate.stalled(), beat: self.gate.heartbeat(), process, pieces };
        self.gate.spawn(async move { pump.run(place).await });
        let body = stream::unfold(taken, |mut taken| async move {
            let piece: Bytes = taken.recv().await?;
            Some((Ok::<_, std::convert::Infallible>(piece), taken))
        });
        let kind = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
        Ok((kind, Body::from_stream(body)).into_response())
    }
}

/// Carries from the mailbox to the connection.
struct Pump {
    stalled: Duration,
    beat: Duration,
    process: Process,
    pieces: mpsc::Sender<Bytes>,
}

impl Pump {
    async fn run(self, _place: Place) {
        let mut piece = Bytes::from_static(HELLO);
        loop {
            match timeout(self.stalled, self.pieces.send(piece)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => return self.process.is_slow(),
            }
            piece = tokio::select! {
                frames = self.process.next() => match frames {
                    Some(frames) => frames.iter().map(|frame| event(frame)).collect::<String>().into(),
                    None => return,
                },
                () = sleep(self.beat) => Bytes::from_static(ALIVE),
                () = self.pieces.closed() => return,
            };
        }
    }
}

/// One frame as an event: its kind, for events how far an acknowledgement of all in it goes, and the frame itself.
fn event(frame: &str) -> String {
    let mut event = String::with_capacity(frame.len() + 64);
    let kind = Route::parse(frame).map_or("", |head| head.t);
    if kind == "events"
        && let Some((epoch, seq)) = last(frame)
    {
        let _ = writeln!(event, "id: {epoch}-{seq}");
    }
    let _ = writeln!(event, "event: {kind}");
    // What is between the members of JSON may be the end of a line.
    for line in frame.split(['\n', '\r']) {
        let _ = writeln!(event, "data: {line}");
    }
    event.push('\n');
    event
}

fn last(frame: &str) -> Option<(u64, u64)> {
    let Ok(Message::Events(events)) = Envelope::parse(frame).ok()?.message() else { return None };
    events.items.last().map(|event| (event.epoch.0, event.seq.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_event_whatever_is_between_its_members() {
        let frame = "{\"v\":1,\"t\":\"x\",\r\n\"body\":{\n\"n\":1}}";
        assert_eq!(
            event(frame),
            "event: x\ndata: {\"v\":1,\"t\":\"x\",\ndata: \ndata: \"body\":{\ndata: \"n\":1}}\n\n"
        );
    }

    #[test]
    fn events_are_named_by_the_last_of_them() {
        let item = |seq: u64| {
            format!(
                r#"{{"epoch":3,"seq":{seq},"cls":"info","kind":"x","ts":{{"w":1,"m":1,"b":"b","c":"ntp"}},"data":{{}}}}"#
            )
        };
        let frame = format!(r#"{{"v":1,"t":"events","body":{{"items":[{},{}]}}}}"#, item(7), item(8));
        assert_eq!(event(&frame), format!("id: 3-8\nevent: events\ndata: {frame}\n\n"));
        let empty = r#"{"v":1,"t":"events","body":{"items":[]}}"#;
        assert_eq!(event(empty), format!("event: events\ndata: {empty}\n\n"));
    }
}
