//! The websocket behind a small wrapper, so that a leaner codec can take its place: read, write in batches, close.

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use spoolway_protocol::limits::BINARY_FRAME_BYTES;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use crate::mailbox::{BATCH_BYTES, Farewell};

/// Per connection of a backend: a dozen frames of the usual size.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Per connection of an agent, which is mostly idle, so it decides how much memory that costs. A larger frame gets a buffer of its own.
const IDLE_READ_BUFFER_BYTES: usize = 512;

/// Why a frame beyond every bound ends the connection.
pub(crate) const FRAME_TOO_LARGE: &str = "frame too large";

/// A stream that can carry a websocket.
pub(crate) trait Carrier: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Carrier for T {}

/// What came in.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A text frame.
    Text(Utf8Bytes),
    /// A binary frame.
    Binary(Bytes),
    /// A ping or a pong.
    Alive,
    /// The peer is gone.
    Closed,
    /// The peer broke the framing: close with 4000 and this reason.
    Broken(&'static str),
}

/// The reading half.
#[derive(Debug)]
pub(crate) struct Reader<S>(SplitStream<WebSocketStream<S>>);

/// The writing half.
#[derive(Debug)]
pub(crate) struct Writer<S>(SplitSink<WebSocketStream<S>, Message>);

/// The websocket on a connection whose upgrade was answered; `read` is what the peer has sent behind its request. A busy peer's frames
/// are gathered, so that one write carries many of them.
pub(crate) async fn open<S: Carrier>(stream: S, read: Vec<u8>, is_busy: bool) -> (Reader<S>, Writer<S>) {
    let config = Some(if is_busy {
        config(READ_BUFFER_BYTES, BATCH_BYTES)
    } else {
        config(IDLE_READ_BUFFER_BYTES, 0)
    });
    let socket = WebSocketStream::from_partially_read(stream, read, Role::Server, config).await;
    let (sink, stream) = socket.split();
    (Reader(stream), Writer(sink))
}

fn config(read_buffer_bytes: usize, write_buffer_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(read_buffer_bytes)
        .write_buffer_size(write_buffer_bytes)
        .max_write_buffer_size(write_buffer_bytes + 4 * BINARY_FRAME_BYTES)
        .max_message_size(Some(BINARY_FRAME_BYTES))
        .max_frame_size(Some(BINARY_FRAME_BYTES))
}

impl<S: Carrier> Reader<S> {
    /// The next thing that came in. May be dropped and called again without losing a frame.
    pub(crate) async fn read(&mut self) -> Incoming {
        loop {
            return match self.0.next().await {
                Some(Ok(Message::Text(text))) => Incoming::Text(text),
                Some(Ok(Message::Binary(bytes))) => Incoming::Binary(bytes),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => Incoming::Alive,
                // Reading on sends the answer to the close frame and then ends.
                Some(Ok(Message::Close(_) | Message::Frame(_))) => continue,
                Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                    Incoming::Broken(FRAME_TOO_LARGE)
                }
                Some(Err(Error::Protocol(_) | Error::Utf8(_))) => Incoming::Broken("websocket framing"),
                Some(Err(_)) | None => Incoming::Closed,
            };
        }
    }
}

impl<S: Carrier> Writer<S> {
    /// Takes a message, to be written with others.
    ///
    /// # Errors
    /// The connection is gone.
    pub(crate) async fn feed(&mut self, message: Message) -> Result<(), Gone> {
        self.0.feed(message).await.map_err(|_| Gone)
    }

    /// Writes what was taken.
    ///
    /// # Errors
    /// The connection is gone.
    pub(crate) async fn flush(&mut self) -> Result<(), Gone> {
        self.0.flush().await.map_err(|_| Gone)
    }

    /// Sends a close frame.
    ///
    /// # Errors
    /// The connection is gone.
    pub(crate) async fn close(&mut self, farewell: Farewell) -> Result<(), Gone> {
        let frame =
            CloseFrame { code: farewell.code.into(), reason: Utf8Bytes::from_static(farewell.reason) };
        self.0.send(Message::Close(Some(frame))).await.map_err(|_| Gone)
    }
}

/// The connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection is gone")]
pub(crate) struct Gone;
