//! The websocket behind a small wrapper, so that a leaner codec can take its place: upgrade, read, write in batches, close.

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use spoolway_protocol::limits::BINARY_FRAME_BYTES;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use crate::mailbox::{BATCH_BYTES, Farewell, Frame};

/// Per connection, so it decides how much memory an idle one costs.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// A stream that can carry a websocket.
pub(crate) trait Carrier: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Carrier for T {}

/// Why an upgrade was answered with an HTTP error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// HTTP status.
    pub(crate) status: u16,
    /// Text of the answer.
    pub(crate) text: &'static str,
}

/// Why there is no websocket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpgradeError {
    /// Answered with an HTTP error.
    #[error("{} {}", .0.status, .0.text)]
    Refused(Refusal),
    /// Not an upgrade at all.
    #[error("{0}")]
    Http(Box<Error>),
}

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

/// Answers the upgrade. `gate` sees path and headers and says who has dialled, or why not.
///
/// # Errors
/// The peer was refused or did not speak HTTP.
pub(crate) async fn upgrade<S: Carrier, D>(
    stream: S,
    protocol: &'static str,
    is_busy: impl FnOnce(&D) -> bool,
    gate: impl FnOnce(&str, &HeaderMap) -> Result<D, Refusal> + Unpin,
) -> Result<(Reader<S>, Writer<S>, D), UpgradeError> {
    let mut outcome = None;
    let callback = Gate { protocol, gate, outcome: &mut outcome };
    let accepted = tokio_tungstenite::accept_hdr_async_with_config(stream, callback, Some(config(0))).await;
    match (accepted, outcome) {
        (Ok(socket), Some(Ok(dialled))) => {
            // A busy peer's frames are gathered, so that one write carries many of them. The peer may not speak
            // before it has the answer to its upgrade, so nothing is lost with the first wrapper.
            let socket = if is_busy(&dialled) {
                let config = Some(config(BATCH_BYTES));
                WebSocketStream::from_raw_socket(socket.into_inner(), Role::Server, config).await
            } else {
                socket
            };
            let (sink, stream) = socket.split();
            Ok((Reader(stream), Writer(sink), dialled))
        }
        (_, Some(Err(refusal))) => Err(UpgradeError::Refused(refusal)),
        (Err(error), _) => Err(UpgradeError::Http(Box::new(error))),
        (Ok(_), None) => Err(UpgradeError::Http(Box::new(Error::ConnectionClosed))),
    }
}

fn config(write_buffer_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(write_buffer_bytes)
        .max_write_buffer_size(write_buffer_bytes + 4 * BINARY_FRAME_BYTES)
        .max_message_size(Some(BINARY_FRAME_BYTES))
        .max_frame_size(Some(BINARY_FRAME_BYTES))
}

struct Gate<'a, D, F> {
    protocol: &'static str,
    gate: F,
    outcome: &'a mut Option<Result<D, Refusal>>,
}

impl<D, F: FnOnce(&str, &HeaderMap) -> Result<D, Refusal>> Callback for Gate<'_, D, F> {
    fn on_request(self, request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
        let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
        let mut offered = offered.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        let checked = if offered.any(|word| word.trim() == self.protocol) {
            (self.gate)(request.uri().path(), request.headers())
        } else {
            Err(Refusal { status: 400, text: "the websocket subprotocol spoolway.v1 is required" })
        };
        let answer = match &checked {
            Ok(_) => {
                let protocol = HeaderValue::from_static(self.protocol);
                response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
                Ok(response)
            }
            Err(refusal) => Err(refused(*refusal)),
        };
        *self.outcome = Some(checked);
        answer
    }
}

fn refused(Refusal { status, text }: Refusal) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(format!("{text}\n")));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len() + 1));
    if status == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
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
                    Incoming::Broken("frame too large")
                }
                Some(Err(Error::Protocol(_) | Error::Utf8(_))) => Incoming::Broken("websocket framing"),
                Some(Err(_)) | None => Incoming::Closed,
            };
        }
    }
}

impl<S: Carrier> Writer<S> {
    /// Writes the frames and flushes once.
    ///
    /// # Errors
    /// The connection is gone.
    pub(crate) async fn write(&mut self, frames: impl IntoIterator<Item = Frame>) -> Result<(), Gone> {
        for frame in frames {
            let message = match frame {
                Frame::Text(text) => Message::Text(text.into()),
                Frame::Binary(bytes) => Message::Binary(bytes.into()),
            };
            self.0.feed(message).await.map_err(|_| Gone)?;
        }
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
