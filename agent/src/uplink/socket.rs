//! The websocket to the relay, on the way that [`super::way`] goes.

use spoolway_protocol::Fault;
use spoolway_protocol::hello::EXPORTER_BYTES;
use spoolway_protocol::limits::BINARY_FRAME_BYTES;
use spoolway_protocol::version::{AGENT_PATH, PROTO};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::RelaySettings;
use super::client_cert::Own;
use super::failure::{Failure, Stage};
use super::way::{self, Listener, Secured, Stream, in_time};
use crate::clock::Clock;
use crate::config::RelayUrl;

/// A websocket over TLS.
pub(super) type Socket = WebSocketStream<Stream>;

/// A read takes at most this much at a time; the default of the library is made for servers.
const READ_BYTES: usize = 16 * 1024;

/// Messages that are collected for one write, in bytes: far less than a network takes ahead of itself.
const WRITE_BYTES: usize = 4 * 1024;

/// A connection that stands, before the relay has spoken.
pub(super) struct Dialled {
    pub(super) socket: Socket,
    /// Keying material of the TLS session.
    pub(super) exporter: [u8; EXPORTER_BYTES],
}

/// Goes all the way, or says where it ended.
pub(super) async fn dial(
    relay: &RelaySettings,
    clock: &Clock,
    own: Option<Own>,
    listener: &mut impl Listener,
) -> Result<Dialled, Failure> {
    let Secured { stream, exporter, .. } = way::go(relay, clock, own, listener).await?;
    let upgrade = client_async_with_config(request(&relay.url)?, stream, Some(frame_bounds()));
    let upgraded = in_time(Stage::Websocket, upgrade).await?;
    let (socket, _) = upgraded.map_err(|error| Failure::websocket(&error))?;
    listener.passed(Stage::Websocket, format_args!("it speaks {PROTO}"));
    Ok(Dialled { socket, exporter })
}

/// Small messages that follow one another closely go out in one write, at the latest when there is nothing more to say. What is
/// larger is written when it is handed over, so that what is chosen next is chosen late.
fn frame_bounds() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(WRITE_BYTES)
        .max_write_buffer_size(4 * BINARY_FRAME_BYTES)
        .max_message_size(Some(BINARY_FRAME_BYTES))
        .max_frame_size(Some(BINARY_FRAME_BYTES))
}

fn request(url: &RelayUrl) -> Result<Request<()>, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Stage::Settings, Fault::ConfigBroken, format!("relay.url: {error}"))
    };
    let mut request = format!("{url}{AGENT_PATH}").into_client_request().map_err(|error| failed(&error))?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTO));
    Ok(request)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_util::SinkExt;
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    /// Counts what is written, and how often.
    #[derive(Default)]
    struct Counted(Vec<usize>);

    impl AsyncRead for Counted {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Counted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.push(bytes.len());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn many_small_messages_are_one_write_and_large_ones_do_not_wait() {
        let mut socket =
            WebSocketStream::from_raw_socket(Counted::default(), Role::Client, Some(frame_bounds())).await;
        for _ in 0..10 {
            socket.feed(Message::text("x".repeat(300))).await.unwrap();
        }
        assert!(socket.get_ref().0.is_empty());
        socket.flush().await.unwrap();
        assert_eq!(socket.get_ref().0.len(), 1);
        socket.feed(Message::text("x".repeat(WRITE_BYTES))).await.unwrap();
        assert_eq!(socket.get_ref().0.len(), 2);
    }

    #[test]
    fn the_request_names_host_and_protocol() {
        let request = request(&"wss://[::1]:9".parse().unwrap()).unwrap();
        assert_eq!(request.uri().path(), AGENT_PATH);
        assert_eq!(request.headers()["host"], "[::1]:9");
        assert_eq!(request.headers()[SEC_WEBSOCKET_PROTOCOL], PROTO);
    }
}
